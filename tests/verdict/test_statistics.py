"""The statistics of comparisons: sizes of the tests, exactness of the extrapolation, honesty of its error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flowlimits.verdict import judge as verdicts
from flowlimits.verdict import statistics
from flowlimits.verdict.extrapolation import extrapolate
from flowlimits.verdict.points import Points

TIMES = np.geomspace(0.05, 5, 20)


def points_of(variables: int) -> Points:
    names = tuple(f"v{i}" for i in range(variables))
    return Points(names, names, np.arange(variables), TIMES)


def correlated(rng: np.random.Generator, runs: int, variables: int, correlation: float) -> np.ndarray:
    """Gaussian runs, a first-order autoregression in time; shape (runs, variables * times)."""
    noise = rng.standard_normal((runs, variables, TIMES.size))
    for i in range(1, TIMES.size):
        noise[..., i] = correlation * noise[..., i - 1] + np.sqrt(1 - correlation**2) * noise[..., i]
    return noise.reshape(runs, -1)


def false_alarms(trials: int, level: float, runs: int, correlation: float) -> int:
    points, rng = points_of(3), np.random.default_rng(1)
    floor, theory = np.full(60, 1e-12), np.ones(60)
    alarms = 0
    for _ in range(trials):
        sample = statistics.sample(10**6, 1 + 0.1 * correlated(rng, runs, 3, correlation))
        judgement = verdicts.one_size(points, theory, sample, floor, level, 10**6)
        alarms += judgement.largest > judgement.allowed
    return alarms


@pytest.mark.parametrize(("runs", "correlation"), [(5, 0.95), (16, 0.0), (16, 0.95), (32, 0.99)])
def test_false_alarms_of_one_size_are_as_rare_as_the_level(runs, correlation):
    trials, level = 150, 0.1
    alarms = false_alarms(trials, level, runs, correlation)
    assert stats.binom.sf(alarms - 1, trials, level) > 1e-3
    # A test that never rings has no power either.
    assert stats.binom.cdf(alarms, trials, level) > 1e-3


def synthetic(rng, sizes, runs, delta=0.0, c1=1.0, c2=-8.0, noise=0.5):
    """Runs of several sizes around 1 + delta + c1/d + c2/d^2, with fluctuations of order 1/d."""
    return [
        statistics.sample(d, 1 + delta + c1 / d + c2 / d**2 + noise / d * correlated(rng, runs, 3, 0.9)) for d in sizes
    ]


def alarms_of_several(sizes, trials, level, delta=0.0):
    points, rng = points_of(3), np.random.default_rng(2)
    theory, floor = np.ones((len(sizes), 60)), np.full(60, 1e-12)
    judged = [
        verdicts.several_sizes(points, theory, synthetic(rng, sizes, 24, delta), floor, level, widths=np.array(sizes))
        for _ in range(trials)
    ]
    return sum(one.passed is False for one in judged)


@pytest.mark.parametrize("sizes", [(60, 120, 240), (50, 100, 200, 400)])
def test_false_alarms_of_several_sizes_are_as_rare_as_the_level(sizes):
    trials, level = 100, 0.1
    alarms = alarms_of_several(sizes, trials, level)
    assert stats.binom.sf(alarms - 1, trials, level) > 1e-3


def test_a_deviation_of_the_limit_is_found_through_the_effects_of_finite_size():
    # A single run at d = 240 scatters by 0.002; the effect of finite size there is 0.004.
    assert alarms_of_several((60, 120, 240), 40, 0.01, delta=0.012) == 40


@pytest.mark.parametrize("sizes", [(60, 120, 240), (50, 80, 160, 240, 500)])
def test_a_parabola_in_the_inverse_size_is_extrapolated_exactly(sizes):
    inverse = 1 / np.array(sizes, dtype=float)
    rng = np.random.default_rng(3)
    delta, c1, c2 = rng.standard_normal((3, 40)) * np.array([[1], [10], [100]])
    deviations = delta + c1 * inverse[:, None] + c2 * inverse[:, None] ** 2
    variances = rng.uniform(0.5, 2, deviations.shape) * 1e-6
    found = extrapolate(inverse, deviations, variances, np.zeros(40, int), np.arange(40.0))
    np.testing.assert_allclose(found.deviation, delta, atol=1e-11)
    assert (found.error >= found.statistical).all()


@pytest.mark.parametrize("length", [3.0, 8.0, 20.0])
@pytest.mark.parametrize("sizes", [(60, 120, 240), (60, 240), (40, 60, 120, 240)])
def test_the_neglected_term_is_in_the_error_where_there_is_no_noise(length, sizes):
    # 1/(d + length) is a geometric series in 1/d; its limit is zero.
    deviations = 1 / (np.array(sizes, dtype=float)[:, None] + length) * np.linspace(1, 2, 15)
    variances = np.full(deviations.shape, 1e-24)
    found = extrapolate(1 / np.array(sizes), deviations, variances, np.zeros(15, int), TIMES[:15])
    score = np.abs(found.deviation) / found.error
    assert score.max() < 2.6  # the normal quantile of the default level
    assert score.min() > 0.005  # and the error is no excuse for everything


def test_the_error_where_a_coefficient_changes_sign_is_that_of_its_neighbours():
    sizes = np.array([60.0, 240.0])
    first = np.linspace(-1, 1, 21)
    deviations = first / sizes[:, None] + 5 / sizes[:, None] ** 2
    found = extrapolate(
        1 / sizes, deviations, np.full(deviations.shape, 1e-24), np.zeros(21, int), np.linspace(1, 1.9, 21)
    )
    assert (np.abs(found.deviation) / found.error).max() < 2.6


def test_the_length_of_the_expansion_is_found_octave_by_octave():
    # The length is 2 at late times and 20 at early ones.
    sizes = np.array([60.0, 120.0, 240.0])
    lengths = np.where(TIMES < 0.3, 20.0, 2.0)
    deviations = 1 / (sizes[:, None] + lengths)
    noise = np.where(TIMES < 0.3, 1e-8, 1e-12)  # so that late times speak for the variable as a whole
    found = extrapolate(1 / sizes, deviations, np.tile(noise**2, (3, 1)), np.zeros(20, int), TIMES)
    assert (np.abs(found.deviation) / found.error).max() < 2.6
    assert found.length[0] > 10
    assert found.length[-1] < 3


def test_one_point_needs_the_normal_quantile():
    residuals = np.random.default_rng(4).standard_normal((200, 1))
    assert statistics.critical_normal(residuals, 199, 0.05) == pytest.approx(stats.norm.isf(0.025), abs=0.06)


def test_independent_points_need_the_quantile_of_their_maximum():
    residuals = np.random.default_rng(5).standard_normal((4000, 30))
    expected = stats.norm.isf((1 - 0.95 ** (1 / 30)) / 2)
    assert statistics.critical_normal(residuals, 3999, 0.05) == pytest.approx(expected, abs=0.06)
    assert statistics.critical_normal(np.zeros((0, 30)), np.inf, 0.05) == pytest.approx(expected)


def test_equal_points_count_once():
    residuals = np.repeat(np.random.default_rng(6).standard_normal((500, 1)), 30, axis=1)
    single = stats.norm.isf(0.025)
    assert single - 0.06 < statistics.critical_normal(residuals, 499, 0.05) < single + 0.15


def test_student_quantiles_have_the_tail_of_the_normal_one():
    found = statistics.critical_student(3.0, np.array([3.0, 23.0, np.inf]))
    np.testing.assert_allclose(stats.t.sf(found, [3.0, 23.0, 1e6]), stats.norm.sf(3.0), rtol=1e-8)


def test_welch_degrees_of_freedom_of_equal_samples_add():
    found = statistics.welch_freedom(np.ones((3, 2)), np.array([9.0, 9.0, 9.0]))
    np.testing.assert_allclose(found, 27.0)
    one_dominates = statistics.welch_freedom(np.array([[1.0], [1e-9]]), np.array([9.0, 9.0]))
    np.testing.assert_allclose(one_dominates, 9.0, rtol=1e-6)


@pytest.mark.parametrize("power", [-1.0, -0.5])
def test_the_exponent_is_recovered_within_its_error(power):
    rng = np.random.default_rng(7)
    sizes = np.array([100, 200, 400, 800])
    scores = []
    for _ in range(60):
        samples = [statistics.sample(d, float(d) ** power * (1 + 0.2 * correlated(rng, 16, 3, 0.9))) for d in sizes]
        means, variances = np.array([s.mean for s in samples]), np.array([s.error**2 for s in samples])
        labels = np.repeat(np.arange(3), 20)
        x, error = statistics.fit_exponent(samples, means, variances, np.zeros(60), labels, np.ones(60, bool))
        scores.append((x - power) / error)
    assert np.abs(np.mean(scores)) < 0.4
    assert 0.5 < np.std(scores) < 1.5


@pytest.mark.parametrize("sizes", [(60, 120, 240), (40, 80, 120)])
@pytest.mark.parametrize("noise", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("length", [0.0, 15.0, 30.0])
def test_two_errors_of_the_exponent_cover_it_in_nine_of_ten_seeds_whatever_the_next_orders_are(sizes, noise, length):
    # c1/d + c2/d^2 + c3/d^3 with c2 = L c1 and c3 = L^2 c1 everywhere is the case that bends all slopes alike.
    rng = np.random.default_rng([4, int(length), int(100 * noise)])
    labels, stated, covered = np.repeat(np.arange(3), 20), 0, 0
    for _ in range(40):
        first = np.repeat(np.abs(rng.standard_normal(3)) + 0.1, 20)
        means = [first * (1 / d + length / d**2 + length**2 / d**3) for d in sizes]
        samples = [statistics.sample(d, m + noise / d * correlated(rng, 24, 3, 0.9)) for d, m in zip(sizes, means)]
        deviations, variances = np.array([s.mean for s in samples]), np.array([s.error**2 for s in samples])
        limit = extrapolate(1 / np.array(sizes), deviations, variances, labels, np.tile(TIMES, 3))
        longest = np.hypot(limit.length, limit.length_error)
        x, error = statistics.fit_exponent(samples, deviations, variances, longest, labels, np.ones(60, bool))
        stated += bool(np.isfinite(x))
        covered += bool(abs(x + 1) <= 2 * error)
    assert stated >= 20
    assert covered >= 0.9 * stated


def test_there_is_no_exponent_of_noise():
    rng = np.random.default_rng(8)
    samples = [statistics.sample(d, rng.standard_normal((16, 20))) for d in (100, 200)]
    means, variances = np.array([s.mean for s in samples]), np.array([s.error**2 for s in samples])
    found = statistics.fit_exponent(samples, means, variances, np.zeros(20), np.zeros(20, int), np.ones(20, bool))
    assert np.isnan(found).all()


def test_the_exponents_of_variables_that_disagree_have_a_large_error():
    sizes = np.array([100, 200, 400])
    rng = np.random.default_rng(9)
    curves = [np.append(np.full(10, 1.0 / d), np.full(10, 0.01)) for d in sizes]
    samples = [statistics.sample(d, c * (1 + 0.01 * rng.standard_normal((16, 20)))) for d, c in zip(sizes, curves)]
    means, variances = np.array([s.mean for s in samples]), np.array([s.error**2 for s in samples])
    labels = np.repeat([0, 1], 10)
    exponent, error = statistics.fit_exponent(samples, means, variances, np.zeros(20), labels, np.ones(20, bool))
    assert exponent == pytest.approx(-0.5, abs=0.02)
    assert error > 0.4


def test_skewness_tells_rare_large_runs():
    rng = np.random.default_rng(10)
    normal = [statistics.sample(d, rng.standard_normal((24, 200))) for d in (60, 120, 240)]
    heavy = [statistics.sample(d, np.exp(2 * rng.standard_normal((24, 200)))) for d in (60, 120, 240)]
    assert (np.abs(statistics.skewness(normal)) < verdicts.SKEWED).mean() > 0.99
    assert (np.abs(statistics.skewness(heavy)) > verdicts.SKEWED).mean() > 0.99
    assert (statistics.skewness([statistics.sample(60, np.ones((24, 5)))]) == 0).all()
