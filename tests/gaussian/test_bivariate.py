"""Bivariate normal probabilities against quadrature, symmetries and limits."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special

from flowlimits.gaussian.bivariate import bivariate_cdf


def by_quadrature(h, k, r):
    """Integrate phi(x) Phi((k - r x) / c) up to h, with break points where the step of the second factor lies."""
    c = math.sqrt((1 - r) * (1 + r))
    centre = k / r if r else 0.0
    points = sorted(
        {p for p in (centre - 8 * c, centre - c, centre, centre + c, centre + 8 * c, -2.0, 0.0) if -12 < p < h}
    )
    edges = [-12.0, *points, h]
    density = lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * special.ndtr((k - r * x) / c)  # noqa: E731
    return sum(
        integrate.quad(density, a, b, epsabs=1e-16, epsrel=1e-13)[0] for a, b in itertools.pairwise(edges) if b > a
    )


def test_agrees_with_quadrature_for_all_correlations():
    rng = np.random.default_rng(7)
    for _ in range(300):
        h, k = 2 * rng.normal(size=2)
        near = 10 ** rng.uniform(-8, -1)
        r = rng.choice([rng.uniform(-1, 1), 1 - near, near - 1])
        assert bivariate_cdf(h, k, r) == pytest.approx(by_quadrature(h, k, r), abs=1e-13)


@pytest.mark.parametrize("r", [-1.0, -0.99, -0.5, 0.0, 0.3, 0.926, 1.0])
def test_symmetries_and_marginals(r):
    for h, k in [(0.3, -1.2), (2.0, 2.0), (-3.0, 0.5), (0.0, 0.0)]:
        value = bivariate_cdf(h, k, r)
        assert value == pytest.approx(bivariate_cdf(k, h, r), abs=1e-15)
        # P(u < h, w < k) + P(u < h, -w < -k) = P(u < h)
        assert value + bivariate_cdf(h, -k, -r) == pytest.approx(special.ndtr(h), abs=1e-14)


def test_closed_form_at_the_origin():
    for r in np.linspace(-1, 1, 41):
        assert bivariate_cdf(0.0, 0.0, r) == pytest.approx(0.25 + math.asin(r) / (2 * math.pi), abs=1e-15)


def test_limits_at_infinity():
    assert bivariate_cdf(math.inf, 0.7, 0.4) == pytest.approx(special.ndtr(0.7), abs=1e-16)
    assert bivariate_cdf(0.7, math.inf, 0.4) == pytest.approx(special.ndtr(0.7), abs=1e-16)
    assert bivariate_cdf(-math.inf, 0.7, 0.4) == 0.0
    assert math.isnan(bivariate_cdf(math.nan, 0.0, 0.0))
