"""Right-hand sides and events go to other processes, and copies are themselves."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import travellers

import flowlimits as fl

cloudpickle = pytest.importorskip("cloudpickle")
PACKAGE = Path(fl.__file__).parent


def made_here(rate):
    @fl.ode.right_hand_side(jacobian=lambda t, y, J, params, work: J.fill(-rate))
    def decay(t, y, dy, params, work):
        dy[0] = -rate * y[0]

    @fl.ode.event(terminal=False, direction=-1)
    def half(t, y, params, work):
        return y[0] - 0.5

    return decay, half


def test_copies_are_the_same():
    for item in made_here(2.0):
        assert copy.copy(item) is item
        assert copy.deepcopy({"item": item})["item"] is item


def test_functions_of_a_module_travel_by_their_names():
    for dump in (pickle.dumps, cloudpickle.dumps):
        assert pickle.loads(dump(travellers.growth)) is travellers.growth
        assert pickle.loads(dump(travellers.late)) is travellers.late


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps])
def test_functions_made_in_a_function_travel_with_what_they_enclose(dump):
    decay, half = made_here(2.0)
    other, event = pickle.loads(dump((decay, half)))
    assert (event.terminal, event.direction) == (False, -1)
    assert other.jacobian is not None
    results = [
        fl.ode.integrate(f, [1.0], [0.5, 1.0], events=[e], method="radau") for f, e in ((decay, half), (other, event))
    ]
    assert np.array_equal(results[0][1], results[1][1])
    assert np.array_equal(results[0][2].event_times, results[1][2].event_times)


def test_without_cloudpickle_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="cannot be sent to another process: it is defined inside a function"):
        pickle.dumps(made_here(1.0)[0])


@pytest.mark.parametrize("method", [m for m in ("spawn", "forkserver") if m in multiprocessing.get_all_start_methods()])
def test_processes_of_every_kind_integrate_them(method):
    decay, _ = made_here(2.0)
    with multiprocessing.get_context(method).Pool(1) as pool:
        values = pool.map(travellers.end, [travellers.growth, decay])
    assert np.allclose(values, [np.e, np.exp(-2)], rtol=1e-7)


SCRIPT = """
import multiprocessing
import flowlimits as fl

@fl.ode.right_hand_side
def growth(t, y, dy, params, work):
    dy[0] = y[0]

def end(rhs):
    return float(fl.ode.integrate(rhs, [1.0], [1.0])[1][0, 0])

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(end, [growth])[0])
"""
CELL = """
import cloudpickle, subprocess, sys
import flowlimits as fl

@fl.ode.right_hand_side
def growth(t, y, dy, params, work):
    dy[0] = y[0]

cloudpickle.dumps(fl)
code = "import pickle, sys; rhs = pickle.load(sys.stdin.buffer); import flowlimits as fl; print(fl.ode.integrate(rhs, [1.0], [1.0])[1][0, 0])"
done = subprocess.run([sys.executable, "-c", code], input=cloudpickle.dumps(growth), capture_output=True)
print(done.stdout.decode())
"""


@pytest.mark.parametrize("place", ["script", "prompt"])
def test_functions_of_the_main_program_travel(place, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [str(script)] if place == "script" else ["-c", textwrap.dedent(CELL)]
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert abs(float(done.stdout) - np.e) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("how", ["joblib", "dask"])
def test_schedulers_send_functions_and_problems(how):
    """What encloses something travels by cloudpickle, which both use."""
    decay, _ = made_here(2.0)
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))

    def risk(sent):
        return float(sent.solve([1.0]).risk[0])

    work = [(travellers.end, travellers.growth), (travellers.end, decay), (risk, problem)]
    if how == "joblib":
        joblib = pytest.importorskip("joblib")
        found = joblib.Parallel(2, backend="loky")(joblib.delayed(function)(sent) for function, sent in work)
    else:
        dask = pytest.importorskip("dask")
        waiting = [dask.delayed(function)(sent) for function, sent in work]
        found = dask.compute(*waiting, scheduler="processes", num_workers=2)
    assert np.allclose(found, [np.e, np.exp(-2), risk(problem)], rtol=1e-7)
