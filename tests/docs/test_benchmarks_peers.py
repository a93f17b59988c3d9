"""The comparison with other integrators: what cannot be imported is named, and the page is made from stored numbers."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
CONDITIONS = {
    "date": "2026-01-02", "python": "3.11.7", "machine": "x86_64", "processor": "A processor", "cores": 2, "load": 0.5,
    "versions": {"numpy": "2.4.6", "torch": "not installed"}, "quick": False,
}  # fmt: skip


@pytest.fixture
def peers(monkeypatch):
    """Return a module of the benchmark by its name."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"validation.benchmarks.peers.{name}")


def row(processor, **more):
    return {
        "rtol": 1e-8,
        "problems": 10_000,
        "median": 4e-9,
        "worst": 1e-8,
        "processor": processor,
        "wall": processor,
        "repeats": 3,
    } | more


@pytest.fixture
def stored():
    """Numbers as a measurement leaves them, smaller."""
    ours, other = "flowlimits solve_many", "numbalsoda lsoda"
    points = {name: [row(10.0, rtol=1e-6, median=1e-7), row(20.0)] for name in (ours, other)}
    return json.loads(json.dumps({
        "throughput": {
            "conditions": CONDITIONS, "problems": 10_000, "components": 26, "sample": 16, "reference": {other: 1e-13}, "first_call": {other: 2.0},
            "points": points, "equal": {ours: row(20.0), other: row(130.0)}, "matched": {ours: row(25.0)},
            "skipped": {"CyRK DOP853": "ModuleNotFoundError: No module named 'CyRK'"},
        },
        "threads": {
            "conditions": CONDITIONS, "skipped": {},
            "rows": {ours: {"median": 1.7, "best": 1.9, "processors": 1.9, "work": 1.0, "same_bits": True}},
        },
        "large": {
            "conditions": CONDITIONS, "skipped": {},
            "rows": [{"problems": 1000, "wall": 1.0, "processor": 0.5, "peak": 3_000_000, "returned": 1_000_000, "overlaps": 900_000, "before": 1, "finished": 999}],
        },
    }))  # fmt: skip


def test_integrators_that_cannot_be_imported_are_named_with_the_reason(peers, monkeypatch):
    for name in ("numbalsoda", "CyRK", "diffrax", "torchdiffeq"):
        monkeypatch.setitem(sys.modules, name, None)
    subject = peers("subject").make(2)
    built, skipped = peers("integrators").build_all(subject)
    missing = {
        one.name: one.package for one in peers("integrators").INTEGRATORS if one.package not in ("flowlimits", "scipy")
    }
    assert set(skipped) == set(missing)
    assert set(built) == {one.name for one in peers("integrators").INTEGRATORS} - set(missing)
    for name, package in missing.items():
        assert package in skipped[name] or "jax" in skipped[name] or "torch" in skipped[name]


def test_straight_lines_and_matrices_are_the_same_equations(peers):
    subject = peers("subject").make(3)
    compute = subject.function("def f(t, y, dy, p):")
    for index in range(3):
        dy = np.empty(26)
        compute(0.0, subject.y0s[index], dy, subject.inputs[index])
        np.testing.assert_allclose(
            dy, peers("subject").velocity(subject.y0s[index], subject.T[index]), rtol=1e-12, atol=1e-13
        )


def test_a_subject_comes_back_from_its_file(peers, tmp_path):
    subject = peers("subject").make(2)
    subject.save(tmp_path / "subject.npz")
    again = peers("subject").load(tmp_path / "subject.npz")
    assert again.lines == subject.lines
    for name in ("Q", "R", "T", "y0s", "inputs"):
        assert np.array_equal(getattr(again, name), getattr(subject, name))


def test_times_are_interpolated_to_an_error_and_not_beyond(peers):
    at_error = peers("clock").at_error
    assert at_error([1e-4, 1e-8], [10.0, 1000.0], 1e-6) == pytest.approx(100.0)
    assert at_error([1e-8, 1e-4], [1000.0, 10.0], 1e-8) == pytest.approx(1000.0)
    assert np.isnan(at_error([1e-4, 1e-8], [10.0, 1000.0], 1e-9))


def test_the_page_says_who_was_faster_what_was_missed_and_who_was_left_out(peers, stored):
    text = peers("page").render(stored)
    assert "| numbalsoda lsoda | 130 µs | 6.5 | 4e-09 (1e-08) | does not reach it |  |  | 10,000 |" in text
    assert "Left out: CyRK DOP853 (ModuleNotFoundError: No module named 'CyRK')." in text
    assert "| numbalsoda dop853 | equal | not measured | not measured | 3 |" in text
    assert "| flowlimits solve_many | 1.70 times | 1.90 | 1.90 | 1.00 | the same bits | 1.6 times |" in text
    assert "2026-01-02, A processor (x86_64, 2 cores, load 0.5), Python 3.11.7, numpy 2.4.6." in text
    assert "torch not" not in text
    assert "| 1,000 | 1.0 s | 500 µs | 1 MB | 3 MB | 3.0 | 999 |" in text


def test_a_goal_that_is_missed_is_called_missed(peers, stored):
    found = stored["throughput"]
    found["matched"] |= {"numbalsoda lsoda": row(100.0), "flowlimits integrate_batch dop853": row(12.5)}
    assert "| numbalsoda lsoda | equal error | 4 times, missed | 8 times | 6 times |" in peers("page").render(stored)
    found["matched"]["numbalsoda lsoda"] = row(200.0)
    assert "| numbalsoda lsoda | equal error | 8 times | 16 times | 6 times |" in peers("page").render(stored)


def test_a_second_thread_is_judged_only_where_it_had_a_processor(peers, stored):
    [gain] = stored["threads"]["rows"].values()
    gain |= {"median": 1.1, "processors": 1.2}
    assert "1.10 times, not decided: the processors were not free" in peers("page").render(stored)
    gain |= {"processors": 1.9}
    assert "1.10 times, missed" in peers("page").render(stored)


def test_only_the_section_between_the_markers_is_written(peers, stored, tmp_path):
    page = peers("page")
    (tmp_path / "figures").mkdir()
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        page.write(tmp_path, stored)
        text = path.read_text(encoding="utf-8")
        assert text == f"before\n{page.BEGIN}\n\n{page.render(stored)}\n{page.END}\nafter\n"
    assert {one.name for one in (tmp_path / "figures").iterdir()} == {
        "performance_precision.svg",
        "performance_precision.png",
    }
    path.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must hold the lines"):
        page.write(tmp_path, stored)


def test_the_page_of_the_documentation_holds_the_markers(peers):
    page = peers("page")
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page.replace(text, "new").count("new\n") == 1


def test_the_command_keeps_stored_numbers_and_prints_the_page(peers, stored, tmp_path, monkeypatch):
    monkeypatch.setattr(peers("__main__"), "ONE_THREAD", {})
    output = tmp_path / "peers.json"
    output.write_text(json.dumps(stored), encoding="utf-8")
    done = CliRunner().invoke(peers("__main__").main, ["--no-run", "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "| numbalsoda lsoda | 130 µs |" in done.output
    assert json.loads(output.read_text(encoding="utf-8")) == stored
