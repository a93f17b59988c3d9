"""What compiled code does not notice: reads beyond arrays, writes to the state, random numbers, times far from zero, jumps."""

import numpy as np
import pytest
import travellers
from ode_problems import OSCILLATOR

from flowlimits import ode
from flowlimits.compiled.jit import jit

METHODS = ["dop853", "radau"]


@jit
def helper(params, i):
    return params[i]


def by_closure(place):
    @ode.right_hand_side
    def decay(t, y, dy, params, work):
        dy[0] = -params[place] * y[0]

    return decay


@ode.right_hand_side
def by_helper(t, y, dy, params, work):
    dy[0] = -helper(params, 3) * y[0]


@ode.right_hand_side
def by_module(t, y, dy, params, work):
    dy[0] = -travellers.third(params) * y[0]


@ode.right_hand_side
def later(t, y, dy, params, work):
    dy[0] = params[5] if t > 1.0 else -y[0]


@pytest.mark.parametrize("rhs", [by_closure(2), by_helper, by_module], ids=["closure", "helper", "module"])
@pytest.mark.parametrize("integrate", [ode.integrate, ode.integrate_batch], ids=["one", "batch"])
def test_reads_beyond_the_parameters_are_found_wherever_they_are(rhs, integrate):
    y0 = [1.0] if integrate is ode.integrate else [[1.0]]
    with pytest.raises(
        ValueError, match=r"The right-hand side `\w+` needs longer arrays than y0 \(1\), `params` \(1\)"
    ):
        integrate(rhs, y0, [1.0], [1.0])


def test_reads_in_a_branch_that_is_reached_later_are_found():
    # What lies beyond the array decides whether the integration ends at t = 2, or where the branch is reached.
    with pytest.raises(ValueError, match=r"The right-hand side `later` needs longer arrays .* at t = [12]: index 5"):
        ode.integrate(later, [1.0], [0.5, 2.0], [1.0])
    assert ode.integrate(later, [1.0], [0.5, 2.0], np.ones(6))[2].status is ode.Status.SUCCESS


def test_reads_in_an_event_are_found():
    @ode.event
    def far(t, y, params, work):
        return y[2] - 1.0

    with pytest.raises(ValueError, match=r"The event `far` needs longer arrays than y0 \(2\)"):
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0], [1.0], events=far)


def test_writes_to_the_state_or_the_parameters_are_refused():
    @ode.right_hand_side
    def clipped(t, y, dy, params, work):
        y[0] = max(y[0], 0.0)
        dy[0] = -1.0

    @ode.right_hand_side
    def careless(t, y, dy, params, work):
        params[0] = 2.0
        dy[0] = -params[0]

    for rhs in (clipped, careless):
        with pytest.raises(ValueError, match=r"writes to `y` or `params` at t = 0, which are to be read only"):
            ode.integrate(rhs, [1.0], [2.0], [1.0])


def test_random_numbers_are_refused():
    @ode.right_hand_side
    def noisy(t, y, dy, params, work):
        dy[0] = np.random.normal()  # noqa: NPY002

    with pytest.raises(ValueError, match="`noisy` gives other values in a second call with the same arguments"):
        ode.integrate(noisy, [1.0], [1.0])


def test_scratch_and_loops_of_helpers_pass():
    @ode.right_hand_side
    def fine(t, y, dy, params, work):
        for i in range(y.size):
            work[i] = helper(params, i) * y[i]
        for i in range(y.size):
            dy[i] = -work[y.size - 1 - i]

    assert ode.integrate(fine, np.ones(3), [1.0], np.ones(3), work_size=3)[2].status is ode.Status.SUCCESS


@ode.right_hand_side
def clock(t, y, dy, params, work):
    dy[0] = 1.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("start", [1e9, 1e12])
def test_time_far_from_zero_is_the_difference_of_rounded_times(start, method):
    times = start + np.array([0.3, 7.1, 10.0])
    _, states, report = ode.integrate(clock, [0.0], times, start=start, method=method, max_step=0.1)
    assert report.steps >= 100
    assert np.abs(states[:, 0] - (times - start)).max() < 1e-9


def test_time_far_from_zero_in_a_batch():
    times = 1e12 + np.array([0.3, 7.1, 10.0])
    _, states, _ = ode.integrate_batch(clock, np.zeros((10, 1)), times, start=1e12, max_step=0.1)
    assert np.abs(states[:, :, 0] - (times - 1e12)).max() < 1e-9
    one = ode.integrate(clock, [0.0], times, start=1e12, max_step=0.1, method="dop853", dense=False)[1]
    assert np.array_equal(states[3], one)


@pytest.mark.parametrize("integrate", [ode.integrate, ode.integrate_batch], ids=["one", "batch"])
def test_steps_that_move_no_time_are_refused(integrate):
    y0 = [0.0] if integrate is ode.integrate else [[0.0]]
    with pytest.raises(
        ValueError, match=r"`max_step` must be long enough to move the time, but is 1e-20: between 5 and 6"
    ):
        integrate(clock, y0, [6.0], start=5.0, max_step=1e-20)


@pytest.mark.parametrize("method", METHODS)
def test_a_sliding_motion_is_called_a_jump(method):
    @ode.right_hand_side
    def friction(t, y, dy, params, work):
        dy[0] = -1.0 if y[0] > 0.0 else 1.0

    with pytest.raises(ode.IntegrationError, match="The right-hand side jumps here, and both sides point") as caught:
        ode.integrate(friction, [1.0], [2.0], max_steps=20_000, method=method)
    assert abs(caught.value.report.reached - 1.0) < 0.1


def test_stiff_and_exploding_problems_are_not_called_jumps():
    @ode.right_hand_side
    def stiff(t, y, dy, params, work):
        dy[0] = -1e6 * (y[0] - np.cos(t))

    with pytest.raises(ode.IntegrationError, match=r"too many steps\)\. Raise `max_steps`"):
        ode.integrate(stiff, [0.0], [20.0], method="dop853", max_steps=3000)


@ode.right_hand_side
def pulse(t, y, dy, params, work):
    dy[0] = 1e4 if params[0] <= t < params[1] else 0.0


@pytest.mark.parametrize("method", ["auto", "radau"])
def test_pulses_between_given_jumps_are_not_stepped_over(method):
    edges = [3.0, 3.0001]
    times = np.array([1.0, 3.0, 3.00005, 5.0])
    reached, states, report = ode.integrate(pulse, [0.0], times, edges, jumps=edges, method=method)
    assert np.array_equal(reached, times)
    assert np.allclose(states[:, 0], [0.0, 0.0, 0.5, 1.0], rtol=0, atol=1e-8)
    assert report.status is ode.Status.SUCCESS
    assert report.message == "Integration reached t=5."
    assert report.steps < 200


def test_jumps_with_events_partial_results_and_counts():
    @ode.event
    def half(t, y, params, work):
        return y[0] - 0.5

    times, states, report = ode.integrate(
        pulse, [0.0], [1.0, 5.0], [3.0, 3.0001], jumps=[3.0001, 3.0, 9.0], events=half
    )
    assert report.status is ode.Status.EVENT
    assert abs(report.event_times[0] - 3.00005) < 1e-9
    assert times.tolist() == [1.0, report.reached]
    assert abs(states[-1, 0] - 0.5) < 1e-8
    with pytest.raises(ode.IntegrationError, match="too many steps") as caught:
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0, 50.0], [1.0], jumps=[2.0], max_steps=30)
    assert caught.value.times.tolist() == [1.0]
    assert caught.value.report.steps + caught.value.report.rejected == 30


def test_an_increment_that_leaves_the_domain_is_turned():
    @ode.right_hand_side
    def root(t, y, dy, params, work):
        dy[0] = -(y[0] ** 0.5)

    # y = (1 - t / 2)^2, and y^0.5 is NaN below zero.
    _, states, _ = ode.integrate(root, [1.0], [1.9, 1.999], method="radau")
    assert np.allclose(states[:, 0], [0.05**2, 0.0005**2], rtol=1e-4, atol=1e-9)


def test_a_huge_number_of_steps_is_a_number_of_steps():
    assert ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0], [1.0], max_steps=2**63 - 1)[2].status is ode.Status.SUCCESS
    with pytest.raises(ValueError, match="Argument `max_steps` must be at most"):
        ode.integrate(OSCILLATOR, [1.0, 0.0], [1.0], [1.0], max_steps=2**63)


def test_one_parameter_for_each_problem_or_all_of_them():
    sentence = r"`params` of shape \(3,\) could mean one parameter for each of the 3 problems, or 3 parameters for all"
    with pytest.raises(ValueError, match=sentence):
        ode.integrate_batch(by_closure(0), np.ones((3, 1)), [1.0], [1.0, 2.0, 3.0])
    own = ode.integrate_batch(by_closure(0), np.ones((3, 1)), [1.0], [[1.0], [2.0], [3.0]])[1]
    assert np.allclose(own[:, 0, 0], np.exp([-1.0, -2.0, -3.0]), rtol=1e-7)
    all_of_them = ode.integrate_batch(by_closure(1), np.ones((3, 1)), [1.0], [[1.0, 2.0, 3.0]])[1]
    assert np.allclose(all_of_them[:, 0, 0], np.exp(-2.0), rtol=1e-7)


def test_the_equations_of_the_package_are_not_run_by_the_interpreter(monkeypatch):
    """Of wide networks one call took seconds, which no interrupt of a compiled loop shortens; the tests of the package look at them."""
    import flowlimits as fl
    from flowlimits.ode import guards

    calls = []
    monkeypatch.setattr(guards.Guard, "_call", lambda *given: calls.append(given[1]) or True)
    fl.XorMixture(2, noise_scale=0.6, scale=0.5, dimension=10, rng=0).solve([0.1], error_points=32)
    assert not calls
    ode.integrate(OSCILLATOR, [1.0, 0.0], [0.1])
    assert calls
