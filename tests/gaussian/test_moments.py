"""Moments of Gaussian fields against quadrature, Wick's theorem in SymPy, numerical derivatives and known values."""

import itertools
import math

import naive_committee as naive
import numpy as np
import pytest

from flowlimits.committee import activations
from flowlimits.gaussian import erf, hermite, relu
from tests.support import wick

NAMES = ("linear", "square", "hermite2", "hermite3", "hermite4")


def random_covariance(n, seed, rank=None):
    F = np.random.default_rng(seed).normal(size=(n, rank or n))
    return F @ F.T / n


def coefficients_of(name, q):
    out = np.zeros(activations.degree(name) + 1)
    hermite.coefficients(activations.table(name).ravel(), 0, len(out) - 1, q, out, 0)
    return out


@pytest.mark.parametrize("name", [*NAMES, (0.5, -1.0, 0.3, 2.0, -0.7)])
def test_coefficients_are_means_of_derivatives(name):
    x, w = np.polynomial.hermite_e.hermegauss(12)
    s, _ = naive.activation(name)
    for q in (0.0, 0.4, 1.7):
        expected = [
            w @ s.deriv(n)(math.sqrt(q) * x) / w.sum() if n else w @ s(math.sqrt(q) * x) / w.sum()
            for n in range(s.degree() + 1)
        ]
        np.testing.assert_allclose(coefficients_of(name, q), expected, rtol=1e-12, atol=1e-12)


def test_slopes_are_derivatives_of_the_coefficients():
    table, out = activations.table("hermite4").ravel(), np.zeros(5)
    hermite.slopes(table, 0, 4, 0.7, out, 0)
    step = 1e-6
    difference = (coefficients_of("hermite4", 0.7 + step) - coefficients_of("hermite4", 0.7 - step)) / (2 * step)
    np.testing.assert_allclose(out, 2 * difference, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("first", "second"), [("hermite3", "hermite4"), ("square", "hermite4"), ((1.0, 2.0, 3.0), (0.0, 1.0, 0.0, 1.0))]
)
def test_pairs_agree_with_wick_in_sympy(first, second):
    C = random_covariance(2, 3)
    expression = wick.moment(activations.coefficients(first), activations.coefficients(second))
    values = {symbol: C[i, j] for i, j in ((0, 0), (0, 1), (1, 1)) for symbol in [wick.covariance(2)[i, j]]}
    c, d = coefficients_of(first, C[0, 0]), coefficients_of(second, C[1, 1])
    assert hermite.pair(c, 0, d, 0, min(len(c), len(d)), C[0, 1]) == pytest.approx(
        float(expression.subs(values)), rel=1e-12
    )


def test_wick_in_sympy_knows_the_moments_of_one_field():
    C11 = wick.covariance(1)[0, 0]
    assert wick.moment([0, 0, 0, 0, 0, 0, 1]) == 15 * C11**3


def test_arcsines_survive_round_off():
    x = np.concatenate([np.linspace(-1, 1, 4001), [1 + 1e-12, -1 - 1e-12, 1e-300]])
    values = x.copy()
    erf.arcsines(values, x.size)
    np.testing.assert_allclose(values, np.arcsin(np.clip(x, -1, 1)), rtol=0, atol=5e-16)


def test_erf_pair_is_the_derivative_of_the_arcsine():
    def K(q, r, x):
        return 2 / np.pi * math.asin(x / math.sqrt((1 + q) * (1 + r)))

    q, r, x, step = 0.8, 1.3, -0.6, 1e-6
    A, B = erf.two_fields(q, r, x)
    assert pytest.approx((K(q + step, r, x) - K(q - step, r, x)) / step, rel=1e-8) == A
    assert pytest.approx((K(q, r, x + step) - K(q, r, x - step)) / (2 * step), rel=1e-8) == B


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1)])
def test_erf_noise_agrees_with_quadrature(i, j):
    C, w = random_covariance(3, 5), np.array([0.7, -1.1, 0.4])
    points, weight = naive.gauss(C, 70)
    s, ds = naive.activation("erf")
    expected = weight @ (((s(points) @ w) ** 2 + 0.3) * ds(points[:, i]) * ds(points[:, j]))
    assert erf.noise(C, w, i, j, 3, 0.3, np.zeros(3), np.zeros(6)) == pytest.approx(expected, abs=1e-9)


def test_relu_pair_is_the_arc_cosine_formula():
    def K(q, r, x):
        theta = math.acos(x / math.sqrt(q * r))
        return math.sqrt(q * r) * (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / (2 * math.pi)

    q, r, x, step = 0.8, 1.3, -0.6, 1e-6
    A, B, value = relu.two_fields(q, r, x)
    assert value == pytest.approx(K(q, r, x), rel=1e-13)
    assert pytest.approx((K(q + step, r, x) - K(q - step, r, x)) / step, rel=1e-8) == A
    assert pytest.approx((K(q, r, x + step) - K(q, r, x - step)) / (2 * step), rel=1e-8) == B


def test_relu_angle_is_accurate_near_coincidence():
    for angle in (1e-3, 1e-6):
        assert relu.angle(1.0, 1.0, math.cos(angle)) == pytest.approx(angle, rel=2e-16 / angle**2 + 1e-12)
    assert relu.angle(1.0, 1.0, 1.0) == 0.0


def test_relu_four_fields_agree_with_monte_carlo():
    C = random_covariance(4, 0)
    rng = np.random.default_rng(1)
    z = rng.standard_normal((400_000, 4)) @ np.linalg.cholesky(C).T
    s, positive, values = np.maximum(z, 0), z > 0, np.zeros(relu.NODES)
    worst = 0.0
    for i, l, u, v in itertools.product(range(4), repeat=4):
        sample = positive[:, i] * positive[:, l] * s[:, u] * s[:, v]
        error = sample.std() / math.sqrt(len(z))
        worst = max(worst, abs(relu.two_indicators(C, i, l, u, v, values) - sample.mean()) / error)
    assert worst < 4.0


def in_a_plane(F, i, l, u, v):
    """Return E[1_i 1_l s_u s_v] of fields F @ (two Gaussians), by the arcs on which all four are positive."""
    angles, sizes = np.arctan2(F[:, 1], F[:, 0]), np.hypot(*F.T)
    ends = np.sort([(angles[k] + side * math.pi / 2) % (2 * math.pi) for k in {i, l, u, v} for side in (1, -1)])
    total, both = 0.0, angles[u] + angles[v]
    for a, b in itertools.pairwise([*ends, ends[0] + 2 * math.pi]):
        if all(math.cos((a + b) / 2 - angles[k]) > 0 for k in (i, l, u, v)):
            total += math.cos(angles[u] - angles[v]) * (b - a) + (math.sin(2 * b - both) - math.sin(2 * a - both)) / 2
    return sizes[u] * sizes[v] * total / (2 * math.pi)


def test_relu_four_fields_in_a_plane_have_their_closed_form():
    rng, values = np.random.default_rng(0), np.zeros(relu.NODES)
    for number in range(400):
        F = rng.normal(size=(4, 2))
        places = (0, 1, 2, 3) if number % 2 else rng.integers(0, 4, 4).tolist()
        C = F @ F.T
        scale = math.sqrt(C[places[2], places[2]] * C[places[3], places[3]])
        found = relu.two_indicators(C, *places, values)
        assert found == pytest.approx(in_a_plane(F, *places), abs=3e-9 * scale), places


def test_relu_fields_next_to_a_plane_continue_those_off_it(monkeypatch):
    rng = np.random.default_rng(1)
    fields = [np.hstack([rng.normal(size=(4, 2)), 1e-4 * rng.normal(size=(4, 2))]) for _ in range(200)]
    near = [relu.given_three.py_func(F @ F.T, 0, 1, 2, 3) for F in fields]
    monkeypatch.setattr(relu, "PLANE", 0.0)
    off = [relu.given_three.py_func(F @ F.T, 0, 1, 2, 3) for F in fields]
    np.testing.assert_allclose(near, off, rtol=0, atol=3e-7)
    assert near != off
    small = max(abs(a - b) for a, b in zip(near, off))
    flat = [in_one(F) for F in fields]
    assert small < 0.1 * max(abs(a - b) for a, b in zip(near, flat))


def in_one(F):
    """Return E_0[1_1 1_2 s_3] of fields in a plane: given that the first is zero, the others are multiples of one Gaussian."""
    across = np.array([-F[0, 1], F[0, 0]]) / math.hypot(F[0, 0], F[0, 1])
    a, b, c = F[1:, :2] @ across
    return abs(c) / math.sqrt(2 * math.pi) if a * b > 0 and a * c > 0 else 0.0


def test_relu_four_fields_are_symmetric():
    C, values = random_covariance(4, 2), np.zeros(relu.NODES)
    first = relu.two_indicators(C, 0, 1, 2, 3, values)
    for order in ((1, 0, 2, 3), (0, 1, 3, 2), (1, 0, 3, 2)):
        assert relu.two_indicators(C, *order, values) == pytest.approx(first, abs=1e-9)


@pytest.mark.parametrize(("rho", "expected"), [(0.5, 1 / 5), (0.0, 1 / 16), (1 - 1e-12, 1 / 2)])
def test_orthants_of_equal_correlations(rho, expected):
    C = np.full((4, 4), rho) + (1 - rho) * np.eye(4)
    assert relu.orthant(C, 0, 1, 2, 3, np.zeros(relu.NODES)) == pytest.approx(
        expected, abs=1e-6 if rho > 0.9 else 1e-10
    )


def test_orthant_error_is_as_stated_near_coincidence_too():
    worst = 0.0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        F = rng.normal(size=(4, 4))
        if seed % 3:
            closeness = 10.0 ** -rng.uniform(1, 5)
            F[2] = F[0] + closeness * rng.normal(size=4)
            F[3] = (1 if seed % 2 else -1) * F[1] + closeness * rng.normal(size=4)
        C = F @ F.T
        scale = 1 / np.sqrt(np.diag(C))
        reference = naive.orthant(C * np.outer(scale, scale), 300)
        worst = max(worst, abs(relu.orthant(C, 0, 1, 2, 3, np.zeros(relu.NODES)) - reference))
    assert worst < 3e-9
