"""Models of margin flows: gradients, homogeneity, layouts, and what is refused."""

import json

import naive_margin as naive
import numpy as np
import pytest

import flowlimits as fl
from flowlimits import margin

MODELS = {
    "linear": margin.LinearModel(),
    "quadratic": margin.QuadraticModel(3),
    "quadratic trained": margin.QuadraticModel(3, second_layer="trained"),
    "relu": margin.ReLUModel(3),
    "softplus": margin.SoftplusModel(3),
    "skip": margin.SkipReLUModel(3),
}


def problem_of(model, loss="exponential", seed=0):
    generator = np.random.default_rng(seed)
    X, y = generator.normal(size=(5, 2)), np.array([1.0, -1, 1, 1, -1])
    return margin.MarginFlow(model, X, y, rng=seed + 1, loss=loss)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_compiled_loss_and_gradient_are_those_of_plain_loops(name, loss):
    problem = problem_of(MODELS[name], loss)
    for scale in (1.0, 3.0):
        theta = scale * problem.weights
        ell, B, _, p, gradients = problem.state.evaluate(theta)
        signs = MODELS[name].extra()
        value, gradient = naive.loss_and_gradient(name, theta, problem.X, problem.y, loss, width=3, signs=signs)
        assert np.exp(-ell) == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(value * B * (p @ gradients), -gradient, rtol=1e-10, atol=1e-12 * value)


@pytest.mark.parametrize("name", ["linear", "quadratic", "quadratic trained", "relu"])
def test_margins_are_homogeneous_of_the_order_that_the_model_states(name):
    problem = problem_of(MODELS[name])
    state, order = problem.state, MODELS[name].order
    _, _, q, _, gradients = state.evaluate(problem.weights)
    np.testing.assert_allclose(state.evaluate(2 * problem.weights)[2], 2**order * q, rtol=1e-12)
    np.testing.assert_allclose(gradients @ problem.weights, order * q, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["softplus", "skip"])
def test_near_homogeneous_models_tend_to_the_relu_network(name):
    problem = problem_of(MODELS[name])
    weights = problem.weights[:9]
    relu = margin.MarginFlow(margin.ReLUModel(3), problem.X, problem.y, weights=weights).state.evaluate(weights)[2]
    gaps = [np.abs(problem.state.evaluate(rho * problem.weights)[2] / rho**2 - relu).max() for rho in (10, 100, 1000)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 5e-3


def test_margins_far_beyond_floats_keep_their_probabilities():
    problem = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], weights=[1.0, 1.0])
    ell, B, _, p, _ = problem.state.evaluate(np.array([1e6, 1e6 + 1]))
    assert ell == pytest.approx(1e6 - np.log1p(np.exp(-1)), abs=1e-9)
    np.testing.assert_allclose(p, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], rtol=1e-9)
    assert B == 1


def test_logistic_probabilities_of_badly_classified_samples_stay_finite():
    problem = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], weights=[1.0, 1.0], loss="logistic")
    ell, B, _, p, _ = problem.state.evaluate(np.array([-1e5, 800.0]))
    assert ell == pytest.approx(-np.log(1e5))
    assert pytest.approx(1e-5) == B
    np.testing.assert_allclose(p, [1, 0], atol=1e-300)


def test_the_jacobian_is_the_derivative_of_the_right_hand_side():
    from flowlimits.margin import equations_smooth as smooth

    for name, loss in (
        ("linear", "logistic"),
        ("quadratic", "exponential"),
        ("quadratic trained", "logistic"),
        ("softplus", "exponential"),
    ):
        problem = margin.MarginFlow(MODELS[name], [[1.0, 0.2], [0.1, 1.0], [0.9, 0.6]], [1, 1, 1], rng=3, loss=loss)
        theta = problem.solve([1.0, 3.0])["direction"].values[-1]
        state = problem.state
        params = smooth.parameters(
            state.kind, state.loss, state.X, state.y, state.extra, state.order, MODELS[name].homogeneous, 1.0
        )
        y, z = np.concatenate([theta, [0.7, 0.2]]), np.log1p(4.0)
        work = np.zeros(smooth.work_size(3, theta.size))
        n = y.size
        J, numeric = np.zeros((n, n)), np.zeros((n, n))
        smooth.direction_jacobian.__wrapped__(z, y, J, params, work)
        for k in range(n):
            ends = []
            for side in (1, -1):
                moved, velocity = y.copy(), np.zeros(n)
                moved[k] += side * 1e-6
                work[0] = 0
                smooth.direction.__wrapped__(z, moved, velocity, params, work)
                ends.append(velocity)
            numeric[:, k] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(J, numeric, rtol=1e-5, atol=1e-5 * np.abs(numeric).max(), err_msg=name)


def test_a_problem_is_rebuilt_from_its_own_result():
    for model in (*MODELS.values(), margin.NormOnlyModel([[1.0, 0.0], [0.0, 1.0]], [1, -1])):
        problem = margin.MarginFlow(model, [[1.0, 0.5], [0.2, 1.0]], [1, -1], rng=2)
        arrays = {}
        plain = json.loads(json.dumps(problem.to_plain(arrays)))
        from flowlimits.core.problem import rebuild

        assert rebuild(plain, arrays) == problem
    problem = margin.MarginFlow(margin.LinearModel(), [[1.0, 0.5], [0.2, 1.0]], [1, -1], rng=2)
    assert fl.load_problem(problem.solve([5.0])) == problem


def test_weights_are_taken_per_layer_and_given_back_by_name():
    model = margin.ReLUModel(2)
    W, a = np.arange(6.0).reshape(2, 3), np.array([1.0, -1.0])
    problem = margin.MarginFlow(model, np.eye(3), [1, 1, -1], weights=(W, a))
    blocks = model.unpack(problem.weights, 3)
    np.testing.assert_array_equal(blocks["W"], W)
    np.testing.assert_array_equal(blocks["a"], a)


def good(**changes):
    return {"model": margin.LinearModel(), "X": np.eye(2), "y": [1, -1]} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": [1, 0]}, "Argument `y` must hold the labels 1 and -1, but holds 0 at index 1."),
        ({"y": [1, -1, 1]}, "Argument `y` must have shape (2,), but has shape (3,)."),
        ({"X": [[1, 0], [0, 0]]}, "Argument `X` must not hold zero vectors: no homogeneous model classifies row 1."),
        ({"X": [[1, np.nan], [0, 1]]}, "Argument `X` must be finite, but is nan at index [0, 1]."),
        ({"weights": [1.0]}, "Argument `weights` must have shape (2,), but has shape (1,)."),
        ({"loss": "hinge"}, "Argument `loss` must be one of"),
        ({"geometry": "l3"}, "Argument `geometry` must be one of"),
        (
            {"model": margin.QuadraticModel(2), "weights": np.zeros(4)},
            "The flow does not move from these weights: the gradients of the samples cancel or vanish, as at a sign-symmetric start or at "
            "the origin. Draw or shift the weights.",
        ),
        (
            {"X": [[1.0, 0.0], [1.0, 0.0]]},
            "The flow does not move from these weights: the gradients of the samples cancel or vanish, as at a sign-symmetric start or at "
            "the origin. Draw or shift the weights.",
        ),
        (
            {"model": margin.QuadraticModel(2), "weights": np.full(4, 1e200)},
            "Argument `weights` must be at most 1e+50 in size, but is 1e+200 at index [0]: rescale it.",
        ),
    ],
)
def test_bad_problems_are_refused_with_a_sentence(changes, message):
    if "weights" not in changes:
        changes = changes | {"weights": np.zeros(2)}
    with pytest.raises(ValueError) as error:
        margin.MarginFlow(**good(**changes))
    assert str(error.value).startswith(message)


def test_bad_models_are_refused_with_a_sentence():
    with pytest.raises(
        TypeError, match=r"Argument `model` must be a model of fl.margin, such as LinearModel\(\), but is 'relu'"
    ):
        margin.MarginFlow("relu", np.eye(2), [1, 1])
    with pytest.raises(ValueError, match=r"Argument `signs` must hold 1 and -1, but holds 0\.5"):
        margin.QuadraticModel(2, signs=[1, 0.5])
    with pytest.raises(ValueError, match="Argument `directions` must have the 2 columns of `X`, but has 3"):
        margin.MarginFlow(margin.NormOnlyModel(np.eye(3), [1, 1, 1]), np.eye(2), [1, 1])
