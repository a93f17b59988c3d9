"""Spectral laws: moments, quadrature, sampling, refusals."""

import math

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.spectrum import marchenko_pastur
from flowlimits.spectrum.covariance import groups_of

RATIOS = [0.2, 0.5, 0.99, 1.0, 1.3, 4.0]


@pytest.mark.parametrize("ratio", RATIOS)
def test_marchenko_pastur_has_the_moments_of_the_law(ratio):
    law = fl.Spectrum.marchenko_pastur(ratio, 20)
    y = 1 / ratio
    expected = [1, 1 + y, 1 + 3 * y + y**2, 1 + 6 * y + 6 * y**2 + y**3]
    moments = [float(law.weights @ law.nodes**k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, expected, rtol=1e-12)
    assert law.zero_weight == pytest.approx(max(1 - ratio, 0), abs=1e-15)
    assert law.rank == min(ratio, 1)


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_density_in_the_angle_integrates_to_the_rank(ratio):
    # Substituting theta = pi u^2 resolves the lower edge near ratio one.
    u, weights = np.polynomial.legendre.leggauss(400)
    u, weights = (u + 1) / 2, weights / 2
    values, density = marchenko_pastur.in_angle(ratio, np.pi * u**2)
    mass = density * 2 * np.pi * u * weights
    assert mass.sum() == pytest.approx(min(ratio, 1), rel=1e-9)
    assert mass @ values == pytest.approx(1, rel=1e-9)
    low, high = marchenko_pastur.edges(ratio)
    assert low <= values.min()
    assert values.max() <= high


def test_marchenko_pastur_is_the_law_of_gaussian_weights():
    rng = np.random.default_rng(0)
    sample = fl.Spectrum.from_weights(rng.standard_normal((300, 600)))
    law = fl.Spectrum.marchenko_pastur(0.5)
    assert sample.zero_weight == pytest.approx(0.5)
    for power in (1, 2, 3):
        expected = law.weights @ law.nodes**power
        assert sample.weights @ sample.nodes**power == pytest.approx(expected, rel=power * 0.02)


@pytest.mark.parametrize(
    ("ratio", "nodes", "weights"), [(0.25, [0, 4], [0.75, 0.25]), (1.0, [1], [1]), (2.5, [1], [1])]
)
def test_orthonormal_weights_have_one_eigenvalue(ratio, nodes, weights):
    law = fl.Spectrum.orthonormal(ratio)
    np.testing.assert_array_equal(law.nodes, nodes)
    np.testing.assert_array_equal(law.weights, weights)
    assert law.mean == 1


def test_nodes_are_sorted_merged_and_read_only():
    law = fl.Spectrum([3.0, 0.0, 3.0, 1.0, 9.0], [0.25, 0.5, 0.05, 0.2, 0.0])
    np.testing.assert_allclose(law.nodes, [0, 1, 3])
    np.testing.assert_allclose(law.weights, [0.5, 0.2, 0.3])
    with pytest.raises(ValueError, match="read-only"):
        law.nodes[0] = 1.0


def test_eigenvalues_of_weights_count_zeros_and_keep_the_trace():
    rng = np.random.default_rng(1)
    W = rng.standard_normal((4, 9))
    law = fl.Spectrum.from_weights(W)
    assert law.rank == pytest.approx(4 / 9)
    assert law.mean == pytest.approx(np.sum(W**2) / (4 * 9))
    assert law.normalised().mean == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(
    "law",
    [
        fl.Spectrum.orthonormal(0.3),
        fl.Spectrum.marchenko_pastur(0.3),
        fl.Spectrum.marchenko_pastur(1.7),
        fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25]),
        fl.Spectrum([0.0, 2.0], [0.4, 0.6]),
    ],
)
@pytest.mark.parametrize("dimension", [7, 100, 999])
def test_realised_eigenvalues_have_the_mean_and_nearly_the_law(law, dimension):
    values = law.eigenvalues(dimension)
    assert values.shape == (dimension,)
    assert (np.diff(values) >= 0).all()
    assert values.mean() == pytest.approx(law.mean, rel=1e-13)
    assert abs((values > 0).sum() - law.rank * dimension) <= 0.5 + 1e-9
    realised = law.realised(dimension)
    assert realised.mean == pytest.approx(law.mean, rel=1e-13)
    assert realised.rank * dimension == pytest.approx((values > 0).sum())
    assert law.multiplicities(dimension).sum() == dimension


def test_quantiles_of_marchenko_pastur_approach_its_moments():
    law = fl.Spectrum.marchenko_pastur(0.5)
    errors = [abs(np.mean(law.eigenvalues(d) ** 2) - 3) for d in (100, 400, 1600)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_largest_remainders_are_nearest():
    counts = fl.Spectrum([0, 1, 2, 3], [0.4, 0.3, 0.2, 0.1]).multiplicities(7)
    np.testing.assert_array_equal(counts, [3, 2, 1, 1])


def test_a_spectrum_shows_what_it_is_and_survives_its_plain_form():
    from flowlimits.core.problem import rebuild

    law = fl.Spectrum.marchenko_pastur(0.5)
    assert repr(law) == "Spectrum.marchenko_pastur(0.5, nodes='auto')"
    assert repr(fl.Spectrum.orthonormal(0.25)) == "Spectrum.orthonormal(0.25)"
    assert repr(fl.Spectrum([0, 2], [0.5, 0.5])) == "Spectrum([0.0, 2.0], [0.5, 0.5])"
    arrays = {}
    plain = law.to_plain(arrays)
    assert rebuild(plain, arrays) == law
    assert law != fl.Spectrum.marchenko_pastur(0.5, 64)


def test_symmetric_laws_have_eigenvalues_of_any_sign():
    law = fl.Spectrum.symmetric([3.0, -1.0, 0.0], [0.5, 0.25, 0.25])
    assert law.indefinite
    assert (law.mean, law.rank, law.zero_weight, law.width(8)) == (1.25, 0.5, 0.25, 4)
    np.testing.assert_array_equal(law.nodes, [-1, 0, 3])
    np.testing.assert_allclose(law.eigenvalues(4), [-1, 0, 3, 3])
    assert law.realised(8) == fl.Spectrum.symmetric(law.eigenvalues(8))
    assert repr(law) == "Spectrum.symmetric([-1.0, 0.0, 3.0], [0.25, 0.25, 0.5])"
    assert law.normalised().mean == pytest.approx(1)
    assert not fl.Spectrum.symmetric([0.0, 2.0]).indefinite


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: fl.Spectrum([1, -2], [0.5, 0.5]), r"Argument `nodes` must not be negative, but is -2 at index \[1\]"),
        (lambda: fl.Spectrum([1, 2], [1.5, -0.5]), r"Argument `weights` must not be negative, but is -0\.5"),
        (lambda: fl.Spectrum([1, 2], [0.5, 0.4]), r"Argument `weights` must sum to one, but sums to 0\.9"),
        (lambda: fl.Spectrum([1, 2], [1.0]), "must have the same length, but have 2 and 1"),
        (lambda: fl.Spectrum([1, math.nan], [0.5, 0.5]), r"Argument `nodes` must be finite, but is nan at index \[1\]"),
        (lambda: fl.Spectrum([], []), "must not be empty"),
        (lambda: fl.Spectrum.orthonormal(0), r"Argument `ratio` must be positive, but is 0"),
        (lambda: fl.Spectrum.orthonormal(math.nan), "Argument `ratio` must be finite, but is nan"),
        (lambda: fl.Spectrum.marchenko_pastur(-1), "Argument `ratio` must be positive"),
        (lambda: fl.Spectrum.marchenko_pastur(1, "fine"), 'Argument `nodes` must be "auto" or a whole number, but is '),
        (lambda: fl.Spectrum.marchenko_pastur(1, 0), "Argument `nodes` must be at least 1"),
        (lambda: fl.Spectrum.marchenko_pastur(1, 5000), r'must be at most 1000, but is 5000\. With nodes="auto"'),
        (lambda: fl.Spectrum([0.0], [1.0]).normalised(), "eigenvalues are all zero cannot be normalised"),
        (lambda: fl.Spectrum.symmetric([-1.0, 1.0]).normalised(), "mean is not positive cannot be normalised"),
        (lambda: fl.Spectrum.symmetric([-1.0, 9.0], [0.8, 0.2]).eigenvalues(2), "too small to realise"),
        (
            lambda: groups_of(fl.Spectrum.symmetric([-1.0, 3.0])),
            "`covariance` must have no negative eigenvalues, but is Sp",
        ),
        (lambda: fl.Spectrum.from_eigenvalues([1.0, -1.0]), "Argument `values` must not be negative"),
        (lambda: fl.Spectrum.orthonormal(0.01).eigenvalues(20), "must be at least 51 to realise the ratio 0.01"),
        (lambda: fl.Spectrum.orthonormal(0.5).width(1), "must be at least 2 to realise the ratio 0.5, but is 1"),
        (lambda: fl.Spectrum([0, 9], [0.99, 0.01]).eigenvalues(20), "too small to realise"),
    ],
)
def test_refusals_are_sentences(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
