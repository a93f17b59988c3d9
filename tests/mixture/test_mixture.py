"""The XOR mixture: moments, flows, error, simulation; each against something that shares no code."""

import json
import math

import numpy as np
import pytest
from scipy.special import ndtr

import flowlimits as fl
from flowlimits.data.rerun import differing, rerun
from flowlimits.mixture import LOSSES, equations, equations_sampled
from flowlimits.mixture.limit import normal_points

S, SEPARATION = 0.5, 1.3


def sample(rng, count, dimension, s, separation, label_noise=0.0):
    axis, sign = rng.integers(0, 2, count), rng.choice([-1.0, 1.0], count)
    X = s * rng.normal(size=(count, dimension))
    X[np.arange(count), axis] += sign * separation
    clean = np.where(axis == 0, 1.0, -1.0)
    return X, np.where(rng.random(count) < label_noise, -clean, clean), clean


def network(rng, K=4, dimension=7):
    W = 0.6 * rng.normal(size=(K, dimension))
    return W, rng.normal(size=K)


def centres(dimension, separation):
    return separation * np.eye(dimension)[:2]


def bayes_error(separation, s):
    q = ndtr(separation / (s * math.sqrt(2)))
    return 2 * q * (1 - q)


def test_moments_agree_with_monte_carlo():
    z = np.random.default_rng(0).normal(size=(1_000_000, 2))
    for m1, s1, m2, s2, r in [(0.3, 1.0, -0.5, 0.7, 0.4), (-1, 0.5, 0.2, 2, -0.8)]:
        u, w = m1 + s1 * z[:, 0], m2 + s2 * (r * z[:, 0] + math.sqrt(1 - r * r) * z[:, 1])
        seen = equations.relu_moments(m1, s1, m2, s2, r * s1 * s2)
        draws = [(u > 0) & (w > 0), (u > 0) * np.maximum(w, 0), np.maximum(u, 0) * np.maximum(w, 0)]
        for value, draw in zip(seen, draws):
            assert abs(value - draw.mean()) < 5 * draw.std() / 1000


@pytest.mark.parametrize("r", [0.0, 0.5, -0.9, 0.999999])
def test_moments_are_each_others_derivatives(r):
    def at(m1):
        return equations.relu_moments(m1, 0.8, 0.4, 1.1, r * 0.8 * 1.1)

    step = 1e-5
    _, second, _, slope = at(-0.2)
    assert (at(-0.2 + step)[1] - at(-0.2 - step)[1]) / (2 * step) == pytest.approx(slope, abs=1e-7)
    assert (at(-0.2 + step)[2] - at(-0.2 - step)[2]) / (2 * step) == pytest.approx(second, abs=1e-7)


def test_coincident_fields_reduce_to_one_field():
    both, second, product, slope = equations.relu_moments(0.3, 0.7, 0.3, 0.7, 0.49)
    assert both == pytest.approx(ndtr(0.3 / 0.7), abs=1e-14)
    assert second == pytest.approx(equations.rectified_mean(0.3, 0.7), abs=1e-14)
    assert slope == pytest.approx(0.0, abs=1e-14)
    z = 0.3 + 0.7 * np.random.default_rng(1).normal(size=400_000)
    assert product == pytest.approx((np.maximum(z, 0) ** 2).mean(), abs=4e-3)


def test_flow_is_the_gradient_of_the_risk_in_weight_space():
    W, a = network(np.random.default_rng(1))
    mu, eta, e = centres(7, SEPARATION), 0.1, 1e-6

    def risk(W, a):
        return equations.squared_risk(W @ W.T, np.ascontiguousarray(W @ mu.T), a, S, eta)

    gradient = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        up, down = W.copy(), W.copy()
        up[index] += e
        down[index] -= e
        gradient[index] = (risk(up, a) - risk(down, a)) / (2 * e)
    of_second = np.array([(risk(W, a + e * row) - risk(W, a - e * row)) / (2 * e) for row in np.eye(4)])
    y = np.concatenate([(W @ W.T).ravel(), (W @ mu.T).ravel(), a])
    dy = np.empty_like(y)
    equations.evaluate(equations.squared_flow.address, 0.0, y, dy, np.array([4, SEPARATION, S, eta, 1.0]), np.zeros(0))
    np.testing.assert_allclose(dy[16:24].reshape(4, 2), -gradient @ mu.T, atol=1e-8)
    np.testing.assert_allclose(dy[:16].reshape(4, 4), -(gradient @ W.T + W @ gradient.T), atol=1e-8)
    np.testing.assert_allclose(dy[24:], -of_second, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_velocity_and_risk_of_every_loss_agree_with_monte_carlo(loss):
    rng = np.random.default_rng(5)
    W, a = network(rng)
    a = a / 3
    mu, eta = centres(7, SEPARATION), 0.1
    problem = fl.XorMixture(
        Q=W @ W.T,
        R=W @ mu.T,
        second_layer=a,
        separation=SEPARATION,
        noise_scale=S,
        label_noise=eta,
        loss=loss,
        second_layer_rate=1,
    )
    X, y, _ = sample(rng, 400_000, 7, S, SEPARATION, eta)
    hidden = np.maximum(X @ W.T, 0)
    output = hidden @ a
    value = {
        "squared": (y - output) ** 2 / 2,
        "logistic": np.log1p(np.exp(-y * output)),
        "exponential": np.exp(-y * output),
    }[loss]
    g = {"squared": y - output, "logistic": y / (1 + np.exp(y * output)), "exponential": y * np.exp(-y * output)}[loss]
    h = 1e-3
    result = problem.solve([0.0, h], method="points", points=4096, rtol=1e-9, atol=1e-12)
    assert float(result.risk[0]) == pytest.approx(value.mean(), abs=5 * value.std() / math.sqrt(len(y)))
    drawn = (g * (X @ W.T > 0).T * a[:, None] * 1.0) @ (X @ mu.T) / len(y)
    seen = (result.R[1] - result.R[0]).values / h
    # Monte-Carlo error of 4e5 draws, the scatter of the points, and O(h).
    np.testing.assert_allclose(seen, drawn, atol=1.2e-2)
    np.testing.assert_allclose(
        (result.second_layer[1] - result.second_layer[0]).values / h, g @ hidden / len(y), atol=1.2e-2
    )


def test_points_reproduce_the_closed_form():
    problem = fl.XorMixture(4, noise_scale=S, second_layer_rate=1.0, scale=0.1, dimension=30, rng=3)
    closed = problem.solve([1.0, 5.0, 20.0], observables=["risk"])
    points = problem.solve([1.0, 5.0, 20.0], observables=["risk"], method="points", rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(points.risk, closed.risk, rtol=1e-7)


def test_error_counts_ties_one_half_and_agrees_with_sampling():
    rng = np.random.default_rng(2)
    W, a = network(rng)
    a[1:] = [0.5, 0.0, 0.0]
    mu = centres(7, SEPARATION)
    X, _, clean = sample(rng, 400_000, 7, S, SEPARATION)
    output = np.maximum(X @ W.T, 0) @ a
    drawn = (clean * output < 0) + 0.5 * (output == 0)
    assert (output == 0).mean() > 0.1
    seen = equations_sampled.clean_error(
        W @ W.T, np.ascontiguousarray(W @ mu.T), a, SEPARATION, S, normal_points(4096, 6), np.zeros(16)
    )
    assert seen == pytest.approx(drawn.mean(), abs=4e-3)


def test_risk_never_increases_and_conserves_the_balance_of_layers():
    problem = fl.XorMixture(6, noise_scale=0.4, second_layer_rate=1.0, label_noise=0.1, scale=0.1, dimension=50, rng=4)
    result = problem.solve(np.geomspace(0.01, 200, 40), observables=["risk", "Q", "second_layer"])
    assert (np.diff(result.risk) <= 1e-9).all()
    balance = result.second_layer.values**2 - np.diagonal(result.Q.values, axis1=1, axis2=2)
    np.testing.assert_allclose(balance, balance[:1].repeat(40, axis=0), atol=1e-7)


def test_eight_units_reach_the_bayes_error():
    for seed in range(2):
        problem = fl.XorMixture(
            8, noise_scale=S, second_layer_rate=1.0, scale=0.3 / math.sqrt(30), dimension=30, rng=seed
        )
        result = problem.solve([300.0])
        assert float(result.clean_error[0]) == pytest.approx(bayes_error(1.0, S), abs=1e-3)


@pytest.mark.parametrize("label_noise", [0.1, 0.15, 0.3])
def test_stationary_logit_of_the_four_atoms(label_noise):
    problem = fl.XorMixture(20, label_noise=label_noise, loss="logistic", scale=0.01, dimension=40, rng=0)
    result = problem.solve([4000.0])
    R, a = result.R.values[-1], problem.second_layer
    target = math.log((1 - label_noise) / label_noise)
    for c, sign in [(0, 1), (1, -1)]:
        for e in (1, -1):
            assert a @ np.maximum(e * R[:, c], 0) == pytest.approx(sign * target, rel=1e-4)
    assert float(result.error[-1]) == pytest.approx(label_noise, abs=1e-12)
    assert float(result.relevant_share[-1]) == 1.0


def test_early_slope_and_death_time_of_the_four_atoms():
    eta, K = 0.15, 40
    problem = fl.XorMixture(K, label_noise=eta, loss="logistic", scale=1e-4, dimension=100, rng=2)
    rate = (1 - 2 * eta) / (8 * math.sqrt(K))
    deaths = np.abs(problem.R[::2, 1]) / rate  # irrelevant fields of the units with a > 0
    first, last = deaths.min(), deaths.max()
    result = problem.solve([0.5 * first, 2 * last])
    growth = (np.abs(result.R[0, ::2, 0]) - np.abs(problem.R[::2, 0])) / (0.5 * first)
    np.testing.assert_allclose(growth, rate, rtol=1e-2)
    assert (result.R[1, ::2, 1] == 0).all()
    assert (result.R[0, ::2, 1] != 0).all()


def test_overlaps_and_samples_agree_in_law():
    problem = fl.XorMixture(
        2, noise_scale=0.6, learning_rate=2.0, second_layer_rate=1.0, label_noise=0.1, scale=0.5, dimension=12, rng=0
    )
    options = {"dimension": 12, "runs": 400, "threads": 1, "progress": False}
    chain = problem.simulate([1.0, 4.0], rng=1, **options)
    real = problem.simulate([1.0, 4.0], rng=2, method="samples", **options)
    for name in ("Q", "R", "second_layer"):
        x, y = chain[name].values.reshape(400, -1), real[name].values.reshape(400, -1)
        spread = np.sqrt((x.var(axis=0) + y.var(axis=0)) / 400) + 1e-12
        assert (np.abs(x.mean(axis=0) - y.mean(axis=0)) < 4.5 * spread).all()
        ratio = (x.std(axis=0) + 1e-9) / (y.std(axis=0) + 1e-9)
        assert (np.abs(np.log(ratio)) < 0.3).all()


def test_one_pass_sgd_approaches_its_limit():
    problem = fl.XorMixture(
        3, noise_scale=0.5, learning_rate=0.5, second_layer_rate=1.0, scale=0.02, dimension=1000, rng=1
    )
    limit = problem.solve([2.0, 5.0], observables=["risk"], points=1024)
    runs = problem.simulate([2.0, 5.0], dimension=20_000, runs=8, rng=0, threads=1, progress=False)
    np.testing.assert_allclose(runs.risk.mean("run"), limit.risk, atol=8e-3)


def test_descent_reaches_the_noise_rate_and_fresh_samples_follow_the_flow():
    problem = fl.XorMixture(20, noise_scale=0.05, label_noise=0.15, loss="logistic", scale=0.02, dimension=40, rng=1)
    runs = problem.simulate([5.0, 30.0], dimension=40, samples=800, step=0.5, rng=0, progress=False)
    assert float(runs.error[0, -1]) == pytest.approx(0.15, abs=0.01)
    assert float(runs.clean_error[0, -1]) < 0.005
    assert abs(float(runs.train_error[0, -1]) - 0.15) < 0.05
    fresh = problem.simulate([5.0], dimension=40, samples=4000, method="fresh", rng=0, progress=False)
    flow = problem.solve([5.0], points=512, error_points=512)
    np.testing.assert_allclose(fresh.R[0], flow.R, atol=0.02)


def test_events_are_located():
    problem = fl.XorMixture(8, noise_scale=S, second_layer_rate=1.0, scale=0.1, dimension=30, rng=0)
    event = fl.Event("risk", 0.4, stop=True)
    result = problem.solve(np.linspace(1, 20, 20), events=[event], observables=["risk"])
    at = float(result.event_time[0])
    assert float(problem.solve([at], observables=["risk"]).risk[0]) == pytest.approx(0.4, abs=1e-7)
    assert result.time.values[-1] < at


def test_results_are_repeated_and_extended():
    problem = fl.XorMixture(8, noise_scale=S, second_layer_rate=1.0, scale=0.1, dimension=30, rng=0)
    shown = {"observables": ["risk"]}
    stopped = problem.solve(np.linspace(1, 20, 20), events=[fl.Event("risk", 0.4, stop=True)], keep_state=True, **shown)
    W = np.random.default_rng(0).standard_normal((8, 12))
    own = problem.simulate([0.5], dimension=12, samples=20, weights=W, rng=0, progress=False)
    for result in (stopped, own):
        assert differing(result, rerun(result)) == []
    assert stopped.state.size == 8 * 8 + 8 * 2 + 8
    longer = fl.extend(problem.solve([1.0, 2.0], **shown), [5.0])
    np.testing.assert_array_equal(longer.risk, problem.solve([1.0, 2.0, 5.0], **shown).risk)
    assert "2102.11742" in fl.cite(problem)
    assert "2202.07626" in fl.cite(problem)


def test_threads_change_nothing_and_the_problem_is_rebuilt():
    problem = fl.XorMixture(2, noise_scale=0.6, learning_rate=1.0, scale=0.5, dimension=10, rng=0)
    options = {"dimension": 10, "runs": 4, "rng": 3, "progress": False}
    one = problem.simulate([1.0], threads=1, **options)
    two = problem.simulate([1.0], threads=3, **options)
    np.testing.assert_array_equal(one.Q, two.Q)
    assert fl.load_problem(one) == problem
    assert json.loads(one.attrs["provenance"])["call"]["method"] == "overlaps"


def test_exact_weights_have_the_overlaps():
    problem = fl.XorMixture(5, separation=2.0, scale=0.7, dimension=9, rng=0)
    W = problem.weights(20)
    np.testing.assert_allclose(W @ W.T, problem.Q, atol=1e-13)
    np.testing.assert_allclose(W[:, :2] * 2.0, problem.R, atol=1e-13)


GOOD = {"Q": np.eye(2), "R": np.zeros((2, 2)), "noise_scale": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_noise": 0.5}, "Argument `label_noise` must lie in [0, 1/2), but is 0.5."),
        ({"label_noise": -0.1}, "Argument `label_noise` must lie in [0, 1/2), but is -0.1."),
        ({"loss": "logistc"}, "did you mean `logistic`?"),
        ({"noise_scale": -1.0}, "Argument `noise_scale` must not be negative, but is -1.0."),
        ({"separation": 0.0}, "Argument `separation` must be positive, but is 0.0."),
        ({"R": np.ones((3, 2))}, "Argument `R` must have shape (2, 2), but has shape (3, 2)."),
        (
            {"Q": np.array([[1.0, 2], [2, 1]])},
            "Overlaps are not feasible: Q - R R^T / separation^2 has the eigenvalue -1.",
        ),
        (
            {"Q": np.array([[1.0, 0.2], [0, 1]])},
            "Argument `Q` must be symmetric, but differs from its transpose by 0.2.",
        ),
        ({"Q": np.full((2, 2), np.nan)}, "Argument `Q` must be finite, but is nan at index [0, 0]."),
        ({"covariance": 1}, "XorMixture has no argument `covariance`: the noise within a cluster is isotropic here."),
        (
            {"scale": 2.0},
            "Argument `scale` belongs to a drawn start, with `width`: the overlaps `Q` and `R` are given here.",
        ),
        ({"dimension": 20}, "Argument `dimension` belongs to a drawn start, with `width`"),
        ({"rng": 0}, "Argument `rng` belongs to a drawn start, with `width`"),
        ({"width": 2}, "Arguments `width` and `Q`, `R` exclude each other: `width` draws the overlaps."),
    ],
)
def test_bad_problems_get_a_sentence(change, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        fl.XorMixture(**(GOOD | change))
    assert message in str(caught.value)


def test_one_observable_may_be_named_without_a_list():
    result = fl.XorMixture(**GOOD).solve([1.0], observables="risk")
    assert [str(name) for name in result.data_vars if not str(name).startswith("problem_")] == ["risk"]


def test_bad_calls_get_a_sentence():
    problem = fl.XorMixture(**GOOD)
    with pytest.raises(ValueError, match="at least width \\+ 2 = 4"):
        problem.simulate([1.0], dimension=3, samples=10)
    with pytest.raises(ValueError, match="`samples`, the number of inputs per step, must be given"):
        problem.simulate([1.0], dimension=5)
    with pytest.raises(ValueError, match="needs learning_rate > 0"):
        problem.simulate([1.0], dimension=5, method="overlaps")
    with pytest.raises(ValueError, match='Method "atoms" needs noise_scale = 0'):
        problem.solve([1.0], method="atoms")
    for name in ("points", "error_points"):
        with pytest.raises(ValueError, match=f"Argument `{name}` must be a power of two, but is 1000."):
            problem.solve([1.0], **{name: 1000})
        with pytest.raises(TypeError, match=f"Argument `{name}` must be a whole number, but is 2.5."):
            problem.solve([1.0], **{name: 2.5})
    with pytest.raises(TypeError, match=r"Argument `keep_state` must be True or False, but is 2\."):
        problem.solve([1.0], keep_state=2)
    with pytest.raises(ValueError, match="must be given together with `width`"):
        fl.XorMixture(4)


def test_an_interrupt_keeps_the_finished_runs(monkeypatch):
    from flowlimits.core import threads as parallel
    from flowlimits.mixture import simulation

    problem = fl.XorMixture(2, noise_scale=0.6, learning_rate=1.0, scale=0.5, dimension=10, rng=0)
    whole = problem.simulate([1.0], dimension=10, runs=3, rng=3, threads=1, progress=False)
    chain, calls = simulation._chain, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return chain(*arguments)

    monkeypatch.setattr(simulation, "_chain", interrupted)
    with pytest.raises(parallel.Interrupted, match="after 2 of 3 runs") as caught:
        problem.simulate([1.0], dimension=10, runs=3, rng=3, threads=1, progress=False)
    np.testing.assert_array_equal(caught.value.partial["Q"], whole["Q"][:2])


def interrupted_solve(monkeypatch, problem, times):
    """Return the interrupt of a solve that came when half of the times were reached."""
    from flowlimits import ode
    from flowlimits.mixture import limit

    def half(*arguments, **options):
        reached, states, report = integrate(*arguments, **options)
        raise ode.IntegrationInterrupted("Interrupted.", reached[:2], states[:2], report)

    integrate = ode.integrate
    monkeypatch.setattr(limit.ode, "integrate", half)
    with pytest.raises(ode.IntegrationInterrupted) as caught:
        problem.solve(times)
    monkeypatch.undo()
    return caught.value


def test_an_interrupt_is_answered_before_the_finished_part_is_made(monkeypatch):
    """The error against clean labels took up to 1.7 s per time: it is made when somebody asks."""
    from flowlimits.mixture import limit

    problem = fl.XorMixture(2, noise_scale=0.6, scale=0.5, dimension=10, rng=0)
    whole = problem.solve([0.5, 1.0, 1.5, 2.0])
    observe, calls = limit.observe, []
    stopped = interrupted_solve(monkeypatch, problem, [0.5, 1.0, 1.5, 2.0])
    monkeypatch.setattr(limit, "observe", lambda *given: calls.append(1) or observe(*given))
    assert not calls
    for _ in range(2):
        for name in ("risk", "clean_error", "Q"):
            np.testing.assert_array_equal(stopped.partial[name], whole[name][:2])
    assert len(calls) == 1


def test_an_interrupt_while_the_variables_are_made_keeps_the_solution(monkeypatch):
    from flowlimits.core.threads import Interrupted
    from flowlimits.mixture import limit

    problem = fl.XorMixture(2, noise_scale=0.6, scale=0.5, dimension=10, rng=0)
    whole, observe = problem.solve([0.5, 1.0]), limit.observe
    monkeypatch.setattr(limit, "observe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(Interrupted, match="after the last time") as caught:
        problem.solve([0.5, 1.0])
    monkeypatch.setattr(limit, "observe", observe)
    np.testing.assert_array_equal(caught.value.partial["clean_error"], whole["clean_error"])


def test_wide_networks_are_averaged_where_an_interrupt_can_come(monkeypatch):
    from flowlimits.mixture import limit

    calls = []
    monkeypatch.setattr(limit, "interruptible", lambda function, *given: calls.append(1) or function(*given))
    fl.XorMixture(2, noise_scale=0.6, scale=0.5, dimension=10, rng=0).solve([0.0], error_points=32)
    assert not calls
    fl.XorMixture(limit.WIDE, noise_scale=0.6, scale=0.5, dimension=10, rng=0).solve([0.0], error_points=32)
    assert len(calls) == 2
