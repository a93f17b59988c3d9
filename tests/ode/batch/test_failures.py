"""Problems that fail, that are stiff, and batches that are interrupted leave the others alone."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import batch_problems
import numpy as np
import pytest
from batch_problems import PENDULUM
from ode_problems import EXPLOSION, ROOT_OF_TIME, VAN_DER_POL

import flowlimits as fl
from flowlimits.ode import Status, driver
from flowlimits.ode.batch import loop

TIMES = np.array([0.0, 0.4, 1.0, 2.0])


def same(one, other):
    return np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("number", [40, 200])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_blow_up_ends_one_problem_and_not_its_neighbours(number, threads):
    y0s = np.full((number, 1), -0.5)
    y0s[[3, 20]] = [[0.8], [2.0]]  # 1 / (1/y0 - t): infinite at 1.25 and 0.5
    with pytest.warns(RuntimeWarning) as caught:
        _, states, report = fl.ode.integrate_batch(EXPLOSION, y0s, TIMES, method="dop853", threads=threads)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        f"2 of {number} problems failed; the first is problem 3: Integration stopped at t=1.25 ("
    )
    assert str(caught[0].message).endswith("States that were not reached are NaN; see the status of each problem.")
    assert caught[0].filename == __file__
    assert report.failed.tolist() == [3, 20]
    assert report.outputs[[0, 3, 20]].tolist() == [4, 3, 2]
    for i in (3, 20):
        with pytest.raises(fl.ode.IntegrationError) as error:
            fl.ode.integrate(EXPLOSION, y0s[i], TIMES, method="dop853", dense=False)
        one = error.value.report
        assert report.statuses[i] is one.status
        assert (report.reached[i], report.steps[i], report.rejected[i], report.evaluations[i]) == (
            one.reached,
            one.steps,
            one.rejected,
            one.evaluations,
        )
        assert same(states[i, : report.outputs[i]], error.value.states)
        assert np.isnan(states[i, report.outputs[i] :]).all()
    alone = fl.ode.integrate(EXPLOSION, y0s[0], TIMES, method="dop853", dense=False)[1]
    assert all(same(states[i], alone) for i in range(number) if i not in (3, 20))


@pytest.mark.parametrize("number", [20, 140])
def test_a_velocity_that_is_no_number_at_the_start_ends_the_problem_there(number):
    @fl.ode.right_hand_side
    def logarithmic(t, y, dy, params, work):
        dy[0] = np.log(params[0]) - y[0]

    params = np.full((number, 1), 2.0)
    params[7] = -1.0
    with pytest.warns(RuntimeWarning, match="1 of .* problem 7: Integration stopped at t=0 .not finite"):
        _, states, report = fl.ode.integrate_batch(logarithmic, np.ones((number, 1)), TIMES, params)
    assert report.statuses[7] is Status.NOT_FINITE
    assert (report.outputs[7], report.evaluations[7], report.reached[7]) == (0, 1, 0.0)
    assert np.isnan(states[7]).all()
    assert np.isfinite(np.delete(states, 7, axis=0)).all()


def test_a_domain_that_ends_is_found_like_for_one_problem():
    with pytest.warns(RuntimeWarning, match="stopped at t=1"):
        _, states, report = fl.ode.integrate_batch(ROOT_OF_TIME, np.ones((130, 1)), [0.5, 2.0], method="dop853")
    with pytest.raises(fl.ode.IntegrationError) as error:
        fl.ode.integrate(ROOT_OF_TIME, [1.0], [0.5, 2.0], method="dop853", dense=False)
    one = error.value.report
    assert set(report.statuses) == {one.status}
    assert report.reached.tolist() == [one.reached] * 130
    assert same(states[4, :1], error.value.states)


def test_a_function_that_forgets_a_component_is_found_out():
    @fl.ode.right_hand_side
    def forgetful(t, y, dy, params, work):
        dy[0] = y[1]

    for number in (5, 130):
        with pytest.warns(RuntimeWarning, match="does not write every component"):
            report = fl.ode.integrate_batch(forgetful, np.ones((number, 2)), [1.0])[2]
        assert set(report.statuses) == {Status.NOT_FINITE}


def test_the_largest_number_of_steps_is_that_of_each_problem():
    rhs, y0s, params, _ = batch_problems.random(PENDULUM, 140, 2, 2)
    with pytest.warns(RuntimeWarning, match="140 of 140 problems failed.*too many steps"):
        _, states, report = fl.ode.integrate_batch(rhs, y0s, [0.5, 50.0], params, max_steps=9, method="dop853")
    assert ((report.steps + report.rejected) == 9).all()
    with pytest.raises(fl.ode.IntegrationError) as error:
        fl.ode.integrate(rhs, y0s[5], [0.5, 50.0], params[5], max_steps=9, method="dop853", dense=False)
    assert report.reached[5] == error.value.report.reached
    assert report.statuses[5] is Status.TOO_MANY_STEPS
    assert same(states[5, : report.outputs[5]], error.value.states)


@pytest.mark.parametrize("threads", [1, 2])
def test_stiff_problems_leave_the_lanes_for_the_implicit_method(threads):
    params = np.ones((130, 1))
    params[[10, 100]] = 1e5
    y0s, times = np.tile([2.0, 0.0], (130, 1)), [0.5, 1.5]
    _, states, report = fl.ode.integrate_batch(VAN_DER_POL, y0s, times, params, threads=threads)
    assert [i for i, name in enumerate(report.methods) if "radau" in name] == [10, 100]
    assert not report.failed.size
    for i in (10, 100):
        _, expected, one = fl.ode.integrate(VAN_DER_POL, y0s[i], times, params[i])
        assert same(states[i], expected)
        assert report.methods[i] == one.method
        assert report.evaluations[i] > one.evaluations  # those in the lanes count too
    alone = fl.ode.integrate(VAN_DER_POL, y0s[0], times, params[0], method="dop853", dense=False)[1]
    assert same(states[0], alone)


def test_a_stiff_problem_that_fails_later_has_its_own_status():
    with pytest.warns(RuntimeWarning, match="2 of 3 problems failed; the first is problem 1: .*too many steps"):
        _, states, report = fl.ode.integrate_batch(
            VAN_DER_POL, [[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [1.0, 2e5], [1e5], max_steps=150
        )
    with pytest.raises(fl.ode.IntegrationError) as error:
        fl.ode.integrate(VAN_DER_POL, [2.0, 0.0], [1.0, 2e5], [1e5], max_steps=150)
    assert report.statuses == (Status.SUCCESS, Status.TOO_MANY_STEPS, Status.TOO_MANY_STEPS)
    assert "radau" in report.methods[1]
    assert report.reached[1] == error.value.report.reached
    assert same(states[1, :1], error.value.states)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_thread_goes_on_when_all_its_problems_end_at_once(threads):
    y0s = np.zeros((1000, 1))
    y0s[-1] = 1.0
    _, states, report = fl.ode.integrate_batch(EXPLOSION, y0s, [0.0], threads=threads)
    assert same(states[:, 0], y0s)
    with pytest.warns(RuntimeWarning, match="1000 of 1000 problems failed"):
        report = fl.ode.integrate_batch(ROOT_OF_TIME, y0s, [3.0], start=2.0, threads=threads)[2]
    assert set(report.statuses) == {Status.NOT_FINITE}


# Interrupts


def interrupt_after(monkeypatch, calls, impatience=1):
    """Interrupt the main thread in the given call of the compiled loop, and in further ones; each call takes a few steps only."""
    made = itertools.count(1)
    advance = loop.advance

    def interrupted(*arguments):
        call = next(made)
        code = advance(*arguments[:-1], 5)
        if calls <= call < calls + impatience:
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGINT)
        if call >= calls:
            time.sleep(0.1)  # until the main thread has noticed
        return code

    monkeypatch.setattr(loop, "advance", interrupted)


@pytest.mark.parametrize("number", [60, 400])
@pytest.mark.parametrize(("threads", "impatience"), [(1, 1), (2, 1), (2, 2)])
def test_an_interrupt_returns_what_is_finished(number, threads, impatience, monkeypatch):
    rhs, y0s, params, _ = batch_problems.random(PENDULUM, number, 2, 2)
    whole = fl.ode.integrate_batch(rhs, y0s, TIMES, params)[1]
    interrupt_after(monkeypatch, 4 if number == 60 else 9, impatience)
    with pytest.warns(
        RuntimeWarning, match=f"Interrupted: .* of {number} problems are finished. States that were not"
    ) as caught:
        _, states, report = fl.ode.integrate_batch(rhs, y0s, TIMES, params, threads=threads)
    finished = [i for i, status in enumerate(report.statuses) if status is Status.SUCCESS]
    assert 0 < len(finished) < number
    assert f" {len(finished)} of" in str(caught[0].message)
    assert {status for status in report.statuses if status.failed} == {Status.INTERRUPTED}
    for i in range(number):
        done = report.outputs[i]
        assert same(states[i, :done], whole[i, :done])
        assert np.isnan(states[i, done:]).all()
        assert (done == TIMES.size) == (i in finished)
        assert done == 0 or report.reached[i] >= TIMES[done - 1]


def test_an_interrupt_in_the_implicit_method_keeps_what_it_finished(monkeypatch):
    calls = []
    run = driver.Integration.run

    def interrupted(self, *arguments):
        calls.append(None)
        if len(calls) == 3:
            monkeypatch.setattr(self, "slice", lambda budget: (_ for _ in ()).throw(KeyboardInterrupt))
        return run(self, *arguments)

    monkeypatch.setattr(driver.Integration, "run", interrupted)
    with pytest.warns(RuntimeWarning, match="Interrupted: 2 of 5"):
        _, states, report = fl.ode.integrate_batch(
            PENDULUM, np.ones((5, 2)), [1.0], [1.0, 1.0], method="radau5", threads=1
        )
    assert [status is Status.SUCCESS for status in report.statuses] == [True, True, False, False, False]
    assert np.isnan(states[2:]).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_stops_long_implicit_integrations_in_all_threads(threads):
    options = {"method": "radau5", "threads": threads}
    fl.ode.integrate_batch(PENDULUM, np.ones((3, 2)), [0.1], [1.0, 0.0], **options)  # loaded and compiled
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(RuntimeWarning, match="Interrupted: 0 of 3"):
        _, states, report = fl.ode.integrate_batch(
            PENDULUM, np.ones((3, 2)), [1.0, 1e9], [1.0, 0.0], max_steps=10**12, **options
        )
    timer.join()
    assert report.outputs.tolist() == [1] * threads + [0] * (3 - threads)
    assert np.isfinite(states[:threads, 0]).all()
    assert (report.reached[:threads] > 1.0).all()


def test_a_bug_in_a_thread_is_raised_and_stops_the_others(monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("in a thread")

    monkeypatch.setattr(loop, "advance", broken)
    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError, match="in a thread"):
            fl.ode.integrate_batch(PENDULUM, np.ones((50, 2)), TIMES, [1.0, 1.0], threads=threads)


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_a_signal_from_outside_interrupts_a_long_batch():
    code = """
        import threading, os, signal, time, warnings
        import numpy as np
        import flowlimits as fl

        @fl.ode.right_hand_side
        def circle(t, y, dy, params, work):
            dy[0], dy[1] = y[1], -y[0]

        y0s = np.ones((64, 2))
        fl.ode.integrate_batch(circle, y0s, [1.0])
        for threads in (1, 2):
            threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                _, states, report = fl.ode.integrate_batch(circle, y0s, [1.0, 1e9], max_steps=10**15, threads=threads)
            print(caught[0].message, {status.value for status in report.statuses}, np.isfinite(states[:, 0]).any(), np.isnan(states[:, 1]).all())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=os.environ | {"PYTHONPATH": str(Path(fl.__file__).parents[1])},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = "Interrupted: 0 of 64 problems are finished. States that were not reached are NaN; see the status of each problem."
    assert done.stdout.splitlines() == [f"{line} {{'interrupted'}} True True"] * 2
