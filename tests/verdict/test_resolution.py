"""What could go unseen is stated, and nothing is acquitted or condemned beyond what the sizes can tell."""

import re

import numpy as np
import pytest
from compare_problems import TIMES, several, theory

import flowlimits as fl

pytestmark = pytest.mark.usefixtures("toy_classes")


def test_a_theory_is_acquitted_within_the_resolution_only():
    runs = several(count=100)
    found = fl.compare(theory(), *runs)
    strict = fl.compare(theory(), *runs, resolution=found.unseen / 2)
    assert (found.verdict, strict.verdict, strict.passed) == ("agrees", "undecided: not resolved", None)
    assert strict.unseen == found.unseen == found.dataset.attrs["unseen"]
    margin = found.allowed * found.dataset["extrapolated_error"] / np.abs(found.dataset["theory"]).max("time")
    assert found.unseen <= 1.5 * float(margin.max())
    with pytest.raises(ValueError, match=r"^Argument `resolution` must be positive, but is 0\.0\.$"):
        fl.compare(theory(), *runs, resolution=0.0)


@pytest.mark.parametrize(("spread", "differs"), [(0.02, True), (0.4, False)])
def test_a_slow_bias_condemns_only_where_single_runs_agree_with_each_other(spread, differs):
    """A bias that hardly falls with the size is a wrong theory, unless the runs scatter as they do while a plateau is left."""
    rng = np.random.default_rng(0)
    limit = fl.wrap(TIMES, overlap=np.ones(TIMES.size), kind="limit")
    runs = [
        fl.wrap(TIMES, overlap=1 - bias + spread * rng.standard_normal((400, 1)) * np.ones(TIMES.size), dimension=d)
        for d, bias in ((100, 0.30), (200, 0.27), (400, 0.24))
    ]
    assert (fl.compare(limit, *runs).passed is False) == differs


def test_a_constant_factor_in_the_clock_is_found_with_its_error():
    """Runs on a clock that runs 2.5 times as fast follow exp(-2 * 2.5 t): the factor is theirs, and its error covers it."""
    pulls, errors = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gap = 0.5 * np.exp(-5.0 * TIMES) * (1 + 0.02 * rng.standard_normal((30, 1)))
        measured = fl.wrap(TIMES, misalignment=gap, overlap=1 - gap, dimension=1000)
        found = str(fl.compare(theory(), measured))
        said = re.search(r"the runs follow the theory at ([\d.]+) \+- ([\d.e-]+) times their tau\.", found)
        assert "A constant factor in the clock would explain it" in found
        pulls.append((float(said[1]) - 2.5) / float(said[2]))
        errors.append(float(said[2]))
    assert np.abs(pulls).max() < 4
    assert max(errors) < 0.05


def test_another_curve_is_no_factor_in_the_clock():
    curve = 0.5 * np.exp(-2.0 * TIMES) + 0.2
    noise = 0.002 * np.random.default_rng(0).standard_normal((16, 1))
    found = fl.compare(theory(), fl.wrap(TIMES, misalignment=curve + noise, dimension=1000))
    assert found.passed is False
    assert "factor in the clock" not in str(found)


def test_a_tolerance_decides_where_no_standard_error_can():
    exact = fl.wrap(TIMES, overlap=np.linspace(0.5, 1, TIMES.size), kind="exact")
    single = fl.wrap(TIMES, overlap=exact["overlap"].values + 0.008, dimension=50)
    found = fl.compare(exact, single, tolerance=0.01)
    assert (found.verdict, found.unit, found.allowed) == ("agrees", "tolerances", 1.0)
    assert found.largest == pytest.approx(0.8 / 1.008, rel=1e-3)  # scale: the largest value of both
    assert found.sentences[0].startswith("agrees: largest deviation 0.79 % of the variable's scale (overlap at time = ")
    assert found.sentences[0].endswith("12 times x 1 variable); tolerance=0.01 allows 1 %.")
    assert fl.compare(exact, single, tolerance=0.007).passed is False
    assert fl.compare(exact, single).passed is None
    rng = np.random.default_rng(1)
    several_runs = fl.wrap(
        TIMES, overlap=exact["overlap"].values + 0.008 + 1e-4 * rng.standard_normal((16, 1)), dimension=50
    )
    assert fl.compare(exact, several_runs, tolerance=0.01).verdict == "agrees"
    assert fl.compare(exact, several_runs, tolerance=0.006).verdict == "differs"
    assert fl.compare(exact, several_runs).verdict == "undecided: one size"
    other = fl.wrap(TIMES, overlap=exact["overlap"].values + 0.008, kind="exact")
    assert [fl.compare(exact, other, tolerance=t).passed for t in (None, 0.01)] == [False, True]


def test_a_gradient_flow_compared_with_sgd_is_told_what_it_lacks():
    overlaps = {"Q": [[0.5]], "R": [[0.3]], "T": [[1.0]], "activation": "erf"}
    times = [1.0, 2.0]
    runs = fl.Committee(**overlaps, learning_rate=2.0).simulate(times, dimension=1000, runs=16, rng=0, progress=False)
    found = fl.compare(fl.Committee(**overlaps).solve(times), runs)
    assert found.passed is not True
    assert "it lacks the terms of second order in the learning rate" in str(found)
