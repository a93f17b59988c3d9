"""Random problems over several classes, legal but nasty, against references that share no code with the package.

A number that is wrong beyond 100 tolerances while the solution says nothing is the fault that this file looks for.  FLOWLIMITS_FUZZ
sets the number of problems of each kind, for a longer search, FLOWLIMITS_FUZZ_FIRST where it begins; problem i is the same in every run.
"""

import os
import warnings

import naive
import naive_alignment
import naive_committee
import naive_empirical
import naive_extensive
import naive_margin
import naive_mean_field
import naive_single_unit
import naive_xor
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlimits as fl

COUNT, FIRST = int(os.environ.get("FLOWLIMITS_FUZZ", "20")), int(os.environ.get("FLOWLIMITS_FUZZ_FIRST", "0"))
RTOL, ATOL = 1e-8, 1e-10
TOLERANCES = 100.0

many = pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT))
few = pytest.mark.parametrize("number", range(FIRST, FIRST + max(1, COUNT // 5)))


def draw(number, kind):
    return np.random.default_rng([number, len(kind), sum(map(ord, kind))])


def weights(rng, p, k, d):
    """Starts of many sizes, now and then with units that coincide, are opposite, or vanish, or that are the teacher."""
    W = rng.standard_normal((p, d)) * 10 ** rng.uniform(-4, 0.3)
    W_star = rng.standard_normal((k, d)) * 10 ** rng.uniform(-0.3, 0.2)
    odd = rng.integers(8)
    if odd == 0 and p > 1:
        W[1] = W[0] + 1e-9 * rng.standard_normal(d)
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


def follow(velocity, start, times):
    """Solve to the last time, or until something is beyond a million, as where SGD diverges."""

    def within(t, y):
        return velocity(t, y) if np.abs(y).max() < 1e9 else np.full(y.size, np.nan)

    def beyond(t, y):
        return np.abs(y).max() - 1e6

    beyond.terminal = True
    with np.errstate(invalid="ignore"):
        return solve_ivp(within, (0, times[-1]), start, "DOP853", times, rtol=1e-10, atol=1e-13, events=beyond)


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
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = fl.QuadraticFlow(W, W_star, activation=activation, weight_decay=decay).solve(times, method=method)
        if said:  # it says that it drops a direction
            assert method == "reduced"
            continue
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
    known = follow(velocity, start, times)
    try:
        found = problem.solve(times)
    except fl.ode.IntegrationError:
        assert known.status != 0 or np.abs(known.y).max() > 1e3
        return
    close(found["Q"].values.ravel(), known.y[0])
    close(found["R"].values.ravel(), known.y[1], np.sqrt(known.y[0].max() * problem.T.max()))


@few
def test_committees_of_several_units(number):
    rng = draw(number, "committee of several")
    name = str(rng.choice(["erf", "square", "centred", "hermite3", "linear"]))
    p, k = (2, int(rng.integers(1, 3))) if name == "erf" else (2, 1)
    W, W_star = weights(rng, p, k, 4)
    rate = float(rng.choice([0.1, 0.5]))
    second = rng.choice([1.0, -0.7, 2.0], p)
    physics = {
        "activation": name,
        "learning_rate": rate,
        "noise": float(rng.choice([0.0, 0.1])),
        "second_layer": second,
    }
    if rng.integers(2):
        physics["weight_decay"] = 0.2
    elif rng.integers(2):
        physics["second_layer_rate"] = 0.5
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Units 0 and 1 are nearer")
        problem = fl.Committee.from_weights(W, W_star, **physics)
    times = np.linspace(0.4, 1.2, 3)

    def velocity(t, y):
        Q, R, a = y[: p * p].reshape(p, p), y[p * p : -p].reshape(p, k), y[-p:]
        if name != "erf":
            dQ, dR, da, _ = naive_committee.velocities(problem, Q, R, a, rate, 6)
        else:
            clock, both = rate / p, bool(problem.second_layer_rate)
            dQ, dR, dv = naive_committee.saad_solla(
                Q, R, problem.T, problem.teacher_second_layer / k, a / p, rate, problem.second_layer_rate * rate / p**2,
                problem.weight_decay * clock, np.sqrt(problem.noise), both,
            )  # fmt: skip
            dQ, dR, da = dQ / clock, dR / clock, p * dv / clock
        return np.concatenate([dQ.ravel(), dR.ravel(), da])

    start = np.concatenate([problem.Q.ravel(), problem.R.ravel(), problem.second_layer])
    known = follow(velocity, start, times)
    try:
        found = problem.solve(times)
    except fl.ode.IntegrationError:
        assert known.status != 0 or np.abs(known.y).max() > 1e3
        return
    close(found["Q"].values.reshape(3, -1), known.y[: p * p].T)
    close(found["R"].values.reshape(3, -1), known.y[p * p : -p].T, np.sqrt(known.y[: p * p].max() * problem.T.max()))


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


@few
@pytest.mark.filterwarnings("ignore:The start has the trace")
def test_extensive_widths(number):
    rng = draw(number, "extensive")
    count = int(rng.integers(1, 4))
    nodes, weights = rng.uniform(0.1, 3.0, count), rng.dirichlet(np.full(count, 2.0)) * rng.choice([1.0, 0.4])
    teacher = fl.Spectrum([0.0, *nodes], [max(1 - weights.sum(), 0.0), *weights]).normalised()
    ratio = float(np.exp(rng.uniform(np.log(0.1), np.log(3.0))))
    share = 0.9 * min(ratio, 1.0)
    own = fl.Spectrum([0.0, 0.5, 3.0], [1 - share, 0.6 * share, 0.4 * share])
    start = own if rng.integers(3) == 0 else str(rng.choice(["gaussian", "orthonormal"]))
    centred = bool(rng.integers(2))
    decay = float(rng.choice([0.0, 0.5, 2.0])) if centred else 0.0
    gammas = np.array([0.02, 0.2, 1.0]) * rng.uniform(0.3, 1.0)
    law = (start.nodes, start.weights) if isinstance(start, fl.Spectrum) else start
    activation = "centred" if centred else "square"
    _, chi, loss, trace, _ = naive_extensive.direct(
        teacher.nodes, teacher.weights, ratio, gammas, law, activation, decay
    ).T
    found = fl.ExtensiveQuadratic(ratio, teacher, start, activation=activation, weight_decay=decay).solve(gammas / 2)
    close(found["overlap"].values, chi, 1.0)
    close(found["risk"].values, 2 * loss)
    close(found["trace"].values, trace)


LOSSES = {
    "squared": lambda h, y: h - y,
    "logistic": lambda h, y: -y / (1 + np.exp(y * h)),
    "exponential": lambda h, y: -y * np.exp(-y * h),
}
SMOOTH = {
    "square": (np.square, lambda z: 2 * z),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "softplus": (lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
}


@many
@pytest.mark.filterwarnings("ignore:Argument `X` holds")
def test_flows_on_samples(number):
    rng = draw(number, "samples")
    n, d, m = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    X = rng.standard_normal((n, d)) * 10 ** rng.uniform(-1, 0.3)
    if rng.integers(4) == 0:
        X[-1] = X[0]  # the same input, perhaps with another label
    y = rng.choice([-1.0, 1.0], n)
    W, a = rng.standard_normal((m, d)) * 10 ** rng.uniform(-3, 0), rng.standard_normal(m) * 10 ** rng.uniform(-3, 0)
    if rng.integers(4) == 0:
        W[-1], a[-1] = W[0], a[0]
    name, loss = str(rng.choice(list(SMOOTH))), str(rng.choice(list(LOSSES)))
    s, slope = SMOOTH[name]

    def velocity(t, theta):
        W, a = theta[: m * d].reshape(m, d), theta[m * d :]
        z = X @ W.T
        r = LOSSES[loss](s(z) @ a, y) / n
        return -np.concatenate([((r[:, None] * slope(z) * a).T @ X).ravel(), s(z).T @ r])

    times = np.geomspace(0.03, 10 ** rng.uniform(-0.5, 1.0), 4)
    start = np.concatenate([W.ravel(), a])
    known = solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=1e-12, atol=1e-14)
    found = fl.SampleFlow(X, y, weights=(W, a), activation=name, loss=loss).solve(
        times, rtol=RTOL, atol=ATOL, observables=["second_layer", "output"]
    )
    close(found["second_layer"].values, known.y[m * d :].T, np.abs(known.y).max())
    outputs = np.array([s(X @ w[: m * d].reshape(m, d).T) @ w[m * d :] for w in known.y.T])
    close(found["output"].values, outputs, max(np.abs(outputs).max(), np.abs(known.y).max()))


@few
@pytest.mark.filterwarnings("ignore:Argument `X` holds")
def test_early_alignment(number):
    rng = draw(number, "early alignment")
    n, d = int(rng.integers(1, 9)), int(rng.integers(2, 5))
    X, y = rng.standard_normal((n, d)) * 10 ** rng.uniform(-1, 0.5, (n, 1)), rng.standard_normal(n)
    if rng.integers(4) == 0 and n > 1:
        X[-1] = X[0] * rng.choice([1.0, 2.0])
    starts = rng.standard_normal((3, d))
    if rng.integers(4) == 0:
        starts[0] = X[0]
    balance = rng.choice([1.0, -1.0, 0.3, -0.9], 3)
    drift = rng.standard_normal(d) * rng.choice([0.0, 0.5])
    times = np.geomspace(0.1, 10 ** rng.uniform(0, 1.0), 4)
    problem = fl.EarlyAlignment(X, y, directions=starts, balance=balance, drift=drift)
    found = problem.solve(times)
    for j in range(3):
        known = naive_alignment.follow(X, y, problem.directions[j], balance[j], drift, times)
        reached = len(known)
        if reached:
            close(found["direction"].values[:reached, j], known[:, :d], 1.0)
            close(found["balance"].values[:reached, j], known[:, d], 1.0)
            close(found["log_norm"].values[:reached, j], known[:, d + 1], max(np.abs(known[:, d + 1]).max(), 1.0))


@few
def test_random_networks(number):
    rng = draw(number, "random networks")
    n, d, depth = int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(1, 4))
    X = rng.standard_normal((n + 1, d)) * 10 ** rng.uniform(-2, 2, (n + 1, 1))
    if rng.integers(4) == 0 and n > 1:
        X[1] = X[0] + 0.05 * np.linalg.norm(X[0]) * rng.standard_normal(d)
    y = rng.choice([-1.0, 1.0], n + 1)
    C = np.array([[u @ v / np.sqrt((u @ u) * (v @ v)) for v in X] for u in X])
    for _ in range(depth):
        C = (np.sqrt(1 - np.minimum(C * C, 1.0)) + C * (np.pi - np.arccos(np.clip(C, -1, 1)))) / np.pi
    angles = np.arcsin(np.clip(C, -1, 1))

    def orthant(labels):
        signs = np.outer(labels, labels) * angles[: len(labels), : len(labels)]
        pairs = signs[np.triu_indices(len(labels), 1)].sum()
        if len(labels) == 4:
            return naive_committee.orthant(np.outer(labels, labels) * C, 200)
        return {1: 1 / 2, 2: 1 / 4 + pairs / (2 * np.pi), 3: 1 / 8 + pairs / (4 * np.pi)}[len(labels)]

    acceptance = orthant(y[:n])
    error = orthant(np.append(y[:n], -y[n])) / acceptance
    found = fl.GuessAndCheck(X[:n], y[:n], X[n:], y[n:], depth=depth).solve(rng=number, progress=False)
    for name, value in (("acceptance", acceptance), ("test_error", error)):
        assert abs(float(found[name]) - value) <= 6 * float(found[f"{name}_standard_error"]) + 1e-9, name


@few
def test_margin_flows(number):
    rng = draw(number, "margin")
    n, d, m = int(rng.integers(2, 5)), int(rng.integers(2, 4)), int(rng.integers(2, 4))
    X = rng.standard_normal((n, d))
    y = np.where(X @ rng.standard_normal(d) > 0, 1.0, -1.0)
    kinds = {
        "linear": fl.margin.LinearModel(),
        "quadratic": fl.margin.QuadraticModel(m),
        "quadratic trained": fl.margin.QuadraticModel(m, second_layer="trained"),
        "softplus": fl.margin.SoftplusModel(m),
    }
    name, loss = str(rng.choice(list(kinds))), str(rng.choice(["exponential", "logistic"]))
    problem = fl.MarginFlow(kinds[name], X, y, loss=loss, rng=number, scale=float(rng.choice([0.3, 1.0])))
    total = naive_margin.loss_and_gradient(name, problem.weights, X, y, loss, width=m, signs=problem.model.extra())[0]
    targets = max(-np.log(total), 0.0) + np.array([0.1, 0.5, 2.0])
    weights, times = naive_margin.flow(
        name, problem.weights, X, y, targets, loss, end=100.0, width=m, signs=problem.model.extra()
    )
    if times.size < targets.size:  # not separated, or slowly: a number for a later time only
        try:
            found = problem.solve(targets, rtol=RTOL)
        except (fl.ode.IntegrationError, fl.margin.NoMarginError):
            return
        assert (np.exp(found["log_time"].values[times.size :]) >= 100.0).all()
        return
    found = problem.solve(targets, rtol=RTOL)
    state = found["direction"].values * np.exp(found["log_norm"].values)[:, None]
    close(state, weights)
    close(found["log_time"].values, np.log(times), np.abs(np.log(times)).max() + 1)


@few
def test_single_units(number):
    rng = draw(number, "single unit")
    d = int(rng.integers(1, 3))
    A = rng.standard_normal((d, d))
    S, w, w_star = A @ A.T / d + 0.05 * np.eye(d), rng.standard_normal(d), rng.standard_normal(d)
    w *= 10 ** rng.uniform(-2, 0)
    if rng.integers(4) == 0:
        w = w_star * rng.choice([1.0, -1.0])
    physics, loss, law = UNITS[int(rng.integers(len(UNITS)))]
    end = float(rng.uniform(0.05, 0.2))
    known = naive_single_unit.flow(w, end, w_star, S, loss, law)
    found = fl.SingleUnit.from_weights(w, w_star, covariance=S, **physics).solve([end])
    size = np.sqrt((known @ S @ known) * (w_star @ S @ w_star)) / d
    assert abs(float(found["Q"][0]) - known @ S @ known / d) <= 2e-6 * max(known @ S @ known / d, 1e-4)
    assert abs(float(found["R"][0]) - known @ S @ w_star / d) <= 2e-6 * max(size, 1e-4)


UNITS = [
    ({"link": "logistic"}, lambda u, y: np.logaddexp(0, -y * u), lambda v: [(s, 1 / (1 + np.exp(-s * v))) for s in (1.0, -1.0)]),
    ({"link": "square"}, lambda u, y: (u * u - y) ** 2 / 2, lambda v: [(v * v, 1.0)]),
    ({"link": "linear"}, lambda u, y: (u - y) ** 2 / 2, lambda v: [(v, 1.0)]),
    ({"link": "tanh(v) + v/2", "loss": "log(cosh(u - y))"}, lambda u, y: np.log(np.cosh(u - y)), lambda v: [(np.tanh(v) + v / 2, 1.0)]),
]  # fmt: skip


@few
def test_mean_fields_of_any_activation(number):
    rng = draw(number, "mean field of any activation")
    P, k = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    start = {
        "weights": rng.dirichlet(np.ones(P)),
        "second_layer": rng.choice([-1.0, 1.0, 0.5, 2.0], P),
        "projections": rng.standard_normal((P, k)) * 10 ** rng.uniform(-2, 0),
        "norms": rng.uniform(0.3, 1.3, P),
    }
    teacher = np.tril(rng.standard_normal((k, k)))  # rows of it are the coordinates that the package takes for its own
    np.fill_diagonal(teacher, np.abs(np.diag(teacher)) + 0.2)
    name = str(rng.choice(["erf", "relu"]))
    rate, decay = float(rng.choice([0.0, 0.7])), float(rng.choice([0.0, 0.1]))
    moments = naive_mean_field.erf_moments if name == "erf" else naive_mean_field.relu_moments
    dimension = None if rng.integers(2) else int(k + rng.integers(1, 6))
    outside = None if dimension is None else dimension - k
    times = np.geomspace(0.1, 10 ** rng.uniform(-0.5, 0.8), 3)
    reference = naive_mean_field.Naive(start["weights"], teacher, moments, rate=rate, decay=decay, outside=outside)
    known = reference.solve(start["projections"], start["norms"], start["second_layer"], times)
    problem = fl.MeanField(
        teacher if k > 1 else [[1.0]], fl.Ensemble(**start, dimension=dimension), activation=name, second_layer_rate=rate,
        weight_decay=decay,
    ) if k > 1 else fl.MeanField(
        teacher @ teacher.T, fl.Ensemble(**start, dimension=dimension), activation=name, second_layer_rate=rate, weight_decay=decay
    )  # fmt: skip
    found = problem.solve(times, rtol=RTOL, atol=ATOL)
    error = found.attrs.get("risk_error", 0.0)
    assert np.abs(found["risk"].values - known).max() <= TOLERANCES * (RTOL * max(known.max(), 1e-2) + ATOL) + error


@few
@pytest.mark.filterwarnings("ignore:The equations violate the counting bound")
def test_steady_states_of_finitely_many_samples(number):
    rng = draw(number, "empirical")
    kind = rng.integers(2)
    teacher = fl.Spectrum.marchenko_pastur(float(rng.uniform(0.2, 1.5))) if kind else fl.Spectrum([0.0, 0.5, 3.0], rng.dirichlet([3.0, 3, 3])).normalised()  # fmt: skip
    problem = fl.EmpiricalQuadratic(
        float(rng.uniform(0.2, 1.2)), teacher, float(rng.uniform(0.2, 0.7)), float(rng.choice([0.1, 0.3, 1.0])), float(rng.choice([0.05, 0.3, 1.0]))
    )  # fmt: skip
    found = problem.solve(sample_ratios=[problem.sample_ratio]).isel(sample_ratio=0)
    for name, value in naive_empirical.residuals(problem, found).items():
        assert abs(value) < 1e-6, name
