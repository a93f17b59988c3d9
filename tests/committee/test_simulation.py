"""Simulations at finite dimension: laws, agreement with the equations, continuation, bad arguments."""

import re

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.committee.simulation import overlap_sgd as chain
from flowlimits.committee.simulation import run
from flowlimits.committee.simulation.run import plan
from flowlimits.core import results

START = fl.Committee.random(2, 1, dimension=200, rng=3)


def committee(**physics):
    return fl.Committee(START.Q, START.R, START.T, **physics)


def overlap_table(result):
    """Return Q, R and risk at the last time, shape (runs, numbers)."""
    last = result.isel(time=-1)
    runs = last.sizes["run"]
    return np.concatenate(
        [last["Q"].values.reshape(runs, -1), last["R"].values.reshape(runs, -1), last["risk"].values[:, None]], axis=1
    )


def ks_distance(first, second):
    both = np.sort(np.concatenate([first, second]))
    return np.abs(
        np.searchsorted(np.sort(first), both, "right") / len(first)
        - np.searchsorted(np.sort(second), both, "right") / len(second)
    ).max()


PHYSICS = [
    {"activation": "square", "learning_rate": 0.03, "noise": 0.2},
    {"activation": "centred", "learning_rate": 0.03, "noise": 0.2, "weight_decay": 0.5},
    {"activation": "erf", "learning_rate": 0.5, "noise": 0.2, "second_layer_rate": 0.5},
    {"activation": "relu", "learning_rate": 0.5, "noise": 0.2, "spherical": True},
]


def same_law(physics, runs, dimension, time):
    problem = committee(**physics)
    one, two = (
        overlap_table(problem.simulate([time], dimension=dimension, runs=runs, rng=seed, method=method, progress=False))
        for seed, method in ((1, "overlaps"), (2, "samples"))
    )
    error = np.sqrt((one.var(axis=0, ddof=1) + two.var(axis=0, ddof=1)) / runs)
    moving = one.std(axis=0) > 1e-12
    deviation = np.abs(one.mean(axis=0) - two.mean(axis=0))[moving] / error[moving]
    # Kurtosis is measured: variances of skew quantities scatter more than those of normal ones.
    kurtosis = ((one - one.mean(axis=0)) ** 4).mean(axis=0)[moving] / one.var(axis=0)[moving] ** 2
    spread = np.abs(np.log(one.var(axis=0)[moving] / two.var(axis=0)[moving])) / np.sqrt(2 * (kurtosis - 1) / runs)
    distance = max(ks_distance(one[:, i], two[:, i]) for i in np.flatnonzero(moving))
    return deviation.max(), spread.max(), distance * np.sqrt(runs / 2)


@pytest.mark.parametrize("physics", PHYSICS, ids=lambda physics: physics["activation"])
def test_chain_and_real_weights_have_one_law(physics):
    """Small dimension, so that every term of order 1/d counts; many steps, so that coordinates are compressed often."""
    mean, spread, distance = same_law(physics, runs=500, dimension=12, time=0.5)
    assert mean < 4.2
    assert spread < 4.5
    assert distance < 2.1


@pytest.mark.slow
@pytest.mark.parametrize("physics", PHYSICS, ids=lambda physics: physics["activation"])
@pytest.mark.parametrize("dimension", [3, 8, 40])
def test_chain_and_real_weights_have_one_law_in_many_runs(physics, dimension):
    mean, spread, distance = same_law(physics, runs=4000, dimension=dimension, time=1.0)
    assert mean < 4.5
    assert spread < 5
    assert distance < 2.3


def test_the_mean_square_of_a_fresh_input_is_exact():
    """One step from R = 0, a = 1, no teacher signal: E Q grows by the exact second moment of the input, |x|^2 = d included."""
    d, runs, noise = 9, 2000, 4.0
    problem = fl.Committee([[1.0]], [[0.0]], [[0.0]], activation="linear", learning_rate=0.5, noise=noise)
    result = problem.simulate([0.5 / d], dimension=d, runs=runs, rng=0, progress=False)
    Q = result["Q"].values[:, 0, 0, 0]
    g = 0.5 / d
    # e = lam - sqrt(noise) xi: E dQ = -2 g E[e lam] + g^2 E[e^2 |x|^2], with E[lam^2 |x|^2] = d + 2.
    expected = 1 - 2 * g + g**2 * (d + 2 + noise * d)
    assert abs(Q.mean() - expected) < 4 * Q.std() / np.sqrt(runs)
    without_the_two = 1 - 2 * g + g**2 * (d + noise * d)
    assert abs(Q.mean() - without_the_two) < 0.1


@pytest.mark.parametrize(
    "physics", [*PHYSICS, {"activation": "hermite3", "learning_rate": 0.01}], ids=lambda physics: physics["activation"]
)
def test_simulations_follow_the_equations(physics):
    problem, times = committee(**physics), np.array([0.2, 0.5, 1.0])
    seen = problem.simulate(times, dimension=20_000, runs=4, rng=5, progress=False)
    theory = problem.solve(seen["time"].values)
    for name in ("risk", "Q", "R"):
        difference = seen[name].mean("run") - theory[name]
        np.testing.assert_allclose(
            difference, 0.0, atol=6 / np.sqrt(4 * 20_000) * max(1.0, float(np.abs(theory[name]).max()))
        )


@pytest.mark.parametrize("activation", ["square", "centred", "hermite3", "erf", "relu"])
def test_gradient_descent_tends_to_the_flow_with_its_step(activation):
    problem = committee(activation=activation, weight_decay=0.1, second_layer_rate=0.3)
    times = np.array([0.5, 1.0])
    exact = problem.solve(times)
    errors = [
        np.abs(problem.simulate(times, dimension=50, step=step)["Q"][0] - exact["Q"]).max().item()
        for step in (0.002, 0.001)
    ]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_runs_do_not_depend_on_the_number_of_threads():
    problem = committee(activation="erf", learning_rate=0.5)
    one, two = (
        problem.simulate([0.5], dimension=100, runs=5, rng=7, threads=threads, progress=False) for threads in (1, 3)
    )
    np.testing.assert_array_equal(one["Q"], two["Q"])
    other = problem.simulate([0.5], dimension=100, runs=5, rng=8, progress=False)
    assert not np.array_equal(one["Q"], other["Q"])


@pytest.mark.parametrize("method", ["overlaps", "samples"])
def test_runs_do_not_depend_on_how_fast_the_machine_is(method, monkeypatch):
    """Steps are taken in slices of equal wall time, which must not show, whatever the learning rate does meanwhile."""
    problem = committee(learning_rate=fl.Schedule([0.0, 0.5, 1.0], [0.08, 0.02, 0.05]), noise=0.1)
    results = []
    for seconds in (1e-9, 1e-3, 10.0):
        monkeypatch.setattr(run, "SLICE", seconds)
        results.append(problem.simulate([0.3, 1.2], dimension=300, rng=0, method=method, progress=False))
    for other in results[1:]:
        np.testing.assert_array_equal(other["Q"], results[0]["Q"])


def test_starts_are_exactly_those_of_the_problem():
    problem = committee(learning_rate=0.1)
    for method in ("overlaps", "samples"):
        result = problem.simulate([0.0, 0.1], dimension=30, runs=2, rng=0, method=method, progress=False)
        np.testing.assert_allclose(result["Q"][:, 0], np.broadcast_to(START.Q, (2, 2, 2)), atol=1e-13)
        np.testing.assert_allclose(result["R"][:, 0], np.broadcast_to(START.R, (2, 2, 1)), atol=1e-13)


def test_more_units_than_dimensions_are_simulated_in_law_too():
    problem = fl.Committee.random(6, 3, dimension=4, rng=0, learning_rate=0.05, noise=0.1)
    one, two = (
        overlap_table(problem.simulate([0.3], dimension=4, runs=400, rng=seed, method=method, progress=False))
        for seed, method in ((1, "overlaps"), (2, "samples"))
    )
    error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / 400)
    assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) / error).max() < 4.5
    np.testing.assert_allclose(problem.simulate([0.0, 0.1], dimension=4, rng=0)["Q"][0, 0], problem.Q, atol=1e-12)
    with pytest.raises(
        ValueError,
        match=r"Argument `dimension` must be at least the rank of \[\[Q, R\], \[R.T, T\]\] = 4 to realise these overlaps, but is 3.",
    ):
        problem.simulate([0.1], dimension=3)


def test_own_weights_start_the_simulation_and_the_result_states_their_overlaps():
    rng = np.random.default_rng(0)
    W, W_star = rng.normal(size=(2, 40)), rng.normal(size=(1, 40))
    for method in ("overlaps", "samples"):
        result = committee(learning_rate=0.05).simulate(
            [0.0, 0.1], dimension=40, weights=(W, W_star), rng=1, method=method
        )
        np.testing.assert_allclose(result["Q"][0, 0], W @ W.T / 40, atol=1e-13)
        np.testing.assert_allclose(fl.load_problem(result).T, W_star @ W_star.T / 40)
        again = fl.rerun(result)
        np.testing.assert_array_equal(again["Q"], result["Q"])


def test_a_result_repeats_itself_bit_for_bit(tmp_path):
    result = committee(learning_rate=0.01, activation="x**3 - x").simulate(
        [0.05, 0.1], dimension=60, runs=3, rng=5, observables=["overlap"]
    )
    path = fl.save(result, tmp_path / "runs.nc")
    again = fl.rerun(fl.load(path))
    for name in ("Q", "R", "risk", "overlap", "time"):
        np.testing.assert_array_equal(again[name], result[name])


@pytest.mark.parametrize("method", ["overlaps", "samples"])
def test_a_kept_state_goes_on_as_if_nothing_had_happened(method, tmp_path):
    problem = committee(learning_rate=fl.Schedule([0.0, 1.0], [0.1, 0.02]), second_layer_rate=0.2, noise=0.1)
    times = [0.1, 0.3, 0.4, 0.8]
    whole = problem.simulate(times, dimension=50, runs=2, rng=3, method=method, keep_state=True)
    part = problem.simulate(times[:2], dimension=50, runs=2, rng=3, method=method, keep_state=True)
    part = fl.load(fl.save(part, tmp_path / "part.nc"))
    longer = fl.extend(part, times[2:])
    for name in ("time", "Q", "R", "risk", "second_layer", "state_W"):
        np.testing.assert_array_equal(longer[name], whole[name])
    assert results.provenance(longer)["call"]["times"] == times


def test_without_a_state_a_result_is_extended_by_repeating_it():
    problem = committee(learning_rate=0.1)
    part = problem.simulate([0.2], dimension=50, runs=2, rng=3)
    longer = fl.extend(part, [0.1, 0.4])
    assert longer.sizes["time"] == 3
    np.testing.assert_array_equal(longer["Q"][:, 1], part["Q"][:, 0])
    solved = fl.extend(problem.solve([0.2, 0.5]), [1.0])
    np.testing.assert_allclose(solved["Q"], problem.solve([0.2, 0.5, 1.0])["Q"], rtol=1e-12)


def test_the_clock_adds_up_the_learning_rates_of_all_steps():
    schedule = fl.Schedule([0.2, 1.0, 1.5], [0.3, 0.05, 0.2])
    gain, wanted = 1 / 70, np.array([0.1, 0.5, 1.2, 2.0])
    stretches, realised = plan(schedule, wanted, gain)
    now, ends = 0.0, []
    for stretch in stretches:
        rate = stretch.rate
        for _ in range(stretch.steps):
            assert rate == pytest.approx(schedule(now), rel=1e-9)
            now += rate * gain
            rate *= stretch.factor
        if stretch.record:
            ends.append(now)
    np.testing.assert_allclose(realised, ends, rtol=1e-12)
    assert np.abs(realised - wanted).max() <= 0.3 * gain


def test_compression_keeps_all_scalar_products():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(13, 3))
    before, shared = W.T @ W, W[:2].copy()
    chain.compress(W, 2, 13, 3)
    np.testing.assert_allclose(W.T @ W, before, rtol=1e-13)
    np.testing.assert_array_equal(W[:2], shared)
    np.testing.assert_array_equal(W[5:], 0.0)


def test_a_run_that_diverges_says_where_and_what_to_do():
    problem = committee(learning_rate=3.0)
    with pytest.raises(
        FloatingPointError,
        match=r"The simulation left the finite range at t=.*, after \d+ steps. Lower the learning rate, 3: at this start the risk",
    ):
        problem.simulate([10.0], dimension=20, runs=2, rng=0)
    cubic = fl.Committee.random(2, 2, dimension=200, rng=5, scale=0.7, activation="x**3 - x", learning_rate=0.05)
    with pytest.raises(
        FloatingPointError,
        match=r"Lower the learning rate, 0.05: it is below 0\.\d+, so that .* later\. A polynomial of degree above 2 amplifies rare inputs",
    ):
        cubic.simulate([1.0], dimension=50, runs=40, rng=0)


def test_divergence_under_a_schedule_is_told_at_its_time_and_rate_after_an_extension_too():
    problem = committee(learning_rate=fl.Schedule([0.0, 1.0, 1.2], [0.02, 0.02, 20.0]))
    begun = problem.simulate([0.5, 1.0], dimension=5000, rng=0, keep_state=True)
    messages = []
    for attempt in (lambda: problem.simulate([0.5, 1.0, 5.0], dimension=5000, rng=0), lambda: fl.extend(begun, [5.0])):
        with pytest.raises(FloatingPointError) as caught:
            attempt()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    t, steps, rate = re.search(
        r"at t=(\S+), after (\d+) steps. Lower the learning rate, ([\d.]+):", messages[0]
    ).groups()
    assert 1.0 < float(t) < 1.2
    assert int(steps) > 10000
    assert float(rate) == pytest.approx(0.02 + 99.9 * (float(t) - 1.0), abs=0.7)
    with pytest.raises(fl.ode.IntegrationError, match=r"at t=1\.0\d+ .* Lower the learning rate, [3-9]") as caught:
        problem.solve([0.5, 5.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"dimension": 2},
            ValueError,
            r"Argument `dimension` must be at least student_width \+ teacher_width = 3 to realise these overlaps, but is 2.",
        ),
        ({"dimension": 20, "runs": 0}, ValueError, "Argument `runs` must be at least 1, but is 0."),
        (
            {"dimension": 20, "method": "sgd"},
            ValueError,
            'Argument `method` must be one of "overlaps", "samples", "gd"',
        ),
        (
            {"dimension": 20, "method": "gd"},
            ValueError,
            'Method "gd" is population gradient descent and needs learning_rate = 0',
        ),
        ({"dimension": 20, "step": 0.1}, ValueError, 'Argument `step` belongs to method "gd"'),
        ({"dimension": 20, "weights": np.ones((2, 20))}, TypeError, r"Argument `weights` must be a pair \(W, W_star\)"),
        ({"dimension": 20, "observables": ["magnetisation"]}, ValueError, "Argument `observables` must be one of"),
        ({"dimension": 20, "threads": 0}, ValueError, "Argument `threads` must be at least 1"),
        ({"dimension": 20, "rng": -1}, ValueError, "Argument `rng` must not be negative"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        committee(learning_rate=0.1).simulate([0.5, 1.0], **arguments)


def test_two_times_on_one_step_are_refused():
    with pytest.raises(
        ValueError, match=r"Argument `times` asks for 0.5 and 0.5001, which fall on one step of length 0.0025"
    ):
        committee(learning_rate=0.1).simulate([0.5, 0.5001], dimension=20)


def test_gradient_flow_is_not_simulated_by_sgd_or_in_several_runs():
    with pytest.raises(ValueError, match='Method "samples" is one-pass SGD and needs learning_rate > 0'):
        committee().simulate([0.5], dimension=20, method="samples")
    with pytest.raises(ValueError, match='Argument `runs` must be 1 for method "gd"'):
        committee().simulate([0.5], dimension=20, runs=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_verdict_at_one_large_size_is_right():
    """At d = 1e6 the bias is far below the scatter: the right theory agrees, one with a learning rate 10 % off differs."""
    start = fl.Committee.random(2, 2, dimension=10_000, rng=0)
    times, right, wrong = [0.01, 0.03, 0.1, 0.25], 0, 0
    problems = [
        fl.Committee(start.Q, start.R, start.T, activation="erf", noise=0.05, learning_rate=rate) for rate in (1.0, 0.9)
    ]
    theories = [problem.solve(times) for problem in problems]
    for seed in range(40):
        runs = problems[0].simulate(times, dimension=10**6, runs=8, rng=seed, progress=False)
        right += fl.compare(theories[0], runs).verdict == "agrees"
        wrong += fl.compare(theories[1], runs).verdict == "differs"
    assert right >= 37
    assert wrong >= 38


def test_single_runs_deviate_by_the_inverse_root_of_the_dimension():
    problem = committee(activation="erf", learning_rate=0.5, noise=0.1)
    scatter = [
        float(problem.simulate([0.5], dimension=d, runs=60, rng=1, progress=False)["Q"].std("run").max())
        for d in (100, 10_000)
    ]
    assert scatter[0] / scatter[1] == pytest.approx(10, rel=0.4)


def test_random_starts_have_the_law_of_gaussian_weights_whatever_the_threads():
    problem = fl.Committee.random(2, 2, dimension=50, rng=0, activation="erf", learning_rate=0.5)
    options = {"dimension": 20, "runs": 1500, "rng": 1, "start": "random", "progress": False}
    found = problem.simulate([0.0], **options, threads=2)
    assert found.equals(problem.simulate([0.0], **options, threads=1))
    Q, R = found["Q"].values[:, 0], found["R"].values[:, 0]
    generator = np.random.default_rng(2)
    teacher = np.linalg.cholesky(problem.T) @ np.eye(2, 20) * np.sqrt(20)
    W = np.sqrt(np.diag(problem.Q))[:, None] * generator.standard_normal((1500, 2, 20))
    drawn = W @ W.transpose(0, 2, 1) / 20, W @ teacher.T / 20
    for ours, theirs in zip((Q, R), drawn):
        spread = np.hypot(ours.std(axis=0), theirs.std(axis=0)) / np.sqrt(1500)
        assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * spread).all()
        np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.12)
    np.testing.assert_allclose(np.cov(R[:, 0].T) * 20 / problem.Q[0, 0], problem.T, atol=0.12)


def test_random_starts_on_the_sphere_keep_the_norms_and_descend():
    problem = fl.Committee.random(1, 1, dimension=100, rng=0, spherical=True)
    found = problem.simulate([0.0, 20.0], dimension=100, start="random", runs=6, rng=0, step=0.05)
    np.testing.assert_allclose(found["Q"], 1.0, rtol=1e-12)
    start, end = np.abs(found["R"].values[:, :, 0, 0]).T
    assert start.max() < 0.5
    assert end.min() > 0.99
    assert len(set(start)) == 6
    assert fl.rerun(found).equals(found)
