r"""Quadratic activations: order parameters in matrix form, for any width (compiled part).

The activations are lambda^2 - centred |w|^2/d - offset, student and teacher each with their own (square: neither; centred: the
first; hermite2: offset 1).  With C = [[Q, R], [R^T, T]], w = (a/p, -b/k) the weights of the error e = f - f_star, m = E e and A = diag(w),

    B = C A C,    E[e l l^T] = m C + 2 B,    E[e^2 l l^T] = (m^2 + 2 tr(ACAC)) C + 4 m B + 8 C A B,

and the term m C drops out of the drift of a centred student, whose gradient carries its own mean (docs/committee.md, C6-C8).
Only the rows of the students are formed.  Helpers are inlined: a call with seven arrays costs as much as the algebra of a narrow network.
Wide networks use BLAS (`equations_square_blas`).
"""

import numpy as np

from .._jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback, jit
from .._views import matrix, vector
from .layout import (
    EVENT_VALUE,
    NOISE,
    SECOND_LAYER_RATE,
    STUDENT_CENTRED,
    STUDENT_OFFSET,
    STUDENT_WIDTH,
    TEACHER_CENTRED,
    TEACHER_CONSTANT,
    TEACHER_OFFSET,
    TEACHER_WIDTH,
    TRAINED,
    fill_covariance,
    fill_outputs,
    finish,
    has_noise,
    learning_rate_at,
    second_layer_start,
)

#: The largest p + k for which plain loops beat BLAS.
LOOPS = 24


def work_size(p, k):
    """Return the length of the scratch array: C, B, F = C A and H (students' rows), a, w, one row."""
    n = p + k
    return n * n + 2 * p * n + p * p + n + 2 * p


@jit(inline="always")
def views(p, n, work):
    """Return C, B, F, H, w, a and a row of scratch as views of `work`."""
    at = n * n
    C, B = matrix(work, 0, n, n), matrix(work, at, p, n)
    F, H = matrix(work, at + p * n, p, n), matrix(work, at + 2 * p * n, p, p)
    at += 2 * p * n + p * p
    return C, B, F, H, vector(work, at, n), vector(work, at + n, p), vector(work, at + n + p, p)


@jit(inline="always")
def mean_error(C, w, params):
    """Return m = E(f - f_star)."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    m = 0.0
    student, teacher = 1.0 - params[STUDENT_CENTRED], 1.0 - params[TEACHER_CENTRED]
    for i in range(p):
        m += w[i] * (student * C[i, i] - params[STUDENT_OFFSET])
    for r in range(p, p + k):
        m += w[r] * (teacher * C[r, r] - params[TEACHER_OFFSET])
    return m


@jit(inline="always")
def trace_of_square(C, w, params):
    """Return tr(A C A C); the teacher's own part is a constant of the problem."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    total = 0.0
    for i in range(p):
        row = 0.5 * w[i] * C[i, i] * C[i, i]
        for u in range(i + 1, p + k):
            row += w[u] * C[i, u] * C[i, u]
        total += w[i] * row
    return 2.0 * total + params[TEACHER_CONSTANT]


@jit(inline="always")
def multiply(C, w, F, B, p, n):
    """Write F = C A and B = F C."""
    for i in range(p):
        for v in range(n):
            F[i, v] = C[i, v] * w[v]
            B[i, v] = 0.0
        for u in range(n):
            f = F[i, u]
            for v in range(n):
                B[i, v] += f * C[u, v]


@jit(inline="always")
def gram(B, F, H, p, n):
    """Write the upper triangle of H = B F^T."""
    for i in range(p):
        for j in range(i, p):
            total = 0.0
            for u in range(n):
                total += B[i, u] * F[j, u]
            H[i, j] = total


@jit(inline="always")
def assemble(t, y, dy, params, C, B, H, w, a, norms, noisy):
    """Write the velocities from C, B = C A C and H = C A B."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    m = mean_error(C, w, params)
    drift = 0.0 if params[STUDENT_CENTRED] != 0.0 else m
    at, one = np.uint64(0), np.uint64(1)
    if noisy:
        rate = 4.0 * learning_rate_at(t, params) / p
        second = m * m + 2.0 * trace_of_square(C, w, params) + params[NOISE]
        for i in range(p):
            for j in range(i, p):
                x, b = C[i, j], B[i, j]
                noise = second * x + 4.0 * m * b + 8.0 * H[i, j]
                dy[at] = rate * (a[i] * a[j]) * noise - 2.0 * (a[i] + a[j]) * (drift * x + 2.0 * b)
                at += one
    else:
        for i in range(p):
            for j in range(i, p):
                dy[at] = -2.0 * (a[i] + a[j]) * (drift * C[i, j] + 2.0 * B[i, j])
                at += one
    for i in range(p):
        for r in range(p, p + k):
            dy[at] = -2.0 * a[i] * (drift * C[i, r] + 2.0 * B[i, r])
            at += one
    if params[TRAINED] != 0.0:
        start = second_layer_start(params)
        own = 1.0 - params[STUDENT_CENTRED]
        for i in range(p):
            mean = own * C[i, i] - params[STUDENT_OFFSET]
            dy[start + i] = -params[SECOND_LAYER_RATE] * (m * mean + 2.0 * B[i, i])
    finish(y, dy, params, norms)


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer in plain loops."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, B, F, H, w, a, norms = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    multiply(C, w, F, B, p, p + k)
    noisy = has_noise(params)
    if noisy:
        gram(B, F, H, p, p + k)
    assemble(t, y, dy, params, C, B, H, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_event(t, y, params, work):
    """Risk m^2/2 + tr(ACAC) minus the value of an event."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, _, _, _, w, a, _ = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    return 0.5 * mean_error(C, w, params) ** 2 + trace_of_square(C, w, params) - params[EVENT_VALUE]
