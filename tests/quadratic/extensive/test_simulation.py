"""Simulation of extensive widths: the stated ensembles, the clock and the scaling, streams, gradient descent."""

import math

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core.threads import Interrupted
from flowlimits.data.rerun import rerun
from flowlimits.quadratic.extensive import simulation
from flowlimits.quadratic.finite.reduced_path import ReducedPath, Request, Tolerances

ORTHONORMAL, PASTUR = fl.Spectrum.orthonormal, fl.Spectrum.marchenko_pastur
TIMES = np.geomspace(0.05, 5, 12)
NODES = fl.Spectrum([0, 1, 3], [0.6, 0.25, 0.15]).normalised()


def small(**options):
    return fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)).simulate(TIMES, **{"dimension": 24, "rng": 3, **options})


@pytest.mark.parametrize(("d", "mean", "spread"), [(60, 0.2498, 0.0156), (120, 0.2635, 0.0086)])
def test_multiplier_of_the_orthonormal_case(d, mean, spread):
    """Mean and fluctuation over runs at gamma = 1 for the ratios (0.5, 0.25), from independent simulations."""
    runs = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)).simulate([0.5], dimension=d, runs=200, rng=0, progress=False)
    values = runs["multiplier"].values[:, 0]
    assert abs(values.mean() - mean) < 4 * spread / math.sqrt(200)
    assert values.std() == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize(
    "problem",
    [
        fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25)),
        fl.ExtensiveQuadratic(0.25, ORTHONORMAL(0.5)),
        fl.ExtensiveQuadratic(1.25, ORTHONORMAL(0.5)),
        fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25), weight_decay=1.0),
        fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25), start="gaussian"),
        fl.ExtensiveQuadratic(0.5, PASTUR(0.25)),
        fl.ExtensiveQuadratic(0.5, PASTUR(0.25), start="gaussian", activation="centred", weight_decay=0.5),
        fl.ExtensiveQuadratic(0.5, NODES, start=fl.Spectrum([0, 1, 2], [0.5, 0.2, 0.3]).normalised()),
        fl.ExtensiveQuadratic(0.5, NODES, start=PASTUR(0.5)),
    ],
    ids=["orthonormal", "below", "above one", "decay", "gaussian", "pastur", "centred", "nodes", "start"],
)
def test_finite_dimension_extrapolates_to_the_limit(problem):
    """Means over runs at three sizes, free of their terms in 1/d and 1/d^2: the limit, and not one whose clock is 5 % fast."""
    times, sizes, weights = np.geomspace(0.05, 2, 6), (40, 80, 160), np.array([1 / 3, -2, 8 / 3])
    results = [problem.simulate(times, dimension=d, runs=24, rng=1, rtol=1e-7, progress=False) for d in sizes]
    names = ("risk", "overlap", "multiplier") if problem.activation == "square" else ("risk", "overlap", "trace")

    def score(limit):
        scores = []
        for name in names:
            means = [one[name].values.mean(axis=0) for one in results]
            extrapolated = sum(w * mean for w, mean in zip(weights, means))
            error = np.sqrt(
                sum((w * one[name].values.std(axis=0, ddof=1)) ** 2 / 24 for w, one in zip(weights, results))
            )
            # The term in 1/d^3, for variables that hardly differ between runs.
            rest = 0.01 * np.abs(means[0] - means[2])
            scores.append(float((np.abs(extrapolated - limit[name].values) / np.hypot(error, rest)).max()))
        return max(scores)

    assert score(problem.solve(times)) < 4.5
    assert score(problem.solve(1.05 * times)) > 6


@pytest.mark.parametrize(("p", "k"), [(5, 3), (3, 5), (9, 6), (6, 9), (4, 4), (12, 3)])
def test_principal_angles_are_those_of_the_weights(p, k):
    d = 12
    teacher = simulation.diagonal_teacher(np.repeat([1 / k, 0.0], [k, d - k]))
    system = simulation.principal_angles(np.random.default_rng(7), teacher, p, True, 0.0)
    times = np.geomspace(0.01, 30, 7)
    angles = ReducedPath(system, teacher, Tolerances(1e-11, 1e-13)).run(2 * times, Request(eigenvalues=True))
    frame = simulation.orthonormal_rows(np.random.default_rng(7), min(p, k), d)
    larger = math.sqrt(d) * np.eye(max(p, k), d)
    flow = fl.QuadraticFlow(frame, larger) if p <= k else fl.QuadraticFlow(larger, frame)
    names = ["overlap", "misalignment", "trace", "multiplier", "eigenvalues"]
    direct = flow.solve(times, method="matrix", rtol=1e-12, atol=1e-14, observables=names)
    for name, values in angles.variables().items():
        np.testing.assert_allclose(values, direct[name], atol=1e-9)
    np.testing.assert_allclose(angles.eigenvalues, direct["eigenvalues"], atol=1e-9)


def test_threads_change_no_bit():
    one, two = small(runs=5, threads=1), small(runs=5, threads=2)
    for name in ("risk", "overlap", "misalignment", "trace", "multiplier"):
        np.testing.assert_array_equal(one[name], two[name])
    np.testing.assert_array_equal(small(runs=2)["risk"], one["risk"][:2])
    assert np.unique(one["risk"][:, 0]).size == 5


def test_a_result_repeats_itself():
    first = small(runs=2, observables=["overlap", "eigenvalues"])
    again = rerun(first)
    assert set(again.data_vars) == set(first.data_vars)
    np.testing.assert_array_equal(first["eigenvalues"], again["eigenvalues"])


def test_clock_and_scaling_are_those_of_the_flow():
    """Own weights and an orthonormal teacher of full rank, which leaves nothing to chance."""
    d, W = 6, np.random.default_rng(0).standard_normal((3, 6))
    problem = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(1.0))
    runs = problem.simulate([0.0, 0.1, 1.0], dimension=d, weights=W, observables=["trace", "eigenvalues"])
    flow = fl.QuadraticFlow(W, math.sqrt(d) * np.eye(d)).solve(
        [0.0, 0.1 * d, 1.0 * d], observables=["trace", "eigenvalues"]
    )
    np.testing.assert_allclose(runs["risk"][0], d * flow["risk"], rtol=1e-6)
    np.testing.assert_allclose(runs["trace"][0], flow["trace"], rtol=1e-6)
    np.testing.assert_allclose(runs["eigenvalues"][0], d * flow["eigenvalues"], atol=1e-6)


def test_realised_ratios_are_stored():
    result = fl.ExtensiveQuadratic(0.3, PASTUR(0.22)).simulate([0.1], dimension=25, rng=0)
    assert result.attrs["student_width"] == 8
    assert result.attrs["teacher_width"] == 6
    assert result.attrs["realised_student_ratio"] == 8 / 25
    assert result.attrs["realised_teacher_ratio"] == 6 / 25
    assert result.attrs["kind"] == "simulation"


def test_own_weights_for_each_run():
    W = np.random.default_rng(0).standard_normal((2, 12, 24))
    both = small(runs=2, weights=W)
    alone = small(runs=2, weights=W[0])
    np.testing.assert_array_equal(both["risk"][0], alone["risk"][0])
    assert (both["risk"][1] != alone["risk"][1]).any()


def test_gradient_descent_converges_to_the_flow():
    options = {"dimension": 16, "runs": 2, "rng": 4}
    problem, times = fl.ExtensiveQuadratic(0.5, ORTHONORMAL(0.25), start="gaussian"), [0.25, 1.0]
    flow = problem.simulate(times, **options)
    errors = [
        float(np.abs(problem.simulate(times, method="gd", step=step, **options)["overlap"] - flow["overlap"]).max())
        for step in (0.02, 0.01)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_an_interrupt_keeps_the_finished_runs(monkeypatch):
    calls = []
    original = simulation.principal_angles

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(simulation, "principal_angles", interrupted)
    with pytest.raises(Interrupted, match="Interrupted after 2 of 6 runs") as caught:
        small(runs=6, threads=1)
    monkeypatch.undo()
    np.testing.assert_array_equal(caught.value.partial["risk"], small(runs=2)["risk"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runs": 0}, "Argument `runs` must be at least 1, but is 0."),
        ({"dimension": 0}, "Argument `dimension` must be at least 1, but is 0."),
        ({"dimension": 1}, "Argument `dimension` must be at least 2 to realise"),
        ({"method": "sgd"}, 'Argument `method` must be one of "flow", "gd", but is \'sgd\''),
        ({"method": "gd"}, 'Argument `step` is missing: method="gd" takes steps of that time, on the clock t.'),
        ({"step": 0.1}, 'Argument `step` is for method="gd" only; the flow chooses its own steps.'),
        (
            {"weights": np.ones((3, 5))},
            "Argument `weights` must have shape (p, 24) or (1, p, 24), but has shape (3, 5).",
        ),
        ({"observables": ["chi"]}, 'Argument `observables` must be one of "risk", "overlap"'),
    ],
)
def test_bad_input(options, sentence):
    with pytest.raises(ValueError) as caught:
        small(**options)
    assert str(caught.value).startswith(sentence)


def test_a_dimension_too_small_for_the_student():
    with pytest.raises(
        ValueError, match=r"Argument `dimension` must be at least 51 to realise the student_ratio 0.01, but is 20"
    ):
        fl.ExtensiveQuadratic(0.01, ORTHONORMAL(0.5)).simulate([1.0], dimension=20)


@pytest.mark.parametrize(
    ("keyword", "sentence"),
    [
        (
            "student_width",
            "ExtensiveQuadratic.simulate has no argument `student_width`: it follows from student_ratio and dimension.",
        ),
        ("weight", "ExtensiveQuadratic.simulate has no argument `weight`; did you mean `weights`?"),
    ],
)
def test_unknown_keywords(keyword, sentence):
    with pytest.raises(TypeError) as caught:
        small(**{keyword: 3})
    assert str(caught.value) == sentence
