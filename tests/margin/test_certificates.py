"""Optima of margin problems: bounds that meet, against other solvers and known answers."""

import numpy as np
import pytest
from naive_margin import read

from flowlimits import margin


def test_support_vectors_agree_with_sequential_quadratic_programming():
    from scipy.optimize import minimize

    X, y = read("linear")
    found = margin.support_vectors(X, y)
    Z = y[:, None] * X
    solved = minimize(
        lambda w: 0.5 * w @ w, 10 * found.solution + 1, jac=lambda w: w, method="SLSQP", options={"ftol": 1e-15, "maxiter": 500},
        constraints={"type": "ineq", "fun": lambda w: Z @ w - 1, "jac": lambda w: Z},
    )  # fmt: skip
    assert found.lower == pytest.approx(1 / np.linalg.norm(solved.x), rel=1e-7)
    assert 0 <= found.gap + 1e-15 < 1e-12
    assert found.multipliers.sum() == pytest.approx(1)


@pytest.mark.parametrize("geometry", ["linf", "l1"])
def test_linear_programs_have_no_duality_gap(geometry):
    X, y = read("linear")
    found = margin.linear_program(X, y, geometry)
    assert abs(found.gap) < 1e-10
    norm = np.abs(found.solution).max() if geometry == "linf" else np.abs(found.solution).sum()
    assert norm == pytest.approx(1)
    generator = np.random.default_rng(0)
    for w in generator.normal(size=(2000, 4)):
        w /= np.abs(w).max() if geometry == "linf" else np.abs(w).sum()
        assert (y * (X @ w)).min() <= found.upper + 1e-12


def test_trace_norm_optimum_bounds_meet_and_no_quadratic_network_exceeds_them():
    X, y = read("quadratic")
    found = margin.trace_norm(X, y)
    assert -1e-12 < found.gap < 1e-7 * found.upper
    Z = sum(mass * sign * np.outer(w, w) for *w, sign, mass in found.solution)
    assert np.abs(np.linalg.eigvalsh(Z)).sum() <= 1 + 1e-9
    assert (y * np.einsum("ia,ab,ib->i", X, Z, X)).min() == pytest.approx(found.lower, rel=1e-9)
    generator = np.random.default_rng(0)
    for W in generator.normal(size=(500, 8, 4)):
        W /= np.linalg.norm(W)
        signs = generator.choice([-1.0, 1.0], size=8)
        assert (y * (((X @ W.T) ** 2) @ signs)).min() <= found.upper


@pytest.mark.parametrize(("seed", "optimum"), [(0, 0.0205858), (1, 0.0536746), (3, 0.0995144)])
def test_relu_optimum_in_the_plane_is_that_of_fine_grids(seed, optimum):
    from scipy.optimize import linprog

    X, y = read(f"relu_{seed}")
    found = margin.relu_plane(X, y)
    assert -1e-12 < found.gap < 1e-6 * found.upper
    # An independent program on 1,440 directions and the kinks: below the exact optimum, but not by much.
    angles = np.concatenate(
        [2 * np.pi * np.arange(1440) / 1440, *(np.arctan2(X[:, 1], X[:, 0]) + s * np.pi / 2 for s in (1, -1))]
    )
    F = y[:, None] * np.maximum(X @ np.array([np.cos(angles), np.sin(angles)]), 0)
    F = np.hstack([F, -F])
    masses, last = np.append(np.ones(F.shape[1]), 0), np.append(np.zeros(F.shape[1]), -1)
    grid = linprog(last, A_ub=np.hstack([-F, np.ones((8, 1))]), b_ub=np.zeros(8), A_eq=[masses], b_eq=[1])
    assert -1e-9 < found.upper - (-grid.fun / 2) < 3e-4 * found.upper
    assert found.lower == pytest.approx(optimum, rel=1e-5)


def test_the_dual_of_the_plane_is_maximised_exactly():
    from flowlimits.margin.certificates import candidates

    generator = np.random.default_rng(1)
    X, y = generator.normal(size=(9, 2)), generator.choice([-1.0, 1.0], size=9)
    for _ in range(20):
        p = generator.dirichlet(np.ones(9))
        units = candidates(X, y, p)
        best = np.abs(np.maximum(units[:, :2] @ X.T, 0) @ (p * y)).max()
        angles = np.linspace(0, 2 * np.pi, 20001)
        grid = np.abs(np.maximum(np.column_stack([np.cos(angles), np.sin(angles)]) @ X.T, 0) @ (p * y)).max()
        # Half the spacing of the grid, at slopes below one.
        assert 0 <= best - grid < 1.6e-4 * np.abs(X).max()


def test_parity_optimum_in_the_plane_is_the_known_one():
    X, y, best = margin.parity(2)
    assert margin.relu_plane(X, y).upper == pytest.approx(best, rel=1e-9)
    X, y, _ = margin.parity(3)
    assert X.shape == (8, 3)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1)
    np.testing.assert_allclose(y, 3 * X[:, 0] * X[:, 1], rtol=1e-14)


def test_frozen_units_are_a_mixture_of_units():
    X, y = read("relu_1")
    exact = margin.relu_plane(X, y)
    units = exact.solution
    model = margin.NormOnlyModel(units[:, :2], units[:, 2])
    found = margin.frozen_units(model, X, y)
    assert found.lower == pytest.approx(2 * exact.lower, rel=1e-7)
    np.testing.assert_allclose(found.solution.sum(), 1)


def test_data_without_margin_are_refused():
    X, y = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.2]], [1, -1, 1, -1]
    for solve in (
        margin.support_vectors,
        lambda X, y: margin.linear_program(X, y, "l1"),
        lambda X, y: margin.linear_program(X, y, "linf"),
    ):
        with pytest.raises(ValueError, match="The data have no margin: the best normalised margin is 0"):
            solve(X, y)
    with pytest.raises(ValueError, match="The data have no margin"):
        margin.relu_plane([[1.0, 0.0], [2.0, 0.0]], [1, -1])


def test_bad_calls_are_refused():
    with pytest.raises(ValueError, match=r"Argument `X` must have shape \(n, 2\), but has shape \(3, 3\)"):
        margin.relu_plane(np.eye(3), [1, 1, -1])
    with pytest.raises(ValueError, match="Argument `dimension` must be at least 2, but is 1"):
        margin.parity(1)
    with pytest.raises(TypeError, match="Argument `model` must be a NormOnlyModel"):
        margin.frozen_units(margin.LinearModel(), np.eye(2), [1, 1])


def test_certificates_of_flows_need_a_known_dual():
    X, y, _ = margin.parity(3)
    flow = margin.MarginFlow(margin.ReLUModel(10), X, y, rng=0).solve([3.0])
    with pytest.raises(ValueError, match="The dual of ReLUModel is not known here for inputs of dimension 3"):
        margin.certify(flow)
    flow = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], geometry="linf", weights=[1.0, 1]).solve([3.0])
    with pytest.raises(ValueError, match='The rate is known for geometry="l2"'):
        margin.rate_constant(flow)


def test_laws_want_results():
    for law in (margin.rate_constant, margin.certify):
        with pytest.raises(TypeError, match=r"Argument `flow` must be a result of a MarginFlow, but is 3\."):
            law(3)
