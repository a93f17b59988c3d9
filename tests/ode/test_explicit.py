"""The explicit methods against closed forms, SciPy and their own order."""

import numpy as np
import pytest
from ode_problems import CHAIN, FORCED, LOGISTIC, OSCILLATOR, forced_solution, logistic_solution, oscillator, plain
from scipy.integrate import solve_ivp

from flowlimits import ode

EXPLICIT = ["dop853"]


@pytest.mark.parametrize(("method", "order"), [("dop853", 8)])
def test_fixed_steps_converge_with_the_order_of_the_method(method, order):
    errors = []
    steps = np.array([0.5, 0.25, 0.125])
    for h in steps:
        # Tolerances that accept everything, so that all steps have the length h.
        _, states, report = ode.integrate(
            OSCILLATOR, [1.0, 0.0], [4.0], [1.0], method=method, rtol=1e6, atol=1e6, first_step=h, max_step=h
        )
        assert report.steps == round(4.0 / h)
        errors.append(abs(states[0, 0] - np.cos(4.0)))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert np.all(np.abs(slopes - order) < 0.5)


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("dense", [False, True])
def test_errors_stay_within_some_tolerances(method, rtol, dense):
    times = np.linspace(0.3, 8.0, 40)
    for rhs, y0, params, exact in [
        (OSCILLATOR, [1.0, 0.0], [1.0], np.stack([np.cos(times), -np.sin(times)], axis=1)),
        (FORCED, [0.0], [3.0], forced_solution(times, 3.0)[:, None]),
        (LOGISTIC, [0.01, 0.3], [2.0], np.stack([logistic_solution(times, 2.0, y) for y in (0.01, 0.3)], axis=1)),
    ]:
        _, states, _ = ode.integrate(rhs, y0, times, params, method=method, rtol=rtol, atol=rtol, dense=dense)
        assert np.max(np.abs(states - exact) / (rtol + rtol * np.abs(exact))) < 6


@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_dop853_needs_about_as_many_evaluations_as_scipy(rtol):
    theirs = solve_ivp(plain(oscillator, [1.0]), (0, 30), [1.0, 0.0], method="DOP853", rtol=rtol, atol=rtol)
    _, states, report = ode.integrate(OSCILLATOR, [1.0, 0.0], [30.0], [1.0], method="dop853", rtol=rtol, atol=rtol)
    assert report.evaluations < 1.2 * theirs.nfev
    assert abs(states[0, 0] - np.cos(30)) < 3 * abs(theirs.y[0, -1] - np.cos(30)) + rtol


def test_few_outputs_cost_little_and_many_cost_no_steps():
    free = ode.integrate(OSCILLATOR, [1.0, 0.0], [20.0], [1.0], method="dop853")[2]
    few = ode.integrate(OSCILLATOR, [1.0, 0.0], np.linspace(2, 20, 11), [1.0], method="dop853")[2]
    many = ode.integrate(OSCILLATOR, [1.0, 0.0], np.linspace(0.01, 20, 2000), [1.0], method="dop853")[2]
    assert few.evaluations < 1.2 * free.evaluations
    # An interpolating step costs 16 evaluations instead of 12, and is shortened by the error of its interpolant.
    assert many.evaluations < 2 * free.evaluations


@pytest.mark.parametrize("method", EXPLICIT)
def test_requested_times_are_met_exactly_without_interpolation(method):
    times = np.array([0.1, 0.1 + 1e-13, 1.0, 1.0 + 4e-16, 7.0])
    got, states, _ = ode.integrate(
        OSCILLATOR, [1.0, 0.0], times, [1.0], method=method, rtol=1e-11, atol=1e-12, dense=False
    )
    assert np.array_equal(got, times)
    assert np.max(np.abs(states[:, 0] - np.cos(times))) < 1e-10


def test_start_may_be_requested_and_lie_anywhere():
    _, states, _ = ode.integrate(OSCILLATOR, [1.0, 0.0], [-3.0, -1.0], [1.0], start=-3.0)
    assert np.array_equal(states[0], [1.0, 0.0])
    assert abs(states[1, 0] - np.cos(2.0)) < 1e-8
    _times, states, report = ode.integrate(OSCILLATOR, [1.0, 0.5], [2.0], [1.0], start=2.0)
    assert np.array_equal(states, [[1.0, 0.5]])
    assert report.steps == 0


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1e9, 1e150])
@pytest.mark.parametrize("method", ["dop853", "radau"])
def test_units_of_time_and_state_do_not_matter(method, scale):
    times = np.linspace(0.5, 5, 4)
    _, states, _ = ode.integrate(LOGISTIC, [0.2], times * scale, [2.0 / scale], rtol=1e-9, atol=1e-12, method=method)
    assert np.max(np.abs(states[:, 0] - logistic_solution(times, 2.0, 0.2))) < 1e-8
    _, states, _ = ode.integrate(
        OSCILLATOR, [scale, 0.0], times, [1.0], rtol=1e-9, atol=1e-12 * scale, method=method
    )  # fmt: skip
    assert np.max(np.abs(states[:, 0] / scale - np.cos(times))) < 2e-8


def test_absolute_tolerances_per_component_may_be_zero():
    # Decays over 200 orders of magnitude: only a relative tolerance keeps its digits.
    y0 = np.array([1e-250, 1e-3])
    _, states, _ = ode.integrate(LOGISTIC, y0, [100.0], [5.0], rtol=1e-10, atol=[0.0, 1e-6])
    assert abs(states[0, 0] / (1e-250 * np.exp(500.0)) - 1) < 1e-7


def test_a_large_system_runs_explicitly():
    y0 = np.linspace(0.0, 1.0, 100_000)
    _, states, report = ode.integrate(CHAIN, y0, [0.5], [0.1], rtol=1e-8)
    assert report.method == "dop853"
    small = slice(500, 701)
    inner = solve_ivp(
        lambda t, y: 0.1 * (np.r_[y[0], y[:-1]] - 2 * y + np.r_[y[1:], y[-1]]) + y * (1 - y),
        (0, 0.5), y0[small], method="DOP853", rtol=1e-11, atol=1e-12,
    )  # fmt: skip
    # Far from the ends of the cut piece the boundary has no influence yet.
    assert np.max(np.abs(states[0, 580:620] - inner.y[80:120, -1])) < 1e-8


@pytest.mark.parametrize("method", ["dop853", "radau"])
@pytest.mark.parametrize("dense", [True, False])
def test_slices_do_not_change_a_bit(method, dense, monkeypatch):
    from flowlimits.ode import driver

    times = np.linspace(0.1, 20, 30)
    options = {"method": method, "dense": dense, "rtol": 1e-8}
    _, whole, one = ode.integrate(OSCILLATOR, [1.0, 0.0], times, [1.0], **options)
    # A budget of zero seconds makes every slice as short as possible: one step.
    monkeypatch.setattr(driver, "SLICE", 0.0)
    _, sliced, other = ode.integrate(OSCILLATOR, [1.0, 0.0], times, [1.0], **options)
    assert np.array_equal(whole, sliced)
    assert (one.steps, one.rejected, one.evaluations) == (other.steps, other.rejected, other.evaluations)
