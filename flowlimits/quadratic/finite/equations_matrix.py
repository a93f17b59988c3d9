"""Velocity of the quadratic flow of small matrices, (Q5) (compiled part)."""

from ...compiled.jit import RHS_SIGNATURE, callback


@callback(RHS_SIGNATURE)
def matrix_flow(s, y, dy, params, work):
    """Write dV/ds and dphi/ds; params: rows n, columns m, decay, square, trace of the teacher, eigenvalues of the rows (n)."""
    n, m = int(params[0]), int(params[1])
    V, dV = y[: n * m].reshape(n, m), dy[: n * m].reshape(n, m)
    S = work[: m * m].reshape(m, m)
    S[:, :] = 0.0
    for i in range(n):
        for j in range(m):
            factor = V[i, j]
            for k in range(j, m):
                S[j, k] += factor * V[i, k]
    trace = 0.0
    for j in range(m):
        trace += S[j, j]
        for k in range(j):
            S[j, k] = S[k, j]
    theta = trace - params[4] if params[3] == 1.0 else 0.0
    for i in range(n):
        own = 2.0 * params[5 + i] - theta - params[2]
        for k in range(m):
            dV[i, k] = own * V[i, k]
        for j in range(m):
            factor = 2.0 * V[i, j]
            for k in range(m):
                dV[i, k] -= factor * S[j, k]
    dy[n * m] = theta
