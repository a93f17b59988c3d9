"""Gradient flow on a sample: gradients, kinks, end states, merging; each against something that shares no code."""

import json
from fractions import Fraction

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.samples import alignment, equations, observables
from flowlimits.samples.limit import parameters

THREE = (np.array([[-0.75], [-0.5], [0.125]]), np.array([1.1, 0.1, 0.8]))


def linear_data(n, d, seed, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    beta = np.ones(d) / np.sqrt(d)
    return X, X @ beta + noise * rng.standard_normal(n)


def details(result):
    return json.loads(result.attrs["provenance"])


ACTIVATION = {
    "relu": lambda z: np.maximum(z, 0),
    "square": lambda z: z**2,
    "tanh": np.tanh,
    "softplus": lambda z: np.logaddexp(0, z),
}
LOSS = {
    "squared": lambda h, y: (h - y) ** 2 / 2,
    "logistic": lambda h, y: np.logaddexp(0, -y * h),
    "exponential": lambda h, y: np.exp(-y * h),
}


@pytest.mark.parametrize("loss", LOSS)
@pytest.mark.parametrize("activation", ACTIVATION)
def test_velocity_is_minus_the_gradient_of_the_loss(activation, loss):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((9, 3)), rng.choice([-1.0, 1.0], 9)
    problem = fl.SampleFlow(X, y, width=4, scale=1.5, activation=activation, loss=loss, bias=True, rng=1)
    inputs = np.hstack([X, np.ones((9, 1))])

    def risk(W, a):
        return LOSS[loss](ACTIVATION[activation](inputs @ W.T) @ a, y).mean()

    W, a, e = np.array(problem.W), np.array(problem.second_layer), 1e-6
    slope_W, slope_a = np.zeros_like(W), np.zeros_like(a)
    for index in np.ndindex(W.shape):
        up, down = W.copy(), W.copy()
        up[index] += e
        down[index] -= e
        slope_W[index] = (risk(up, a) - risk(down, a)) / (2 * e)
    for j, row in enumerate(np.eye(4)):
        slope_a[j] = (risk(W, a + e * row) - risk(W, a - e * row)) / (2 * e)
    dy = np.empty(W.size + a.size)
    state = np.concatenate([W.T.ravel(), a])
    equations.evaluate(
        equations.sample_flow.address,
        0.0,
        state,
        dy,
        parameters(problem, 4),
        np.zeros(equations.work_size(problem.W.shape[1], 4)),
    )
    np.testing.assert_allclose(dy, np.concatenate([-slope_W.T.ravel(), -slope_a]), atol=2e-8)
    assert float(problem.solve([0.0]).risk[0]) == pytest.approx(risk(W, a), rel=1e-13)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [1e-2, 1e-3])
def test_three_points_end_at_the_least_squares_line(seed, scale):
    X, y = THREE
    run = fl.SampleFlow(X, y, width=200, scale=scale, bias=True, rng=seed).solve(
        [400.0], rtol=1e-12, observables=["output"]
    )
    line = np.polyval(np.polyfit(X[:, 0], y, 1), X[:, 0])
    np.testing.assert_allclose(run.output[0], line, rtol=0, atol=1e-10)
    assert float(run.risk[0]) == pytest.approx(0.0875213675213675, abs=1e-12)
    assert run.attrs["end_state"] == "OLS"
    assert details(run)["risk_error"] < 1e-9


@pytest.mark.parametrize("seed", [0, 1])
def test_the_stepping_over_kinks_agrees_with_descent_in_small_steps(seed):
    X, y = linear_data(20, 3, seed)
    problem = fl.SampleFlow(X, y, width=20, scale=0.1, rng=seed)
    times = [2.0, 5.0, 10.0]
    flow = problem.solve(times, observables=["hidden"])
    # Descent is of first order in its step: two steps give its limit, and a bound on what is left.
    long, short = (problem.simulate(times, step=step).risk.values for step in (2e-3, 1e-3))
    limit = 2 * short - long
    left = np.abs(short - long).max()
    assert np.abs(flow.risk.values - limit).max() < details(flow)["risk_error"] + 0.2 * left
    assert left > 1e-5


def test_the_stated_error_covers_the_error():
    X, y = linear_data(30, 4, 2)
    problem = fl.SampleFlow(X, y, width=30, rng=4)
    times = [8.0, 20.0, 60.0]
    coarse, fine = problem.solve(times, rtol=1e-4), problem.solve(times, rtol=1e-6, kink_step=1e-3)
    assert details(fine)["risk_error"] < 0.3 * details(coarse)["risk_error"]
    assert np.abs(coarse.risk - fine.risk).max() < details(coarse)["risk_error"] + details(fine)["risk_error"]


def test_sliding_units_do_not_make_the_stepping_crawl():
    X, y = linear_data(12, 2, 0)
    problem = fl.SampleFlow(X, y, width=40, scale=1e-2, rng=0)
    tight = details(problem.solve([50.0], rtol=1e-9))
    assert tight["forced_steps"] > 0
    assert tight["steps"] < 3 * 50.0 / tight["kink_step"]
    assert 0 < tight["forced_error"] < 0.05 * tight["forced_steps"]


def test_balance_is_conserved_and_the_loss_falls():
    X, y = linear_data(50, 4, 5)
    problem = fl.SampleFlow(X, y, width=20, scale=0.05, rng=0)
    run = problem.solve(np.geomspace(0.1, 100, 30), rtol=1e-6, observables=["hidden", "second_layer"])
    gap = run.second_layer.values**2 - (run.hidden.values**2).sum(axis=2)
    assert np.abs(gap).max() < 1e-4
    assert (np.diff(run.risk) < 1e-9).all()


@pytest.mark.parametrize("start", ["balanced", "unbalanced", "dominated"])
def test_starts_have_the_stated_second_layer(start):
    X, y = linear_data(8, 400, 5)
    problem = fl.SampleFlow(X, y, width=100, scale=0.3, start=start, rng=0)
    norms = np.linalg.norm(problem.W, axis=1)
    # Lengths of 400 coordinates of variance scale^2/m
    np.testing.assert_allclose(norms, 0.3 / 10 * 20, rtol=0.15)
    a = np.array(problem.second_layer)
    if start == "unbalanced":
        assert a.std() == pytest.approx(0.03, rel=0.3)
    else:
        np.testing.assert_allclose(np.abs(a) / norms, {"balanced": 1, "dominated": 2}[start])
        assert a[::2].min() > 0 > a[1::2].max()


def test_threshold_between_interpolation_and_least_squares():
    ratios, excess = {}, {}
    X_test = np.random.default_rng(99).standard_normal((20_000, 5))
    y_test = X_test.sum(axis=1) / np.sqrt(5)
    for n in (10, 20, 400):
        X, y = linear_data(n, 5, 3)
        run = fl.SampleFlow(X, y, width=40, X_test=X_test, y_test=y_test, rng=1).solve([300.0], rtol=1e-4)
        fit = X @ np.linalg.lstsq(X, y, rcond=None)[0]
        ratios[n] = float(run.risk[0]) / (0.5 * np.mean((fit - y) ** 2))
        excess[n] = float(run.test_risk[0])
    assert ratios[10] < 0.3
    assert 0.9 < ratios[400] <= 1.0 + 1e-9
    assert excess[20] > 20 * excess[400]


def test_end_states_are_told_apart():
    X, y = linear_data(60, 3, 1)
    fit = X @ np.linalg.lstsq(X, y, rcond=None)[0]
    plus, minus = observables.split_least_squares(X, y)
    right = fit > 0
    np.testing.assert_allclose(plus, np.linalg.solve(X[right].T @ X[right], X[right].T @ y[right]), rtol=1e-10)
    np.testing.assert_allclose(minus, np.linalg.solve(X[~right].T @ X[~right], X[~right].T @ y[~right]), rtol=1e-10)
    split = observables.split_prediction(X, plus, minus)
    for name, output in {"interpolating": y, "OLS": fit, "split OLS": split, "other": 0.5 * y}.items():
        assert observables.classify(X, y, output)[0] == name


def test_distinct_directions_counts_signs_and_forgets_small_units():
    W = np.array([[1.0, 0], [2, 0], [1, 0.001], [0, 1], [1, 0], [1e-4, -1e-4]])
    a = np.array([1.0, 1, 1, 1, -1, 1])
    assert observables.distinct_directions(W, a) == 3


def test_merged_units_give_the_same_flow():
    X, y = linear_data(200, 5, 3)
    problem = fl.SampleFlow(X, y, width=30, scale=1e-5, rng=0)
    times = [30.0, 60.0, 120.0]
    full, merged = problem.solve(times), problem.solve(times, method="merged")
    stated = details(merged)
    np.testing.assert_allclose(
        merged.risk, full.risk, rtol=details(full)["relative_risk_error"] + stated["relative_risk_error"] + 1e-3
    )
    assert stated["units"] < 15
    assert stated["left_out"] < 1e-4
    assert full.attrs["end_state"] == merged.attrs["end_state"] == "split OLS"
    assert merged.attrs["end_point_risk"] <= float(merged.risk[-1]) + 1e-12


def test_the_end_point_of_two_opposite_units_is_the_split_fit():
    X, y = linear_data(100, 3, 4)
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    W, a = 1e-3 * np.array([beta, -beta]), 1e-3 * np.array([1.0, -1.0]) * np.linalg.norm(beta)
    plus, minus = observables.split_least_squares(X, y)
    split = 0.5 * np.mean((observables.split_prediction(X, plus, minus) - y) ** 2)
    loss, _ = observables.end_point(X, y, W, a)
    assert loss == pytest.approx(0.5 * np.mean((np.where(X @ beta > 0, X @ plus, X @ minus) - y) ** 2), rel=1e-12)
    run = fl.SampleFlow(X, y, weights=(W, a)).solve([200.0], rtol=1e-7, method="merged")
    assert run.attrs["end_point_risk"] == pytest.approx(float(run.risk[0]), rel=1e-5)
    assert run.attrs["end_point_consistent"] == 1
    assert abs(float(run.risk[0]) / split - 1) < 0.01


def test_merging_is_exact_for_parallel_units():
    X, _ = linear_data(30, 4, 0)
    u, v = np.random.default_rng(0).standard_normal((2, 4))
    W = np.array([u, 2 * u, v, 0.5 * u])
    a = np.array([0.7, 1.4, -1.0, 0.35])
    few_W, few_a, left_out = alignment.merge(W, a, X)
    assert len(few_a) == 2
    assert left_out < 1e-14
    np.testing.assert_allclose(np.maximum(X @ few_W.T, 0) @ few_a, np.maximum(X @ W.T, 0) @ a, atol=1e-13)


def test_logistic_loss_separates_and_tanh_is_integrated_to_tolerance():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2))
    y = np.sign(X[:, 0])
    run = fl.SampleFlow(X, y, width=20, scale=0.1, loss="logistic", rng=0).solve(
        [1.0, 100.0, 1000.0], observables=["output"]
    )
    assert (y * run.output.values[-1] > 0).all()
    assert float(run.risk[-1]) < 0.02
    smooth = fl.SampleFlow(X, y, width=8, scale=0.5, activation="tanh", rng=0)
    np.testing.assert_allclose(smooth.solve([5.0]).risk, smooth.solve([5.0], rtol=1e-11).risk, rtol=1e-6)


def test_events_extension_and_repetition():
    X, y = linear_data(40, 3, 1)
    problem = fl.SampleFlow(X, y, width=10, scale=0.1, rng=0)
    run = problem.solve([1.0, 3.0, 9.0], events=[fl.Event("risk", 0.3, stop=True)], keep_state=True)
    at = float(run.event_time[0])
    assert float(problem.solve([at]).risk[0]) == pytest.approx(0.3, rel=1e-3)
    assert float(run.time[-1]) <= at
    assert run.state.size == 40
    again = fl.extend(problem.solve([1.0, 3.0]), [5.0])
    np.testing.assert_allclose(again.risk, problem.solve([1.0, 3.0, 5.0]).risk)


def test_the_problem_is_rebuilt_from_its_result(tmp_path):
    X, y = linear_data(10, 3, 1)
    problem = fl.SampleFlow(X, y, width=4, bias=True, X_test=X[:3], y_test=y[:3], activation="softplus", rng=0)
    run = problem.solve([1.0])
    fl.save(run, tmp_path / "run.nc")
    assert fl.load_problem(fl.load(tmp_path / "run.nc")) == problem
    from flowlimits.data.rerun import differing, rerun

    assert differing(run, rerun(run)) == []
    stopped = fl.SampleFlow(X, y, width=4, rng=0).solve([1.0, 20.0], events=[fl.Event("risk", 0.3)])
    assert differing(stopped, rerun(stopped)) == []
    early = fl.SampleFlow(X, y, width=4, rng=0).solve([1.0, 5.0, 20.0], events=[fl.Event("risk", 0.3, stop=True)])
    assert early.time.size < 3
    assert differing(early, rerun(early)) == []
    assert "2410.02348" in fl.cite(problem)


GOOD = {"X": np.eye(3), "y": np.array([1.0, -1, 1]), "width": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((0, 3)), "y": np.zeros(0)}, "Argument `X` must not be empty, but has shape (0, 3)."),
        ({"X": np.zeros((3, 0))}, "Argument `X` must not be empty, but has shape (3, 0)."),
        ({"y": np.ones(4)}, "Arguments `X` and `y` must have the same number of rows, but have 3 and 4."),
        (
            {"X": np.diag([1.0, 0, 1])},
            "Argument `X` must not hold the zero vector, but does in row 1: it pulls on nothing.",
        ),
        (
            {"y": np.array([1.0, 0, 1]), "loss": "logistic"},
            "Argument `y` must hold +1 and -1 for the logistic loss, but holds 0.",
        ),
        ({"y": np.array([1.0, np.nan, 1])}, "Argument `y` must be finite, but is nan at index [1]."),
        ({"loss": "hinge"}, 'Argument `loss` must be one of "squared", "logistic", "exponential", but is \'hinge\'.'),
        ({"activation": "rleu"}, "did you mean `relu`?"),
        ({"width": 0}, "Argument `width` must be at least 1, but is 0."),
        ({"width": None}, "Either argument `width` or `weights` must be given, and not both."),
        ({"scale": 0.0}, "Argument `scale` must be positive, but is 0.0."),
        ({"weights": (np.ones((2, 4)), np.ones(2)), "width": None}, "Argument `weights` must have shape"),
        ({"weights": np.ones((2, 3)), "width": None}, "Argument `weights` must be a pair (W, a)"),
        ({"X_test": np.eye(3)}, "Arguments `X_test` and `y_test` must be given together."),
        (
            {"learning_rate": 0.1},
            "SampleFlow has no argument `learning_rate`: this is gradient flow; its time t is steps times step.",
        ),
    ],
)
def test_bad_problems_get_a_sentence(change, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        fl.SampleFlow(**(GOOD | change))
    assert message in str(caught.value)


def test_a_zero_input_is_fine_with_a_bias_and_repeated_inputs_warn():
    fl.SampleFlow(np.array([[0.0], [1.0]]), np.ones(2), width=2, bias=True)
    with pytest.warns(UserWarning, match="Argument `X` holds 1 inputs more than once"):
        fl.SampleFlow(np.ones((2, 3)), np.ones(2), width=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "merged"}, 'Method "merged" needs a small start, but that of norm'),
        ({"method": "euler"}, "Argument `method` must be one of"),
        (
            {"method": "dop853", "kink_step": 0.1},
            'Argument `kink_step` belongs to the method "kinks", not to "dop853".',
        ),
        ({"method": "tsit5"}, 'Argument `method` cannot be "tsit5" any more: "dop853" takes less time'),
        ({"observables": ["test_risk"]}, "The observable `test_risk` needs test data"),
        ({"kink_step": -1.0}, "Argument `kink_step` must be positive, but is -1.0."),
    ],
)
def test_bad_calls_get_a_sentence(options, message):
    problem = fl.SampleFlow(**(GOOD | {"scale": 1.0}))
    with pytest.raises(ValueError) as caught:
        problem.solve([1.0], **options)
    assert message in str(caught.value)


def test_a_failed_flow_carries_its_finished_part():
    problem = fl.SampleFlow(**GOOD)
    with pytest.raises(fl.ode.IntegrationError, match="too many steps") as caught:
        problem.solve([0.1, 1e6], max_steps=50)
    assert caught.value.times.tolist() == [0.1]
    with pytest.raises(ValueError, match='Method "merged" needs ReLU units'):
        fl.SampleFlow(**GOOD, activation="tanh").solve([1.0], method="merged")
    with pytest.raises(ValueError, match='the "dominated" start has larger second layers'):
        fl.SampleFlow(**GOOD, start="dominated").solve([1.0], method="merged")
    with pytest.raises(ValueError, match='Method "kinks" is for ReLU units'):
        fl.SampleFlow(**GOOD, activation="tanh").solve([1.0], method="kinks")
    with pytest.raises(ValueError, match="asks for two times within one step"):
        problem.simulate([1.0, 1.001], step=0.01)


def test_merging_finds_its_time_far_beyond_the_range_of_floats():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    y = X @ [1.0, 0, 0] + 0.1 * rng.standard_normal(20)
    problem = fl.SampleFlow(X, y, width=20, scale=1e-3, rng=0)
    merged = problem.solve(np.geomspace(0.1, 600, 10), method="merged")
    assert float(merged["risk"][-1]) == pytest.approx(0.0033505, abs=2e-6)
    # The horizon decides nothing about the merging time.
    assert details(merged)["merged_at"] == pytest.approx(
        details(problem.solve([40.0], method="merged"))["merged_at"], rel=1e-6
    )


def test_weight_decay_and_depth_are_refused_with_a_reason():
    for word, reason in (
        ("weight_decay", "the flow is that of the loss alone; "),
        ("depth", "networks of one hidden layer only; "),
    ):
        with pytest.raises(TypeError, match=rf"^SampleFlow has no argument `{word}`: {reason}"):
            fl.SampleFlow(np.eye(2), np.ones(2), width=3, rng=0, **{word: 1})


def test_tolerances_of_any_kind_of_number_are_kept_as_floats():
    problem = fl.SampleFlow([[1.0], [0.5]], [1.0, 0.3], width=2, rng=0)
    found = problem.solve([0.1], rtol=Fraction(1, 10**6), atol=np.array(1e-9), kink_step=Fraction(1, 1000))
    same = problem.solve([0.1], rtol=1e-6, atol=1e-9, kink_step=1e-3)
    assert details(found)["call"] == details(same)["call"]
