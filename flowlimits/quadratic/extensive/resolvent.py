"""The subordination equation at complex energies, compiled: roots followed from far above the real axis down to it."""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, FLOAT, jit

C1 = types.complex128[::1]
#: Heights above the real axis in units of the largest energy: first, last, and the factor of one stride.
HIGHEST, LOWEST, STRIDE = 30.0, 1e-13, 0.5
ITERATIONS = 20
#: A root that moves further than this in one stride may be another one: the stride is shortened.
REACH = 0.25


@jit
def exponential(argument):
    """Return the exponential with its modulus kept between 1e-260 and 1e260."""
    return np.exp(complex(max(min(argument.real, 600.0), -600.0), argument.imag))


@jit
def complex_start(gaussian, rank, ell, nu, unknown, offset):
    """Return the exponent and its slope, and t and its slope, of a complex unknown; see `subordination`."""
    if gaussian:
        x = exponential(unknown - offset)
        return unknown, 1.0 + 0.0j, rank * (1 - x), -rank * x
    y = exponential(unknown + offset)
    t = 0.0j
    rest = complex(1 - rank)
    slope = 0.0j
    for k in range(ell.size):
        inverse = 1 / (1 + y * ell[k])
        t += nu[k] * y * ell[k] * inverse
        rest += nu[k] * inverse
        slope += nu[k] * y * ell[k] * inverse * inverse
    return np.log(t / rest) - unknown, slope / (t * rest) - 1, t, slope


@jit
def settle(levels, q, v, w, gaussian, rank, ell, nu, offset, unknown):
    """Return the root at `w` near `unknown` by Newton's method, and whether it was found."""
    for _ in range(ITERATIONS):
        exponent, exponent_slope, t, t_slope = complex_start(gaussian, rank, ell, nu, unknown, offset)
        residual = -t
        derivative = 0.0j
        for j in range(q.size):
            grown = exponential(levels[j] + exponent) * (4 * v[j] - 1 / w)
            inverse = 1 / (1 + grown)
            residual += q[j] * grown * inverse
            derivative += q[j] * grown * inverse * inverse
        step = residual / (derivative * exponent_slope - t_slope)
        size = abs(step)
        if not size < np.inf:
            return unknown, False
        unknown -= step / max(1.0, 2 * size)
        if size < 1e-11:
            return unknown, True
    return unknown, False


@jit(
    types.int64(
        A1, FLOAT, C1, C1, C1, types.boolean, FLOAT, A1, A1, FLOAT, types.complex128, A1,
    )
)  # fmt: skip
def densities(energies, top, levels, q, v, gaussian, rank, ell, nu, offset, first, density):
    """Write -Im g(E + i0)/pi at every energy; return how many roots were not followed to the real axis.

    Parameters
    ----------
    top : float
        The largest of all energies, in whose units the heights above the real axis are.
    levels : ndarray of complex, shape (n,)
        4 (z_j - reference) gamma.
    q, v : ndarray of complex, shape (n,)
        Weights and v_j.
    first : complex
        The unknown of the real solution, which is the root infinitely far above the real axis.
    """
    lost = 0
    for k in range(energies.size):
        unknown = first
        height = HIGHEST * top * STRIDE
        above = HIGHEST * top
        while True:
            trial, found = settle(levels, q, v, complex(energies[k], height), gaussian, rank, ell, nu, offset, unknown)
            close = abs(trial - unknown) < REACH
            if found and (close or height > 0.99 * above):
                unknown = trial
                if height <= LOWEST * top:
                    break
                above = height
                height = max(height * STRIDE, LOWEST * top)
            elif height > 0.999 * above:
                lost += 1
                break
            else:
                height = math.sqrt(height * above)
        w = complex(energies[k], height)
        if height <= LOWEST * top:
            # The last height would broaden the atom at zero visibly at the smallest energies.
            trial, found = settle(levels, q, v, complex(energies[k]), gaussian, rank, ell, nu, offset, unknown)
            if found and abs(trial - unknown) < 1e-3:
                unknown = trial
                w = complex(energies[k])
        exponent, _e, _t, _s = complex_start(gaussian, rank, ell, nu, unknown, offset)
        resolvent = 1 / w
        for j in range(q.size):
            resolvent += q[j] / (exponential(-levels[j] - exponent) + 4 * v[j] - 1 / w) / (w * w)
        density[k] = max(-resolvent.imag / math.pi, 0.0)
    return lost
