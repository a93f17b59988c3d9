"""The activation erf(lambda/sqrt 2) of student and teacher (compiled part)."""

import math

from ...compiled.jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback
from ...gaussian.erf import TWO_OVER_PI, arcsines, noise
from .layout import (
    EVENT_VALUE,
    NOISE,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    assemble,
    fill_covariance,
    fill_outputs,
    has_noise,
    views,
    work_shared,
)
from .moments import of_erf


def work_size(p, k):
    """Return the length of the scratch array."""
    n = p + k
    return work_shared(p, k) + n + n * (n + 1) // 2


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    C, A, B, K, N, V, w, a, norms, rest = views(p, k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    of_erf(C, A, B, K)
    noisy = has_noise(params)
    if noisy:
        for i in range(p):
            for j in range(i, p):
                N[i, j] = noise(C, w, i, j, n, params[NOISE], rest, rest[n:])
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_event(t, y, params, work):
    """Risk minus the value of an event."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    C, _, _, _, _, _, w, a, _, rest = views(p, k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    total = 0.0
    for u in range(n):
        for v in range(n):
            rest[v] = C[u, v] / math.sqrt((1.0 + C[u, u]) * (1.0 + C[v, v]))
        arcsines(rest, n)
        for v in range(n):
            total += w[u] * w[v] * rest[v]
    return 0.5 * TWO_OVER_PI * total - params[EVENT_VALUE]
