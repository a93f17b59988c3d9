"""Infinite widths with a covariance: naive scalars, dense matrices, simulations, references, exponents, refusals."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlimits as fl
from flowlimits.spectrum.groups import CovarianceGroups

WEIGHTS, TEACHER, COVARIANCE = [0.25, 0.25, 0.5], [2.0, 2.0, 0.0], [1.6, 0.4, 1.0]
NAMES = ("risk", "overlap", "misalignment", "trace", "multiplier")


def extensive(**fields):
    given = {"student_ratio": 1.0, "covariance": COVARIANCE} | fields
    return fl.ExtensiveQuadratic(teacher=fl.Spectrum(TEACHER, WEIGHTS), **given)


def riccati(l, Z0, S, times, square=True, decay=0.0):
    """Risk, tr S Z and Z of dZ/ds = -(2 S D S + theta S + decay/2) Z - transpose, by SciPy on the clock t."""
    d = len(l)

    def parts(z):
        Z = z.reshape(d, d)
        D = Z - np.diag(l)
        return Z, D, np.trace(S @ D) if square else 0.0

    def velocity(t, z):
        Z, D, theta = parts(z)
        half = -(2 * S @ D @ S + theta * S + decay / 2 * np.eye(d)) @ Z
        return 2 * (half + half.T).ravel()

    found = solve_ivp(velocity, (0, times[-1]), Z0.ravel(), "DOP853", times, rtol=1e-11, atol=1e-13).y.T
    risk = [np.trace(S @ D @ S @ D) + theta**2 / 2 for _, D, theta in map(parts, found)]
    return np.array(risk), found.reshape(-1, d, d)


@pytest.mark.parametrize(
    "physics", [{}, {"activation": "centred"}, {"weight_decay": 0.2}, {"activation": "centred", "weight_decay": 0.2}]
)
@pytest.mark.parametrize("commutes", [True, False])
def test_infinite_width_is_the_flow_of_the_second_moment(physics, commutes):
    l, times = np.array([0.6, 0.0, 0.3, 0.3]), np.array([0.0, 0.2, 1.0, 6.0])
    S = np.diag([2.0, 1.0, 0.5, 1.5]) + (0.0 if commutes else 0.2)
    start = 0.1 if commutes else np.diag([0.1, 0.3, 0.2, 0.1]) + 0.05
    problem = fl.MeanFieldQuadratic(l, start, covariance=S, **physics)
    result = problem.solve(times, rtol=1e-10, atol=1e-12, keep_state=True)
    square = physics.get("activation", "square") == "square"
    risk, Z = riccati(l, start * np.eye(4) if commutes else start, S, times, square, physics.get("weight_decay", 0.0))
    np.testing.assert_allclose(result.risk, risk, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(result.Z, Z, atol=1e-8)
    fields = [np.linalg.eigvalsh(np.linalg.cholesky(S).T @ one @ np.linalg.cholesky(S)) for one in Z]
    np.testing.assert_allclose(result.eigenvalues, fields, atol=1e-8)
    np.testing.assert_allclose(result.trace, np.sum(fields, axis=1), atol=1e-8)
    name = "reduced" if commutes else "matrix"
    assert result.attrs["provenance"].startswith('{"method": "' + name)


def test_both_methods_and_forms_of_a_covariance_agree():
    l, c, times = [0.6, 0.0, 0.3, 0.3, 0.0, 0.0], [2.0, 0.5, 0.5, 1.0, 1.0, 0.0], [0.1, 3.0, 30.0]
    scalars = fl.MeanFieldQuadratic(l, 0.1, covariance=c).solve(times, rtol=1e-10, atol=1e-12)
    for covariance, method in ((c, "matrix"), (np.diag(c), "auto")):
        other = fl.MeanFieldQuadratic(l, 0.1, covariance=covariance).solve(times, rtol=1e-10, atol=1e-12, method=method)
        for name in (*NAMES, "eigenvalues"):
            np.testing.assert_allclose(other[name], scalars[name], rtol=1e-6, atol=1e-10)
    plain = fl.MeanFieldQuadratic(l, 0.1).solve(times)
    for covariance in (np.ones(6), fl.Spectrum([1.0], [1.0]), CovarianceGroups([1.0], [1.0])):
        result = fl.MeanFieldQuadratic(l, 0.1, covariance=covariance).solve(times)
        for name in NAMES:
            np.testing.assert_allclose(result[name], plain[name], rtol=1e-6)


def test_late_risks_keep_their_digits():
    """A student that covers the teacher alone decays exponentially; a risk of 1e-26 has the rate of (Q28)."""
    problem = fl.MeanFieldQuadratic([0.5, 0.4], 0.1, covariance=[1.5, 0.8])
    M = 4 * np.diag([1.5**2 * 0.5, 0.8**2 * 0.4]) + 2 * np.outer([1.5 * 0.5, 0.8 * 0.4], [1.5, 0.8])
    rate = 2 * np.linalg.eigvals(M).real.min()
    s = np.array([12.0, 16.0])
    early, late = problem.solve(s / 2, rtol=1e-11, atol=1e-16).risk.to_numpy()
    assert late < 1e-12
    assert np.log(early / late) / 4 == pytest.approx(rate, rel=1e-4)


def test_runs_of_finite_width_tend_to_the_limit():
    S = np.array([[1.5, 0.4, 0.0], [0.4, 0.8, 0.1], [0.0, 0.1, 0.5]])
    problem = fl.MeanFieldQuadratic([0.8, 0.3, 0.0], 0.2, covariance=S)
    runs = problem.simulate([0.2, 1.0], student_width=4000, runs=150, rng=0, progress=False, rtol=1e-6)
    assert fl.compare(problem.solve([0.2, 1.0]), runs).passed
    wrong = fl.MeanFieldQuadratic([0.8, 0.3, 0.0], 0.2, covariance=np.diag(np.diag(S)))
    assert not fl.compare(wrong.solve([0.2, 1.0]), runs).passed


def test_reference_of_extensive_widths():
    result = extensive(start=fl.Spectrum([1.5], [1.0])).solve([0.1, 0.5, 2.0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        result.risk, [0.18284451218225567, 0.02156153870450919, 0.0013618591356237774], rtol=1e-10
    )
    first = extensive(start=fl.Spectrum([1.5], [1.0])).solve([0.0])
    assert float(first.multiplier[0]) == pytest.approx(0.17572927445272776, rel=1e-13)
    assert float(first.trace[0]) == pytest.approx(1.0, rel=1e-14)
    assert first.attrs["note"] == "values at time 0 are those just after the start"


@pytest.mark.parametrize("physics", [{}, {"weight_decay": 0.3}, {"activation": "centred", "weight_decay": 0.3}])
def test_finite_dimensions_tend_to_the_extensive_limit(physics):
    """d x deviation is constant for the square, zero for the centred activation, whose z do not know of each other."""
    problem, times = extensive(start=fl.Spectrum([1.5], [1.0]), student_ratio=1.2, **physics), np.array([0.1, 0.5, 2.0])
    limit = problem.solve(times)
    small, large = (problem.simulate(times, dimension=d, rng=0, progress=False).isel(run=0) for d in (24, 96))
    for name in NAMES:
        a, b = 24 * (small[name] - limit[name]), 96 * (large[name] - limit[name])
        scale = 1e-5 if "activation" in physics else 0.1 + 0.2 * abs(b)
        assert (abs(a - b) < scale).all(), name
    assert small.attrs["student_width"] == 29
    assert small.attrs["teacher_width"] == 12


def test_own_weights_and_descent():
    problem, d = extensive(start=fl.Spectrum([1.5], [1.0])), 16
    rng = np.random.default_rng(0)
    W = rng.normal(size=(20, d))
    result = problem.simulate([0.1], dimension=d, weights=W, progress=False, rtol=1e-10).isel(run=0)
    W_star = np.diag(np.sqrt([2.0] * 8)) @ np.eye(8, d) * np.sqrt(8)  # W_star^T W_star / (8 d) = diag(2, ..., 0) / d
    exact = fl.QuadraticFlow(W, W_star, covariance=np.repeat(COVARIANCE, [4, 4, 8])).solve([0.1 * d], rtol=1e-10)
    assert float(result.risk[0]) == pytest.approx(d * float(exact.risk[0]), rel=1e-7)
    descended = problem.simulate([0.1], dimension=d, weights=W, method="gd", step=1e-3, progress=False)
    assert float(descended.risk[0, 0]) == pytest.approx(float(result.risk[0]), rel=0.02)


def test_isotropic_inputs_are_a_covariance_of_one():
    teacher, times = fl.Spectrum.orthonormal(0.25), [0.05, 0.5, 20.0]
    for activation in ("square", "centred"):
        plain = fl.ExtensiveQuadratic(1.0, teacher, activation=activation).solve(times)
        result = fl.ExtensiveQuadratic(1.0, teacher, activation=activation, covariance=[1.0, 1.0]).solve(times)
        for name in NAMES:
            np.testing.assert_allclose(result[name], plain[name], rtol=2e-7, atol=1e-10)


@pytest.mark.parametrize(("activation", "expected"), [("square", 2 / 3), ("centred", 3 / 4)])
def test_exponents_of_wide_networks(activation, expected):
    """c = l^-2 and one teacher group: 2 a / (1 + 2 a) and 1 - 1 / (2 (1 + a)) at a = 1."""
    law = fl.Spectrum.power_law(2.0, 10**6, accuracy=1e-6)
    c, q = law.groups
    teacher = np.where(np.arange(c.size) < 2, 1.0, 0.0)
    problem = fl.ExtensiveQuadratic(1.0, fl.Spectrum(teacher / (q @ teacher), q), activation=activation, covariance=law)
    early, late = problem.solve([5e5, 5e6]).risk.to_numpy()
    assert np.log10(early / late) == pytest.approx(expected, abs=1e-3)


def test_many_events_files_and_copies(tmp_path):
    problem = extensive(start=fl.Spectrum([1.5], [1.0]))
    result = problem.solve([0.05, 2.0], events=[fl.Event("overlap", 0.99)], keep_state=True, spectrum=[0.5, 1.0])
    at = float(result.event_time[0])
    assert float(problem.solve([at]).overlap[0]) == pytest.approx(0.99, abs=1e-7)
    np.testing.assert_allclose(result.atom_position, result.state * COVARIANCE)
    np.testing.assert_allclose(
        (result.atom_position * WEIGHTS).sum("atom" if "atom" in result.atom_position.dims else "node"), result.trace
    )
    fl.save(result, tmp_path / "limit.nc")
    assert fl.load_problem(fl.load(tmp_path / "limit.nc")) == problem
    many = fl.solve_many([problem, extensive()], [0.1, 1.0], progress=False)
    np.testing.assert_array_equal(many.risk[0], problem.solve([0.1, 1.0]).risk)
    assert "covariance" not in repr(fl.ExtensiveQuadratic(1.0, fl.Spectrum(TEACHER, WEIGHTS)))
    small = problem.realised(5)
    assert small.teacher.mean == pytest.approx(1.0)
    assert small.relaxation_time(100) > 3 / 100 / 1.6**2 / 1.5
    matrix = fl.MeanFieldQuadratic([0.5, 0.1], 0.2, covariance=[[1.0, 0.2], [0.2, 1.0]])
    fl.save(matrix.solve([0.1]), tmp_path / "matrix.nc")
    assert fl.load_problem(fl.load(tmp_path / "matrix.nc")) == matrix


def test_a_dimension_too_small_for_the_teacher_is_refused():
    problem = fl.ExtensiveQuadratic(1.0, fl.Spectrum([20.0, 0.0], [0.05, 0.95]), covariance=[1.0, 1.0])
    with pytest.raises(ValueError, match="Argument `dimension` = 4 is too small to realise the teacher"):
        problem.simulate([0.1], dimension=4)
