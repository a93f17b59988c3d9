r"""Pair form: every particle meets every other, at a finite dimension averaged over the angle between them (compiled part).

Two units of the shells i and j have the covariance :math:`x = u_i\cdot u_j + s_i s_j h`, where h, the cosine of two directions that are
uniform on the sphere outside the span, has a density :math:`\propto (1 - h^2)^{(D-3)/2}`; h = 0 at infinite dimension.  Two units of one
shell are different units too: the diagonal is no exception (docs/mean_field.md, F1-F3).

With h = 0 alone, all d coordinates in u and s = 0, these are the equations of a network of P units: a shell is then one unit.

Parameters after the masses: nodes h (N,), their weights (N,), teachers U (k, m), b/k (k,), tables of polynomials.
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, RHS_SIGNATURE, callback, jit
from ..gaussian import erf, relu
from ..gaussian.hermite import coefficients, pair, slopes
from .equations import (
    DEGREE,
    DIRECTIONS,
    ERF,
    KIND,
    NODES,
    PARTICLES,
    POLYNOMIAL,
    RATE,
    RELU,
    REST,
    TEACHER_DEGREE,
    TEACHERS,
    finish,
    form_at,
    half_of,
    masses_and_variances,
    rows_of,
)

ROWS = 14
#: Sums in any order, so that they are taken in lanes; unsigned counters spare the test for negative indices, which forbids lanes.
JOINED = {"reassoc", "contract", "nsz"}


def work_size(particles, teachers, degree=0, teacher_degree=0):
    """Return the length of the scratch array."""
    return ROWS * particles + 2 * particles * (degree + 1) + teachers * (teacher_degree + 1)


@jit
def add_erf(q, i, P, h, weight, s, x, tmp, values, B_row, Bh_row, A_row, K_row):
    """Add weight times (B, B h, A_ij, K) of particle i with the particles from i on."""
    own, length, others = q[i], s[i], range(np.uint64(i), np.uint64(P))
    for j in others:
        tmp[j] = x[j] + length * s[j] * h
    for j in others:
        A, B = erf.two_fields(own, q[j], tmp[j])
        B_row[j] += weight * B
        Bh_row[j] += weight * h * B
        A_row[j] += weight * A
    if values:
        for j in others:
            tmp[j] = erf.arcsine(tmp[j] / math.sqrt((1.0 + own) * (1.0 + q[j])))
        for j in others:
            K_row[j] += weight * erf.TWO_OVER_PI * tmp[j]


@jit
def add_relu(q, i, P, h, weight, s, x, tmp, one, two, three, B_row, Bh_row, A_row, K_row):
    """Add weight times (B, B h, A_ij, K) of particle i with the particles from i on."""
    own, length, others = q[i], s[i], range(np.uint64(i), np.uint64(P))
    for j in others:
        tmp[j] = x[j] + length * s[j] * h
    relu.two_fields_row(own, q, tmp, i, one, two, three)
    for j in others:
        A_row[j] += weight * one[j]
        B_row[j] += weight * two[j]
        Bh_row[j] += weight * h * two[j]
        K_row[j] += weight * three[j]


@jit
def add_polynomial(degree, c, d, i, P, h, weight, s, x, B_row, Bh_row, A_row, K_row, back):
    """Add weight times (B, B h, A_ij, K, A_ji) of particle i with the particles from i on."""
    stride = degree + 1
    for j in range(i, P):
        at = x[j] + s[i] * s[j] * h
        B = pair(c, i * stride + 1, c, j * stride + 1, degree, at)
        B_row[j] += weight * B
        Bh_row[j] += weight * h * B
        A_row[j] += weight * pair(d, i * stride, c, j * stride, stride, at)
        back[j] += weight * pair(d, j * stride, c, i * stride, stride, at)
        K_row[j] += weight * pair(c, i * stride, c, j * stride, stride, at)


@jit
def other_slope(kind, A, q, r, back):
    """Return A_ji, given A_ij of variances q_i = q and q_j = r."""
    if kind == ERF:
        return A * ((1.0 + q) / (1.0 + r))
    if kind == RELU:
        return A * (q / r) if r > 0.0 else 0.0
    return back


@jit
def teacher_moments(kind, params, table, q, i, T, x, c, d, r, stars):
    """Return (A, B, K) of particle i with teacher r."""
    if kind == ERF:
        A, B = erf.two_fields(q[i], T, x)
        return A, B, erf.TWO_OVER_PI * erf.arcsine(x / math.sqrt((1.0 + q[i]) * (1.0 + T)))
    if kind == RELU:
        return relu.two_fields(q[i], T, x)
    degree, other = int(params[DEGREE]), int(params[TEACHER_DEGREE])
    stride, terms = degree + 1, min(degree, other) + 1
    A = pair(d, i * stride, stars, r * (other + 1), terms, x)
    B = pair(c, i * stride + 1, stars, r * (other + 1) + 1, terms - 1, x)
    return A, B, pair(c, i * stride, stars, r * (other + 1), terms, x)


@jit
def pull(values, y, dy, params, work):
    """Write the pulls into `dy`; the masses stand in ``work[:P]`` then, and the moments with the teacher, summed over it, in ``work[P:2P]``."""
    P, m, k, N = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[TEACHERS]), int(params[NODES])
    kind = int(params[KIND])
    mass, star, q, alpha, x, tmp = (
        work[:P],
        work[P : 2 * P],
        work[2 * P : 3 * P],
        work[3 * P : 4 * P],
        work[4 * P : 5 * P],
        work[5 * P : 6 * P],
    )
    B, Bh, A, K, back = (
        work[6 * P : 7 * P],
        work[7 * P : 8 * P],
        work[8 * P : 9 * P],
        work[9 * P : 10 * P],
        work[10 * P : 11 * P],
    )
    one, two, three = work[11 * P : 12 * P], work[12 * P : 13 * P], work[13 * P : 14 * P]
    at, rows = form_at(params), rows_of(params)
    nodes, weights = params[at : at + N], params[at + N : at + 2 * N]
    U, b = at + 2 * N, at + 2 * N + k * m
    table = b + k
    s = y[m * P : (m + 1) * P]
    masses_and_variances(y, params, mass, q)
    degree, other = int(params[DEGREE]), int(params[TEACHER_DEGREE])
    c = work[ROWS * P : ROWS * P + P * (degree + 1)]
    d = work[ROWS * P + P * (degree + 1) : ROWS * P + 2 * P * (degree + 1)]
    stars = work[ROWS * P + 2 * P * (degree + 1) :]
    if kind == POLYNOMIAL:
        for i in range(P):
            coefficients(params, table, degree, q[i], c, i * (degree + 1))
            slopes(params, table, degree, q[i], d, i * (degree + 1))
    for i in range((rows + 1) * P):
        dy[i] = 0.0
    for i in range(P):
        alpha[i] = 0.0
        star[i] = 0.0
    for i in range(P):
        others = range(np.uint64(i), np.uint64(P))
        for j in others:
            x[j] = 0.0
            B[j] = 0.0
            Bh[j] = 0.0
            A[j] = 0.0
            K[j] = 0.0
            back[j] = 0.0
        for direction in range(m):
            row = y[direction * P : direction * P + P]
            own = row[i]
            for j in others:
                x[j] += own * row[j]
        for node in range(N):
            h, weight = nodes[node], weights[node]
            if kind == ERF:
                add_erf(q, i, P, h, weight, s, x, tmp, values, B, Bh, A, K)
            elif kind == RELU:
                add_relu(q, i, P, h, weight, s, x, tmp, one, two, three, B, Bh, A, K)
            else:
                add_polynomial(degree, c, d, i, P, h, weight, s, x, B, Bh, A, K, back)
        gather(kind, i, P, m, rows, y, dy, mass, q, alpha, B, Bh, A, K, back)
    for r in range(k):
        T = 0.0
        for direction in range(m):
            T += params[U + r * m + direction] * params[U + r * m + direction]
        if kind == POLYNOMIAL:
            coefficients(params, table + (degree + 1) * (degree // 2 + 1), other, T, stars, r * (other + 1))
        for i in range(P):
            covariance = 0.0
            for direction in range(m):
                covariance += params[U + r * m + direction] * y[direction * P + i]
            slope, product, moment = teacher_moments(kind, params, table, q, i, T, covariance, c, d, r, stars)
            alpha[i] -= params[b + r] * slope
            star[i] += params[b + r] * moment
            for direction in range(m):
                dy[direction * P + i] -= params[b + r] * product * params[U + r * m + direction]
    for i in range(P):
        dy[rows * P + i] -= star[i]
    for direction in range(rows):
        for i in range(P):
            dy[direction * P + i] += alpha[i] * y[direction * P + i]


@jit(fastmath=JOINED)
def gather(kind, i, P, m, rows, y, dy, mass, q, alpha, B, Bh, A, K, back):
    """Add the moments of particle i with the particles from i on to the pulls of both."""
    first, own, total = np.uint64(i), 0.0, 0.0
    others, later = range(first, np.uint64(P)), range(first + np.uint64(1), np.uint64(P))
    for j in others:
        own += mass[j] * A[j]
        total += mass[j] * K[j]
    for j in later:
        alpha[j] += mass[i] * other_slope(kind, A[j], q[i], q[j], back[j])
        dy[rows * P + j] += mass[i] * K[j]
    alpha[i] += own
    dy[rows * P + i] += total
    for direction in range(m + 1):
        factor = Bh if direction == m else B
        coordinate, out = y[direction * P : direction * P + P], dy[direction * P : direction * P + P]
        from_i = mass[i] * coordinate[i]
        total = 0.0
        for j in others:
            total += mass[j] * factor[j] * coordinate[j]
        for j in later:
            out[j] += factor[j] * from_i
        out[i] += total


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities."""
    pull(params[RATE] != 0.0, y, dy, params, work)
    finish(y, dy, params, work)


@jit(types.void(A2, A1, A1, A1))
def risks(states, params, work, out):
    """Write the risk (F4) at each state: half of m K m - 2 m K b/k + b K b/k^2, the last from the parameters."""
    P, rows = int(params[PARTICLES]), rows_of(params)
    dy = work[work.size - (rows + 1) * P :]
    for t in range(states.shape[0]):
        pull(True, states[t], dy, params, work)
        out[t] = half_of(work, dy[rows * P :], P) - half_of(work, work[P:], P) + params[REST]


@jit(types.float64(types.int64, A2, A1, A1, types.int64, A1))
def energy(kind, U, b, table, degree, stars):
    """Return half the mean square of the output of units U (k, m) with second layer b (k,)."""
    k, m = U.shape
    total = 0.0
    for r in range(k):
        T = 0.0
        for c in range(m):
            T += U[r, c] * U[r, c]
        if kind == POLYNOMIAL:
            coefficients(table, 0, degree, T, stars, r * (degree + 1))
        for w in range(r + 1):
            other, x = 0.0, 0.0
            for c in range(m):
                other += U[w, c] * U[w, c]
                x += U[r, c] * U[w, c]
            if kind == ERF:
                K = erf.TWO_OVER_PI * erf.arcsine(x / math.sqrt((1.0 + T) * (1.0 + other)))
            elif kind == RELU:
                K = relu.two_fields(T, other, x)[2]
            else:
                K = pair(stars, r * (degree + 1), stars, w * (degree + 1), degree + 1, x)
            total += b[r] * b[w] * K * (1.0 if w == r else 2.0)
    return 0.5 * total
