"""Fields that rest at a kink of the flow on atoms: Filippov's sliding modes, against a smooth kink."""

import naive_xor
import numpy as np
import pytest

import flowlimits as fl


def atoms(W, a, **physics):
    return fl.XorMixture(Q=W @ W.T, R=W, second_layer=a, separation=1.0, noise_scale=0.0, **physics)


def test_a_resting_field_leaves_when_its_neighbours_have_moved():
    W = np.array([[-0.3, -0.1], [-0.2, -0.9], [-0.5, 0.9]])
    seen = atoms(W, [1.8, 1.8, -2.0]).solve([0.5, 2.0], observables=["risk", "R"])
    assert seen["risk"].values == pytest.approx([0.53094, 0.25002], abs=1e-5)
    R, _ = naive_xor.smooth_atoms(W, np.array([1.8, 1.8, -2.0]), 1.0, [0.5, 2.0])
    assert seen["R"].values == pytest.approx(R, abs=3e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic", "exponential"])
@pytest.mark.parametrize(("rate", "label_noise"), [(0.0, 0.0), (1.0, 0.3)])
def test_fields_agree_with_a_smooth_kink(loss, rate, label_noise):
    times = [0.5, 2.0, 6.0]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        K = int(rng.integers(2, 5))
        W, a = rng.standard_normal((K, 2)), 1.5 * rng.standard_normal(K)
        physics = {"loss": loss, "label_noise": label_noise}
        R, second = naive_xor.smooth_atoms(W, a, 1.0, times, rate=rate, width=1e-5, rtol=1e-7, **physics)
        seen = atoms(W, a, second_layer_rate=rate, **physics).solve(times, observables=["R", "second_layer"])
        assert seen["R"].values == pytest.approx(R, abs=3e-4)
        assert seen["second_layer"].values == pytest.approx(second, abs=3e-4)


def test_the_scale_of_the_fields_decides_nothing():
    W, a = np.array([[-0.3, -0.1], [-0.2, -0.9], [-0.5, 0.9]]), np.array([1.8, 1.8, -2.0])
    large = atoms(W, a).solve([0.5, 2.0], observables=["R"])["R"].values
    # w -> w s, a -> a / s leaves the outputs alone; time then runs with s^2.
    for s in (1e-6, 1e6):
        problem = fl.XorMixture(Q=s * s * W @ W.T, R=s * W, second_layer=a / s, separation=1.0, noise_scale=0.0)
        scaled = problem.solve(np.array([0.5, 2.0]) * s * s, observables=["R"], atol=1e-10 * min(s, 1.0))["R"].values
        assert scaled / s == pytest.approx(large, rel=1e-6, abs=1e-6)


def test_a_field_that_only_meets_a_push_away_on_both_sides_stays_at_zero():
    seen = atoms(np.array([[0.0, 0.4]]), [1.0]).solve([1.0, 3.0], observables=["R"])
    assert np.array_equal(seen["R"].values[:, 0, 0], [0.0, 0.0])
