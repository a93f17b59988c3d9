r"""Activations averaged over the input outside the teacher's span (compiled part).

For eta standard normal, :math:`\bar s(y; s) = \mathbb E\,s(y + s\eta)` is what a unit shows on the span (docs/mean_field.md, F5):

.. math:: \mathrm{erf}:\ \mathrm{erf}\frac{y}{\sqrt{2(1 + s^2)}}, \qquad \mathrm{ReLU}:\ y\,\Phi(y/s) + s\,\varphi(y/s),

and for a polynomial the sum over Gauss-Hermite nodes, as many as make it exact.
"""

import math

import numpy as np

from ..compiled.jit import jit

ROOT_HALF = math.sqrt(0.5)
INVERSE_ROOT = 1.0 / math.sqrt(2.0 * math.pi)
TWO_OVER_ROOT = 2.0 * INVERSE_ROOT


@jit
def erf_row(y, s, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    v = 1.0 + s * s
    scale, factor, curve, along = 1.0 / math.sqrt(2.0 * v), TWO_OVER_ROOT / math.sqrt(v), -0.5 / v, -s / v
    for g in range(y.size):
        value[g] = math.erf(scale * y[g])
    for g in range(y.size):
        slope[g] = factor * math.exp(curve * y[g] * y[g])
    for g in range(y.size):
        change[g] = along * y[g] * slope[g]


@jit
def relu_row(y, s, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    size = abs(s)
    for g in range(y.size):
        if size > 1e-150:
            z = y[g] / size
            slope[g] = 0.5 * math.erfc(-ROOT_HALF * z)
            change[g] = INVERSE_ROOT * math.exp(-0.5 * z * z)
        else:
            slope[g] = 0.5 * (1.0 + np.sign(y[g]))
            change[g] = 0.0
        value[g] = y[g] * slope[g] + size * change[g]
        if s < 0.0:
            change[g] = -change[g]


@jit
def polynomial_row(y, s, powers, eta, weights, value, slope, change):
    """Write sbar and its derivatives by y and by s, at the points y."""
    degree = powers.size - 1
    for g in range(y.size):
        value[g], slope[g], change[g] = 0.0, 0.0, 0.0
        for n in range(eta.size):
            x = y[g] + s * eta[n]
            one, first = powers[degree], 0.0
            for j in range(degree - 1, -1, -1):
                first = first * x + one
                one = one * x + powers[j]
            value[g] += weights[n] * one
            slope[g] += weights[n] * first
            change[g] += weights[n] * eta[n] * first
