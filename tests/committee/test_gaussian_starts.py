"""Deviations that random starts bring."""

import numpy as np
import pytest
from fluctuation_problems import BY_GROUP, PLAIN, problem, ratios, track

import flowlimits as fl


def drawn(one, d, draws, rng):
    """Return overlaps by group (draws, D) of Gaussian students about their part along the teacher, written out for real weights."""
    Q, R, T = (x if one.covariance is not None else x[None] for x in (one.Q, one.R, one.T))
    shares = np.ones(1) if one.covariance is None else one.covariance.weights
    i, j = np.triu_indices(len(Q[0]))
    teachers, students, norms = [], [], np.zeros((draws, len(i[i == j])))
    for share, q, r, t in zip(shares, Q, R, T):
        count = round(share * d)
        frame = np.linalg.qr(rng.normal(size=(count, len(t))))[0].T * np.sqrt(d)
        along = r @ np.linalg.inv(t)
        teacher = np.linalg.cholesky(t) @ frame
        spread = np.linalg.cholesky((q - along @ r.T) / share)
        students.append(along @ teacher + spread @ rng.normal(size=(draws, len(q), count)))
        teachers.append(teacher)
        norms += (students[-1] ** 2).sum(-1) / d
    if one.spherical:
        wanted = Q.sum(0).diagonal()
        students = [W * np.sqrt(wanted / norms)[:, :, None] for W in students]
    parts = [
        ((W @ W.swapaxes(1, 2))[:, i, j] / d, (W @ V.T).reshape(draws, -1) / d) for W, V in zip(students, teachers)
    ]
    return np.concatenate([x for pair in parts for x in pair], axis=1)


@pytest.mark.parametrize(
    ("start", "physics"), [(PLAIN, {}), (PLAIN, {"spherical": True}), (BY_GROUP, {}), (BY_GROUP, {"spherical": True})]
)
def test_gaussian_starts_have_the_predicted_covariance_and_mean(start, physics):
    one, d, draws = problem(start, learning_rate=0.0, **physics), 200, 10_000
    made = track(one)
    made.draw_starts()
    found = drawn(one, d, draws, np.random.default_rng(3)) - made.path.start
    S, m = made.begin_covariance, made.begin_mean
    size = np.sqrt(np.maximum(np.diag(S), 1e-12))
    covariance = d * np.cov(found.T) / np.outer(size, size)
    np.testing.assert_allclose(covariance, S / np.outer(size, size), atol=0.06)
    assert (np.abs(found.mean(0) - m / d) < 4.5 * size / np.sqrt(d * draws) + 1e-12).all()


def test_runs_begin_as_the_theory_of_gaussian_starts_says():
    one = problem(learning_rate=0.0, spherical=True)
    theory = one.solve([0.0], fluctuations="start")
    runs = one.simulate([0.0], dimension=100, runs=1000, rng=0, start="gaussian", progress=False)
    for name, ratio, shift, _ in ratios(theory, runs):
        assert np.abs(ratio - 1).max() < 4.5 / np.sqrt(2 * 1000) + 0.02, name
        assert np.abs(shift).max() < 4.5, name
    # Independent rows that know nothing of the teacher are a case of it.
    plain = {"Q": np.diag([0.6, 0.5]), "R": np.zeros((2, 2)), "T": PLAIN["T"]}
    first, second = (
        problem(plain, learning_rate=0.0).simulate([0.0], dimension=50, runs=500, rng=n, start=start, progress=False)
        for n, start in enumerate(("random", "gaussian"))
    )
    np.testing.assert_allclose(first["R"].std("run"), second["R"].std("run"), rtol=0.25)
    np.testing.assert_allclose(first["Q"].mean("run"), second["Q"].mean("run"), atol=0.05)


def test_the_spread_of_flows_is_that_of_their_starts_carried_by_differences():
    one, step = problem(learning_rate=0.0), 1e-4
    theory = one.solve([2.0], fluctuations="start")
    assert theory.attrs["kind"] == "limit"
    assert "increments" not in theory.attrs
    made = track(one)
    made.draw_starts()
    i, j = np.triu_indices(2)

    def end(y):
        Q = np.empty((2, 2))
        Q[i, j] = Q[j, i] = y[:3]
        there = problem({"Q": Q, "R": y[3:].reshape(2, 2), "T": PLAIN["T"]}, learning_rate=0.0)
        found = there.solve([2.0], rtol=1e-12, atol=1e-14)
        return np.concatenate([found["Q"].values[0][i, j], found["R"].values.ravel(), found["risk"].values])

    y = made.path.start
    G = np.array([(end(y + step * e) - end(y - step * e)) / (2 * step) for e in np.eye(7)]).T
    std = np.sqrt(np.diag(G @ made.begin_covariance @ G.T))
    np.testing.assert_allclose(theory["std_Q"].values[0][i, j], std[:3], rtol=5e-3)
    np.testing.assert_allclose(theory["std_R"].values.ravel(), std[3:7], rtol=5e-3)
    np.testing.assert_allclose(theory["std_risk"].values, std[7:], rtol=5e-3)
    # The mean from second differences along the roots of the covariance.
    values, vectors = np.linalg.eigh(made.begin_covariance)
    roots, here = vectors * np.sqrt(np.maximum(values, 0)), end(y)
    bias = sum(end(y + 1e-2 * r) + end(y - 1e-2 * r) - 2 * here for r in roots.T) / (2 * 1e-4)
    np.testing.assert_allclose(theory["bias_R"].values.ravel(), bias[3:7], rtol=2e-2, atol=2e-3)
    np.testing.assert_allclose(theory["bias_risk"].values, bias[7:], rtol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("physics", [{}, {"spherical": True}, {"activation": "relu"}])
def test_flows_from_four_thousand_gaussian_starts_deviate_as_predicted(physics):
    one, times = problem(learning_rate=0.0, **physics), [1.0, 5.0]
    starts = one.simulate([0.0], dimension=400, runs=4000, rng=1, start="gaussian", progress=False)
    flows = fl.solve_many(
        [
            problem({"Q": Q, "R": R, "T": PLAIN["T"]}, learning_rate=0.0, **physics)
            for Q, R in zip(starts["Q"].values[:, 0], starts["R"].values[:, 0])
        ],
        times,
        progress=False,
    )
    runs = flows.rename({"problem": "run"}).assign_attrs(dimension=400)
    for name, ratio, shift, _ in ratios(one.solve(times, fluctuations="start"), runs):
        assert np.abs(ratio - 1).max() < 0.05, (name, ratio)
        assert np.abs(shift).max() < 4.5, (name, shift)


def test_runs_of_sgd_from_gaussian_starts_agree_with_theirs():
    one = problem()
    theory = one.solve([0.5, 2.0], fluctuations="start")
    alone = one.solve([0.5, 2.0], fluctuations=True)
    assert (theory["std_R"] > 1.1 * alone["std_R"]).all()
    runs = one.simulate([0.5, 2.0], dimension=400, runs=300, rng=1, start="gaussian", progress=False)
    assert fl.compare(theory, runs).passed
    assert fl.compare(alone, runs).verdict != "agrees"
