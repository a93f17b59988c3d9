"""What is compared, at which times and ratios, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import toy
import xarray as xr
from compare_problems import TIMES, Rounded, runs, several, theory

import flowlimits as fl

pytestmark = pytest.mark.usefixtures("toy_classes")


def test_two_clocks_are_refused():
    with pytest.raises(
        ValueError,
        match=r'^The theory is on the clock "tau = t/d", but the runs are on "t": convert the times of one of them\.$',
    ):
        fl.compare(theory(), fl.wrap(TIMES, overlap=np.ones(12), dimension=100, clock="t"))


def test_the_theory_is_solved_again_at_the_times_of_the_runs():
    coarse = toy.make().solve([0.5, 1.0])
    assert fl.compare(coarse, *several()).dataset["time"].size == 12
    subset = runs(400, times=TIMES[::3])
    assert fl.compare(theory(), subset).dataset["time"].size == 4
    lost = fl.wrap([0.5, 1.0], overlap=[0.1, 0.2], kind="limit")
    with pytest.raises(ValueError, match=r"^The theory lacks times of the runs and holds no problem to solve again: "):
        fl.compare(lost, runs(400))


def test_runs_on_two_grids_are_refused():
    with pytest.raises(ValueError, match=r"^The runs are on different time grids: simulate them at the same times\.$"):
        fl.compare(theory(), runs(100), runs(200, times=TIMES[1:]))


def test_the_theory_is_taken_at_the_realised_ratios():
    problem = Rounded(0.5)
    sizes = (31, 63, 125)  # 0.516, 0.508 and 0.496 of them are realised
    made = [problem.simulate(TIMES, dimension=d, runs=24, rng=d) for d in sizes]
    assert fl.compare(problem.solve(TIMES), *made).verdict == "agrees"
    for wrong in (0.475, 0.525):
        assert fl.compare(Rounded(wrong).solve(TIMES), *made).verdict == "differs"
    found = fl.compare(problem.solve(TIMES), made[0])
    np.testing.assert_allclose(found.dataset["theory"].values[0, 0], 1 - np.exp(-16 / 31 * TIMES))


def test_times_in_which_runs_relax_to_the_limit_are_not_judged(monkeypatch):
    def layered(dimension):
        made = runs(dimension, rng=dimension)
        return made.assign(overlap=made["overlap"] + 0.1 * (made["time"] < 0.55))

    made = [layered(size) for size in (50, 100, 200)]
    assert fl.compare(theory(), *made).verdict == "differs"
    monkeypatch.setattr(toy.Decay, "relaxation_time", lambda self, size: 30 / size, raising=False)
    found = fl.compare(theory(), *made)
    assert found.verdict == "agrees"
    assert found.sentences[-1] == (
        "Not judged: 21 of 36 points, up to time 0.512, where runs of the smallest size still relax to the limit."
    )
    assert found.dataset["judged"].sum() == 15
    assert fl.compare(theory(), made[0]).dataset["judged"].sum() == 15


def test_widths_that_round_to_other_ratios_widen_the_error():
    problem = Rounded(0.05)
    sizes = (50, 90, 170)  # widths 2.5, 4.5 and 8.5
    made = [problem.simulate(TIMES, dimension=d, runs=24, rng=d) for d in sizes]
    found = fl.compare(problem.solve(TIMES), *made)
    bare = fl.compare(problem.solve(TIMES), *[one.assign_attrs(realised_student_ratio=1.0) for one in made])
    assert (found.dataset["extrapolated_error"] > 2 * bare.dataset["extrapolated_error"]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    broken = runs(100)
    broken["risk"][3, 5] = value
    with pytest.raises(
        ValueError, match=rf"^Variable `risk` of the runs must be finite, but is {value} at time 0.390281 in run 3\.$"
    ):
        fl.compare(theory(), broken)


def test_what_is_no_theory_or_no_result_is_refused():
    with pytest.raises(
        ValueError, match=r'^The first argument must be a theory, of kind "limit" or "exact", but is a simulation'
    ):
        fl.compare(runs(100), theory())
    with pytest.raises(TypeError, match=r"^The theory \(first argument\) is a problem: pass its result"):
        fl.compare(toy.make(), runs(100))
    with pytest.raises(TypeError, match=r"^Argument 2 must be a result \(an xarray.Dataset\), but is 3\.$"):
        fl.compare(theory(), 3)
    with pytest.raises(ValueError, match=r"^There is nothing to compare the theory with"):
        fl.compare(theory())
    with pytest.raises(ValueError, match=r"^Compare two theories, or one theory with runs"):
        fl.compare(theory(), theory(), runs(100))
    with pytest.raises(ValueError, match=r"^Argument 2 is no result in time: wrap your own numbers with fl\.wrap"):
        fl.compare(theory(), xr.Dataset())
    with pytest.raises(ValueError, match=r"^The runs name no size"):
        fl.compare(theory(), fl.wrap(TIMES, overlap=np.ones((4, 12))))
    with pytest.raises(ValueError, match=r"^Some runs name a `dimension` and others a `student_width`"):
        fl.compare(theory(), runs(100), fl.wrap(TIMES, risk=np.ones((4, 12)), student_width=10))
    with pytest.raises(ValueError, match=r"^Theory and runs share no variable"):
        fl.compare(theory(), fl.wrap(TIMES, energy=np.ones((4, 12)), dimension=10))
    with pytest.raises(ValueError, match=r"did you mean `overlap`"):
        fl.compare(theory(), runs(100), variables=["overlaps"])
    with pytest.raises(ValueError, match=r"^Argument `level` must be below 1"):
        fl.compare(theory(), runs(100), level=1.5)


def test_own_measurements_with_given_errors():
    limit = theory()
    rng = np.random.default_rng(5)
    mean = limit["overlap"].values + 1e-4 * rng.standard_normal(12)
    measured = fl.wrap(TIMES, overlap=mean, errors={"overlap": np.full(12, 1e-4)}, dimension=10**6)
    assert fl.compare(limit, measured).verdict == "agrees"
    off = fl.wrap(TIMES, overlap=mean + 1e-2, errors={"overlap": np.full(12, 1e-4)}, dimension=10**6)
    assert fl.compare(limit, off).verdict == "differs"


def test_entries_of_matrices_are_points_of_their_own():
    limit = xr.Dataset(
        {"Q": (("time", "i", "j"), np.ones((12, 2, 2)))}, coords={"time": TIMES}, attrs={"kind": "limit"}
    )
    values = 1 + 1e-4 * np.random.default_rng(6).standard_normal((16, 12, 2, 2))
    values[..., 0, 1] += 0.1
    made = xr.Dataset(
        {"Q": (("run", "time", "i", "j"), values)},
        coords={"time": TIMES},
        attrs={"kind": "simulation", "dimension": 10**6},
    )
    found = fl.compare(limit, made)
    assert found.verdict == "differs"
    assert found.at.variable == "Q[0, 1]"
    assert "12 times x 4 variables" in str(found)
    several_made = [made.assign_attrs(dimension=d) for d in (10**4, 10**5, 10**6)]
    assert fl.compare(limit, *several_made).extrapolated["Q"].shape == (12, 2, 2)


def test_convergence_refuses_what_it_cannot_use():
    with pytest.raises(TypeError, match=r"^Argument `problem` must be a problem"):
        fl.convergence("toy", TIMES, sizes=[50], runs=4)
    with pytest.raises(ValueError, match=r"^Argument `sizes` must not repeat a size, but is \[50, 50\]\.$"):
        fl.convergence(toy.make(), TIMES, sizes=[50, 50], runs=4)
    with pytest.raises(ValueError, match=r"^Argument `sizes` must hold at least one size, but is empty\.$"):
        fl.convergence(toy.make(), TIMES, sizes=[], runs=4)
    with pytest.raises(ValueError, match=r"^Argument `runs` must be at least 2, but is 1\.$"):
        fl.convergence(toy.make(), TIMES, sizes=[50], runs=1)


def test_the_outcome_of_a_comparison_is_not_compared_again():
    limit = fl.MeanFieldQuadratic([1.0, 0.5], start=0.25).solve([0.1, 1.0])
    with pytest.raises(ValueError, match="Argument 2 is the outcome of a comparison: pass the theory and the runs"):
        fl.compare(limit, fl.compare(limit, limit).dataset)
