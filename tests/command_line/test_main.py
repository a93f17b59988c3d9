"""The command line: what it prints, leaves and returns, on a problem with a closed form."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import toy

import flowlimits as fl
from flowlimits.command_line import main as cli
from flowlimits.command_line import problems
from flowlimits.core.threads import Interrupted
from flowlimits.data.rerun import differing

pytestmark = pytest.mark.usefixtures("decay_command")


def test_solve_prints_and_saves_what_python_computes(run):
    status, out, err = run("solve decay --rate 2 --times 0.1:10:5:log -o limit.nc")
    assert (status, err) == (0, "")
    expected = toy.make().solve(np.geomspace(0.1, 10, 5))
    assert differing(fl.load("limit.nc"), expected) == []
    lines = out.splitlines()
    assert lines[0] == repr(toy.make())
    assert lines[1] == "limit; the time is tau = t/d"
    assert lines[3].split() == ["time", "risk", "overlap", "misalignment"]
    assert lines[4].split() == ["0.1", "0.16758", "0.590635", "0.409365"]
    assert lines[-1] == "Saved to limit.nc."


def test_missing_folders_are_made(run):
    assert run("solve decay --rate 2 --times 1,2 -o a/b/limit.nc")[0] == 0
    assert os.listdir("a/b") == ["limit.nc"]


def test_simulate_equals_python(run):
    status, out, err = run("simulate decay --rate 2 --dimension 40 --runs 3 --rng 5 --threads 1 --times 1,2 -o runs.nc")
    assert (status, err) == (0, "")
    assert differing(fl.load("runs.nc"), toy.make().simulate([1, 2], dimension=40, runs=3, rng=5)) == []
    assert out.splitlines()[1] == "simulation, dimension 40, 3 runs; the time is tau = t/d"


def test_a_toml_file_states_everything_and_flags_come_first(run, tmp_path):
    (tmp_path / "decay.toml").write_text(
        '[problem]\nclass = "Decay"\nrate = 2\n[solve]\ntimes = [1, 2]\n[simulate]\ndimension = 40\nruns = 3\nrng = 5\n'
    )
    assert run("solve decay.toml -o limit.nc")[0] == 0
    assert differing(fl.load("limit.nc"), toy.make().solve([1, 2])) == []
    assert run("simulate decay.toml --runs 4 -o runs.nc")[0] == 0
    assert differing(fl.load("runs.nc"), toy.make().simulate([1, 2], dimension=40, runs=4, rng=5)) == []
    assert run("simulate ./decay.toml --dimension 50 -o runs.nc")[0] == 0
    assert differing(fl.load("runs.nc"), toy.make().simulate([1, 2], dimension=50, runs=3, rng=5)) == []


def test_every_fault_of_a_toml_file_is_a_line(run, tmp_path):
    (tmp_path / "decay.toml").write_text('[problem]\nclass = "Decay"\nrtae = 2\nword = "x"\n')
    assert run("solve decay.toml --times 1") == (
        2,
        "",
        "decay.toml: rate: missing key.\n"
        "decay.toml: word: must be 'plain' or 'fancy', but is 'x'.\n"
        "decay.toml: rtae: unknown key; did you mean `rate`?\n",
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("solve decay --rate -1 --times 1", "Error: Argument `rate` must be positive, but is -1.0."),
        (
            "solve decay --rate 1 --times 2,1",
            "Error: Argument `times` must increase strictly, but is not sorted: 1.0 follows 2.0 at index 1.",
        ),
        (
            "simulate decay --rate 1 --times 1 --dimension 5 --runs 0",
            "Error: Argument `runs` must be at least 1, but is 0.",
        ),
        (
            "simulate decay --rate 1 --times 1 --dimension 5 --rng -1",
            "Error: Argument `rng` must not be negative, but is -1.",
        ),
        ("solve none.toml", "none.toml: there is no such file."),
        ("show none.nc", "Error: There is no file none.nc."),
        ("plot none.nc -o x.pdf", "Error: There is no file none.nc."),
    ],
)
def test_wrong_values_are_one_sentence(run, line, sentence):
    assert run(line) == (2, "", sentence + "\n")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("solv", "No such command 'solv'."),
        ("solve deacy", "There is no problem 'deacy'; did you mean 'decay'?"),
        ("solve decay --times 1", "Missing option '--rate'."),
        ("solve decay --rate x --times 1", "Invalid value for '--rate': 'x' is not a valid float."),
        ("solve decay --rate 1", "The times are missing: give --times, or `times` in the section [solve] of the file."),
        (
            "solve decay --rate 1 --times 1:2",
            "'1:2' must be START:STOP:COUNT[:linear|:log] or a list such as 0.1,1,10.",
        ),
        ("solve decay --rate 1 --times 1:2:0", "A grid must have at least one point, but has 0."),
        (
            "solve decay --rate 1 --times 1:2:3:lin",
            'must be one of "linear", "log", but is \'lin\'; did you mean `linear`?',
        ),
        (
            "solve decay --rate 1 --times 0:2:3:log",
            "A logarithmic grid must start and stop above 0, but goes from 0 to 2.",
        ),
        ("solve decay --rate 1 --times 1 -o x.txt", "Cannot write x.txt: the name must end in one of .nc, .nc4, .h5."),
        (
            "simulate decay --rate 1 --times 1",
            "The size is missing: give --dimension, or `dimension` in the section [simulate].",
        ),
        ("converge decay --rate 1 --sizes 10,20.5", "'10,20.5' must be a list of whole numbers such as 60,120,240."),
        ("plot a.nc -o x.bmp", "Cannot write x.bmp: the name must end in one of .pdf, .png, .svg, .eps."),
        ("plot a.nc", "Missing option '-o' / '--output'."),
    ],
)
def test_wrong_usage_is_told_with_the_usage(run, line, sentence):
    status, out, err = run(line)
    assert (status, out) == (2, "")
    assert sentence in re.sub(r"\s+", " ", err)
    assert err.startswith("Usage: flowlimits ")


def test_debug_shows_where_an_error_arose(capsys):
    with pytest.raises(ValueError, match="must be positive"):
        cli.main(["--debug", "solve", "decay", "--rate", "-1", "--times", "1"])


@pytest.mark.parametrize("verb", ["solve", "simulate --dimension 5", "converge"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_computed(run, monkeypatch, tmp_path, verb):
    (tmp_path / "file").touch()
    for name in ("solve", "simulate"):
        monkeypatch.setattr(toy.Decay, name, lambda *_, **__: pytest.fail("computed"))
    verb, *rest = verb.split()
    option, target = ("--out", "file/x") if verb == "converge" else ("-o", "file/x.nc")
    status, out, err = run(f"{verb} decay --rate 1 --times 1 {option} {target} {' '.join(rest)}")
    assert (status, out) == (2, "")
    assert f"Cannot write {target}" in err
    assert "cannot be made, because" in err


def test_an_interrupt_saves_the_finished_runs(run, monkeypatch):
    original = toy.Decay._values
    shifts = []

    def values(self, times, shift=0.0):
        shifts.append(shift)
        if len(shifts) == 4:
            raise KeyboardInterrupt
        return original(self, times, shift)

    monkeypatch.setattr(toy.Decay, "_values", values)
    status, out, err = run(
        "simulate decay --rate 2 --times 1,2 --dimension 40 --runs 20 --rng 5 --threads 1 -o runs.nc"
    )
    assert (status, out) == (130, "")
    assert err.strip() == "Interrupted after 3 of 20 runs. The finished part is saved in runs.nc."
    monkeypatch.setattr(toy.Decay, "_values", original)
    assert differing(fl.load("runs.nc"), toy.make().simulate([1, 2], dimension=40, runs=3, rng=5)) == []


def test_a_failed_solution_saves_its_finished_part(run, monkeypatch):
    finished = toy.make().solve([1])

    def fail(*_, **__):
        error = RuntimeError("Integration stopped at t=1.5 (not finite). Lower the rate.")
        error.partial = finished
        raise error

    monkeypatch.setattr(toy.Decay, "solve", fail)
    assert run("solve decay --rate 2 --times 1,2 -o limit.nc") == (
        2,
        "",
        "Error: Integration stopped at t=1.5 (not finite). Lower the rate. The finished part is saved in limit.nc.\n",
    )
    assert differing(fl.load("limit.nc"), finished) == []


def test_an_interrupt_without_output_is_one_sentence(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.Decay, "solve", interrupt)
    status, _, err = run("solve decay --rate 1 --times 1")
    assert (status, err.strip()) == (130, "Interrupted.")
    monkeypatch.setattr(
        toy.Decay, "simulate", lambda *_, **__: (_ for _ in ()).throw(Interrupted("Interrupted after 0 of 3 runs.", {}))
    )
    status, _, err = run("simulate decay --rate 1 --times 1 --dimension 3 -o x.nc")
    assert (status, err.strip()) == (130, "Interrupted after 0 of 3 runs.")
    assert not os.path.exists("x.nc")


def test_warnings_are_sentences_on_stderr(run, monkeypatch):
    import warnings

    original = toy.Decay.solve

    def solve(self, times):
        warnings.warn("The start has another trace.", stacklevel=2)
        return original(self, times)

    monkeypatch.setattr(toy.Decay, "solve", solve)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status, out, err = run("solve decay --rate 1 --times 1")
    assert (status, err) == (0, "Warning: The start has another trace.\n")
    assert "limit" in out


def test_help_lists_the_problems_and_their_flags(run):
    status, out, _ = run("solve --help")
    assert status == 0
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in (*problems.CLASSES, "FILE.toml"))
    assert "--rate" in run("solve decay --help")[1]
    assert run("")[0] == 0


def test_help_is_quick():
    command = [sys.executable, "-m", "flowlimits", "--help"]
    bare = [sys.executable, "-c", "import click"]
    seconds = {"help": [], "bare": []}
    for _ in range(5):
        for name, line in (("help", command), ("bare", bare)):
            start = time.perf_counter()
            subprocess.run(line, capture_output=True, check=True, timeout=60)
            seconds[name].append(time.perf_counter() - start)
    # The bound is for a quiet machine; on a busy one, the ratio to a bare import of click still tells.
    assert min(seconds["help"]) < max(0.25, 4 * min(seconds["bare"]))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_a_real_simulation_cleanly(tmp_path):
    line = "simulate extensive --student-ratio 0.5 --teacher-ratio 0.25 --dimension 100 --runs 50000 --times 0.1,1 -o runs.nc"
    process = subprocess.Popen(
        [sys.executable, "-m", "flowlimits", *line.split()],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for words in process.stderr:
        if re.match(r"runs: \d+/50000 after", words):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert re.fullmatch(
        r"Interrupted after \d+ of 50000 runs\. The finished part is saved in runs\.nc\.", err.strip().splitlines()[-1]
    )
    assert "Traceback" not in err
    assert fl.load(tmp_path / "runs.nc").sizes["run"] > 1


def test_a_result_is_saved_before_it_is_printed(run, monkeypatch):
    """An interrupt while the table is printed, or a pipe that closes, loses nothing."""

    def interrupted(result):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowlimits.command_line.text.describe", interrupted)
    code, _, _ = run("solve decay --rate 1 --times 0.1,0.2 -o kept.nc")
    assert code == 130
    assert fl.load("kept.nc").sizes["time"] == 2
