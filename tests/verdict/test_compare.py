"""Verdicts: what agrees, what differs, what stays open, what is refused, and how it is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toy
import xarray as xr
from compare_problems import CLOCK, TIMES, Rounded, runs, several, theory

import flowlimits as fl

pytestmark = pytest.mark.usefixtures("toy_classes")


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
        f"a deviation of up to {100 * found.unseen:.2g} % of a variable's scale could go unseen (risk at tau = 0.1).",
        f"Deviation falls as d^{found.exponent:.2f} +- {found.exponent_error:.2f} (expected -1).",
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
    np.testing.assert_allclose(
        data["extrapolated_deviation"].sel(variable="risk"), curves["risk"] - theory()["risk"], atol=1e-14
    )


def test_one_size_leaves_a_plausible_finite_size_effect_open():
    shifted = runs(400)
    shifted["overlap"] = shifted["overlap"] + 3 / 400
    found = fl.compare(theory(), shifted, variables="overlap")
    assert (found.verdict, found.passed) == ("undecided: one size", None)
    assert found.at.variable == "overlap"
    assert found.sentences[0].startswith("undecided: one size. Largest deviation ")
    assert found.sentences[1].startswith(
        "At d = 400 (16 runs) it may be an effect of finite size: beyond its error, d x deviation is "
    )
    assert found.sentences[1].endswith(
        "times the variable's scale, and up to 5 counts as O(1/d). "
        "Bring several sizes: fl.convergence(problem, times, sizes=[400, 800, 1600], runs=16)."
    )


def test_one_size_fails_what_is_too_large_for_a_finite_size_effect():
    found = fl.compare(theory(rate=2.5), runs(400))
    assert (found.verdict, found.passed) == ("differs", False)
    assert found.sentences[1].startswith(
        "Too large for an effect of finite size at d = 400 (16 runs): beyond its error, d x deviation is "
    )


def test_one_size_agrees_where_the_effect_is_below_the_noise():
    found = fl.compare(theory(), runs(400, rng=3))
    assert (found.verdict, found.passed) == ("agrees", True)
    assert found.sentences[1] == (
        "One size, d = 400 (16 runs): a deviation of up to 1.6 % of a variable's scale could go unseen (risk at tau = 0.1)."
    )


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
    assert found.sentences[0].startswith(
        "undecided: one size. A single run at d = 200 has no standard error; its largest deviation is "
    )
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
    rare = [
        fl.wrap(TIMES, overlap=np.exp(3 * rng.standard_normal((24, 12)) - 4.5), dimension=d) for d in (60, 120, 240)
    ]
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
    assert found.verdict == "undecided: not resolved"
    assert found.sentences[2].startswith("Nothing contradicts the theory, but resolution=0.05 allows 5 %: sizes d = ")
    assert found.sentences[3] == "The deviation is too small beside its error at some size for an exponent."


def test_runs_of_one_size_are_joined():
    parts = [runs(400, count=8, rng=seed) for seed in (1, 2)]
    joined = fl.compare(theory(), *parts)
    assert "(16 runs)" in joined.sentences[1]
    means = np.mean([part["risk"].mean("run") for part in parts], axis=0)
    np.testing.assert_allclose(joined.dataset["mean"].sel(variable="risk", size=400), means)


def test_the_same_runs_twice_are_refused():
    with pytest.raises(
        ValueError, match=r"^Two results of size 400 come from the same random streams: they are the same runs\.$"
    ):
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


def test_convergence_simulates_and_compares():
    found = fl.convergence(toy.make(), TIMES, sizes=[50, 100, 200], runs=16, rng=0)
    assert found.verdict == "agrees"
    assert [run.attrs["dimension"] for run in found.runs] == [50, 100, 200]
    assert found.theory.attrs["kind"] == "limit"
    again = fl.convergence(toy.make(), TIMES, sizes=[100, 50], runs=16, rng=0)
    xr.testing.assert_equal(again.runs[0], found.runs[1])
    assert not np.allclose(found.runs[0]["risk"], found.runs[1]["risk"])


def test_a_few_runs_cannot_acquit():
    rng = np.random.default_rng(0)
    limit = Rounded(0.5).solve(TIMES)
    seen = {}
    for count in (3, 12):
        measured = limit["overlap"].values + 0.01 * rng.normal(size=(count, TIMES.size))
        seen[count] = fl.compare(limit, fl.wrap(TIMES, overlap=measured, dimension=10**6, clock=CLOCK))
    assert (seen[3].verdict, seen[3].passed) == ("undecided: few runs", None)
    assert "So few runs leave so wide a margin that next to no theory would fail: bring eight or more." in str(seen[3])
    assert seen[12].verdict == "agrees"
