"""Events: where event functions cross zero."""

import numpy as np
import pytest
from ode_problems import FORCED, LOGISTIC, OSCILLATOR, logistic_solution

from flowlimits import ode

METHODS = ["dop853", "radau", "radau5"]


@ode.right_hand_side
def falling(t, y, dy, params, work):
    dy[0] = y[1]
    dy[1] = -params[0]


@ode.event(direction=-1)
def ground(t, y, params, work):
    return y[0]


@ode.event(terminal=False)
def position(t, y, params, work):
    return y[0]


@ode.event(terminal=False, direction=1)
def upward(t, y, params, work):
    return y[0] - 0.5


@ode.event
def clock(t, y, params, work):
    return t - 20.0


@ode.event(terminal=False)
def twice(t, y, params, work):
    return (t - 1.0) * (t - 3.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dense", [True, False])
def test_all_roots_of_the_oscillator_are_found_to_the_accuracy_of_the_solution(method, dense):
    rtol = 1e-9 if method == "radau5" else 1e-12
    times, states, report = ode.integrate(
        OSCILLATOR, [1.0, 0.0], np.linspace(1, 30, 30), [1.0], rtol=rtol, atol=rtol, method=method, dense=dense,
        events=[position, clock, upward],
    )  # fmt: skip
    assert report.status is ode.Status.EVENT
    assert report.message == "Integration stopped at t=20 (event)."
    assert times[-1] == states.shape[0] == 20.0
    assert np.allclose(report.crossings[0], (np.arange(6) + 0.5) * np.pi, rtol=0, atol=20 * rtol)
    assert np.allclose(report.crossings[2], [5 * np.pi / 3, 11 * np.pi / 3, 17 * np.pi / 3], rtol=0, atol=20 * rtol)
    assert report.event_times[1] == 20.0
    assert np.allclose(np.abs(report.event_states[0]), [0.0, 1.0], rtol=0, atol=20 * rtol)
    assert abs(states[-1, 0] - np.cos(20)) < 20 * rtol


@pytest.mark.parametrize("method", METHODS)
def test_a_ball_bounces_where_it_should(method):
    g, height, restitution = 9.81, 1.0, 0.8
    state, start, expected = [height, 0.0], 0.0, np.sqrt(2 * height / g)
    flight = 2 * expected
    for _ in range(4):
        times, states, _ = ode.integrate(
            falling, state, [100.0], [g], start=start, events=ground, method=method, rtol=1e-10, atol=1e-13
        )
        assert abs(times[-1] - expected) < 1e-12
        start, state = times[-1], [0.0, -restitution * states[-1, 1]]
        flight *= restitution
        expected += flight


def test_two_roots_in_one_step_are_both_found():
    _, _, report = ode.integrate(LOGISTIC, [0.5], [5.0], [1e-3], events=[twice], method="dop853", first_step=5.0)
    assert report.steps <= 3
    assert np.allclose(report.crossings[0], [1.0, 3.0], rtol=0, atol=1e-12)


def test_an_event_that_never_happens_is_nan_and_a_zero_at_the_start_is_none():
    _, _, report = ode.integrate(LOGISTIC, [0.1], [5.0], [1.0], events=[position])
    assert np.isnan(report.event_times[0])
    assert report.provenance()["event_times"] == [None]
    _, _, report = ode.integrate(OSCILLATOR, [0.0, 1.0], [4.0], [1.0], events=[position])
    assert np.allclose(report.crossings[0], [np.pi])


def test_requested_times_before_a_terminal_event_are_delivered():
    @ode.event
    def level(t, y, params, work):
        return y[0] - 0.5

    wanted = np.linspace(0.1, 10, 100)
    times, states, report = ode.integrate(LOGISTIC, [0.1], wanted, [1.0], events=level, rtol=1e-10, atol=1e-12)
    crossing = np.log(9.0)
    assert abs(report.event_times[0] - crossing) < 1e-9
    assert np.array_equal(times[:-1], wanted[wanted < crossing])
    assert np.max(np.abs(states[:, 0] - logistic_solution(times, 1.0, 0.1))) < 1e-9


def test_more_crossings_than_the_compiled_log_holds_are_all_kept():
    _, _, report = ode.integrate(OSCILLATOR, [1.0, 0.0], [1000.0], [1.0], events=[position], rtol=1e-10)
    assert np.allclose(np.diff(report.crossings[0]), np.pi, rtol=0, atol=1e-6)
    assert report.crossings[0].size == 318


def test_events_survive_the_change_to_the_implicit_method():
    @ode.event(terminal=False)
    def zero(t, y, params, work):
        return y[0]

    _, _, report = ode.integrate(FORCED, [0.0], [20.0], [1e4], events=[zero], rtol=1e-9)
    assert report.method == "dop853, radau"
    # The slow solution is (k^2 cos t + k sin t) / (1 + k^2): zero where tan t = -k.
    exact = np.pi - np.arctan(1e4) + np.pi * np.arange(6)
    assert np.allclose(report.crossings[0], exact, rtol=0, atol=1e-8)
