"""Bars, interrupts and failures of runs in threads."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core import threads as parallel
from flowlimits.ode import driver


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_that_counts_to_the_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert parallel.run_threads(lambda i: i * i, 5, threads=2, progress=True, description="squares") == [0, 1, 4, 9, 16]
    assert "squares: 100%" in terminal.getvalue()
    assert "5/5" in terminal.getvalue()


def test_a_file_gets_a_line_at_the_end(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    parallel.run_threads(lambda i: i, 3, threads=1, progress=True, description="runs")
    assert file.getvalue() == "runs: 3/3 after 0 s\n"


def test_one_long_run_says_how_much_time_is_left(monkeypatch):
    """A run that takes 40 s by the clock reports every tenth of its work; a file gets a line about every five seconds."""
    file, now = io.StringIO(), [0.0]
    monkeypatch.setattr("sys.stderr", file)
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def run(index):
        for step in range(10):
            now[0] += 2.0
            parallel.advance((step + 1) / 10)
        return index

    assert parallel.run_threads(run, 2, threads=1) == [0, 1]
    lines = file.getvalue().splitlines()
    assert lines[0] == "runs: 0.3/2 after 6 s, about 34 s left"
    assert lines[-2:] == ["runs: 1.8/2 after 36 s, about 4 s left", "runs: 2/2 after 40 s"]
    assert len(lines) == 7


def test_an_integration_tells_its_share_in_a_file(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    bar = parallel.Progress(50.0, "integrate", True)
    bar.started = bar.last_line = time.monotonic() - 8.0
    bar.reach(10.0)
    assert file.getvalue() == "integrate: 20 % after 8 s, about 32 s left\n"


def test_short_work_shows_nothing_unless_asked(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    parallel.run_threads(lambda i: i, 100, threads=2, progress=None)
    parallel.run_threads(lambda i: i, 100, threads=2, progress=False)
    assert terminal.getvalue() == ""


def test_long_work_shows_a_bar_of_its_own_accord(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    clock = iter(float(second) for second in range(1000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    bar = parallel.Progress(10, "runs", None)
    for _ in range(10):
        bar.update()
    bar.close()
    assert "10/10" in terminal.getvalue()


def test_bars_that_the_environment_disables_are_not_drawn():
    code = (
        "import io, sys\n"
        "from flowlimits.core.progress import Progress\n"
        "sys.stderr = io.StringIO()\n"
        "sys.stderr.isatty = lambda: True\n"
        "bar = Progress(2, 'runs', True)\n"
        "bar.update(), bar.update(), bar.close()\n"
        "print(repr(sys.stderr.getvalue()))"
    )
    environment = os.environ | {"TQDM_DISABLE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "''\n", done.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_keeps_what_is_finished(threads):
    def run(index):
        if index == 3:
            raise KeyboardInterrupt
        return index

    with pytest.raises(parallel.Interrupted) as caught:
        parallel.run_threads(run, 1000, threads=threads, assemble=lambda found: found)
    assert set(caught.value.finished) >= {0, 1, 2}
    assert caught.value.partial[:3] == [0, 1, 2]
    assert 3 not in caught.value.finished
    assert str(caught.value).endswith("of 1000 runs.")


def test_the_first_failure_of_a_run_is_raised_after_the_others_ended():
    ended = []
    began = threading.Barrier(2, timeout=20)

    def run(index):
        began.wait()
        if index == 0:
            raise ValueError("run 0")
        ended.append(index)

    with pytest.raises(ValueError, match="run 0"):
        parallel.run_threads(run, 2, threads=2)
    assert ended == [1]


def test_the_pool_is_given_one_task_per_thread(monkeypatch):
    """The locks of thousands of tasks are taken while one waits for them; an interrupt meanwhile left them locked for good."""
    given, submit = [], parallel.ThreadPoolExecutor.submit
    monkeypatch.setattr(
        parallel.ThreadPoolExecutor, "submit", lambda pool, task: given.append(task) or submit(pool, task)
    )
    assert parallel.run_threads(int, 1000, threads=2, progress=False) == list(range(1000))
    assert len(given) == 2


def test_blas_has_one_thread_inside_and_its_own_afterwards():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"}

    with threadpool_limits(limits=2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS has no second thread")
        with parallel.one_blas_thread:
            assert threads() == {1}
        assert threads() == {2}
        # Whoever leaves last gives the threads back.
        parallel.one_blas_thread.__enter__()
        parallel.one_blas_thread.__enter__()
        parallel.one_blas_thread.__exit__()
        assert threads() == {1}
        parallel.one_blas_thread.__exit__()
        assert threads() == {2}


@pytest.mark.parametrize(("size", "asked"), [(10, 0), (2_500, 1)])
def test_wide_equations_keep_blas_to_one_thread(monkeypatch, size, asked):
    """Threads of BLAS wait by spinning: 128 units took 400 times as long beside other processes."""
    entered = []

    @fl.ode.right_hand_side
    def relax(t, y, dy, params, work):
        for i in range(y.size):
            dy[i] = -y[i]

    class Counted:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(driver, "one_blas_thread", Counted())
    fl.ode.integrate(relax, np.ones(size), [0.1])
    assert len(entered) == asked


def test_an_interrupt_does_not_wait_for_what_runs_in_a_thread():
    """The main thread looks up every tenth of a second, whatever the call does; here it does not end before the interrupt is answered."""
    answered = threading.Event()

    def long():
        os.kill(os.getpid(), signal.SIGINT)
        assert answered.wait(60)

    with pytest.raises(KeyboardInterrupt):
        parallel.interruptible(long)
    answered.set()
    assert parallel.interruptible(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        parallel.interruptible(divmod, 7, 0)


def test_a_run_that_has_just_begun_is_not_counted_in_powers_of_ten(capsys):
    bar = parallel.Progress(24, "runs", True)
    bar.last_line -= 10.0
    bar.reach(1.86e-5)
    assert capsys.readouterr().err.startswith("runs: 0/24 after")
    bar.last_line -= 10.0
    bar.reach(1.26)
    assert capsys.readouterr().err.startswith("runs: 1.3/24 after")
