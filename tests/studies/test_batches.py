"""Grids over one problem class go through `solve_many`, with the bits of one point at a time, and say so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl
from flowlimits.studies import worker as batches
from flowlimits.studies.from_toml import read_study

EXTENSIVE = """
[problem]
class = "ExtensiveQuadratic"
teacher = { kind = "orthonormal" }
[study]
quantity = ["risk", "overlap"]
times = [1.0, 10.0]
[study.axes]
student_ratio = "0.1:1:9"
"teacher.ratio" = "0.1:1:8"
"""
COMMITTEE = """
[problem]
class = "Committee"
Q = [[0.5, 0.1], [0.1, 0.6]]
R = [[0.1, 0.0], [0.05, 0.1]]
T = [[1.0, 0.0], [0.0, 1.0]]
noise = 0.01
[study]
quantity = "risk"
times = [20.0]
[study.axes]
learning_rate = "0.01:0.4:70"
"""


def run(tmp_path, text, name="study", **options):
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    made = read_study(path)
    return fl.study(made.function, made.axes, progress=False, **made.arguments, **options)


def executor_of(table):
    return json.loads(table.attrs["provenance"])["executor"]


@pytest.mark.parametrize("text", [EXTENSIVE, COMMITTEE], ids=["extensive", "committee"])
def test_batches_give_the_bits_of_threads_and_say_what_they_are(tmp_path, text):
    batches = run(tmp_path, text)
    threads = run(tmp_path, text, executor="threads", workers=2)
    assert "solve_many" in executor_of(batches)
    assert "solve_many" not in executor_of(threads)
    for name in threads.data_vars:
        np.testing.assert_array_equal(batches[name], threads[name])
        assert batches[name].attrs == threads[name].attrs
        assert batches[name].dims == threads[name].dims
    xr.testing.assert_identical(batches.drop_attrs(deep=False), threads.drop_attrs(deep=False))


def test_the_numbers_are_those_of_solve(tmp_path):
    table = run(tmp_path, EXTENSIVE)
    problem = fl.ExtensiveQuadratic(
        float(table["student_ratio"][3]), fl.Spectrum.orthonormal(float(table["teacher_ratio"][5]))
    )
    np.testing.assert_array_equal(table["risk"][3, 5], problem.solve([1.0, 10.0])["risk"])


def test_failures_are_recorded_alike_and_the_rest_goes_on(tmp_path):
    text = COMMITTEE.replace("0.01:0.4:70", "0.05:4:8")
    with pytest.warns(UserWarning, match="points failed"):
        batches = run(tmp_path, text)
    with pytest.warns(UserWarning, match="points failed"):
        threads = run(tmp_path, text, executor="threads")
    assert (batches["status"].values == 2).any()
    np.testing.assert_array_equal(batches["status"], threads["status"])
    np.testing.assert_array_equal(batches["failure_message"], threads["failure_message"])
    np.testing.assert_array_equal(batches["risk"], threads["risk"])


def test_a_problem_that_cannot_be_built_is_a_failed_point(tmp_path):
    text = (
        EXTENSIVE.replace('student_ratio = "0.1:1:9"', "student_ratio = [0.5, 0.7]")
        .replace('kind = "orthonormal"', 'kind = "orthonormal", ratio = 0.25')
        .replace('"teacher.ratio" = "0.1:1:8"', 'weight_decay = [0.0, 0.1]\nactivation = ["square", "wrong"]')
    )
    with pytest.warns(UserWarning, match="points failed"):
        table = run(tmp_path, text)
    assert (table["status"].sel(activation="wrong") == 2).all()
    assert (table["status"].sel(activation="square") == 1).all()


def test_options_that_are_refused_are_failed_points_alike(tmp_path):
    text = EXTENSIVE + '[solve]\nmethod = "radau"\n'
    messages = set()
    for executor in (None, "threads"):
        with pytest.raises(fl.StudyError, match="All 72 points that were computed failed") as caught:
            run(tmp_path, text, executor=executor)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_batches_go_on_from_a_folder(tmp_path):
    first = run(tmp_path, EXTENSIVE, folder=tmp_path / "folder", part="1/2")
    assert 0 < int((first["status"] == 1).sum()) < first["status"].size
    whole = run(tmp_path, EXTENSIVE, folder=tmp_path / "folder")
    assert "solve_many" in executor_of(whole)
    again = run(tmp_path, EXTENSIVE, folder=tmp_path / "folder")
    assert executor_of(again) == "none: all points were stored"
    np.testing.assert_array_equal(again["risk"], run(tmp_path, EXTENSIVE)["risk"])


def test_an_interrupt_keeps_the_batches_that_were_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "GOAL", 1e-9)
    monkeypatch.setattr(batches, "solve", stopping(batches.solve, after=1))
    with pytest.raises(fl.StudyInterrupted, match=r"Interrupted after 3 of 72 points"):
        run(tmp_path, EXTENSIVE, folder=tmp_path / "folder", workers=3)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        run(tmp_path, EXTENSIVE, folder=tmp_path / "folder")["risk"], run(tmp_path, EXTENSIVE)["risk"]
    )


def stopping(function, after):
    calls = []

    def wrapped(*arguments):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*arguments)

    return wrapped


@pytest.mark.parametrize("costs", ["cheap", "slow", "rising"])
def test_a_commit_happens_every_second_whatever_a_point_costs(monkeypatch, costs):
    """The clock is counted: points of 10 microseconds, of 0.2 s, and of a cost that rises tenfold along each row of 40."""
    cost = {"cheap": lambda i: 1e-5, "slow": lambda i: 0.2, "rising": lambda i: 0.02 * 10 ** (i % 40 / 40)}[costs]
    now, commits = [0.0], [0.0]

    def solve(task, points, threads):
        now[0] += sum(cost(one) for one in points) / threads
        return len(points)

    monkeypatch.setattr(batches, "solve", solve)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: now[0])
    taken = []
    batches.run(None, int, range(1600 if costs == "rising" else 3000), taken.append, lambda: commits.append(now[0]), 2)
    assert max(np.diff(commits)) <= 1.0
    assert len(taken) <= 15 or costs != "cheap"


@pytest.mark.parametrize(
    "change",
    [
        ('"teacher.ratio" = "0.1:1:8"', '"solve.rtol" = [1e-8, 1e-6]'),
        ('quantity = ["risk", "overlap"]', 'event = { variable = "overlap", value = 0.5 }'),
    ],
    ids=["an axis of the solver", "an event"],
)
def test_grids_that_are_not_alike_are_computed_point_by_point(tmp_path, change):
    table = run(
        tmp_path,
        EXTENSIVE.replace(*change).replace('kind = "orthonormal"', 'kind = "orthonormal", ratio = 0.25')
        if "solve" in change[1]
        else EXTENSIVE.replace(*change),
    )
    assert "solve_many" not in executor_of(table)
