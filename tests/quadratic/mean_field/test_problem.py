"""The limit of infinite width: logistic solutions, the closed flow, and its finite-width corrections."""

import numpy as np
import pytest

import flowlimits as fl

TIMES = np.array([0.0, 0.1, 0.5, 2.0])


def moment(seed=0, d=4):
    A = np.random.default_rng(seed).standard_normal((d, d))
    return A @ A.T / d


@pytest.mark.parametrize(("activation", "factor"), [("square", lambda d: 4 + 2 * d), ("centred", lambda d: 4)])
@pytest.mark.parametrize("d", [1, 3, 8])
def test_isotropic_students_and_teachers_are_logistic(activation, factor, d):
    c, l = 0.05, 0.4
    result = fl.MeanFieldQuadratic(np.full(d, l), c, activation).solve(TIMES, rtol=1e-11)
    expected = l / (1 + (l / c - 1) * np.exp(-factor(d) * l * 2 * TIMES))
    np.testing.assert_allclose(result["trace"] / d, expected, rtol=1e-9)
    np.testing.assert_allclose(result["eigenvalues"], np.repeat(expected[:, None], d, axis=1), rtol=1e-9)


def test_isotropic_starts_keep_the_eigenbasis_of_the_teacher():
    """dz_i/ds = 2 (2 l_i - theta) z_i - 4 z_i^2, (Q24)."""
    from scipy.integrate import solve_ivp

    l, c, decay = np.array([0.6, 0.0, 0.3, 0.3, 0.0]), 0.1, 0.2

    def velocity(t, z):
        return 2 * (2 * (2 * l - (z.sum() - l.sum()) - decay / 2) * z - 4 * z**2)

    z = solve_ivp(velocity, (0, 2), np.full(5, c), "DOP853", TIMES, rtol=1e-12, atol=1e-14).y.T
    for method in ("reduced", "matrix"):
        result = fl.MeanFieldQuadratic(l, c, weight_decay=decay).solve(
            TIMES, rtol=1e-12, atol=1e-14, method=method, keep_state=True
        )
        np.testing.assert_allclose(result["eigenvalues"], np.sort(z, axis=1), atol=1e-9)
        np.testing.assert_allclose(result["Z"], [np.diag(row) for row in z], atol=1e-9)
        np.testing.assert_allclose(result["risk"], ((z - l) ** 2).sum(1) + (z - l).sum(1) ** 2 / 2, atol=1e-9)


def test_the_limit_is_the_flow_of_any_weights_of_that_moment():
    Z0, l = moment(), np.array([0.1, 0.5, 0.0, 0.2])
    W = np.linalg.cholesky(Z0).T * 4  # W^T W / (p d) = Z0 with p = d = 4
    W_star = np.diag(np.sqrt(l)) * 4
    exact = fl.QuadraticFlow(W, W_star).solve(TIMES, rtol=1e-11)
    limit = fl.MeanFieldQuadratic(l, Z0).solve(TIMES, rtol=1e-11)
    for name in ("risk", "overlap", "misalignment", "trace", "multiplier"):
        np.testing.assert_allclose(limit[name], exact[name], rtol=1e-8, atol=1e-12)


def test_the_bias_of_finite_width_is_of_order_one_over_it():
    problem = fl.MeanFieldQuadratic([0.5, 0.3, 0.0, 0.0], moment())
    limit = problem.solve([0.3])
    scaled = []
    for p in (20, 80):
        runs = problem.simulate([0.3], student_width=p, runs=600, rng=0, progress=False, rtol=1e-6)
        trace = runs["trace"].values[:, 0]
        error = trace.std() / np.sqrt(600)
        scaled.append((p * (trace.mean() - float(limit["trace"][0])), p * error))
        assert trace.std() * np.sqrt(p) < 3
    # p times the bias is the same at both widths, and is seen.
    assert abs(scaled[0][0] - scaled[1][0]) < 4 * np.hypot(scaled[0][1], scaled[1][1])
    assert abs(scaled[0][0]) > 4 * scaled[0][1]


def test_simulations_state_their_width_and_repeat_themselves():
    from flowlimits.data.rerun import rerun

    problem = fl.MeanFieldQuadratic([0.5, 0.3, 0.0], 0.2)
    first = problem.simulate([0.1, 1.0], student_width=7, runs=3, rng=5, threads=2)
    assert first["eigenvalues"].dims == ("run", "time", "eigenvalue")
    assert first.attrs["student_width"] == 7
    np.testing.assert_array_equal(rerun(first)["risk"], first["risk"])
    W = np.random.default_rng(0).standard_normal((7, 3))
    own = problem.simulate([0.5], student_width=7, weights=W)
    exact = fl.QuadraticFlow(W, np.diag(np.sqrt([0.5, 0.3, 0.0])) * 3).solve([0.5])
    np.testing.assert_allclose(own["risk"][0], exact["risk"], rtol=1e-6)
    descent = problem.simulate([0.5], student_width=7, weights=W, method="gd", step=1e-3)
    np.testing.assert_allclose(descent["risk"][0], exact["risk"], rtol=1e-2)


def test_the_problem_survives_storage():
    for start in (0.2, moment(d=3)):
        problem = fl.MeanFieldQuadratic([0.5, 0.3, 0.0], start)
        assert fl.load_problem(problem.solve([1.0])) == problem


@pytest.mark.parametrize(
    ("arguments", "keywords", "sentence"),
    [
        (([0.5, -0.1], 0.1), {}, "Argument `teacher_eigenvalues` must not be negative, but is -0.1 at index [1]."),
        (
            ([0.0, 0.0], 0.1),
            {},
            "Argument `teacher_eigenvalues` must not be all zero: the overlap with a teacher that vanishes is not defined.",
        ),
        (([0.5, 0.1], -0.1), {}, "Argument `start` must not be negative, but is -0.1."),
        (([0.5, 0.1], np.eye(3)), {}, "Argument `start` must be a number or have shape (2, 2), but has shape (3, 3)."),
        (
            ([0.5, 0.1], [[1, 0], [0.1, 1]]),
            {},
            "Argument `start` must be symmetric, but differs from its transpose by 0.1.",
        ),
        (
            ([0.5, 0.1], [[1, 2], [2, 1]]),
            {},
            "Argument `start` must be positive semidefinite, a second moment, but has the eigenvalue -1.",
        ),
        (([0.5, 0.1], np.nan), {}, "Argument `start` must be finite, but is nan."),
        (([0.5, 0.1], 1.0), {"weight_decay": -1}, "Argument `weight_decay` must not be negative, but is -1.0."),
    ],
)
def test_bad_problems(arguments, keywords, sentence):
    with pytest.raises(ValueError) as caught:
        fl.MeanFieldQuadratic(*arguments, **keywords)
    assert str(caught.value) == sentence


def test_bad_calls():
    problem = fl.MeanFieldQuadratic([0.5, 0.3], 0.2)
    with pytest.raises(
        ValueError, match=r"Argument `covariance` must have shape \(1,\), as `teacher_eigenvalues` has 1 entries"
    ):
        fl.MeanFieldQuadratic([0.5], 0.2, covariance=[1, 2])
    with pytest.raises(ValueError, match="Argument `runs` must be at least 1, but is 0"):
        problem.simulate([1.0], student_width=3, runs=0)
    with pytest.raises(ValueError, match="Argument `student_width` must be at least 1"):
        problem.simulate([1.0], student_width=0)
    with pytest.raises(
        ValueError, match=r"Argument `weights` must have shape \(3, 2\) or \(1, 3, 2\), but has shape \(2, 3\)"
    ):
        problem.simulate([1.0], student_width=3, weights=np.ones((2, 3)))


def test_ordered_eigenvalues_are_not_judged_unless_asked_for():
    """Equal in the limit, those of runs repel as p^-1/2: with many runs the right theory would fail."""
    problem = fl.MeanFieldQuadratic([1.0, 0.5, 0.0, 0.0], start=0.25)
    options = {"sizes": [50, 100, 200], "runs": 400, "rng": 1, "progress": False}
    judged = fl.convergence(problem, [0.1, 1.0, 3.0], resolution=0.1, **options)
    assert judged.passed
    assert set(judged.dataset["variable"].values) == {"risk", "overlap", "misalignment", "trace", "multiplier"}
    assert abs(judged.exponent + 1) < 2 * judged.exponent_error
    asked = fl.convergence(problem, [0.1, 1.0, 3.0], variables="eigenvalues", **options)
    assert asked.exponent == pytest.approx(-0.5, abs=0.15)
    limit = problem.solve([1.0])
    assert "eigenvalues[3]" in fl.compare(limit, limit).dataset["variable"].values


@pytest.mark.slow
def test_more_runs_narrow_the_exponent():
    problem = fl.MeanFieldQuadratic([1.0, 0.5, 0.0, 0.0], start=0.25)
    options = {"sizes": [50, 100, 200], "runs": 1600, "rng": 1, "progress": False}
    judged = fl.convergence(problem, [0.1, 1.0, 3.0], resolution=0.1, **options)
    assert judged.passed
    assert abs(judged.exponent + 1) < 2 * judged.exponent_error < 0.4
