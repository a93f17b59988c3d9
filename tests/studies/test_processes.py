"""Workers end with their parent, however it ends; SIGTERM is answered as Ctrl-C is."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import flowlimits as fl

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

STUDY = """
import time
import flowlimits as fl

def slow(a):
    time.sleep(0.2)
    return a

if __name__ == "__main__":
    fl.study(slow, {"a": list(range(200))}, executor="processes", workers=2, folder="s", progress=False)
"""


def family(root):
    """Return the processes whose working directory is `root`: a parent, its workers, their server and tracker."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(root):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found += [int(entry.name)] if state != "Z" else []
        except OSError:
            continue
    return found


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def kill(process):
    """Kill a process; return whether it was still there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, number):
    (tmp_path / "slow.py").write_text(STUDY)
    parent = subprocess.Popen([sys.executable, "slow.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert wait_for(lambda: list((tmp_path / "s").glob("points/*.npz")), 60)
        assert len(family(tmp_path)) >= 4
        parent.send_signal(number)
        parent.wait(10)
        assert wait_for(lambda: not family(tmp_path), 10), family(tmp_path)
        assert "Traceback" not in parent.stderr.read()
    finally:
        parent.kill()
        parent.stderr.close()
        for process in family(tmp_path):
            kill(process)


def test_killed_workers_leave_no_traceback(tmp_path):
    (tmp_path / "slow.py").write_text(STUDY.replace("range(200)", "range(30)"))
    parent = subprocess.Popen([sys.executable, "slow.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert wait_for(lambda: list((tmp_path / "s").glob("points/*.npz")), 60)
        for process in family(tmp_path):
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            if process != parent.pid and b"forkserver" in command:
                children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
                # The pool ends its other workers once it sees one dead.
                assert sum(kill(int(worker)) for worker in children) > 0
                break
        _, said = parent.communicate(timeout=90)
        assert (parent.returncode, said) == (0, "")
    finally:
        parent.kill()


TERMINATED = """
import sys, threading, os, signal, time
from flowlimits.command_line.main import main
main(sys.argv[1:])
"""


def test_sigterm_keeps_finished_runs_and_says_so(tmp_path):
    words = "simulate extensive --student-ratio 0.5 --teacher-ratio 0.25 --dimension 100 --runs 50000 --rng 0 --times 0.1,1 --threads 1 -o s.nc"
    child = subprocess.Popen(
        [sys.executable, "-m", "flowlimits", *words.split()], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        for words in child.stderr:
            if re.match(r"runs: [1-9]\d*/50000 after", words):
                break
        child.send_signal(signal.SIGTERM)
        out, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 143, (out, said)
    last = said.strip().splitlines()[-1]
    assert last.startswith("Interrupted after ")
    assert last.endswith("of 50000 runs. The finished part is saved in s.nc.")
    assert fl.load(tmp_path / "s.nc").sizes["run"] == int(last.split()[2])


def test_sigterm_in_a_study_keeps_its_points(tmp_path):
    (tmp_path / "study.toml").write_text(
        '[problem]\nclass = "QuadraticFlow"\ndimension = 20\nstudent_width = 10\nteacher_width = 5\n[study]\nquantity = "risk"\n'
        'times = [1.0, 10.0]\n[study.axes]\nweight_decay = "0:1:20001"\n'
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "flowlimits", "study", "study.toml", "--quiet", "--executor", "processes", "--workers", "2"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert wait_for(lambda: list(tmp_path.glob("study/points/*.npz")), 90)
        for process in family(tmp_path):  # as a batch system sends it: to all
            os.kill(process, signal.SIGTERM)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 143, said
    assert said.strip().startswith("Interrupted after ")
    assert said.endswith("the same call goes on from there.\n")
    assert wait_for(lambda: not family(tmp_path), 10)


CELL = """
import flowlimits as fl

@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    dy[0] = -params[0] * y[0]

@fl.ode.event
def half(t, y, params, work):
    return y[0] - 0.5

problem = fl.Committee([[0.5]], [[0.1]], [[1.0]])
result = problem.solve([0.5])

def f(rate, which):
    if which == 0:
        return float(fl.ode.integrate(decay, [1.0], [1.0], params=[rate], events=[half])[1][0, 0])
    return float((problem.solve([rate]) if which == 1 else result)["risk"][0])

table = fl.study(f, {"rate": [0.5, 0.6], "which": [0, 1, 2]}, workers=1, executor="processes", progress=False)
print("found", *table["f"].values.ravel().tolist())
"""


def right_values():
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]])
    risks = problem.solve([0.5, 0.6])["risk"].values
    return [math.exp(-0.5), risks[0], risks[0], math.exp(-0.6), risks[1], risks[0]]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["prompt", "standard input", "notebook"])
def test_what_a_program_without_a_file_defines_reaches_the_workers(place, tmp_path):
    if place == "notebook":
        nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
        pytest.importorskip("ipykernel")
        first, last = CELL.split("\ntable")
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (first, "table" + last)])
        nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
        output = "".join(shown.get("text", "") for shown in book.cells[1].outputs)
    else:
        arguments = {"prompt": ["-c", CELL], "standard input": ["-"]}[place]
        done = subprocess.run(
            [sys.executable, *arguments], input=CELL, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path(fl.__file__).parents[1])},
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        output = done.stdout
    found = [float(word) for word in output.split("found")[1].split()]
    assert found == pytest.approx(right_values(), rel=1e-6)
