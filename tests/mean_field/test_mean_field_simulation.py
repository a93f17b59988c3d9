"""`MeanField.simulate`: the flow of `Committee`, targets on a grid, and the limit as the width grows."""

import numpy as np
import pytest

import flowlimits as fl
from tests.support.naive_mean_field import FIVE, TWO

SECOND = [1.0, -1.0, 0.5, 2.0, 0.3]
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def weights(seed=0):
    """Return student and teacher weights whose teacher lies along the first axes, in order."""
    rng = np.random.default_rng(seed)
    W_star = np.zeros((2, 7))
    W_star[:, :2] = np.array([[1.0, 0.0], [0.4, 0.8]]) * np.sqrt(7)
    return rng.standard_normal((5, 7)), W_star


@pytest.mark.parametrize("activation", ["erf", "relu", "centred", "hermite3", [0.2, 0.4, -0.3, 0.1]])
@pytest.mark.parametrize("spherical", [False, True])
def test_runs_are_the_flow_of_the_committee(activation, spherical):
    W, W_star = weights()
    physics = {"activation": activation, "second_layer_rate": 0.5, "weight_decay": 0.1, "spherical": spherical}
    times = [0.0, 0.3, 1.0]
    theirs = fl.Committee.from_weights(W, W_star, second_layer=SECOND, **physics).solve(times, **TIGHT)
    problem = fl.MeanField(W_star @ W_star.T / 7, fl.Ensemble.from_weights(W, W_star), **physics)
    ours = problem.simulate(times, student_width=5, weights=W, second_layer=SECOND, **TIGHT)
    assert ours["risk"].values[0] == pytest.approx(theirs["risk"].values, abs=1e-10)


@pytest.mark.parametrize("activation", ["erf", "relu", "centred", "hermite3"])
def test_units_learn_a_target_as_they_learn_the_teacher_that_it_spells_out(activation):
    """The grid and the closed moments share no formula; for ReLU the target is smooth, and its student alone is a ReLU."""
    W, _ = weights()
    cubic = [0.1, 1.0, 0.3, 0.2]
    U = np.array(TWO)

    def target(x):
        return np.polynomial.polynomial.polyval(x @ U.T, cubic).mean(1)

    blank = fl.Ensemble(None, 1.0, np.zeros((1, 2)), 1.0)
    physics = {"activation": activation, "second_layer_rate": 0.5}
    given = fl.MeanField(None, blank, target=target, **physics)
    spelt = fl.MeanField(TWO, blank, teacher_activation=cubic, **physics)
    found = [
        one.simulate([0.0, 0.5], student_width=5, dimension=7, weights=W, second_layer=SECOND, **TIGHT)["risk"].values
        for one in (given, spelt)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_a_shell_of_many_units_is_its_particle():
    """Units drawn from atoms keep their coordinates in the span and their lengths, and point anywhere outside."""
    problem = fl.MeanField(TWO, fl.Ensemble(**FIVE, dimension=8), activation="square")
    runs = problem.simulate([0.0], student_width=1000, runs=2, rng=0, observables=["components"], degree=2)
    limit = problem.solve([0.0], observables=["components"], degree=2)
    assert np.abs(runs["components"].values[:, 0] - limit["components"].values[0]).max() < 0.2
    assert np.abs(runs["risk"].values[:, 0] - limit["risk"].values[0]).max() < 0.3


@pytest.mark.parametrize(("activation", "law", "runs"), [
    ("erf", 1.0, 40), pytest.param("relu", ([1.0, -1.0], [0.6, 0.4]), 60, marks=pytest.mark.slow),
])  # fmt: skip
def test_runs_converge_to_the_limit_in_the_width(activation, law, runs):
    start = fl.Ensemble.gaussian(10, second_layer=law)
    problem = fl.MeanField([[1.0]], start, activation=activation, second_layer_rate=1.0)
    verdict = fl.convergence(
        problem, [0.0, 1.0, 4.0], sizes=[8, 16, 32], runs=runs, rng=1, threads=2, resolution=0.2, progress=False
    )
    assert verdict.passed, str(verdict)


def test_a_wrong_limit_is_found_out_by_runs():
    start = fl.Ensemble.gaussian(6)
    right, wrong = (fl.MeanField([[1.0]], start, second_layer_rate=rate) for rate in (1.0, 0.0))
    runs = [
        right.simulate([4.0], student_width=p, runs=20, rng=p, threads=2, rtol=1e-5, progress=False)
        for p in (24, 48, 96)
    ]
    verdict = fl.compare(wrong.solve([4.0], accuracy=1e-3), *runs)
    assert verdict.passed is False, str(verdict)


@pytest.mark.slow
def test_fluctuations_fall_as_the_root_of_the_width():
    problem = fl.MeanField([[1.0]], fl.Ensemble.gaussian(8), second_layer_rate=1.0)
    spread = [
        problem.simulate([2.0], student_width=p, runs=150, rng=p, threads=2, rtol=1e-5, progress=False)["risk"]
        .values[:, 0]
        .std(ddof=1)
        * np.sqrt(p)
        for p in (16, 64)
    ]
    assert spread[1] == pytest.approx(spread[0], rel=0.35)


def test_noisy_runs_lengthen_as_the_limit_says():
    start = fl.Ensemble.gaussian("infinity")
    problem = fl.MeanField([[1.0]], start, temperature=0.3, weight_decay=0.1, second_layer_rate=0.5)
    limit = problem.solve([1.0, 2.0])["risk"].values
    runs = problem.simulate([1.0, 2.0], student_width=60, dimension=300, runs=2, rng=0, step=0.05)
    assert runs["risk"].values.mean(0) == pytest.approx(limit, rel=0.1)
    kept = fl.MeanField([[1.0]], fl.Ensemble.uniform_sphere(20), spherical=True)
    assert np.isfinite(kept.simulate([1.0], student_width=4, rng=0)["risk"].values).all()


def test_the_second_run_does_not_depend_on_the_first_nor_on_threads():
    problem = fl.MeanField(
        [[1.0]], fl.Ensemble.uniform_sphere(6, second_layer=([1.0, -1.0], [0.5, 0.5])), second_layer_rate=1.0
    )
    one = problem.simulate([0.5], student_width=5, runs=3, rng=4, threads=1)["risk"].values
    two = problem.simulate([0.5], student_width=5, runs=3, rng=4, threads=2)["risk"].values
    assert (one == two).all()
    assert len(set(one[:, 0])) == 3


def test_simulations_are_repeated_bit_for_bit():
    from flowlimits.data import rerun

    problem = fl.MeanField(TWO, fl.Ensemble(**FIVE), second_layer_rate=1.0, temperature=0.1)
    found = problem.simulate(
        [0.1, 0.5], student_width=4, dimension=5, runs=2, rng=3, observables=["function"], step=0.02
    )
    assert rerun.differing(found, rerun.rerun(found)) == []
