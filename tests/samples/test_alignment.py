"""Early alignment: the exact flow from kink to kink against Euler steps, gradient flow, theory in the population."""

import json

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.samples.physics import distinct_kinks, residual_at


def linear_data(n, d, seed, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    beta = np.ones(d) / np.sqrt(d)
    return X, X @ beta + noise * rng.standard_normal(n), beta


def angle(u, v):
    return 2 * np.arcsin(np.clip(np.linalg.norm(u - v, axis=-1) / 2, 0, 1))


def euler(X, y, u, s, time, steps):
    """Follow one unit by the definition of its flow."""
    u, s = np.array(u), float(s)
    for _ in range(steps):
        D = (X @ u > 0) @ (y[:, None] * X) / len(y)
        p = D @ u
        u, s = u + time / steps * s * (D - p * u), s + time / steps * (1 - s * s) * p
        u /= np.linalg.norm(u)
    return u, s


@pytest.mark.parametrize("balance", [1.0, -1.0, 0.3])
def test_the_flow_agrees_with_euler_steps(balance):
    X, y, _ = linear_data(15, 3, 1)
    problem = fl.EarlyAlignment(X, y, width=6, balance=balance, rng=2)
    run = problem.solve([1.5, 4.0])
    for i, time in enumerate((1.5, 4.0)):
        for j in range(6):
            u, s = euler(X, y, problem.directions[j], balance, time, 8000)
            # Euler's error: first order, with chatter at kinks.
            assert angle(run.direction.values[i, j], u) < 4e-3
            assert abs(float(run.balance[i, j]) - s) < 4e-3


def test_balanced_units_stay_balanced_and_norms_follow_their_equation():
    X, y, _ = linear_data(20, 3, 5)
    times = np.linspace(0, 3, 601)
    run = fl.EarlyAlignment(X, y, width=4, rng=0).solve(times)
    assert (np.abs(run.balance) == 1).all()
    u, s = run.direction.values, run.balance.values
    D = (np.einsum("tjd,nd->tjn", u, X) > 0) @ (y[:, None] * X) / len(y)
    rate = s * (D * u).sum(axis=2)
    integral = np.concatenate([np.zeros((1, 4)), np.cumsum((rate[1:] + rate[:-1]) / 2, axis=0) * 0.005])
    np.testing.assert_allclose(run.log_norm, integral, atol=2e-2)


def test_units_end_at_extremal_directions_on_kinks_included():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((10, 3)), rng.standard_normal(10)
    run = fl.EarlyAlignment(X, y, width=40, rng=1).solve([400.0])
    sliding = json.loads(run.attrs["provenance"])["sliding"]
    assert sliding > 0
    assert float(run.residual.max()) < 1e-6
    u = run.direction.values[0]
    near = np.abs(u @ X.T) < 1e-8
    assert near.any()
    # With gates of zero or one alone the directions on kinks would not look extremal.
    naive = [
        np.linalg.norm(D - (D @ w) * w)
        for w in u[near.any(axis=1)]
        for D in [((X @ w > 0) & (np.abs(X @ w) > 1e-8)) @ (y[:, None] * X) / 10]
    ]
    assert max(naive) > 1e-2


def test_the_residual_is_the_distance_to_the_clarke_set():
    X, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 2.0])
    u = np.array([1.0, 0.0])
    # D = (x_1 + 2 g x_2) / 2 with a gate g in [0, 1]: parallel to u for g = 0.
    assert residual_at(u, X, y, np.zeros(2)) == pytest.approx(0.0, abs=1e-12)
    assert residual_at(u, X, y, np.array([0.0, 0.5])) == pytest.approx(0.5)
    assert residual_at(u, X, y, np.array([0.0, -0.25])) == pytest.approx(0.0, abs=1e-7)
    assert residual_at(u, X, y, np.array([0.0, -1.5])) == pytest.approx(0.5)


def test_the_angle_to_gradient_flow_falls_with_the_square_of_the_scale():
    X, y, _ = linear_data(40, 5, 0)
    problem = fl.EarlyAlignment(X, y, width=20, rng=1)
    limit = problem.solve([6.0])
    worst = []
    for scale in (1e-2, 1e-3, 1e-4):
        run = problem.simulate([6.0], scale=scale, rtol=1e-7, kink_step=5e-4)
        worst.append(angle(run.direction.values, limit.direction.values)[0].max())
        assert run.attrs["scale"] == scale
    assert worst[0] < 5e-2
    assert worst[0] > 30 * worst[1]
    assert worst[1] < 4e-4
    assert worst[2] < 1e-4


def test_a_scale_too_large_is_measured():
    X, y, _ = linear_data(40, 5, 0)
    with pytest.warns(
        UserWarning,
        match=r"At scale 1 the norm of the network, sqrt\(sum_j \|w_j\|\^2\), reaches [\d.]+ and its output",
    ):
        fl.EarlyAlignment(X, y, width=10, rng=1).simulate([2.0], scale=1.0, rtol=1e-4, kink_step=1e-3)


def test_in_the_population_all_units_turn_to_one_line():
    drift = np.array([0.3, -0.4, 1.2])
    run = fl.EarlyAlignment.population(drift, width=10, rng=0).solve([1.0, 60.0])
    target = drift / np.linalg.norm(drift)
    np.testing.assert_allclose(run.direction.values[1], run.balance.values[1][:, None] * target, atol=1e-12)
    # On the great circle towards its target tan(angle/2) falls exponentially.
    start = fl.EarlyAlignment.population(drift, width=10, rng=0).directions
    before = np.tan(angle(start, run.balance.values[0][:, None] * target) / 2)
    after = np.tan(angle(run.direction.values[0], run.balance.values[0][:, None] * target) / 2)
    np.testing.assert_allclose(after, before * np.exp(-1.3), rtol=1e-9)


def test_extremal_directions_approach_the_population_at_the_root_of_n():
    sizes, angles, gaps = (200, 800, 3200), [], []
    for n in sizes:
        worst, gap = [], []
        for seed in range(2):
            X, y, beta = linear_data(n, 5, seed)
            run = fl.EarlyAlignment(X, y, width=6, rng=seed).solve([60.0])
            u = run.direction.values[0] * run.balance.values[0][:, None]
            worst.append(angle(u, beta).max())
            w = np.random.default_rng(5).standard_normal((200, 5))
            D = (w @ X.T > 0) @ (y[:, None] * X) / n
            gap.append(np.linalg.norm(D - beta / 2, axis=1).max())
        angles.append(np.mean(worst))
        gaps.append(np.mean(gap))
    assert gaps[-1] < 0.1
    assert angles[-1] < 0.12
    assert -0.75 < np.polyfit(np.log(sizes), np.log(angles), 1)[0] < -0.4
    np.testing.assert_allclose(np.array(gaps) * np.sqrt(np.array(sizes) / 5), 1.35, atol=0.5)


def test_collinear_inputs_act_as_one():
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((6, 3)), rng.standard_normal(6)
    X_double = np.vstack([X, -2 * X[:3], 0.5 * X[3:], X[:1]])
    y_double = rng.standard_normal(13)
    few, labels, drift = distinct_kinks(X_double, y_double, np.zeros(3))
    assert few.shape == (6, 3)
    for w in rng.standard_normal((20, 3)):
        expected = (X_double @ w > 0) @ (y_double[:, None] * X_double) / 13
        np.testing.assert_allclose(drift + (few @ w > 0) @ (labels[:, None] * few) / 6, expected, atol=1e-13)
    # A symmetric sample: the kinks of x and -x coincide, and pull in opposite ways.
    X, y = np.vstack([X, -X]), np.concatenate([y, -3 * y])
    problem = fl.EarlyAlignment(X, y, width=5, balance=1.0, rng=1)
    run = problem.solve([3.0])
    for j in range(5):
        u, _ = euler(X, y, problem.directions[j], 1.0, 3.0, 8000)
        assert angle(run.direction.values[0, j], u) < 4e-3


def test_repeated_inputs_warn_and_are_followed():
    X, y, _ = linear_data(10, 3, 0)
    with pytest.warns(UserWarning, match="Argument `X` holds 10 inputs more than once"):
        doubled = fl.EarlyAlignment(np.vstack([X, X]), np.concatenate([y, y]), width=5, rng=0).solve([5.0])
    np.testing.assert_allclose(
        doubled.direction, fl.EarlyAlignment(X, y, width=5, rng=0).solve([5.0]).direction, atol=1e-9
    )


def test_one_dimension_does_not_move():
    run = fl.EarlyAlignment([[1.0], [-2.0]], [1.0, 1.0], directions=[[1.0], [-3.0]], balance=1.0).solve([0.0, 2.0])
    np.testing.assert_array_equal(run.direction.values[:, :, 0], [[1, -1], [1, -1]])
    np.testing.assert_allclose(run.log_norm[1], [0.5 * 2, 1.0 * 2])


def test_the_problem_is_rebuilt_and_repeated():
    from flowlimits.data.rerun import differing, rerun

    X, y, _ = linear_data(10, 3, 0)
    problem = fl.EarlyAlignment(X, y, width=3, balance=[0.5, 1, -1], rng=0)
    for run in (
        problem.solve([1.0, 2.0]),
        problem.simulate([0.5], scale=1e-3),
        fl.EarlyAlignment.population([1.0, 2.0], width=2, rng=0).solve([1.0]),
    ):
        rebuilt = fl.load_problem(run)
        assert differing(run, rerun(run)) == []
        assert type(rebuilt) is fl.EarlyAlignment
    assert fl.load_problem(problem.solve([1.0])) == problem
    assert differing(problem.solve([1.0], threads=1), problem.solve([1.0], threads=3)) == []
    longer = fl.extend(problem.solve([1.0]), [2.0])
    np.testing.assert_array_equal(longer.direction, problem.solve([1.0, 2.0]).direction)


GOOD = {"X": np.eye(3), "y": np.array([1.0, -1, 1]), "width": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((0, 3)), "y": np.zeros(0)}, "Argument `X` must not be empty, but has shape (0, 3)."),
        ({"y": np.ones(4)}, "Arguments `X` and `y` must have the same number of rows, but have 3 and 4."),
        ({"X": np.diag([1.0, 0, 1])}, "Argument `X` must not hold the zero vector, but does in row 1"),
        ({"balance": 1.5}, "Argument `balance` must lie in [-1, 1], but is 1.5."),
        ({"directions": np.eye(3)}, "Either argument `directions` or `width` must be given, and not both."),
        (
            {"width": None, "directions": np.zeros((1, 3))},
            "Argument `directions` must not hold the zero vector, but does at index [0].",
        ),
        (
            {"width": None, "directions": np.ones((1, 4))},
            "Argument `directions` must have shape (any, 3), but has shape (1, 4).",
        ),
        ({"scale": 0.1}, "EarlyAlignment has no argument `scale`: the flow is the limit of a vanishing scale"),
        ({"drift": np.ones(2)}, "Argument `drift` must have shape (3,), but has shape (2,)."),
    ],
)
def test_bad_problems_get_a_sentence(change, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        fl.EarlyAlignment(**(GOOD | change))
    assert message in str(caught.value)


def test_bad_calls_get_a_sentence():
    with pytest.raises(ValueError, match="The population limit has no sample to simulate on"):
        fl.EarlyAlignment.population([1.0], width=1, rng=0).simulate([1.0], scale=0.1)
    with pytest.raises(ValueError, match="A problem with `drift` cannot be simulated"):
        fl.EarlyAlignment(**GOOD, drift=np.ones(3)).simulate([1.0], scale=0.1)
    X, y, _ = linear_data(30, 3, 0)
    with pytest.raises(RuntimeError, match="met more than max_kinks = 1 kinks"):
        fl.EarlyAlignment(X, y, width=5, rng=0).solve([50.0], max_kinks=1)
    with pytest.raises(ValueError, match="Argument `scale` must be positive"):
        fl.EarlyAlignment(**GOOD).simulate([1.0], scale=0.0)
