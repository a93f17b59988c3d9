"""Velocity, Jacobian and observables of the reduced flow for general starts (compiled part; the mathematics is in `equations_reduced`)."""

import math

from numba import types

from ...compiled.jit import A1, A2, RHS_SIGNATURE, STRUCTURED_SIGNATURE, callback, jit
from .equations_blocks import faint, summarise_faint
from .equations_general_algebra import (
    basis_row,
    dense_tables,
    dot,
    fill,
    matrices,
    orthonormalise,
    quadratic,
    rows_of_basis,
    subtract,
)
from .equations_reduced import (
    OUTSIDE,
    WEAK,
    log_bottom,
    sizes,
    summarise,
    vectors,
    weigh,
    write_jacobian,
    write_velocity,
)


@jit
def resolve(s, y, params, work):
    """Write everything that the state determines: Q, H, and pi and gamma, the diagonals of Pi and Gamma."""
    weigh(s, y, params, work)
    m, rho, r, _ = sizes(params)
    v = vectors(params, work)
    pi, gamma = v.pi, v.gamma
    w = matrices(params, work)
    Q, Y, H = w.Q, w.Y, w.H
    if r > rho:
        rows_of_basis(params, work)
    fill(params, work)
    orthonormalise(Q, w.X[0])
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
    rho = sizes(params)[1]
    w = matrices(params, work)
    Q, X, S = w.Q, w.X, w.S
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
    m, rho, _, _ = sizes(params)
    gamma = vectors(params, work).gamma
    w = matrices(params, work)
    Q, X = w.Q, w.X
    if not excess(params, work):
        return
    gamma[:] = 0.0
    for k in range(rho):
        for n in range(rho):
            for j in range(m):
                gamma[j] += X[k, n] * Q[k, rho + j] * Q[n, rho + j]


@jit
def respond(params, work):
    """Write Phi = Q1^T kappa Q1, Pi, dtau and mixed; return the squared norm of the complement's block over g_0^2."""
    m, rho, r, _ = sizes(params)
    v = vectors(params, work)
    root, dtau, mixed, kappa, gamma, spare = v.root, v.dtau, v.mixed, v.kappa, v.gamma, v.spare
    w = matrices(params, work)
    Q, Y, H, Phi, X, Pi = w.Q, w.Y, w.H, w.Phi, w.X, w.Pi
    gram(Q, rho, kappa, spare, Phi)
    for i in range(r):
        for n in range(i + 1):
            value = dot(H[i], H[n])
            if r > rho:
                value -= dot(Y[i], Y[n])
                value += 1.0 if i == n else 0.0
            Pi[i, n] = Pi[n, i] = value
    for i in range(r):
        dtau[i] = 2.0 * root[i] ** 2 * Pi[i, i]
        for n in range(r):
            dtau[i] -= 2.0 * (root[n] * Pi[n, i]) ** 2
        mixed[i] = quadratic(Phi, H[i])
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
    return max(outside, 0.0)


@callback(RHS_SIGNATURE)
def flow(s, y, dy, params, work):
    resolve(s, y, params, work)
    write_velocity(s, y, dy, params, work)


@callback(STRUCTURED_SIGNATURE)
def jacobian(s, y, D, U, V, params, work):
    resolve(s, y, params, work)
    far = respond(params, work)
    write_jacobian(s, y, D, U, V, far, params, work)


@jit
def student_rows(params, work):
    """Overwrite Pi by Z_TT / (sqrt(l+g) sqrt(l+g)) = 1 - Pi, weak rows formed directly, and `share`."""
    m, rho, r, _ = sizes(params)
    v = vectors(params, work)
    logd, share, thin, spare = v.logd, v.share, v.thin, v.spare
    w = matrices(params, work)
    alpha, Q, Y, H, Pi = w.alpha, w.Q, w.Y, w.H, w.Pi
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
    for i in range(r):
        share[i] = Pi[i, i]


@jit
def write_matrix(s, y, params, work, out):
    """Write Z of the resolved state."""
    m, rho, r, _ = sizes(params)
    v = vectors(params, work)
    root, kappa, spare = v.root, v.kappa, v.spare
    bottom = math.exp(log_bottom(s, y, params)) if params[OUTSIDE] == 1.0 else 0.0
    out[:, :] = 0.0
    w = matrices(params, work)
    Q, H, Pi = w.Q, w.H, w.Pi
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


@jit
def between(params, work):
    """Return the sum of squares of the entries of Z between different rows, from `root` and the overwritten Pi."""
    r = sizes(params)[2]
    root = vectors(params, work).root
    Pi = matrices(params, work).Pi
    total = 0.0
    for i in range(r):
        for k in range(i):
            total += 2.0 * (root[i] * root[k] * Pi[i, k]) ** 2
    return total


@jit(types.void(A1, A2, A1, A1, A2, A2))
def observe(times, states, params, work, out, Z):
    """Write the observables of all states, one row each.

    Z, shape (r + m, r + m) or empty, receives the matrix of the last state, in the basis of the rows and of the columns outside
    the teacher's space.
    """
    for n in range(times.size):
        resolve(times[n], states[n], params, work)
        far = respond(params, work)
        student_rows(params, work)
        summarise(times[n], states[n], between(params, work), far, params, work, out[n])
        top, bottom = faint(times[n], states[n], params, work)
        if top < 0.0:
            summarise_faint(bottom, between(params, work), far, params, work, out[n])
    if Z.size > 0:
        weigh(times[times.size - 1], states[times.size - 1], params, work)
        write_matrix(times[times.size - 1], states[times.size - 1], params, work, Z)
