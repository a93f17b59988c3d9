"""Power laws in few groups, against the sums over all of their modes."""

import numpy as np
import pytest

import flowlimits as fl

MODES = 10**6


def all_modes(exponent, target, power, times, modes=MODES):
    level = np.arange(1, modes + 1, dtype=float)
    values = level**-exponent
    weights = values**power * level**-target
    return np.array([weights @ np.exp(-2 * values * t) for t in times])


def by_group(law, exponent, target, power, times, modes=MODES):
    values, counts = law.groups[0], law.groups[1] * modes
    return np.exp(-2 * np.outer(times, values)) @ (counts * values ** (power + target / exponent))


@pytest.mark.parametrize(("accuracy", "most"), [(1e-4, 100), (1e-8, 250)])
@pytest.mark.parametrize(("target", "power"), [(0.0, 1), (0.5, 1), (0.5, 2)])
def test_a_million_modes_in_few_groups(accuracy, most, target, power):
    law = fl.Spectrum.power_law(2.0, MODES, accuracy=accuracy)
    assert law.nodes.size <= most
    assert law.compression_error <= accuracy
    times = 10.0 ** np.arange(0, 12.5, 2)
    exact = all_modes(2.0, target, power, times)
    np.testing.assert_allclose(by_group(law, 2.0, target, power, times), exact, rtol=2 * accuracy)


@pytest.mark.parametrize(("target", "power"), [(0.0, 1), (0.5, 2)])
def test_modes_that_are_not_listed(target, power):
    # The sum over a trillion modes is the Hurwitz zeta function with signs: Euler and Maclaurin beyond the first thousand.
    alpha, modes, first = 1.5, 10**12, 1000
    law = fl.Spectrum.power_law(alpha, modes, accuracy=1e-10)
    s = alpha * power + target
    tail = (float(modes) ** (1 - s) - float(first) ** (1 - s)) / (1 - s)
    tail += 0.5 * (float(modes) ** -s - float(first) ** -s) + s * float(first) ** (-s - 1) / 12
    exact = (np.arange(1, first + 1.0) ** -s).sum() + tail
    assert law.groups[1].sum() == pytest.approx(1)
    np.testing.assert_allclose(by_group(law, alpha, target, power, [0.0], modes), exact, rtol=1e-9)


def test_the_stated_error_is_the_error():
    law = fl.Spectrum.power_law(2.0, 10**4, groups=40)
    times = 10.0 ** np.linspace(-1, 8, 100)
    seen = max(
        np.abs(by_group(law, 2.0, b, j, times, 10**4) / all_modes(2.0, b, j, times, 10**4) - 1).max()
        for b in (0.0, 0.5, 1.0)
        for j in (1, 2)
    )
    assert 0.5 * law.compression_error < seen < 1.5 * law.compression_error


def test_the_finest_of_a_size_is_taken():
    errors = [fl.Spectrum.power_law(1.5, 10**4, groups=size).compression_error for size in (20, 60, 120)]
    assert errors[0] > errors[1] > errors[2]
    assert fl.Spectrum.power_law(1.5, 10**4, groups=120).nodes.size <= 120


def test_few_modes_are_kept():
    law = fl.Spectrum.power_law(1.5, 50)
    assert law.compression_error == 0
    np.testing.assert_array_equal(law.groups[0], np.arange(1, 51) ** -1.5)


def test_shares_of_a_target():
    law = fl.Spectrum.power_law(2.0, 1000, groups=1000)
    level = np.arange(1, 1001.0)
    np.testing.assert_allclose(law.shares(0.25), level**-0.5 / (level**-0.5).sum(), rtol=1e-12)
    np.testing.assert_allclose(law.shares(0.0), 1e-3, rtol=1e-12)


def test_normalised_power_laws_keep_their_error():
    law = fl.Spectrum.power_law(2.0, 10**4, groups=40)
    assert law.normalised().mean == pytest.approx(1)
    assert law.normalised().compression_error == law.compression_error
    assert "error" in repr(law)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"exponent": 0.0}, "Argument `exponent` must be positive, but is 0.0."),
        ({"modes": 0}, "Argument `modes` must be at least 1, but is 0."),
        ({"modes": 10**16}, "Argument `modes` must be at most 1000000000000000, but is 10000000000000000."),
        ({"groups": 3}, "Argument `groups` must be at least 8 for 10000 modes, but is 3."),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ValueError) as refusal:
        fl.Spectrum.power_law(**{"exponent": 2.0, "modes": 10**4} | arguments)
    assert str(refusal.value) == sentence


def test_an_accuracy_beyond_the_rules():
    with pytest.raises(
        ValueError, match=r"Argument `accuracy` must be at least .* exponent 2 with 10000 modes, but is 1e-30."
    ):
        fl.Spectrum.power_law(2.0, 10**4, accuracy=1e-30)
    with pytest.raises(ValueError, match="must not be negative for eigenvalues that are zero"):
        fl.Spectrum([0, 1], [0.5, 0.5]).shares(-1.0)
