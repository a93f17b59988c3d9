"""The equations of one unit: against `Committee`, weights, finite differences, power laws."""

import pickle

import naive_single_unit as naive
import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core import results
from flowlimits.single_unit import equations, limit

SHARES = np.array([0.5, 0.3, 0.2])
LAW = fl.Spectrum([1.6, 0.5, 0.25], SHARES)
TIMES = np.array([0.0, 1.0, 4.0, 16.0])


def unit(link="linear", **physics):
    return fl.SingleUnit(link, **{"Q": 0.5 * SHARES, "R": [0.1, 0.03, 0.0], "T": SHARES, "covariance": LAW} | physics)


@pytest.mark.parametrize(
    ("link", "activation", "rate"), [("linear", "linear", 0.5), ("square", "square", 0.05), ("erf", "erf", 0.5)]
)
def test_isotropic_inputs_are_a_committee_of_one(link, activation, rate):
    for learning_rate, weight_decay in ((0.0, 0.0), (rate, 0.1)):
        physics = {"learning_rate": learning_rate, "noise": 0.05, "weight_decay": weight_decay}
        one = fl.SingleUnit(link, Q=0.5, R=0.1, T=1.0, **physics).solve(TIMES, rtol=1e-11, atol=1e-13)
        other = fl.Committee([[0.5]], [[0.1]], [[1.0]], activation=activation, **physics)
        other = other.solve(TIMES, rtol=1e-11, atol=1e-13)
        for name, values in (("risk", other.risk), ("Q", other.Q[:, 0, 0]), ("R", other.R[:, 0, 0])):
            np.testing.assert_allclose(one[name], values, rtol=1e-9, atol=1e-12)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


LAWS = {
    "logistic": (
        {"link": "logistic"},
        lambda u, y: np.log1p(np.exp(-y * u)),
        lambda v: ((1.0, sigmoid(v)), (-1.0, sigmoid(-v))),
    ),
    "square": ({"link": "square"}, lambda u, y: (u * u - y) ** 2 / 2, lambda v: ((v * v, 1.0),)),
    "own": (
        {"link": "tanh(v) + v/2", "loss": "log(cosh(u - y))"},
        lambda u, y: np.log(np.cosh(u - y)),
        lambda v: ((np.tanh(v) + v / 2, 1.0),),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_flow_of_groups_is_that_of_weights_with_a_dense_covariance(name):
    physics, loss, law = LAWS[name]
    rng = np.random.default_rng(2)
    A = rng.standard_normal((4, 4))
    S, w, w_star = A @ A.T / 4, 0.5 * rng.standard_normal(4), rng.standard_normal(4)
    problem = fl.SingleUnit.from_weights(w, w_star, covariance=S, **physics)
    found = problem.solve([0.0, 0.5], rtol=1e-10)
    end = naive.flow(w, 0.5, w_star, S, loss, law)
    exact = [naive.risk(at, w_star, S, loss, law) for at in (w, end)]
    np.testing.assert_allclose(found["risk"], exact, rtol=2e-7)
    np.testing.assert_allclose(found["Q"][1], end @ S @ end / 4, rtol=2e-7)
    np.testing.assert_allclose(found["R"][1], end @ S @ w_star / 4, rtol=2e-7)


@pytest.mark.parametrize("link", ["logistic", "linear", "square", "erf"])
def test_velocity_is_the_gradient_of_the_risk(link):
    """The risk falls by d |S^(1/2) grad|^2 along the flow, seen from the risk alone."""
    found = unit(link).solve([0.0, 1e-4], rtol=1e-12, atol=1e-14, observables=["Q_groups", "R_groups"])
    problem = unit(link)
    H0, H1, _, start = limit.evaluate(limit.parameters(problem, 96), found["R"].values[:1], found["Q"].values[:1])[0]
    c, Q, R, T = problem.covariance.eigenvalues, problem.Q, problem.R, problem.T
    fall = (c**2 * (H0**2 * Q + 2 * H0 * H1 * R + H1**2 * T)).sum()
    assert (start - found["risk"].values[1]) / 1e-4 == pytest.approx(fall, rel=1e-3)


@pytest.mark.parametrize("link", ["logistic", "probit", "sign"])
def test_the_logistic_loss_by_name_is_that_of_its_text(link):
    options = {"loss": "logistic", "learning_rate": 1.0}
    named = unit(link, **options).solve(TIMES)
    text = unit(link, **options | {"loss": "log(1 + exp(-y*u))"}).solve(TIMES)
    np.testing.assert_allclose(named["risk"], text["risk"], rtol=1e-12)
    np.testing.assert_allclose(named["Q"], text["Q"], rtol=1e-10)


def test_a_perfect_student_does_not_move():
    for link in ("linear", "square", "logistic", "erf"):
        start = {"Q": SHARES, "R": SHARES, "T": SHARES}
        found = unit(link, **start).solve([0.0, 50.0])
        np.testing.assert_allclose(found["Q"], SHARES @ LAW.groups[0], rtol=1e-9)
        np.testing.assert_allclose(found["overlap"], 1.0, rtol=1e-9)


@pytest.mark.parametrize("link", ["linear", "square", "logistic", "tanh"])
def test_the_arrow_is_the_jacobian(link):
    problem = unit(link, learning_rate=0.1, weight_decay=0.2)
    params, state, work = limit.parameters(problem, 24), limit.start(problem), np.zeros(equations.WORK)
    made = limit.arrow(equations.jacobian, 3, 2)
    data = np.zeros(made.data_size)
    equations.jacobian(0.0, state, data, params, work)
    c, D, E, _, U, _ = equations.arrow.parts.py_func(data)
    J = np.kron(np.diag(c), D) + np.kron(np.eye(3), E) + U.reshape(6, 2) @ np.kron(c, np.eye(2))
    for i in range(6):
        up, down = (state + sign * 1e-6 * np.eye(6)[i] for sign in (1, -1))
        dy = np.zeros((2, 6))
        equations.rhs(0.0, up, dy[0], params, work)
        equations.rhs(0.0, down, dy[1], params, work)
        np.testing.assert_allclose((dy[0] - dy[1]) / 2e-6, J[:, i], rtol=1e-5, atol=1e-6)


MODES = np.arange(1, 1001.0)


@pytest.mark.parametrize(
    ("link", "risk"),
    [
        ("erf", [0.09287472438563435, 0.00335265221053338, 0.00010580364133475073]),
        ("square", [0.3191596251457456, 0.006286235784869421, 0.00016658570975147668]),
        ("linear", [0.14896041236059784, 0.00441483048865543, 0.00013184630322465862]),
    ],
)
def test_power_law_with_every_mode(link, risk):
    """Values of an independent solver in NumPy, DOP853 at rtol 1e-11 on all 1,000 modes."""
    T = MODES**-0.5 / (MODES**-2.5).sum()
    law = fl.Spectrum(MODES**-2, np.full(1000, 1e-3))
    found = fl.SingleUnit(link, Q=0.25 * T, R=0.11 * T, T=T, covariance=law).solve([1.0, 1e2, 1e4])
    np.testing.assert_allclose(found["risk"], risk, rtol=1e-7)


def power_law(link="linear", groups=100, **physics):
    law = fl.Spectrum.power_law(2.0, 10**6, groups=groups)
    T = law.shares(0.25)
    T = T / (T @ law.groups[0])
    return fl.SingleUnit(link, Q=0.25 * T, R=0.11 * T, T=T, covariance=law, **physics)


@pytest.mark.parametrize(("link", "late"), [("linear", 1e-4), ("square", 3e-3), ("erf", 3e-3)])
def test_a_power_law_of_the_risk_in_few_steps(link, late):
    """Modes l^-(1+a), targets l^-b: the risk falls as t^-((a + b)/(1 + a)), here 3/4."""
    found = power_law(link).solve([1e4, 1e5, 1e6], rtol=1e-8)
    np.testing.assert_allclose(np.diff(np.log10(found["risk"])), -0.75, atol=late)
    report = results.provenance(found)
    assert report["method"] == "radau"
    assert report["steps"] < 150


def test_compressed_groups_agree_with_finer_ones():
    coarse, fine = (power_law("linear", groups).solve([1.0, 1e3, 1e6], rtol=1e-10, atol=1e-14) for groups in (100, 250))
    np.testing.assert_allclose(coarse["risk"], fine["risk"], rtol=1e-4)
    assert np.abs(coarse["risk"].values / fine["risk"].values - 1).max() > 1e-12


def test_explicit_and_implicit_methods_agree():
    problem = unit("logistic", learning_rate=1.0)
    radau, dop = (problem.solve(TIMES, method=method, rtol=1e-10) for method in ("radau", "dop853"))
    np.testing.assert_allclose(radau["risk"], dop["risk"], rtol=1e-8)


def test_the_noise_is_the_mean_square_of_the_derivative():
    problem, rng = unit("logistic", learning_rate=1.0), np.random.default_rng(0)
    c = problem.covariance.eigenvalues
    R, Q, T = c @ problem.R, c @ problem.Q, problem.teacher_variance
    lam, star = rng.multivariate_normal([0, 0], [[Q, R], [R, T]], 400_000).T
    y = np.where(rng.random(star.size) < sigmoid(star), 1.0, -1.0)
    psi = -y * sigmoid(-y * lam)
    found = limit.evaluate(limit.parameters(problem, 48), np.array([R]), np.array([Q]))[0]
    samples = {
        equations.NOISE: psi**2,
        equations.RISK: np.log1p(np.exp(-y * lam)),
        equations.CURVATURE: sigmoid(lam) * sigmoid(-lam),
    }
    for place, values in samples.items():
        assert abs(values.mean() - found[place]) < 4 * values.std() / np.sqrt(values.size)


def test_events_and_observables():
    found = unit("logistic").solve([0.0, 5.0], events=fl.Event("overlap", 0.8, stop=True), observables=["Q_groups"])
    at = float(found["event_time"][0])
    assert float(unit("logistic").solve([at])["overlap"][0]) == pytest.approx(0.8, rel=1e-6)
    assert found["Q_groups"].dims == ("time", "group")
    assert found["eigenvalue"].values.tolist() == [1.6, 0.5, 0.25]


def test_results_are_saved_rebuilt_and_repeated(tmp_path):
    problem = unit("tanh(v) + v", loss="log(cosh(u - y))", learning_rate=0.1, noise=0.1)
    found = problem.solve([1.0, 2.0], observables=["R_groups"])
    fl.save(found, tmp_path / "one.nc")
    again = fl.load_problem(tmp_path / "one.nc")
    assert again == problem
    np.testing.assert_array_equal(again.solve([1.0, 2.0])["risk"], found["risk"])


def test_a_student_of_sgd_stays_perfect():
    """Overlaps beyond R^2 = Q T by round-off have no negative noise, which drove phase retrieval away after t = 200."""
    problem = fl.SingleUnit(
        "square", Q=0.3, R=0.05, covariance=fl.Spectrum([2.0, 1.0, 0.25], [0.25, 0.35, 0.4]), learning_rate=0.05
    )
    for method in ("auto", "dop853"):
        found = problem.solve([10.0, 200.0, 1000.0], method=method)
        assert (found["risk"].values[1:] < 1e-12).all()
        assert (found["overlap"].values[1:] > 1 - 1e-9).all()


def test_solutions_are_continued_repeated_listed_and_pickled():
    problem = unit("logistic", learning_rate=0.5)
    whole = problem.solve([0.5, 2.0, 8.0])
    longer = fl.extend(problem.solve([0.5, 2.0]), [8.0])
    np.testing.assert_allclose(longer["risk"], whole["risk"], rtol=1e-7)
    assert fl.rerun(whole).equals(whole)
    assert pickle.loads(pickle.dumps(problem)) == problem
    many = fl.solve_many([problem, unit("square")], [0.5, 2.0, 8.0])
    np.testing.assert_array_equal(many["risk"][0], whole["risk"])
    np.testing.assert_array_equal(many["risk"][1], unit("square").solve([0.5, 2.0, 8.0])["risk"])
    stopped = problem.solve([0.5, 2.0, 8.0], events=fl.Event("risk", float(whole["risk"][1]), stop=True))
    assert stopped["event_time"].values == pytest.approx([2.0], rel=1e-5)


def risk_at_rate(rate):
    return unit("logistic", learning_rate=rate).solve([2.0])["risk"].values[0]


def test_a_study_of_learning_rates():
    table = fl.study(risk_at_rate, {"rate": [0.1, 0.5, 1.0]}, progress=False)
    np.testing.assert_array_equal(table["risk_at_rate"], [risk_at_rate(rate) for rate in (0.1, 0.5, 1.0)])
