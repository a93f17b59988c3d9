"""The activation max(lambda, 0) of student and teacher (compiled part)."""

from ...compiled.jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback
from ...compiled.views import vector
from ...gaussian.relu import NODES, quadrant, two_fields, two_indicators
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
from .moments import of_relu


def work_size(p, k):
    """Return the length of the scratch array."""
    return work_shared(p, k) + NODES


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    C, A, B, K, N, V, w, a, norms, rest = views(p, k, work)
    values = vector(rest, 0, NODES)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    of_relu(C, A, B, K)
    noisy = has_noise(params)
    if noisy:
        for i in range(p):
            for j in range(i, p):
                total = params[NOISE] * (0.5 if i == j else quadrant(C, i, j))
                for u in range(n):
                    for v in range(u):
                        total += 2.0 * w[u] * w[v] * two_indicators(C, i, j, u, v, values)
                    total += w[u] * w[u] * two_indicators(C, i, j, u, u, values)
                N[i, j] = total
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_event(t, y, params, work):
    """Risk minus the value of an event."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    C, _, _, _, _, _, w, a, _, _ = views(p, k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    total = 0.0
    for u in range(n):
        for v in range(n):
            total += w[u] * w[v] * (0.5 * C[u, u] if u == v else two_fields(C[u, u], C[v, v], C[u, v])[2])
    return 0.5 * total - params[EVENT_VALUE]
