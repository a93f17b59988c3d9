r"""Velocities of the quadratic flow of matrices, (Q5) and (Q26), by loops for small ones and by BLAS (compiled part).

Inputs of unit covariance.  Parameters: rows n, columns m, decay, square, trace of the teacher, eigenvalues of the rows (n).  The scratch
holds S = V^T V, and for BLAS V S.

Inputs with a covariance, in its eigenbasis.  With :math:`V = W^\top/\sqrt{pd}` and :math:`V_\star` in rows of eigenvalues :math:`c_i`, s = 2 t and the products
:math:`H = V^\top S V`, :math:`A = V_\star^\top S V`, :math:`\theta = \operatorname{tr} S (Z - Z_\star)` (0 if centred),

.. math:: \dot V_i = c_i\,\bigl(2 V_{\star i} A - V_i (2 H + \theta)\bigr) - \text{decay}\; V_i .

Parameters: rows n, columns m, teachers k, decay, square, tr S Z*, eigenvalues c (n), V* (n, k).

Rows meet in H and A alone.  In the eigenbasis O of H, X = V O, the Jacobian is diagonal, :math:`-c_i (2\Lambda_j + \theta)`, but for the rank
m (m + 1)/2 + m k of their changes: late times, where rates lie between 1 and 1/t, cost solutions of so many rows instead of n m.
"""

import numpy as np

from ...compiled.jit import (
    RHS_SIGNATURE,
    STRUCTURE_SIGNATURE,
    callback,
    jit,
)
from ...ode.implicit.jacobian import decompose_structured, parts, solvers, woodbury


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


HEADER = 6


@callback(RHS_SIGNATURE)
def matrix_flow_blas(s, y, dy, params, work):
    """Write dV/ds and dphi/ds."""
    V, dV, S = shapes(y, dy, params, work)
    n, m = V.shape
    product = work[m * m : m * m + n * m].reshape(n, m)
    np.dot(V.T, V, S)
    np.dot(V, S, product)
    pull(V, S, dV, dy, params)
    for i in range(n):
        for k in range(m):
            dV[i, k] -= 2.0 * product[i, k]


@callback(RHS_SIGNATURE)
def group_flow(s, y, dy, params, work):
    """Write dV/ds and dphi/ds."""
    n, m, k = int(params[0]), int(params[1]), int(params[2])
    c = params[HEADER : HEADER + n]
    V_star = params[HEADER + n : HEADER + n + n * k].reshape(n, k)
    V, dV = y[: n * m].reshape(n, m), dy[: n * m].reshape(n, m)
    i0 = n * m
    i1 = i0 + m * m
    i2 = i1 + k * m
    SV, H = work[:i0].reshape(n, m), work[i0:i1].reshape(m, m)
    A, product = work[i1:i2].reshape(k, m), work[i2 : i2 + n * m].reshape(n, m)
    for i in range(n):
        for j in range(m):
            SV[i, j] = c[i] * V[i, j]
    np.dot(V.T, SV, H)
    np.dot(V_star.T, SV, A)
    np.dot(V_star, A, dV)
    np.dot(V, H, product)
    theta = np.trace(H) - params[5] if params[4] == 1.0 else 0.0
    for i in range(n):
        for j in range(m):
            dV[i, j] = c[i] * (2.0 * (dV[i, j] - product[i, j]) - theta * V[i, j]) - params[3] * V[i, j]
    dy[n * m] = theta


@jit
def pair(i, j, m):
    """Return the place of H_ij among the columns of low rank."""
    low, high = min(i, j), max(i, j)
    return low * m - low * (low - 1) // 2 + high - low


@callback(STRUCTURE_SIGNATURE)
def group_jacobian(s, y, data, params, work):
    """Write m, the eigenbasis O (m, m) of H, and the Jacobian of X = V O, phi: a diagonal and a low rank, see `ode.implicit.jacobian.parts`."""
    n, m, k = int(params[0]), int(params[1]), int(params[2])
    c, V = params[HEADER : HEADER + n], y[: n * m].reshape(n, m)
    V_star, square = params[HEADER + n : HEADER + n + n * k].reshape(n, k), params[4] == 1.0
    SV = work[: n * m].reshape(n, m)
    for i in range(n):
        for j in range(m):
            SV[i, j] = c[i] * V[i, j]
    values, O = np.linalg.eigh(np.dot(V.T, SV))
    X = np.dot(V, O)
    theta = np.sum(values) - params[5] if square else 0.0
    data[0] = m
    data[1 : 1 + m * m] = O.ravel()
    pairs = m * (m + 1) // 2
    core = data[1 + m * m :]
    core[:] = 0.0
    D, U, W = parts(core, pairs + m * k)
    for i in range(n):
        for j in range(m):
            at = i * m + j
            D[at] = -c[i] * (2.0 * values[j] + theta) - params[3]
            for r in range(k):
                column = pairs + r * m + j
                U[at, column], W[at, column] = 2.0 * c[i] * V_star[i, r], c[i] * V_star[i, r]
            for q in range(m):
                column = pair(j, q, m)
                U[at, column] -= 2.0 * c[i] * X[i, q]
                W[at, column] = (2.0 if q == j else 1.0) * c[i] * X[i, q]
                if square:
                    U[at, pair(q, q, m)] -= c[i] * X[i, j]
    if square:
        for q in range(m):
            U[n * m, pair(q, q, m)] = 1.0


@jit
def rotate(data, x, row, back):
    """Overwrite V in `x` by V O, or if wanted by V O^T; `row` is scratch."""
    m = int(data[0])
    for i in range(x.size // m):
        for j in range(m):
            row[j] = 0.0
            for q in range(m):
                row[j] += x[i * m + q] * data[1 + (j * m + q if back else q * m + j)]
        for j in range(m):
            x[i * m + j] = row[j]


@jit
def factor_group(shift, h, data, factors, pivots):
    """Decompose shift - h J; 1 if that is regular, else 0."""
    m = int(data[0])
    return decompose_structured(shift, h, data[1 + m * m :], factors[: factors.size - m], pivots)


@jit
def solve_group(h, data, factors, pivots, x):
    """Overwrite `x` by the solution for the matrix that was decomposed."""
    m = int(data[0])
    row = factors[factors.size - m :]
    rotate(data, x[: x.size - 1], row, False)
    woodbury(h, data[1 + m * m :], factors[: factors.size - m], pivots, x)
    rotate(data, x[: x.size - 1], row, True)


group_factor, group_solve, group_factor_complex, group_solve_complex = solvers(factor_group, solve_group)
