"""The limit at extensive widths against independent computations, on the clock gamma = 2 tau of the literature."""

import math

import naive_extensive as naive
import numpy as np
import pytest

import flowlimits as fl

ORTHONORMAL = fl.Spectrum.orthonormal


def solve(student_ratio, teacher, gammas, start="orthonormal", **options):
    """Return the limit at times gamma/2; `options` may hold fields of the problem."""
    fields = {name: options.pop(name) for name in ("activation", "weight_decay") if name in options}
    return fl.ExtensiveQuadratic(student_ratio, teacher, start, **fields).solve(np.asarray(gammas) / 2, **options)


# Martin, Bach, Biroli: orthonormal weights. Values of phi, chi and d L, to all digits that are printed.
TABLE = {
    (0.5, 0.25): [
        (0.01, "-0.018817", "0.396263", 1.880249e0),
        (0.1, "-0.102018", "0.721447", 0.962820e0),
        (0.5, "0.095078", "0.995715", 0.0270839e0),
        (1, "0.279260", "0.999311", 5.12619e-3),
        (2, "0.462015", "0.999852", 1.14264e-3),
        (5, "0.698851", "0.999979", 1.68230e-4),
        (10, "0.875402", "0.99999488", 4.07029e-5),
    ],
    (0.5, 0.5): [
        (0.01, "-0.019615", "0.519409", None),
        (0.1, "-0.170905", "0.651782", None),
        (0.5, "-0.544457", "0.907329", None),
        (1, "-0.667043", "0.984893", None),
        (2, "-0.692482", "0.999643", None),
        (5, "-0.693147", None, None),
        (10, "-0.693147", None, None),
    ],
}


@pytest.mark.parametrize("ratios", TABLE)
def test_the_published_digits(ratios):
    rows = TABLE[ratios]
    limit = solve(ratios[0], ORTHONORMAL(ratios[1]), [row[0] for row in rows])
    for k, (_gamma, phi, chi, loss) in enumerate(rows):
        assert f"{float(limit.multiplier[k]):.6f}" == phi
        if chi is not None:
            assert f"{float(limit.overlap[k]):.{len(chi) - 2}f}" == chi
        if loss is not None:
            assert float(limit.risk[k]) / 2 == pytest.approx(loss, rel=6e-6)
    if ratios == (0.5, 0.5):
        assert f"{float(limit.misalignment[5]):.1e}" == "3.3e-09"


@pytest.mark.parametrize(
    "ratios", [(0.5, 0.25), (0.5, 0.5), (0.25, 0.5), (0.8, 0.6), (0.9, 0.3), (0.49, 0.51), (0.3, 0.9)]
)
def test_the_implicit_equation(ratios):
    gammas = np.geomspace(0.01, 2 if ratios[0] == ratios[1] else 5, 30)
    phi, chi, loss = naive.implicit_equation(*ratios, gammas).T
    limit = solve(ratios[0], ORTHONORMAL(ratios[1]), gammas)
    np.testing.assert_allclose(limit.multiplier, phi, rtol=0, atol=1e-9)
    np.testing.assert_allclose(limit.misalignment, 1 - chi, rtol=1e-8)
    np.testing.assert_allclose(limit.risk, 2 * loss, rtol=1e-8)
    np.testing.assert_allclose(limit.overlap, chi, rtol=1e-11)


GENERAL = fl.Spectrum([0, 0.5, 1, 3], [0.5, 0.2, 0.15, 0.15])


@pytest.mark.parametrize(
    ("student_ratio", "start", "activation", "weight_decay"),
    [
        (0.3, "gaussian", "square", 0.0),
        (0.5, "gaussian", "square", 0.0),
        (1.4, "gaussian", "square", 0.0),
        (0.7, "orthonormal", "square", 0.0),
        (2.0, "orthonormal", "square", 0.0),
        (0.7, GENERAL, "square", 0.0),
        (0.3, "gaussian", "centred", 0.0),
        (0.7, "orthonormal", "centred", 0.7),
        (0.5, GENERAL, "centred", 3.0),
    ],
)
@pytest.mark.filterwarnings("ignore:The start has the trace")
def test_any_start_on_a_gaussian_teacher_by_carrying_the_integrals_themselves(
    student_ratio, start, activation, weight_decay
):
    z, q = naive.marchenko_pastur(0.5, 150)
    law = (start.nodes, start.weights) if isinstance(start, fl.Spectrum) else start
    gammas = np.array([0.02, 0.1, 0.4, 1.0])
    phi, chi, loss, trace, _square = naive.direct(z, q, student_ratio, gammas, law, activation, weight_decay).T
    limit = solve(
        student_ratio,
        fl.Spectrum.marchenko_pastur(0.5),
        gammas,
        start,
        activation=activation,
        weight_decay=weight_decay,
    )
    np.testing.assert_allclose(limit.misalignment, 1 - chi, rtol=1e-8)
    np.testing.assert_allclose(limit.risk, 2 * loss, rtol=1e-8)
    np.testing.assert_allclose(limit.trace, trace, rtol=1e-10)
    np.testing.assert_allclose(limit.multiplier, phi if activation == "square" else 0 * phi, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("student_ratio", "teacher_ratio"), [(0.5, 0.25), (0.5, 0.5), (0.25, 0.5)])
def test_principal_angles_at_finite_dimension_approach_as_one_over_d(student_ratio, teacher_ratio):
    gammas = np.array([0.1, 0.5, 1.0])
    limit = solve(student_ratio, ORTHONORMAL(teacher_ratio), gammas)
    expected = np.stack([limit.multiplier, limit.overlap, limit.risk / 2], axis=1)
    means = []
    for d in (100, 200):
        rng = np.random.default_rng(d)
        widths = int(student_ratio * d), int(teacher_ratio * d)
        means.append(np.mean([naive.principal_angles(d, *widths, gammas, rng) for _ in range(8)], axis=0))
        assert (d * np.abs(means[-1] - expected) < [45, 1, 10]).all()
    # The correction of order 1/d goes when two sizes are extrapolated; 8 runs fluctuate by some 0.005.
    np.testing.assert_allclose(2 * means[1] - means[0], expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("student_ratio", "teacher_ratio", "activation"), [(0.5, 0.25, "square"), (0.25, 0.5, "centred")]
)
def test_flow_of_matrices_with_gaussian_weights(student_ratio, teacher_ratio, activation):
    """The multiplier and the risk of a finite flow have corrections of order 1/d."""
    d, gammas = 150, np.array([0.05, 0.2, 0.5])
    limit = solve(student_ratio, fl.Spectrum.marchenko_pastur(teacher_ratio), gammas, "gaussian", activation=activation)
    rng = np.random.default_rng(5)
    risk, overlap = [], []
    for _ in range(3):
        W = rng.standard_normal((round(student_ratio * d), d))
        W_star = rng.standard_normal((round(teacher_ratio * d), d))
        target = W_star.T @ W_star / len(W_star)
        flow = naive.matrix_flow(W, W_star, gammas, activation)
        trace_part = 0.0 if activation == "centred" else 1.0
        risk.append([(np.sum((Z - target) ** 2) + trace_part * np.trace(Z - target) ** 2 / 2) / d for Z in flow])
        overlap.append([np.sum(Z * target) / math.sqrt(np.sum(Z**2) * np.sum(target**2)) for Z in flow])
    np.testing.assert_allclose(np.mean(overlap, axis=0), limit.overlap, atol=2 / d)
    np.testing.assert_allclose(np.mean(risk, axis=0), limit.risk, atol=10 / d)


@pytest.mark.parametrize("activation", ["square", "centred"])
def test_a_start_given_by_its_law_is_the_named_start(activation):
    gammas = [0.1, 1.0, 10.0]
    teacher = fl.Spectrum.marchenko_pastur(0.6, 40)
    for student_ratio in (0.4, 1.0, 1.7):
        named = solve(student_ratio, teacher, gammas, "orthonormal", activation=activation)
        given = solve(student_ratio, teacher, gammas, ORTHONORMAL(student_ratio), activation=activation)
        np.testing.assert_allclose(given.misalignment, named.misalignment, rtol=1e-12)
    for student_ratio in (0.4, 1.7):
        named = solve(student_ratio, teacher, gammas, "gaussian", activation=activation)
        for law in (fl.Spectrum.marchenko_pastur(student_ratio), fl.Spectrum.marchenko_pastur(student_ratio, 60)):
            given = solve(student_ratio, teacher, gammas, law, activation=activation)
            np.testing.assert_allclose(given.misalignment, named.misalignment, rtol=1e-9)
            np.testing.assert_allclose(given.risk, named.risk, rtol=1e-9)


def test_infinite_width_keeps_the_subordination_scalar_at_the_variance():
    """For a start proportional to the identity zeta_j' = 4 z zeta - 4 zeta^2 - 2 phi' zeta, here from scratch."""
    z, q = np.array([0.0, 1.0, 3.0]), np.array([0.5, 0.25, 0.25])

    def velocity(_gamma, state):
        zeta = state[:3]
        rate = q @ (4 * z * zeta - 4 * zeta**2) / 2
        return np.append((4 * z - 4 * zeta - 2 * rate) * zeta, rate)

    from scipy.integrate import solve_ivp

    gammas = [0.1, 0.5, 2.0]
    flow = solve_ivp(velocity, (0, 2), [1, 1, 1, 0], t_eval=gammas, rtol=1e-12, atol=1e-14, method="DOP853").y
    expected = q @ (flow[:3] - z[:, None]) ** 2
    np.testing.assert_allclose(solve(1.0, fl.Spectrum(z, q), gammas).risk, expected, rtol=1e-8)
    np.testing.assert_allclose(solve(2.0, fl.Spectrum(z, q), gammas).multiplier, flow[3], rtol=0, atol=1e-9)
    np.testing.assert_allclose(solve(1e7, fl.Spectrum(z, q), gammas, "gaussian").risk, expected, rtol=3e-6)


def test_weight_decay_only_shifts_the_multiplier_of_the_square():
    times = np.geomspace(0.01, 50, 20)
    free = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)).solve(times)
    decayed = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25), weight_decay=0.6).solve(times)
    np.testing.assert_array_equal(decayed.risk, free.risk)
    np.testing.assert_allclose(decayed.multiplier, free.multiplier - 0.6 * times, rtol=1e-13)


@pytest.mark.parametrize("student_ratio", [1.0, 2.0, 0.7])
def test_weight_decay_of_the_centred_activation_shrinks_every_eigenvalue(student_ratio):
    """(1/d)|Z - Z*|^2 tends to the integral of min(x, decay/4)^2 (Martin, Biroli, Bach 2026)."""
    decay = 3.0
    z, q = naive.marchenko_pastur(0.6, 20_000)
    limit = solve(
        student_ratio, fl.Spectrum.marchenko_pastur(0.6), [2e4, 2e5], activation="centred", weight_decay=decay
    )
    expected = q @ np.minimum(z, decay / 4) ** 2
    # At finite times the eigenvalues within 1/gamma of the threshold are missing.
    np.testing.assert_allclose(limit.risk, expected, rtol=1e-4)
    assert abs(limit.risk[1] / expected - 1) < 1e-5


def test_a_start_of_another_trace_is_rescaled_at_once():
    law = ORTHONORMAL(0.5)
    double = fl.Spectrum(2 * law.nodes, law.weights)
    problem = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25), double)
    with pytest.warns(UserWarning, match=r"The start has the trace 2 and the teacher 1: .* rescales the start at once"):
        rescaled = problem.solve([0.0, 0.3, 3.0])
    named = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)).solve([0.0, 0.3, 3.0])
    np.testing.assert_allclose(rescaled.risk, named.risk, rtol=1e-12)
    np.testing.assert_allclose(rescaled.multiplier, named.multiplier + 0.5 * math.log(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("start", ["orthonormal", "gaussian"])
@pytest.mark.parametrize("student_ratio", [0.4, 1.5])
def test_time_zero_is_the_limit_of_small_times(student_ratio, start, activation):
    teacher = fl.Spectrum.marchenko_pastur(0.5)
    at_zero, soon = (fl.ExtensiveQuadratic(student_ratio, teacher, start, activation).solve(t) for t in ([0.0], [1e-7]))
    assert at_zero.attrs["note"] == "values at time 0 are those just after the start"
    for name in ("risk", "overlap", "misalignment", "trace", "multiplier"):
        np.testing.assert_allclose(soon[name], at_zero[name], rtol=3e-5, atol=3e-6)


def test_start_values_of_martin_bach_biroli():
    limit = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)).solve([0.0])
    assert float(limit.overlap[0]) == pytest.approx(math.sqrt(0.5 * 0.25), rel=1e-14)
    assert float(limit.risk[0]) / 2 == pytest.approx(0.5 * (2 + 4) - 1, rel=1e-14)


def test_a_perfect_student_does_not_move():
    limit = fl.ExtensiveQuadratic(2.0, ORTHONORMAL(1.0)).solve([0.0, 1.0, 1e6])
    np.testing.assert_array_equal(limit.risk, 0)
    np.testing.assert_array_equal(limit.overlap, 1)
