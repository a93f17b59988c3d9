"""Margin flows in plain, slow code: the loss itself, its gradient by formula in NumPy, and time t as the clock."""

from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit


def read(name):
    """Return inputs and labels of a stored data set."""
    table = np.loadtxt(
        Path(__file__).parents[2] / "validation" / "data" / f"margin_{name}.csv", delimiter=",", skiprows=1
    )
    return table[:, :-1].copy(), table[:, -1].copy()


def output(name, theta, x, *, width=0, signs=None):
    """Return f(theta; x) and its gradient."""
    d = x.size
    if name == "linear":
        return theta @ x, x.copy()
    if name == "quadratic":
        W = theta.reshape(width, d)
        z = W @ x
        return signs @ z**2, ((signs * 2 * z)[:, None] * x).ravel()
    W, a = theta[: width * d].reshape(width, d), theta[width * d : width * d + width]
    z = W @ x
    value, slope = {
        "quadratic trained": (z**2, 2 * z),
        "relu": (np.maximum(z, 0), (z > 0).astype(float)),
        "softplus": (np.logaddexp(0, z), expit(z)),
        "skip": (np.maximum(z, 0), (z > 0).astype(float)),
    }[name]
    parts = [((a * slope)[:, None] * x).ravel(), value]
    total = a @ value
    if name == "skip":
        total += theta[width * (d + 1) :] @ x
        parts.append(x)
    return total, np.concatenate(parts)


def loss_and_gradient(name, theta, X, y, loss="exponential", **model):
    """Return the loss, summed over the samples, and its gradient."""
    total, gradient = 0.0, np.zeros_like(theta)
    for x, label in zip(X, y):
        value, slope = output(name, theta, x, **model)
        q = label * value
        if loss == "exponential":
            total += np.exp(-q)
            gradient -= np.exp(-q) * label * slope
        else:
            total += np.logaddexp(0, -q)
            gradient -= label * slope * expit(-q)
    return total, gradient


def flow(name, theta, X, y, targets, loss="exponential", end=1e9, **model):
    """Return weights and times t at which minus log loss reaches the targets before the end, by scipy in the time t itself."""

    def event(target):
        def reached(t, theta):
            return -np.log(loss_and_gradient(name, theta, X, y, loss, **model)[0]) - target

        reached.terminal = target == targets[-1]
        return reached

    with np.errstate(over="ignore", invalid="ignore"):  # of steps that are too long, and taken back
        solved = solve_ivp(
            lambda t, theta: -loss_and_gradient(name, theta, X, y, loss, **model)[1],
            (0, end), theta, method="DOP853", rtol=1e-11, atol=1e-13, events=[event(target) for target in targets],
        )  # fmt: skip
    return np.array([w[0] for w in solved.y_events if len(w)]), np.array([t[0] for t in solved.t_events if len(t)])
