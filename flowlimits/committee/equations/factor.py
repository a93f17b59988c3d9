r"""Weights in coordinates, a factor of the overlaps instead of the overlaps: gradient flow and gradient descent (compiled part).

Weights stay in the span of the start and the teacher, so that rows F (p, m) and F_star (k, m) of coordinates in an orthonormal
basis of it, with Q = F F^T, R = F F_star^T, T = F_star F_star^T, obey the flow of the weights,

.. math:: \dot F = G \, [F; F_\star], \qquad G_{iu} = -a_i \Bigl[w_u B_{iu} + \delta_{iu} \sum_v w_v A_{iv}\Bigr].

The overlaps are feasible by construction, and units that differ by less than the root of the precision stay apart
(docs/committee.md, C13).

State ``y``: F by rows, then the second layer if it is trained.  Parameters: those of the overlaps, then F_star by rows.

Descent with a finite step moves the same coordinates, and takes G from a callback.  Inputs with a covariance have coordinates of this kind in
each of its eigenspaces, with the eigenvalue as their `speed`.
"""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, RHS_SIGNATURE, call_rhs, callback, jit
from .layout import (
    HEADER,
    SECOND_LAYER_RATE,
    SPHERICAL,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    TRAINED,
    WEIGHT_DECAY,
    opened,
    views,
)
from .moments import of_erf, of_polynomial, of_relu


@jit
def columns(y, params):
    """Return the number of coordinates, m."""
    p = int(params[STUDENT_WIDTH])
    return (len(y) - (p if params[TRAINED] != 0.0 else 0)) // p


@jit
def product(F, i, G, j, m):
    """Return the product of row i of F with row j of G, both flat with m columns."""
    total = 0.0
    for c in range(m):
        total += F[i * m + c] * G[j * m + c]
    return total


@jit
def prepare(y, params, m, C, w, a):
    """Write the covariance of the fields, the weights of the error and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    fixed = params[len(params) - k * m :]
    for i in range(p):
        for j in range(i, p):
            C[i, j] = product(y, i, y, j, m)
            C[j, i] = C[i, j]
        for r in range(k):
            C[i, p + r] = product(y, i, fixed, r, m)
            C[p + r, i] = C[i, p + r]
        a[i] = y[p * m + i] if params[TRAINED] != 0.0 else params[HEADER + k + i]
        w[i] = a[i] / p
    for r in range(k):
        w[p + r] = -params[HEADER + r] / k
        for s in range(k):
            C[p + r, p + s] = params[HEADER + k + p + r * k + s]


@jit
def assemble(y, dy, params, m, A, B, K, w, a):
    """Write the velocities from the moments."""
    p, n = A.shape
    k = n - p
    fixed = params[len(params) - k * m :]
    sphere, decay = params[SPHERICAL] != 0.0, params[WEIGHT_DECAY]
    for i in range(p):
        own = 0.0
        for u in range(n):
            own -= a[i] * w[u] * A[i, u]
        if not sphere:
            own -= decay
        for c in range(m):
            dy[i * m + c] = own * y[i * m + c]
        for u in range(n):
            factor = a[i] * w[u] * B[i, u]
            for c in range(m):
                dy[i * m + c] -= factor * (y[u * m + c] if u < p else fixed[(u - p) * m + c])
        if sphere:
            along = product(y, i, dy, i, m) / product(y, i, y, i, m)
            for c in range(m):
                dy[i * m + c] -= along * y[i * m + c]
    if params[TRAINED] != 0.0:
        for i in range(p):
            total = 0.0
            for u in range(n):
                total += w[u] * K[i, u]
            dy[p * m + i] = -params[SECOND_LAYER_RATE] * total


@callback(RHS_SIGNATURE)
def rhs_polynomial(t, y, dy, params, work):
    """Velocities for polynomial activations."""
    m = columns(y, params)
    C, A, B, K, _, _, w, a, _, c = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    prepare(y, params, m, C, w, a)
    of_polynomial(params, C, A, B, K, c)
    assemble(y, dy, params, m, A, B, K, w, a)


@callback(RHS_SIGNATURE)
def rhs_erf(t, y, dy, params, work):
    """Velocities for erf."""
    m = columns(y, params)
    C, A, B, K, _, _, w, a, _, _ = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    prepare(y, params, m, C, w, a)
    of_erf(C, A, B, K)
    assemble(y, dy, params, m, A, B, K, w, a)


@callback(RHS_SIGNATURE)
def rhs_relu(t, y, dy, params, work):
    """Velocities for ReLU."""
    m = columns(y, params)
    C, A, B, K, _, _, w, a, _, _ = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    prepare(y, params, m, C, w, a)
    of_relu(C, A, B, K)
    assemble(y, dy, params, m, A, B, K, w, a)


@jit
def write_pull(params, A, B, K, w, a, out):
    """Write G, with dW_i/dt = sum of G_iu W_u over all units, and da/dt."""
    p, n = A.shape
    for i in range(p):
        own, correlation = 0.0, 0.0
        for u in range(n):
            own += w[u] * A[i, u]
            correlation += w[u] * K[i, u]
            out[i * n + u] = -a[i] * w[u] * B[i, u]
        out[i * n + i] -= a[i] * own + params[WEIGHT_DECAY]
        out[p * n + i] = -params[SECOND_LAYER_RATE] * correlation


@callback(RHS_SIGNATURE)
def pull_polynomial(t, y, out, params, work):
    """Pull on the weights for polynomial activations."""
    C, A, B, K, _, _, w, a, _, c = opened(y, params, work)
    of_polynomial(params, C, A, B, K, c)
    write_pull(params, A, B, K, w, a, out)


@callback(RHS_SIGNATURE)
def pull_erf(t, y, out, params, work):
    """Pull on the weights for erf."""
    C, A, B, K, _, _, w, a, _, _ = opened(y, params, work)
    of_erf(C, A, B, K)
    write_pull(params, A, B, K, w, a, out)


@callback(RHS_SIGNATURE)
def pull_relu(t, y, out, params, work):
    """Pull on the weights for ReLU."""
    C, A, B, K, _, _, w, a, _, _ = opened(y, params, work)
    of_relu(C, A, B, K)
    write_pull(params, A, B, K, w, a, out)


@jit(types.void(A2, A2, A1, A1, A1, A1))
def overlaps(W, W_star, a, speeds, params, y):
    """Write the state y, the covariances of the fields, of coordinates W (p, m), W_star (k, m) and second layer a (p,)."""
    p, k = W.shape[0], W_star.shape[0]
    at = 0
    for i in range(p):
        for j in range(i, p):
            total = 0.0
            for c in range(W.shape[1]):
                total += speeds[c] * (W[i, c] * W[j, c])
            y[at] = total
            at += 1
    for i in range(p):
        for r in range(k):
            total = 0.0
            for c in range(W.shape[1]):
                total += speeds[c] * (W[i, c] * W_star[r, c])
            y[at] = total
            at += 1
    if params[TRAINED] != 0.0:
        for i in range(p):
            y[at + i] = a[i]


@jit(
    types.int64(
        ADDRESS, A2, A2, A1, A1, A1, types.float64, A1, types.int64, types.float64, types.boolean, A1, A1, A1, A2
    )
)  # fmt: skip
def descend(address, W, W_star, a, norms, speeds, decay, y, count, step, spherical, params, work, pull, change):
    """Take `count` steps of gradient descent of length `step`, with a `decay` beyond that of the pull; return how many were taken before a weight left the finite range."""
    p, k = W.shape[0], W_star.shape[0]
    n, m = p + k, W.shape[1]
    for done in range(count):
        overlaps(W, W_star, a, speeds, params, y)
        call_rhs(address, 0.0, y, pull, params, work)
        for i in range(p):
            for c in range(m):
                change[i, c] = 0.0
            for u in range(n):
                for c in range(m):
                    change[i, c] += pull[i * n + u] * (W[u, c] if u < p else W_star[u - p, c])
        for i in range(p):
            a[i] += step * pull[p * n + i]
            norm = 0.0
            for c in range(m):
                W[i, c] += step * (speeds[c] * change[i, c] - decay * W[i, c])
                norm += W[i, c] * W[i, c]
            if not np.isfinite(norm):
                return done
            if spherical:
                for c in range(m):
                    W[i, c] *= np.sqrt(norms[i] / norm)
    return count
