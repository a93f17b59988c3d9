"""Fixed points of the overlaps: plateaus and minima that are known, their rates, and what the flow does near them."""

import math

import numpy as np
import pytest
from covariance_values import GROUPS, Q, R, T
from naive_committee import velocities

import flowlimits as fl

#: Two students between each other and a teacher, far from any fixed point.
START = ([[0.4, 0.3], [0.3, 0.4]], [[0.35, 0.31], [0.33, 0.35]])
ONE = {"Q": [[0.5]], "R": [[0.1]], "T": [[1.0]]}


def committee(**physics):
    return fl.Committee(*START, np.eye(2), **{"activation": "erf"} | physics)


def inside(points, n):
    """Whether small changes of any sign leave the overlaps of a point, with two orthonormal teachers, feasible."""
    Q, R = points["Q"].values[n], points["R"].values[n]
    return np.linalg.eigvalsh(np.block([[Q, R], [R.T, np.eye(2)]]))[0] > 1e-3


def restarted(one, points, n, **overlaps):
    """Return the problem that starts from a point, of which some overlaps may be others."""
    physics = {name: getattr(one, name) for name in ("activation", "learning_rate", "noise", "second_layer_rate", "covariance", "spherical")}  # fmt: skip
    suffix = "" if one.covariance is None else "_groups"
    found = {name: points[name + suffix].values[n] for name in "QR"} | overlaps
    layer = points["second_layer"].values[n] if "second_layer" in points else one.second_layer
    return fl.Committee(found["Q"], found["R"], one.T, second_layer=layer, **physics)


@pytest.mark.parametrize("K", [2, 3])
def test_the_plateau_of_saad_and_solla(K):
    # Phys. Rev. E 52, 4225: all students alike; their risk is that of sums, K^2 times that of means.
    noisy = np.random.default_rng(0).normal(size=(2, K, K)) * 0.01
    one = fl.Committee(np.full((K, K), 0.4) + 0.1 * np.eye(K), 0.35 + noisy[0], np.eye(K), activation="erf")
    found = one.fixed_points()
    np.testing.assert_allclose(found["Q"][0], 1 / (2 * K - 1), rtol=1e-6)
    np.testing.assert_allclose(found["R"][0], 1 / math.sqrt(K * (2 * K - 1)), rtol=1e-6)
    height = K / math.pi * (math.pi / 6 - K * math.asin(1 / (2 * K)))
    assert float(found["risk"][0]) * K**2 == pytest.approx(height, rel=1e-9)
    # Teachers are told apart in (K - 1)^2 directions.
    assert int(found["unstable"][0]) == (K - 1) ** 2
    assert (found["frequencies"] == 0).all()


def test_the_plateau_is_left_at_the_predicted_rate():
    one = committee()
    found = one.fixed_points()
    rate = float(found["eigenvalues"][0, 0])
    # Two equal weights with the overlaps of the plateau, and a small difference along that of the teachers.
    teacher, own = np.eye(2, 6), np.full((2, 2), 1 / math.sqrt(6))
    W = own @ teacher * 1.0
    W = W + 1e-5 * np.array([[1.0, -1.0], [-1.0, 1.0]]) @ teacher
    flow = fl.Committee.from_weights(W * math.sqrt(6), teacher * math.sqrt(6), activation="erf").solve([20.0, 120.0])
    apart = (flow["R"][:, 0, 0] - flow["R"][:, 0, 1]).values
    assert math.log(apart[1] / apart[0]) / 100.0 == pytest.approx(rate, rel=1e-3)


def test_every_rate_is_that_of_solutions_nearby():
    # The propagator over a short time, from differences of solutions, has the eigenvalues exp(rate t).
    one = committee(learning_rate=1.0, noise=0.1, second_layer_rate=0.5)
    found, last = one.fixed_points(12, rng=0), 0.5
    assert (np.diff(found["risk"]) >= 0).all()
    checked = 0
    for n in range(found.sizes["point"]):
        if not inside(found, n):
            continue
        checked += 1
        here = np.concatenate(
            [found["Q"].values[n][[0, 0, 1], [0, 1, 1]], found["R"].values[n].ravel(), found["second_layer"].values[n]]
        )
        columns = []
        for j in range(9):
            ends = []
            for step in (1e-5, -1e-5):
                y = here + step * np.eye(9)[j]
                moved = fl.Committee(
                    [[y[0], y[1]], [y[1], y[2]]], y[3:7].reshape(2, 2), np.eye(2), activation="erf", learning_rate=1.0, noise=0.1,
                    second_layer=y[7:], second_layer_rate=0.5,
                ).solve([last], rtol=1e-12, atol=1e-14)  # fmt: skip
                Q, R, a = (moved[name].values[0] for name in ("Q", "R", "second_layer"))
                ends.append(np.concatenate([Q[[0, 0, 1], [0, 1, 1]], R.ravel(), a]))
            columns.append((ends[0] - ends[1]) / 2e-5)
        values = np.log(np.linalg.eigvals(np.array(columns).T).astype(complex)) / last
        values = values[np.lexsort((-values.imag, -values.real))]
        np.testing.assert_allclose(found["eigenvalues"][n], values.real, atol=2e-6)
        np.testing.assert_allclose(np.abs(found["frequencies"][n]), np.abs(values.imag), atol=2e-6)
    assert checked >= 2


@pytest.mark.parametrize(
    "physics", [{"learning_rate": 0.1, "noise": 0.1}, {"activation": "hermite3", "learning_rate": 0.01, "weight_decay": 0.1}]
)  # fmt: skip
def test_rates_are_those_of_the_velocities_by_quadrature(physics):
    one = committee(**{"activation": "square"} | physics)
    found = one.fixed_points(4, rng=3)
    rows, columns = np.triu_indices(2)

    def rhs(y):
        Q = np.empty((2, 2))
        Q[rows, columns] = Q[columns, rows] = y[:3]
        dQ, dR, _, _ = velocities(one, Q, y[3:].reshape(2, 2), np.ones(2), one.learning_rate, 6)
        return np.concatenate([dQ[rows, columns], dR.ravel()])

    points = [n for n in range(found.sizes["point"]) if inside(found, n)]
    assert points
    for n in points:
        y = np.concatenate([found["Q"].values[n][rows, columns], found["R"].values[n].ravel()])
        speed = np.abs(found["eigenvalues"][n].values).max()
        assert np.abs(rhs(y)).max() < 1e-8 * speed
        step = 1e-4
        J = np.array([(rhs(y + step * e) - rhs(y - step * e)) / (2 * step) for e in np.eye(7)]).T
        expected = np.sort(np.linalg.eigvals(J).real)[::-1]
        np.testing.assert_allclose(found["eigenvalues"][n], expected, atol=2e-3 * speed)
        assert int(found["unstable"][n]) == (expected > 1e-5 * speed).sum()


def test_one_square_unit_has_the_rates_of_its_closed_form():
    # From dW = -2 (m W + 2 Q W - 2 R W*), m = Q - 1, on paper: the teacher, a unit that is orthogonal to it, and none.
    found = fl.Committee(**ONE).fixed_points(([[[0.9]], [[0.3]], [[1e-3]]], [[[0.9]], [[0.01]], [[1e-3]]]))
    np.testing.assert_allclose(found["Q"][:, 0, 0], [1, 1 / 3, 0], atol=1e-8)
    np.testing.assert_allclose(found["R"][:, 0, 0], [1, 0, 0], atol=1e-8)
    np.testing.assert_allclose(found["eigenvalues"], [[-8, -12], [4, -4], [6, 4]], rtol=1e-6)
    assert found["unstable"].values.tolist() == [0, 1, 2]
    assert found["reached"].values.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found["risk"], [0, (2 / 3) ** 2 / 2 + (1 / 9 + 1), 1.5], atol=1e-12)


@pytest.mark.parametrize("physics", [{"learning_rate": 0.5}, {"activation": "relu", "learning_rate": 0.5}])
def test_the_perfect_student_is_stable_without_noise(physics):
    one = committee(**physics)
    near = np.array([[0.9, 0.05], [0.02, 0.95]])
    # The students of the second start are those of the first, exchanged: one point.
    found = one.fixed_points(([np.eye(2) * 1.05, np.eye(2) * 1.05], [near, near[::-1]]))
    assert found.sizes["point"] == 1
    assert found["reached"].values.tolist() == [0, 0]
    assert int(found["unstable"][0]) == 0
    assert float(found["risk"][0]) < 1e-12
    np.testing.assert_allclose(found["Q"][0], np.eye(2), atol=1e-6)
    np.testing.assert_allclose(np.sort(found["R"][0].values.ravel()), [0, 0, 1, 1], atol=1e-6)


def test_square_units_that_turn_are_a_family():
    # Of p = k = 2 perfect students every rotation is one: a direction without a rate, and points that are not merged.
    found = committee(activation="square").fixed_points(6, rng=1)
    perfect = found.isel(point=found["risk"].values < 1e-12)
    assert perfect.sizes["point"] > 1
    assert (perfect["flat"] == 1).all()
    assert (perfect["unstable"] == 0).all()


@pytest.mark.parametrize("physics", [{}, {"spherical": True, "activation": "hermite3", "learning_rate": 0.02}])
def test_points_of_groups_stay_where_they_are(physics):
    one = fl.Committee(
        Q, R, T, covariance=GROUPS, **{"activation": "erf", "learning_rate": 0.5, "noise": 0.1} | physics
    )
    found = one.fixed_points(8, rng=0)
    later = restarted(one, found, 0).solve([1.0], observables=["Q_groups", "R_groups"])
    for name in ("Q", "R", "Q_groups", "R_groups"):
        np.testing.assert_allclose(later[name][0], found[name][0], atol=1e-6)
    plain = sum(one.Q[l] for l in range(len(one.Q))).diagonal()
    if one.spherical:
        np.testing.assert_allclose(found["Q_groups"][0].values.sum(0).diagonal(), plain, rtol=1e-10)
    assert found.sizes["mode"] == len(one.Q) * 7 - (2 if one.spherical else 0)


def test_points_are_found_again_and_kept(tmp_path):
    found = committee(learning_rate=0.5).fixed_points(4, rng=2)
    again = fl.rerun(found)
    np.testing.assert_array_equal(found["Q"], again["Q"])
    fl.save(found, tmp_path / "points.nc")
    np.testing.assert_array_equal(fl.rerun(tmp_path / "points.nc")["eigenvalues"], found["eigenvalues"])
    given = committee().fixed_points(START)
    np.testing.assert_array_equal(fl.rerun(given)["R"], given["R"])
    # Coordinates belong to the start, not to the equations.
    weights = fl.Committee.from_weights(np.array([[1.0, 0.0], [1.0, 1e-6]]), np.eye(2), activation="erf")
    assert weights.coordinates is not None
    assert weights.fixed_points().sizes["point"] == 1


@pytest.mark.parametrize(
    ("starts", "rng", "message"),
    [
        (0, None, "Argument `starts` must be at least 1, but is 0."),
        (2.5, None, "Argument `starts` must be a whole number, but is 2.5."),
        ("random", None, "Argument `starts` must be a whole number, but is 'random'."),
        (None, 3, "Argument `rng` belongs to random starts: give their number as `starts`."),
        ((np.eye(2),), None, r"Argument `starts` must be None, a number of random starts, or the arrays (Q, R), but is (array"),
        ((np.eye(3), np.eye(2)), None, "Argument `starts` must hold Q of shape (2, 2), or (starts, 2, 2), but it has shape (3, 3)."),
        (([np.eye(2)] * 2, [np.eye(2)] * 3), None, "Argument `starts` must hold arrays of equally many starts, but they have [2, 3]."),
    ],
)  # fmt: skip
def test_starts_that_are_none_are_refused(starts, rng, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        committee().fixed_points(starts, rng=rng)
    assert str(caught.value).startswith(message)


def test_equations_that_change_in_time_and_starts_that_lead_nowhere_are_refused():
    with pytest.raises(
        ValueError, match=r"^Argument `learning_rate` must be a number for fixed points, but is a Schedule"
    ):
        committee(learning_rate=fl.Schedule([0.0, 1.0], [1.0, 0.5])).fixed_points()
    # The noise of one square unit grows faster than the descent: no point but the teacher's, from whose far side none is reached.
    with pytest.raises(ArithmeticError, match=r"^No fixed point was found from 1 starts: .*Start nearer to one"):
        fl.Committee([[1.0]], [[0.0]], [[1.0]], activation="linear", learning_rate=3.0, noise=1.0).fixed_points()
