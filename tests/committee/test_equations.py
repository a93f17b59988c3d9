"""Velocities of the order parameters against their definition, the printed equations of Saad & Solla, and gradients of the risk."""

import naive_committee as naive
import numpy as np
import pytest

import flowlimits as fl
from flowlimits.committee import limit as solution
from flowlimits.committee import many
from flowlimits.committee.equations import evaluate as scalars
from flowlimits.committee.equations import layout, moments, system
from flowlimits.ode.batch import trace

PAIRS = [
    ("square", None), ("centred", None), ("hermite2", "square"), ("square", "centred"), ("centred", "square"),
    ("hermite3", "hermite4"), ("hermite4", "linear"), ("linear", "hermite3"), ((0.3, 1.0, -0.4, 0.2), "centred"), ("centred", "hermite3"), ("erf", None),
]  # fmt: skip


def problem_of(seed, p=2, k=1, **physics):
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(p + k, p + k + 1)) / np.sqrt(p + k)
    C = F @ F.T
    physics = {"second_layer": rng.normal(size=p), "teacher_second_layer": rng.normal(size=k)} | physics
    return fl.Committee(C[:p, :p], C[:p, p:], C[p:, p:], **physics)


def velocity(problem, rate, rhs=None):
    family = system.choose(problem)
    state, params = system.start(problem), system.parameters(problem, rate)
    out = np.empty((1, state.size))
    scalars.velocities((rhs or family.rhs).address, state[None], params, np.zeros(family.work_size), out)
    dQ, dR, da = system.unpack(problem, out[0])
    return dQ, dR, da if problem.second_layer_rate > 0 else None, float(solution.risks(problem, family, state))


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
def test_velocities_follow_from_the_update_of_the_weights(student, teacher):
    problem = problem_of(
        1, activation=student, teacher_activation=teacher, noise=0.3, weight_decay=0.2, second_layer_rate=0.7
    )
    nodes = 70 if student == "erf" else 16
    expected = naive.velocities(problem, problem.Q, problem.R, problem.second_layer, 0.4, nodes)
    for seen, wanted in zip(velocity(problem, 0.4), expected):
        np.testing.assert_allclose(seen, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("student", ["square", "hermite3", "erf"])
def test_the_spherical_constraint_keeps_norms(student):
    problem = problem_of(2, activation=student, noise=0.3, spherical=True)
    expected = naive.velocities(
        problem, problem.Q, problem.R, problem.second_layer, 0.4, 60 if student == "erf" else 12
    )
    dQ, dR, _, _ = velocity(problem, 0.4)
    np.testing.assert_allclose(dQ, expected[0], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(dR, expected[1], rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(np.diag(dQ), 0.0)


def test_matrix_form_and_summed_pairings_are_one_mathematics():
    problem = problem_of(3, p=4, k=3, noise=0.2, second_layer_rate=0.5)
    matrix = velocity(problem, 0.3)
    # The coefficients (0, 1e-300, 1) are the square again, but no quadratic form in the sense of the matrix equations.
    general = fl.Committee(
        problem.Q, problem.R, problem.T, activation=(0.0, 1e-300, 1.0), noise=0.2, second_layer=problem.second_layer,
        teacher_second_layer=problem.teacher_second_layer, second_layer_rate=0.5,
    )  # fmt: skip
    assert system.choose(general).rhs is moments.rhs_polynomial
    for one, two in zip(matrix, velocity(general, 0.3)):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["square", "centred", "hermite2"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_wide_networks_by_blas_agree_with_loops(activation, rate):
    from flowlimits.committee.equations import square as equations_square

    problem = problem_of(4, p=20, k=10, noise=0.2, second_layer_rate=0.5, activation=activation)
    assert system.choose(problem).rhs is not equations_square.rhs
    for one, two in zip(velocity(problem, rate), velocity(problem, rate, equations_square.rhs)):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("equal", "rate", "most"), [(True, 0.0, 405), (False, 0.0, 460), (True, 0.3, 680), (False, 0.3, 770)]
)
def test_straight_lines_of_squares_need_few_operations(equal, rate, most):
    """Besides the products of matrices, 10 and 16 of their rows, only weights and sums of diagonals."""
    problems = [
        problem_of(
            seed, 4, 4, noise=0.1, **({"second_layer": np.ones(4), "teacher_second_layer": np.ones(4)} if equal else {})
        )
        for seed in range(3)
    ]
    family, params = system.choose(problems[0]), np.array([system.parameters(one, rate) for one in problems])
    flags = [place for place in range(layout.HEADER) if place not in many.NUMBERS]
    program = trace.trace(family.rhs.__wrapped__, 26, params, family.work_size, equations=flags)
    operations = [one[0] for one in program.operations if one[0] not in ("y", "input")]
    assert 26 * 15 < len(operations) <= most


@pytest.mark.parametrize("activation", ["square", "centred", "hermite3", "erf", "relu"])
def test_gradient_flow_descends_the_gradient_of_the_risk(activation):
    """d risk/dt = -|grad|^2 with the gradient taken numerically in the space of the weights."""
    rng = np.random.default_rng(5)
    d, p, k = 7, 3, 2
    W, W_star = rng.normal(size=(p, d)), rng.normal(size=(k, d))
    physics = {"activation": activation, "second_layer": [1.0, -0.5, 2.0], "teacher_second_layer": [1.0, 0.7]}

    def risk(V):
        one = fl.Committee.from_weights(V, W_star, **physics)
        return float(solution.risks(one, system.choose(one), system.start(one)))

    step, gradient = 1e-5, np.zeros((p, d))
    for index in np.ndindex(p, d):
        shift = np.zeros((p, d))
        shift[index] = step
        gradient[index] = (risk(W + shift) - risk(W - shift)) / (2 * step)
    dW = -p * d * gradient
    dQ, dR, _, _ = velocity(fl.Committee.from_weights(W, W_star, **physics), 0.0)
    np.testing.assert_allclose(dR, dW @ W_star.T / d, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dQ, (dW @ W.T + W @ dW.T) / d, rtol=1e-6, atol=1e-7)


def test_erf_equations_are_those_of_saad_and_solla():
    rng = np.random.default_rng(6)
    K, M, lr, lr2, sigma, wd = 3, 2, 0.3, 0.2, 0.4, 0.1
    F = rng.normal(size=(K + M, 8)) / 3
    C = F @ F.T
    Q, R, T = C[:K, :K], C[:K, K:], C[K:, K:]
    A, v = rng.normal(size=M), rng.normal(size=K)
    dQ, dR, dv = naive.saad_solla(Q, R, T, A, v, lr, lr2, 0.0, sigma, True)
    problem = fl.Committee(
        Q,
        R,
        T,
        activation="erf",
        learning_rate=lr,
        noise=sigma**2,
        second_layer=K * v,
        teacher_second_layer=M * A,
        second_layer_rate=K**2 * lr2 / lr,
    )
    ours = velocity(problem, lr)
    clock = lr / K
    np.testing.assert_allclose(ours[0] * clock, dQ, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(ours[1] * clock, dR, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(ours[2] * clock, K * dv, rtol=1e-11, atol=1e-14)
    dQ, dR, _ = naive.saad_solla(Q, R, T, A, v, lr, lr2, wd, sigma, False)
    decayed = fl.Committee(
        Q,
        R,
        T,
        activation="erf",
        learning_rate=lr,
        noise=sigma**2,
        second_layer=K * v,
        teacher_second_layer=M * A,
        weight_decay=K * wd / lr,
    )
    ours = velocity(decayed, lr)
    np.testing.assert_allclose(ours[0] * clock, dQ, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(ours[1] * clock, dR, rtol=1e-11, atol=1e-14)


def test_relu_noise_is_the_mean_over_fresh_inputs():
    problem = problem_of(7, activation="relu", noise=0.3)
    quiet, loud = velocity(problem, 0.0), velocity(problem, 1.0)
    rng = np.random.default_rng(8)
    C = np.block([[problem.Q, problem.R], [problem.R.T, problem.T]])
    z = rng.standard_normal((400_000, 3)) @ np.linalg.cholesky(C).T
    a, b = problem.second_layer, problem.teacher_second_layer
    error = np.maximum(z[:, 2:], 0) @ b - np.maximum(z[:, :2], 0) @ a / 2
    assert loud[3] == pytest.approx(0.5 * np.mean(error**2), rel=0.02)
    for i in range(2):
        for j in range(2):
            sample = a[i] * a[j] / 2 * (error**2 + 0.3) * (z[:, i] > 0) * (z[:, j] > 0)
            deviation = (loud[0][i, j] - quiet[0][i, j]) - sample.mean()
            assert abs(deviation) < 4 * sample.std() / np.sqrt(len(z))


def test_a_perfect_student_does_not_move():
    T = np.array([[1.0, 0.2], [0.2, 0.8]])
    # The orthant probabilities of ReLU are known to 3e-9.
    for activation, error in (("square", 1e-12), ("hermite4", 1e-12), ("erf", 1e-12), ("relu", 3e-9)):
        scale = np.abs(velocity(fl.Committee(0.9 * T, 0.9 * T, T, activation=activation), 0.5)[0]).max()
        dQ, dR, _, risk = velocity(fl.Committee(T, T, T, activation=activation), 0.5)
        np.testing.assert_allclose(dQ, 0.0, atol=error * scale)
        np.testing.assert_allclose(dR, 0.0, atol=1e-12 * scale)
        assert risk == pytest.approx(0.0, abs=1e-13)
