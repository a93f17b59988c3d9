"""What the command line does with files of results: show, rerun, plot, compare, cite."""

import os
import re

import numpy as np
import pytest
import toy

import flowlimits as fl
from flowlimits.core.problem import Problem, description_class
from flowlimits.core.registry import DESCRIPTIONS
from flowlimits.data.rerun import differing

pytestmark = pytest.mark.usefixtures("decay_command")


def test_show_tells_problem_provenance_and_variables(run):
    run("simulate decay --rate 2 --dimension 40 --runs 3 --rng 5 --times 1,2 -o runs.nc")
    status, out, err = run("show runs.nc")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == ["runs.nc", repr(toy.make()), "simulation, dimension 40, 3 runs; the time is tau = t/d"]
    assert any(re.fullmatch(r"  overlap \(run 3, time 2\)  0\.\d+ to 0\.\d+  overlap", line) for line in lines)
    assert "  call: verb simulate, dimension 40, runs 3" in lines
    assert any("numpy " + np.__version__ in line for line in lines)


def test_rerun_repeats_bit_for_bit_and_says_so(run):
    run("simulate decay --rate 2 --dimension 40 --runs 3 --times 1,2 -o runs.nc")
    status, out, _ = run("rerun runs.nc -o again.nc")
    count = len(fl.load("runs.nc").variables)
    assert (status, out) == (0, f"runs.nc: all {count} coordinates and variables are the same bit for bit.\n")
    assert differing(fl.load("runs.nc"), fl.load("again.nc")) == []


def test_rerun_names_what_differs(run):
    run("solve decay --rate 2 --times 1,2 -o limit.nc")
    changed = fl.load("limit.nc")
    changed["overlap"].values[1] = np.nextafter(changed["overlap"].values[1], 1)
    fl.save(changed, "limit.nc")
    assert run("rerun limit.nc")[:2] == (1, "limit.nc: not the same: overlap.\n")


def test_rerun_names_changed_versions(run):
    run("solve decay --rate 2 --times 1,2 -o limit.nc")
    changed = fl.load("limit.nc")
    changed["overlap"].values[1] += 1
    changed.attrs["provenance"] = changed.attrs["provenance"].replace(np.__version__, "1.0.0")
    fl.save(changed, "limit.nc")
    assert run("rerun limit.nc")[1].splitlines()[1] == f"Versions changed: numpy 1.0.0 -> {np.__version__}."


def test_plot_writes_equal_files_for_equal_results(run):
    run("solve decay --rate 2 --times 0.1:10:20:log -o limit.nc")
    run("simulate decay --rate 2 --dimension 40 --runs 3 --rng 1 --times 0.1:10:20:log -o runs.nc")
    for name in ("one.pdf", "two.pdf"):
        status, out, err = run(f"plot limit.nc runs.nc --variable misalignment -o {name}")
        assert (status, out, err) == (0, f"Saved to {name}.\n", "")
    with open("one.pdf", "rb") as one, open("two.pdf", "rb") as two:
        content = one.read()
        assert content.startswith(b"%PDF")
        assert content == two.read()
    assert run("plot limit.nc --variable overlp -o x.pdf")[::2] == (
        2,
        "Error: A result has no variable `overlp` in time; did you mean `overlap`?\n",
    )
    assert sorted(os.listdir()) == ["limit.nc", "one.pdf", "runs.nc", "two.pdf"]


def test_compare_returns_its_verdict_as_status(run):
    run("solve decay --rate 2 --times 1,2 -o limit.nc")
    run("solve decay --rate 2.5 --times 1,2 -o other.nc")
    status, out, _ = run("compare limit.nc limit.nc")
    assert status == 0
    assert out.startswith("agrees")
    status, out, _ = run("compare limit.nc other.nc -o deviation.nc")
    assert status == 1
    assert out.startswith("differs")
    assert fl.load("deviation.nc").attrs["verdict"] == "differs"
    run("simulate decay --rate 2 --dimension 40 --runs 1 --times 1,2 -o runs.nc")
    status, out, _ = run("compare limit.nc runs.nc")
    assert status == 3
    assert out.startswith("undecided")


def test_converge_leaves_figure_data_and_verdict(run):
    line = "converge decay --rate 2 --sizes 20,40,80 --runs 6 --rng 0 --times 0.1:2:6:log"
    status, out, err = run(f"{line} --out figures/decay")
    problem, times = toy.make(), np.geomspace(0.1, 2, 6)
    expected = fl.convergence(problem, times, sizes=[20, 40, 80], runs=6, rng=0)
    assert status == {True: 0, False: 1, None: 3}[expected.passed]
    assert err == ""
    assert out == f"{expected}\nSaved to figures/decay.png, figures/decay.pdf, figures/decay.nc.\n"
    assert sorted(os.listdir("figures")) == ["decay.nc", "decay.pdf", "decay.png"]
    saved = fl.load("figures/decay.nc")
    for name, values in expected.dataset.variables.items():
        np.testing.assert_array_equal(saved[name].values, values.values)
    assert fl.load_problem(saved) == problem
    assert run("rerun figures/decay.nc")[0] == 0
    assert run("plot figures/decay.nc -o deviation.svg")[0] == 0
    shown = run("show figures/decay.nc")[1].splitlines()
    assert shown[1] == repr(problem)
    assert str(expected).splitlines()[0] in shown


def test_cite_prints_the_papers_of_problems_files_and_results(run):
    run("solve decay --rate 2 --times 1,2 -o limit.nc")
    for target in ("decay", "limit.nc"):
        status, out, _ = run(f"cite {target}")
        assert status == 0
        assert re.findall(r"^@\w+\{(\w+),$", out, re.MULTILINE) == ["flowlimits", "martin2024"]
    assert re.findall(r"^@\w+\{(\w+),$", run("cite")[1], re.MULTILINE) == ["flowlimits"]


def test_cite_takes_the_name_of_every_class_of_problems(run):
    classes = [name for name in DESCRIPTIONS if issubclass(description_class(name), Problem)]
    assert len(classes) >= 8
    for name in classes:
        status, out, _ = run(f"cite {name}")
        assert (status, out) == (0, fl.cite(description_class(name)) + "\n")
    status, _, err = run("cite GuessAndChek")
    assert status == 2
    assert "There is no problem, class or file 'GuessAndChek'; did you mean 'GuessAndCheck'?" in err
