"""Quadratic activations of wide networks: the products of `equations_square` by BLAS (compiled part).

A module of its own because compiled code that calls BLAS imports scipy.linalg, which narrow networks need not wait for.
"""

import numpy as np

from .._jit import RHS_SIGNATURE, callback
from .equations_square import assemble, views
from .layout import STUDENT_WIDTH, TEACHER_WIDTH, fill_covariance, fill_outputs, has_noise


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, B, F, H, w, a, norms = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    for i in range(p):
        for v in range(p + k):
            F[i, v] = C[i, v] * w[v]
    np.dot(F, C, B)
    noisy = has_noise(params)
    if noisy:
        np.dot(B, F.T, H)
    assemble(t, y, dy, params, C, B, H, w, a, norms, noisy)
