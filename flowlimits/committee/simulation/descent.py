"""Population gradient descent with a finite step, in the coordinates of the span of student and teacher (compiled part).

Inputs with a covariance have coordinates of this kind in each of its eigenspaces, with the eigenvalue as their `speed`.
"""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, RHS_SIGNATURE, call_rhs, callback, jit
from ..equations.layout import (
    SECOND_LAYER_RATE,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    TRAINED,
    WEIGHT_DECAY,
    fill_covariance,
    fill_outputs,
    views,
)
from ..equations.moments import of_erf, of_polynomial, of_relu


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
    C, A, B, K, _, _, w, a, _, c = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    of_polynomial(params, C, A, B, K, c)
    write_pull(params, A, B, K, w, a, out)


@callback(RHS_SIGNATURE)
def pull_erf(t, y, out, params, work):
    """Pull on the weights for erf."""
    C, A, B, K, _, _, w, a, _, _ = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    of_erf(C, A, B, K)
    write_pull(params, A, B, K, w, a, out)


@callback(RHS_SIGNATURE)
def pull_relu(t, y, out, params, work):
    """Pull on the weights for ReLU."""
    C, A, B, K, _, _, w, a, _, _ = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
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
