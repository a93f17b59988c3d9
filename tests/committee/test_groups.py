"""Overlaps by group of a covariance: against weights, finite differences, an independent solver, power laws."""

import numpy as np
import pytest

import flowlimits as fl
from flowlimits import ode
from flowlimits.committee import limit
from flowlimits.committee.equations import groups, system
from flowlimits.ode.implicit import arrow
from flowlimits.spectrum.covariance import decompose
from flowlimits.spectrum.groups import CovarianceGroups

SHARES = np.array([0.5, 0.3, 0.2])
COVARIANCE = CovarianceGroups([1.6, 0.5, 0.25], SHARES)
Q = SHARES[:, None, None] * [[0.6, 0.1], [0.1, 0.5]]
R = np.array([[[0.1, 0.05], [0.02, 0.12]], [[0.03, -0.02], [0.01, 0.05]], [[0, 0.02], [0.02, 0.01]]])
T = SHARES[:, None, None] * [[1, 0.2], [0.2, 1]]


class Flow:
    """The equations of groups, integrated."""

    def __init__(self, Q, R, T, covariance, rate=0.0, **physics):
        self.covariance = covariance
        self.fields = fl.Committee(*(covariance.fields(one) for one in (Q, R, T)), learning_rate=rate, **physics)
        self.params, self.work = system.group_parameters(self.fields, covariance, T, rate)
        trained = self.fields.second_layer_rate > 0
        self.start = system.pack(Q, R, self.fields.second_layer if trained else None)
        self.structure = system.group_structure(self.fields, covariance.count)

    def run(self, times, **options):
        options = {"rtol": 1e-10, "atol": 1e-13, "structure": self.structure, "work_size": self.work} | options
        _, states, self.report = ode.integrate(
            ode.right_hand_side(groups.rhs), self.start, times, self.params, **options
        )
        p, k = self.fields.R.shape
        end = self.covariance.count * (p * (p + 1) // 2 + p * k)
        rows, a = states[:, :end].reshape(len(states), self.covariance.count, -1), states[:, end:]
        self.Q, self.R = system.unpack_overlaps(self.fields, rows)
        rows = []
        for q, r, layer in zip(self.Q, self.R, a):
            layer = layer if layer.size else None
            rows.append(system.pack(self.covariance.fields(q), self.covariance.fields(r), layer))
        return limit.risks(self.fields, system.choose(self.fields), np.array(rows))

    def velocity(self, y):
        dy = np.empty_like(y)
        groups.rhs(0.0, y, dy, self.params, np.zeros(self.work))
        return dy


@pytest.mark.parametrize("method", ["dop853", "radau"])
@pytest.mark.parametrize(
    ("physics", "times", "risk"),
    [
        (
            {"activation": "erf", "rate": 1.0, "noise": 0.05},
            [1, 4, 16, 64],
            [0.054742365180, 0.015709379846, 0.006079892776, 0.004070028562],
        ),
        ({"activation": "square", "second_layer_rate": 0.5}, [1, 4], [0.138531373435, 0.002755931016]),
        ({"activation": "relu"}, [1, 4, 16], [0.072033546228, 0.023536449345, 0.005646576153]),
        (
            {"activation": "square", "rate": 0.1, "noise": 0.05},
            [1, 4, 16],
            [0.196489113940, 0.007797231984, 0.003142652762],
        ),
    ],
)
def test_values_of_an_independent_solver(physics, times, risk, method):
    found = Flow(Q, R, T, COVARIANCE, **physics).run(times, method=method)
    np.testing.assert_allclose(found, risk, atol=2e-12)


@pytest.mark.parametrize("activation", ["erf", "relu", "square", "hermite3", "centred", "linear"])
def test_one_group_is_the_committee(activation):
    physics = {"activation": activation, "noise": 0.05, "weight_decay": 0.1, "second_layer_rate": 0.3}
    physics |= {"rate": 0.05}
    one = CovarianceGroups.isotropic()
    found = Flow(*(part.sum(0)[None] for part in (Q, R, T)), one, **physics).run([0.5, 2.0])
    physics["learning_rate"] = physics.pop("rate")
    exact = fl.Committee(*(part.sum(0) for part in (Q, R, T)), **physics).solve([0.5, 2.0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found, exact["risk"], rtol=1e-9)


def test_splitting_a_group_changes_nothing():
    halves = CovarianceGroups(np.repeat(COVARIANCE.eigenvalues, 2), np.repeat(SHARES, 2) / 2)
    parts = [np.repeat(one, 2, axis=0) / 2 for one in (Q, R, T)]
    physics = {"activation": "erf", "rate": 1.0, "spherical": True}
    whole, split = Flow(Q, R, T, COVARIANCE, **physics), Flow(*parts, halves, **physics)
    np.testing.assert_allclose(whole.run([1.0, 5.0]), split.run([1.0, 5.0]), rtol=1e-9)


def test_the_sphere_keeps_the_plain_norms():
    flow = Flow(Q, R, T, COVARIANCE, rate=1.0, noise=0.1, activation="erf", spherical=True)
    flow.run([1.0, 5.0])
    plain = flow.Q.sum(1)
    np.testing.assert_allclose(plain[:, [0, 1], [0, 1]], [[0.6, 0.5]] * 2, rtol=1e-9)


def erf_risk(W, W_star, S):
    """The risk of erf units by its closed form."""
    d, p, k = len(S), len(W), len(W_star)
    both = np.vstack([W, W_star])
    C = both @ S @ both.T / d
    ends = 1 + np.diag(C)
    w = np.concatenate([np.full(p, 1 / p), np.full(k, -1 / k)])
    return w @ np.arcsin(C / np.sqrt(np.outer(ends, ends))) @ w / np.pi


def test_the_flow_of_weights_with_a_dense_covariance():
    rng = np.random.default_rng(1)
    d, p = 5, 2
    A = rng.standard_normal((d, d))
    S, W, W_star = A @ A.T / d, 0.6 * rng.standard_normal((p, d)), rng.standard_normal((2, d))
    found = decompose(S, d)
    C = found.overlaps(np.vstack([W, W_star]))
    flow = Flow(C[:, :p, :p], C[:, :p, p:], C[:, p:, p:], found.groups, activation="erf")

    def velocity(W):
        gradient, step = np.empty_like(W), 1e-5
        for at in np.ndindex(W.shape):
            shift = np.zeros_like(W)
            shift[at] = step
            gradient[at] = (erf_risk(W + shift, W_star, S) - erf_risk(W - shift, W_star, S)) / (2 * step)
        return -p * d * gradient

    h = 0.025
    for _ in range(40):
        k1 = velocity(W)
        k2 = velocity(W + h / 2 * k1)
        k3 = velocity(W + h / 2 * k2)
        W = W + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(W + h * k3))
    assert flow.run([1.0])[0] == pytest.approx(erf_risk(W, W_star, S), rel=1e-6)
    np.testing.assert_allclose(flow.Q[0], found.overlaps(W), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ["erf", "relu", "square", "hermite3"])
@pytest.mark.parametrize(
    "physics",
    [{}, {"weight_decay": 0.2, "second_layer_rate": 0.5, "noise": 0.1, "rate": 0.3}, {"spherical": True, "rate": 0.3}],
)
def test_the_arrow_is_the_jacobian(activation, physics):
    flow = Flow(Q, R, T, COVARIANCE, activation=activation, **physics)
    data = np.zeros(flow.structure.data_size)
    groups.jacobian(0.0, flow.start, data, flow.params, np.zeros(flow.work))
    c, D, E, P, U, U_border = arrow.parts.py_func(data)
    L, b, rank = U.shape
    e, s = len(U_border), P.shape[1]
    J, left = np.zeros((L * b + e, L * b + e)), np.vstack([U.reshape(L * b, rank), U_border])
    right = np.zeros((L * b + e, rank))
    for g in range(L):
        rows = slice(g * b, (g + 1) * b)
        J[rows, rows] = c[g] * D + E
        right[rows, :b], right[rows, b : b + s] = c[g] * np.eye(b), P
    right[L * b :, b + s :] = np.eye(e)
    J += left @ right.T
    for i in range(len(J)):
        shift = 1e-6 * np.eye(len(J))[i]
        column = (flow.velocity(flow.start + shift) - flow.velocity(flow.start - shift)) / 2e-6
        np.testing.assert_allclose(J[:, i], column, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize(("width", "steps"), [(1, 80), (2, 130)])
def test_a_power_law_to_late_times_in_few_steps(width, steps):
    law = fl.Spectrum.power_law(2.0, 10**6, groups=100)
    shares = law.shares(0.25)[:, None, None]
    shares = shares / (law.groups[0] @ shares[:, 0, 0])
    eye = np.eye(width)
    flow = Flow(
        0.25 * shares * eye, shares * (0.1 * eye + 0.01), shares * eye, CovarianceGroups(*law.groups), activation="erf"
    )
    risk = flow.run([1e4, 1e5, 1e6], method="radau", rtol=1e-8)
    np.testing.assert_allclose(np.diff(np.log10(risk)), -0.75, atol=2e-3)
    assert flow.report.steps < steps
