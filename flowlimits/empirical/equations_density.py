"""Density of the law of the teacher's matrix with noise, from the subordinate of every point."""

import math

import numba

from ..compiled.jit import jit
from ..spectrum.free_convolution import ATOMS, integrals_below, subordinate, transform

_A1, _A2, _F, _I = numba.float64[::1], numba.float64[:, ::1], numba.float64, numba.int64


@jit(numba.void(_I, _A2, _F, _A1, _A1))
def densities(kind, law, xi, points, out):
    """Write the density at every point; without noise that of the continuous part of the law."""
    w = complex(0.0, 0.0)
    for i in range(points.size):
        if xi > 0:
            w = subordinate(kind, law, xi, points[i], w)
            out[i] = w.imag / (math.pi * xi)
        elif kind == ATOMS or points[i] == 0:
            out[i] = 0.0
        else:
            out[i] = -transform(kind, law, complex(points[i], 0.0))[0].imag / math.pi


@jit(numba.void(_I, _A2, _F, _A1))
def moments_below(kind, law, b, out):
    """Write the integrals of 1, x and x^2 over the law without noise below b, for a law without atoms above zero."""
    out[0], out[1], out[2] = integrals_below(kind, law, 0.0, complex(b, 0.0))[:3]
