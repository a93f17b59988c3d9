"""Velocity of the quadratic flow of matrices, (Q5), by loops for small ones (compiled part).

Parameters: rows n, columns m, decay, square, trace of the teacher, eigenvalues of the rows (n).  The scratch holds S = V^T V.
"""

from ...compiled.jit import RHS_SIGNATURE, callback, jit


@jit
def shapes(y, dy, params, work):
    """Return views of V, dV, both (n, m), and S (m, m)."""
    n, m = int(params[0]), int(params[1])
    return y[: n * m].reshape(n, m), dy[: n * m].reshape(n, m), work[: m * m].reshape(m, m)


@jit
def pull(V, S, dV, dy, params):
    """Write the part of dV/ds that acts on each row alone, and dphi/ds; S is V^T V."""
    trace = 0.0
    for j in range(V.shape[1]):
        trace += S[j, j]
    theta = trace - params[4] if params[3] == 1.0 else 0.0
    for i in range(V.shape[0]):
        own = 2.0 * params[5 + i] - theta - params[2]
        for k in range(V.shape[1]):
            dV[i, k] = own * V[i, k]
    dy[V.size] = theta


@callback(RHS_SIGNATURE)
def matrix_flow(s, y, dy, params, work):
    """Write dV/ds and dphi/ds."""
    V, dV, S = shapes(y, dy, params, work)
    n, m = V.shape
    S[:, :] = 0.0
    for i in range(n):
        for j in range(m):
            factor = V[i, j]
            for k in range(j, m):
                S[j, k] += factor * V[i, k]
    for j in range(m):
        for k in range(j):
            S[j, k] = S[k, j]
    pull(V, S, dV, dy, params)
    for i in range(n):
        for j in range(m):
            factor = 2.0 * V[i, j]
            for k in range(m):
                dV[i, k] -= factor * S[j, k]
