r"""Bivariate normal probabilities, compiled.

:math:`\Phi_2(h, k; r) = P(u < h, w < k)` for standard normals of correlation :math:`r`, by the method of
Genz: Gauss-Legendre quadrature of Plackett's formula :math:`\partial_r\Phi_2 = \varphi_2` in :math:`\arcsin r`, and near
:math:`|r| = 1` of what remains after the singular part has been integrated in closed form.  The absolute
error stays below 1e-14 for all arguments.

References
----------
A. Genz, "Numerical computation of rectangular bivariate and trivariate normal and t probabilities",
Statistics and Computing 14, 251 (2004).
"""

import math

import numpy as np

from ..compiled.jit import jit

SQRT_TWO = math.sqrt(2.0)
SQRT_TWO_PI = math.sqrt(2.0 * math.pi)

_NODES_6, _WEIGHTS_6 = np.polynomial.legendre.leggauss(6)
_NODES_12, _WEIGHTS_12 = np.polynomial.legendre.leggauss(12)
_NODES_20, _WEIGHTS_20 = np.polynomial.legendre.leggauss(20)


@jit
def normal_density(x):
    """Return the standard normal density at `x`."""
    return math.exp(-0.5 * x * x) / SQRT_TWO_PI


@jit
def normal_cdf(x):
    """Return the standard normal distribution function at `x`, accurate in both tails."""
    return 0.5 * math.erfc(-x / SQRT_TWO)


@jit
def _moderate(h, k, r, nodes, weights):
    """Return the correction to the product of the marginals, for correlations away from one."""
    half = 0.5 * (h * h + k * k)
    angle = math.asin(r)
    total = 0.0
    for i in range(nodes.size):
        sine = math.sin(0.5 * angle * (1.0 + nodes[i]))
        total += weights[i] * math.exp((sine * h * k - half) / (1.0 - sine * sine))
    return total * angle / (4.0 * math.pi)


@jit
def _near_one(h, k, r):
    """Return P(u > h, w > k) less its value at r = 1, for k already multiplied by the sign of r."""
    complement = (1.0 - r) * (1.0 + r)
    width = math.sqrt(complement)
    gap = (h - k) * (h - k)
    hk = h * k
    c = (4.0 - hk) / 8.0
    d = (12.0 - hk) / 16.0
    total = 0.0
    exponent = -0.5 * (gap / complement + hk)
    if exponent > -700.0:
        series = 1.0 - c * (gap - complement) * (1.0 - d * gap / 5.0) / 3.0 + c * d * complement * complement / 5.0
        total = width * math.exp(exponent) * series
    if hk > -700.0:
        distance = abs(h - k)
        series = 1.0 - c * gap * (1.0 - d * gap / 5.0) / 3.0
        total -= math.exp(-0.5 * hk) * SQRT_TWO_PI * normal_cdf(-distance / width) * distance * series
    half_width = 0.5 * width
    for i in range(_NODES_20.size):
        square = (half_width * (1.0 + _NODES_20[i])) ** 2
        exponent = -0.5 * (gap / square + hk)
        if exponent > -700.0:
            root = math.sqrt(1.0 - square)
            exact = math.exp(-0.5 * hk * square / (1.0 + root) ** 2) / root
            total += (
                half_width * _WEIGHTS_20[i] * math.exp(exponent) * (exact - (1.0 + c * square * (1.0 + d * square)))
            )
    return -total / (2.0 * math.pi)


@jit
def bivariate_cdf(h, k, r):
    r"""Return :math:`\Phi_2(h, k; r)`.

    Parameters
    ----------
    h, k : float
        Upper limits, infinite ones included.
    r : float
        Correlation; values beyond one by round-off count as one.
    """
    if math.isnan(h) or math.isnan(k) or math.isnan(r):
        return math.nan
    if h == -math.inf or k == -math.inf:
        return 0.0
    if h == math.inf:
        return normal_cdf(k)
    if k == math.inf:
        return normal_cdf(h)
    # Genz's formulas are for the upper tails P(u > -h, w > -k), which is the same number.
    u, w = -h, -k
    size = abs(r)
    if size < 0.925:
        if size < 0.3:
            correction = _moderate(u, w, r, _NODES_6, _WEIGHTS_6)
        elif size < 0.75:
            correction = _moderate(u, w, r, _NODES_12, _WEIGHTS_12)
        else:
            correction = _moderate(u, w, r, _NODES_20, _WEIGHTS_20)
        return max(0.0, correction + normal_cdf(h) * normal_cdf(k))
    if r < 0.0:
        w = -w
    correction = _near_one(u, w, r) if size < 1.0 else 0.0
    if r > 0.0:
        return max(0.0, correction + normal_cdf(-max(u, w)))
    # For r < 0: P(u > h, w > k) = [Phi(-h) - Phi(-w')]^+ - correction, with the difference taken in the smaller tail.
    if w <= u:
        return max(0.0, -correction)
    difference = normal_cdf(w) - normal_cdf(u) if u < 0.0 else normal_cdf(-u) - normal_cdf(-w)
    return max(0.0, difference - correction)
