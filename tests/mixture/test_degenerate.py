"""Pairs of units that are parallel or opposite up to rounding: moments and flows are limits, taken as limits."""

import math

import naive_xor
import numpy as np
import pytest

import flowlimits as fl
from flowlimits.mixture.equations import relu_moments

S1, S2 = 0.7, 1.3
THRESHOLDS = [(0.3, 0.3), (-0.7, -0.7), (0.3, -0.5), (1.2, 1.2 + 1e-9), (-0.4, -0.4 - 1e-7), (0.0, 0.0), (-0.3, 0.8)]


def pair(h, k, r):
    return np.array(relu_moments(h * S1, S1, k * S2, S2, r * S1 * S2))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2])
def test_moments_agree_with_quadrature_up_to_parallel_and_opposite_fields(side, distance):
    r = side * (1 - distance)
    rest = 1 - abs(r)
    for h, k in THRESHOLDS:
        expected = naive_xor.moments(h * S1, S1, side * k * S2, S2, r, math.sqrt(rest * (2 - rest)))
        assert pair(h, side * k, r) == pytest.approx(expected, abs=2e-12)


@pytest.mark.parametrize("side", [1, -1])
def test_moments_are_continuous_in_the_correlation_and_in_the_thresholds(side):
    for h, k in THRESHOLDS:
        limit = pair(h, side * k, side)
        # Moments have a square root in 1 - |r|: its size bounds the jump between neighbours.
        for distance in (1e-16, 2e-16, 1e-15, 3e-15, 1e-14, 1e-12, 1e-9, 1e-6, 1e-3):
            assert np.abs(pair(h, side * k, side * (1 - distance)) - limit).max() < 2 * math.sqrt(distance) + 3e-16
        for shift in (1e-16, -1e-16, 1e-14, -1e-14, 1e-10):
            assert np.abs(pair(h + shift, side * k, side) - pair(h, side * k, side))[:3].max() < 10 * abs(shift) + 1e-9


def test_two_opposite_units_have_the_risk_of_the_modulus():
    W = np.array([[1.0, 0.5], [-1.0, -0.5]])
    seen = fl.XorMixture(Q=W @ W.T, R=W, second_layer=[1, 1], separation=1, noise_scale=1).solve([0.0], error_points=64)
    # f = |w.x| with w.x ~ N(m, |w|^2), m = +-1 and +-1/2.
    s, total = math.sqrt(1.25), 0.5
    for m, label in ((1.0, 1.0), (0.5, -1.0)):
        modulus = m * (2 * naive_xor.cdf(m / s) - 1) + 2 * s * naive_xor.density(m / s)
        total += 0.5 * (0.5 * (m * m + s * s) - label * modulus)
    assert float(seen["risk"][0]) == pytest.approx(total, abs=1e-8)
    assert total == pytest.approx(1.3139685, abs=1e-7)


def test_starts_on_one_line_do_not_jump_when_they_leave_it():
    rng = np.random.default_rng(3)
    for _ in range(30):
        K = int(rng.integers(2, 5))
        W = np.outer(rng.standard_normal(K), rng.standard_normal(3))
        a = rng.standard_normal(K)
        risks = []
        for moved in (W, W + 1e-6 * rng.standard_normal(W.shape)):
            problem = fl.XorMixture(Q=moved @ moved.T, R=moved[:, :2], second_layer=a, noise_scale=0.8)
            risks.append(float(problem.solve([0.0], observables=["risk"])["risk"][0]))
        assert risks[0] == pytest.approx(risks[1], abs=1e-4)


@pytest.mark.parametrize("a", [[0.7, -0.7], [1.0, 1.0], [0.7, 0.5]])
def test_two_identical_units_follow_the_flow_of_their_weights(a):
    W, times = np.array([[0.4, 0.3, 0.5], [0.4, 0.3, 0.5]]), np.array([0.4, 1.0])
    expected = naive_xor.squared_flow(W, np.array(a), 1.0, 0.7, times, rtol=1e-8)
    problem = fl.XorMixture(Q=W @ W.T, R=W[:, :2], second_layer=a, noise_scale=0.7)
    seen = problem.solve(times, observables=["R", "Q"])
    assert seen["R"].values == pytest.approx(expected[:, :, :2], abs=1e-7)
    assert seen["Q"].values == pytest.approx(expected @ expected.transpose(0, 2, 1), abs=1e-7)
