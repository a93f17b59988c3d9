"""The exact quadratic flow against its definition, its closed form, and its theorems."""

import numpy as np
import pytest
from naive import closed_form, gradient, matrices, observables, outputs, risk, weights_at

import flowlimits as fl
from flowlimits.quadratic.finite import equations_general_algebra

NAMES = ("risk", "overlap", "misalignment", "trace")
SHAPES = [(12, 5, 3), (12, 2, 5), (6, 9, 3), (6, 4, 9), (10, 8, 6), (10, 6, 8), (8, 1, 3), (8, 3, 1), (5, 5, 5)]
PHYSICS = [{}, {"weight_decay": 0.15}, {"activation": "centred"}, {"activation": "centred", "weight_decay": 0.4}]
TIGHT = {"rtol": 1e-12, "atol": 1e-14}


def drawn(d, p, k, seed=0, **physics):
    return fl.QuadraticFlow.gaussian(d, p, k, rng=seed, **physics)


def test_risk_is_half_the_mean_squared_error():
    flow = drawn(6, 3, 2)
    x = np.random.default_rng(1).standard_normal((400_000, 6))
    squares = 0.5 * (outputs(flow.W, x) - outputs(flow.W_star, x)) ** 2
    sampled, error = squares.mean(), squares.std() / np.sqrt(len(x))
    assert abs(float(flow.solve([0.0])["risk"][0]) - sampled) < 4 * error


@pytest.mark.parametrize("physics", PHYSICS)
def test_the_flow_descends_the_gradient_of_the_risk(physics):
    flow = drawn(5, 3, 2, **physics)
    centred, decay = flow.activation == "centred", flow.weight_decay
    p, d = flow.W.shape
    velocity = -p * d * gradient(flow.W, flow.W_star, centred) - decay * flow.W
    h = 1e-4
    for method in ("reduced", "matrix"):
        Z = flow.solve([0.0, h, 2 * h], method=method, keep_state=True, **TIGHT)["Z"].values
        rate = (-3 * Z[0] + 4 * Z[1] - Z[2]) / (2 * h)
        expected = (velocity.T @ flow.W + flow.W.T @ velocity) / (p * d)
        np.testing.assert_allclose(rate, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("physics", PHYSICS)
def test_both_methods_agree_with_the_weights_of_scipy(shape, physics):
    flow = drawn(*shape, **physics)
    times = np.array([0.0, 0.01, 0.3, 2.0, 10.0])
    W, multiplier = weights_at(flow.W, flow.W_star, times, flow.weight_decay, flow.activation == "centred")
    expected = [observables(w, flow.W_star, flow.activation == "centred") for w in W]
    for method in ("reduced", "matrix"):
        result = flow.solve(
            times, method=method, **TIGHT, observables=["overlap", "misalignment", "trace", "multiplier", "eigenvalues"]
        )
        for name in NAMES:
            np.testing.assert_allclose(
                result[name], [row[name] for row in expected], atol=1e-9, err_msg=f"{method} {name}"
            )
        np.testing.assert_allclose(result["multiplier"], multiplier, atol=1e-9)
        spectra = [np.linalg.eigvalsh(matrices(w, flow.W_star)[0]) for w in W]
        np.testing.assert_allclose(result["eigenvalues"], spectra, atol=1e-9)


@pytest.mark.parametrize(("shape", "decay"), [((6, 3, 2), 0.0), ((5, 2, 4), 0.0), ((6, 4, 2), 0.2)])
def test_both_methods_agree_with_the_closed_form(shape, decay):
    flow = drawn(*shape, weight_decay=decay)
    Z, multiplier = closed_form(flow.W, flow.W_star, 1.5, decay)
    for method in ("reduced", "matrix"):
        result = flow.solve([1.5], method=method, keep_state=True, **TIGHT)
        np.testing.assert_allclose(result["Z"][0], Z, atol=2e-9)
        assert float(result["multiplier"][0]) == pytest.approx(multiplier, abs=2e-9)


@pytest.mark.parametrize("draw", ["gaussian", "orthonormal"])
@pytest.mark.parametrize(
    "shape", [(30, 8, 3), (20, 16, 12), (12, 3, 8), (10, 14, 3), (10, 14, 12), (12, 1, 1), (9, 9, 9)]
)
def test_the_methods_agree_for_named_starts(draw, shape):
    flow = getattr(fl.QuadraticFlow, draw)(*shape, rng=3)
    times = np.append(0, np.geomspace(1e-3, 50, 10))
    reduced, direct = (flow.solve(times, method=method, **TIGHT) for method in ("reduced", "matrix"))
    for name in (*NAMES, "multiplier"):
        np.testing.assert_allclose(reduced[name], direct[name], atol=1e-9)


def test_large_matrices_take_the_same_values_through_blas(monkeypatch):
    flow = drawn(30, 12, 9)
    times = np.linspace(0, 3, 40)
    compiled = flow.solve(times, method="matrix", **TIGHT)
    monkeypatch.setattr("flowlimits.quadratic.finite.matrix_path.LARGE", 0.0)
    blas = flow.solve(times, method="matrix", **TIGHT)
    for name in (*NAMES, "multiplier"):
        np.testing.assert_allclose(blas[name], compiled[name], atol=1e-10)


def test_many_requested_times_are_integrated_in_pieces(monkeypatch):
    flow = drawn(8, 3, 4)
    times = np.linspace(0, 3, 40)
    whole = flow.solve(times, method="matrix", **TIGHT)
    monkeypatch.setattr("flowlimits.quadratic.finite.matrix_path.ROOM", 100.0)
    pieces = flow.solve(times, method="matrix", **TIGHT)
    for name in (*NAMES, "multiplier"):
        np.testing.assert_allclose(pieces[name], whole[name], atol=1e-10)
    with pytest.raises(fl.ode.IntegrationError) as caught:
        flow.solve(times, method="matrix", max_steps=40, **TIGHT)
    done = caught.value.partial.sizes["time"]
    assert 4 < done < 40
    np.testing.assert_allclose(caught.value.partial["risk"], whole["risk"][:done], atol=1e-10)
    assert caught.value.report.steps + caught.value.report.rejected == 40


def test_principal_angles_agree_with_the_general_route():
    flow = fl.QuadraticFlow.orthonormal(14, 6, 4, rng=0)
    times = np.geomspace(1e-2, 100, 9)
    blocks = flow.solve(times, **TIGHT)
    general = flow.solve(
        times, keep_state=True, method="reduced", **TIGHT
    )  # the basis is kept by the general route only
    for name in (*NAMES, "multiplier"):
        np.testing.assert_allclose(blocks[name], general[name], rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("physics", [{}, {"activation": "centred"}])
def test_the_risk_never_increases_and_the_rank_is_conserved(physics):
    flow = drawn(9, 3, 4, **physics)
    result = flow.solve(np.linspace(0, 20, 400), observables=["eigenvalues"])
    assert (np.diff(result["risk"]) <= 1e-12).all()
    assert ((result["eigenvalues"].values > 1e-10).sum(axis=1) == 3).all()


def test_rotations_change_nothing():
    flow = drawn(8, 4, 3)
    rng = np.random.default_rng(5)
    O, P, R = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (4, 3, 8))
    turned = fl.QuadraticFlow(O @ flow.W @ R, P @ flow.W_star @ R)
    times = [0.5, 5.0, 500.0]
    for method in ("reduced", "matrix"):
        a, b = flow.solve(times, method=method, **TIGHT), turned.solve(times, method=method, **TIGHT)
        for name in (*NAMES, "multiplier"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("method", ["reduced", "matrix"])
def test_a_perfect_student_does_not_move(method):
    W = np.random.default_rng(0).standard_normal((3, 7))
    result = fl.QuadraticFlow(W, W).solve([1.0, 1e3], method=method)
    np.testing.assert_allclose(result["risk"], 0, atol=1e-20)
    np.testing.assert_allclose(result["overlap"], 1, atol=1e-12)


def test_decoupled_scalar_solutions():
    """d = p = k = 1: z = z*/(1 + (z*/z0 - 1) exp(-6 z* s)); Z0 = z0 I, Z* = l I: logistic of rate (4 + 2 d) l, centred 4 l."""
    times = np.array([0.1, 0.5, 1.0, 3.0])
    z0, l = 0.3, 0.8
    z = fl.QuadraticFlow([[z0**0.5]], [[l**0.5]]).solve(times, **TIGHT)["trace"]
    np.testing.assert_allclose(z, l / (1 + (l / z0 - 1) * np.exp(-6 * l * 2 * times)), rtol=1e-10)
    d = 4
    for activation, rate in (("square", (4 + 2 * d) * l), ("centred", 4 * l)):
        W, W_star = d * z0**0.5 * np.eye(d), d * l**0.5 * np.eye(d)
        trace = fl.QuadraticFlow(W, W_star, activation).solve(times, **TIGHT)["trace"]
        np.testing.assert_allclose(trace, d * l / (1 + (l / z0 - 1) * np.exp(-rate * 2 * times)), rtol=1e-10)


def test_observables_of_the_named_draws():
    flow = fl.QuadraticFlow.orthonormal(40, 10, 8, rng=1)
    np.testing.assert_allclose(flow.W @ flow.W.T, 40 * np.eye(10), atol=1e-12)
    wide = fl.QuadraticFlow.orthonormal(5, 8, 2, rng=1)
    np.testing.assert_allclose(wide.W.T @ wide.W, 8 * np.eye(5), atol=1e-12)
    assert flow == fl.QuadraticFlow.orthonormal(40, 10, 8, rng=1)
    assert flow != fl.QuadraticFlow.orthonormal(40, 10, 8, rng=2)


def test_first_risk_is_that_of_the_definition():
    flow = drawn(7, 3, 4)
    for method in ("reduced", "matrix"):
        assert float(flow.solve([0.0], method=method)["risk"][0]) == pytest.approx(risk(flow.W, flow.W_star), rel=1e-12)


def test_the_hessian_of_the_risk():
    """d2L[H, H] = 2 <D + theta/2, H H^T> + |S|^2 + (tr S)^2 / 2, S = V H^T + H V^T, theta = tr D; risk = 2 L, V = W^T/sqrt(p d)."""
    rng = np.random.default_rng(3)
    W, W_star, direction = (rng.standard_normal((n, 6)) for n in (4, 2, 4))
    V, H = W.T / np.sqrt(24), direction.T / np.sqrt(24)
    Z, Z_star = matrices(W, W_star)
    D, S = Z - Z_star, V @ H.T + H @ V.T
    for centred, activation in ((False, "square"), (True, "centred")):
        theta = 0.0 if centred else np.trace(D)
        curvature = (
            2 * np.sum((D + theta / 2 * np.eye(6)) * (H @ H.T))
            + np.sum(S**2)
            + (0 if centred else np.trace(S) ** 2 / 2)
        )

        def at(h, activation=activation):
            return float(fl.QuadraticFlow(W + h * direction, W_star, activation).solve([0.0])["risk"][0])

        h = 1e-3
        assert (at(h) - 2 * at(0.0) + at(-h)) / h**2 == pytest.approx(2 * curvature, rel=1e-5)


def test_saddle_points_repel_along_missing_directions_only():
    """At Z_S the curvature along a teacher direction that is not learnt is negative, unless the strongest are."""
    l = np.array([0.5, 0.3, 0.2])
    W_star = np.hstack([np.diag(np.sqrt(15 * l)), np.zeros((3, 2))])
    for learnt, missing in (((1,), 0), ((2,), 0), ((2,), 1), ((0,), 1), ((0,), 2), ((1,), 2)):
        rest = sum(l) - l[learnt[0]]
        W = np.zeros((1, 5))
        W[0, learnt[0]] = np.sqrt(5 * (l[learnt[0]] + rest / 3))
        risks = []
        for h in (-1e-2, 0.0, 1e-2):
            moved = W.copy()
            moved[0, missing] += h
            risks.append(float(fl.QuadraticFlow(moved, W_star).solve([0.0])["risk"][0]))
        curvature = risks[0] - 2 * risks[1] + risks[2]
        assert (curvature < 0) == (l[missing] > l[learnt[0]])


def test_a_direction_that_is_ten_digits_smaller_is_kept_or_said_to_be_dropped():
    """Two students but for 1e-11: the second direction grows, and decides where the flow ends."""
    W, W_star = np.array([[0.07, 0.02, 0.0, 0.0]] * 2), np.diag([4.0, 3.0, 2.0, 0.0])[:3]
    W[1, 1] += 1e-12
    times = [0.5, 30.0]
    states, _ = weights_at(W, W_star, times, 0.0, True, rtol=1e-12)
    known = [risk(V, W_star, True) for V in states]
    problem = fl.QuadraticFlow(W, W_star, activation="centred")
    np.testing.assert_allclose(problem.solve(times)["risk"], known, rtol=1e-7)
    with pytest.warns(UserWarning, match="The reduced form drops a direction of the start that is smaller"):
        wrong = problem.solve(times, method="reduced")["risk"].values
    assert wrong[1] > 2 * known[1]


def test_rows_in_blocks_become_orthonormal_with_the_same_bits(monkeypatch):
    """Of a large matrix, whose earlier rows are read once for a block; one row is zero, and one nearly depends on others."""
    plain = np.random.default_rng(0).standard_normal((40, 90))
    plain[7] = 0.0
    plain[20] = plain[3] + 1e-9 * plain[20]
    rows, blocks = plain.copy(), plain.copy()
    equations_general_algebra.orthonormalise.py_func(rows, np.zeros(40))
    monkeypatch.setattr(equations_general_algebra, "LARGE", 0)
    equations_general_algebra.orthonormalise.py_func(blocks, np.zeros(40))
    np.testing.assert_array_equal(rows, blocks)
    expected = np.eye(40)
    expected[7, 7] = 0.0
    np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-14)
