"""Specialisation, plateaus, weak recovery, and quantities that no rotation of the student changes."""

import numpy as np
import pytest

import flowlimits as fl
from flowlimits import committee


def test_each_teacher_gets_its_own_student():
    Q, T = np.diag([1.0, 4.0, 1.0]), np.eye(2)
    R = np.array([[0.1, 0.7], [1.8, 0.2], [0.0, 0.4]])
    table = committee.specialisation(fl.Committee(Q, R, T, activation="erf").solve([0.0]))
    assert table["student"].values.tolist() == [[1, 0]]
    np.testing.assert_allclose(table["cosine"].values, [[0.9, 0.7]])
    few = committee.specialisation(fl.Committee([[1.0]], [[0.1, -0.7]], T, activation="erf").solve([0.0]))
    assert few["student"].values.tolist() == [[-1, 0]]
    np.testing.assert_allclose(few["cosine"].values, [[0.0, 0.7]])


def test_invariants_are_those_of_the_weights_and_no_rotation_changes_them():
    rng = np.random.default_rng(0)
    d, p, k = 9, 3, 2
    W, W_star = rng.normal(size=(p, d)), rng.normal(size=(k, d))
    turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
    first, second = (committee.invariants(fl.Committee.from_weights(V, W_star).solve([0.0])) for V in (W, turn @ W))
    for name in first.data_vars:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12)
    Z, Z_star = W.T @ W / (p * d), W_star.T @ W_star / (k * d)
    np.testing.assert_allclose(first["eigenvalues"][0], np.linalg.eigvalsh(Z)[::-1][:p], rtol=1e-12)
    basis = np.linalg.qr(W_star.T)[0]
    np.testing.assert_allclose(first["teacher_energies"][0], np.linalg.eigvalsh(basis.T @ Z @ basis)[::-1], rtol=1e-12)
    assert float(first["overlap"][0]) == pytest.approx(np.sum(Z * Z_star) / np.sqrt(np.sum(Z**2) * np.sum(Z_star**2)))
    assert float(first["subspace_share"][0]) == pytest.approx(np.trace(basis.T @ Z @ basis) / np.trace(Z))


def test_weak_recovery_is_when_the_largest_cosine_passes_the_level():
    """Phase retrieval on the sphere by gradient flow: m' = 4 m (1 - m^2)."""
    m = 0.01
    times = np.linspace(0, 3, 400)
    result = fl.Committee([[1.0]], [[m]], [[1.0]], spherical=True).solve(times)
    expected = np.log((0.5 / m) ** 2 * (1 - m**2) / (1 - 0.25)) / 8
    assert float(committee.weak_recovery(result)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="Argument `level` must be below 1"):
        committee.weak_recovery(result, 1.5)


def test_a_plateau_has_a_height_and_an_end():
    times = np.geomspace(0.01, 200, 400)
    risk = 0.3 + 0.7 * np.exp(-times / 0.1) - 0.29 / (1 + np.exp(-(times - 60) / 2))
    found = committee.plateau(fl.wrap(times, risk=risk, dimension=10))
    assert float(found["height"]) == pytest.approx(0.3, rel=1e-3)
    assert float(found["exit"]) == pytest.approx(60, rel=1e-2)
    flat = committee.plateau(fl.wrap(times, risk=np.full(400, 0.3) + 1e-3 / times, dimension=10))
    assert np.isnan(float(flat["exit"]))


def test_plateaus_are_found_in_every_run():
    problem = fl.Committee([[1.0]], [[0.01]], [[1.0]], learning_rate=0.02, spherical=True)
    runs = problem.simulate(np.linspace(0, 3, 100), dimension=5000, runs=3, rng=0, progress=False)
    found = committee.plateau(runs)
    theory = committee.plateau(problem.solve(np.linspace(0, 3, 100)))
    assert found["exit"].dims == ("run",)
    np.testing.assert_allclose(found["exit"], float(theory["exit"]), rtol=0.6)
    np.testing.assert_allclose(found["height"], float(theory["height"]), rtol=0.01)


def test_what_is_no_curve_is_refused():
    with pytest.raises(ValueError, match="needs at least five positive times, but the result has 2"):
        committee.plateau(fl.wrap([0.0, 1.0, 2.0], risk=[1.0, 0.5, 0.1], dimension=3))
    with pytest.raises(ValueError, match="must be positive to be seen on a logarithmic axis"):
        committee.plateau(fl.wrap(np.arange(1.0, 8), risk=np.arange(-1.0, 6), dimension=3))
    with pytest.raises(TypeError, match=r"must be a result of fl.Committee, but is one of QuadraticFlow"):
        committee.specialisation(fl.QuadraticFlow(np.eye(2), np.eye(2)).solve([1.0]))


@pytest.mark.parametrize(
    "function", [fl.committee.plateau, fl.committee.weak_recovery, fl.committee.specialisation, fl.committee.invariants]
)
def test_what_is_no_result_is_refused(function):
    with pytest.raises(TypeError, match=r"Argument `result` must be a result \(an xarray.Dataset\), but is 3\."):
        function(3)


def test_results_of_other_problems_and_without_overlaps_are_refused():
    with pytest.raises(TypeError, match=r"must be a result of fl\.Committee, but is one of QuadraticFlow"):
        fl.committee.invariants(fl.QuadraticFlow.orthonormal(4, 2, 2, rng=0).solve([1.0]))
    with pytest.raises(ValueError, match="must hold Q and R, but has no R"):
        fl.committee.specialisation(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([1.0]).drop_vars("R"))


def test_a_window_that_ends_before_the_escape_has_no_plateau():
    problem = fl.Committee.random(2, 2, dimension=10**5, rng=0, activation="erf", scale=0.1)
    result = problem.solve(np.geomspace(0.01, 1e4, 300))
    assert np.isnan(committee.plateau(result.sel(time=slice(0, 100)))["height"])
    assert float(committee.plateau(result)["height"]) == pytest.approx(0.0029312, rel=1e-3)


def test_no_direction_is_read_off_weights_that_have_decayed():
    W, W_star = [[1.0, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.5]]
    problem = fl.Committee.from_weights(W, W_star, activation="centred", weight_decay=10.0)
    names = ["overlap", "specialisation", "subspace_share"]
    result = problem.solve([0.1, 1.0, 2.0, 3.0, 5.0], observables=names)
    assert np.isnan(result[names].to_array().values[:, 1:]).all()
    assert "their directions are not resolved" in result.attrs["note"]
    assert np.isfinite(result[names].to_array().values[:, 0]).all()
    assert np.isnan(committee.specialisation(result)["cosine"].values[1:]).all()
    many = fl.solve_many([problem], [0.1, 1.0, 5.0], observables=names, progress=False)
    assert np.isnan(many["specialisation"].values[0]).tolist() == [False, True, True]
    assert "note" not in problem.solve([0.1], observables=names).attrs
