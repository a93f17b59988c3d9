"""Inputs with a covariance: groups against plain NumPy, against one group cut in two, and against weights."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlimits as fl
from tests.support.naive_mean_field import erf_moments, relu_moments

C, SHARES = np.array([1.6, 0.5]), np.array([0.4, 0.6])
LAW = fl.Spectrum(C, SHARES)
#: One teacher with a part in each group, hence two directions.
T = np.array([[[0.5]], [[0.7]]])
OMEGA, A = np.array([0.3, 0.5, 0.2]), np.array([1.0, -0.5, 2.0])
PROJECTIONS = np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, 0.1]])
NORMS = np.array([[0.6, 0.8], [0.5, 0.9], [0.7, 0.4]])
START = fl.Ensemble(OMEGA, A, PROJECTIONS, NORMS)
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def plain(moments, times, decay=0.1, rate=0.7):
    """Return the risk, from the unscaled equations of three particles and one teacher."""
    U = np.sqrt(T[:, 0, 0])

    def velocity(_, y):
        u, s, a = y[:6].reshape(3, 2), y[6:12].reshape(3, 2), y[12:]
        q, x = (u**2 + s**2) @ C, (C * u) @ u.T
        own = (C * U**2).sum()
        K, K_a, K_b = moments(q[:, None], q[None], x)
        t, t_a, t_b = moments(q, own, (C * u) @ U)
        mass = OMEGA * a
        alpha = K_a @ mass - t_a
        du = -a[:, None] * C * (alpha[:, None] * u + (K_b * mass) @ u - np.outer(t_b, U)) - decay * u
        ds = -a[:, None] * C * alpha[:, None] * s - decay * s
        risk = 0.5 * (mass @ K @ mass - 2 * mass @ t + moments(own, own, own)[0])
        return np.concatenate([du.ravel(), ds.ravel(), -rate * (K @ mass - t)]), risk

    y = np.concatenate([PROJECTIONS.ravel(), NORMS.ravel(), A])
    found = solve_ivp(lambda t, y: velocity(t, y)[0], (0, times[-1]), y, "DOP853", t_eval=times, rtol=1e-12, atol=1e-14)
    return [velocity(0, y)[1] for y in found.y.T], found.y[:, -1]


@pytest.mark.parametrize(("activation", "moments"), [("erf", erf_moments), ("relu", relu_moments)])
def test_groups_are_the_plain_equations(activation, moments):
    problem = fl.MeanField(T, START, activation=activation, covariance=LAW, second_layer_rate=0.7, weight_decay=0.1)
    times = [0.0, 1.0, 5.0]
    risk, end = plain(moments, times)
    found = problem.solve(times, observables=["projections", "group_norms", "second_layer", "norms"], **TIGHT)
    assert found["risk"].values == pytest.approx(risk, abs=1e-11)
    assert found["projections"].values[-1].ravel() == pytest.approx(end[:6], abs=1e-9)
    assert found["group_norms"].values[-1].ravel() == pytest.approx(end[6:12], abs=1e-9)
    assert found["second_layer"].values[-1] == pytest.approx(end[12:], abs=1e-9)
    assert found["norms"].values[-1] == pytest.approx(np.sqrt((end[6:12].reshape(3, 2) ** 2).sum(1)), abs=1e-9)


@pytest.mark.parametrize("activation", ["erf", "relu", "centred", [0.1, 1.0, 0.3, 0.2]])
def test_all_forms_serve_groups(activation):
    problem = fl.MeanField(T, START, activation=activation, covariance=LAW, second_layer_rate=0.7, spherical=True)
    forms = ["pairs", "function"] + (["low rank"] if activation not in ("erf", "relu") else [])
    found = [problem.solve([0.0, 1.0], form=form, **TIGHT)["risk"].values for form in forms]
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=2e-3 if activation == "relu" else 1e-10)


def test_one_group_cut_in_two_is_one_group():
    groups = fl.Spectrum([1.0, 1.0 + 1e-13], [0.25, 0.75])
    physics = {"activation": "erf", "second_layer_rate": 1.0, "weight_decay": 0.05, "temperature": 0.1}
    law = fl.Ensemble.gaussian("infinity", second_layer=([1.0, -1.0], [0.6, 0.4]))
    whole = fl.MeanField([[1.0]], law, **physics).solve([0.0, 1.0, 6.0], **TIGHT)
    cut = fl.MeanField([[1.0]], law, covariance=groups, **physics).solve([0.0, 1.0, 6.0], **TIGHT)
    assert cut["risk"].values == pytest.approx(whole["risk"].values, abs=1e-10)
    single = fl.MeanField([[1.0]], law, covariance=fl.Spectrum([1.0], [1.0]), **physics).solve([1.0], **TIGHT)
    assert single["risk"].values[0] == pytest.approx(whole["risk"].values[1], abs=1e-12)


def test_temperature_lengthens_each_group_by_its_share():
    start = fl.Ensemble(None, 0.0, [[0.1, 0.2]], [[0.6, 0.8]])
    problem = fl.MeanField(T, start, covariance=LAW, temperature=0.3, weight_decay=0.1)
    found = problem.solve([2.0], observables=["group_norms"], **TIGHT)["group_norms"].values[0, 0]
    level = 3.0 * SHARES
    assert found**2 == pytest.approx(level + (np.array([0.6, 0.8]) ** 2 - level) * np.exp(-0.4), rel=1e-9)


def test_the_sphere_keeps_the_plain_norm():
    problem = fl.MeanField(T, START, covariance=LAW, spherical=True, second_layer_rate=1.0)
    found = problem.solve([0.0, 3.0], observables=["projections", "norms"])
    sizes = (found["projections"].values ** 2).sum(2) + found["norms"].values ** 2
    assert sizes[1] == pytest.approx(sizes[0], abs=1e-7)


def test_runs_are_the_flow_of_weights():
    """dW/dt = -p d grad risk at d = 10, with gradients by differences of the risk in weight space."""
    d, p = 10, 3
    problem = fl.MeanField(T, START, covariance=LAW, second_layer_rate=0.5, weight_decay=0.1)
    W = np.random.default_rng(0).standard_normal((p, d))
    S = np.repeat(C, [4, 6])
    teacher = np.zeros(d)
    teacher[[0, 4]] = np.sqrt(d * T[:, 0, 0])

    def risk(W, a):
        fields = np.vstack([W, teacher]) / np.sqrt(d)
        cov = (fields * S) @ fields.T
        q = np.diag(cov)
        K = 2 / np.pi * np.arcsin(cov / np.sqrt(np.outer(1 + q, 1 + q)))
        w = np.append(a / p, -1.0)
        return 0.5 * w @ K @ w

    def velocity(_, y):
        out = np.zeros(y.size)
        for i in range(y.size):
            step = 1e-5 * np.eye(y.size)[i]
            up, down = (risk(z[: p * d].reshape(p, d), z[p * d :]) for z in (y + step, y - step))
            out[i] = -p * (up - down) / 2e-5 * (d if i < p * d else 0.5)
        out[: p * d] -= 0.1 * y[: p * d]
        return out

    found = solve_ivp(velocity, (0, 1.0), np.append(W.ravel(), A), "RK45", t_eval=[0.0, 1.0], rtol=1e-7, atol=1e-9)
    expected = [risk(y[: p * d].reshape(p, d), y[p * d :]) for y in found.y.T]
    ours = problem.simulate([0.0, 1.0], student_width=p, dimension=d, weights=W, second_layer=A, **TIGHT)
    assert ours["risk"].values[0] == pytest.approx(expected, abs=1e-7)


def test_runs_tend_to_the_limit():
    problem = fl.MeanField(T, START, covariance=LAW, second_layer_rate=0.5)
    limit = problem.solve([0.0, 1.0], observables=["components"], degree=2)
    runs = problem.simulate(
        [0.0, 1.0],
        student_width=300,
        dimension=100,
        runs=4,
        rng=0,
        rtol=1e-4,
        observables=["components"],
        degree=2,
        progress=False,
    )
    assert runs["risk"].values.mean(0) == pytest.approx(limit["risk"].values, abs=0.03)
    assert runs["components"].values.mean(0) == pytest.approx(limit["components"].values, abs=0.1)


@pytest.mark.parametrize(("physics", "sentence"), [
    ({"start": fl.Ensemble.gaussian(9)},
     "Argument `covariance` needs infinite dimension, where remainders of different units are orthogonal, but `start` has the dimension 9."),
    ({"teacher": None, "target": lambda x: x[:, 0]}, "Arguments `covariance` and `target` exclude each other: give a teacher."),
    ({"covariance": fl.Spectrum([0.0, 2.0], [0.5, 0.5])},
     "Argument `covariance` must have positive eigenvalues: weights along the others neither move nor count."),
    ({"teacher": T[:1]}, "Argument `teacher` must hold overlaps by group of the covariance, shape (2, k, k), or (k, k) for a teacher that is alike in all, "
     "but has shape (1, 1, 1)."),
    ({"start": fl.Ensemble(None, 1.0, PROJECTIONS, np.ones((3, 3)))},
     "Argument `start` must have norms for the 2 groups of the covariance, shape (P, 2), but their shape is (3, 3)."),
    ({"covariance": None, "teacher": [[1.0, 0.2], [0.2, 1.0]]},
     "Argument `start` must have norms for the 1 groups of the covariance, shape (P, 1), but their shape is (3, 2)."),
])  # fmt: skip
def test_each_fault_has_its_sentence(physics, sentence):
    with pytest.raises(ValueError) as caught:
        fl.MeanField(**({"teacher": T, "start": START, "covariance": LAW} | physics))
    assert str(caught.value) == sentence


def test_each_group_needs_room_for_its_remainder():
    problem = fl.MeanField(T, START, covariance=LAW)
    with pytest.raises(
        ValueError,
        match="must leave each group of the covariance more directions than the teacher has there, but is 3: group 0 has 1",
    ):
        problem.simulate([1.0], student_width=2, dimension=3)
    with pytest.raises(ValueError, match='must not hold "group_norms" without a covariance'):
        fl.MeanField([[1.0]], fl.Ensemble.gaussian(5)).solve([1.0], observables=["group_norms"])


def test_results_with_groups_are_repeated_bit_for_bit(tmp_path):
    from flowlimits.data import rerun

    problem = fl.MeanField(T, START, covariance=LAW)
    fl.save(problem.solve([0.0, 1.0]), tmp_path / "one.nc")
    found = fl.load(tmp_path / "one.nc")
    assert fl.load_problem(found) == problem
    assert rerun.differing(found, rerun.rerun(found)) == []
