"""Traces are compiled once per machine; no file is trusted, and none is needed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.compiled.jit import jit
from flowlimits.ode.batch import generate, lanes
from flowlimits.ode.batch.operations import Operations, Program
from flowlimits.ode.batch.trace import trace
from flowlimits.ode.functions import address_of

PACKAGE = Path(fl.__file__).parent

CODE = """
import sys
import numpy as np
import flowlimits as fl
from flowlimits.ode.batch import generate
import hashlib

@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    dy[0] = -params[0] * y[0] + 0.125 * np.sin(t)

params = np.linspace(0.5, 2.0, 200)[:, None]
_, states, report = fl.ode.integrate_batch(decay, np.ones((200, 1)), [1.0], params)
(function,) = generate._compiled.values()
digest = hashlib.sha256(states.tobytes()).hexdigest()
print(report.operations, function.cache_hits, digest, function.__wrapped__.__code__.co_filename)
"""


def run(folder, **environment):
    script = folder / "script.py"
    script.write_text(textwrap.dedent(CODE))
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(PACKAGE.parent), "PYTHONWARNINGS": "error"} | environment,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    operations, hits, digest, path = done.stdout.split(maxsplit=3)
    return int(operations), int(hits), digest, path.strip()


def test_the_next_process_finds_the_compiled_line_and_other_files_are_replaced(tmp_path):
    # The loops come from the cache of this process, the generated functions from a folder of their own.
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    if "NUMBA_CACHE_DIR" in os.environ:
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    first = run(tmp_path, **environment)
    assert first[:2] == (7, 0)
    path = Path(first[3])
    assert path.parent == tmp_path / "cache" / "flowlimits"
    assert path.read_text().startswith("def traced(t, y, dy, inputs):\n    v")
    assert path.stat().st_mtime == generate.TIME
    second = run(tmp_path, **environment)
    assert second == (7, 1, *first[2:])

    # A file that holds something else is not run, but written anew; with the same time, what was compiled still belongs to it.
    text = path.read_text()
    path.write_text("raise SystemExit('read from the disk')\n")
    assert run(tmp_path, **environment) == second
    assert path.read_text() == text
    assert not [one for one in path.parent.iterdir() if one.name.startswith(".")]


def test_places_that_cannot_be_written_are_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    blocked = str(tmp_path / "file" / "below")
    monkeypatch.setenv("NUMBA_CACHE_DIR", blocked)
    assert generate.cache_folder() is None
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", blocked)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert generate.cache_folder() is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert generate.cache_folder() == tmp_path / ".cache" / "flowlimits"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert generate.cache_folder() == tmp_path / "other" / "flowlimits"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert generate.cache_folder() is None


def program_of(function, n=1, m=1):
    return trace(function, n, np.ones((1, m)), 0)


@pytest.mark.parametrize("place", ["nowhere", "full", "gone"])
def test_lines_compile_without_any_place_for_their_text(place, tmp_path, monkeypatch):
    shift = {"nowhere": 1.5, "full": 2.5, "gone": 3.5}[place]

    def shifted(t, y, dy, params, work):
        dy[0] = y[0] + shift

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    if place == "nowhere":
        monkeypatch.setattr(generate, "cache_folder", lambda: None)
    elif place == "full":
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    else:
        monkeypatch.setattr(generate, "cache_folder", lambda: tmp_path / "gone")
    traced = generate.compile_program(program_of(shifted))
    assert traced.__wrapped__.__code__.co_filename == "<trace>"
    rhs = fl.ode.right_hand_side(shifted)
    assert generate.gives_the_same_bits(
        address_of(traced), address_of(rhs.function), (0.0, 1.0), np.ones((3, 1)), np.ones((1, 1)), np.zeros((1, 0)), 0
    )


def test_two_processes_may_write_the_same_file(tmp_path):
    path = tmp_path / "line.py"
    assert generate._file(path, "first\n") == str(path)
    stamp = path.stat()
    assert generate._file(path, "first\n") == str(path)
    assert path.stat().st_ino == stamp.st_ino  # nothing to write
    os.utime(path)
    assert generate._file(path, "first\n") == str(path)
    assert path.stat().st_mtime == stamp.st_mtime


def test_a_line_that_is_another_function_is_noticed_wherever_it_differs():
    def right(t, y, dy, params, work):
        dy[0] = y[0] - params[0] * y[1]
        dy[1] = y[1] * 0.1

    def late(t, y, dy, params, work):
        dy[0] = y[0] - params[0] * y[1] + 1e-9 * t
        dy[1] = y[1] * 0.1

    def rounded(t, y, dy, params, work):
        dy[0] = y[0] - params[0] * y[1]
        dy[1] = y[1] * 0.10000000000000002

    def elsewhere(t, y, dy, params, work):
        dy[0] = y[0] - params[0] * y[1] + 1e-14 * y[1] * y[1]
        dy[1] = y[1] * 0.1

    # Starts and times that hide the differences.
    starts, params = np.tile([1.0, 0.0], (200, 1)), np.ones((200, 1))
    inputs = trace(right, 2, params, 0).inputs
    rhs = fl.ode.right_hand_side(right)
    found = []
    for other in (right, late, rounded, elsewhere):
        traced = generate.compile_program(trace(other, 2, params, 0))
        found.append(
            generate.gives_the_same_bits(
                address_of(traced), address_of(rhs.function), (0.0, 1.0), starts, params, inputs, 0
            )
        )
    assert found == [True, False, False, False]


def test_numbers_that_changed_after_compilation_send_the_lanes_to_the_function():
    scope = {"fl": fl, "RATE": 1.0}
    exec("def decay(t, y, dy, params, work):\n    dy[0] = -RATE * y[0]\n", scope)
    rhs = fl.ode.right_hand_side(scope["decay"])
    before = fl.ode.integrate_batch(rhs, np.ones((200, 1)), [1.0])
    scope["RATE"] = 2.0
    after = fl.ode.integrate_batch(rhs, np.ones((200, 1)), [1.0])
    assert before[2].operations > 0
    assert after[2].operations == 0
    assert np.array_equal(before[1], after[1])


def test_a_helper_of_the_same_name_is_another_function():
    def make(slope):
        @jit
        def bend(x):
            return x if x > 0.0 else slope * x

        @fl.ode.right_hand_side
        def bent(t, y, dy, params, work):
            dy[0] = 0.1 - bend(y[0])

        return bent

    for slope in (0.5, 3.0):
        rhs = make(slope)
        y0s = np.linspace(-1.0, 1.0, 140)[:, None]
        _, states, report = fl.ode.integrate_batch(rhs, y0s, [1.0], method="dop853")
        assert report.operations > 0
        assert np.array_equal(states[3], fl.ode.integrate(rhs, y0s[3], [1.0], method="dop853", dense=False)[1])


def test_lines_that_do_not_compile_are_done_without(monkeypatch):
    def plain(t, y, dy, params, work):
        dy[0] = -y[0] + 0.0625

    def broken(function, n, params, work_size, **options):
        return Program([("y", 0), ("call", "unknown", 0)], [1], np.zeros((1, 0)), {})

    monkeypatch.setattr("flowlimits.ode.batch.trace.trace", broken)
    _, states, report = fl.ode.integrate_batch(fl.ode.right_hand_side(plain), np.ones((lanes.WORTH, 1)), [1.0])
    assert report.operations == 0
    assert np.isfinite(states).all()


def test_numbers_in_the_text_are_exact():
    made = Operations(1)
    y = made.note(("y", 0))
    numbers = (0.1, -2.5, float("inf"), -float("inf"), float("nan"), -0.0, 5e-324)
    ends = [y * number for number in numbers]
    text = generate.text_of(made.finish(ends))
    for word in ("(0.1)", "(-2.5)", "(np.inf)", "(-np.inf)", "(np.nan)", "(-0.0)", "(5e-324)"):
        assert f"v0 * {word}" in text
