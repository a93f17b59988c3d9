"""Observables of the reduced quadratic flow (compiled part; the mathematics is in `flow_reduced`).

Risk and misalignment are sums of squares of the blocks of Z - Z* and of its part orthogonal to Z*, (Q4) and (Q9); rows in which the
student is still weak are formed directly instead of as a difference from the saturated value.
"""

import math

from numba import types

from .._jit import A1, A2, jit
from .flow_reduced import (
    DIAGONAL,
    HEADER,
    OUTSIDE,
    SQUARE,
    TEACHER_SQUARES,
    UNSEEN_SQUARES,
    basis_row,
    dense_tables,
    dot,
    gap,
    matrices,
    sizes,
    tables,
    vectors,
)
from .flow_velocity import excess_trace, resolve, response

RISK, OVERLAP, MISALIGNMENT, TRACE, MULTIPLIER = range(5)
OBSERVABLES = ("risk", "overlap", "misalignment", "trace", "multiplier")

#: Below this share of its saturated value a row is formed directly.
WEAK = 0.3


@jit
def student_rows(params, work):
    """Overwrite Pi by Z_TT / (sqrt(l+g) sqrt(l+g)) = 1 - Pi, weak rows formed directly (dense problems)."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    c, table = dense_tables(params)
    for i in range(r):
        for n in range(r):
            if r > rho:
                Pi[i, n] = dot(Y[i], Y[n]) - dot(H[i], H[n])
            else:
                Pi[i, n] = (1.0 if i == n else 0.0) - Pi[i, n]
    for i in range(r):
        if Pi[i, i] > WEAK or logd[i] > 0.0:
            continue
        # (P Q1)_i . H_n; alpha is free by now and holds P Q1.
        basis_row(i, rho, c, table, spare)
        for j in range(m):
            spare[j] *= 2.0 * math.exp(0.5 * logd[i]) * thin[j]
        for k in range(rho):
            alpha[k] = dot(spare, Q[k, rho:])
        for n in range(r):
            Pi[i, n] = Pi[n, i] = dot(alpha, H[n])


@jit
def student_row_diagonal(i, logd, thin, pi):
    """Return 1 - pi_i of a diagonal problem without a difference."""
    strength = 4.0 * math.exp(logd[i]) * thin[i] ** 2
    return strength * pi[i] if strength < 1.0 else 1.0 - pi[i]


@jit
def observe(s, y, params, work, out):
    """Write risk, overlap, misalignment, trace of Z, multiplier; overlaps are NaN where Z or Z* vanishes."""
    m, rho, r, q = sizes(params)
    l, group, logc, loga = tables(params)
    resolve(s, y, params, work)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    theta = excess_trace(s, y, params, work)
    bottom = math.exp(y[1]) if params[OUTSIDE] == 1.0 else 0.0
    cross, far = response(params, work)
    diagonal = params[DIAGONAL] == 1.0
    if not diagonal:
        student_rows(params, work)
    Pi = work[:0].reshape(0, 0) if diagonal else matrices(params, work)[10]

    a = params[TEACHER_SQUARES]
    between = 2.0 * bottom * cross + bottom**2 * far
    for i in range(r):
        for n in range(i) if not diagonal else range(0):
            between += 2.0 * (root[i] * root[n] * Pi[i, n]) ** 2
    b = trace = squares = 0.0
    for i in range(r):
        z = root[i] ** 2 * (student_row_diagonal(i, logd, thin, pi) if diagonal else Pi[i, i])
        trace += z
        b += l[int(group[i])] * z
        squares += z * z
    scale = b / a if a > 0.0 else 0.0
    difference = params[UNSEEN_SQUARES]
    along = -params[UNSEEN_SQUARES]
    aside = scale**2 * params[UNSEEN_SQUARES]
    for i in range(r):
        k = int(group[i])
        share = student_row_diagonal(i, logd, thin, pi) if diagonal else Pi[i, i]
        # Weak rows are far from the teacher, strong ones near: each difference is formed where it does not cancel.
        delta = root[i] ** 2 * share - l[k] if share < WEAK else gap(k, l, s, y, params) - root[i] ** 2 * pi[i]
        difference += delta**2
        along += l[k] * delta
    shift = along / a if a > 0.0 else 0.0
    for i in range(r):
        k = int(group[i])
        share = student_row_diagonal(i, logd, thin, pi) if diagonal else Pi[i, i]
        if scale < 0.5:
            aside += (root[i] ** 2 * share - scale * l[k]) ** 2
        else:
            delta = root[i] ** 2 * share - l[k] if share < WEAK else gap(k, l, s, y, params) - root[i] ** 2 * pi[i]
            aside += (delta - shift * l[k]) ** 2
    for j in range(m):
        trace += bottom * kappa[j] * gamma[j]
    geometric = math.sqrt(a * (squares + between))
    out[RISK] = difference + between + (0.5 * theta**2 if params[SQUARE] == 1.0 else 0.0)
    out[OVERLAP] = b / geometric if geometric > 0.0 else math.nan
    out[MISALIGNMENT] = a * (aside + between) / (geometric * (geometric + b)) if geometric > 0.0 else math.nan
    out[TRACE] = trace
    out[MULTIPLIER] = y[0]


@jit(types.void(A1, A2, A1, A1, A2))
def observe_all(clock, states, params, work, out):
    """Write the observables of all states, one row each."""
    for n in range(clock.size):
        observe(clock[n], states[n], params, work, out[n])


@jit(types.void(types.float64, A1, A1, A1, A1))
def modes(s, y, params, work, out):
    """Write the nonzero eigenvalues of Z of a diagonal problem, one per column: each block has rank one."""
    m, rho, r, q = sizes(params)
    resolve(s, y, params, work)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    bottom = math.exp(y[1]) if params[OUTSIDE] == 1.0 else 0.0
    for j in range(m):
        out[j] = bottom * kappa[j] * gamma[j]
        if j < r:
            out[j] += root[j] ** 2 * student_row_diagonal(j, logd, thin, pi)


@jit(types.void(types.float64, A1, A1, A1, A2))
def matrix(s, y, params, work, out):
    """Write Z, shape (r + m, r + m), in the basis of the rows and of the columns outside the teacher's space."""
    m, rho, r, q = sizes(params)
    resolve(s, y, params, work)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    bottom = math.exp(y[1]) if params[OUTSIDE] == 1.0 else 0.0
    out[:, :] = 0.0
    if params[DIAGONAL] == 1.0:
        for j in range(m):
            out[r + j, r + j] = bottom * kappa[j] * gamma[j]
        for i in range(r):
            out[i, i] = root[i] ** 2 * student_row_diagonal(i, logd, thin, pi)
            strength = 2.0 * math.exp(0.5 * logd[i]) * thin[i] * pi[i]
            out[i, r + i] = out[r + i, i] = root[i] * strength * math.sqrt(bottom * kappa[i])
        return
    response(params, work)
    student_rows(params, work)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    for i in range(r):
        for n in range(r):
            out[i, n] = root[i] * Pi[i, n] * root[n]
    for j in range(m):
        spare[j] = math.sqrt(bottom * kappa[j])
        out[r + j, r + j] = spare[j] ** 2
    for k in range(rho):
        for j in range(m):
            for n in range(m):
                out[r + j, r + n] -= spare[j] * Q[k, rho + j] * Q[k, rho + n] * spare[n]
        for i in range(r):
            for j in range(m):
                value = root[i] * H[i, k] * Q[k, rho + j] * spare[j]
                out[i, r + j] += value
                out[r + j, i] += value
