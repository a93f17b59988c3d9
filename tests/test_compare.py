"""Verdicts: what agrees, what differs, what stays open, what is refused, and how it is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl
from flowlimits import checks, results, streams
from flowlimits.load import DESCRIPTIONS
from flowlimits.problem import Problem
from flowlimits.results import Variable

TIMES = np.geomspace(0.1, 2, 12)
CLOCK = "tau = t/d"


@pytest.fixture(autouse=True)
def known_classes(monkeypatch):
    for name, module in toy.TABLE.items():
        monkeypatch.setitem(DESCRIPTIONS, name, module)
    monkeypatch.setitem(DESCRIPTIONS, "Rounded", __name__)


@dataclass(frozen=True, eq=False, repr=False)
class Rounded(Problem):
    """A limit that depends on a width over the dimension, which is rounded in a simulation."""

    student_ratio: float

    clock: ClassVar[str] = CLOCK
    kind: ClassVar[str] = "limit"
    variables: ClassVar[dict[str, Variable]] = {"overlap": Variable("overlap", r"\chi")}

    def _curve(self, times):
        return 1 - np.exp(-self.student_ratio * times)

    def realised(self, dimension):
        return Rounded(round(self.student_ratio * dimension) / dimension)

    def solve(self, times, *, rtol=1e-9, atol=1e-11):
        call = {"verb": "solve", "rtol": rtol, "atol": atol}
        return results.build(self, kind="limit", times=checks.times(times), variables={"overlap": self._curve(times)}, call=call)

    def simulate(self, times, *, dimension, runs, rng=None, threads=None, progress=None):
        noise = np.array([g.standard_normal() for g in streams.generators(streams.root(rng), runs)])
        curves = self.realised(dimension)._curve(times) * (1 + (1 + noise[:, None]) / dimension)
        attrs = {"realised_student_ratio": self.realised(dimension).student_ratio}
        return results.build(
            self, kind="simulation", times=times, variables={"overlap": curves}, call={}, run=True, dimension=dimension, attrs=attrs
        )


def theory(rate=2.0):
    return toy.make(rate).solve(TIMES)


def runs(dimension, count=16, rng=0, rate=2.0, times=TIMES):
    return toy.make(rate).simulate(times, dimension=dimension, runs=count, rng=rng)


def several(sizes=(50, 100, 200), **options):
    return [runs(size, rng=size, **options) for size in sizes]


def test_the_right_theory_agrees_and_says_so():
    found = fl.compare(theory(), *several(count=100))
    assert found.verdict == "agrees"
    assert found.passed is True
    assert found.unit == "standard errors"
    assert found.largest <= found.allowed
    assert found.exponent == pytest.approx(-1, abs=3 * found.exponent_error)
    assert str(found) == repr(found) == "\n".join(found.sentences)
    assert found.sentences == (
        f"agrees: largest deviation {found.largest:.2f} standard errors ({found.at.variable} at tau = {found.at.time:.3g}; "
        f"family-wise level 0.01 over 12 times x 3 variables allows {found.allowed:.2f}).",
        "Extrapolated to infinite dimension from d = 50, 100, 200 (100 runs each): "
        "the error is at most 0.48 % of a variable's scale.",
        "Deviation falls as d^-1.04 +- 0.10 (expected -1).",
    )


def test_a_wrong_theory_differs_and_says_where():
    found = fl.compare(theory(rate=2.1), *several())
    assert (found.verdict, found.passed) == ("differs", False)
    assert found.sentences[0].startswith("differs: largest deviation ")
    assert found.largest > found.allowed
    assert found.at.time in TIMES


def test_a_comparison_in_html_escapes_and_marks_the_verdict():
    html = fl.compare(theory(), *several())._repr_html_()
    assert html.startswith("<p><b>agrees</b>: largest deviation")
    assert "variable&#x27;s scale" in html


def test_extrapolated_curves_lie_on_the_theory_within_their_errors():
    found = fl.compare(theory(), *several())
    curves = found.extrapolated
    for name in ("risk", "overlap", "misalignment"):
        assert (np.abs(curves[name] - theory()[name]) < 4 * curves[f"{name}_error"]).all()
        assert curves[name].dims == ("time",)
    data = found.dataset
    assert data["deviation"].dims == ("size", "variable", "time")
    assert list(data["variable"].values) == ["risk", "overlap", "misalignment"]
    np.testing.assert_allclose(data["mean"] - data["theory"], data["deviation"])
    one = runs(100, rng=100)["risk"]
    np.testing.assert_allclose(
        data["standard_error"].sel(size=100, variable="risk"), one.std("run", ddof=1) / 4, rtol=1e-12
    )
    np.testing.assert_allclose(data["extrapolated_deviation"].sel(variable="risk"), curves["risk"] - theory()["risk"], atol=1e-14)


def test_one_size_leaves_a_plausible_finite_size_effect_open():
    shifted = runs(400)
    shifted["overlap"] = shifted["overlap"] + 3 / 400
    found = fl.compare(theory(), shifted, variables="overlap")
    assert (found.verdict, found.passed) == ("undecided: one size", None)
    assert found.at.variable == "overlap"
    assert found.sentences[0].startswith("undecided: one size. Largest deviation ")
    assert found.sentences[1].startswith("At d = 400 (16 runs) it may be an effect of finite size: beyond its error, d x deviation is ")
    assert found.sentences[1].endswith(
        "times the variable's scale, and up to 5 counts as O(1/d). "
        "Bring several sizes: fl.convergence(problem, times, sizes=[400, 800, 1600], runs=16)."
    )


def test_one_size_fails_what_is_too_large_for_a_finite_size_effect():
    found = fl.compare(theory(rate=2.5), runs(400))
    assert (found.verdict, found.passed) == ("differs", False)
    assert found.sentences[1].startswith("Too large for an effect of finite size at d = 400 (16 runs): beyond its error, d x deviation is ")


def test_one_size_agrees_where_the_effect_is_below_the_noise():
    found = fl.compare(theory(), runs(400, rng=3))
    assert (found.verdict, found.passed) == ("agrees", True)
    assert found.sentences[1] == "One size, d = 400 (16 runs): what is smaller than the standard errors is not seen."


def test_one_size_is_right_at_a_million_dimensions():
    verdicts = [fl.compare(theory(), runs(10**6, rng=seed)).verdict for seed in range(40)]
    assert verdicts.count("agrees") >= 37
    wrong = [fl.compare(theory(rate=2.001), runs(10**6, rng=seed)).passed for seed in range(10)]
    assert wrong == [False] * 10


def test_the_scale_of_a_finite_size_effect_is_the_smallest_width():
    wide = runs(400).assign_attrs(realised_student_ratio=0.5, realised_teacher_ratio=0.05)
    assert fl.compare(theory(rate=2.5), wide).verdict == "undecided: one size"
    assert "deviation x smallest width (20) is" in str(fl.compare(theory(rate=2.5), wide))


def test_an_exact_theory_is_not_told_to_bring_sizes():
    exact = theory().assign_attrs(kind="exact")
    shifted = runs(400)
    shifted["overlap"] = shifted["overlap"] + 3 / 400
    assert "since the theory is exact at every size" in str(fl.compare(exact, shifted))


def test_fluctuations_of_order_one_make_a_shift_plausible():
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 12)
    curves = ramp + 0.3 * rng.standard_normal((32, 1)) * ramp + 0.2 * ramp
    limit = fl.wrap(TIMES, overlap=ramp, kind="limit")
    assert fl.compare(limit, fl.wrap(TIMES, overlap=curves, dimension=10**6)).verdict == "undecided: one size"
    steady = ramp + 1e-3 * rng.standard_normal((32, 1)) * ramp + 0.2 * ramp
    assert fl.compare(limit, fl.wrap(TIMES, overlap=steady, dimension=10**6)).verdict == "differs"


def test_one_run_has_no_standard_error():
    found = fl.compare(theory(), runs(200, count=1))
    assert (found.verdict, found.passed) == ("undecided: one size", None)
    assert np.isnan(found.largest)
    assert found.sentences[0].startswith("undecided: one size. A single run at d = 200 has no standard error; its largest deviation is ")
    assert found.sentences[0].endswith("Bring several runs.")
    found = fl.compare(theory(), runs(100), runs(200, count=1))
    assert (found.verdict, found.passed, found.extrapolated) == ("undecided: one run", None, None)


def test_variables_without_variance_are_held_to_the_tolerance():
    limit = fl.wrap(TIMES, overlap=np.ones(12), kind="limit", clock=CLOCK)
    sizes = (50, 100, 200)

    def constant(extra):
        return [fl.wrap(TIMES, overlap=np.ones((8, 12)) * (1 + 1 / d + extra), dimension=d, clock=CLOCK) for d in sizes]

    assert fl.compare(limit, *constant(0.0)).passed is True
    assert fl.compare(limit, *constant(1e-3)).passed is False
    tolerant = limit.assign_attrs(provenance=json.dumps({"rtol": 1e-5, "atol": 1e-5}))
    assert fl.compare(tolerant, *constant(1e-3)).passed is True


def test_a_start_without_deviation_or_variance_is_no_deviation():
    times = np.append(0.0, TIMES)
    limit = fl.wrap(times, overlap=times, kind="limit")
    noise = 0.01 * np.random.default_rng(1).standard_normal((8, 1))
    found = fl.compare(limit, fl.wrap(times, overlap=times * (1 + noise), dimension=10**6))
    assert found.dataset["score"].isel(time=0).item() == 0
    assert found.passed is True


def test_points_carried_by_rare_runs_are_not_judged():
    limit = fl.wrap(TIMES, overlap=np.ones(12), kind="limit")
    rng = np.random.default_rng(2)
    rare = [fl.wrap(TIMES, overlap=np.exp(3 * rng.standard_normal((24, 12)) - 4.5), dimension=d) for d in (60, 120, 240)]
    found = fl.compare(limit, *rare)
    assert found.verdict == "undecided: skewed runs"
    assert found.sentences[1] == (
        "Not judged: 12 of 12 points, where single runs are so skewed that their mean is not determined."
    )
    assert not found.dataset["judged"].any()
    assert fl.compare(limit, rare[0]).verdict == "undecided: one size"


def test_noise_without_a_deviation_has_no_exponent():
    limit = fl.wrap(TIMES, overlap=np.ones(12), kind="limit")
    rng = np.random.default_rng(3)
    noisy = [fl.wrap(TIMES, overlap=1 + rng.standard_normal((24, 12)), dimension=d) for d in (60, 120, 240)]
    found = fl.compare(limit, *noisy)
    assert np.isnan(found.exponent)
    assert found.sentences[2] == "The deviation is too small beside its error at some size for an exponent."


def test_runs_of_one_size_are_joined():
    parts = [runs(400, count=8, rng=seed) for seed in (1, 2)]
    joined = fl.compare(theory(), *parts)
    assert "(16 runs)" in joined.sentences[1]
    means = np.mean([part["risk"].mean("run") for part in parts], axis=0)
    np.testing.assert_allclose(joined.dataset["mean"].sel(variable="risk", size=400), means)


def test_the_same_runs_twice_are_refused():
    with pytest.raises(ValueError, match=r"^Two results of size 400 come from the same random streams: they are the same runs\.$"):
        fl.compare(theory(), runs(400), runs(400))


def test_the_same_input_gives_the_same_verdict():
    first, second = (fl.compare(theory(), *several()) for _ in range(2))
    assert first.sentences == second.sentences
    xr.testing.assert_identical(first.dataset, second.dataset)


def test_the_order_of_sizes_does_not_matter():
    assert str(fl.compare(theory(), *several())) == str(fl.compare(theory(), *several((200, 50, 100))))


def test_two_theories_are_compared_in_their_tolerances():
    one, two = theory(), theory()
    same = fl.compare(one, two)
    assert (same.verdict, same.passed, same.largest, same.unit) == ("agrees", True, 0.0, "tolerances")
    assert same.sentences == (
        "agrees: largest difference 0.00 tolerances (risk at tau = 0.1; 12 times x 3 variables).",
        "Up to 100 are allowed: tolerances bound the error of a step, not that of the whole solution.",
    )
    two["overlap"] = two["overlap"] + 5e-8
    shifted = fl.compare(one, two)
    assert shifted.at.variable == "overlap"
    assert shifted.largest == pytest.approx(5e-8 / (2e-8 * float(two["overlap"].sel(time=shifted.at.time))), rel=1e-3)
    assert shifted.passed is True
    assert fl.compare(one, theory(rate=2.001)).verdict == "differs"


def test_two_clocks_are_refused():
    with pytest.raises(
        ValueError, match=r'^The theory is on the clock "tau = t/d", but the runs are on "t": convert the times of one of them\.$'
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
    with pytest.raises(ValueError, match=rf"^Variable `risk` of the runs must be finite, but is {value} at time 0.390281 in run 3\.$"):
        fl.compare(theory(), broken)


def test_what_is_no_theory_or_no_result_is_refused():
    with pytest.raises(ValueError, match=r'^The first argument must be a theory, of kind "limit" or "exact", but is a simulation'):
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
    limit = xr.Dataset({"Q": (("time", "i", "j"), np.ones((12, 2, 2)))}, coords={"time": TIMES}, attrs={"kind": "limit"})
    values = 1 + 1e-4 * np.random.default_rng(6).standard_normal((16, 12, 2, 2))
    values[..., 0, 1] += 0.1
    made = xr.Dataset({"Q": (("run", "time", "i", "j"), values)}, coords={"time": TIMES}, attrs={"kind": "simulation", "dimension": 10**6})
    found = fl.compare(limit, made)
    assert found.verdict == "differs"
    assert found.at.variable == "Q[0, 1]"
    assert "12 times x 4 variables" in str(found)
    several_made = [made.assign_attrs(dimension=d) for d in (10**4, 10**5, 10**6)]
    assert fl.compare(limit, *several_made).extrapolated["Q"].shape == (12, 2, 2)


def test_convergence_simulates_and_compares():
    found = fl.convergence(toy.make(), TIMES, sizes=[50, 100, 200], runs=16, rng=0)
    assert found.verdict == "agrees"
    assert [run.attrs["dimension"] for run in found.runs] == [50, 100, 200]
    assert found.theory.attrs["kind"] == "limit"
    again = fl.convergence(toy.make(), TIMES, sizes=[100, 50], runs=16, rng=0)
    xr.testing.assert_equal(again.runs[0], found.runs[1])
    assert not np.allclose(found.runs[0]["risk"], found.runs[1]["risk"])


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


def test_a_few_runs_cannot_acquit():
    rng = np.random.default_rng(0)
    limit = Rounded(0.5).solve(TIMES)
    seen = {}
    for runs in (3, 12):
        measured = limit["overlap"].values + 0.01 * rng.normal(size=(runs, TIMES.size))
        seen[runs] = fl.compare(limit, fl.wrap(TIMES, overlap=measured, dimension=10**6, clock=CLOCK))
    assert (seen[3].verdict, seen[3].passed) == ("undecided: few runs", None)
    assert "So few runs leave so wide a margin that next to no theory would fail: bring eight or more." in str(seen[3])
    assert seen[12].verdict == "agrees"
