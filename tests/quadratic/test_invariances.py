"""What changes nothing, and what changes by a known factor: for random problems, with tolerances of the solvers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlimits as fl

few = settings(max_examples=12)
SEEDS = st.integers(0, 10**6)
FACTORS = st.floats(0.3, 3.0)
TIMES = np.array([0.05, 0.3, 2.0])
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


@st.composite
def weights(draw):
    """Weights of student and teacher, and the generator that drew them."""
    generator = np.random.default_rng(draw(SEEDS))
    d = draw(st.integers(2, 6))
    p, k = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return generator.standard_normal((p, d)), generator.standard_normal((k, d)), generator


def rotation(generator, size):
    return np.linalg.qr(generator.standard_normal((size, size)))[0]


def same(first, second, names=("risk", "overlap"), tolerance=1e-7):
    for name in names:
        np.testing.assert_allclose(first[name].values, second[name].values, rtol=tolerance, atol=1e-12, err_msg=name)


# Rotations and permutations


@few
@given(weights(), st.sampled_from(["square", "centred"]), st.floats(0.0, 0.5))
def test_rotations_of_inputs_and_units_leave_the_quadratic_flow(drawn, activation, decay):
    W, W_star, generator = drawn
    physics = {"activation": activation, "weight_decay": decay}
    plain = fl.QuadraticFlow(W, W_star, **physics).solve(TIMES, **TIGHT)
    turned = rotation(generator, W.shape[1])
    units = rotation(generator, len(W))
    same(plain, fl.QuadraticFlow(W @ turned, W_star @ turned, **physics).solve(TIMES, **TIGHT))
    same(plain, fl.QuadraticFlow(units @ W, W_star, **physics).solve(TIMES, **TIGHT))


@few
@given(weights(), st.sampled_from(["square", "erf", "relu", "hermite3"]))
def test_rotations_of_inputs_leave_the_overlaps_of_committees(drawn, activation):
    W, W_star, generator = drawn
    turned = rotation(generator, W.shape[1])
    first = fl.Committee.from_weights(W, W_star, activation=activation)
    second = fl.Committee.from_weights(W @ turned, W_star @ turned, activation=activation)
    for name in ("Q", "R", "T"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=1e-13)


@few
@given(weights(), st.sampled_from(["square", "erf", "relu"]), st.sampled_from([0.0, 0.01]))
def test_the_order_of_hidden_units_is_a_name_only(drawn, activation, rate):
    W, W_star, generator = drawn
    order, a = generator.permutation(len(W)), generator.uniform(0.5, 1.5, len(W))
    physics = {"activation": activation, "learning_rate": rate, "second_layer_rate": 0.3}
    first = fl.Committee.from_weights(W, W_star, second_layer=a, **physics).solve(TIMES[:2], rtol=1e-9)
    second = fl.Committee.from_weights(W[order], W_star, second_layer=a[order], **physics).solve(TIMES[:2], rtol=1e-9)
    same(first, second, ["risk"])
    np.testing.assert_allclose(first["R"].values[:, order], second["R"].values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(first["Q"].values[:, order][:, :, order], second["Q"].values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(first["second_layer"].values[:, order], second["second_layer"].values, rtol=1e-6)


@few
@given(SEEDS, st.sampled_from(["relu", "tanh", "softplus", "square"]))
def test_the_order_of_units_and_samples_is_a_name_only(seed, activation):
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((5, 3)), generator.standard_normal(5)
    W, a = 0.5 * generator.standard_normal((4, 3)), generator.standard_normal(4)
    units, rows = generator.permutation(4), generator.permutation(5)
    solve = {"rtol": 1e-6, "atol": 1e-9} if activation != "relu" else {"rtol": 1e-5}
    first = fl.SampleFlow(X, y, weights=(W, a), activation=activation).solve([0.1, 0.5], **solve)
    second = fl.SampleFlow(X[rows], y[rows], weights=(W[units], a[units]), activation=activation).solve(
        [0.1, 0.5], **solve
    )
    same(first, second, ["risk"])
    np.testing.assert_allclose(
        first["second_layer"].values[:, units], second["second_layer"].values, rtol=1e-6, atol=1e-9
    )


@few
@given(SEEDS, st.sampled_from(["squared", "logistic"]))
def test_the_order_of_units_is_a_name_only_in_the_mixture(seed, loss):
    generator = np.random.default_rng(seed)
    problem = fl.XorMixture(4, loss=loss, label_noise=0.1, second_layer_rate=1.0, scale=0.3, dimension=20, rng=seed)
    order = generator.permutation(4)
    Q, R, a = problem.Q[np.ix_(order, order)], problem.R[order], problem.second_layer[order]
    permuted = fl.XorMixture(Q=Q, R=R, second_layer=a, loss=loss, label_noise=0.1, second_layer_rate=1.0)
    same(problem.solve([0.3, 1.0]), permuted.solve([0.3, 1.0]), ["risk", "error"], 1e-6)


# Units of weights, labels and time


@few
@given(weights(), FACTORS, st.sampled_from(["reduced", "matrix"]))
def test_weights_in_other_units_run_on_another_clock(drawn, factor, method):
    W, W_star, _ = drawn
    plain = fl.QuadraticFlow(W, W_star).solve(TIMES, method=method, **TIGHT)
    scaled = fl.QuadraticFlow(factor * W, factor * W_star).solve(
        TIMES / factor**2, method=method, rtol=1e-10, atol=1e-13
    )
    same(plain, scaled, ["overlap"], 1e-6)
    np.testing.assert_allclose(scaled["risk"], factor**4 * plain["risk"], rtol=1e-6, atol=1e-15 * factor**4)


@few
@given(SEEDS, FACTORS)
def test_labels_in_other_units_run_on_another_clock(seed, factor):
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((5, 3)), generator.standard_normal(5)
    W, a = 0.5 * generator.standard_normal((4, 3)), 0.5 * generator.standard_normal(4)
    times = np.array([0.1, 0.5])
    plain = fl.SampleFlow(X, y, weights=(W, a)).solve(times, rtol=1e-6)
    scaled = fl.SampleFlow(X, factor**2 * y, weights=(factor * W, factor * a)).solve(times / factor**2, rtol=1e-6)
    np.testing.assert_allclose(scaled["risk"], factor**4 * plain["risk"], rtol=1e-5)


@few
@given(SEEDS, FACTORS)
def test_alignment_with_labels_in_other_units_runs_on_another_clock(seed, factor):
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((6, 3)), generator.standard_normal(6)
    start = generator.standard_normal((4, 3))
    times = np.array([0.5, 4.0])
    plain = fl.EarlyAlignment(X, y, start).solve(times)
    scaled = fl.EarlyAlignment(X, factor * y, start).solve(times / factor)
    same(plain, scaled, ["direction", "balance", "log_norm"], 1e-7)


@few
@given(weights(), st.floats(1e-3, 2e-2), st.sampled_from(["square", "erf"]))
def test_a_constant_schedule_is_a_learning_rate(drawn, rate, activation):
    W, W_star, _ = drawn
    plain = fl.Committee.from_weights(W, W_star, activation=activation, learning_rate=rate)
    constant = fl.Committee.from_weights(
        W, W_star, activation=activation, learning_rate=fl.Schedule([0.0, 0.1], [rate, rate])
    )
    same(plain.solve(TIMES[:2], rtol=1e-9), constant.solve(TIMES[:2], rtol=1e-9), ["risk", "R"])


@few
@given(SEEDS, FACTORS, st.sampled_from(["linf", "l2", "l1"]))
def test_the_norm_of_the_inputs_is_the_unit_of_the_margin(seed, factor, geometry):
    X = np.random.default_rng(seed).standard_normal((4, 3))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    start = np.array([1.0, 0.1, -0.1])
    clock = [3.0, 20.0]
    plain = fl.MarginFlow(fl.margin.LinearModel(), X, y, weights=start, geometry=geometry).solve(clock, rtol=1e-4)
    scaled = fl.MarginFlow(fl.margin.LinearModel(), factor * X, y, weights=start / factor, geometry=geometry).solve(
        clock, rtol=1e-4
    )
    np.testing.assert_allclose(scaled["margin"], factor * plain["margin"], rtol=1e-3)


# What flows keep and what they lower


@few
@given(weights(), st.sampled_from(["square", "centred"]), st.sampled_from(["reduced", "matrix"]))
def test_the_quadratic_flow_lowers_the_risk_and_keeps_the_rank(drawn, activation, method):
    W, W_star, _ = drawn
    times = np.geomspace(1e-3, 20, 30)
    flow = fl.QuadraticFlow(W, W_star, activation=activation).solve(
        times, method=method, observables=["overlap", "misalignment", "trace", "eigenvalues"]
    )
    risk, eigenvalues = flow["risk"].values, flow["eigenvalues"].values
    assert (np.diff(risk) <= 1e-7 * risk[:-1] + 1e-15).all()
    assert ((flow["overlap"] >= -1e-9) & (flow["overlap"] <= 1 + 1e-9)).all()
    np.testing.assert_allclose(flow["overlap"] + flow["misalignment"], 1.0, atol=1e-9)
    np.testing.assert_allclose(eigenvalues.sum(axis=1), flow["trace"], rtol=1e-6)
    rank = min(W.shape)
    assert (np.abs(eigenvalues[:, : W.shape[1] - rank]) <= 1e-9 * eigenvalues[:, -1:]).all()
    assert (eigenvalues[:3, W.shape[1] - rank :] > 0).all()


@few
@given(weights(), st.sampled_from(["square", "centred", "erf", "relu", "hermite3"]))
def test_gradient_flow_of_committees_lowers_the_risk(drawn, activation):
    W, W_star, _ = drawn
    flow = fl.Committee.from_weights(W, W_star, activation=activation, second_layer_rate=0.5).solve(
        np.linspace(0, 1, 20),
        rtol=1e-9,
        observables=["subspace_share"] + ["overlap"] * (activation in ("square", "centred")),
    )
    risk = flow["risk"].values
    assert (np.diff(risk) <= 1e-8 * risk[:-1] + 1e-13).all()
    assert ((flow["subspace_share"] >= -1e-9) & (flow["subspace_share"] <= 1 + 1e-9)).all()
    if "overlap" in flow:
        assert (np.abs(flow["overlap"]) <= 1 + 1e-9).all()
    norms = np.sqrt(np.einsum("tii->ti", flow["Q"].values)[:, :, None] * np.diag(W_star @ W_star.T / W.shape[1]))
    assert (np.abs(flow["R"].values) <= norms * (1 + 1e-7)).all()


@few
@given(SEEDS, st.sampled_from(["relu", "tanh", "softplus", "square"]), st.sampled_from(["squared", "logistic"]))
def test_gradient_flow_of_samples_lowers_the_loss(seed, activation, loss):
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((5, 3)), generator.choice([-1.0, 1.0], 5)
    flow = fl.SampleFlow(X, y, width=4, scale=0.5, activation=activation, loss=loss, rng=seed).solve(
        np.linspace(0, 2, 15)
    )
    risk = flow["risk"].values
    assert (np.diff(risk) <= 1e-6 * risk[:-1]).all()


@few
@given(
    st.floats(0.1, 1.5),
    st.floats(0.1, 1.2),
    st.sampled_from(["square", "centred"]),
    st.sampled_from(["orthonormal", "gaussian"]),
)
def test_the_extensive_limit_lowers_the_risk(student, teacher, activation, start):
    problem = fl.ExtensiveQuadratic(student, fl.Spectrum.orthonormal(teacher), start, activation)
    limit = problem.solve(np.geomspace(0.01, 20, 25))
    risk, overlap = limit["risk"].values, limit["overlap"].values
    assert (np.diff(risk) <= 1e-6 * risk[:-1] + 1e-12).all()
    assert ((overlap >= -1e-9) & (overlap <= 1 + 1e-9)).all()


@few
@given(st.lists(st.floats(0, 4), min_size=2, max_size=5).filter(lambda v: max(v) > 0.1), st.floats(0.05, 2))
def test_the_mean_field_limit_lowers_the_risk(values, start):
    limit = fl.MeanFieldQuadratic(values, start).solve(np.geomspace(0.01, 20, 25))
    risk = limit["risk"].values
    assert (np.diff(risk) <= 1e-6 * risk[:-1] + 1e-14).all()
    assert (limit["eigenvalues"].values >= -1e-12).all()
    assert (limit["overlap"].values <= 1 + 1e-9).all()


@few
@given(SEEDS)
def test_unit_directions_stay_unit_and_balanced_units_stay_balanced(seed):
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((7, 3)), generator.standard_normal(7)
    flow = fl.EarlyAlignment(X, y, width=5, rng=seed).solve([0.5, 5.0, 50.0])
    np.testing.assert_allclose(np.linalg.norm(flow["direction"].values, axis=2), 1.0, atol=1e-10)
    np.testing.assert_allclose(np.abs(flow["balance"]), 1.0, atol=1e-12)


# Integrators


@few
@given(SEEDS, st.sampled_from(["dop853", "radau", "radau9"]), st.sampled_from([1e-5, 1e-8]))
def test_interpolated_outputs_agree_with_steps_that_end_there(seed, method, rtol):
    generator = np.random.default_rng(seed)
    rates = generator.uniform(0.1, 3.0, 3)
    times = np.sort(generator.uniform(0.1, 5.0, 40))
    both = [
        fl.ode.integrate(
            spiral, [1.0, 0.5, -1.0], times, params=rates, rtol=rtol, atol=rtol, method=method, dense=dense
        )[1]
        for dense in (True, False)
    ]
    assert np.abs(both[0] - both[1]).max() <= 100 * rtol


@fl.ode.right_hand_side
def spiral(t, y, dy, params, work):
    dy[0] = -params[0] * y[1]
    dy[1] = params[1] * y[0]
    dy[2] = -params[2] * y[2] + np.sin(t)


# Random streams


def _runs(kind, seed, threads):
    common = {"rng": seed, "threads": threads, "progress": False}
    if kind == "extensive":
        return fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), "gaussian").simulate(
            [0.1], dimension=8, runs=3, **common
        )
    if kind == "committee":
        problem = fl.Committee([[0.5]], [[0.1]], [[1.0]], learning_rate=0.1)
        return problem.simulate([0.1], dimension=5, runs=3, **common)
    if kind == "mixture":
        problem = fl.XorMixture(2, noise_scale=0.5, learning_rate=0.5, dimension=10, rng=0)
        return problem.simulate([0.1], dimension=6, runs=3, **common)
    if kind == "mean field":
        return fl.MeanFieldQuadratic([1.0, 0.5], 0.3).simulate([0.1], student_width=3, runs=3, **common)
    X = np.array([[1.0, 0.2], [-0.4, 1.0], [0.3, -1.0]])
    if kind == "margin":
        problem = fl.MarginFlow(fl.margin.LinearModel(), X, [1, -1, 1], weights=[1.0, -0.2])
        return problem.simulate([1.0], learning_rate=0.1, batch=1, runs=3, **common)
    return fl.GuessAndCheck(X, [1, -1, 1], X, [1, -1, 1]).simulate([2], runs=5, **common)


@pytest.mark.parametrize("kind", ["extensive", "committee", "mixture", "mean field", "margin", "random networks"])
@settings(max_examples=3)
@given(SEEDS, st.integers(2, 4))
def test_the_number_of_threads_changes_no_bit(kind, seed, threads):
    one, several = _runs(kind, seed, 1), _runs(kind, seed, threads)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name].values, several[name].values, err_msg=str(name))


@few
@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_more_runs_leave_the_first_ones_as_they_are(seed, count, more):
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]], learning_rate=0.1)
    short = problem.simulate([0.1], dimension=5, runs=count, rng=seed)
    long = problem.simulate([0.1], dimension=5, runs=count + more, rng=seed)
    np.testing.assert_array_equal(short["risk"].values, long["risk"].values[:count])
