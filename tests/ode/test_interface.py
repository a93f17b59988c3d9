"""What a user meets: decorators, checks, messages, statuses, interrupts, progress."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest
from ode_problems import COUPLED_STRUCTURED, EXPLOSION, LOGISTIC, OSCILLATOR, ROOT_OF_TIME, coupled, coupled_structured

from flowlimits import ode
from flowlimits.ode.integrate import _solve


def test_the_five_line_example_of_the_docstring():
    @ode.right_hand_side
    def decay(t, y, dy, params, work):
        dy[0] = -params[0] * y[0]

    times, states, report = ode.integrate(decay, [1.0], [1.0, 2.0], params=[0.5])
    assert np.allclose(states[:, 0], np.exp(-0.5 * times), rtol=1e-7)
    assert report.status is ode.Status.SUCCESS
    assert report.message == "Integration reached t=2."


def test_functions_without_a_file_work():
    scope = {"ode": ode}
    exec(
        "@ode.right_hand_side\ndef growth(t, y, dy, params, work):\n    dy[0] = y[0]\n",
        scope,
    )
    _, states, _ = ode.integrate(scope["growth"], [1.0], [1.0])
    assert abs(states[0, 0] - np.e) < 1e-7


def test_closures_are_compiled_with_their_values():
    def make(rate):
        @ode.right_hand_side
        def decay(t, y, dy, params, work):
            dy[0] = -rate * y[0]

        return decay

    for rate in (1.0, 2.0):
        assert abs(ode.integrate(make(rate), [1.0], [1.0])[1][0, 0] - np.exp(-rate)) < 1e-8


def test_bad_functions_get_one_sentence():
    with pytest.raises(
        TypeError, match=r"The right-hand side must take \(t, y, dy, params, work\), but `f` takes \(t, y\)."
    ):

        @ode.right_hand_side
        def f(t, y):
            return -y

    with pytest.raises(
        TypeError, match=r"The right-hand side `g` cannot be compiled: .* It must write dy and return nothing"
    ):

        @ode.right_hand_side
        def g(t, y, dy, params, work):
            return -y

    with pytest.raises(TypeError, match=r"The event `h` cannot be compiled: .*undefined_name.*"):

        @ode.event
        def h(t, y, params, work):
            return undefined_name  # noqa: F821

    with pytest.raises(
        TypeError, match=r"The right-hand side must be a function \(t, y, dy, params, work\), but is 3."
    ):
        ode.right_hand_side(3)
    with pytest.raises(
        TypeError, match=r"Argument `rhs` must be a function decorated with fl.ode.right_hand_side, but is"
    ):
        ode.integrate(lambda t, y: y, [1.0], [1.0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y0": [np.nan]}, "Argument `y0` must be finite, but is nan at index [0]."),
        ({"y0": []}, "Argument `y0` must not be empty, but has shape (0,)."),
        ({"y0": [[1.0]]}, "Argument `y0` must have shape (n,), but has shape (1, 1)."),
        ({"times": []}, "Argument `times` must hold at least one time, but is empty."),
        ({"times": [1.0, 1.0]}, "Argument `times` must increase strictly, but 1 follows 1 at index 1."),
        ({"times": [2.0, 1.0]}, "Argument `times` must increase strictly, but 1 follows 2 at index 1."),
        ({"times": [-1.0]}, "Argument `times` must not begin before `start` = 0, but begins at -1."),
        ({"times": [np.inf]}, "Argument `times` must be finite, but is inf at index [0]."),
        ({"rtol": -1.0}, "Argument `rtol` must not be negative, but is -1.0."),
        ({"rtol": 1e-15}, "Argument `rtol` must be zero or at least 1e-14, but is 1e-15."),
        ({"atol": [1.0, 1.0]}, "Argument `atol` must be a number or have shape (1,), but has shape (2,)."),
        ({"atol": -1.0}, "Argument `atol` must not be negative, but holds -1."),
        ({"rtol": 0.0, "atol": 0.0}, "Arguments `rtol` and `atol` must not both be zero."),
        ({"method": "rk45"}, "Argument `method` must be one of"),
        ({"method": "tsit5"}, 'Argument `method` cannot be "tsit5" any more: "dop853" takes less time'),
        ({"events": [3]}, "Argument `events` must hold functions decorated with fl.ode.event, but holds 3."),
        ({"max_steps": 0}, "Argument `max_steps` must be at least 1, but is 0."),
        ({"max_step": 0.0}, "Argument `max_step` must be positive, but is 0.0."),
        ({"dense": 3}, 'Argument `dense` must be True, False or "auto", but is 3.'),
        ({"sparsity": np.ones((2, 2))}, "Argument `sparsity` must have shape (1, 1), but has shape (2, 2)."),
    ],
)
def test_bad_input_gets_one_sentence(change, sentence):
    arguments = {"y0": [0.5], "times": [1.0], "params": [1.0]} | change
    with pytest.raises((ValueError, TypeError)) as caught:
        ode.integrate(LOGISTIC, **arguments)
    assert str(caught.value).startswith(sentence)


def test_a_structured_jacobian_needs_its_rank():
    without = ode.right_hand_side(coupled, jacobian=coupled_structured)
    with pytest.raises(ValueError, match=r"Argument `rank` is missing"):
        ode.integrate(without, np.ones(3), [1.0], np.ones(9), method="radau")
    given = ode.integrate(without, np.ones(3), [1.0], np.ones(9), method="radau", rank=1)[1]
    assert np.array_equal(given, ode.integrate(COUPLED_STRUCTURED, np.ones(3), [1.0], np.ones(9), method="radau")[1])


@pytest.mark.parametrize("method", ["auto", "dop853", "radau"])
def test_an_explosion_is_reported_with_what_was_reached(method):
    with pytest.raises(ode.IntegrationError) as caught:
        ode.integrate(EXPLOSION, [1.0], [0.5, 0.9, 2.0], method=method)
    error = caught.value
    assert error.report.status in (ode.Status.STEP_TOO_SMALL, ode.Status.NOT_FINITE)
    assert str(error).startswith(f"Integration stopped at t=1 ({error.report.status.value}). ")
    assert str(error).endswith(error.report.status.advice)
    assert abs(error.report.reached - 1) < 1e-6
    assert np.array_equal(error.times, [0.5, 0.9])
    assert np.allclose(error.states[:, 0], [2.0, 10.0], rtol=1e-6)


@pytest.mark.parametrize("method", ["dop853", "radau"])
def test_nan_is_met_inside_step_control(method):
    # y' = sqrt(1 - t) is NaN beyond t = 1; up to there the solution is exact.
    with pytest.raises(ode.IntegrationError) as caught:
        ode.integrate(ROOT_OF_TIME, [0.0], [0.5, 2.0], method=method)
    assert caught.value.report.status is ode.Status.NOT_FINITE
    assert abs(caught.value.report.reached - 1) < 1e-6
    assert abs(caught.value.states[0, 0] - 2 / 3 * (1 - 0.5**1.5)) < 1e-8


@pytest.mark.parametrize("method", ["dop853", "radau"])
def test_a_forgotten_component_is_found_out(method):
    with pytest.raises(ode.IntegrationError, match=r"stopped at t=0 \(not finite\).*write every component of dy"):
        ode.integrate(EXPLOSION, [1.0, 1.0], [0.5], method=method)


@pytest.mark.parametrize("method", ["dop853", "radau"])
def test_a_singular_or_senseless_jacobian_is_reported(method):
    @ode.right_hand_side(jacobian=lambda t, y, J, params, work: J.fill(np.nan))
    def bad(t, y, dy, params, work):
        dy[0] = -y[0]

    if method == "dop853":
        assert ode.integrate(bad, [1.0], [1.0], method=method)[2].status is ode.Status.SUCCESS
        return
    with pytest.raises(ode.IntegrationError, match="Jacobian not finite"):
        ode.integrate(bad, [1.0], [1.0], method=method)


def test_max_steps_and_the_advice_of_the_caller():
    with pytest.raises(ode.IntegrationError, match=r"\(too many steps\)\. Raise `max_steps`") as caught:
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0, 1e3], [1.0], max_steps=50)
    assert caught.value.report.steps + caught.value.report.rejected == 50
    advice = {ode.Status.TOO_MANY_STEPS: "Lower the learning rate."}
    with pytest.raises(ode.IntegrationError, match=r"\(too many steps\)\. Lower the learning rate\.$"):
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1e3], [1.0], max_steps=50, advice=advice)


def test_errors_and_reports_can_be_pickled():
    with pytest.raises(ode.IntegrationError) as caught:
        ode.integrate(EXPLOSION, [1.0], [2.0])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.report.steps == caught.value.report.steps


def test_every_status_has_a_name_and_failures_have_advice():
    for status in ode.Status:
        assert status.value
        assert bool(status.advice) or not status.failed


def test_the_report_is_plain_values_for_a_file():
    import json

    _, _, report = ode.integrate(OSCILLATOR, [1.0, 0.0], [5.0], [1.0])
    plain = report.provenance()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["method"] == "dop853"
    assert plain["switches"] == [[0.0, "dop853"]]


def test_an_interrupt_need_not_wait_for_slow_evaluations():
    @ode.right_hand_side
    def slow(t, y, dy, params, work):
        total = 0.0
        for i in range(int(params[0])):
            total += np.sin(i + y[0])
        dy[0] = -y[0] + 1e-300 * total

    began = time.perf_counter()
    ode.integrate(slow, [1.0], [1e-9], [1e6], first_step=1e-9)
    one = (time.perf_counter() - began) / 14
    # A step then takes some seconds.
    timer = threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(ode.IntegrationInterrupted) as caught:
        ode.integrate(slow, [1.0], [0.0, 5.0], [1e6 * 0.25 / one])
    assert time.perf_counter() - began < 14 * one + 1.0 + 6 * 0.25
    assert caught.value.times.tolist() == [0.0]
    timer.join()


def test_an_interrupt_stops_a_long_integration_and_keeps_the_finished_part():
    wanted = np.array([1.0, 1e9])
    # Loaded and compiled: an interrupt that meets the callback of a weak reference, as there are while it is loaded, is lost.
    ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0], [1.0])
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        ode.integrate(OSCILLATOR, [1.0, 0.0], wanted, [1.0], max_steps=10**12)
    timer.join()
    assert isinstance(caught.value, ode.IntegrationInterrupted)
    assert caught.value.report.status is ode.Status.INTERRUPTED
    assert caught.value.times.tolist() == [1.0]
    assert caught.value.report.wall_time < 2.0


def test_progress_goes_to_stderr_and_changes_nothing(capfd):
    silent = ode.integrate(OSCILLATOR, [1.0, 0.0], [2e4], [1.0])[1]
    assert capfd.readouterr().err == ""
    shown = ode.integrate(OSCILLATOR, [1.0, 0.0], [2e4], [1.0], progress=True)[1]
    captured = capfd.readouterr()
    assert "integrate" in captured.err
    assert captured.out == ""
    assert np.array_equal(silent, shown)


def test_the_inner_entry_takes_addresses_and_read_only_arrays():
    times, params, y0 = np.array([1.0, 2.0]), np.array([1.0]), np.array([0.2])
    for array in (times, params, y0):
        array.flags.writeable = False
    _, states, _ = _solve(LOGISTIC.function.address, y0, times, params, atol=np.full(1, 1e-10))
    assert np.array_equal(states, ode.integrate(LOGISTIC, [0.2], [1.0, 2.0], [1.0])[1])
    assert y0[0] == 0.2


def test_work_is_passed_on():
    @ode.right_hand_side
    def uses_work(t, y, dy, params, work):
        work[2] = -y[0]
        dy[0] = work[2]

    assert abs(ode.integrate(uses_work, [1.0], [1.0], work_size=3)[1][0, 0] - np.exp(-1)) < 1e-8


def test_the_function_can_be_called_by_hand():
    assert np.array_equal(OSCILLATOR(0.0, [1.0, 2.0], [3.0]), [2.0, -3.0])


def test_arrays_too_short_for_the_right_hand_side_are_refused():
    """Compiled code would read beyond them and return what stands in memory there."""

    @ode.right_hand_side
    def needs_three(t, y, dy, params, work):
        dy[0] = -params[2] * y[0]

    with pytest.raises(ValueError) as caught:
        ode.integrate(needs_three, [1.0], [1.0], params=[1.0])
    assert str(caught.value) == (
        "The right-hand side `needs_three` needs longer arrays than y0 (1), `params` (1) and `work_size` (0) at t = 0: "
        "index 2 is out of bounds for axis 0 with size 1."
    )
    with pytest.raises(ValueError, match="index 2 is out of bounds for axis 0 with size 0"):
        ode.integrate(needs_three, [1.0], [1.0])
    assert ode.integrate(needs_three, [1.0], [1.0], params=[0, 0, 1.0])[1][0, 0] == pytest.approx(np.exp(-1), rel=1e-7)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"events": 3}, "Argument `events` must be a sequence, but is 3."),
        ({"progress": "yes"}, "Argument `progress` must be True, False or None, but is 'yes'."),
    ],
)
def test_keywords_of_the_wrong_kind(keywords, sentence):
    with pytest.raises(TypeError) as caught:
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0], [1.0], **keywords)
    assert str(caught.value) == sentence
