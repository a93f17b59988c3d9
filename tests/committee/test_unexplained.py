"""Teachers with parts that the inputs do not explain: weights behind a mask, real inputs, and the floor of the risk."""

import numpy as np
import pytest
from covariance_values import risk_of
from scipy import special

import flowlimits as fl

S = np.array([1.5, 1.5, 0.6, 0.2])
S_HIDDEN = np.array([0.8, 0.4])


def weights(seed=0):
    """Student and teacher in the four dimensions that the student sees, and the teacher in two that it does not."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, 4)), rng.standard_normal((2, 4)), rng.standard_normal((2, 2))


def problem(**physics):
    W, W_star, hidden = weights()
    unexplained = (hidden * S_HIDDEN) @ hidden.T / 4
    return fl.Committee.from_weights(W, W_star, covariance=S, unexplained=unexplained, **physics)


@pytest.mark.parametrize("activation", ["erf", "square"])
def test_the_flow_is_that_of_weights_behind_a_mask(activation):
    V, W_star, hidden = weights()
    # Fields are divided by the root of the dimension that is seen, 4, and not by that of all six.
    scale, whole = np.sqrt(6 / 4), np.diag(np.concatenate([S, S_HIDDEN]))

    def risk(V):
        both = np.hstack([V, np.zeros((2, 2))]), np.hstack([W_star, hidden])
        return risk_of(*(scale * one for one in both), whole, activation)

    def velocity(V):
        change = np.empty_like(V)
        for at in np.ndindex(V.shape):
            high, low = V.copy(), V.copy()
            high[at] += 1e-5
            low[at] -= 1e-5
            change[at] = -2 * 4 * (risk(high) - risk(low)) / 2e-5
        return change

    found = problem(activation=activation).solve([0.0, 0.4], rtol=1e-11, atol=1e-13)
    stepped = problem(activation=activation).simulate([0.4], dimension=4, method="gd", step=1e-4)
    assert float(found["risk"][0]) == pytest.approx(risk(V), rel=1e-12)
    h = 0.4 / 200
    for _ in range(200):
        a = velocity(V)
        b = velocity(V + h / 2 * a)
        c = velocity(V + h / 2 * b)
        V = V + h / 6 * (a + 2 * b + 2 * c + velocity(V + h * c))
    assert float(found["risk"][1]) == pytest.approx(risk(V), rel=1e-7)
    np.testing.assert_allclose(found["R"][1], (V * S) @ W_star.T / 4, atol=1e-7)
    assert float(stepped["risk"][0, 0]) == pytest.approx(risk(V), rel=1e-3)


@pytest.mark.parametrize("method", ["overlaps", "samples"])
def test_runs_have_the_law_of_real_inputs_behind_a_mask(method):
    runs, steps, rate = 1500, 12, 2.0
    rng = np.random.default_rng(3)
    W, W_star, hidden = weights()
    made = problem(activation="erf", learning_rate=rate, noise=0.05)
    found = made.simulate([steps * rate / 8], dimension=4, runs=runs, rng=1, method=method, progress=False)
    W = np.tile(W, (runs, 1, 1))
    for _ in range(steps):
        x = rng.standard_normal((runs, 4)) * np.sqrt(S)
        z = rng.standard_normal((runs, 2)) * np.sqrt(S_HIDDEN)
        fields = (x @ W_star.T + z @ hidden.T) / 2
        y = special.erf(fields / np.sqrt(2)).mean(1) + np.sqrt(0.05) * rng.standard_normal(runs)
        lam = np.einsum("npd,nd->np", W, x) / 2
        slope = np.sqrt(2 / np.pi) * np.exp(-(lam**2) / 2)
        error = y - special.erf(lam / np.sqrt(2)).mean(1)
        W = W + rate / 2 * (error[:, None] * slope)[:, :, None] * x[:, None, :] / 2
    Q, R = np.einsum("npd,d,nqd->npq", W, S, W) / 4, np.einsum("npd,d,kd->npk", W, S, W_star) / 4
    for real, drawn in ((Q, found["Q"][:, 0].values), (R, found["R"][:, 0].values)):
        for power in (1, 2):
            one, other = real.reshape(runs, -1) ** power, drawn.reshape(runs, -1) ** power
            score = (one.mean(0) - other.mean(0)) / np.sqrt((one.var(0) + other.var(0)) / runs)
            assert np.abs(score).max() < 4.5


def test_the_risk_has_a_floor_and_files_keep_it(tmp_path):
    given = {"activation": "linear", "unexplained": [[0.5, 0.1], [0.1, 0.3]]}
    plain = fl.Committee(np.eye(2) / 4, np.zeros((2, 2)), np.eye(2), **given)
    result = plain.solve([1.0, 200.0])
    assert float(result["risk"][1]) == pytest.approx(0.5 * (0.5 + 0.1 + 0.1 + 0.3) / 4, rel=1e-7)
    fl.save(result, tmp_path / "floor.nc")
    assert fl.load_problem(fl.load(tmp_path / "floor.nc")) == plain
    np.testing.assert_array_equal(fl.solve_many([plain], [1.0, 200.0], progress=False)["risk"][0], result["risk"])
    none = fl.Committee(np.eye(2) / 4, np.zeros((2, 2)), np.eye(2), activation="linear", unexplained=np.zeros((2, 2)))
    without = fl.Committee(np.eye(2) / 4, np.zeros((2, 2)), np.eye(2), activation="linear")
    np.testing.assert_allclose(none.solve([1.0])["risk"], without.solve([1.0])["risk"], rtol=1e-8)
    with pytest.raises(
        ValueError, match="Argument `fluctuations` must be False for teachers with `unexplained` fields"
    ):
        problem(activation="erf", learning_rate=1.0).solve([1.0], fluctuations=True)


def test_the_limit_of_sgd_is_met():
    made = fl.Committee(
        np.eye(2) / 4,
        [[0.1, 0.0], [0.0, 0.2]],
        np.eye(2),
        activation="erf",
        learning_rate=1.0,
        unexplained=0.3 * np.eye(2),
    )
    times = np.array([1.0, 4.0])
    runs = made.simulate(times, dimension=2000, runs=64, rng=0, progress=False)
    assert fl.compare(made.solve(times), runs).passed is not False
    other = fl.Committee(np.eye(2) / 4, [[0.1, 0.0], [0.0, 0.2]], np.eye(2), activation="erf", learning_rate=1.0)
    assert fl.compare(other.solve(times), runs).passed is False
