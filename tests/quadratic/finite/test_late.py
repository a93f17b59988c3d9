"""Late times of the exact quadratic flow: landscape, rates, and relative accuracy where numbers become small."""

import json

import numpy as np
import pytest

import flowlimits as fl


def plateau(l, m, centred=False):
    """Limit of the risk with fewer students than teachers, (Q10)."""
    rest = np.sort(l)[::-1][m:]
    return (rest**2).sum() + (0 if centred else rest.sum() ** 2 / (m + 2))


def eigenvalues(flow):
    return np.linalg.eigvalsh(flow.W_star @ flow.W_star.T / flow.W_star.size)[::-1]


@pytest.mark.parametrize(
    ("draw", "shape", "early", "late"),
    [
        ("gaussian", (30, 8, 3), 2e-5, 2e-8),
        ("gaussian", (20, 15, 12), 5e-5, 5e-8),
        # A square Gaussian start has singular values near zero, which take their time.
        ("gaussian", (12, 12, 3), 2e-2, 5e-4),
        ("gaussian", (8, 11, 3), 5e-5, 1e-7),
        ("gaussian", (6, 3, 1), 1e-6, 2e-8),
        ("orthonormal", (30, 8, 3), 2e-5, 2e-8),
        ("orthonormal", (20, 15, 12), 2e-5, 5e-8),
        ("orthonormal", (12, 12, 3), 2e-5, 2e-8),
        ("orthonormal", (8, 11, 3), 2e-5, 2e-8),
        ("orthonormal", (6, 3, 1), 2e-6, 2e-8),
    ],
)
def test_surplus_students_decay_as_the_square_of_time(draw, shape, early, late):
    d, p, k = shape
    flow = getattr(fl.QuadraticFlow, draw)(*shape, rng=0)
    result = flow.solve([1e6, 1e9])
    surplus = min(p, d) - k
    expected = surplus * (k + 2) / (64 * (k + 2 + surplus))
    assert 1e12 * float(result["risk"][0]) == pytest.approx(expected, rel=early)
    assert 1e18 * float(result["risk"][1]) == pytest.approx(expected, rel=late)
    centred = getattr(fl.QuadraticFlow, draw)(*shape, rng=0, activation="centred").solve([1e9])
    assert 1e18 * float(centred["risk"][0]) == pytest.approx(surplus / 64, rel=1e-6)


@pytest.mark.parametrize(
    "shape", [(30, 8, 3), (30, 3, 3), (30, 3, 6), (10, 12, 10), (20, 15, 12), (30, 1, 3), (10, 6, 8)]
)
def test_relative_accuracy_to_a_million(shape):
    flow = fl.QuadraticFlow.gaussian(*shape, rng=1)
    times = np.geomspace(1e-2, 1e6, 50)
    loose, tight = flow.solve(times), flow.solve(times, rtol=1e-12, atol=1e-14)
    for name in ("risk", "misalignment", "overlap", "trace"):
        kept = np.abs(tight[name]) > 1e-25
        np.testing.assert_allclose(loose[name][kept], tight[name][kept], rtol=2e-8, err_msg=name)
    work = json.loads(loose.attrs["provenance"])
    assert work["evaluations"] < 3000


def test_as_many_students_as_teachers_converge_exponentially_far_below_round_off():
    flow = fl.QuadraticFlow.gaussian(12, 3, 3, rng=0)
    slow = eigenvalues(flow)[-1]
    times = np.linspace(6, 12, 5) / slow
    risk = flow.solve(times)["risk"].values
    assert 0 < risk[-1] < 1e-40
    np.testing.assert_allclose(np.diff(np.log(risk)), -8 * slow * np.diff(times), rtol=1e-7)


def test_full_rank_teachers_are_learnt_at_the_slowest_rate():
    """m >= d = m*: exp(-2 nu s), nu the least of eig(4 diag(l) + 2 sqrt(l) sqrt(l)^T) and 2 (l_i + l_j)."""
    flow = fl.QuadraticFlow.gaussian(4, 6, 5, rng=2)
    l = np.linalg.eigvalsh(flow.W_star.T @ flow.W_star / flow.W_star.size)[::-1]
    root = np.sqrt(l)
    slow = min(np.linalg.eigvalsh(4 * np.diag(l) + 2 * np.outer(root, root))[0], 2 * (l[-1] + l[-2]))
    times = np.array([5.0, 6.0]) / slow
    risk = flow.solve(times, rtol=1e-11)["risk"].values
    assert np.log(risk[0] / risk[1]) == pytest.approx(4 * slow * (times[1] - times[0]), rel=1e-3)


@pytest.mark.parametrize("shape", [(30, 3, 6), (12, 1, 4), (10, 6, 8), (6, 4, 9), (30, 2, 12)])
@pytest.mark.parametrize("activation", ["square", "centred"])
def test_too_few_students_stop_at_the_plateau(shape, activation):
    flow = fl.QuadraticFlow.gaussian(*shape, rng=4, activation=activation)
    l = np.linalg.eigvalsh(flow.W_star.T @ flow.W_star / flow.W_star.size)
    risk = float(flow.solve([1e6])["risk"][0])
    assert risk == pytest.approx(plateau(l, shape[1], activation == "centred"), rel=1e-9)


def test_degenerate_teachers_leave_the_same_plateau():
    flow = fl.QuadraticFlow.orthonormal(12, 3, 7, rng=0)
    assert float(flow.solve([1e7])["risk"][0]) == pytest.approx(plateau(np.full(7, 1 / 7), 3), rel=1e-10)


@pytest.mark.parametrize("chosen", [(), (0,), (1,), (0, 2), (0, 1, 2)])
def test_stationary_points(chosen):
    l = np.array([0.5, 0.3, 0.2])
    rest = sum(l[i] for i in range(3) if i not in chosen)
    theta = -2 * rest / (len(chosen) + 2)
    W = np.zeros((3, 5))
    for row, i in enumerate(chosen):
        W[row, i] = np.sqrt(15 * (l[i] - theta / 2))
    W_star = np.hstack([np.diag(np.sqrt(15 * l)), np.zeros((3, 2))])
    expected = sum(l[i] ** 2 for i in range(3) if i not in chosen) + rest**2 / (len(chosen) + 2)
    result = fl.QuadraticFlow(W, W_star).solve([0.0, 1.0, 1e5], method="reduced")
    np.testing.assert_allclose(result["risk"], expected, rtol=1e-10, atol=1e-20)
    np.testing.assert_allclose(result["trace"], 1 + theta, rtol=1e-9)


def needle(overlap, d=20):
    W, W_star = np.zeros((1, d)), np.zeros((1, d))
    W_star[0, 0], W[0, 1:], W[0, 0] = np.sqrt(d), 1.0, overlap
    return fl.QuadraticFlow(W, W_star)


def test_tiny_overlaps_keep_their_digits_and_grow_at_the_right_rate():
    """From the plateau |R|^2 grows as exp(4 l s): a hundred times smaller an overlap escapes log(100)/(4 l) later in t."""
    flow = needle(1e-12)
    for method in ("reduced", "matrix"):
        first = float(flow.solve([0.0], method=method)["overlap"][0])
        assert first == pytest.approx(1e-24 / 19, rel=1e-12)
    times = np.geomspace(1e-2, 100, 50)
    escapes = [
        float(needle(c).solve(times, rtol=1e-11, events=fl.Event("overlap", 0.5))["event_time"][0])
        for c in (1e-10, 1e-12)
    ]
    assert escapes[1] - escapes[0] == pytest.approx(np.log(100) / 4, rel=1e-8)


def test_a_blind_student_stays_blind():
    result = needle(0.0).solve([1.0, 1e6])
    np.testing.assert_array_equal(result["overlap"], 0)
    np.testing.assert_allclose(result["misalignment"], 1, rtol=1e-15)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1e6, 1e12])
def test_norms_of_any_size(size):
    """d = p = k = 1: z = z*/(1 + (z*/z0 - 1) exp(-6 z* s))."""
    times = np.array([1e-20, 1e-3, 1.0, 30.0])
    z = fl.QuadraticFlow([[size]], [[1.0]]).solve(times, rtol=1e-11, method="reduced")["trace"]
    np.testing.assert_allclose(z, 1 / (size**-2.0 * np.exp(-12 * times) - np.expm1(-12 * times)), rtol=1e-8)


def test_zero_weights_stay():
    still = fl.QuadraticFlow(np.zeros((3, 5)), np.eye(2, 5)).solve([0.0, 1.0, 1e3])
    np.testing.assert_allclose(still["risk"], 2 * 0.1**2 + 0.2**2 / 2)
    np.testing.assert_array_equal(still["trace"], 0)
    np.testing.assert_allclose(still["multiplier"], -0.2 * 2 * still["time"])
    assert np.isnan(still["overlap"]).all()


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-12, 1e-60])
def test_small_starts_keep_their_digits_in_both_methods(size):
    """A small start grows linearly at first, whatever its size; later only the time to escape depends on it."""
    rng = np.random.default_rng(0)
    flow = fl.QuadraticFlow(size * rng.standard_normal((3, 6)), rng.standard_normal((2, 6)))
    first = flow.solve([0.0], method="reduced")
    times = [0.0, 0.5, 2.0, 10.0, 200.0]
    for method in ("reduced", "matrix"):
        result, tight = flow.solve(times, method=method), flow.solve(times, rtol=1e-12, atol=1e-14, method="reduced")
        np.testing.assert_allclose(result["misalignment"] + result["overlap"], 1, rtol=1e-12)
        np.testing.assert_allclose(result["overlap"], tight["overlap"], rtol=2e-7)
        np.testing.assert_allclose(result["trace"], tight["trace"], rtol=2e-6)
        assert float(result["overlap"][0]) == pytest.approx(float(first["overlap"][0]), rel=1e-12)
    assert float(result["risk"][-1]) < 0.5 * float(result["risk"][0])


def test_overlaps_below_round_off_are_seen_by_the_matrix_only():
    assert float(needle(1e-17).solve([0.0], method="matrix")["overlap"][0]) == pytest.approx(1e-34 / 19, rel=1e-12)
    assert float(needle(1e-17).solve([0.0], method="reduced")["overlap"][0]) == 0


def test_duplicated_units_count_once():
    w = np.random.default_rng(0).standard_normal((2, 9))
    W_star = np.random.default_rng(1).standard_normal((4, 9))
    l = np.linalg.eigvalsh(W_star @ W_star.T / W_star.size)
    result = fl.QuadraticFlow(np.vstack([w, w, w]), W_star).solve([1e5], method="reduced")
    assert float(result["risk"][0]) == pytest.approx(plateau(l, 2), rel=1e-9)


def test_weight_decay_kills_what_is_weaker_than_itself():
    """Centred: Z -> (Z* - weight_decay/4)^+, (Z* with eigenvalues 0.6 and 0.1)."""
    W_star = np.diag(np.sqrt([2.4, 0.4, 0, 0]))[:2] * np.sqrt(2)
    flow = fl.QuadraticFlow(np.random.default_rng(0).standard_normal((3, 4)), W_star, "centred", 0.7)
    result = flow.solve([500.0], observables=["eigenvalues"])
    np.testing.assert_allclose(result["eigenvalues"][0], [0, 0, 0, 0.425], atol=1e-10)
    square = fl.QuadraticFlow(flow.W, W_star, weight_decay=0.7).solve([500.0, 1e6])
    assert np.isfinite(square["risk"]).all()
    assert float(square["risk"][0]) == pytest.approx(float(square["risk"][1]), rel=1e-7)


def test_steep_complements_are_carried_as_rows(monkeypatch):
    """Students with directions that lie in the teacher's space: the exponent of the others then decides the formulation."""
    flow = fl.QuadraticFlow.gaussian(10, 8, 6, rng=0)
    times = np.geomspace(0.1, 1e4, 9)
    usual = flow.solve(times, rtol=1e-11, method="reduced")
    monkeypatch.setattr("flowlimits.quadratic.finite.reduced_path.STEEP", -1e9)
    rows = flow.solve(times, rtol=1e-11, method="reduced")
    for name in ("risk", "misalignment", "trace", "multiplier"):
        np.testing.assert_allclose(rows[name], usual[name], rtol=1e-7, atol=1e-12)
