"""Order 8 where a step is too long for the fastest motion: what its error estimate does not see, and what it costs."""

import numpy as np
import pytest
from scipy.integrate._ivp import dop853_coefficients as published

import flowlimits as fl
from flowlimits import ode
from flowlimits.committee.equations import system
from flowlimits.ode import dop853

STAGES = [getattr(dop853, f"A{stage}") for stage in range(1, 12)]


@ode.right_hand_side
def spiral(t, y, dy, params, work):
    """z' = lambda z, for complex z."""
    dy[0] = params[0] * y[0] - params[1] * y[1]
    dy[1] = params[1] * y[0] + params[0] * y[1]


@ode.right_hand_side
def slow_and_fast(t, y, dy, params, work):
    """Two modes that decay, at rates 1 and params[0], seen in both components."""
    slow, fast = y[0] + y[1], params[0] * (y[0] - y[1])
    dy[0] = -0.5 * (slow + fast)
    dy[1] = -0.5 * (slow - fast)


@ode.right_hand_side
def slow_and_turning(t, y, dy, params, work):
    """A mode that decays at rate 1, and a spiral: lambda = params[0] (-1 +- i params[1])."""
    dy[0] = -y[0]
    dy[1] = -params[0] * (y[1] + params[1] * y[2])
    dy[2] = -params[0] * (y[2] - params[1] * y[1])


@ode.right_hand_side
def switched(t, y, dy, params, work):
    """An oscillator whose spring and whose force jump."""
    dy[0] = y[1]
    dy[1] = (-4.0 if y[0] > 0.0 else -9.0) * y[0] + (0.1 if t % 1.0 < 0.5 else -0.1)
    dy[2] = 1.0 if y[0] > 0.2 else -1.0


def step(z):
    """Return the end of a step for y' = z y, its error estimate of order 5, and the polynomials themselves."""
    slopes = []
    for row in [(), *STAGES]:
        slopes.append(z * (1 + sum(a * slope for a, slope in zip(row, slopes))))
    return 1 + sum(b * k for b, k in zip(dop853.B, slopes)), sum(e * k for e, k in zip(dop853.E5, slopes))


def zeros():
    """Return where, left of the imaginary axis and not near 0, the estimate of order 5 vanishes."""
    found = []
    for z in (-5.65, -23.26, -3.0 + 5.1j):
        for _ in range(30):
            z -= step(z)[1] * 2e-7 / (step(z + 1e-7)[1] - step(z - 1e-7)[1])
        found.append(complex(z))
    return found


def test_the_estimate_vanishes_where_a_step_is_wrong():
    for z, wrong in zip(zeros(), (0.254, 3100, 0.147)):
        end, estimate = step(z)
        assert abs(estimate) < 1e-9 * max(abs(end), 1)
        assert abs(end - np.exp(z)) == pytest.approx(wrong, rel=0.01)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_no_step_is_taken_at_a_zero_of_the_estimate(size):
    for z in zeros():
        _, states, report = ode.integrate(
            spiral, [size * 1e-10, 0.0], [1.0], [z.real, z.imag], method="dop853", rtol=0, atol=1e-10, first_step=1.0
        )
        error = states[0] - size * 1e-10 * np.array([np.exp(z).real, np.exp(z).imag])
        assert np.abs(error).max() < 5e-10
        # The step met the zero: it cost the slope at its end, too, before it was rejected.
        assert report.rejected >= 1
        assert report.evaluations == 1 + 12 * report.steps + 11 * report.rejected + 1


def test_the_first_step_of_a_linear_problem_may_have_any_length():
    lengths = np.geomspace(0.1, 60, 60)
    for angle in np.linspace(0.5, 1, 11) * np.pi:
        rate = np.exp(1j * angle)
        for size in (1e-6, 1e-2, 1e2, 1e6):
            for h in lengths:
                _, states, _ = ode.integrate(
                    spiral, [size, 0.0], [h], [rate.real, rate.imag], method="dop853", rtol=0, atol=1.0, first_step=h
                )
                exact = size * np.exp(rate * h)
                # Errors of several steps add up, on the imaginary axis all of them.
                assert abs(states[0, 0] + 1j * states[0, 1] - exact) < 8 + 2 * h


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_a_fast_mode_far_below_the_tolerance_does_not_come_back(rtol):
    for rate in np.geomspace(3, 1000, 30):
        for size in 10.0 ** np.arange(-16, -5, 2.0):
            fast = size * rtol
            times = np.linspace(0.5, 10, 7)
            _, states, _ = ode.integrate(
                slow_and_fast, [1 + fast, 1 - fast], times, [rate], method="dop853", rtol=rtol, atol=rtol, dense=False
            )
            exact = np.exp(-times)[:, None] + fast * np.exp(-rate * times)[:, None] * np.array([1, -1])
            assert np.abs(states - exact).max() < 10 * rtol


def test_a_committee_whose_step_met_the_zero_twice():
    times = np.linspace(0.0, 100.0, 11)
    problem = fl.Committee.random(4, 4, dimension=100, rng=74)
    family = system.choose(problem)
    options = {"params": system.parameters(problem, 0.0), "work_size": family.work_size}
    rhs, start = ode.right_hand_side(family.rhs), system.start(problem)
    tight = ode.integrate(rhs, start, times, method="radau", rtol=1e-12, atol=1e-14, **options)[1]
    # The product, which is not 1e-11: a bit decides whether the step meets the zero.
    options |= {"rtol": 1e-9, "atol": 1e-9 * 1e-2, "dense": False}
    _, states, _ = ode.integrate(rhs, start, times, method="dop853", **options)
    assert np.abs(states - tight).max() < 1e-8


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("turning", [0.0, 0.3, 1.0])
def test_stability_costs_few_rejections_and_hardly_more_than_equal_steps(rtol, turning):
    rate, end = 100.0, 40.0
    options = {"method": "dop853", "rtol": rtol, "atol": 0.01 * rtol}
    report = ode.integrate(slow_and_turning, [1.0, 1.0, 0.0], [end], [rate, turning], **options)[2]
    # The direction of a spiral turns from step to step, and its speed seems to change by some percent.
    assert report.rejected <= (0.06 * report.steps if turning else 5)
    # Equal steps can be as long as STABLE; the first ones follow the fast mode.
    assert report.evaluations < 1.1 * 12 * np.hypot(rate, turning * rate) * end / dop853.STABLE


def test_the_bound_lies_within_what_is_stable_for_decay():
    z = -np.linspace(0.01, dop853.STABLE, 2000)
    assert np.abs(step(z)[0]).max() < 1 < abs(step(-6.4)[0])


def test_jumps_cost_a_bounded_number_of_rejections():
    times = np.array([10.0])
    _, tight, _ = ode.integrate(
        switched, [1.0, 0.5, 0.0], times, method="dop853", rtol=1e-12, atol=1e-12, max_step=1e-3
    )
    for rtol in (1e-4, 1e-8):
        _, states, report = ode.integrate(switched, [1.0, 0.5, 0.0], times, method="dop853", rtol=rtol, atol=rtol)
        assert np.abs(states - tight).max() < 1e3 * rtol
        # Some 45 jumps, each found by steps that shrink from 0.1 to the tolerance by at most a third.
        assert report.rejected < 45 * np.log(0.1 / rtol) / np.log(3.0)


def test_a_step_and_its_error_are_those_of_the_published_tableau():
    """The lanes share the text of single problems, so that comparing the two would not see a wrong sign."""
    rng = np.random.default_rng(0)
    n, h, rtol = 6, 0.3, 1e-3
    y, K, atol = rng.normal(size=n), rng.normal(size=(16, n)), rng.uniform(1e-4, 1e-2, n)
    new, weights = np.empty(n), np.empty(n)
    error = dop853.end_and_error(h, y, K, new, rtol, atol, weights)
    expected = y + h * (published.B @ K[:12])
    np.testing.assert_allclose(new, expected, rtol=1e-14)
    scale = atol + rtol * np.maximum(abs(y), abs(expected))
    np.testing.assert_allclose(weights, 1 / scale, rtol=1e-13)
    five, three = (np.max(abs(row[:12] @ K[:12]) / scale) for row in (published.E5, published.E3))
    assert error == pytest.approx(h * five**2 / np.sqrt(five**2 + 0.01 * three**2), rel=1e-12)
    for stage, row in enumerate(STAGES, 1):
        np.testing.assert_allclose(row, published.A[stage, :stage], rtol=1e-14)
    np.testing.assert_allclose(dop853.C, published.C, rtol=1e-14)


@pytest.mark.parametrize("rate", [-0.2, -6.0, -23.0, 4.0])
def test_the_speed_of_a_linear_problem_is_read_off_the_last_stage(rate):
    h, K, weights = 0.5, np.zeros((16, 2)), np.array([100.0, np.inf])
    point, new = np.array([0.25, 3.0]), np.array([-0.5, 3.0])
    K[11], K[12] = rate * point, rate * new
    error, speed = dop853.fast_motion(h, K, new, point, weights)
    assert speed == pytest.approx(h * abs(rate))
    # What has no tolerance, the second component, does not count.
    assert error == pytest.approx(0.005 * 75.0 * (h * abs(rate) - 0.5))
    assert dop853.fast_motion(h, K, new, new, weights)[1] == 0.0
