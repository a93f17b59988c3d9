"""Verdicts at one size where the theory predicts the spread and the bias of runs."""

import numpy as np
import pytest

import flowlimits as fl

START = {"Q": [[0.6, 0.1], [0.1, 0.5]], "R": [[0.13, 0.05], [0.03, 0.19]], "T": [[1.0, 0.2], [0.2, 1.0]]}
TIMES = np.array([1.0, 2.0, 4.0])


def problem(rate=1.0, **physics):
    return fl.Committee(**START, **{"activation": "erf", "learning_rate": rate, "noise": 0.05} | physics)


@pytest.fixture(scope="module")
def runs():
    return problem().simulate(TIMES, dimension=1000, runs=64, rng=3, progress=False)


def theory(runs, *given, **physics):
    return problem(*given, **physics).solve(runs["time"].values, fluctuations=True)


def test_the_right_theory_agrees_at_one_size(runs):
    plain = fl.compare(problem().solve(runs["time"].values), runs)
    assert plain.passed is not False
    found = fl.compare(theory(runs), runs)
    assert found.verdict == "agrees"
    assert "The predicted bias and spread of runs at d = 1000 are used." in str(found)
    # The deviation that is told is that from the predicted mean.
    shift = (
        found.dataset["theory"].sel(variable="risk").values.ravel()
        - plain.dataset["theory"].sel(variable="risk").values.ravel()
    )
    np.testing.assert_allclose(shift, theory(runs)["bias_risk"] / 1000, rtol=1e-12)


def test_a_slightly_wrong_learning_rate_differs_at_one_size(runs):
    wrong = problem(1.06)
    assert fl.compare(wrong.solve(runs["time"].values), runs).passed is not False
    found = fl.compare(theory(runs, 1.06), runs)
    assert found.verdict == "differs"
    assert "is subtracted, and does not explain it" in str(found)


def test_the_theory_is_solved_again_with_its_deviations(runs):
    found = fl.compare(problem().solve([4.0], fluctuations=True), runs)
    assert found.verdict == "agrees"
    assert "are used" in str(found)


def test_a_spread_that_is_not_the_predicted_one_is_said(runs):
    found = fl.compare(theory(runs, 0.3), runs)
    assert "The predicted deviations of runs are not used: the spread of" in str(found)


def test_below_the_dimension_that_is_needed_nothing_is_predicted():
    runs = problem().simulate(TIMES, dimension=12, runs=16, rng=3, progress=False)
    found = fl.compare(theory(runs), runs)
    assert "The predicted deviations of runs are not used: they need a dimension of" in str(found)


def test_groups_need_whole_numbers_of_directions():
    start = {name: 0.5 * np.array([block, block]) for name, block in START.items()}
    groups = fl.Spectrum([1.5, 0.5], [0.5, 0.5])
    one = fl.Committee(**start, activation="erf", learning_rate=1.0, covariance=groups)
    runs = one.simulate([1.0], dimension=401, runs=16, rng=3, progress=False)
    found = fl.compare(one.solve(runs["time"].values, fluctuations=True), runs)
    assert "the groups have no whole numbers of directions" in str(found)
