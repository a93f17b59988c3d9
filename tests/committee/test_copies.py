"""Units that nearly coincide: coordinates of the weights keep what tells them apart, overlaps say that they do not."""

import math
import pickle

import numpy as np
import pytest

import flowlimits as fl

TIMES = [5.0, 10.0, 12.0, 14.0, 16.0, 18.0]


def saddle(K, gap):
    """Return the weights of K students that are copies up to `gap`, and of K orthonormal teachers."""
    return ((0.5 - gap) * np.ones((K, K)) + gap * np.eye(K)) * math.sqrt(K), np.eye(K) * math.sqrt(K)


def test_the_flow_leaves_a_saddle_when_the_weights_say_so():
    right = [0.37333333, 0.37333245, 0.37180075, 0.0293186504, 2.3318e-5, 3.7574e-8]
    found = fl.Committee.from_weights(*saddle(5, 1e-11)).solve(TIMES)
    np.testing.assert_allclose(found["risk"], right, rtol=5e-4)
    late = fl.Committee.from_weights(*saddle(8, 1e-10)).solve([18.0])
    assert float(late["risk"][0]) == pytest.approx(5.69e-6, rel=2e-3)


@pytest.mark.parametrize("K", [10, 20])
def test_many_copies_follow_the_other_form_of_the_flow(K):
    W, W_star = saddle(K, 1e-11)
    exact = fl.QuadraticFlow(W, W_star).solve(TIMES, rtol=1e-11)["risk"]
    np.testing.assert_allclose(fl.Committee.from_weights(W, W_star).solve(TIMES)["risk"], exact, rtol=2e-3)


@pytest.mark.parametrize("activation", ["relu", "erf", "hermite3"])
def test_the_flow_of_coordinates_is_that_of_the_weights(activation):
    rng = np.random.default_rng(0)
    W, W_star = rng.standard_normal((3, 4)), rng.standard_normal((2, 4))
    W[2] = W[0] + 1e-6 * rng.standard_normal(4)
    physics = {
        "activation": activation,
        "second_layer_rate": 0.3,
        "weight_decay": 0.05,
        "second_layer": [0.4, -0.3, 0.6],
    }
    problem = fl.Committee.from_weights(W, W_star, **physics)
    assert problem.coordinates.shape == (5, 4)
    Q, R, T = problem.Q, problem.R, problem.T
    overlaps = fl.Committee(Q, R, T, **physics)
    for name in ("risk", "Q", "R", "second_layer"):
        np.testing.assert_allclose(
            problem.solve([0.5, 2.0])[name], overlaps.solve([0.5, 2.0], rtol=1e-11)[name], atol=1e-8
        )
    sphere = fl.Committee.from_weights(W, W_star, activation=activation, spherical=True)
    np.testing.assert_allclose(
        sphere.solve([1.0])["R"],
        fl.Committee(Q, R, T, activation=activation, spherical=True).solve([1.0])["R"],
        atol=1e-7,
    )


def test_descent_begins_at_the_weights():
    problem = fl.Committee.from_weights(*saddle(5, 1e-9))
    flow, descent = (
        problem.solve([11.0])["risk"],
        problem.simulate([11.0], dimension=12, method="gd", step=1e-4)["risk"],
    )
    assert float(descent[0, 0]) == pytest.approx(float(flow[0]), rel=0.01)


@pytest.mark.parametrize("activation", ["square", "relu"])
def test_sgd_of_near_copies_begins_at_the_weights(activation):
    """The steps of copies are equal, so that the gap between them alone says when they part: tiny gaps scale with their start."""
    K, d, times = 3, 12, [0.5, 1.0]
    rng = np.random.default_rng(1)
    W, W_star = rng.standard_normal((1, d)) * np.ones((K, 1)), rng.standard_normal((2, d))
    apart = rng.standard_normal((K, d))
    physics = {"activation": activation, "learning_rate": 0.05, "second_layer": [1.0, 1.0, 0.5]}
    options = {"dimension": d, "rng": 0, "keep_state": True}
    for method, given in (("samples", True), ("samples", False), ("overlaps", True), ("overlaps", False)):
        gaps = []
        for gap in (1e-9, 1e-11):
            near = W + gap * apart
            problem = fl.Committee.from_weights(near, W_star, **physics)
            weights = {"weights": (near, W_star)} if given else {}
            kept = problem.simulate(times, method=method, **options, **weights)["state_W"].values[0]
            units = kept.reshape(kept.shape[-2:])
            units = units if method == "samples" else units.T
            gaps.append(np.linalg.norm(units[0] - units[1]))
        assert gaps[0] / gaps[1] == pytest.approx(100.0, rel=0.02), (method, given)


def test_the_limit_of_sgd_says_that_overlaps_do_not_hold_the_gap():
    problem = fl.Committee.from_weights(*saddle(3, 1e-9), learning_rate=0.1)
    with pytest.warns(UserWarning, match="Units 0 and 1 are nearer than 1e-07 of their norm"):
        problem.solve([0.1])
    assert not problem.factored


def test_descent_from_own_weights_keeps_a_gap_across_the_teacher():
    """Overlaps with the teacher do not hold the gap either: it lies in other directions."""
    W, W_star = np.zeros((2, 4)), np.zeros((1, 4))
    W[:, :2], W_star[0, 0] = [1.2, 0.4], 2.0
    W[0, 2], W[1, 3] = 1e-9, 1e-9
    flow = fl.Committee.from_weights(W, W_star, weight_decay=0.1).simulate(
        [1.0], dimension=4, weights=(W, W_star), method="gd", step=0.01, keep_state=True
    )
    units = flow["state_W"].values[0]
    assert 1e-10 < np.linalg.norm(units[0] - units[1]) < 1e-9


def test_coordinates_travel_and_are_kept_only_where_they_are_needed():
    problem = fl.Committee.from_weights(*saddle(3, 1e-9))
    result = problem.solve([1.0])
    assert pickle.loads(pickle.dumps(problem)) == problem == fl.load_problem(result)
    W, W_star = np.random.default_rng(0).standard_normal((2, 3, 8))
    assert fl.Committee.from_weights(W, W_star).coordinates is None
    assert fl.Committee.from_weights(*saddle(3, 1e-3), learning_rate=0.1).coordinates is None


def test_overlaps_of_copies_warn_and_never_give_a_number():
    W, W_star = saddle(10, 1e-11)
    exact = fl.Committee.from_weights(W, W_star)
    with pytest.warns(
        UserWarning, match=r"^Units 0 and 1 are nearer than 1e-07 of their norm: overlaps do not hold what"
    ):
        lost = fl.Committee(exact.Q, exact.R, exact.T)
    with pytest.raises(
        fl.ode.IntegrationError, match=r"\(step too small\)\. A negative eigenvalue of .* has grown"
    ) as caught:
        lost.solve([5.0, 16.0, 30.0])
    assert caught.value.partial.sizes["time"] == 1
    with pytest.warns(RuntimeWarning, match="A negative eigenvalue"):
        many = fl.solve_many(
            [lost, fl.Committee(exact.Q + np.eye(10), exact.R, exact.T)], [5.0, 16.0, 30.0], progress=False
        )
    assert many["status"].values.tolist() == ["step too small", "success"]
    assert np.isnan(many["risk"].values[0, 1:]).all()
    assert np.isfinite(many["risk"].values[1]).all()


def test_exact_copies_are_no_accident():
    # Warnings are errors: a warning about near copies would fail here.
    assert fl.Committee(np.ones((2, 2)), 0.1 * np.ones((2, 1)), [[1.0]]).coordinates is None


def test_coordinates_are_checked():
    with pytest.raises(ValueError, match=r"must be rows whose products are the overlaps .* differ by 0\.5"):
        fl.Committee([[1.0]], [[0.0]], [[1.0]], coordinates=[[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    with pytest.raises(ValueError, match="`coordinates` is for standard normal inputs, and not for a covariance"):
        fl.Committee([[1.0]], [[0.0]], [[1.0]], covariance=[1.0, 2.0], coordinates=np.eye(2))


def test_a_solution_that_loses_feasibility_says_where():
    W, W_star = saddle(10, 1e-11)
    exact = fl.Committee.from_weights(W, W_star)
    with pytest.warns(UserWarning, match="Units 0 and 1"):
        lost = fl.Committee(exact.Q, exact.R, exact.T)
    with pytest.raises(
        fl.ode.IntegrationError, match=r"^Integration stopped at t=10 \(overlaps not feasible\)\."
    ) as caught:
        lost.solve([5.0, 10.0, 12.0])
    assert caught.value.report.status is fl.ode.Status.INFEASIBLE
