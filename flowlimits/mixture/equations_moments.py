r"""Moments of a pair of ReLU fields under one Gaussian cluster, in closed form.

For :math:`u\sim N(m_1, s_1^2)`, :math:`w\sim N(m_2, s_2^2)` of correlation :math:`r`, with :math:`h = m_1/s_1`,
:math:`k = m_2/s_2`, :math:`c = \sqrt{1 - r^2}`,

.. math::

    P = \Phi_2(h, k; r), \quad A = \varphi(k)\,\Phi\Bigl(\frac{h - rk}{c}\Bigr), \quad
    B = \varphi(h)\,\Phi\Bigl(\frac{k - rh}{c}\Bigr).

Equation numbers (X...) are those of ``docs/mixture.md``.
"""

import math

from ..compiled.jit import jit
from ..gaussian.bivariate import bivariate_cdf, normal_cdf, normal_density

# Below this relative variance of a field given the other, the pair counts as one field: the quotients by c
# would then divide round-off by round-off.
COINCIDENT = 1e-15
# Below this one the distances of both fields from each other's kink are formed from one difference.
NEAR = 1e-3


@jit
def _distances(h, k, r, square):
    """Return h - rk, k - rh and the quadratic form h^2 + k^2 - 2rhk, for the relative variance ``square = 1 - r^2``.

    Near r = +-1 the first two are minus or plus one another up to O(square).  Formed apart, their signs would be those of
    two independent roundings, and both kinks would be seen from sides that exclude each other.
    """
    if square >= NEAR:
        return h - r * k, k - r * h, h * h + k * k - 2.0 * r * h * k
    side = math.copysign(1.0, r)
    gap = h - side * k
    rest = square / (1.0 + abs(r))
    first = gap + side * rest * k
    return first, side * (rest * h - gap), first * first + square * k * k


@jit
def _conditional(distance, c):
    """Return Phi(distance / c), with the limit of a step at c = 0."""
    if c > 0.0:
        return normal_cdf(distance / c)
    if distance == 0.0:
        return 0.5
    return 1.0 if distance > 0.0 else 0.0


@jit
def relu_moments(m1, s1, m2, s2, covariance):
    """Return the moments of a pair of fields that flows of ReLU networks need.

    Parameters
    ----------
    m1, s1, m2, s2 : float
        Means and standard deviations; a standard deviation of zero is a field without noise.
    covariance : float
        Covariance of the two fields.

    Returns
    -------
    both : float
        E[1(u > 0) 1(w > 0)], eq. (X5).
    second : float
        E[1(u > 0) w_+], eq. (X6).
    product : float
        E[u_+ w_+], eq. (X7).
    slope : float
        E[delta(u) w_+], eq. (X8); infinite slopes of a field without noise are reported as 0, since they multiply
        its zero variance.
    """
    if s1 <= 0.0 or s2 <= 0.0:
        return _without_noise(m1, s1, m2, s2)
    r = min(1.0, max(-1.0, covariance / (s1 * s2)))
    square = (1.0 - r) * (1.0 + r)
    if square <= COINCIDENT:
        r, square = math.copysign(1.0, r), 0.0
    c = math.sqrt(square)
    h = m1 / s1
    k = m2 / s2
    first, other, quadratic = _distances(h, k, r, square)
    both = bivariate_cdf(h, k, r)
    a = normal_density(k) * _conditional(first, c)
    b = normal_density(h) * _conditional(other, c)
    second = m2 * both + s2 * (a + r * b)
    last = 0.0
    if c > 0.0:
        # c^2 times the bivariate density at (h, k)
        last = c * math.exp(-0.5 * quadratic / (c * c)) / (2.0 * math.pi)
    product = (m1 * m2 + r * s1 * s2) * both + m1 * s2 * a + m2 * s1 * b + s1 * s2 * last
    slope = normal_density(h) / s1 * rectified_mean(s2 * other if square < NEAR else m2 - r * s2 * h, s2 * c)
    return both, second, product, slope


@jit
def rectified_mean(m, s):
    """Return E[u_+] for u ~ N(m, s^2)."""
    if s <= 0.0:
        return max(m, 0.0)
    return m * normal_cdf(m / s) + s * normal_density(m / s)


@jit
def active(m, s):
    """Return P(u > 0) for u ~ N(m, s^2); a field that is zero without noise is half active."""
    return _conditional(m, s)


@jit
def _without_noise(m1, s1, m2, s2):
    first = active(m1, s1)
    other = active(m2, s2)
    second = rectified_mean(m2, s2)
    slope = normal_density(m1 / s1) / s1 * second if s1 > 0.0 else 0.0
    return first * other, first * second, rectified_mean(m1, s1) * second, slope
