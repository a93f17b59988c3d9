"""Verdicts without a time axis, the exponents of the kinds of data, and runs extrapolated where no limit is known."""

import math

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl
from flowlimits.verdict import grids, without_theory

MP = fl.Spectrum.marchenko_pastur


def example(**changes):
    fields = {"noise": 0.25, "weight_decay": 0.4} | changes
    return fl.EmpiricalQuadratic(0.7, MP(0.5), 0.4, **fields)


END = example().solve()


def made_up(problem, size, runs, order, shift=0.0, coefficient=20.0, data_order=None, seed=0):
    """Return runs whose mean deviates from the end of training by a power of the size."""
    end, rng = END if problem is None else problem.solve(), np.random.default_rng([seed, size])
    names = ("risk", "trace")
    values = {
        name: ("run", float(end[name]) * (1 + shift + coefficient / size**order) + 0.005 * rng.standard_normal(runs))
        for name in names
    }
    attrs = {"kind": "simulation", "clock": "", "dimension": size, "order": data_order or order}
    return xr.Dataset(values, attrs=attrs)


def test_ends_of_training_are_compared_number_by_number():
    problem = example()
    runs = [made_up(problem, size, 30, 2) for size in (20, 40, 60)]
    verdict = fl.compare(problem.solve(), *runs)
    assert verdict.passed
    assert "over 2 variables allows" in str(verdict)
    assert "at time" not in str(verdict)
    assert verdict.exponent == pytest.approx(-2, abs=0.3)
    assert "(expected -2)" in str(verdict)


def test_a_wrong_end_of_training_differs():
    problem = example()
    runs = [made_up(problem, size, 30, 2, shift=0.2) for size in (20, 40, 60)]
    assert fl.compare(problem.solve(), *runs).verdict == "differs"


def test_results_along_a_coordinate_are_compared_on_it():
    problem = example()
    one, two = problem.solve(sample_ratios=[0.3, 0.5]), example(noise=0.26).solve(sample_ratios=[0.3, 0.5])
    assert fl.compare(one, one).passed
    verdict = fl.compare(one, two)
    assert verdict.verdict == "differs"
    assert "at sample_ratio = " in str(verdict)
    with pytest.raises(
        ValueError, match="The theory runs over `sample_ratio`, but what it is compared with has no coordinate"
    ):
        fl.compare(one, problem.solve())
    both = problem.solve(sample_ratios=[0.3], weight_decays=[0.1])
    with pytest.raises(ValueError, match="A result over `sample_ratio` and `weight_decay` is judged along one of them"):
        fl.compare(both, both)


def test_kinds_of_data_are_not_mixed():
    runs = [made_up(example(), 20, 4, 1), made_up(example(), 40, 4, 2)]
    with pytest.raises(ValueError, match=r"^Some runs deviate as 1/d and others as 1/d\^2"):
        fl.compare(example().solve(), *runs)


def test_convergence_judges_the_end_without_times():
    verdict = fl.convergence(example(), sizes=[10, 20], runs=6, rng=0, data="hermitian", rtol=1e-3, progress=False)
    assert verdict.verdict != "differs"
    assert {"risk", "trace"} <= {str(name) for name in verdict.dataset["variable"].values}
    with pytest.raises(TypeError, match=r"^Argument `times` is missing: convergence needs it\.$"):
        fl.convergence(fl.ExtensiveQuadratic(0.5, MP(0.5)), sizes=[10, 20], runs=4)


@pytest.mark.parametrize("order", [1, 2])
def test_extrapolations_recover_what_was_put_in(order):
    """Means at infinite size lie within their errors, and these are not much larger than the scatter."""
    end = END
    scores = []
    for seed in range(24):
        runs = [made_up(None, size, 12, order, coefficient=2.0, seed=seed) for size in (20, 40, 60, 100)]
        found = without_theory.extrapolate_runs([grids.on_a_grid(run) for run in runs])
        assert found.attrs["kind"] == "extrapolated"
        assert found["risk"].dims == ()
        scores.append((float(found["risk"]) - float(end["risk"])) / float(found["risk_error"]))
    assert 0.2 < np.sqrt(np.mean(np.square(scores))) < 1.4


def test_without_a_limit_in_time_the_runs_are_extrapolated():
    found = fl.convergence(example(), [0.1, 1.0], sizes=[10, 20], runs=6, rng=0, data="hermitian", progress=False)
    assert found.attrs["kind"] == "extrapolated"
    assert found.attrs["order"] == 2
    assert found["risk"].dims == ("time",)
    assert (found["risk_error"] > 0).all()


def test_any_room_extrapolates_its_runs_and_meets_its_own_limit(recwarn):
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), activation="centred")
    times = [0.1, 0.5]
    found = fl.convergence(problem, times, sizes=[16, 32, 64, 128], runs=16, rng=0, theory=False, progress=False)
    limit = problem.solve(times)
    for name in ("risk", "overlap"):
        assert (np.abs(found[name] - limit[name]) < 4 * found[name + "_error"]).all()
    assert not recwarn.list


def test_rounded_widths_are_warned_of_where_no_theory_corrects_them():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), activation="centred")
    with pytest.warns(UserWarning, match="Widths are rounded differently at these sizes"):
        fl.convergence(problem, [0.1], sizes=[16, 17], runs=2, rng=0, theory=False, progress=False)
    with pytest.raises(ValueError, match="Runs of one size cannot be extrapolated"):
        fl.convergence(problem, [0.1], sizes=[16], runs=2, rng=0, theory=False, progress=False)


def test_ratios_are_compared_as_they_are_realised():
    problem = example()
    there = problem.realised(21)
    assert there.student_ratio == pytest.approx(15 / 21)
    assert there.sample_ratio == pytest.approx(round(0.4 * 441) / 441)
    assert fl.EmpiricalQuadratic(0.5, MP(0.5), math.inf).realised(20).infinite


@pytest.mark.slow
def test_the_reference_curve_in_time_is_met_by_hermitian_extrapolation():
    problem = fl.EmpiricalQuadratic(0.4, MP(0.3), 0.3, noise=0.25, weight_decay=0.04)
    T = np.array([0.03, 0.1, 0.3, 1, 3, 10])
    reference = np.array([4.286, 3.104, 1.987, 1.234, 0.918, 0.831])
    error = np.array([0.011, 0.013, 0.012, 0.010, 0.009, 0.007])
    found = fl.convergence(
        problem,
        T / 2,
        sizes=[20, 40, 60],
        runs=30,
        rng=0,
        data="hermitian",
        rtol=1e-3,
        variables="risk",
        progress=False,
    )
    assert (np.abs(found["risk"] - reference) < 3 * np.hypot(error, found["risk_error"])).all()
    assert (found["risk_error"] < 0.1 * reference).all()
