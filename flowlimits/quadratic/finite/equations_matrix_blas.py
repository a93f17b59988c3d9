"""Velocity of the quadratic flow of matrices, (Q5), with the products by BLAS (compiled part).

Compiled code that calls BLAS imports scipy.linalg, which small matrices need not wait for: it is a module of its own.
"""

import numpy as np

from ...compiled.jit import RHS_SIGNATURE, callback
from .equations_matrix import pull, shapes


@callback(RHS_SIGNATURE)
def matrix_flow(s, y, dy, params, work):
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
