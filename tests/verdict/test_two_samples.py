"""Two simulations are judged by a test of two samples."""

import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl

TIMES = np.linspace(0.1, 2.0, 8)


def measured(rng, runs=20, shift=0.0, spread=0.02, dimension=50):
    """Return runs that share a random walk along the times."""
    walks = spread * rng.standard_normal((runs, TIMES.size)).cumsum(axis=1) / np.sqrt(TIMES.size)
    return fl.wrap(TIMES, overlap=1.0 + shift + walks, dimension=dimension)


def test_equal_means_fail_as_rarely_as_the_level_says_and_shifted_ones_are_found():
    rng = np.random.default_rng(1)
    failed = sum(
        fl.compare(measured(rng), measured(rng, 12, spread=0.03), level=0.05).passed is False for _ in range(200)
    )
    assert failed <= 22  # 10 expected; more has a probability below 0.001
    found = [fl.compare(measured(rng), measured(rng, 12, shift=0.05)) for _ in range(20)]
    assert all(one.verdict == "differs" for one in found)


def test_the_score_is_that_of_welch():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    one, two = measured(rng), measured(rng, 9, spread=0.05)
    found = fl.compare(one, two)
    expected = stats.ttest_ind(two["overlap"], one["overlap"], axis=0, equal_var=False).statistic
    np.testing.assert_allclose(found.dataset["score"].values[0], expected, rtol=1e-8)
    assert found.verdict in str(found)
    assert isinstance(found.dataset, xr.Dataset)


def test_simulations_of_one_problem_agree():
    one, two = (toy.make().simulate(TIMES, dimension=50, runs=8, rng=seed) for seed in (0, 1))
    assert fl.compare(one, two, resolution=1.0).passed is True


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match=r"compared at one size, but have dimension = 50 and 100: compare both"):
        fl.compare(measured(rng), measured(rng, dimension=100))
    with pytest.raises(ValueError, match=r"The second simulation has a single run"):
        fl.compare(measured(rng), measured(rng, 1))
    run = toy.make().simulate(TIMES, dimension=50, runs=8, rng=0)
    with pytest.raises(ValueError, match="same random streams"):
        fl.compare(run, run)


def test_the_advice_on_measurements_speaks_of_them():
    limit = toy.make().solve(TIMES)
    del limit.attrs["problem"]  # the toy is in no registry
    rng = np.random.default_rng(4)
    values = limit["overlap"].values + 0.001 * rng.standard_normal((20, TIMES.size))
    near = fl.compare(limit, fl.wrap(TIMES, overlap=values + 0.02, dimension=100))
    assert near.verdict == "undecided: one size"
    assert "Measure at dimension = 200 and 400 too, at the same times" in str(near)
    assert "fl.convergence" not in str(near)
    far = fl.compare(limit, fl.wrap(TIMES, overlap=values + 0.5, dimension=100))
    assert far.verdict == "differs"
    assert "fl.conventions.Training turns steps and losses into times and risks" in str(far)
