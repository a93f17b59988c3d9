r"""State, parameters and the terms that all forms of the mean-field equations share, and the function form (compiled part).

A particle j stands for the share omega_j of the units: a second-layer weight a_j, m coordinates u_j in the span of the teacher, and a
length s_j outside it (docs/mean_field.md, F1).

State ``y``: u by directions (m rows of P), then s (R rows of P, one for each group of the covariance), then a (P,), so that loops over
particles run over neighbours.  With a covariance u and s of a group are scaled by the root of its eigenvalue c, and move c times as fast.
Parameters: a header of `HEADER` numbers, the masses omega (P,), speed, temperature and inverse eigenvalue of each of the m + R rows, then what
the form needs, from `form_at` on.

Every form first writes the *pulls* into ``dy``: the derivatives of the risk by u_j and s_j over m_j = omega_j a_j, and by m_j.
`finish` makes velocities of them.

For eta standard normal, :math:`\bar s(y; s) = \mathbb E\,s(y + s\eta)` is what a unit shows on the span (docs/mean_field.md, F5):

.. math:: \mathrm{erf}:\ \mathrm{erf}\frac{y}{\sqrt{2(1 + s^2)}}, \qquad \mathrm{ReLU}:\ y\,\Phi(y/s) + s\,\varphi(y/s),

and for a polynomial the sum over Gauss-Hermite nodes, as many as make it exact.

In the function form, at infinite dimension, the student is a function of the span alone, known on a grid.

With the error :math:`e = f - f_\star` of :math:`f(\xi) = \sum_j m_j \bar s(u_j\cdot\xi; s_j)` and xi standard normal, the pulls are
:math:`\mathbb E[e\,\partial_y\bar s\,\xi]`, :math:`\mathbb E[e\,\partial_s\bar s]` and :math:`\mathbb E[e\,\bar s]`, for any target
(docs/mean_field.md, F5, F6).

Parameters after the masses: points xi (m, G), their weights (G,), the target there (G,), and for polynomials the powers, the nodes eta
and their weights.
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, RHS_SIGNATURE, callback, jit
from ..compiled.views import matrix

ROOT_HALF = math.sqrt(0.5)
INVERSE_ROOT = 1.0 / math.sqrt(2.0 * math.pi)
TWO_OVER_ROOT = 2.0 * INVERSE_ROOT

#: Kinds of activations.
ERF, RELU, POLYNOMIAL = range(3)


@jit
def erf_row(y, s, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    v = 1.0 + s * s
    scale, factor, curve, along = 1.0 / math.sqrt(2.0 * v), TWO_OVER_ROOT / math.sqrt(v), -0.5 / v, -s / v
    for g in range(y.size):
        value[g] = math.erf(scale * y[g])
    for g in range(y.size):
        slope[g] = factor * math.exp(curve * y[g] * y[g])
    for g in range(y.size):
        change[g] = along * y[g] * slope[g]


@jit
def relu_row(y, s, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    size = abs(s)
    for g in range(y.size):
        if size > 1e-150:
            z = y[g] / size
            slope[g] = 0.5 * math.erfc(-ROOT_HALF * z)
            change[g] = INVERSE_ROOT * math.exp(-0.5 * z * z)
        else:
            slope[g] = 0.5 * (1.0 + np.sign(y[g]))
            change[g] = 0.0
        value[g] = y[g] * slope[g] + size * change[g]
        if s < 0.0:
            change[g] = -change[g]


@jit
def polynomial_row(y, s, powers, eta, weights, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    degree = powers.size - 1
    for g in range(y.size):
        value[g], slope[g], change[g] = 0.0, 0.0, 0.0
        for n in range(eta.size):
            x = y[g] + s * eta[n]
            one, first = powers[degree], 0.0
            for j in range(degree - 1, -1, -1):
                first = first * x + one
                one = one * x + powers[j]
            value[g] += weights[n] * one
            slope[g] += weights[n] * first
            change[g] += weights[n] * eta[n] * first


@jit
def smooth_row(kind, y, s, powers, eta, weights, value, slope, change):
    """Write sbar of an activation and its derivatives by y and by s, at the points y."""
    if kind == ERF:
        erf_row(y, s, value, slope, change)
    elif kind == RELU:
        relu_row(y, s, value, slope, change)
    else:
        polynomial_row(y, s, powers, eta, weights, value, slope, change)


(
    PARTICLES,
    DIRECTIONS,
    TEACHERS,
    NODES,
    RATE,
    DECAY,
    HEATED,
    SPHERICAL,
    KIND,
    DEGREE,
    TEACHER_DEGREE,
    REST,
    CENTRED,
    REMAINDERS,
) = range(14)
HEADER = 14


@jit(inline="always")
def rows_of(params):
    """Return the number of rows of the state before the second layer."""
    return int(params[DIRECTIONS]) + int(params[REMAINDERS])


@jit(inline="always")
def form_at(params):
    """Return the place of the first parameter of the form."""
    return HEADER + int(params[PARTICLES]) + 3 * rows_of(params)


@jit
def masses_and_variances(y, params, mass, q):
    """Write m_j = omega_j a_j and q_j = |u_j|^2 + s_j^2."""
    P, rows = int(params[PARTICLES]), rows_of(params)
    for j in range(P):
        mass[j] = params[HEADER + j] * y[rows * P + j]
        q[j] = 0.0
    for c in range(rows):
        for j in range(P):
            q[j] += y[c * P + j] * y[c * P + j]


@jit
def finish(y, dy, params, along):
    """Turn pulls into velocities, add decay and temperature, and stay on the sphere if asked (F2); `along` (P,) is scratch."""
    P, rows = int(params[PARTICLES]), rows_of(params)
    decay, rate = params[DECAY], params[RATE]
    speed, heat, plain = HEADER + P, HEADER + P + rows, HEADER + P + 2 * rows
    for c in range(rows):
        for j in range(P):
            dy[c * P + j] = -params[speed + c] * y[rows * P + j] * dy[c * P + j] - decay * y[c * P + j]
    if params[HEATED] != 0.0:
        for c in range(int(params[DIRECTIONS]), rows):
            for j in range(P):
                dy[c * P + j] += params[heat + c] / y[c * P + j]
    if params[SPHERICAL] != 0.0:
        for j in range(P):
            along[j] = 0.0
            q = 0.0
            for c in range(rows):
                along[j] += params[plain + c] * y[c * P + j] * dy[c * P + j]
                q += params[plain + c] * y[c * P + j] * y[c * P + j]
            along[j] /= q
        for c in range(rows):
            for j in range(P):
                dy[c * P + j] -= along[j] * y[c * P + j]
    for j in range(rows * P, (rows + 1) * P):
        dy[j] *= -rate


@jit
def half_of(mass, values, P):
    """Return half the sum of mass times values."""
    total = 0.0
    for j in range(P):
        total += mass[j] * values[j]
    return 0.5 * total


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
