r"""Function form: at infinite dimension the student is a function of the span alone, known on a grid (compiled part).

With the error :math:`e = f - f_\star` of :math:`f(\xi) = \sum_j m_j \bar s(u_j\cdot\xi; s_j)` and xi standard normal, the pulls are
:math:`\mathbb E[e\,\partial_y\bar s\,\xi]`, :math:`\mathbb E[e\,\partial_s\bar s]` and :math:`\mathbb E[e\,\bar s]`, for any target
(docs/mean_field.md, F5, F6).

Parameters after the masses: points xi (m, G), their weights (G,), the target there (G,), and for polynomials the powers, the nodes eta
and their weights.
"""

import math

from numba import types

from ..compiled.jit import A1, A2, RHS_SIGNATURE, callback, jit
from ..compiled.views import matrix
from .equations import (
    CENTRED,
    DEGREE,
    DIRECTIONS,
    KIND,
    NODES,
    PARTICLES,
    REMAINDERS,
    finish,
    form_at,
    masses_and_variances,
    rows_of,
    smooth_row,
)


def work_size(particles, points):
    """Return the length of the scratch array."""
    return 2 * particles + 2 * points + 3 * particles * points


@jit
def length(y, P, m, R, j):
    """Return the length of particle j outside the span, of R groups; a single one with its sign."""
    if R == 1:
        return y[m * P + j]
    total = 0.0
    for c in range(m, m + R):
        total += y[c * P + j] * y[c * P + j]
    return math.sqrt(total)


@jit
def smooth(y, params, q, line, S, Y, D):
    """Write sbar and its derivatives by y and s of every particle, shapes (P, G)."""
    P, m, G = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[NODES])
    xi, R = form_at(params), int(params[REMAINDERS])
    at = xi + (m + 2) * G
    kind, degree = int(params[KIND]), int(params[DEGREE])
    count = degree // 2 + 1
    powers, eta = params[at : at + degree + 1], params[at + degree + 1 : at + degree + 1 + count]
    weights = params[at + degree + 1 + count : at + degree + 1 + 2 * count]
    for j in range(P):
        for g in range(G):
            line[g] = 0.0
        for c in range(m):
            u = y[c * P + j]
            for g in range(G):
                line[g] += u * params[xi + c * G + g]
        smooth_row(kind, line, length(y, P, m, R, j), powers, eta, weights, S[j], Y[j], D[j])
        if params[CENTRED] != 0.0:
            for g in range(G):
                S[j, g] -= q[j]


@jit
def error(y, params, mass, q, line, e, S, Y, D):
    """Write the error f - f_star on the grid."""
    P, m, G = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[NODES])
    masses_and_variances(y, params, mass, q)
    smooth(y, params, q, line, S, Y, D)
    target = form_at(params) + (m + 1) * G
    for g in range(G):
        e[g] = -params[target + g]
    for j in range(P):
        for g in range(G):
            e[g] += mass[j] * S[j, g]


@jit
def dot(first, second):
    """Return the scalar product, in four sums that do not wait for each other."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    n = first.size - first.size % 4
    for g in range(0, n, 4):
        a += first[g] * second[g]
        b += first[g + 1] * second[g + 1]
        c += first[g + 2] * second[g + 2]
        d += first[g + 3] * second[g + 3]
    for g in range(n, first.size):
        a += first[g] * second[g]
    return (a + b) + (c + d)


@jit
def pull(y, dy, params, work):
    """Write the pulls into `dy`."""
    P, m, G = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[NODES])
    mass, q, line, e = work[:P], work[P : 2 * P], work[2 * P : 2 * P + G], work[2 * P + G : 2 * P + 2 * G]
    at = 2 * P + 2 * G
    S, Y, D = matrix(work, at, P, G), matrix(work, at + P * G, P, G), matrix(work, at + 2 * P * G, P, G)
    error(y, params, mass, q, line, e, S, Y, D)
    xi, weights, rows = form_at(params), form_at(params) + m * G, rows_of(params)
    mean = 0.0
    for g in range(G):
        e[g] *= params[weights + g]
        mean += e[g]
    for j in range(P):
        dy[rows * P + j] = dot(e, S[j])
        along = dot(e, D[j])
        s = length(y, P, m, rows - m, j)
        for c in range(m, rows):
            # One remainder keeps its sign; several make one length.
            share = 1.0 if rows == m + 1 else y[c * P + j] / s if s > 0.0 else 0.0
            dy[c * P + j] = along * share
    for c in range(m):
        for g in range(G):
            line[g] = e[g] * params[xi + c * G + g]
        for j in range(P):
            dy[c * P + j] = dot(line, Y[j])
    if params[CENTRED] != 0.0:
        for c in range(rows):
            for j in range(P):
                dy[c * P + j] -= 2.0 * mean * y[c * P + j]


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities."""
    pull(y, dy, params, work)
    finish(y, dy, params, work)


@jit(types.void(A2, A1, A1, A2))
def errors(states, params, work, out):
    """Write the error f - f_star on the grid at each state, shape (states, G); with a target of zero, the student itself."""
    P, G = int(params[PARTICLES]), int(params[NODES])
    at = 2 * P + 2 * G
    S, Y, D = matrix(work, at, P, G), matrix(work, at + P * G, P, G), matrix(work, at + 2 * P * G, P, G)
    for t in range(states.shape[0]):
        error(states[t], params, work[:P], work[P : 2 * P], work[2 * P : 2 * P + G], out[t], S, Y, D)
