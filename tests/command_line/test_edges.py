"""The command line where files, folders and requests do not fit: what it says, what it leaves, and with which status."""

import os
import runpy
import sys

import numpy as np
import pytest

import flowlimits as fl


@pytest.fixture
def spectral(tmp_path):
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    fl.save(problem.solve([0.5], spectrum=np.linspace(0.1, 6, 30)), tmp_path / "limit.nc")
    fl.save(problem.simulate([0.5], dimension=20, rng=0, observables=["eigenvalues"]), tmp_path / "runs.nc")
    return problem


def test_a_spectrum_is_drawn_from_a_limit_and_one_simulation(run, spectral):
    assert run("plot limit.nc runs.nc --spectrum --time 0.5 -o spectrum.pdf")[0] == 0
    assert os.path.getsize("spectrum.pdf") > 1000
    status, _, err = run("plot limit.nc runs.nc runs.nc --spectrum -o more.pdf")
    assert status == 2
    assert "--spectrum takes a limit and at most one simulation, but 3 files are given." in err
    status, _, err = run("plot limit.nc --time 0.5 -o other.pdf")
    assert status == 2
    assert "--time belongs to --spectrum." in err
    assert sorted(name for name in os.listdir() if name.endswith(".pdf")) == ["spectrum.pdf"]


def test_a_comparison_is_drawn_alone(run):
    problem = fl.MeanFieldQuadratic([1.0, 0.5], 0.3)
    fl.save(fl.convergence(problem, [0.5], sizes=[4, 8, 16], runs=2, rng=0).dataset, "widths.nc")
    assert run("plot widths.nc -o widths.png")[0] == 0
    status, _, err = run("plot widths.nc widths.nc -o two.png")
    assert status == 2
    assert "A comparison is drawn alone: its deviations against the size." in err


def test_a_bibliography_is_printed_for_a_class_a_description_and_a_result(run, spectral):
    with open("problem.toml", "w") as file:
        file.write(
            '[problem]\nclass = "ExtensiveQuadratic"\nstudent_ratio = 0.5\nteacher = { kind = "orthonormal", ratio = 0.25 }\n'
        )
    entries = {run(f"cite {target}")[1] for target in ("extensive", "problem.toml", "limit.nc")}
    assert entries == {fl.cite(spectral) + "\n"}


def test_results_of_problems_that_are_unknown_here_are_shown_all_the_same(run, spectral):
    result = fl.load("limit.nc")
    result.attrs["problem"] = result.attrs["problem"].replace("ExtensiveQuadratic", "ExtensiveCubic")
    result.attrs["provenance"] = "{"
    result.to_netcdf("foreign.nc", engine="h5netcdf")
    status, out, _ = run("show foreign.nc")
    assert status == 0
    assert (
        "(problem unknown here: There is no problem class `ExtensiveCubic`; did you mean `ExtensiveQuadratic`?)" in out
    )
    assert "(unreadable)" in out


def test_a_result_without_times_has_no_table(run):
    networks = fl.GuessAndCheck([[1.0, 0.2], [-0.4, 1.0]], [1, -1], [[1.0, 0.5]], [1]).simulate([2], runs=2, rng=0)
    fl.save(networks, "networks.nc")
    status, out, _ = run("show networks.nc")
    assert status == 0
    assert "acceptance (width 1)" in out


def test_targets_that_cannot_be_written_are_refused_before_any_work(run):
    with open("file", "w") as file:
        file.write("kept")
    os.mkdir("folder.nc")
    flow = "solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.1"
    status, _, err = run(f"{flow} -o file/result.nc")
    assert status == 2
    assert "Cannot write file/result.nc: the folder " in err
    status, _, err = run(f"{flow} -o folder.nc")
    assert status == 2
    assert "Cannot write folder.nc: it is a folder." in err
    status, _, err = run(f"{flow} -o result.txt")
    assert status == 2
    assert "Cannot write result.txt: the name must end in one of .nc" in err
    with open("file") as file:
        assert file.read() == "kept"


def test_a_target_that_no_file_can_be_made_at_is_refused(run, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("flowlimits.core.files.os.open", refuse)
    status, _, err = run("solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.1 -o result.nc")
    assert status == 2
    assert "Cannot write result.nc: Permission denied." in err


def test_the_size_has_the_name_that_the_problem_gives_it(run):
    with open("flow.toml", "w") as file:
        file.write(
            '[problem]\nclass = "ExtensiveQuadratic"\nstudent_ratio = 0.5\nteacher = { kind = "orthonormal", ratio = 0.25 }\n'
        )
    status, _, err = run("simulate flow.toml --times 0.1")
    assert status == 2
    assert "The size is missing: give --dimension, or `dimension` in the section [simulate]." in " ".join(err.split())


def test_running_out_of_memory_is_told(run, monkeypatch):
    def exhausted(*arguments, **options):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(fl.ExtensiveQuadratic, "solve", exhausted)
    status, out, err = run("solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.1")
    assert (status, out, err) == (2, "", "Error: Not enough memory: Unable to allocate 9 GiB\n")


def test_the_package_runs_as_a_module(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["flowlimits", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("flowlimits", run_name="__main__")
    assert end.value.code == 0
    assert fl.__version__ in capsys.readouterr().out


def test_names_of_the_package_are_listed_before_they_load():
    assert set(fl.__all__) <= set(dir(fl))


def test_an_interrupted_convergence_says_that_nothing_is_kept(run, monkeypatch):
    from flowlimits.core import threads
    from flowlimits.verdict import compare

    def stopped(*_, **__):
        raise threads.Interrupted("Interrupted after 3 of 8 runs.", {})

    monkeypatch.setattr(compare, "convergence", stopped)
    status, _, error = run("converge extensive --student-ratio 0.5 --teacher-ratio 0.25")
    assert status == 130
    assert "Interrupted after 3 of 8 runs. Nothing is saved: a verdict needs all sizes." in error
