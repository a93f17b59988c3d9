r"""Steps of one-pass SGD of one unit: in coordinates of each group, exact in law, and on real weights (compiled part).

In group l the teacher lies along one direction, and the student in the plane of that direction and a second one, with the
coordinates :math:`u_l = R_l/\sqrt{T_l}` and :math:`v_l = \sqrt{Q_l - u_l^2}`.  An input has independent coordinates
:math:`\sqrt{c_l} z_1`, :math:`\sqrt{c_l} z_2` there, and what is left of it is a new direction of the squared length
:math:`c_l\chi^2` with :math:`d_l - 2` degrees of freedom; the step adds it to the student and the second direction turns, (U6).
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, FLOAT, jit
from .equations import loss_at

RNG = types.npy_rng
INT = types.int64
COUNTS = types.int64[::1]


@jit(INT(RNG, A1, A1, A1, COUNTS, A2, A1, FLOAT, FLOAT, INT, INT))
def chain(rng, u, v, c, left, z, labels, gain, shrink, kind, address):
    """Take one step for each label; return how many were taken before a weight left the finite range.

    Parameters
    ----------
    rng : numpy.random.Generator
    u, v : ndarray, shape (L,)
        The student along the teacher, and across it, divided by sqrt(d); overwritten.
    c : ndarray, shape (L,)
        Eigenvalues.
    left : ndarray of int, shape (L,)
        Directions of each group apart from the teacher's; v is zero where there is none.
    z : ndarray, shape (steps, L)
        Normal coordinates of the inputs along the teacher.
    labels : ndarray, shape (steps,)
    gain, shrink : float
        learning_rate / d, and what decay leaves of the weights in a step.
    """
    L = u.size
    out = np.empty(3)
    across = np.empty(L)
    for step in range(labels.size):
        field = 0.0
        for g in range(L):
            across[g] = rng.standard_normal() if left[g] > 0 else 0.0
            field += math.sqrt(c[g]) * (u[g] * z[step, g] + v[g] * across[g])
        loss_at(kind, address, field, labels[step], out)
        move = gain * out[1]
        if not math.isfinite(move):
            return step
        for g in range(L):
            along = move * math.sqrt(c[g])
            u[g] = shrink * u[g] - along * z[step, g]
            if left[g] > 0:
                now = shrink * v[g] - along * across[g]
                if left[g] > 1:
                    v[g] = math.sqrt(now * now + along * along * 2.0 * rng.standard_gamma(0.5 * (left[g] - 1)))
                else:
                    v[g] = abs(now)
    return labels.size


@jit(INT(A1, A2, A1, FLOAT, FLOAT, INT, INT))
def samples(w, x, labels, gain, shrink, kind, address):
    """Take one step for each input, the rows of x, on real weights divided by sqrt(d); return how many were taken."""
    out = np.empty(3)
    for step in range(labels.size):
        field = 0.0
        for i in range(w.size):
            field += w[i] * x[step, i]
        loss_at(kind, address, field, labels[step], out)
        move = gain * out[1]
        if not math.isfinite(move):
            return step
        for i in range(w.size):
            w[i] = shrink * w[i] - move * x[step, i]
    return labels.size
