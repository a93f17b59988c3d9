"""Inputs with a covariance: overlaps by group against references, weights and standard normal inputs."""

import numpy as np
import pytest
from covariance_values import GROUPS, SHARES, Q, R, T, risk_of

import flowlimits as fl
from flowlimits.spectrum.groups import CovarianceGroups

TIMES = [1.0, 4.0, 16.0, 64.0]
TIGHT = {"rtol": 1e-11, "atol": 1e-13}
#: Computed in 12 digits by a program that shares nothing with this one.
REFERENCES = [
    ({"activation": "erf", "learning_rate": 1.0, "noise": 0.05}, [0.054742365180, 0.015709379846, 0.006079892776, 0.004070028562]),
    ({"activation": "square", "second_layer_rate": 0.5}, [0.138531373435, 0.002755931016, 7.0756e-8]),
    ({"activation": "relu"}, [0.072033546228, 0.023536449345, 0.005646576153]),
    ({"activation": "square", "learning_rate": 0.1, "noise": 0.05}, [0.196489113940, 0.007797231984, 0.003142652762]),
]  # fmt: skip


@pytest.mark.parametrize(("physics", "risks"), REFERENCES)
def test_three_groups_follow_the_reference(physics, risks):
    problem = fl.Committee(Q, R, T, covariance=GROUPS, **physics)
    found = problem.solve(TIMES[: len(risks)], **TIGHT)["risk"]
    np.testing.assert_allclose(found, risks, rtol=2e-9, atol=1e-12)


def test_twenty_groups_follow_the_reference():
    values = 1 / np.arange(1, 21)
    groups = CovarianceGroups(values / values.mean(), np.full(20, 0.05))
    overlaps = ([[0.6, 0.1], [0.1, 0.5]], [[0.2, 0.1], [0.05, 0.25]], [[1.0, 0.2], [0.2, 1.0]])
    problem = fl.Committee(*overlaps, covariance=groups, activation="erf", learning_rate=1.0, noise=0.05)
    right = [0.044182998609, 0.015786473783, 0.005710718164, 0.003672035055]
    np.testing.assert_allclose(problem.solve(TIMES, **TIGHT)["risk"], right, rtol=1e-9)


def test_a_power_law_of_a_thousand_modes_follows_the_reference():
    l = np.arange(1, 1001.0)
    T, eye = np.full(1000, 1 / (l**-1.5).sum())[:, None, None], np.eye(2)
    overlaps = (0.25 * T * eye, T * (0.1 * eye + 0.01), T * eye)
    problem = fl.Committee(*overlaps, activation="erf", covariance=fl.Spectrum(l**-1.5, np.full(1000, 1e-3)))
    right = [0.06307749735385579, 0.014140108878945543, 0.0015270388583809992]
    np.testing.assert_allclose(problem.solve([1.0, 100.0, 10000.0], rtol=1e-9, atol=1e-13)["risk"], right, rtol=1e-7)


def descend(W, W_star, S, activation, time, steps):
    """Follow dW/dt = -p d grad risk by differences of the risk and the classical Runge-Kutta method."""
    p, d = W.shape

    def velocity(V):
        change = np.empty_like(V)
        for at in np.ndindex(V.shape):
            high, low = V.copy(), V.copy()
            high[at] += 1e-5
            low[at] -= 1e-5
            change[at] = -p * d * (risk_of(high, W_star, S, activation) - risk_of(low, W_star, S, activation)) / 2e-5
        return change

    h = time / steps
    for _ in range(steps):
        a = velocity(W)
        b = velocity(W + h / 2 * a)
        c = velocity(W + h / 2 * b)
        W = W + h / 6 * (a + 2 * b + 2 * c + velocity(W + h * c))
    return W


@pytest.mark.parametrize("activation", ["erf", "relu", "square"])
def test_groups_are_the_flow_of_the_weights_under_a_dense_covariance(activation):
    rng = np.random.default_rng(1)
    W, W_star = rng.standard_normal((2, 2, 5))
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    S = basis @ np.diag([1.5, 1.5, 0.6, 0.6, 0.2]) @ basis.T
    problem = fl.Committee.from_weights(W, W_star, covariance=S, activation=activation)
    assert problem.covariance.count == 3
    result = problem.solve([0.0, 0.4], observables=["Q_groups"], **TIGHT)
    end = descend(W, W_star, S, activation, 0.4, 60)
    assert float(result["risk"][0]) == pytest.approx(risk_of(W, W_star, S, activation), rel=1e-12)
    assert float(result["risk"][1]) == pytest.approx(risk_of(end, W_star, S, activation), rel=1e-7)
    np.testing.assert_allclose(result["R"][1], end @ S @ W_star.T / 5, atol=1e-7)
    np.testing.assert_allclose(result["Q_groups"][1].sum("group"), end @ end.T / 5, atol=1e-7)
    np.testing.assert_array_equal(result["group"], problem.covariance.eigenvalues)


def test_standard_normal_inputs_keep_their_bits():
    plain = fl.Committee(2 * Q[0], 2 * R[0], 2 * T[0], activation="erf", learning_rate=1.0, noise=0.05)
    for given in (CovarianceGroups([1.0], [1.0]), fl.Spectrum([1.0], [1.0]), np.ones(4), np.eye(4)):
        made = fl.Committee(
            2 * Q[:1], 2 * R[:1], 2 * T[:1], covariance=given, activation="erf", learning_rate=1.0, noise=0.05
        )
        assert made == plain
    right = [0.059169354354, 0.012245618508, 0.005677909290, 0.004452871247]
    np.testing.assert_allclose(plain.solve(TIMES, **TIGHT)["risk"], right, rtol=1e-9)


@pytest.mark.parametrize(
    "physics", [{"activation": "erf", "learning_rate": 0.5}, {"activation": "hermite3"}, {"activation": "centred"}]
)
def test_groups_of_one_eigenvalue_are_one_group(physics):
    further = {"weight_decay": 0.1, "second_layer_rate": 0.2}
    groups = CovarianceGroups([1.0, 1.0, 1.0], SHARES)
    many = fl.Committee(Q, R, T, covariance=groups, **physics, **further).solve([0.5, 3.0], **TIGHT)
    one = fl.Committee(Q.sum(0), R.sum(0), T.sum(0), **physics, **further).solve([0.5, 3.0], **TIGHT)
    for name in ("risk", "Q", "R", "second_layer"):
        np.testing.assert_allclose(many[name], one[name], rtol=1e-8, atol=1e-11)


def test_the_sphere_keeps_the_plain_norms():
    problem = fl.Committee(Q, R, T, covariance=GROUPS, activation="erf", learning_rate=0.5, spherical=True)
    found = problem.solve([0.0, 2.0, 8.0], observables=["Q_groups"])["Q_groups"].sum("group")
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), [[0.6, 0.5]] * 3, rtol=1e-7)


def test_batches_events_schedules_and_files_know_groups(tmp_path):
    problem = fl.Committee(Q, R, T, covariance=GROUPS, activation="erf", learning_rate=1.0, noise=0.05)
    result = problem.solve([1.0, 4.0], events=[fl.Event("risk", 0.03)])
    assert 1 < float(result["event_time"][0]) < 4
    assert result.attrs["effective_dimension_per_dimension"] == pytest.approx(GROUPS.effective_dimension(1.0))
    fl.save(result, tmp_path / "groups.nc")
    assert fl.load_problem(tmp_path / "groups.nc") == problem
    many = fl.solve_many([problem, fl.Committee(Q, R, T, covariance=GROUPS)], [1.0, 4.0], progress=False)
    np.testing.assert_array_equal(many["risk"].values[0], problem.solve([1.0, 4.0])["risk"])
    constant = fl.Committee(
        Q, R, T, covariance=GROUPS, activation="erf", learning_rate=fl.Schedule([0.0, 2.0], [1.0, 1.0]), noise=0.05
    )
    np.testing.assert_allclose(constant.solve([4.0], **TIGHT)["risk"], problem.solve([4.0], **TIGHT)["risk"], rtol=1e-9)
    weights = fl.Committee.random(
        2, 2, dimension=60, rng=0, covariance=fl.Spectrum([0.5, 1.5], [0.5, 0.5]), activation="erf"
    )
    assert weights.covariance.count == 2
    assert np.isfinite(fl.committee.specialisation(weights.solve([1.0]))["cosine"]).all()


def test_what_no_inputs_have_is_refused():
    bad = Q.copy()
    bad[1] = [[0.1, 0.3], [0.3, 0.1]]
    with pytest.raises(
        ValueError, match=r"^Overlaps of group 1 \(eigenvalue 0\.5\) are not feasible: .* has the eigenvalue -0\.2"
    ):
        fl.Committee(bad, R, T, covariance=GROUPS)
    with pytest.raises(ValueError, match="must be symmetric, but covariance"):
        fl.Committee.from_weights(np.ones((1, 2)), np.eye(2), covariance=[[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match="must be positive semidefinite, but has the eigenvalue -1"):
        fl.Committee.from_weights(np.ones((1, 2)), np.eye(2), covariance=[[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"`covariance` must have shape \(2,\), as `W` has 2 columns"):
        fl.Committee.from_weights(np.ones((1, 2)), np.eye(2), covariance=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="one matrix for each of the 3 groups"):
        fl.Committee(Q[:2], R, T, covariance=GROUPS)


def test_many_problems_share_a_covariance():
    law, rates = fl.Spectrum([1.6, 0.5, 0.25], SHARES), np.array([0.2, 0.5])
    shared = {"activation": "erf", "covariance": law}
    by_group = {"Q": Q, "R": R, "T": T} | shared
    many = fl.solve_many(fl.Committee, by_group | {"learning_rate": rates}, [1.0, 4.0], progress=False)
    plain = {
        "Q": np.stack([Q.sum(0), 2 * Q.sum(0)]),
        "R": R.sum(0),
        "T": T.sum(0),
        "unexplained": 0.1 * np.eye(2),
    } | shared
    other = fl.solve_many(fl.Committee, plain, [1.0, 4.0], progress=False)
    for i in range(2):
        alone = fl.Committee(**by_group, learning_rate=rates[i]).solve([1.0, 4.0])
        np.testing.assert_array_equal(many["risk"][i], alone["risk"])
        alone = fl.Committee(**plain | {"Q": (i + 1) * Q.sum(0)}).solve([1.0, 4.0])
        np.testing.assert_array_equal(other["risk"][i], alone["risk"])
    with pytest.raises(ValueError, match="must hold one value for each problem in at least one array"):
        fl.solve_many(fl.Committee, by_group, [1.0])
    with pytest.raises(ValueError, match=r"^Problem 1: Argument `noise` must not be negative"):
        fl.solve_many(fl.Committee, by_group | {"noise": [0.0, -1.0]}, [1.0])
