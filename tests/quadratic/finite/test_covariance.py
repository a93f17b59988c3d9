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
    np.testing.assert_allclose(result.risk, reference["risk"], rtol=1e-9)
    W, S = np.array(reference["W"]), np.array(reference["covariance"])
    assert late_constant(W, np.array(reference["W_star"]), S, problem.activation) == pytest.approx(
        reference["late"], rel=1e-10
    )
    late = 1e10 * float(problem.solve([0.5e5], rtol=1e-9, atol=1e-13).risk[0])
    assert late == pytest.approx(reference["late"], rel=1e-2)


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


def late_constant(W, W_star, S, activation):
    """(V14), "water filling": the limit of s^2 risk, from the covariance outside the teacher's fields."""
    k, n = len(W_star), min(W.shape) - len(W_star)
    root = np.linalg.cholesky(S)
    outside = np.linalg.svd(W_star @ root)[2][k:]
    sigma = np.linalg.eigvalsh(outside @ root.T @ root @ outside.T)[:n]
    if activation == "centred":
        return (1 / (16 * sigma**2)).sum()
    shares = [(1 / (2 * sigma[:m])).sum() / (k + 2 + m) for m in range(1, n + 1)]
    m = max(i + 1 for i in range(n) if 1 / (2 * sigma[i]) > shares[i])
    theta = shares[m - 1]
    return ((1 / (4 * sigma[:m]) - theta / 2) ** 2).sum() + (k + 2) * theta**2 / 4


@pytest.mark.parametrize("width", [4, 6])
@pytest.mark.parametrize("activation", ["square", "centred"])
def test_constants_of_late_times(activation, width):
    """With as many units as inputs, and with fewer: those with the smallest variances stay, the others fade as powers."""
    W, W_star, S = drawn(6, width, 2, seed=4)
    # The gap between winners and losers decides how fast: s^-(sigma_3 / sigma_2 - 1).
    turn = np.linalg.eigh(S)[1]
    S = (turn * [0.2, 0.25, 2.2, 2.3, 2.4, 2.6]) @ turn.T
    s = np.array([1e3, 1e8])
    result = fl.QuadraticFlow(W, W_star, activation, covariance=S).solve(s / 2, rtol=1e-9, atol=1e-14)
    seen, expected = s**2 * result.risk.values, late_constant(W, W_star, S, activation)
    assert seen[1] == pytest.approx(expected, rel=1e-3)
    assert abs(seen[0] - expected) > abs(seen[1] - expected)


def test_late_times_are_reached_in_few_steps():
    """The Jacobian is diagonal but for a low rank: 480 numbers to t = 10^6 took 25,000 evaluations by differences."""
    W, W_star, S = drawn(60, 8, 2)
    result = fl.QuadraticFlow(W, W_star, covariance=S).solve([1.0, 1e6])
    seen = json.loads(result.attrs["provenance"])
    assert seen["steps"] < 150
    assert seen["evaluations"] < 3000


@pytest.mark.parametrize("decay", [0.1, 4.5])
def test_weight_decay_to_late_times_is_logistic(decay):
    """dz/ds = (4 c^2 l - decay) z - 4 c^2 z^2 for one centred unit on one axis: it settles, or fades below 10^-100."""
    c, l, z = 1.5, 0.4, 0.3
    W, W_star = np.array([[np.sqrt(2 * z), 0.0]]), np.array([[np.sqrt(2 * l), 0.0]])
    times = np.array([1.0, 100.0, 1e5 if decay < 1 else 150.0])
    result = fl.QuadraticFlow(W, W_star, "centred", decay, covariance=[c, 0.5]).solve(times, rtol=1e-10, atol=1e-12)
    gain, loss = 4 * c**2 * l - decay, 4 * c**2
    grown = np.exp(np.minimum(2 * times * gain, 600.0))
    np.testing.assert_allclose(result.trace, c * gain * z * grown / (gain + loss * z * (grown - 1)), rtol=1e-7)
    assert json.loads(result.attrs["provenance"])["steps"] < 1000


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("kind", [float, complex])
def test_solutions_with_the_jacobian(activation, kind):
    """(shift - h J) x = a, with J x by differences of the velocity."""
    from flowlimits.quadratic.finite import equations_matrix as own
    from flowlimits.quadratic.finite.matrix_path import form_of

    W, W_star, S = drawn(6, 3, 2, seed=3)
    form = form_of(fl.QuadraticFlow(W, W_star, activation, 0.2, covariance=S)._flow())
    _, params, size = form.compiled(*form.V.shape)
    structure, work = form.jacobian(*form.V.shape).structure, np.zeros(size)
    y, h, shift = np.append(form.V.ravel(), 0.1), 0.3, kind(2.0 + (0.7j if kind is complex else 0.0))
    a = np.random.default_rng(0).standard_normal(y.size).astype(kind)
    data, factors = np.zeros(structure.data_size), np.zeros(structure.factors_size, dtype=kind)
    pivots = np.zeros(structure.pivots_size, dtype=np.int64)
    factor, solve = (
        (own.group_factor, own.group_solve) if kind is float else (own.group_factor_complex, own.group_solve_complex)
    )
    own.group_jacobian(0.0, y, data, params, work)
    assert factor(shift, h, data, factors, pivots) == 1
    x = a.copy()
    solve(h, data, factors, pivots, x)

    def slope(direction):
        pair = np.empty((2, y.size))
        for sign, out in zip((1, -1), pair):
            own.group_flow(0.0, y + sign * 1e-5 * direction, out, params, work)
        return (pair[0] - pair[1]) / 2e-5

    along = slope(x.real) + (1j * slope(x.imag) if kind is complex else 0)
    np.testing.assert_allclose(shift * x - h * along, a, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("activation", ["square", "centred"])
def test_plateaus_are_saddles(activation):
    """A student that holds some eigenvalues of S^(1/2) Z* S^(1/2) rests at the risk of the others, and leaves if it is moved."""
    _, W_star, S = drawn(6, 3, 3, seed=2)
    root = np.linalg.cholesky(S)
    vectors, singular, _ = np.linalg.svd(root.T @ W_star.T / np.sqrt(3 * 6))
    values, held, kept = singular**2, np.array([0, 2]), 1
    lost = values[kept] if activation == "square" else 0.0
    # theta = -2 shift is what the trace lacks, shared with the mean.
    shift = lost / (2 + held.size)
    columns = np.linalg.solve(root.T, vectors[:, held] * np.sqrt(values[held] + shift))
    W = np.zeros((3, 6))
    W[:2] = columns.T * np.sqrt(3 * 6)
    level = held.size * shift**2 + values[kept] ** 2 + (held.size * shift - lost) ** 2 / 2
    still = fl.QuadraticFlow(W, W_star, activation, covariance=S).solve([0.0, 1.0])
    np.testing.assert_allclose(still.risk, level, rtol=1e-10)
    moved = fl.QuadraticFlow(W + 1e-5 * np.random.default_rng(0).normal(size=W.shape), W_star, activation, covariance=S)
    risk = moved.solve([0.5, 200.0]).risk.values
    assert risk[0] == pytest.approx(level, rel=1e-6)
    assert risk[1] < 1e-6 * level


def test_the_rate_at_which_as_many_units_as_teachers_converge():
    """exp(-4 sigma l s) with sigma the least variance outside the teacher's direction and l the eigenvalue of the fields."""
    S, W_star = np.array([1.5, 0.7]), np.array([[1.2, 0.0]])
    l = 1.5 * 1.2**2 / 2
    times = np.array([6.0, 8.0])
    risk = fl.QuadraticFlow([[0.5, 0.6]], W_star, covariance=S).solve(times, rtol=1e-11, atol=1e-16).risk.values
    assert -np.diff(np.log(risk))[0] / np.diff(2 * times)[0] == pytest.approx(4 * 0.7 * l, rel=1e-3)


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
