"""Velocity, Jacobian and observables of the reduced quadratic flow (compiled part; the mathematics is in `flow_reduced`)."""

import math

import numpy as np
from numba import types

from .._jit import A1, A2, RHS_SIGNATURE, STRUCTURED_SIGNATURE, callback, jit
from .flow_reduced import (
    DECAY,
    DIAGONAL,
    LOGARITHMIC,
    OUTSIDE,
    SQUARE,
    TEACHER_SQUARES,
    UNIT,
    UNSEEN,
    UNSEEN_SQUARES,
    dense_tables,
    dot,
    fill,
    gap,
    matrices,
    orthonormalise,
    rows_of_basis,
    sizes,
    subtract,
    tables,
    vectors,
    weigh,
)


@jit
def resolve_diagonal(params, work):
    """Write pi and gamma where row i meets column i only."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    gamma[:] = 1.0
    for i in range(r):
        pi[i] = 1.0 / (1.0 + 4.0 * math.exp(logd[i]) * thin[i] ** 2)
        gamma[i] = pi[i]


@jit
def resolve_dense(params, work):
    """Write Q, H, pi and gamma: the diagonals of Pi and Gamma."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    if r > rho:
        rows_of_basis(params, work)
    fill(params, work)
    orthonormalise(Q)
    for i in range(r):
        total = 0.0
        for k in range(rho):
            if r > rho:
                value = 0.0
                for n in range(rho):
                    value += Y[i, n] * Q[k, n]
            else:
                value = Q[k, i]
            H[i, k] = value
            total += value**2
        pi[i] = total
        if r > rho:
            for k in range(rho):
                pi[i] -= Y[i, k] ** 2
            pi[i] += 1.0
    gamma[:] = 1.0
    for k in range(rho):
        for j in range(m):
            gamma[j] -= Q[k, rho + j] ** 2
    if m == rho and params[OUTSIDE] == 1.0:
        refine_gamma(params, work)


@jit
def gram(Q, rho, weights, spare, out):
    """out = Q1^T diag(weights) Q1 for the columns Q1 of the lower part of the orthonormal matrix."""
    for k in range(rho):
        for j in range(weights.size):
            spare[j] = Q[k, rho + j] * weights[j]
        for n in range(k + 1):
            out[k, n] = out[n, k] = dot(spare, Q[n, rho:])


@jit
def excess(params, work):
    """Write X = (Q1^T Q1)^-1 - 1 = (1 - S)^-1 S with S = Q2^T Q2; return False where S is not small."""
    m, rho, r, q = sizes(params)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    trace = 0.0
    for k in range(rho):
        trace += dot(Q[k, :rho], Q[k, :rho])
    if not trace < 0.5:
        return False
    for k in range(rho):
        for n in range(rho):
            X[k, n] = dot(Q[k, :rho], Q[n, :rho])
    # Cholesky factor of 1 - S, then both triangular solves: S is symmetric, so its rows are its columns.
    for k in range(rho):
        for n in range(k + 1):
            value = (1.0 if k == n else 0.0) - X[k, n] - dot(S[k, :n], S[n, :n])
            S[k, n] = math.sqrt(value) if k == n else value / S[n, n]
    for row in range(rho):
        for k in range(rho):
            X[row, k] = (X[row, k] - dot(S[k, :k], X[row, :k])) / S[k, k]
        for k in range(rho - 1, -1, -1):
            X[row, k] /= S[k, k]
            subtract(X[row, :k], X[row, k], S[k, :k])
    return True


@jit
def refine_gamma(params, work):
    """As many students as teachers: Gamma vanishes on the range of Q1, and is formed without the difference."""
    m, rho, r, q = sizes(params)
    gamma = vectors(params, work)[6]
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    if not excess(params, work):
        return
    gamma[:] = 0.0
    for k in range(rho):
        for n in range(rho):
            for j in range(m):
                gamma[j] += X[k, n] * Q[k, rho + j] * Q[n, rho + j]


@jit
def resolve(s, y, params, work):
    """Write everything that the state determines."""
    weigh(s, y, params, work)
    if params[DIAGONAL] == 1.0:
        resolve_diagonal(params, work)
    else:
        resolve_dense(params, work)


@jit
def excess_trace(s, y, params, work):
    """Return tr(Z - Z*)."""
    m, rho, r, q = sizes(params)
    l, group, logc, loga = tables(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    total = -params[UNSEEN]
    for i in range(r):
        total += gap(int(group[i]), l, s, y, params) - root[i] ** 2 * pi[i]
    outside = 0.0
    for j in range(m):
        outside += kappa[j] * gamma[j]
    return total + math.exp(y[1]) * outside


@jit(types.void(types.float64, A1, A1, A1, A1))
def velocity(s, y, dy, params, work):
    """Write the velocity of (phi, log g_0, eta) on the clock s."""
    l = tables(params)[0]
    resolve(s, y, params, work)
    stretch = 1.0 + s / params[UNIT]
    theta = excess_trace(s, y, params, work) if params[SQUARE] == 1.0 else 0.0
    psi = theta + params[DECAY]
    dy[0] = theta
    dy[1] = -4.0 * math.exp(y[1]) - 2.0 * psi if params[OUTSIDE] == 1.0 else 0.0
    for k in range(l.size):
        g = gap(k, l, s, y, params)
        if params[LOGARITHMIC] == 1.0:
            dy[2 + k] = -4.0 * g - 2.0 * psi
        else:
            dy[2 + k] = g / params[UNIT] - stretch * (l[k] + g) * (4.0 * g + 2.0 * psi)


@callback(RHS_SIGNATURE)
def flow(s, y, dy, params, work):
    velocity(s, y, dy, params, work)


@jit
def diagonal_response(params, work):
    """Write d theta / d log D_i; return (|Z_T0|^2 + |Z_00|^2)/g_0^2 with g_0 |ΠP sqrt(kappa)|^2 split off: (cross, outside)."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    cross = outside = 0.0
    for i in range(r):
        share = pi[i] * (1.0 - pi[i])
        dtau[i] = 2.0 * root[i] ** 2 * share
        cross += root[i] ** 2 * kappa[i] * share
    for j in range(m):
        outside += (kappa[j] * gamma[j]) ** 2
    return cross, outside


@jit
def dense_response(params, work):
    """Write Phi = Q1^T kappa Q1, Pi, and d theta / d log D_i apart from the complement; return (cross, outside)."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    gram(Q, rho, kappa, spare, Phi)
    for i in range(r):
        for n in range(i + 1):
            value = dot(H[i], H[n])
            if r > rho:
                value -= dot(Y[i], Y[n])
                value += 1.0 if i == n else 0.0
            Pi[i, n] = Pi[n, i] = value
    cross = 0.0
    for i in range(r):
        dtau[i] = 2.0 * root[i] ** 2 * Pi[i, i]
        for n in range(r):
            dtau[i] -= 2.0 * (root[n] * Pi[n, i]) ** 2
        cross += root[i] ** 2 * quadratic(Phi, H[i])
    outside = 0.0
    if m == rho and excess(params, work):
        for i in range(rho):
            for k in range(rho):
                left = right = 0.0
                for n in range(rho):
                    left += Phi[i, n] * X[n, k]
                    right += X[i, n] * Phi[n, k]
                outside += left * right
    else:
        for j in range(m):
            outside += kappa[j] ** 2 * (2.0 * gamma[j] - 1.0)
        for k in range(rho):
            outside += dot(Phi[k], Phi[k])
    return cross, max(outside, 0.0)


@jit
def quadratic(A, x):
    """Return x^T A x."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * dot(A[i], x)
    return total


@jit
def response(params, work):
    """Write d theta / d log D_i (complement apart); return (cross, outside) with |Z_T0|^2 = g_0 cross, |Z_00|^2 = g_0^2 outside."""
    if params[DIAGONAL] == 1.0:
        return diagonal_response(params, work)
    return dense_response(params, work)


@jit
def complement_terms(params, work, bottom):
    """Add to d theta / d log D_i what comes from the complement: -2 (Pi P f P^T Pi)_ii, with f = bottom kappa."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    if params[DIAGONAL] == 1.0:
        for i in range(r):
            dtau[i] -= 2.0 * bottom * kappa[i] * pi[i] * (1.0 - pi[i])
        return
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    for i in range(r):
        dtau[i] -= 2.0 * bottom * quadratic(Phi, H[i])


@jit(types.void(types.float64, A1, A1, A2, A2, A1, A1))
def structured_jacobian(s, y, D, U, V, params, work):
    """Write the Jacobian diag(D) + U V^T of `velocity`: rank one, since theta alone couples the scalars."""
    l, group, logc, loga = tables(params)
    m, rho, r, q = sizes(params)
    resolve(s, y, params, work)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    stretch = 1.0 + s / params[UNIT]
    outside = params[OUTSIDE] == 1.0
    bottom = math.exp(y[1]) if outside else 0.0
    square = params[SQUARE] == 1.0
    theta = excess_trace(s, y, params, work) if square else 0.0
    psi = theta + params[DECAY]
    V[:, 0] = 0.0
    if square:
        cross, far = response(params, work)
        complement_terms(params, work, bottom)
        swing = -(cross + bottom * far)
        trace = 0.0
        for j in range(m):
            trace += bottom * kappa[j] * gamma[j]
        V[0, 0] = -2.0 * swing - 2.0 * trace
        if outside:
            V[1, 0] = -swing
        for i in range(r):
            k = int(group[i])
            V[0, 0] -= dtau[i]
            inner = root[i] ** 2 if params[LOGARITHMIC] == 1.0 else 1.0 / stretch
            V[2 + k, 0] += (1.0 - pi[i] - 0.5 * dtau[i] / root[i] ** 2) * inner
    D[0] = 0.0
    U[0, 0] = 1.0
    D[1] = -4.0 * bottom
    U[1, 0] = -2.0 if outside else 0.0
    for k in range(q):
        g = gap(k, l, s, y, params)
        if params[LOGARITHMIC] == 1.0:
            D[2 + k] = -4.0 * (l[k] + g)
            U[2 + k, 0] = -2.0
        else:
            D[2 + k] = 1.0 / (params[UNIT] * stretch) - 4.0 * (l[k] + g) - 4.0 * g - 2.0 * psi
            U[2 + k, 0] = -2.0 * stretch * (l[k] + g)


@callback(STRUCTURED_SIGNATURE)
def flow_jacobian(s, y, D, U, V, params, work):
    structured_jacobian(s, y, D, U, V, params, work)
