"""Random networks conditioned on the training set: the limit against plain sampling, finite widths against both."""

import json
import time

import naive_committee
import numpy as np
import pytest

import flowlimits as fl
from flowlimits import random_networks as rn
from flowlimits.core.threads import Interrupted
from flowlimits.data.rerun import differing, rerun
from flowlimits.random_networks import equations
from flowlimits.random_networks.limit import SHIFTS, correlations


def small(samples=4, seed=1, **changes):
    return fl.GuessAndCheck(*rn.gaussian_task(samples, dimension=3, test=20, rng=seed), **changes)


def plain_limit(problem, draws, seed=0):
    """Return acceptance and test error of the limit by drawing all outputs, without any trick."""
    generator = np.random.default_rng(seed)
    n = len(problem.y)
    C = correlations(np.vstack([problem.X, problem.X_test]), problem.depth)
    values, vectors = np.linalg.eigh(C)
    f = generator.normal(size=(draws, len(C))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    kept = (f[:, :n] * problem.y > 0).all(axis=1)
    errors = (f[kept][:, n:] * problem.y_test < 0).mean(axis=1)
    return kept.mean(), errors.mean(), errors.std() / np.sqrt(kept.sum())


def network_outputs(generator, X, width, depth):
    """Return the outputs of one random network at the rows of `X`, in matrices."""
    activity = X
    for _ in range(depth):
        inputs = activity.shape[1]
        activity = np.maximum(activity @ generator.normal(size=(inputs, width)) / np.sqrt(inputs), 0)
    return activity @ generator.normal(size=width) / np.sqrt(width)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_kernel_is_the_covariance_of_wide_networks(depth):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3, 4))
    outputs = np.array([network_outputs(generator, X, 64, depth) for _ in range(6000)])
    measured = outputs.T @ outputs / 6000
    scale = np.sqrt(np.diag(measured))
    np.testing.assert_allclose(measured / np.outer(scale, scale), correlations(X, depth), atol=0.06)


def test_one_training_point_is_classified_by_half_of_all_networks():
    problem = fl.GuessAndCheck([[1.0, 0.0]], [1], [[1.0, 0.0], [-1.0, 0.0]], [1, 1])
    limit = problem.solve(rng=0)
    assert float(limit["acceptance"]) == pytest.approx(0.5, abs=1e-12)
    # The same point is certainly right; at the opposite point the output is independent.
    assert float(limit["test_error"]) == pytest.approx(0.25, abs=1e-6)


def test_two_points_have_the_arcsine_probability():
    X = np.array([[1.0, 0.0], [0.6, 0.8]])
    correlation = correlations(X, 1)[0, 1]
    for labels, sign in (([1, 1], 1), ([1, -1], -1)):
        limit = fl.GuessAndCheck(X, labels, X, labels).solve(rng=0)
        exact = 0.25 + sign * np.arcsin(correlation) / (2 * np.pi)
        assert abs(float(limit["acceptance"]) - exact) < 4 * float(limit["acceptance_standard_error"])
        assert float(limit["acceptance_standard_error"]) < 1e-3 * exact
        assert float(limit["test_error"]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("depth", [1, 4])
def test_the_limit_is_that_of_plain_sampling(depth):
    problem = small(depth=depth)
    limit = problem.solve(rng=0, accuracy=1e-3)
    acceptance, error, spread = plain_limit(problem, 400_000)
    assert abs(float(limit["acceptance"]) - acceptance) < 4 * np.sqrt(acceptance / 400_000)
    assert abs(float(limit["test_error"]) - error) < 4 * spread


def test_error_bars_of_the_limit_cover_the_scatter_of_its_streams():
    problem = small(8)
    runs = [problem.solve(rng=seed, accuracy=0.5, max_points=4096) for seed in range(30)]
    exact = problem.solve(rng=99, accuracy=2e-4)
    for name in ("acceptance", "test_error"):
        stated = np.array([float(run[f"{name}_standard_error"]) for run in runs])
        deviation = np.array([float(run[name]) for run in runs]) - float(exact[name])
        ratio = np.sqrt(np.mean((deviation / stated) ** 2))
        assert 0.6 < ratio < 1.6


@pytest.mark.parametrize(
    ("X", "y", "depth"),
    [
        # Nearly all accepted networks are wrong: the others lie between the points of a coarse quadrature.
        ([[1.0, 0.0], [0.9994944, 0.0317944], [-0.8323554, 0.5542423], [0.9997732, 0.0212966]], [-1, 1, 1, 1], 1),
        # Two close points of opposite labels: some points of the quadrature have weights below the smallest number.
        ([[1.0, 0.0], [0.99998, 0.00632453], [-0.17, 0.98544], [-0.81, -0.58643]], [1, -1, -1, -1], 2),
    ],
)
def test_rare_outcomes_are_within_the_error(X, y, depth):
    X, y = np.array(X), np.array(y)
    C = correlations(X, depth)
    sign = np.outer(y, y)[:3, :3] * np.arcsin(C[:3, :3])
    acceptance = 1 / 8 + (sign[0, 1] + sign[0, 2] + sign[1, 2]) / (4 * np.pi)
    labels = np.append(y[:3], -y[3])
    exact = naive_committee.orthant(np.outer(labels, labels) * C, 300) / acceptance
    problem = fl.GuessAndCheck(X[:3], y[:3], X[3:], y[3:], depth=depth)
    for seed in range(8):
        limit = problem.solve(rng=seed)
        assert abs(float(limit["acceptance"]) - acceptance) < 4 * float(limit["acceptance_standard_error"])
        assert abs(float(limit["test_error"]) - exact) < 4 * float(limit["test_error_standard_error"])


def test_tiny_acceptances_are_within_reach():
    limit = fl.GuessAndCheck(*rn.gaussian_task(40, rng=2)).solve(rng=0, accuracy=5e-3)
    assert 0 < float(limit["acceptance"]) < 1e-5
    assert float(limit["acceptance_standard_error"]) < 0.1 * float(limit["acceptance"])


def test_compiled_outputs_and_gradients_are_those_of_matrices():
    generator = np.random.default_rng(3)
    X, y = generator.normal(size=(5, 3)), np.array([1.0, -1, 1, 1, -1])
    for depth in (1, 3):
        width = 4
        theta = generator.normal(size=equations.count_weights.py_func(3, width, depth))

        def loss(theta, depth=depth, width=width):
            at, activity = 0, X
            for _ in range(depth):
                inputs = activity.shape[1]
                W = theta[at : at + width * inputs].reshape(width, inputs)
                activity, at = np.maximum(activity @ W.T, 0), at + W.size
            return np.log1p(np.exp(-y * (activity @ theta[at:]))).mean()

        gradient, hidden, back = np.empty(theta.size), np.empty((depth, width)), np.empty((depth, width))
        value, _ = equations.loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
        assert value == pytest.approx(loss(theta), rel=1e-12)
        numeric = np.array([(loss(theta + 1e-6 * e) - loss(theta - 1e-6 * e)) / 2e-6 for e in np.eye(theta.size)])
        np.testing.assert_allclose(-gradient, numeric, atol=1e-8)


@pytest.mark.parametrize("law", ["gaussian", "uniform"])
def test_finite_widths_tend_to_the_limit(law):
    problem = small(depth=2, law=law)
    limit = problem.solve(rng=0)
    wide = problem.simulate([64], runs=1500, rng=1)
    for name in ("acceptance", "test_error"):
        allowed = 4 * float(wide[f"{name}_standard_error"][0]) + 0.02 * float(limit[name])
        assert abs(float(wide[name][0]) - float(limit[name])) < allowed
    narrow = problem.simulate([2], runs=1500, rng=1)
    assert abs(float(narrow["acceptance"][0]) / float(limit["acceptance"]) - 1) > 0.2


def test_guesses_are_networks_of_the_stated_law():
    problem = small(2)
    found = problem.simulate([3], runs=4000, rng=0)
    generator = np.random.default_rng(7)
    X = np.vstack([problem.X, problem.X_test])
    outputs = np.array([network_outputs(generator, X, 3, 1) for _ in range(20_000)])
    kept = (outputs[:, :2] * problem.y > 0).all(axis=1)
    errors = np.where(outputs[kept][:, 2:] == 0, 0.5, outputs[kept][:, 2:] * problem.y_test < 0).mean(axis=1)
    assert abs(kept.mean() - float(found["acceptance"][0])) < 4 * np.sqrt(kept.mean() / 20_000) + 4 * float(
        found["acceptance_standard_error"][0]
    )
    assert abs(errors.mean() - float(found["test_error"][0])) < 4 * np.hypot(
        errors.std() / np.sqrt(kept.sum()), float(found["test_error_standard_error"][0])
    )


def test_threads_and_streams_do_not_change_a_bit():
    problem = small()
    one, two = problem.simulate([2, 5], runs=50, rng=4, threads=1), problem.simulate([2, 5], runs=50, rng=4, threads=2)
    np.testing.assert_array_equal(one["network_test_error"], two["network_test_error"])
    assert one["network_test_error"].dims == ("run", "width")
    first, second = problem.solve(rng=5, threads=1), problem.solve(rng=5, threads=2)
    assert float(first["test_error"]) == float(second["test_error"])
    from flowlimits.data.rerun import differing, rerun

    assert differing(one, rerun(one)) == []
    assert differing(first, rerun(first)) == []


def test_flow_is_the_limit_of_small_steps():
    problem = small(6)
    flow = problem.descend([16], method="flow", runs=6, loss=0.1, steps=100_000, tolerance=1e-6, rng=0)
    gaps = []
    for rate in (0.2, 0.02):
        descent = problem.descend([16], runs=6, loss=0.1, steps=100_000, learning_rate=rate, rng=0)
        gaps.append(float(np.abs(descent["network_loss"] - flow["network_loss"]).max()))
        assert float(np.abs(descent["network_test_error"] - flow["network_test_error"]).max()) <= 0.05
    assert gaps[1] < gaps[0]
    assert float(flow["network_loss"].max()) <= 0.1


def test_untrained_networks_do_not_count():
    problem = small(6)
    short = problem.descend([2], runs=40, steps=1, rng=0)
    share = float(short["acceptance"][0])
    assert share < 1
    assert int(np.isfinite(short["network_test_error"]).sum()) == round(40 * share)


def test_paired_differences_are_over_tasks():
    results = [small(seed=seed).simulate([2, 16], runs=200, rng=seed) for seed in range(3)]
    mean, error = rn.paired_difference(results, 2, 16)
    by_hand = [float(r["test_error"][0] - r["test_error"][1]) for r in results]
    assert mean == pytest.approx(np.mean(by_hand))
    assert error == pytest.approx(np.std(by_hand, ddof=1) / np.sqrt(3))
    with pytest.raises(ValueError, match="Width 3 is not in every result"):
        rn.paired_difference(results, 2, 3)
    with pytest.raises(ValueError, match="Argument `results` must hold at least two tasks, but holds 1"):
        rn.paired_difference(results[:1], 2, 16)


def test_arrays_of_ones_own_become_a_task(tmp_path):
    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(60, 4, 5)), np.repeat([3, 5, 8], 20)
    X, y, X_test, _ = rn.binary_task(images, labels, (3, 8), 10, rng=0)
    assert X.shape == (10, 20)
    assert y.sum() == 0
    assert X_test.shape == (30, 20)
    assert np.abs(np.vstack([X, X_test]).mean(axis=0)).max() < 1e-12
    np.savez(tmp_path / "own.npz", inputs=images, labels=labels)
    np.testing.assert_array_equal(rn.read_arrays(tmp_path / "own.npz")[0], images)
    (tmp_path / "own.csv").write_text("a,b,label\n1,2,0\n3,4,1\n")
    inputs, given = rn.read_arrays(tmp_path / "own.csv")
    np.testing.assert_array_equal(inputs, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(given, [0, 1])


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("x,y\n1,b\n", "own.csv", "is not a table of numbers"),
        ("1\n2\n", "own.csv", "must have at least two columns, inputs and a label, but has 1"),
        ("hello", "own.txt", "must be a .npz or .csv file"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, name, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        rn.read_arrays(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        rn.read_arrays(tmp_path / "absent.csv")


def test_bad_files_of_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "own.npz", inputs=np.eye(2))
    with pytest.raises(ValueError, match="must hold the arrays `inputs` and `labels`, but lacks `labels`"):
        rn.read_arrays(tmp_path / "own.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": [1, 2]}, "Argument `y` must hold the labels 1 and -1, but holds 2 at index 1."),
        ({"y_test": [0]}, "Argument `y_test` must hold the labels 1 and -1, but holds 0 at index 0."),
        (
            {"X": [[1.0, 0.0], [0.0, 0.0]]},
            "Argument `X` must not hold zero vectors: no homogeneous model classifies row 1.",
        ),
        ({"X_test": [[1.0]]}, "Argument `X_test` must have the 2 columns of `X`, but has 1."),
        ({"depth": 0}, "Argument `depth` must be at least 1, but is 0."),
        ({"law": "cauchy"}, "Argument `law` must be one of"),
        (
            {"X": [[1.0, 1.0], [2.0, 2.0]]},
            "Rows 0 and 1 of `X` have the same direction but opposite labels: no network without biases classifies both.",
        ),
    ],
)
def test_bad_problems_are_refused_with_a_sentence(changes, message):
    arguments = {"X": np.eye(2), "y": [1, -1], "X_test": [[1.0, 0.2]], "y_test": [1]} | changes
    with pytest.raises(ValueError) as error:
        fl.GuessAndCheck(**arguments)
    assert str(error.value).startswith(message)


def test_bad_calls_are_refused_with_a_sentence():
    problem = small(6)
    with pytest.raises(ValueError, match="Argument `widths` must be at least 1, but is 0"):
        problem.simulate([0])
    with pytest.raises(ValueError, match="Argument `widths` must hold at least one width, but is empty"):
        problem.simulate([])
    with pytest.raises(RuntimeError, match="None of 3 networks of width 2 classifies all 6 training points"):
        problem.simulate([2], max_networks=3, rng=0)
    with pytest.raises(ValueError, match="Argument `method` must be one of"):
        problem.descend([2], method="adam")
    with pytest.raises(
        RuntimeError, match=r"The quadrature reached a relative error of .* of the test error, not 1e-12"
    ):
        problem.solve(accuracy=1e-12, max_points=4096, rng=0)
    with pytest.raises(RuntimeError, match="Training diverged at width 8: lower `learning_rate`"):
        problem.descend([8], learning_rate=1e50, runs=2, rng=0)


def test_equal_directions_with_equal_labels_count_once():
    X, y = np.array([[1.0, 0.5], [2.0, 1.0], [-0.3, 1.0]]), [1, 1, -1]
    twice = fl.GuessAndCheck(X, y, [[1.0, 0.0]], [1]).solve(rng=0)
    once = fl.GuessAndCheck(X[1:], y[1:], [[1.0, 0.0]], [1]).solve(rng=0)
    assert float(twice["acceptance"]) == pytest.approx(float(once["acceptance"]), rel=1e-6)


def test_points_that_networks_do_not_tell_apart_are_refused():
    X = [[1.0, 0.0], [1.0, 2e-6]]
    with pytest.raises(
        ValueError, match="The outputs at the training points are linearly dependent to rounding at depth 1"
    ):
        fl.GuessAndCheck(X, [1, -1], X, [1, -1]).solve(rng=0)


def test_very_deep_networks_tell_nothing_apart():
    errors = [float(small(4, depth=depth).solve(rng=0, accuracy=0.02)["test_error"]) for depth in (1, 30, 1000)]
    assert errors[0] < errors[1] < errors[2]
    assert abs(errors[2] - 0.5) < 0.03


def test_provenance_states_points_and_networks():
    problem = small()
    assert json.loads(problem.solve(rng=0).attrs["provenance"])["points"] >= 4096
    assert json.loads(problem.simulate([4], runs=10, rng=0).attrs["provenance"])["networks"][0] > 10
    assert SHIFTS == 16


@pytest.mark.slow
def test_guess_and_check_is_flat_in_width_and_descent_is_not():
    widths, tasks = [2, 8, 32, 512], range(20)
    limits, guesses, descents = [], [], []
    for seed in tasks:
        problem = fl.GuessAndCheck(*rn.gaussian_task(8, rng=seed))
        limits.append(float(problem.solve(rng=0)["test_error"]))
        guesses.append(problem.simulate([2, 32], runs=400, rng=seed))
        descents.append(problem.descend(widths[1:], runs=20, rng=seed))
    wide = np.array([float(g["test_error"].sel(width=32)) for g in guesses])
    narrow = np.array([float(g["test_error"].sel(width=2)) for g in guesses])
    assert abs(np.mean(wide - limits)) < 0.008
    assert np.mean(narrow) <= np.mean(limits)
    mean, error = rn.paired_difference(descents, 8, 512)
    assert mean > 2 * error
    trained = np.mean([float(d["test_error"].sel(width=512)) for d in descents])
    assert trained < np.mean(limits) - 0.1


def test_hopeless_accuracy_is_refused_early_and_widths_are_named_once():
    problem = small()
    began = time.perf_counter()
    with pytest.raises(
        RuntimeError, match="will not get there with max_points=16777216: raise `max_points` or `accuracy`"
    ):
        problem.solve(accuracy=1e-9, rng=0, progress=False)
    assert time.perf_counter() - began < 5.0
    with pytest.raises(ValueError, match=r"Argument `widths` must hold every width once, but holds 4 twice\."):
        problem.simulate([4, 8, 4], runs=5, rng=0)
    with pytest.raises(ValueError, match=r"Width 2 is not in every result\."):
        rn.paired_difference([problem.solve(rng=0)] * 2, 2, 8)


def interrupt_at(monkeypatch, name, count):
    """Let the `count`-th call of a compiled function of the room be the one in which Ctrl-C is pressed."""
    original, calls = getattr(equations, name), []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == count:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(equations, name, interrupted)


def test_an_interrupt_keeps_the_widths_that_were_guessed(monkeypatch):
    problem = small()
    whole = problem.simulate([4, 8], runs=10, rng=0)
    # Eight blocks of guesses are one round, which is enough for a width.
    interrupt_at(monkeypatch, "guess", 11)
    with pytest.raises(Interrupted, match=r"^Interrupted after 1 of 2 widths\.$") as caught:
        problem.simulate([4, 8], runs=10, rng=0, threads=1)
    monkeypatch.undo()
    kept = caught.value.partial
    assert kept["width"].values.tolist() == [4]
    for name in ("test_error", "acceptance", "network_test_error"):
        np.testing.assert_array_equal(kept[name], whole[name].isel(width=slice(1)))
    assert differing(kept, rerun(kept)) == []


def test_an_interrupt_keeps_the_runs_that_were_trained_at_all_widths(monkeypatch):
    problem = small()
    whole = problem.descend([4, 8], runs=5, steps=20, rng=0)
    interrupt_at(monkeypatch, "train", 8)
    with pytest.raises(Interrupted, match="after 7 of 10 training runs") as caught:
        problem.descend([4, 8], runs=5, steps=20, rng=0, threads=1)
    monkeypatch.undo()
    kept = caught.value.partial
    np.testing.assert_array_equal(kept["network_loss"], whole["network_loss"][:3])
    assert differing(kept, rerun(kept)) == []
    # One run has no standard error, and is no result.
    interrupt_at(monkeypatch, "train", 4)
    with pytest.raises(Interrupted) as caught:
        problem.descend([4, 8], runs=5, steps=20, rng=0, threads=1)
    assert caught.value.partial is None
