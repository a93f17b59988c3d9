"""Quadratic activations: order parameters in matrix form, for any width (compiled part).

The activations are lambda^2 - centred |w|^2/d - offset, student and teacher each with their own (square: neither; centred: the
first; hermite2: offset 1).  With C = [[Q, R], [R^T, T]], w = (a/p, -b/k) the weights of the error e = f - f_star, m = E e and A = diag(w),

    B = C A C,    E[e l l^T] = m C + 2 B,    E[e^2 l l^T] = (m^2 + 2 tr(ACAC)) C + 4 m B + 8 C A B,

and the term m C drops out of the drift of a centred student, whose gradient carries its own mean (docs/committee.md, C6-C8).
Only the rows of the students are formed, and what multiplies all of them stands in the narrow factor: with the drift
g = 0 of a centred student, g = m of another, and F = C A,

    D = -4 F - 2 g,    G = D C = -2 (g C + 2 B),    dR_ir = a_i G_ir,    dQ_ij = (a_i + a_j) G_ij,
    2 E[e^2 l l^T] = 2 (m^2 + 2 tr(ACAC)) C + G (-4 F - 2 (m - g))^T.

With r the part of m that holds no Q_ii, also m^2 + 2 tr(ACAC) = m r + 2 tr(ATAT) - 1/2 sum_i w_i (G_ii - 4 sum_r F_ir R_ir).
Helpers are inlined: a call with seven arrays costs as much as the algebra of a narrow network.
Wide networks use BLAS in `rhs_blas`.
"""

import numpy as np

from ...compiled.jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback, jit
from ...compiled.views import matrix, vector
from .layout import (
    EVENT_VALUE,
    HEADER,
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
    """Return the length of the scratch array: C, G and D (students' rows), H = G D^T, a, w, one row."""
    n = p + k
    return n * n + 2 * p * n + p * p + n + 2 * p


@jit(inline="always")
def views(p, n, work):
    """Return C, G, D, H, w, a and a row of scratch as views of `work`."""
    at = n * n
    C, G = matrix(work, 0, n, n), matrix(work, at, p, n)
    D, H = matrix(work, at + p * n, p, n), matrix(work, at + 2 * p * n, p, p)
    at += 2 * p * n + p * p
    return C, G, D, H, vector(work, at, n), vector(work, at + n, p), vector(work, at + n + p, p)


@jit(inline="always")
def constant_error(C, w, params):
    """Return the part of the mean error that does not depend on Q."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    rest = 0.0
    teacher = 1.0 - params[TEACHER_CENTRED]
    for r in range(p, p + k):
        rest += w[r] * (teacher * C[r, r] - params[TEACHER_OFFSET])
    if params[STUDENT_OFFSET] != 0.0:
        for i in range(p):
            rest -= w[i] * params[STUDENT_OFFSET]
    return rest


@jit(inline="always")
def weigh(C, w, D, params):
    """Write D = -4 C A - 2 g; return the mean error m and its constant part."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    for i in range(p):
        for v in range(p + k):
            D[i, v] = -4.0 * w[v] * C[i, v]
    rest = constant_error(C, w, params)
    if params[STUDENT_CENTRED] != 0.0:
        return rest, rest
    total = D[0, 0]
    for i in range(1, p):
        total += D[i, i]
    shift = 0.5 * total - 2.0 * rest
    for i in range(p):
        D[i, i] += shift
    return -0.5 * shift, rest


@jit(inline="always")
def weigh_noise(C, w, D, m, params):
    """Turn D into -4 C A - 2 (m - g)."""
    other = 0.0 if params[STUDENT_CENTRED] == 0.0 else 2.0 * m
    for i in range(int(params[STUDENT_WIDTH])):
        D[i, i] = -4.0 * w[i] * C[i, i] - other


@jit(inline="always")
def multiply(C, D, G, p, n):
    """Write G = D C."""
    for i in range(p):
        first, second = D[i, 0], D[i, 1]
        for v in range(n):
            G[i, v] = first * C[0, v] + second * C[1, v]
        for u in range(2, n):
            d = D[i, u]
            for v in range(n):
                G[i, v] += d * C[u, v]


@jit(inline="always")
def gram(G, D, H, p, n):
    """Write the upper triangle of H = G D^T."""
    for i in range(p):
        for j in range(i, p):
            total = G[i, 0] * D[j, 0]
            for u in range(1, n):
                total += G[i, u] * D[j, u]
            H[i, j] = total


@jit(inline="always")
def mean_square(C, w, G, D, m, rest, params):
    """Return 2 (m^2 + 2 tr(ACAC)) + 2 noise, twice the mean of e^2 with the noise of the labels."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    total = 0.0
    for i in range(p):
        row = G[i, i]
        for r in range(p, p + k):
            row += D[i, r] * C[i, r]
        total += w[i] * row
    return 2.0 * m * rest - total + (2.0 * params[NOISE] + 4.0 * params[TEACHER_CONSTANT])


@jit(inline="always")
def assemble(t, y, dy, params, C, G, D, H, w, a, norms, m, rest, noisy):
    """Write the velocities from C, G = D C and H = G D^T."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    at, one = np.uint64(0), np.uint64(1)
    if noisy:
        rate = learning_rate_at(t, params) * (2.0 / p)
        square = mean_square(C, w, G, D, m, rest, params)
        for i in range(p):
            for j in range(i, p):
                dy[at] = (a[i] + a[j]) * G[i, j] + rate * (a[i] * a[j]) * (square * C[i, j] + H[i, j])
                at += one
    else:
        for i in range(p):
            for j in range(i, p):
                dy[at] = (a[i] + a[j]) * G[i, j]
                at += one
    for i in range(p):
        for r in range(p, p + k):
            dy[at] = a[i] * G[i, r]
            at += one
    if params[TRAINED] != 0.0:
        start = second_layer_start(params)
        for i in range(p):
            dy[start + i] = params[SECOND_LAYER_RATE] * (0.5 * G[i, i] + m * params[STUDENT_OFFSET])
    finish(y, dy, params, norms)


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer in plain loops."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, G, D, H, w, a, norms = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    m, rest = weigh(C, w, D, params)
    multiply(C, D, G, p, p + k)
    noisy = has_noise(params)
    if noisy:
        weigh_noise(C, w, D, m, params)
        gram(G, D, H, p, p + k)
    assemble(t, y, dy, params, C, G, D, H, w, a, norms, m, rest, noisy)


@callback(RHS_SIGNATURE)
def rhs_blas(t, y, dy, params, work):
    """Velocities of Q, R and the second layer of wide networks, by BLAS."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, G, D, H, w, a, norms = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    m, rest = weigh(C, w, D, params)
    np.dot(D, C, G)
    noisy = has_noise(params)
    if noisy:
        weigh_noise(C, w, D, m, params)
        np.dot(G, D.T, H)
    assemble(t, y, dy, params, C, G, D, H, w, a, norms, m, rest, noisy)


@callback(EVENT_SIGNATURE)
def risk_event(t, y, params, work):
    """Risk m^2/2 + tr(ACAC) minus the value of an event; of the teacher's own part the trace is a constant of the problem.

    The overlaps are read where they are, because many states are described at once.
    """
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    w, a = vector(work, 0, p + k), vector(work, p + k, p)
    fill_outputs(y, params, a, w)
    student, teacher = 1.0 - params[STUDENT_CENTRED], 1.0 - params[TEACHER_CENTRED]
    m = total = 0.0
    for r in range(k):
        m += w[p + r] * (teacher * params[HEADER + k + p + r * (k + 1)] - params[TEACHER_OFFSET])
    at, across = 0, p * (p + 1) // 2
    for i in range(p):
        m += w[i] * (student * y[at] - params[STUDENT_OFFSET])
        row = 0.5 * w[i] * y[at] * y[at]
        at += 1
        for j in range(i + 1, p):
            row += w[j] * y[at] * y[at]
            at += 1
        for r in range(k):
            row += w[p + r] * y[across] * y[across]
            across += 1
        total += w[i] * row
    return 0.5 * m**2 + 2.0 * total + params[TEACHER_CONSTANT] - params[EVENT_VALUE]
