"""Inputs with a covariance: the dense flow by other means, references, limits, late times, gradient descent."""

import json
from pathlib import Path

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.spectrum.groups import CovarianceGroups

REFERENCES = json.loads((Path(__file__).parents[2] / "support" / "quadratic_covariance.json").read_text())


def dense(W, W_star, S, times, square, decay=0.0, steps=4000):
    """Risk and matrix Z by classical steps on V with the full matrices, (V13)."""
    p, d = W.shape
    V, Z_star = W.T / np.sqrt(p * d), W_star.T @ W_star / (len(W_star) * d)

    def velocity(V):
        D = V @ V.T - Z_star
        theta = np.trace(S @ D) if square else 0.0
        return 2 * (-(2 * S @ D @ S + theta * S) @ V - decay / 2 * V)

    found, t = [], 0.0
    for end in times:
        count = max(int(np.ceil((end - t) / times[-1] * steps)), 1)
        h = (end - t) / count
        for _ in range(count):
            a = velocity(V)
            b = velocity(V + h / 2 * a)
            c = velocity(V + h / 2 * b)
            V = V + h / 6 * (a + 2 * b + 2 * c + velocity(V + h * c))
        t = end
        D = V @ V.T - Z_star
        theta = np.trace(S @ D) if square else 0.0
        found.append(np.trace(S @ D @ S @ D) + theta**2 / 2)
    return np.array(found), V @ V.T


def drawn(d, p, k, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(p, d)), rng.normal(size=(k, d)), root @ root.T + 0.2 * np.eye(d)


@pytest.mark.parametrize("shape", [(7, 3, 2), (6, 2, 4), (5, 8, 2), (4, 3, 6), (6, 6, 6)])
@pytest.mark.parametrize("physics", [{}, {"activation": "centred"}, {"weight_decay": 0.3}])
def test_the_flow_is_the_dense_one(shape, physics):
    W, W_star, S = drawn(*shape)
    times = [0.0, 0.3, 2.0]
    result = fl.QuadraticFlow(W, W_star, covariance=S, **physics).solve(times, keep_state=True, rtol=1e-10, atol=1e-12)
    square = physics.get("activation", "square") == "square"
    risk, Z = dense(W, W_star, S, times, square, physics.get("weight_decay", 0.0))
    np.testing.assert_allclose(result.risk, risk, rtol=1e-7)
    np.testing.assert_allclose(result.Z[-1], Z, atol=1e-8)
    np.testing.assert_allclose(result.trace[-1], np.trace(S @ Z), rtol=1e-8)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda one: one["name"])
def test_reference_problems(reference):
    problem = fl.QuadraticFlow(
        reference["W"],
        reference["W_star"],
        "square" if reference["square"] else "centred",
        covariance=reference["covariance"],
    )
    result = problem.solve(reference["t"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(result.risk, reference["risk"], rtol=1e-6)


def test_few_eigenvalues_need_few_rows():
    W, W_star, _ = drawn(60, 3, 2)
    S = np.repeat([2.0, 1.0, 0.3], [10, 30, 20])
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(60, 60)))[0]
    problem = fl.QuadraticFlow(W @ Q.T, W_star @ Q.T, covariance=(Q * S) @ Q.T)
    diagonal = fl.QuadraticFlow(W, W_star, covariance=S)
    options = {"rtol": 1e-10, "atol": 1e-12, "observables": ["overlap", "eigenvalues"]}
    first, second = (one.solve([0.5, 3.0, 20.0], **options) for one in (problem, diagonal))
    for name in ("risk", "overlap", "eigenvalues"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-7, atol=1e-10)
    from flowlimits.quadratic.finite.matrix_path import form_of

    assert form_of(problem._flow()).V.shape == (15, 3)


def test_the_unit_covariance_is_none():
    W, W_star, _ = drawn(6, 3, 2)
    times = [0.1, 1.0, 5.0]
    plain = fl.QuadraticFlow(W, W_star).solve(times, rtol=1e-10, atol=1e-12)
    for covariance in (np.ones(6), np.eye(6), fl.Spectrum([1.0], [1.0])):
        result = fl.QuadraticFlow(W, W_star, covariance=covariance).solve(times, rtol=1e-10, atol=1e-12)
        for name in plain.data_vars:
            if not name.startswith("problem_"):
                np.testing.assert_allclose(result[name], plain[name], rtol=1e-7, atol=1e-12)


def test_a_student_of_too_few_units_keeps_the_largest_eigenvalues_of_the_fields():
    """(Q10) with the eigenvalues of S^(1/2) Z* S^(1/2)."""
    W, W_star, S = drawn(6, 2, 4, seed=2)
    values = np.linalg.eigvalsh(np.linalg.cholesky(S).T @ W_star.T @ W_star @ np.linalg.cholesky(S) / (4 * 6))[::-1]
    lost = values[2:].sum()
    # The kept eigenvalues rise by what the trace lacks, shared with the mean: theta = -2 lost / (2 + 2).
    shift = lost / (2 + 2)
    expected = 2 * shift**2 + (values[2:] ** 2).sum() + (2 * shift - lost) ** 2 / 2
    result = fl.QuadraticFlow(W, W_star, covariance=S).solve([400.0])
    assert float(result.risk[0]) == pytest.approx(expected, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["square", "centred"])
def test_constants_of_late_times(activation):
    """(V14), "water filling": s^2 risk tends to a constant of the covariance outside the teacher's fields."""
    W, W_star, S = drawn(6, 6, 2, seed=4)
    S = S / np.trace(S) * 6
    root = np.linalg.cholesky(S)
    outside = np.linalg.svd(W_star @ root)[2][2:]
    sigma = np.linalg.eigvalsh(outside @ root.T @ root @ outside.T)
    if activation == "centred":
        expected = (1 / (16 * sigma**2)).sum()
    else:
        shares = [(1 / (2 * sigma[:m])).sum() / (2 + 2 + m) for m in range(1, 5)]
        m = max(i + 1 for i in range(4) if 1 / (2 * sigma[i]) > shares[i])
        theta = shares[m - 1]
        expected = ((1 / (4 * sigma[:m]) - theta / 2) ** 2).sum() + 4 * theta**2 / 4
    s = 1e5
    result = fl.QuadraticFlow(W, W_star, activation, covariance=S).solve([s / 2], rtol=1e-9, atol=1e-12)
    assert s**2 * float(result.risk[0]) == pytest.approx(expected, rel=1e-2)


def test_gradient_descent_converges_to_the_flow():
    W, W_star, S = drawn(6, 3, 2)
    problem = fl.QuadraticFlow(W, W_star, covariance=S)
    flow = float(problem.solve([1.0]).risk[0])
    errors = [float(problem.simulate([1.0], step=step, progress=False).risk[0, 0]) - flow for step in (0.002, 0.001)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_events_files_and_descriptions(tmp_path):
    W, W_star, S = drawn(6, 3, 2)
    problem = fl.QuadraticFlow(W, W_star, covariance=S)
    result = problem.solve([0.5, 2.0, 20.0], events=[fl.Event("overlap", 0.7)])
    at = float(result["event_time"][0])
    assert float(problem.solve([at]).overlap[0]) == pytest.approx(0.7, abs=1e-6)
    fl.save(result, tmp_path / "covariance.nc")
    assert fl.load_problem(fl.load(tmp_path / "covariance.nc")) == problem
    law = fl.QuadraticFlow(W, W_star, covariance=fl.Spectrum([0.5, 1.5], [0.5, 0.5]))
    fl.save(law.solve([0.5]), tmp_path / "law.nc")
    assert fl.load_problem(fl.load(tmp_path / "law.nc")) == law
    assert fl.QuadraticFlow(W, W_star, covariance=CovarianceGroups([0.5, 1.5], [0.5, 0.5])).solve([0.5]).risk.size == 1
    assert problem != fl.QuadraticFlow(W, W_star)
    assert "covariance" not in repr(fl.QuadraticFlow(W, W_star))


def test_refusals():
    W, W_star, S = drawn(6, 3, 2)
    with pytest.raises(ValueError, match=r"Argument `covariance` must have shape \(6, 6\), as `W` has 6 columns"):
        fl.QuadraticFlow(W, W_star, covariance=np.eye(5))
    with pytest.raises(ValueError, match='Argument `method` must be "auto" or "matrix" for inputs with a covariance'):
        fl.QuadraticFlow(W, W_star, covariance=S).solve([1.0], method="reduced")
