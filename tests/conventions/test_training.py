"""Training loops in NumPy, in every habit, follow the `Committee` that `Training` makes of them."""

import math

import numpy as np
import pytest

import flowlimits as fl

D, P, K, RUNS = 200, 2, 3, 24


def loop(habit, W, W_star, steps, every, rng, noise):
    """Train RUNS networks by one-pass SGD with linear units, written as one writes it; return their exact losses."""
    W = np.repeat(W[None], RUNS, axis=0)
    scale = {"mean": lambda n: 1 / n, "sqrt": lambda n: 1 / math.sqrt(n), "sum": lambda n: 1.0}[habit["scaling"]]
    inner = 1.0 if habit["rows"] == "unit" else 1 / math.sqrt(D)
    a, b = np.array([1.0, 0.7]), np.array([1.0, -0.5, 0.8])
    full = habit["loss"] == "mse"
    losses = []
    for step in range(steps + 1):
        if step % every == 0:
            gap = scale(P) * inner * np.einsum("i,rid->rd", a, W) - scale(K) * inner * b @ W_star
            losses.append((gap**2).sum(axis=1) * (1.0 if full else 0.5))
        x = rng.standard_normal((RUNS, D))
        error = scale(P) * inner * np.einsum("i,rid,rd->r", a, W, x) - scale(K) * inner * (x @ (b @ W_star))
        error -= math.sqrt(noise) * rng.standard_normal(RUNS)
        gradient = error[:, None, None] * scale(P) * inner * a[None, :, None] * x[:, None, :]
        W = W - habit["learning_rate"] * (2.0 if full else 1.0) * gradient
    return np.array(losses).T, a, b


@pytest.mark.parametrize("loss", ["mse", "half"])
@pytest.mark.parametrize(("scaling", "rows"), [("mean", "sqrt(d)"), ("sqrt", "unit"), ("sum", "sqrt(d)")])
def test_a_loop_in_numpy_follows_the_problem(loss, scaling, rows):
    rng = np.random.default_rng(5)
    width = {"mean": P * P, "sqrt": P, "sum": 1}[scaling]
    rate = 0.4 * width / (D if rows == "unit" else 1.0) / (2 if loss == "mse" else 1)
    noise = 0.05
    training = fl.conventions.Training(
        loss=loss, scaling=scaling, rows=rows, learning_rate=rate, dimension=D, student_width=P, teacher_width=K,
        noise=noise, activation="linear",
    )  # fmt: skip
    size = 1 / math.sqrt(D) if rows == "unit" else 1.0
    W, W_star = size * rng.standard_normal((P, D)), size * rng.standard_normal((K, D))
    habit = {"loss": loss, "scaling": scaling, "rows": rows, "learning_rate": rate}
    losses, a, b = loop(habit, W, W_star, 400, 100, rng, noise)
    problem = training.problem(W, W_star, second_layer=a, teacher_second_layer=b)
    times = training.to_time(np.arange(0, 401, 100))
    theory = problem.solve(times)["risk"].values
    ours = training.to_risk(losses)
    mean, error = ours.mean(axis=0), ours.std(axis=0, ddof=1) / math.sqrt(RUNS)
    assert theory[-1] < 0.6 * theory[0]
    np.testing.assert_allclose(mean[0], theory[0], rtol=1e-12)
    assert np.all(np.abs(mean - theory) < 4 * error + theory / D)
    np.testing.assert_allclose(training.from_risk(theory, noisy=True), training.from_risk(theory + noise / 2))


def test_every_conversion_has_an_inverse():
    training = fl.conventions.Training(
        loss="mse", scaling="sqrt", learning_rate=0.1, dimension=50, student_width=4, rows="unit", noise=0.2
    )
    values = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(training.from_time(training.to_time(values)), values)
    np.testing.assert_allclose(training.from_risk(training.to_risk(values, noisy=True), noisy=True), values)
    np.testing.assert_allclose(training.from_second_layer(training.to_second_layer(values)), values)
    assert training.from_rate(training.rate) == pytest.approx(0.1)
    assert training.rate == pytest.approx(0.1 * 2 * 50)
