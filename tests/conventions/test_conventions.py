"""Conversions both ways, against the other convention's own equations, losses and file formats."""

import naive_committee as naive
import numpy as np
import pytest

import flowlimits as fl
from flowlimits import conventions


def runge_kutta(velocity, state, end, steps=200):
    h = end / steps
    for _ in range(steps):
        k1 = velocity(state)
        k2 = velocity(state + h / 2 * k1)
        k3 = velocity(state + h / 2 * k2)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(state + h * k3))
    return state


def overlaps(p, k, seed=0):
    F = np.random.default_rng(seed).normal(size=(p + k, p + k + 2)) / np.sqrt(p + k)
    C = F @ F.T
    return C[:p, :p], C[:p, p:], C[p:, p:]


def test_nn2pp_curves_solve_its_own_equations():
    K, M, v, A = 2, 2, np.array([0.8, 1.2]), np.array([1.0, -0.5])
    convention = fl.conventions.Nn2pp(K, M, 0.3, lr2=0.2, sigma=0.3, both=True)
    Q, R, T = overlaps(K, M)
    problem = convention.problem(Q, R, T, v=v, A=A)
    end = 1.0

    def velocity(state):
        q, r, a = state[:4].reshape(2, 2), state[4:8].reshape(2, 2), state[8:]
        return np.concatenate([part.ravel() for part in naive.saad_solla(q, r, T, A, a, 0.3, 0.2, 0.0, 0.3, True)])

    moved = runge_kutta(velocity, np.concatenate([Q.ravel(), R.ravel(), v]), end, steps=20)
    result = problem.solve(convention.to_time([end]))
    np.testing.assert_allclose(result["Q"][0].values.ravel(), moved[:4], rtol=1e-7)
    np.testing.assert_allclose(result["R"][0].values.ravel(), moved[4:8], rtol=1e-7)
    np.testing.assert_allclose(convention.from_second_layer(result["second_layer"][0]), moved[8:], rtol=1e-7)
    start = problem.solve([0.0])
    s, _ = naive.activation("erf")
    points, weight = naive.gauss(np.block([[Q, R], [R.T, T]]), 20)
    error = weight @ (s(points) @ np.concatenate([v, -A])) ** 2 / 2
    assert convention.from_risk(start["risk"][0]) == pytest.approx(error, rel=1e-5)


def test_nn2pp_parameters_return():
    for convention in (
        conventions.Nn2pp(3, 2, 0.3, wd=0.1, sigma=0.5, g="relu"), conventions.Nn2pp(3, 2, 0.3, lr2=0.7, both=True), conventions.Nn2pp(1, 1, 0.2, g="quad")
    ):  # fmt: skip
        again = conventions.Nn2pp.from_problem(convention.problem(*overlaps(convention.K, convention.M)))
        for name in ("K", "M", "lr", "wd", "sigma", "both", "g"):
            assert getattr(again, name) == pytest.approx(getattr(convention, name))
        assert again.lr2 == (pytest.approx(convention.lr2) if convention.both else None)


@pytest.mark.parametrize(
    "convention",
    [
        conventions.Nn2pp(3, 2, 0.3),
        conventions.Arnaboldi(0.1),
        conventions.Veiga(2.0, 0.5),
        conventions.Martin(3, 2),
        conventions.SaraoMannelli(),
    ],
    ids=lambda c: type(c).__name__,
)
def test_conversions_there_and_back_change_nothing(convention):
    numbers = np.array([0.1, 2.0, 30.0])
    np.testing.assert_allclose(convention.from_time(convention.to_time(numbers)), numbers, rtol=1e-15)
    np.testing.assert_allclose(convention.from_risk(convention.to_risk(numbers)), numbers, rtol=1e-15)
    for one, two in zip(convention.from_overlaps(*convention.to_overlaps(*overlaps(3, 2))), overlaps(3, 2)):
        np.testing.assert_allclose(one, two, rtol=1e-14)


def test_martin_flow_is_gradient_descent_on_its_own_loss():
    rng = np.random.default_rng(0)
    d, m, m_star = 6, 3, 2
    V, V_star = rng.normal(size=(d, m)) / 2, rng.normal(size=(d, m_star)) / 2
    convention = conventions.Martin(m, m_star)
    D = V @ V.T - V_star @ V_star.T
    loss = 0.5 * (D**2).sum() + 0.25 * np.trace(D) ** 2
    problem = convention.problem(V.T @ V, V.T @ V_star, V_star.T @ V_star)
    assert convention.from_risk(problem.solve([0.0])["risk"][0]) == pytest.approx(loss, rel=1e-12)
    end = 0.2

    def velocity(V):
        D = V @ V.T - V_star @ V_star.T
        return -2 * D @ V - np.trace(D) * V

    moved = runge_kutta(velocity, V, end)
    result = problem.solve(convention.to_time([end]))
    seen = convention.from_overlaps(result["Q"][0], result["R"][0], problem.T)[0]
    np.testing.assert_allclose(seen, moved.T @ moved, rtol=1e-7)


def test_sarao_mannelli_flow_is_the_flow_of_its_matrix():
    rng = np.random.default_rng(1)
    d, m, m_star = 5, 4, 2
    w, w_star = rng.normal(size=(m, d)) / 2, rng.normal(size=(m_star, d)) / 2
    convention = conventions.SaraoMannelli()
    A, A_star = w.T @ w / m, w_star.T @ w_star / m_star
    energy = 0.5 * np.trace((A - A_star) @ (A - A_star)) + 0.25 * np.trace(A - A_star) ** 2
    problem = convention.problem(w @ w.T, w @ w_star.T, w_star @ w_star.T)
    assert convention.from_risk(problem.solve([0.0])["risk"][0]) == pytest.approx(energy, rel=1e-12)
    end = 0.4

    def velocity(A):
        gradient = (A - A_star) + 0.5 * np.trace(A - A_star) * np.eye(d)
        return -A @ gradient - gradient @ A

    A = runge_kutta(velocity, A, end)
    Q = problem.solve(convention.to_time([end]))["Q"][0].values
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvalsh(Q / m))[-d:], np.sort(np.linalg.eigvalsh(A))[-m:], rtol=1e-6, atol=1e-9
    )


def test_arnaboldi_is_the_convention_of_the_package():
    """Their eqs. (27), (28) for the square activation, as printed."""
    Q, R, T = overlaps(3, 2)
    p, k, gamma = 3, 2, 0.0
    problem = conventions.Arnaboldi(gamma).problem(Q, R, T)
    h = 1e-4
    result = problem.solve([0.0, h, 2 * h], rtol=1e-13, atol=1e-15)
    mean = np.trace(T) / k - np.trace(Q) / p
    expected = {"R": 2 * mean * R + 4 * (R @ T / k - Q @ R / p), "Q": 4 * mean * Q + 8 * (R @ R.T / k - Q @ Q / p)}
    for name, wanted in expected.items():
        start, middle, end = result[name].values
        np.testing.assert_allclose((4 * middle - end - 3 * start) / (2 * h), wanted, rtol=1e-5, atol=1e-6)


def test_veiga_time_counts_the_same_steps():
    convention, d = conventions.Veiga(2.0, 0.5, kappa=0.5, delta=0.25), 10_000
    steps = 123_456
    theirs = steps / d ** (1 + 0.5 + 0.25)
    p, rate = convention.student_width(d), convention.learning_rate(d)
    assert convention.to_time(theirs) == pytest.approx(steps * rate / (p * d), rel=1e-12)
    assert convention.limit_rate(4) == 0.0
    assert conventions.Veiga(2.0, 0.5).limit_rate(4) == 1.0
    with pytest.raises(ValueError, match=r"must have a sum of at least 0, but it is -0.5"):
        conventions.Veiga(2.0, 0.5, kappa=0.0, delta=-0.5)


def test_veiga_problems_have_the_learning_rate_and_noise_of_the_limit():
    saad_solla = conventions.Veiga(2.0, 0.5, kappa=0.1 + 0.2, delta=-0.3, noise=0.2).problem(*overlaps(4, 2))
    assert (saad_solla.learning_rate, saad_solla.noise, saad_solla.activation) == (1.0, 0.2, "erf")
    assert conventions.Veiga(2.0, 0.5, kappa=-0.3, delta=0.1 + 0.2 - 1e-16).limit_rate(4) == 1.0
    blue = conventions.Veiga(2.0, 0.5, delta=0.5).problem(*overlaps(4, 2))
    assert blue.kind == "exact"


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (
            lambda: conventions.Martin(2, 1).problem(*overlaps(3, 1)),
            ValueError,
            r"Argument `Q` must have shape \(2, 2\), but has shape \(3, 3\).",
        ),
        (
            lambda: conventions.Nn2pp(2, 1, 0.1).problem(*overlaps(2, 2)),
            ValueError,
            r"Argument `R` must have shape \(2, 1\), but has shape \(2, 2\).",
        ),
        (lambda: conventions.Martin(0, 1), ValueError, "Argument `student_width` must be at least 1, but is 0."),
        (lambda: conventions.Arnaboldi(-0.1), ValueError, "Argument `gamma` must not be negative, but is -0.1."),
        (
            lambda: conventions.Veiga(1.0, 1.0, noise=-1.0),
            ValueError,
            "Argument `noise` must not be negative, but is -1.0.",
        ),
        (lambda: conventions.Veiga(1.0, 1.0, kappa="a"), TypeError, "Argument `kappa` must be a number, but is 'a'."),
    ],
)
def test_bad_parameters_are_refused_in_a_sentence(attempt, error, message):
    with pytest.raises(error, match=message):
        attempt()


def test_what_nn2pp_does_otherwise_is_refused():
    with pytest.raises(ValueError, match="Arguments `wd` and `both` cannot be combined"):
        conventions.Nn2pp(2, 2, 0.1, wd=0.1, both=True)
    with pytest.raises(ValueError, match="nn2pp knows the activations"):
        conventions.Nn2pp.from_problem(
            fl.Committee([[1.0]], [[0.1]], [[1.0]], activation="hermite3", learning_rate=0.1)
        )
    with pytest.raises(ValueError, match="constant, positive learning rate"):
        conventions.Nn2pp.from_problem(fl.Committee([[1.0]], [[0.1]], [[1.0]]))


def write_start(folder, **changes):
    arrays = dict(zip("QRT", overlaps(2, 3))) | {"A": np.ones((3, 1)), "v": np.ones((2, 1))} | changes
    for name, values in arrays.items():
        np.savetxt(folder / f"run_{name}0.dat", values, delimiter=",")
    return folder / "run", arrays


def test_a_stored_start_is_read(tmp_path):
    prefix, arrays = write_start(tmp_path)
    start = conventions.read_nn2pp_start(prefix)
    np.testing.assert_allclose(start["Q"], arrays["Q"])
    problem = conventions.Nn2pp(2, 3, 0.2).problem(**start)
    np.testing.assert_allclose(problem.teacher_second_layer, 3.0)
    (tmp_path / "run_T0.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"There is no file .*run_T0.dat."):
        conventions.read_nn2pp_start(prefix)
    prefix, _ = write_start(tmp_path, A=np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"_A0.dat must hold 3 numbers to fit _R0.dat, but holds 2."):
        conventions.read_nn2pp_start(prefix)


LOG = """# This is scm++
# g1=erf, g2=erf, N=784, M=1, K=2, steps/N=10, seed=0
# lr=0.5, lr2=0.5, sigma=0.1, wd=0, mini-batch size=1
# steps / N, eg, et, eg_frac, et_frac, diff
0, 0.25, nan, nan, nan, nan, 1.0, 0.1, 1.1, 0.01, -0.02, 1, 1, 1
1, 0.2, nan, nan, nan, 0.1, 1.2, 0.2, 1.3, 0.11, -0.12, 1, 1, 1
# CPU time used: 1 s
"""


def test_a_log_is_read_on_the_clock_of_the_package(tmp_path):
    path = tmp_path / "nn2pp.dat"
    path.write_text(LOG)
    convention, measured = conventions.read_nn2pp_log(path)
    assert convention == conventions.Nn2pp(2, 1, 0.5, sigma=0.1)
    np.testing.assert_allclose(measured["time"], [0.0, 0.25])
    np.testing.assert_allclose(measured["Q"][1], [[1.2, 0.2], [0.2, 1.3]])
    np.testing.assert_allclose(measured["R"][1, :, 0], [0.11, -0.12])
    np.testing.assert_allclose(measured["second_layer"], 2.0)
    assert measured.attrs["dimension"] == 784


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("sigma=0.1, ", ""), "is no log of nn2pp: its header does not state `sigma`"),
        (("K=2", "K=two"), "has a header with a parameter that is no number: .*'two'"),
        (("1.3", "1..3"), "must hold numbers between its commas: .*1..3"),
        (("g1=erf", "g1=relu"), "teacher and student with different activations"),
        (
            (", 0.11, -0.12", ""),
            r"must have 4 or 6 columns, or these and 8 order parameters for K = 2 and M = 1, but has \[12, 14\]",
        ),
    ],
)
def test_damaged_logs_are_refused(tmp_path, change, message):
    path = tmp_path / "nn2pp.dat"
    path.write_text(LOG.replace(*change))
    with pytest.raises(ValueError, match=message):
        conventions.read_nn2pp_log(path)


def test_a_log_of_the_ode_integrator_has_fewer_columns(tmp_path):
    path = tmp_path / "ode.dat"
    path.write_text(
        "# g1=g2=lin, M=1, K=1, steps/N=10, seed=0\n# lr=0.5, lr2=0.25, sigma=0, wd=0, dt 0.01, initial overlap=1e-9\n# training both layers\n"
        "0, 0.25, nan, nan, 1.0, 0.1, 1, 1\n0.5, 0.2, nan, nan, 1.0, 0.1, 1, 1\n"
    )
    convention, measured = conventions.read_nn2pp_log(path)
    assert convention == conventions.Nn2pp(1, 1, 0.5, lr2=0.25, both=True, g="lin")
    np.testing.assert_allclose(measured["time"], [0.0, 0.25])


def test_a_step_of_paquette_is_a_step_of_one_unit():
    """theta = w/sqrt(v): the same input moves both alike, and the losses differ by the half."""
    rng, v, gamma = np.random.default_rng(0), 7, 0.3
    theirs = conventions.Paquette(0.8, 0.4, gamma, v)
    problem = theirs.problem()
    assert problem.learning_rate == pytest.approx(gamma * v)
    j = np.arange(1, v + 1.0)
    x, b, theta = j**-0.8 * rng.standard_normal(v), j**-0.4, rng.standard_normal(v)
    w, w_star = np.sqrt(v) * theta, np.sqrt(v) * b
    np.testing.assert_allclose(problem.T, w_star**2 / v)
    np.testing.assert_allclose(problem.covariance.eigenvalues, j**-1.6)
    w = w - problem.learning_rate * ((w - w_star) @ x / np.sqrt(v)) * x / np.sqrt(v)
    theta = theta - gamma * x * (x @ theta - x @ b)
    np.testing.assert_allclose(w / np.sqrt(v), theta, rtol=1e-13)
    assert theirs.from_risk(problem.solve([0.0])["risk"][0]) == pytest.approx((j**-1.6 * b**2).sum())


@pytest.mark.parametrize(("batch", "ratio"), [(1, 4), (3, 2)])
def test_the_mean_loss_of_paquettes_loop_is_the_limit_at_small_rates(batch, ratio):
    """The exact recursion of the mean over batches of Gaussian inputs; what is left is of first order in gamma, of second for one input."""
    v, j = 5, np.arange(1, 6.0)
    c, b = j**-2.0, j**-0.3
    left = []
    for gamma in (0.02, 0.01):
        theirs = conventions.Paquette(1.0, 0.3, gamma, v, batch)
        steps, m = round(1.2 / (gamma * batch)), b**2
        for _ in range(steps):
            fresh = batch * (2 * c**2 * m + c * (c @ m)) + batch * (batch - 1) * c**2 * m
            m = m - 2 * gamma * batch * c * m + gamma**2 * fresh
        limit = theirs.from_risk(theirs.problem().solve(theirs.to_time([steps]), rtol=1e-11)["risk"][0])
        left.append(float(limit) / (c @ m) - 1)
    assert abs(left[1]) < 0.02
    assert left[0] / left[1] == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.25), (1.0, 1.5)])
def test_paquettes_exponents_are_seen(alpha, beta):
    theirs = conventions.Paquette(alpha, beta, 0.3, 10**9)
    steps = np.array([1e6, 1e7])
    loss = theirs.from_risk(theirs.problem(accuracy=1e-3).solve(theirs.to_time(steps))["risk"].values)
    assert -np.diff(np.log10(loss))[0] == pytest.approx(theirs.exponent, abs=5e-3)
