"""Many problems in one call give the numbers of one at a time, and tell which problem is at fault."""

from __future__ import annotations

import json

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.committee import many
from flowlimits.committee.equations import system

TIMES = np.linspace(0.0, 8.0, 6)


def networks(number, p=2, k=2, **physics):
    return [fl.Committee.random(p, k, dimension=40, rng=index, **physics) for index in range(number)]


def arrays(problems):
    return {name: np.array([getattr(problem, name) for problem in problems]) for name in ("Q", "R", "T")}


def provenance(result):
    return json.loads(result.attrs["provenance"])


PHYSICS = [
    {},
    {"activation": "centred", "weight_decay": 0.05},
    {"learning_rate": 0.02, "noise": 0.1},
    {"learning_rate": 0.02, "second_layer_rate": 0.5},
    {"activation": "erf", "learning_rate": 0.1},
    {"activation": "hermite3", "scale": 0.3, "learning_rate": 0.01},
    {"activation": "x**2 + x", "teacher_activation": "square"},
    {"spherical": True, "learning_rate": 0.02},
    {"activation": "relu"},
]


@pytest.mark.parametrize("physics", PHYSICS, ids=lambda physics: "-".join(map(str, physics)) or "plain")
def test_a_list_of_problems_gives_the_numbers_of_solve(physics):
    problems = networks(5, **physics)
    result = fl.solve_many(problems, TIMES)
    assert (result["status"] == "success").all()
    for index, problem in enumerate(problems):
        alone = problem.solve(TIMES)
        assert set(map(str, result.data_vars)) == {
            str(name) for name in alone.data_vars if not str(name).startswith("problem_")
        }
        for name in result.data_vars:
            np.testing.assert_allclose(result[name][index], alone[name], rtol=1e-7, atol=1e-9)
            assert result[name].dims == ("problem", *alone[name].dims)


@pytest.mark.parametrize("physics", PHYSICS, ids=lambda physics: "-".join(map(str, physics)) or "plain")
def test_parameters_and_starts_on_arrays_are_those_of_each_problem(physics):
    problems = networks(4, 2, 3, **physics)
    rest = {
        name: np.array([getattr(one, name) for one in problems], dtype=float)
        for name in many.AXES
        if name not in ("Q", "R", "T")
    }
    batch = many.Many(problems[0], 4, *arrays(problems).values(), rest)
    params, starts = batch.parameters(slice(1, 4)), batch.starts(slice(1, 4))
    for row, problem in enumerate(problems[1:]):
        np.testing.assert_array_equal(params[row], system.parameters(problem, problem.learning_rate))
        np.testing.assert_array_equal(starts[row], system.start(problem))
        assert batch.problem(row + 1) == problem


@pytest.mark.parametrize(
    "physics",
    [
        {},
        {"activation": "erf"},
        {"activation": "hermite3", "scale": 0.3},
        {"activation": "hermite2", "learning_rate": 0.01, "teacher_activation": "x**2 + x"},
    ],
    ids=["square", "erf", "hermite3", "polynomial noise"],
)
def test_a_straight_line_and_single_lanes_have_the_same_bits_whatever_the_threads(physics):
    problems = networks(140, **physics)
    result = fl.solve_many(problems, TIMES, threads=1)
    assert "straight line" in provenance(result)["route"]
    few = fl.solve_many(problems[20:30], TIMES, threads=2)
    assert provenance(few)["route"] == "lanes"
    two = fl.solve_many(problems, TIMES, threads=2)
    for name in result.data_vars:
        np.testing.assert_array_equal(two[name], result[name])
        np.testing.assert_array_equal(few[name], result[name][20:30])


def test_arrays_are_a_list_of_problems_in_short():
    problems = networks(6)
    rates = np.linspace(0.0, 0.05, 6)
    T = problems[0].T
    result = fl.solve_many(
        fl.Committee,
        {"Q": arrays(problems)["Q"], "R": arrays(problems)["R"] * 0.1, "T": T, "learning_rate": rates},
        TIMES,
    )
    listed = [fl.Committee(one.Q, 0.1 * one.R, T, learning_rate=rate) for one, rate in zip(problems, rates)]
    other = fl.solve_many(listed, TIMES)
    for name in result.data_vars:
        np.testing.assert_array_equal(result[name], other[name])
    np.testing.assert_array_equal(result["learning_rate"], rates)
    assert result.attrs["kind"] == "limit"
    assert fl.solve_many(problems, TIMES).attrs["kind"] == "exact"


def test_different_equations_in_one_list_are_solved_in_groups_and_returned_in_order():
    problems = networks(3) + networks(2, activation="erf") + networks(2, learning_rate=0.01, second_layer_rate=1.0)
    order = [5, 0, 3, 6, 1, 4, 2]
    result = fl.solve_many([problems[i] for i in order], TIMES)
    assert result.attrs["kind"] == "limit"
    np.testing.assert_array_equal(result["learning_rate"], [problems[i].learning_rate for i in order])
    assert list(result["activation"].values) == [problems[i].activation for i in order]
    for row, index in enumerate(order):
        np.testing.assert_allclose(result["risk"][row], problems[index].solve(TIMES)["risk"], rtol=1e-7, atol=1e-12)
        assert np.isfinite(result["second_layer"][row]).all() == (index >= 5)


def test_schedules_are_solved_one_by_one():
    problems = networks(2, learning_rate=fl.Schedule([0.0, 4.0], [0.02, 0.01]))
    result = fl.solve_many(problems, TIMES)
    assert provenance(result)["route"] == "one by one"
    np.testing.assert_array_equal(result["risk"][1], problems[1].solve(TIMES)["risk"])


def test_observables_are_those_of_solve():
    problems = networks(3)
    result = fl.solve_many(problems, TIMES, observables=["overlap", "specialisation"])
    for index, problem in enumerate(problems):
        alone = problem.solve(TIMES, observables=["overlap", "specialisation"])
        for name in ("overlap", "specialisation"):
            np.testing.assert_allclose(result[name][index], alone[name], rtol=1e-7)


def test_a_diverging_problem_leaves_the_others_alone():
    problems = networks(5, learning_rate=0.01)
    diverging = fl.Committee(problems[0].Q, problems[0].R, problems[0].T, learning_rate=3.0)
    with pytest.warns(
        RuntimeWarning,
        match=r"1 of 6 problems failed; the first is problem 3: .*The flow diverged.*Lower the learning rate, 3",
    ):
        result = fl.solve_many([*problems[:3], diverging, *problems[3:]], [0.0, 0.1, 50.0])
    alone = fl.solve_many(problems, [0.0, 0.1, 50.0])
    np.testing.assert_array_equal(result["risk"].isel(problem=[0, 1, 2, 4, 5]), alone["risk"])
    assert result["status"][3] != "success"
    assert np.isnan(result["risk"][3, -1])
    assert np.isfinite(result["risk"][3, 0])
    assert result["reached"][3] < 50


def test_extensive_limits_are_those_of_solve():
    ratios = np.linspace(0.2, 1.2, 4)
    teachers = [
        fl.Spectrum.orthonormal(0.25),
        fl.Spectrum.orthonormal(0.5),
        fl.Spectrum.marchenko_pastur(0.5),
        fl.Spectrum.orthonormal(1.0),
    ]
    times = [0.0, 0.1, 10.0]
    result = fl.solve_many(fl.ExtensiveQuadratic, {"student_ratio": ratios, "teacher": teachers}, times)
    for index in range(4):
        alone = fl.ExtensiveQuadratic(float(ratios[index]), teachers[index]).solve(times)
        for name in result.data_vars:
            np.testing.assert_array_equal(result[name][index], alone[name])
    np.testing.assert_array_equal(result["student_ratio"], ratios)


def test_a_failed_extensive_limit_has_a_status():
    with pytest.warns(RuntimeWarning, match="2 of 2 problems failed; the first is problem 0"):
        result = fl.solve_many(
            fl.ExtensiveQuadratic,
            {"student_ratio": [0.5, 0.7], "teacher": fl.Spectrum.orthonormal(0.25)},
            [0.1, 1e4],
            max_steps=3,
        )
    assert (result["status"] == "too many steps").all()


def test_any_class_with_a_clock_can_be_solved():
    result = fl.solve_many(
        fl.MeanFieldQuadratic, {"teacher_eigenvalues": [[1.0, 0.5], [1.0, 0.2]], "start": 0.5}, TIMES
    )
    alone = fl.MeanFieldQuadratic([1.0, 0.2], 0.5).solve(TIMES)
    np.testing.assert_array_equal(result["risk"][1], alone["risk"])


def test_a_result_is_saved_and_loaded(tmp_path):
    result = fl.solve_many(networks(3), TIMES)
    fl.save(result, tmp_path / "many.nc")
    again = fl.load(tmp_path / "many.nc")
    np.testing.assert_array_equal(again["Q"], result["Q"])
    assert list(again["status"].values) == ["success"] * 3


def test_an_interrupt_returns_what_is_finished(monkeypatch):
    from flowlimits.ode.batch import lanes

    problems = networks(8)
    calls = []

    def stopped(self, count):
        calls.append(count)
        if len(calls) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(lanes.Batch, "finished", stopped)
    monkeypatch.setattr(lanes, "SLICE", 1e-9)
    with pytest.warns(RuntimeWarning, match="Interrupted: . of 8 problems are finished"):
        result = fl.solve_many(problems, TIMES, threads=1)
    assert (result["status"] == "interrupted").any()
    unfinished = result["risk"].values[result["status"].values == "interrupted"]
    assert np.isnan(unfinished[:, -1]).all()


def test_an_interrupt_between_two_blocks_keeps_those_before_it(monkeypatch):
    problems = networks(6)
    monkeypatch.setattr(many, "BLOCK", 2)
    describe = many.Many.describe

    def interrupted(self, rows, *rest):
        if rows.start == 4:
            raise KeyboardInterrupt
        describe(self, rows, *rest)

    monkeypatch.setattr(many.Many, "describe", interrupted)
    with pytest.warns(RuntimeWarning, match="Interrupted: 4 of 6 problems are finished"):
        result = fl.solve_many(problems, TIMES)
    assert list(result["status"].values) == ["success"] * 4 + ["interrupted"] * 2
    assert np.isnan(result["risk"][4:]).all()


def test_blocks_do_not_change_the_numbers(monkeypatch):
    problems = networks(10)
    whole = fl.solve_many(problems, TIMES)
    monkeypatch.setattr(many, "BLOCK", 4)
    parts = fl.solve_many(problems, TIMES)
    np.testing.assert_array_equal(parts["Q"], whole["Q"])


def fields(**changed):
    return arrays(networks(20)) | changed


def with_entry(name, index, value):
    values = arrays(networks(20))[name].copy()
    values[index] = value
    return values


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fl.solve_many(fl.Committee, fields(Q=with_entry("Q", (17, 0, 0), np.nan)), TIMES), "Argument `Q` must be finite, but problem 17 holds nan."),
        (lambda: fl.solve_many(fl.Committee, fields(R=arrays(networks(5))["R"]), TIMES), "Arguments must hold one value for each problem, but `Q` holds 20 and `R` 5."),
        (lambda: fl.solve_many(fl.Committee, fields(Q=[np.eye(2), np.eye(3)]), TIMES), "Argument `Q` must have the same shape for every problem, but problem 0 has (2, 2) and problem 1 has (3, 3)."),
        (lambda: fl.solve_many(fl.Committee, {name: value[:0] for name, value in fields().items()}, TIMES), "Argument `Q` must hold at least one problem, but is empty."),
        (lambda: fl.solve_many(fl.Committee, fields(Q=with_entry("Q", 11, -np.eye(2))), TIMES), "Overlaps of problem 11 are not feasible"),
        (lambda: fl.solve_many(fl.Committee, fields(Q=with_entry("Q", (3, 0, 1), 0.9)), TIMES), "Argument `Q` must be symmetric, but that of problem 3 is not."),
        (lambda: fl.solve_many(fl.Committee, fields(noise=[0.0] * 19 + [-1.0]), TIMES), "Problem 19: Argument `noise` must not be negative, but is -1.0."),
        (lambda: fl.solve_many(fl.Committee, fields(), np.array([[0.0, 1.0], [0.0, 2.0]])), "Argument `times` must be one-dimensional: all problems share the requested times."),
        (lambda: fl.solve_many(fl.Committee, fields(), TIMES, threads=0), "Argument `threads` must be at least 1, but is 0."),
        (lambda: fl.solve_many([], TIMES), "Argument `problems` must hold at least one problem, but is empty."),
        (lambda: fl.solve_many(networks(1) + networks(1, 3, 2), TIMES), "Problems must have the same widths, but problem 0 has (p, k) = (2, 2) and problem 1 (3, 2)."),
        (lambda: fl.solve_many(fl.Committee, {name: value[0] for name, value in fields().items()}, TIMES), "for a single problem use `solve`"),
        (lambda: fl.solve_many(fl.ExtensiveQuadratic, {"student_ratio": [0.5, -1.0], "teacher": fl.Spectrum.orthonormal(0.25)}, TIMES), "Problem 1: Argument `student_ratio` must be positive, but is -1.0."),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_with_the_problem(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fl.solve_many(networks(2)), "Argument `times` is missing"),
        (lambda: fl.solve_many(networks(1)[0], TIMES), "but is one problem; use its `solve`."),
        (lambda: fl.solve_many(fl.Committee, None, TIMES), "Argument `fields` must be a mapping"),
        (lambda: fl.solve_many(fl.Committee, {"Q": fields()["Q"]}, TIMES), "Argument `R` is missing"),
        (lambda: fl.solve_many(fl.Committee, fields(activation=["erf"] * 20), TIMES), "Argument `activation` must be the same for all problems"),
        (lambda: fl.solve_many(fl.Committee, fields(learning_rates=1.0), TIMES), "did you mean `learning_rate`?"),
        (lambda: fl.solve_many([*networks(1), fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.5))], TIMES), "must hold problems of one class"),
        (lambda: fl.solve_many(fl.MarginFlow, {}, TIMES), "must be a problem class that is solved over times"),
        (lambda: fl.solve_many(fl.MeanFieldQuadratic, {"teacher_eigenvalues": [[1.0], [2.0]], "start": 1.0}, TIMES, max_steps=4, observables=["risk"], method="auto", atol=3.0, rtol="a"), "Argument `rtol` must be a number"),
    ],
)  # fmt: skip
def test_things_of_the_wrong_kind_are_refused(call, words):
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value)


def test_a_table_of_many_problems_is_told_from_a_result_of_one():
    problems = networks(3)
    result = fl.solve_many(problems, TIMES)
    with pytest.raises(ValueError, match=r"holds 3 problems: pass one of them, such as result.isel\(problem=0\)\."):
        fl.compare(result, problems[0].solve(TIMES))
    assert fl.compare(result.isel(problem=1), problems[1].solve(TIMES)).passed
    with pytest.raises(ValueError, match="holds the numbers of many problems, and not the problems"):
        fl.extend(result, [9.0])


def test_neighbours_that_diverge_do_not_make_overlaps_infeasible():
    overlaps = {"Q": [[0.5, 0.1], [0.1, 0.6]], "R": [[0.1, 0.0], [0.05, 0.1]], "T": np.eye(2), "noise": 0.01}
    problems = [fl.Committee(**overlaps, learning_rate=rate) for rate in (0.05, 4.0)]
    with pytest.warns(RuntimeWarning, match="1 of 2 problems failed"):
        found = fl.solve_many(problems, [20.0])
    assert found["risk"].values[0, 0] == problems[0].solve([20.0])["risk"].values[0]
