"""Late times, to tau = 1e6, in all regimes: constants, rates, relative accuracy of what is tiny, cost as counts."""

import json
import math

import naive_extensive as naive
import numpy as np
import pytest

import flowlimits as fl

ORTHONORMAL = fl.Spectrum.orthonormal
MARCHENKO_PASTUR = fl.Spectrum.marchenko_pastur


@pytest.mark.parametrize("ratios", [(0.5, 0.25), (0.9, 0.1), (0.52, 0.5), (0.5001, 0.5), (0.5 + 1e-9, 0.5), (1.0, 0.3)])
def test_constants_above_the_teacher_ratio(ratios):
    a, b = ratios
    times = np.array([1e5, 1e6])
    limit = fl.ExtensiveQuadratic(a, ORTHONORMAL(b)).solve(times)
    gammas = 2 * times
    expected = (a - b) * b**3 / (32 * a**2)
    np.testing.assert_allclose(gammas**2 * limit.misalignment, expected, rtol=2e-5)
    np.testing.assert_allclose(gammas**2 * limit.risk, b * (a - b) / (16 * a), rtol=2e-5)
    assert abs(gammas[1] ** 2 * float(limit.misalignment[1]) / expected - 1) < 2e-6
    slope = float(limit.multiplier[1] - limit.multiplier[0]) / math.log(10)
    assert slope == pytest.approx((a - b) / (2 * a), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("start", ["gaussian", fl.Spectrum([0, 0.5, 1.5], [0.4, 0.3, 0.3])])
@pytest.mark.filterwarnings("ignore:The start has the trace")
def test_constants_above_hold_for_every_teacher_and_start(start):
    """gamma^2 d x risk tends to m n/(16 (m + n)), m the rank of the teacher and n that of the student beyond it."""
    m, n = 0.25, 0.35
    for teacher in (MARCHENKO_PASTUR(0.25), fl.Spectrum([0, 1, 7], [0.75, 0.125, 0.125])):
        limit = fl.ExtensiveQuadratic(0.6, teacher, start).solve([1e6])
        assert 4e12 * float(limit.risk[0]) == pytest.approx(m * n / (16 * (m + n)), rel=1e-5)
        limit = fl.ExtensiveQuadratic(0.6, teacher, start, "centred").solve([1e6])
        assert 4e12 * float(limit.risk[0]) == pytest.approx(n / 16, rel=1e-5)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.8])
def test_equal_ratios_decay_exponentially_with_relative_accuracy(ratio):
    gammas = np.append(ratio * np.array([8, 16, 24]), 2e6)
    limit = fl.ExtensiveQuadratic(ratio, ORTHONORMAL(ratio)).solve(gammas / 2)
    scaled = np.log(limit.misalignment.values[:3]) + 2 * gammas[:3] / ratio - 0.5 * np.log(gammas[:3])
    # The logarithm of the prefactor tends to a constant with corrections of order 1/gamma.
    assert abs(scaled[1] - scaled[0]) < 0.3 / (8 * ratio)
    assert abs(scaled[2] - scaled[1]) < 0.8 * abs(scaled[1] - scaled[0])
    expected = (ratio * math.log(ratio) + (1 - ratio) * math.log(1 - ratio)) / (2 * ratio)
    np.testing.assert_allclose(limit.multiplier[1:], expected, rtol=1e-10)
    assert float(limit.risk[3]) == 0
    assert float(limit.overlap[3]) == 1
    sharp = fl.ExtensiveQuadratic(ratio, ORTHONORMAL(ratio)).solve(gammas / 2, rtol=1e-11)
    assert 0 < float(sharp.risk[2]) < 1e-18
    np.testing.assert_allclose(limit.risk[:3], sharp.risk[:3], rtol=1e-9)
    np.testing.assert_allclose(limit.misalignment[:3], sharp.misalignment[:3], rtol=1e-9)


@pytest.mark.parametrize("ratios", [(0.25, 0.5), (0.1, 0.9), (0.48, 0.5), (0.4999, 0.5), (0.3, 1.5)])
def test_constants_below_the_teacher_ratio(ratios):
    a, b = ratios
    rank = min(b, 1)
    limit = fl.ExtensiveQuadratic(a, ORTHONORMAL(b)).solve([1e5, 1e6])
    assert float(limit.overlap[1]) == pytest.approx(math.sqrt(a / rank), rel=1e-10)
    assert float(limit.risk[1]) == pytest.approx((rank - a) / (a * rank), rel=1e-9)
    slope = float(limit.multiplier[1] - limit.multiplier[0]) / (2 * 9e5)
    assert slope == pytest.approx(-2 * (1 / a - 1 / rank), rel=1e-10)


def test_the_rate_below_the_teacher_ratio():
    gammas = np.array([1.0, 1.5, 2.0])
    limit = fl.ExtensiveQuadratic(0.25, ORTHONORMAL(0.5)).solve(gammas / 2, rtol=1e-11)
    distance = math.sqrt(0.5) - limit.overlap.values
    assert -np.diff(np.log(distance)) / 0.5 == pytest.approx([8, 8], rel=0.02)


def test_a_gaussian_teacher_below_its_ratio_loses_what_lies_below_the_quantile():
    """At late times the student holds the largest eigenvalues, shifted by the multiplier's velocity to the right trace."""
    z, q = naive.marchenko_pastur(0.5, 40_000)
    order = np.argsort(-z)
    z, q = z[order], q[order]
    kept = np.cumsum(q) <= 0.25
    limit = fl.ExtensiveQuadratic(0.25, MARCHENKO_PASTUR(0.5), "gaussian").solve([1e6])
    shift = (1 - q[kept] @ z[kept]) / 0.25
    expected = q[kept] @ np.full(kept.sum(), shift**2) + q[~kept] @ z[~kept] ** 2
    assert float(limit.risk[0]) == pytest.approx(expected, rel=2e-4)


CASES = [
    (0.5, ORTHONORMAL(0.25), "orthonormal"),
    (0.5, ORTHONORMAL(0.5), "orthonormal"),
    (0.25, ORTHONORMAL(0.5), "orthonormal"),
    (0.5 + 1e-12, ORTHONORMAL(0.5), "gaussian"),
    (0.5 - 1e-12, ORTHONORMAL(0.5), "orthonormal"),
    (0.5, MARCHENKO_PASTUR(0.25), "gaussian"),
    (0.5, MARCHENKO_PASTUR(0.5), "gaussian"),
    (0.49, MARCHENKO_PASTUR(0.5), "gaussian"),
    (0.25, MARCHENKO_PASTUR(0.5), "gaussian"),
    (0.9, MARCHENKO_PASTUR(0.99), "orthonormal"),
    (1.0, MARCHENKO_PASTUR(1.0), "gaussian"),
    (2.0, MARCHENKO_PASTUR(1.0), "orthonormal"),
    (1.0, fl.Spectrum([0.9, 1.0, 4.0], [0.7, 0.29, 0.01]).normalised(), "orthonormal"),
    (2.0, fl.Spectrum([0.5, 1.5], [0.5, 0.5]), "gaussian"),
    (1.00001, ORTHONORMAL(1.5), "gaussian"),
    (0.7, MARCHENKO_PASTUR(1.5), "gaussian"),
    (1.5, fl.Spectrum([0, 1e-5, 1, 3], [0.4, 0.1, 0.3, 0.2]).normalised(), "gaussian"),
    (0.6, fl.Spectrum([0, 1e-9, 1, 3], [0.4, 0.1, 0.3, 0.2]).normalised(), "orthonormal"),
]


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("case", CASES)
def test_relative_accuracy_of_risk_and_misalignment_to_late_times(case, activation):
    """Against a run with a tolerance three decades tighter, which has also more nodes for a continuous teacher."""
    times = np.geomspace(1e-2, 1e6, 60)
    problem = fl.ExtensiveQuadratic(*case, activation)
    limit = problem.solve(times)
    sharp = problem.solve(times, rtol=1e-11)
    for name in ("risk", "misalignment"):
        tiny = sharp[name].values < 1e-29
        np.testing.assert_allclose(limit[name].values[~tiny], sharp[name].values[~tiny], rtol=1e-8)
        assert (limit[name].values[tiny] < 1e-27).all()
    assert (np.diff(limit.risk) <= 1e-12).all()
    provenance = json.loads(limit.attrs["provenance"])
    if case[1].refine:
        assert provenance["quadrature_error"] < 1e-8
    if activation == "square":
        assert provenance["steps"] + provenance["rejected"] < 150
        np.testing.assert_allclose(limit.trace, 1, rtol=1e-10)


@pytest.mark.parametrize("student_ratio", [0.25, 0.4])
def test_sixty_four_nodes_suffice_from_the_teacher_ratio_on(student_ratio):
    times = np.linspace(0.025, 5, 200)
    few, many = (fl.ExtensiveQuadratic(student_ratio, MARCHENKO_PASTUR(0.25, n)).solve(times) for n in (64, 256))
    refined = fl.ExtensiveQuadratic(student_ratio, MARCHENKO_PASTUR(0.25)).solve(times)
    for other in (many, refined):
        np.testing.assert_allclose(few.risk, other.risk, rtol=1e-8)
        np.testing.assert_allclose(few.misalignment, other.misalignment, rtol=1e-8)


def test_nodes_are_refined_below_the_teacher_ratio():
    """Fixed nodes fail there: the marginal eigenvalues are a layer of width 1/gamma."""
    times = np.geomspace(0.1, 1e4, 20)
    fixed, refined = (
        fl.ExtensiveQuadratic(0.25, MARCHENKO_PASTUR(0.5, n), "gaussian").solve(times) for n in (64, "auto")
    )
    assert np.abs(fixed.risk / refined.risk - 1).max() > 1e-4
    many = fl.ExtensiveQuadratic(0.25, MARCHENKO_PASTUR(0.5, 1000), "gaussian").solve(times[:10])
    np.testing.assert_allclose(many.risk, refined.risk[:10], rtol=1e-6)


def test_many_times_cost_no_further_steps():
    problem = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25))
    few, many = (json.loads(problem.solve(np.geomspace(1e-2, 1e6, n)).attrs["provenance"]) for n in (2, 1000))
    assert few["steps"] == many["steps"] < 60
    assert few["evaluations"] < 250


def test_values_do_not_depend_on_the_other_times():
    problem = fl.ExtensiveQuadratic(0.25, ORTHONORMAL(0.5))
    times = np.geomspace(1e-2, 10, 7)
    together = problem.solve(times)
    alone = [float(problem.solve([t, 10.0]).risk[0]) for t in times[:-1]]
    np.testing.assert_array_equal(together.risk[:-1], alone)


def test_a_tighter_tolerance_is_obeyed():
    times = np.geomspace(0.05, 100, 30)
    problem = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25))
    reference = problem.solve(times, rtol=1e-11).risk
    errors = [float(np.abs(problem.solve(times, rtol=rtol).risk / reference - 1).max()) for rtol in (1e-4, 1e-6, 1e-8)]
    assert errors[0] < 1e-4
    assert errors[1] < 1e-6
    assert errors[2] < 1e-8
    assert errors[0] > 10 * errors[2]


def test_the_jacobian_of_the_lock_by_differences():
    from flowlimits.quadratic.extensive import collocation
    from flowlimits.quadratic.extensive.collocation import radau_tables

    points, A, B, _left, _weights = radau_tables(4)
    rng = np.random.default_rng(0)
    z, q = np.array([0.0, 0.6, 2.0, 3.0]), np.array([0.4, 0.3, 0.2, 0.1])
    bounded = np.array([False, False, True, True])
    nodes = (z, q, z == 0, bounded, -0.1, 0.6)
    gamma, h, rate, psi = 0.4, 0.3, -0.7, -0.2
    speed = (gamma + 0.5) * np.exp(h * points)
    gammas = gamma + (gamma + 0.5) * np.expm1(h * points)
    e = np.where(bounded, rng.uniform(-0.3, 0.2, 4), rng.uniform(0.1, 0.3, 4))
    inverses = np.empty((4, 4, 4))
    assert collocation.prepare(z, rate, h, speed, B, inverses, np.empty((4, 4)))
    for start in ((True, 0.5, np.zeros(0), np.zeros(0)), (False, 0.5, np.array([1.0, 3.0]), np.array([0.25, 0.25]))):

        def residuals(Q, start=start):
            drift, G, stages = np.empty(4), np.empty(4), np.empty((4, 4))
            assert collocation.follow(nodes, e, h, rate, speed, Q, A, B.sum(axis=1), inverses, drift, G, stages)
            jacobian, values, work = np.empty((4, 4)), np.empty(4), np.empty((7, 4))
            for i in range(4):
                offset = 4 * 0.6 * gammas[i] - 2 * (psi + rate * (gammas[i] - gamma) + drift[i])
                values[i] = collocation.lock(
                    nodes, inverses, i, stages[:, i].copy(), gammas[i], offset, start, 0.0, 1e-15,
                    h, rate, speed, Q, G, A, jacobian, work,
                )[0]  # fmt: skip
            return values, jacobian

        Q = rng.normal(size=4) * 0.2
        _values, jacobian = residuals(Q)
        step = 1e-5
        differences = [(residuals(Q + step * u)[0] - residuals(Q - step * u)[0]) / (2 * step) for u in np.eye(4)]
        np.testing.assert_allclose(jacobian, np.transpose(differences), rtol=1e-6, atol=1e-9)
