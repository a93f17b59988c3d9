"""Random problems over several classes, legal but nasty, against references that share no code with the package.

A number that is wrong beyond 100 tolerances while the solution says nothing is the fault that this file looks for.  FLOWLIMITS_FUZZ
sets the number of problems of each kind, for a longer search; problem i is the same in every run.
"""

import os

import naive
import naive_committee
import naive_xor
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlimits as fl

COUNT = int(os.environ.get("FLOWLIMITS_FUZZ", "20"))
RTOL, ATOL = 1e-8, 1e-10
TOLERANCES = 100.0

many = pytest.mark.parametrize("number", range(COUNT))
few = pytest.mark.parametrize("number", range(max(1, COUNT // 5)))


def draw(number, kind):
    return np.random.default_rng([number, len(kind), sum(map(ord, kind))])


def weights(rng, p, k, d):
    """Starts of many sizes, now and then with units that coincide, are opposite, or vanish, or that are the teacher."""
    W = rng.standard_normal((p, d)) * 10 ** rng.uniform(-4, 0.3)
    W_star = rng.standard_normal((k, d)) * 10 ** rng.uniform(-0.3, 0.2)
    odd = rng.integers(8)
    if odd == 0 and p > 1:
        W[1] = W[0] * (1 + 1e-9)
    elif odd == 1 and p > 1:
        W[1] = -W[0]
    elif odd == 2:
        W[0] = W_star[0]
    elif odd == 3:
        W[0] = 0.0 if p > 1 else W[0]
    elif odd == 4:
        W_star[:] = W_star[0]
    return W, W_star


def close(found, expected, largest=None):
    """The difference is within 100 tolerances, for variables of the size `largest`."""
    scale = np.abs(expected).max() if largest is None else largest
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() <= TOLERANCES * (RTOL * scale + ATOL)


@many
def test_quadratic_flows_and_committees_of_squares(number):
    rng = draw(number, "quadratic")
    p, k, d = rng.integers(1, 5), rng.integers(1, 4), rng.integers(2, 7)
    W, W_star = weights(rng, p, k, d)
    centred, decay = bool(rng.integers(2)), float(rng.choice([0.0, 0.3, 3.0]))
    activation = "centred" if centred else "square"
    times = np.geomspace(0.01, 10 ** rng.uniform(-0.5, 1.3), 5)
    states, _ = naive.weights_at(W, W_star, times, decay, centred, rtol=1e-12)
    risk = np.array([naive.risk(V, W_star, centred) for V in states])
    trace = np.array([np.trace(naive.matrices(V, W_star)[0]) for V in states])
    largest = max(naive.risk(0 * W, W_star, centred), risk.max())
    for method in ("auto", "matrix", "reduced"):
        found = fl.QuadraticFlow(W, W_star, activation=activation, weight_decay=decay).solve(times, method=method)
        close(found["risk"].values, risk, largest)
        close(found["trace"].values, trace)
    overlaps = fl.Committee.from_weights(W, W_star, activation=activation, weight_decay=decay).solve(times)
    close(overlaps["risk"].values, risk, largest)
    close(overlaps["Q"].values, states @ states.swapaxes(1, 2) / d)
    close(overlaps["R"].values, states @ W_star.T / d)


@many
def test_mean_fields_of_squares(number):
    rng = draw(number, "mean field")
    d = int(rng.integers(1, 6))
    values = np.where(rng.uniform(size=d) < 0.3, 0.0, rng.exponential(size=d))
    values[0] = 1.0
    root = rng.standard_normal((d, d)) * 10 ** rng.uniform(-3, 0)
    centred, decay = bool(rng.integers(2)), float(rng.choice([0.0, 0.3, 3.0]))
    times = np.geomspace(0.01, 10 ** rng.uniform(-0.5, 1.0), 5)
    W, W_star = root.T * d, np.diag(np.sqrt(values)) * d
    states, _ = naive.weights_at(W, W_star, times, decay, centred, rtol=1e-12)
    risk = np.array([naive.risk(V, W_star, centred) for V in states])
    problem = fl.MeanFieldQuadratic(
        values, root @ root.T, activation="centred" if centred else "square", weight_decay=decay
    )
    close(problem.solve(times)["risk"].values, risk, max(naive.risk(0 * W, W_star, centred), risk.max()))


@few
def test_committees_of_any_activation(number):
    rng = draw(number, "committee")
    W, W_star = weights(rng, 1, 1, 3)
    physics = {
        "activation": str(rng.choice(["erf", "hermite2", "hermite3", "linear", "square"])),
        "learning_rate": float(rng.choice([0.0, 0.05, 0.3])),
        "noise": float(rng.choice([0.0, 0.1])),
        "second_layer": [float(rng.choice([1.0, -0.7]))],
        "second_layer_rate": float(rng.choice([0.0, 0.5])),
        "weight_decay": float(rng.choice([0.0, 0.2])),
    }
    problem = fl.Committee.from_weights(W, W_star, **physics)
    times = np.linspace(0.2, 2.0, 4)

    def velocity(t, y):
        dQ, dR, da, _ = naive_committee.velocities(
            problem, y[:1].reshape(1, 1), y[1:2].reshape(1, 1), y[2:], physics["learning_rate"], 40
        )
        return np.concatenate([dQ.ravel(), dR.ravel(), da])

    start = np.concatenate([problem.Q.ravel(), problem.R.ravel(), problem.second_layer])
    known = solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=1e-10, atol=1e-13)
    try:
        found = problem.solve(times)
    except fl.ode.IntegrationError:
        assert known.status == -1 or np.abs(known.y).max() > 1e3
        return
    close(found["Q"].values.ravel(), known.y[0])
    close(found["R"].values.ravel(), known.y[1], np.sqrt(known.y[0].max() * problem.T.max()))


@few
def test_mixtures(number):
    rng = draw(number, "mixture")
    W = rng.standard_normal((int(rng.integers(1, 4)), 2)) * 10 ** rng.uniform(-2, 0)
    if rng.integers(3) == 0 and len(W) > 1:
        W[1] = W[0] * rng.choice([1.0, -1.0, 2.0])
    a = rng.choice([1.0, -1.0, 0.5], size=len(W))
    noise = float(rng.choice([0.3, 1.0]))
    times = [0.2, 0.5]
    states = naive_xor.squared_flow(W, a, 1.0, noise, times)
    found = fl.XorMixture(Q=W @ W.T, R=W, second_layer=a, separation=1.0, noise_scale=noise).solve(times)
    np.testing.assert_allclose(found["R"].values, states, rtol=0, atol=1e-6 * np.abs(states).max())
    np.testing.assert_allclose(
        found["Q"].values, states @ states.swapaxes(1, 2), rtol=0, atol=1e-6 * (states**2).sum(2).max()
    )
