"""The arrow Jacobian: its linear algebra against dense matrices, and the implicit method with it against dense Jacobians."""

import numpy as np
import pytest

from flowlimits import ode
from flowlimits.compiled.jit import RHS_SIGNATURE, STRUCTURE_SIGNATURE, callback
from flowlimits.ode.implicit import arrow
from flowlimits.ode.jacobians import arrow as arrow_structure

GROUPS, BLOCK, BORDER, PICKS = 5, 3, 2, 1
RANK = BLOCK + BORDER + PICKS
SIZE = GROUPS * BLOCK + BORDER


def random_arrow(rng, border=BORDER, picks=PICKS):
    made = arrow_structure(None, GROUPS, BLOCK, border, picks)
    data = np.empty(made.data_size)
    arrow.begin.py_func(data, GROUPS, BLOCK, border, picks)
    data[arrow.HEADER :] = rng.standard_normal(data.size - arrow.HEADER)
    return made, data


def dense(data):
    """The matrix that the module's docstring describes, entry by entry."""
    groups, block, border, picks = (int(value) for value in data[:4])
    rank, size = block + border + picks, groups * block + border
    c, D, E, P, U, U_border = arrow.parts.py_func(data)
    J, left, right = np.zeros((size, size)), np.zeros((size, rank)), np.zeros((size, rank))
    for g in range(groups):
        for i in range(block):
            row = g * block + i
            for j in range(block):
                J[row, g * block + j] = c[g] * D[i, j] + E[i, j]
            left[row] = U[g, i]
            right[row, i] = c[g]
            for k in range(picks):
                right[row, block + k] = P[i, k]
    for i in range(border):
        left[groups * block + i] = U_border[i]
        right[groups * block + i, block + picks + i] = 1
    return J + left @ right.T


@pytest.mark.parametrize(("border", "picks"), [(2, 1), (0, 0), (0, 2)])
@pytest.mark.parametrize("shift", [3.0, 1.0 + 2.0j])
def test_solutions_of_dense_systems(border, picks, shift):
    rng = np.random.default_rng(4)
    made, data = random_arrow(rng, border, picks)
    J = dense(data)
    dtype = type(shift)
    factors, pivots = np.zeros(made.factors_size, dtype=dtype), np.zeros(made.pivots_size, dtype=np.int64)
    assert arrow.decompose.py_func(shift, 0.3, data, factors, pivots) == 1
    for _ in range(2):
        a = rng.standard_normal(len(J)).astype(dtype)
        x = a.copy()
        arrow.solve.py_func(0.3, data, factors, pivots, x)
        np.testing.assert_allclose(x, np.linalg.solve(shift * np.eye(len(J)) - 0.3 * J, a), rtol=1e-11)


def test_a_singular_matrix_is_said_to_be_one():
    made, data = random_arrow(np.random.default_rng(0))
    data[arrow.HEADER :] = 0.0
    factors, pivots = np.zeros(made.factors_size), np.zeros(made.pivots_size, dtype=np.int64)
    assert arrow.decompose.py_func(0.0, 1.0, data, factors, pivots) == 0


# Modes with speeds over six decades that share one force: y_l' = -c_l (1 + z^2) y_l, z the weighted sum; b' = -z - b.
@callback(RHS_SIGNATURE)
def modes(t, y, dy, params, work):
    n = y.size - 1
    z = 0.0
    for i in range(n):
        z += params[i] * y[i]
    for i in range(n):
        dy[i] = -params[i] * ((1.0 + z * z) * y[i] + 0.1 * y[n])
    dy[n] = -z - y[n]


@callback(STRUCTURE_SIGNATURE)
def modes_arrow(t, y, data, params, work):
    n = y.size - 1
    arrow.begin(data, n, 1, 1, 0)
    c, D, E, P, U, border = arrow.parts(data)
    z = 0.0
    for i in range(n):
        c[i] = params[i]
        z += params[i] * y[i]
    D[0, 0] = -(1.0 + z * z)
    E[0, 0] = 0.0
    for i in range(n):
        U[i, 0, 0] = -params[i] * 2.0 * z * y[i]
        U[i, 0, 1] = -params[i] * 0.1
    border[0, 0] = -1.0
    border[0, 1] = -1.0


def test_the_implicit_method_takes_the_arrow():
    speeds = 10.0 ** -np.linspace(0, 6, 13)
    times = np.array([1.0, 1e2, 1e4, 1e6])
    start = np.append(np.ones(13), 0.5)
    rhs = ode.right_hand_side(modes)
    made = arrow_structure(modes_arrow, 13, 1, 1)
    options = {"rtol": 1e-9, "atol": 1e-14}
    _, states, report = ode.integrate(rhs, start, times, speeds, method="radau", structure=made, **options)
    _, plain, other = ode.integrate(rhs, start, times, speeds, method="radau", **options)
    np.testing.assert_allclose(states, plain, rtol=1e-7, atol=1e-12)
    assert report.evaluations < 0.8 * other.evaluations
    _, sharp, _ = ode.integrate(rhs, start, times[:3], speeds, method="dop853", rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(states[:3], sharp, rtol=1e-7, atol=1e-12)
    _, automatic, report = ode.integrate(rhs, start, times, speeds, structure=made, **options)
    assert report.method == "dop853, radau"
    np.testing.assert_allclose(automatic, states, rtol=1e-7, atol=1e-12)


def test_what_is_no_structure_is_refused():
    with pytest.raises(TypeError) as refusal:
        ode.integrate(ode.right_hand_side(modes), np.ones(3), [1.0], np.ones(2), structure="arrow")
    assert str(refusal.value) == "Argument `structure` must be an ode.Structure, but is 'arrow'."
