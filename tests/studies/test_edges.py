"""Studies at their edges: interrupts, journals that grow, damaged neighbours, and refusals on the command line."""

import functools
import os
import time

import numpy as np
import pytest
import study_functions as functions
import xarray as xr

import flowlimits as fl
from flowlimits.command_line.main import main
from flowlimits.studies import driver as underway
from flowlimits.studies import store
from flowlimits.studies.from_toml import read_study
from flowlimits.toml.file import ConfigError

STUDY = """
[problem]
class = "ExtensiveQuadratic"
teacher = { kind = "orthonormal", ratio = 0.1 }

[study]
verb = "solve"
times = [0.5]
quantity = "risk"

[study.axes]
student_ratio = [0.25, 0.5]
"""


def call(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def interrupted_at(a, log):
    """Interrupt the study at its fifth point, as Ctrl-C would."""
    with open(log, "a") as file:
        file.write("x")
    if os.path.getsize(log) == 5:
        raise KeyboardInterrupt
    return a


def test_an_interrupted_refinement_keeps_its_points(tmp_path):
    pytest.importorskip("adaptive")
    log = str(tmp_path / "log")
    options = {"points": 12, "folder": tmp_path / "s", "parameters": {"log": log}, "progress": False, "workers": 1}
    with pytest.raises(fl.StudyInterrupted, match=r"^Interrupted after \d+ of 12 points\.") as caught:
        fl.refine(interrupted_at, {"a": (0.0, 1.0)}, **options)
    table = fl.refine(interrupted_at, {"a": (0.0, 1.0)}, **options)
    assert (table["status"] == 1).all()
    np.testing.assert_array_equal(table["interrupted_at"], table["a"])
    if caught.value.partial is not None:
        assert int((caught.value.partial["status"] == 1).sum()) <= 5


def test_a_refinement_of_failures_alone_is_an_error():
    pytest.importorskip("adaptive")

    def fails(a):
        raise ValueError("never")

    with pytest.raises(
        fl.StudyError, match=r"^All \d+ points that were computed failed; the first, at a=[\d.]+: ValueError: never"
    ):
        fl.refine(fails, {"a": (0.0, 1.0)}, points=6, progress=False)


def test_a_refinement_needs_one_number_to_follow():
    pytest.importorskip("adaptive")

    def path(a):
        return {"path": np.array([a, 2 * a]), "end": 2 * a}

    with pytest.raises(ValueError, match=r"returns no single number as `path`: name another one with `variable`\."):
        fl.refine(path, {"a": (0.0, 1.0)}, points=6, progress=False)
    table = fl.refine(path, {"a": (0.0, 1.0)}, points=6, progress=False, variable="end")
    np.testing.assert_allclose(table["end"], 2 * table["a"])


def test_a_journal_stays_small_and_forgets_nothing_under_way(tmp_path):
    keys = [bytes([i]) * 16 for i in range(4)]
    journal = underway.Journal(tmp_path / "u", keys)
    open_ = journal.begin([0, 3])
    journal.written = 4_000_000
    journal.end(journal.begin([1, 2]))
    assert journal.path.stat().st_size < 1000
    assert underway.suspicions(tmp_path / "u")[1] == {keys[0], keys[3]}
    journal.end(open_)
    assert underway.suspicions(tmp_path / "u") == ({}, set())
    journal.close()
    assert list((tmp_path / "u").iterdir()) == []


def test_a_parent_on_another_host_lives_as_long_as_it_shows_it(tmp_path):
    folder = tmp_path / "u"
    journal = underway.Journal(folder, [b"0" * 16])
    journal.begin([0])
    journal.file.close()
    far = journal.path.rename(folder / "1.7.another-host")
    assert underway.suspicions(folder)[1] == {b"0" * 16}
    long_ago = time.time() - 10 * underway.SILENCE_SECONDS
    os.utime(far, (long_ago, long_ago))
    deaths, living = underway.suspicions(folder)
    assert (dict(deaths), living) == ({b"0" * 16: 1}, set())


def test_the_heartbeat_touches_the_journal(tmp_path):
    journal = underway.Journal(tmp_path / "u", [b"0" * 16])
    os.utime(journal.path, (1, 1))
    journal.beat()
    assert journal.path.stat().st_mtime == 1
    journal.beaten -= 10 * underway.HEARTBEAT_SECONDS
    journal.beat()
    assert journal.path.stat().st_mtime > 1
    journal.close()


def test_parts_of_killed_parents_are_swept_away_after_a_day(tmp_path):
    axes = {"a": [1.0], "b": [2.0]}
    fl.study(functions.product, axes, folder=tmp_path, progress=False)
    old, young = (tmp_path / "points" / f".{name}.npz.part" for name in ("old", "young"))
    for left in (old, young):
        left.write_text("x")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    fl.study(functions.product, axes, folder=tmp_path, progress=False)
    assert not old.exists()
    assert young.exists()


def test_a_file_system_without_hard_links_still_settles_a_study(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(store.os, "link", refuse)
    table = fl.study(functions.product, {"a": [1.0, 2.0], "b": [3.0]}, folder=tmp_path, progress=False)
    assert (tmp_path / "study.json").is_file()
    xr.testing.assert_equal(
        fl.study(functions.product, {"a": [1.0, 2.0], "b": [3.0]}, folder=tmp_path, progress=False), table
    )


def test_what_a_studys_function_may_be():
    axes = {"a": [1.0], "b": [2.0]}
    positional = functools.partial(functions.product, 1.0)
    cases = [
        (
            positional,
            {},
            TypeError,
            "A study's function may be a functools.partial with keywords, but not with positional arguments.",
        ),
        (3, {}, TypeError, "Argument `function` must be a function, but is 3."),
        (functions.product, {"version": 2}, TypeError, "Argument `version` must be a word, but is 2."),
        (
            functions.product,
            {"parameters": {"a": 1}},
            TypeError,
            "`a` is an axis and a parameter; it can be one of them.",
        ),
        (functions.product, {"executor": object}, TypeError, None),
    ]
    for function, options, kind, message in cases:
        with pytest.raises(kind) as caught:
            fl.study(function, axes, progress=False, **options)
        if message is None:
            assert str(caught.value).startswith("Argument `executor` must make an executor, but made <object")
        else:
            assert str(caught.value) == message


def test_results_that_no_table_holds_fail_with_a_sentence():
    cases = [
        ({1: 2.0}, "The function returned a mapping with the key 1; its keys must be names."),
        ({"inner": {"x": 1.0}}, "The function returned a mapping inside a mapping, under `inner`."),
        (xr.Dataset(), "The function returned a Dataset without variables."),
        (
            {
                "x": xr.DataArray([1.0], coords={"t": [0.0]}, dims="t"),
                "y": xr.DataArray([1.0], coords={"t": [1.0]}, dims="t"),
            },
            "The function returned two different coordinates `t`.",
        ),
    ]
    for result, message in cases:
        with pytest.raises(fl.StudyError) as caught:
            fl.study(lambda a, result=result: result, {"a": [1.0]}, progress=False)
        assert message.rstrip(".") in str(caught.value)


FAULTS = [
    (('quantity = "risk"', "quantity = 3"), "study.quantity: must be the name of a variable or a list of such names."),
    (("student_ratio = [0.25, 0.5]", ""), "study.axes: must be a table with at least one axis."),
    (
        ("[study.axes]", '[study.axes]\n"teacher.ratio" = [0.1]\nteacher_ratio = [0.2]'),
        "study.axes: two axes have the same name once dots are underscores.",
    ),
    (
        ("[study.axes]", '[study.axes]\n"teacher.ratio.deep" = [0.1]'),
        "study.axes: `teacher.ratio.deep` leads into `ratio`, which is no table.",
    ),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=range(len(FAULTS)))
def test_faults_of_the_axes_are_sentences(tmp_path, change, message):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace(*change))
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    assert f"{path}: {message}" in str(caught.value).splitlines()


def test_an_array_file_that_is_missing_is_named(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        STUDY.replace('{ kind = "orthonormal", ratio = 0.1 }', '{ kind = "eigenvalues", values = "lost.npy" }')
    )
    with pytest.raises(ConfigError, match=r"cannot read the array file lost\.npy \("):
        read_study(path)


def test_a_scheduler_and_an_executor_exclude_each_other(tmp_path, capsys):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    assert call(["study", str(path), "--scheduler", "here", "--executor", "threads"]) == 2
    assert "--scheduler and --executor exclude each other." in capsys.readouterr().err


def test_dask_that_is_missing_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    assert call(["study", str(path), "--scheduler", "here:1"]) == 2
    assert '--scheduler needs dask: pip install "flowlimits[distributed]".' in capsys.readouterr().err


def test_adaptive_that_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "adaptive", None)
    with pytest.raises(ImportError) as caught:
        fl.refine(functions.sleep, {"a": (0.0, 1.0)}, points=6)
    assert str(caught.value) == 'fl.refine needs the package adaptive: pip install "flowlimits[adaptive]".'


def test_a_notebook_shows_an_interrupt_in_one_line():
    """IPython asks an exception how to show itself."""
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactive.InteractiveShell()
    with pytest.importorskip("IPython.utils.capture").capture_output() as shown:
        shell.run_cell(
            "import flowlimits as fl\n"
            "def stop(x):\n    raise KeyboardInterrupt\n"
            "fl.study(stop, dict(x=[1.0, 2.0]), progress=False, workers=1)"
        )
    assert shown.stdout.strip().splitlines() == ["StudyInterrupted: Interrupted after 0 of 2 points."]
