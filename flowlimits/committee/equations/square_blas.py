"""Quadratic activations of wide networks: the products of `equations_square` by BLAS (compiled part).

A module of its own because compiled code that calls BLAS imports scipy.linalg, which narrow networks need not wait for.
"""

import numpy as np

from ...compiled.jit import RHS_SIGNATURE, callback
from .layout import STUDENT_WIDTH, TEACHER_WIDTH, fill_covariance, fill_outputs, has_noise
from .square import assemble, views, weigh, weigh_noise


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, G, D, H, w, a, norms = views(p, p + k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    m, rest = weigh(C, w, D, params)
    np.dot(D, C, G)
    noisy = has_noise(params)
    if noisy:
        weigh_noise(C, w, D, m, params)
        np.dot(G, D.T, H)
    assemble(t, y, dy, params, C, G, D, H, w, a, norms, m, rest, noisy)
