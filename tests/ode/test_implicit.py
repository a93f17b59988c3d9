"""The implicit methods against closed forms and SciPy; the automatic choice."""

import numpy as np
import pytest
from ode_problems import (
    CHAIN,
    COUPLED,
    COUPLED_DENSE,
    COUPLED_STRUCTURED,
    FORCED,
    LOGISTIC,
    OREGONATOR,
    OSCILLATOR,
    ROBERTSON,
    VAN_DER_POL,
    forced_solution,
    logistic_solution,
    plain,
    robertson,
    robertson_jacobian,
    van_der_pol,
)
from scipy.integrate import solve_ivp

from flowlimits import ode
from flowlimits.ode.implicit import newton as radau_tables
from flowlimits.ode.jacobians import groups_of


def test_radau_tables_satisfy_the_order_conditions():
    real, cplx = radau_tables.tables()
    for k, s in enumerate(radau_tables.STAGES):
        c = real[k, radau_tables.NODES, :s]
        inverse = real[k, radau_tables.INVERSE : radau_tables.INVERSE + s, :s]
        A = np.linalg.inv(inverse)
        for q in range(1, s + 1):
            assert np.allclose(A @ c ** (q - 1), c**q / q, rtol=0, atol=1e-14)
        for q in range(1, 2 * s):
            assert abs(A[-1] @ c ** (q - 1) - 1 / q) < 1e-14
        # Hairer & Wanner, table IV.5.6: the nodes for s = 3; section IV.8: the real eigenvalue.
        if s == 3:
            assert np.allclose(c, [(4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1])
            assert abs(cplx[k, radau_tables.EIGENVALUES, 0].real - (3 + 3 ** (2 / 3) - 3 ** (1 / 3))) < 1e-13


@pytest.mark.parametrize(("method", "order"), [("radau5", 5), ("radau9", 9), ("radau13", 13)])
def test_fixed_steps_converge_with_the_order_of_the_method(method, order):
    errors = []
    steps = {5: [0.2, 0.1, 0.05], 9: [1.0, 0.5, 0.25], 13: [4.0, 3.0, 2.0]}[order]
    for h in steps:
        # Tolerances that accept everything; of a linear problem one iteration of Newton gives the exact stages.
        _, states, report = ode.integrate(
            OSCILLATOR, [1.0, 0.0], [12.0], [1.0], method=method, rtol=1e6, atol=1e6, first_step=h, max_step=h
        )
        assert report.steps == round(12.0 / h)
        errors.append(np.hypot(states[0, 0] - np.cos(12.0), states[0, 1] + np.sin(12.0)))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert np.all(np.abs(slopes - order) < 0.6)


@pytest.mark.parametrize(
    ("method", "rtol"),
    [("radau5", rtol) for rtol in (1e-4, 1e-6, 1e-8, 1e-10)]
    + [("radau", rtol) for rtol in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)],
)
@pytest.mark.parametrize("dense", [False, True])
def test_errors_stay_within_some_tolerances(method, rtol, dense):
    times = np.linspace(0.3, 8.0, 40)
    for rhs, y0, params, exact in [
        (FORCED, [0.0], [3.0], forced_solution(times, 3.0)[:, None]),
        (FORCED, [0.0], [1e5], forced_solution(times, 1e5)[:, None]),
        (LOGISTIC, [0.01, 0.3], [2.0], np.stack([logistic_solution(times, 2.0, y) for y in (0.01, 0.3)], axis=1)),
    ]:
        _, states, _ = ode.integrate(rhs, y0, times, params, method=method, rtol=rtol, atol=rtol, dense=dense)
        assert np.max(np.abs(states - exact) / (rtol + rtol * np.abs(exact))) < 10


def test_robertson_to_late_times_matches_scipy_at_a_fraction_of_its_cost():
    times = np.array([4e-1, 4e2, 4e4, 4e6])
    jacobian = lambda t, y: (lambda J: (robertson_jacobian(t, y, J, None, None), J)[1])(np.empty((3, 3)))  # noqa: E731
    theirs = solve_ivp(
        plain(robertson), (0, times[-1]), [1.0, 0, 0], method="Radau", t_eval=times, rtol=1e-9, atol=1e-13, jac=jacobian
    )
    _, states, report = ode.integrate(ROBERTSON, [1.0, 0, 0], times, rtol=1e-9, atol=1e-15, method="radau")
    assert np.max(np.abs(states / theirs.y.T - 1)) < 1e-7
    assert np.allclose(states.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert report.evaluations < 0.5 * theirs.nfev
    assert report.factorisations < theirs.nlu
    # Hairer & Wanner, section IV.10: y(4e6) to the printed digits of the reference solution at other times agrees
    # with both; the relative accuracy of the smallest component is what atol = 0 is for.
    _, relative, _ = ode.integrate(ROBERTSON, [1.0, 1e-9, 1e-9], times, rtol=1e-9, atol=0.0, method="radau")
    assert np.max(np.abs(relative[-1] / states[-1] - 1)) < 1e-6


def test_van_der_pol_and_oregonator_match_scipy():
    times = np.array([100.0, 700.0, 900.0, 1500.0])
    theirs = solve_ivp(
        plain(van_der_pol, [1e3]), (0, times[-1]), [2.0, 0.0], method="Radau", t_eval=times, rtol=1e-8, atol=1e-10
    )
    _, states, report = ode.integrate(VAN_DER_POL, [2.0, 0.0], times, [1e3], rtol=1e-9, atol=1e-12, method="radau")
    assert np.max(np.abs(states / theirs.y.T - 1)) < 1e-5
    assert report.factorisations < theirs.nlu
    loose = ode.integrate(OREGONATOR, [1.0, 2.0, 3.0], [30.0, 360.0], rtol=1e-8, atol=1e-10)[1]
    tight = ode.integrate(OREGONATOR, [1.0, 2.0, 3.0], [30.0, 360.0], rtol=1e-12, atol=1e-12, method="radau9")[1]
    assert np.max(np.abs(loose / tight - 1)) < 1e-6
    # E. Hairer's and F. Mazzia's test set: the reference solution of OREGO at t = 360.
    reference = [0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3]
    assert np.max(np.abs(tight[-1] / reference - 1)) < 1e-9


def test_structured_dense_and_difference_jacobians_agree():
    rng = np.random.default_rng(0)
    n = 200
    params = np.concatenate([np.geomspace(1e-2, 1e4, n), rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, n)])
    times = np.array([1e-3, 1.0, 50.0])
    options = {"rtol": 1e-9, "atol": 1e-12, "method": "radau"}
    results = {
        name: ode.integrate(rhs, np.ones(n), times, params, **options)
        for name, rhs in [("dense", COUPLED_DENSE), ("structured", COUPLED_STRUCTURED), ("differences", COUPLED)]
    }
    for name in ("structured", "differences"):
        assert np.max(np.abs(results[name][1] - results["dense"][1])) < 1e-9
    assert abs(results["structured"][2].steps - results["dense"][2].steps) <= 3
    assert results["structured"][2].wall_time < results["dense"][2].wall_time / 5
    # Closed form: the matrix is similar to a symmetric one, by the scaling sqrt(u / v).
    a, u, v = params[:n], params[n : 2 * n], params[2 * n :]
    scaling = np.sqrt(u / v)
    values, vectors = np.linalg.eigh(-np.diag(a) - np.outer(np.sqrt(u * v), np.sqrt(u * v)))
    force = vectors.T @ (1 / scaling)
    for t, state in zip(times, results["structured"][1]):
        free = np.exp(values * t) * (force - (force / (1j - values)).real)
        exact = scaling * (vectors @ (free + (force / (1j - values) * np.exp(1j * t)).real))
        assert np.max(np.abs(state - exact)) < 1e-8


def test_coloured_differences_need_one_evaluation_per_group():
    n = 40
    pattern = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1
    assert groups_of(pattern).max() == 2
    y0 = np.linspace(0, 1, n)
    _, plain_states, full = ode.integrate(CHAIN, y0, [1.0, 3.0], [1e3], method="radau", rtol=1e-8)
    _, coloured_states, coloured = ode.integrate(
        CHAIN, y0, [1.0, 3.0], [1e3], method="radau", rtol=1e-8, sparsity=pattern
    )
    assert np.max(np.abs(plain_states - coloured_states)) < 1e-10
    assert coloured.jacobians == full.jacobians
    assert full.evaluations - coloured.evaluations == (n - 3) * full.jacobians


def test_a_group_never_holds_two_columns_that_share_a_row():
    rng = np.random.default_rng(1)
    pattern = rng.random((30, 30)) < 0.1
    groups = groups_of(pattern)
    for group in range(groups.max() + 1):
        assert pattern[:, groups == group].sum(axis=1).max() <= 1


@pytest.mark.parametrize("stiffness", [1e3, 1e5])
def test_auto_finds_stiffness_soon(stiffness):
    times = [1.0, 100.0]
    _, states, report = ode.integrate(FORCED, [0.0], times, [stiffness], rtol=1e-8)
    assert report.method == "dop853, radau"
    assert report.switches[1][0] < 300 / stiffness
    assert report.evaluations < 4000
    assert np.max(np.abs(states[:, 0] - forced_solution(np.array(times), stiffness))) < 1e-7


def test_auto_returns_to_the_explicit_method():
    # Stiff at first; then the fast component is gone from the Jacobian: k(t) falls with the state itself.
    _, _, report = ode.integrate(VAN_DER_POL, [2.0, 0.0], [400.0], [30.0], rtol=1e-6, atol=1e-8)
    names = report.method.split(", ")
    assert "radau" in names
    assert names.count("dop853") >= 1
    _, _, alone = ode.integrate(VAN_DER_POL, [2.0, 0.0], [400.0], [30.0], rtol=1e-6, atol=1e-8, method="dop853")
    assert report.evaluations < alone.evaluations


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-10])
def test_auto_stays_explicit_where_accuracy_limits_the_step(rtol):
    for rhs, y0, params in [
        (OSCILLATOR, [1.0, 0.0], [1.0]),
        (LOGISTIC, [0.01], [2.0]),
        (VAN_DER_POL, [2.0, 0.0], [1.0]),
    ]:
        _, _, report = ode.integrate(rhs, y0, [100.0], params, rtol=rtol, atol=rtol)
        assert report.method == "dop853"
