"""Predicted deviations of SGD at finite dimension: increments, linear equations, and runs in law."""

import numpy as np
import pytest
from fluctuation_problems import BY_GROUP, PLAIN, problem, ratios, track
from naive_fluctuations import increments

import flowlimits as fl
from flowlimits.committee.fluctuations.increments import Rule, product_rule, sampled
from flowlimits.committee.fluctuations.track import exponential, panels

CASES = [
    (PLAIN, {}),
    (PLAIN, {"activation": "square", "learning_rate": 0.2, "second_layer_rate": 0.5, "weight_decay": 0.3}),
    (PLAIN, {"activation": "centred", "learning_rate": 0.2, "weight_decay": 0.3}),
    (PLAIN, {"activation": "relu", "second_layer": [1.0, -0.5]}),
    (PLAIN, {"activation": "hermite3", "learning_rate": 0.02, "spherical": True, "weight_decay": 0.3}),
    (BY_GROUP, {"second_layer_rate": 0.5}),
    (BY_GROUP, {"activation": "centred", "learning_rate": 0.2, "spherical": True, "weight_decay": 0.3}),
]


@pytest.mark.parametrize(("start", "physics"), CASES)
def test_one_step_has_the_predicted_mean_and_covariance(start, physics):
    one = problem(start, **physics)
    made, d, draws = track(one), 10_000.0, 60_000
    y, zero = made.path.start[None], np.zeros(1)
    J, F = made.equations.jacobians(zero, y)
    B, source = made.increments.at(zero, y, J, F)
    share = one.learning_rate / one.student_width
    steps = increments(one, d, draws, np.random.default_rng(0)) / share
    covariance, error = np.cov(steps.T), steps.std(0) / np.sqrt(draws)
    # The error of a covariance from the spread of the products.
    centred = steps - steps.mean(0)
    wobble = np.array([(centred * centred[:, [j]]).std(0) for j in range(steps.shape[1])]) / np.sqrt(draws)
    allowed = 4.5 * wobble + (0.0 if made.increments.rule.exact else 0.02) * np.abs(
        np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    )
    assert (np.abs(B[0] / share - covariance) < allowed + 1e-9).all()
    assert (np.abs(steps.mean(0) - F[0]) < 4.5 * error + 1e-3 * np.abs(F).max()).all()


@pytest.mark.parametrize(("start", "physics"), [case for case in CASES if not case[1].get("spherical")])
def test_the_second_order_of_a_step_is_what_a_large_step_shows(start, physics):
    # At d = 4 the part of second order of one step is large; it is the last one but on the sphere and in the decay, which is small here.
    one = problem(start, **physics | {"weight_decay": 0.1 * physics.get("weight_decay", 0.0)})
    d, draws = 4.0, 100_000
    made = track(one)
    y, zero = made.path.start[None], np.zeros(1)
    J, F = made.equations.jacobians(zero, y)
    _, source = made.increments.at(zero, y, J, F)
    share = one.learning_rate / one.student_width
    predicted = source[0] / share + 0.5 * J[0] @ F[0]
    rng = np.random.default_rng(1)
    steps = increments(one, d, draws, rng) / share
    found = (steps.mean(0) - F[0]) * d / share
    error = steps.std(0) / np.sqrt(draws) * d / share
    assert (np.abs(found - predicted) < 5 * error + 0.02 * np.abs(predicted).max()).all()


@pytest.mark.parametrize(
    "physics",
    [
        {},
        {"activation": "centred", "teacher_activation": "hermite2", "second_layer": [1.0, -0.5]},
        {"second_layer_rate": 0.1},
    ],
)
def test_series_are_sums_over_a_product_rule(physics):
    one = problem(**{"activation": "square", "learning_rate": 0.1} | physics)
    C = np.array([np.block([[one.Q, one.R], [one.R.T, one.T]])])
    rule, a = Rule(one), one.second_layer[None]
    means, moments = rule.moments(C, a)
    assert rule.name == "series"
    others = sampled(one, C, a, *product_rule(8, 4))
    seen = np.diagonal(others[1][0]) != 0
    np.testing.assert_allclose(means[0, seen], others[0][0, seen], atol=1e-13)
    np.testing.assert_allclose(moments[0][np.ix_(seen, seen)], others[1][0][np.ix_(seen, seen)], rtol=1e-11, atol=1e-12)


def test_linear_equations_are_solved_to_fourth_order():
    from scipy.integrate import solve_ivp

    def matrices(t):
        J = np.array([[-1 + t, 0.5], [np.sin(3 * t), -0.3]])
        return J, np.array([[1 + t, 0.2], [0.2, np.cos(t) + 2]]), np.array([np.cos(2 * t), t])

    def rhs(t, y):
        J, B, b = matrices(t)
        S = y[:4].reshape(2, 2)
        return np.concatenate([(J @ S + S @ J.T + B).ravel(), J @ y[4:] + b])

    exact = solve_ivp(rhs, (0, 2), np.zeros(6), rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for count in (8, 16):
        h, t = np.full(count, 2 / count), np.arange(count) * 2 / count
        nodes = [[np.array(x) for x in zip(*map(matrices, t + s / count))] for s in (0, 1, 2)]
        J, B, b = zip(*nodes)
        made = panels(h, J, B)
        added, S, m = made.vector(*b), np.zeros((2, 2)), np.zeros(2)
        for i in range(count):
            S = made.propagator[i] @ S @ made.propagator[i].T + made.added[i]
            m = made.propagator[i] @ m + added[i]
        errors.append(np.abs(np.concatenate([S.ravel(), m]) - exact).max())
    assert 12 < errors[0] / errors[1] < 20


@pytest.mark.parametrize("physics", [{"second_layer_rate": 0.5}, {"activation": "square", "learning_rate": 0.1}])
def test_the_covariance_is_resolved_to_a_percent(physics):
    # The risk is the hardest: its spread is a small difference of those of the overlaps.
    found = []
    for tolerance in (2e-2, 1e-4):
        made = track(problem(**physics), 4.0)
        made.tolerance = tolerance
        made.run()
        slope = made.equations.risk_slopes(made.states[-1:])[0]
        found.append(np.sqrt([*np.diag(made.S[-1]), slope @ made.S[-1] @ slope]))
    np.testing.assert_allclose(found[0], found[1], rtol=5e-3)


def test_decaying_directions_may_decay_by_any_factor():
    A = np.array([[[-4000.0, 0.0], [0.0, -1e-3]]])
    propagator, integral, added = exponential(A, np.array([[[2.0, 0.0], [0.0, 1.0]]]))
    np.testing.assert_allclose(propagator[0, 1, 1], np.exp(-1e-3), rtol=1e-10)
    np.testing.assert_allclose(integral[0, 0, 0], 1 / 4000, rtol=1e-8)
    np.testing.assert_allclose(added[0, 0, 0], 2 / 8000, rtol=1e-6)


@pytest.mark.parametrize(("start", "physics"), [CASES[0], CASES[1], CASES[5]])
def test_the_propagator_is_the_change_of_the_solution_with_its_start(start, physics):
    one = problem(start, **physics)
    made = track(one, 3.0, rtol=1e-11, atol=1e-13)
    made.run()
    size = made.equations.count
    tangents = made.propagate(np.eye(size), np.zeros((len(made.times), size, size)))[-1]
    step = 1e-4 * made.equations.natural(made.path.start[None])[0]
    for j in range(size):
        ends = []
        for sign in (1, -1):
            path = made.path.restart(-1)
            path.start = path.start + sign * step[j] * np.eye(size)[j]
            path.run(np.array([3.0]))
            ends.append(path.states[-1])
        np.testing.assert_allclose(tangents[:, j], (ends[0] - ends[1]) / (2 * step[j]), rtol=5e-3, atol=5e-3)


def test_the_mean_of_linear_units_is_that_of_its_closed_recursion():
    # |W - W*|^2/d and W.W*/d of one linear unit obey an exact recursion at every dimension.
    rate, noise, d, last = 0.7, 0.2, 20_000, 2.0
    Q0, R0, T0 = 0.5, 0.2, 1.0
    steps = round(last * d / rate)
    D, R1 = Q0 - 2 * R0 + T0, R0
    for _ in range(steps):
        D, R1 = D - 2 * rate * D / d + rate**2 / d**2 * (D * (d + 2) + noise * d), R1 - rate / d * (R1 - T0)
    time = steps * rate / d
    one = fl.Committee([[Q0]], [[R0]], [[T0]], activation="linear", learning_rate=rate, noise=noise)
    theory = one.solve([time], rtol=1e-12, atol=1e-14, fluctuations=True)
    found = {"risk": D / 2, "R": R1, "Q": D + 2 * R1 - T0}
    for name, value in found.items():
        bias = d * (value - float(theory[name].values.ravel()[0]))
        assert float(theory[f"bias_{name}"].values.ravel()[0]) == pytest.approx(bias, rel=5e-3, abs=2e-4)
    assert theory.attrs["increments"] == "exact moments"


@pytest.mark.parametrize(
    ("start", "physics", "dimension"),
    [
        (PLAIN, {}, 200),
        (PLAIN, {"activation": "square", "learning_rate": 0.3, "second_layer_rate": 0.5}, 1000),
        (BY_GROUP, {}, 200),
    ],
)
def test_runs_deviate_as_predicted(start, physics, dimension):
    one, count = problem(start, **physics), 400
    runs = one.simulate([0.5, 2.0], dimension=dimension, runs=count, rng=5, progress=False)
    theory = one.solve(runs["time"].values, fluctuations=True)
    assert float(theory["needs_dimension"].max()) < dimension
    for name, ratio, shift, _ in ratios(theory, runs):
        assert np.abs(ratio - 1).max() < 4.5 / np.sqrt(2 * count) + 0.02, name
        assert np.abs(shift).max() < 4.5, name


def test_a_mean_without_the_bias_is_far_off():
    one = problem(activation="square", learning_rate=0.3)
    runs = one.simulate([2.0], dimension=200, runs=1000, rng=2, progress=False)
    theory = one.solve(runs["time"].values, fluctuations=True)
    found = {name: (np.abs(shift).max(), np.abs(raw).max()) for name, _, shift, raw in ratios(theory, runs)}
    assert max(raw for _, raw in found.values()) > 8
    assert max(shift for shift, _ in found.values()) < 5


def test_deviations_of_groups_are_those_of_another_program():
    # Lyapunov's equation with 10^5 random fields, known to 1 %.
    theory = problem(BY_GROUP).solve([4.0], fluctuations=True, observables=["Q_groups", "R_groups"])
    expected = [[0.1753, 0.1640, 0.1694], [0.1145, 0.0880, 0.1194], [0.0835, 0.0588, 0.0793]]
    found = theory["std_Q_groups"].values[0][:, [0, 0, 1], [0, 1, 1]]
    np.testing.assert_allclose(found, expected, rtol=0.015)
    np.testing.assert_allclose(
        theory["std_R_groups"].values[0, 0].ravel(), [0.1159, 0.1219, 0.1203, 0.1150], rtol=0.015
    )


def test_the_dimension_that_is_needed_grows_where_a_plateau_is_left():
    plateau = problem({"Q": np.eye(2) * 0.1, "R": [[1e-3, 0.0], [0.0, 2e-3]], "T": np.eye(2)}, noise=0.0)
    needed = plateau.solve([1.0, 20.0, 300.0], fluctuations=True)["needs_dimension"].values
    assert (np.diff(needed) >= 0).all()
    assert needed[-1] > 20 * needed[0]


def test_what_is_asked_for_is_what_comes_out():
    one = problem(second_layer_rate=0.5)
    plain, with_them = one.solve([0.0, 1.0]), one.solve([0.0, 1.0], fluctuations=True, observables=["specialisation"])
    for name in plain.data_vars:
        np.testing.assert_array_equal(plain[name], with_them[name])
    assert not [name for name in plain if str(name).startswith(("std_", "bias_"))]
    assert "fluctuations" not in fl.core.results.provenance(plain)["call"]
    assert with_them["std_Q"].dims == ("time", "student", "student_2")
    assert (with_them["std_R"].values[0] == 0).all()
    assert float(with_them["std_specialisation"][1]) > 0
    again = fl.rerun(with_them)
    np.testing.assert_array_equal(again["std_risk"], with_them["std_risk"])


def test_deviations_of_functions_follow_from_those_of_the_overlaps():
    one = problem(activation="linear", learning_rate=0.5)
    made = track(one, 1.0)
    made.run()
    theory = one.solve([1.0], fluctuations=True)
    # The risk of linear units is a linear function of the overlaps.
    w = np.array([0.5, 0.5, -0.5, -0.5])
    slopes = [0.5 * w[0] ** 2, w[0] * w[1], 0.5 * w[1] ** 2, *[w[i] * w[2 + r] for i in range(2) for r in range(2)]]
    expected = np.sqrt(np.array(slopes) @ made.S[-1] @ np.array(slopes))
    assert float(theory["std_risk"][0]) == pytest.approx(expected, rel=1e-6)


def test_gradient_flow_and_too_many_overlaps_are_refused():
    with pytest.raises(
        ValueError, match=r"^Argument `fluctuations` is for one-pass SGD, learning_rate > 0: gradient flow is exact"
    ):
        problem(learning_rate=0.0).solve([1.0], fluctuations=True)
    with pytest.raises(TypeError, match=r"^Argument `fluctuations` must be True, False or \"start\", but is 'yes'"):
        problem().solve([1.0], fluctuations="yes")
    near = fl.Committee.from_weights(np.array([[1.0, 0.0], [1.0, 1e-6]]), np.eye(2))
    with pytest.raises(ValueError, match=r"^Argument `fluctuations` is for overlaps, and not for problems with `coord"):
        near.solve([1.0], fluctuations="start")
    wide = fl.Committee(np.eye(20), np.zeros((20, 20)), np.eye(20), learning_rate=0.1)
    with pytest.raises(
        ValueError,
        match=r"^Argument `fluctuations` follows the covariance of at most 400 order parameters, but this problem has 610",
    ):
        wide.solve([1.0], fluctuations=True)


SETTINGS = {
    "erf": (PLAIN, {}),
    "square": (PLAIN, {"activation": "square", "learning_rate": 0.1}),
    "relu": (PLAIN, {"activation": "relu", "learning_rate": 0.5}),
    "both layers": (PLAIN, {"second_layer_rate": 0.5, "weight_decay": 0.05}),
    "groups": (BY_GROUP, {}),
    "sphere": (PLAIN, {"spherical": True}),
    "groups, sphere": (BY_GROUP, {"activation": "centred", "learning_rate": 0.2, "spherical": True}),
    "schedule": (PLAIN, {"learning_rate": fl.Schedule([0.0, 2.0, 4.0], [2.0, 1.0, 0.2])}),
}


#: Times and dimensions; at d = 400 the theory of the groups on the sphere says itself that it is not to be used.
TIMES = {"square": [0.5, 1.0], "groups, sphere": [0.5, 1.0]}
DIMENSION = {"groups, sphere": 1600}


def check_four_thousand_runs(name, times, dimension):
    start, physics = SETTINGS[name]
    one, count = problem(start, **physics), 4000
    runs = one.simulate(times, dimension=dimension, runs=count, rng=7, progress=False)
    theory = one.solve(runs["time"].values, fluctuations=True)
    assert float(theory["needs_dimension"].max()) < dimension
    for variable, ratio, shift, _ in ratios(theory, runs):
        assert np.abs(ratio - 1).max() < 0.05, (variable, ratio)
        assert np.abs(shift).max() < 4.5, (variable, shift)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_four_thousand_runs_deviate_as_predicted(name):
    check_four_thousand_runs(name, TIMES.get(name, [1.0, 4.0]), DIMENSION.get(name, 400))


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="Q_12 of two squares is of next order: 15 % at d = 400, 6 % at d = 1,600")
def test_late_squares_deviate_as_predicted():
    check_four_thousand_runs("square", [4.0], 400)
