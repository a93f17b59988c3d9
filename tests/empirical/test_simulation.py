"""Flows on samples: the three kinds of data, deferred decisions against stored matrices, orders, counts and refusals."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core.results import provenance
from flowlimits.empirical import data as kinds
from flowlimits.empirical.data import start_of
from flowlimits.ode.stabilised import Stabilised, StabilisedError, coefficients

MP = fl.Spectrum.marchenko_pastur


def example(**changes):
    fields = {"noise": 0.25, "weight_decay": 0.04} | changes
    return fl.EmpiricalQuadratic(0.4, MP(0.3), 0.3, **fields)


def make(kind, rng, samples, d, centred=True, stored=True):
    if kind == "inputs":
        return kinds.Inputs(rng, samples, d, centred)
    return kinds.Surrogate(rng, samples, d, centred, kind == "hermitian", 1e-10, stored)


def random_matrix(rng, d, hermitian):
    A = rng.standard_normal((d, d)) + (1j * rng.standard_normal((d, d)) if hermitian else 0)
    return A + A.conj().T


@pytest.mark.parametrize("kind", kinds.KINDS)
@pytest.mark.parametrize("stored", [True, False])
def test_the_flow_is_the_gradient_of_the_training_risk(kind, stored):
    rng = np.random.default_rng(0)
    d, p, n = 7, 3, 40
    source, teacher = make(kind, rng, n, d, True, stored), rng.random(d)
    V, H = (start_of("gaussian", rng, d, p, kind == "hermitian") for _ in range(2))
    noise = rng.standard_normal(n)

    def risk(V):
        s = source.errors(teacher, V) + noise
        return s @ s / (2 * n)

    pulled = source.pull(source.errors(teacher, V) + noise, V)
    slope = (risk(V + 1e-5 * H) - risk(V - 1e-5 * H)) / 2e-5
    # d risk = -(2/n) Re tr H' sum_k s_k X_k V.
    assert slope == pytest.approx(-2 / n * np.vdot(H, pulled).real, rel=1e-6)


def test_inputs_are_the_network_itself():
    rng = np.random.default_rng(1)
    d, p, n = 6, 4, 9
    for centred in (True, False):
        source = make("inputs", rng, n, d, centred)
        V, teacher = rng.standard_normal((d, p)), rng.random(d)
        W = math.sqrt(p) * V.T
        lam = source.X @ W.T / math.sqrt(d)
        student = (lam**2 - (W**2).sum(axis=1) / d * centred).mean(axis=1)
        other = (source.X**2 @ teacher - centred * teacher.sum()) / d
        np.testing.assert_allclose(source.errors(teacher, V), math.sqrt(d) * (other - student), rtol=1e-10)


@pytest.mark.parametrize("kind", kinds.KINDS)
@pytest.mark.parametrize("centred", [True, False])
def test_all_kinds_have_the_same_second_moments(kind, centred):
    """E (Tr X A)^2 = (2/d) tr A^2, and (tr A)^2/d besides for the square activation."""
    rng = np.random.default_rng(2)
    d = 5
    A = random_matrix(rng, d, kind == "hermitian")
    values = make(kind, rng, 40_000, d, centred).labels(A)
    expected = 2 / d * np.vdot(A, A).real + (0 if centred else np.trace(A).real ** 2 / d)
    assert np.mean(values**2) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("kind", ["symmetric", "hermitian"])
def test_a_revealed_matrix_is_one_matrix(kind):
    """Products are linear, and adjoint to each other, however often and in whatever order it is asked."""
    rng = np.random.default_rng(3)
    source = make(kind, rng, 30, 8, stored=False)
    asked = []
    for _ in range(60):
        a, s = rng.standard_normal(source.matrix.right.length), rng.standard_normal(30)
        asked.append((a, source.matrix.times(a), s, source.matrix.transposed_times(s)))
    for a, Ga, _, _ in asked[::7]:
        for _, _, s, Gs in asked[::5]:
            assert s @ Ga == pytest.approx(Gs @ a, rel=1e-8, abs=1e-8)
    assert source.matrix.left.count == 30
    # By now all of it is known.
    G = np.array([source.matrix.transposed_times(e) for e in np.eye(30)])
    np.testing.assert_allclose(G @ asked[0][0], asked[0][1], atol=1e-8)
    assert abs(G.var() - 1) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symmetric", "hermitian"])
def test_deferred_decisions_have_the_law_of_stored_matrices(kind, monkeypatch):
    times = [0.05, 0.5, 5.0]
    risks = []
    for stored, seed in ((True, 0), (False, 1)):
        monkeypatch.setattr(kinds.Surrogate.__init__, "__defaults__", (stored,))
        risks.append(
            example().simulate(times, dimension=20, runs=100, rng=seed, data=kind, progress=False)["risk"].values
        )
    means, errors = [r.mean(axis=0) for r in risks], [r.std(axis=0) / 10 for r in risks]
    assert (np.abs(means[0] - means[1]) < 4 * np.hypot(*errors)).all()


def test_means_are_those_of_other_programs():
    """The reference runs were made by independent code: means and standard errors at T = 2 tau."""
    T = np.array([0.03, 0.1, 0.3, 1])
    reference = {
        "symmetric": ([4.30535, 3.16717, 2.13984, 1.40159], [0.0337, 0.0366, 0.0362, 0.0301]),
        "inputs": ([4.39287, 3.39586, 2.50879, 1.78500], [0.0404, 0.0433, 0.0456, 0.0432]),
        "hermitian": ([4.26871, 3.11304, 2.01170, 1.24653], [0.0263, 0.0281, 0.0259, 0.0198]),
    }  # fmt: skip
    for kind, (mean, error) in reference.items():
        risk = example().simulate(T / 2, dimension=20, runs=24, rng=5, data=kind, progress=False)["risk"].values
        z = (risk.mean(axis=0) - mean) / np.hypot(error, risk.std(axis=0) / math.sqrt(24))
        assert np.abs(z).max() < 4, kind


def test_the_end_of_the_flow_is_that_of_the_theory():
    """Regime "full", Hermitian data: corrections are of order 1/d^2."""
    problem = fl.EmpiricalQuadratic(0.7, MP(0.5), 0.4, 0.25, 0.4)
    end = problem.solve()
    found = problem.simulate(dimension=20, runs=24, rng=0, data="hermitian", end=True, progress=False)
    assert found["risk"].dims == ("run",)
    for name in ("risk", "train_risk", "in_sample_risk", "trace", "overlap"):
        values = found[name].values
        assert abs(values.mean() - float(end[name])) < 4 * values.std() / math.sqrt(24) + 0.02 * float(end[name]), name


def test_runs_end_as_told_for_a_teacher_with_negative_eigenvalues():
    law = fl.Spectrum.symmetric([-1.5, 0.0, 1.0, 4.0], [0.2, 0.3, 0.3, 0.2])
    problem = fl.EmpiricalQuadratic(0.9, law, 0.8, 0.25, 0.4)
    end = problem.solve()
    found = problem.simulate(dimension=20, runs=24, rng=0, data="hermitian", end=True, rtol=1e-3, progress=False)
    for name in ("risk", "train_risk", "trace", "overlap"):
        values = found[name].values
        assert abs(values.mean() - float(end[name])) < 4 * values.std() / math.sqrt(24) + 0.01 * float(end[name]), name


def test_infinitely_many_samples_are_the_extensive_limit_and_its_runs():
    problem = fl.EmpiricalQuadratic(0.4, MP(0.3), math.inf, weight_decay=0.04)
    extensive = fl.ExtensiveQuadratic(0.4, MP(0.3), start="gaussian", activation="centred", weight_decay=0.04)
    ours, theirs = (one.simulate([0.1, 1.0], dimension=30, runs=2, rng=3) for one in (problem, extensive))
    np.testing.assert_array_equal(ours["risk"], theirs["risk"])
    many = fl.EmpiricalQuadratic(0.4, MP(0.3), 30.0, weight_decay=0.04)
    found = many.simulate([0.05, 0.3], dimension=24, runs=10, rng=0, rtol=1e-3, progress=False)["risk"]
    np.testing.assert_allclose(found.mean("run"), problem.solve([0.05, 0.3])["risk"], rtol=0.12)


def test_the_square_activation_locks_the_trace_at_once():
    problem = fl.EmpiricalQuadratic(0.7, MP(0.5), 0.8, 0.25, 0.1, "square")
    for kind in ("inputs", "hermitian"):
        trace = problem.simulate([0.5, 3.0], dimension=30, runs=4, rng=0, data=kind, progress=False)["trace"].values
        np.testing.assert_allclose(trace, 1.0, atol=0.05)


def test_runs_do_not_depend_on_threads_and_are_repeated(tmp_path):
    from flowlimits.data.rerun import differing, rerun

    arguments = {"dimension": 12, "runs": 3, "rng": 4, "data": "symmetric", "observables": ["overlap", "eigenvalues"]}
    one, two = (example().simulate([0.1, 1.0], threads=threads, **arguments) for threads in (1, 2))
    np.testing.assert_array_equal(one["risk"], two["risk"])
    np.testing.assert_allclose(one["eigenvalues"].mean("eigenvalue").shape, (3, 2))
    fl.save(one, tmp_path / "runs.nc")
    loaded = fl.load(tmp_path / "runs.nc")
    assert differing(loaded, rerun(loaded)) == []
    end = example().simulate(dimension=10, runs=2, rng=1, end=True, gradient_tolerance=1e-2)
    assert differing(end, rerun(end)) == []
    assert end.attrs["clock"] == ""


def test_own_weights_and_every_start():
    W = np.random.default_rng(0).standard_normal((6, 15))
    first = example().simulate([1e-9], dimension=15, weights=W, rng=0, observables=["trace", "eigenvalues"])
    np.testing.assert_allclose(first["eigenvalues"][0, 0, -6:], np.sort(np.linalg.eigvalsh(W @ W.T / 6)), rtol=1e-6)
    assert float(first["trace"][0, 0]) == pytest.approx((W**2).sum() / 90, rel=1e-6)
    rng = np.random.default_rng(1)
    for hermitian in (False, True):
        for start, p in (
            ("orthonormal", 5),
            ("orthonormal", 20),
            ("gaussian", 200),
            (fl.Spectrum([0, 4.0], [0.75, 0.25]), 5),
        ):
            V = start_of(start, rng, 16, p, hermitian)
            assert np.trace(V @ V.conj().T).real / 16 == pytest.approx(1, rel=0.1)
            assert np.iscomplexobj(V) == hermitian


def test_a_run_to_late_times_takes_few_gradients():
    found = example().simulate([500.0], dimension=40, runs=1, rng=0, data="inputs", rtol=1e-3, progress=False)
    assert provenance(found)["evaluations"] <= 2000
    assert json.loads(found.attrs["provenance"])["method"] == "Runge-Kutta-Chebyshev, order 2"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most"), [("symmetric", 1800), ("inputs", 2000)])
def test_late_times_take_few_gradients_on_average(kind, most):
    """At d = 60; single runs on inputs, whose largest rates vary, take up to 2,200."""
    found = example().simulate([500.0], dimension=60, runs=4, rng=0, data=kind, rtol=1e-3, progress=False)
    assert provenance(found)["evaluations"] <= 4 * most


@pytest.mark.slow
def test_a_large_run_takes_little_memory():
    """The peak of a process of its own, less what it takes after a small run: the stored matrix would take 1.9 GB."""
    code = """
import resource
import flowlimits as fl
problem = fl.EmpiricalQuadratic(0.4, fl.Spectrum.marchenko_pastur(0.3), 0.3, 0.25, 0.04)
options = {"runs": 1, "rng": 0, "data": "symmetric", "rtol": 1e-3, "progress": False}
problem.simulate([0.1], dimension=20, **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
problem.simulate([5.0], dimension=200, **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert int(out.stdout) * 1024 < 150e6


def test_the_largest_rate_is_that_of_the_jacobian():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 40))
    A = A @ A.T
    flow = Stabilised(lambda t, y: -A @ y, rng.standard_normal(40), 1e-3)
    flow._estimate_rate()
    assert flow._rate == pytest.approx(1.02 * np.linalg.eigvalsh(A)[-1], rel=0.02)


def test_directions_saturate_and_memory_stays_small():
    import tracemalloc

    tracemalloc.start()
    example().simulate([0.25], dimension=100, runs=1, rng=0, data="symmetric", rtol=1e-3, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the stored matrix has 121 MB


def test_the_integrator_is_of_second_order_and_stable():
    def velocity(t, y):
        return -(y**2)

    errors = []
    for steps in (10, 20, 40):
        flow = Stabilised(velocity, np.array([1.0]), 1e-3)
        for _ in range(steps):
            flow.y, flow.slope = flow._stages(1.0 / steps, 6)
        errors.append(abs(float(flow.y[0]) - 0.5))
    assert np.all(np.array(errors[:-1]) / errors[1:] > 3.5)
    for stages in (2, 5, 30):
        # The stability polynomial stays below one up to 0.65 s^2 or more.
        for z in np.linspace(0.01, 0.653 * (stages**2 - 1), 400):
            flow = Stabilised(lambda t, y, z=z: -z * y, np.array([1.0]), 1e-3)
            assert abs(flow._stages(1.0, stages)[0][0]) <= 1 + 1e-9
    assert coefficients(5)[5][5] == pytest.approx(1)


def test_the_integrator_meets_its_tolerance_on_stiff_systems():
    rates = np.array([1.0, 10.0, 1000.0])

    def velocity(t, y):
        return -rates * (y - np.cos(t)) - np.sin(t)

    for rtol, most in ((1e-3, 2500), (1e-5, 6000)):
        flow = Stabilised(velocity, np.array([2.0, 0.0, 1.0]), rtol)
        assert np.abs(flow.advance(10.0) - np.cos(10.0)).max() < 10 * rtol
        assert flow.counts.evaluations < most
    with pytest.raises(StabilisedError, match="50 evaluations did not reach the last time"):
        Stabilised(velocity, np.ones(3), 1e-5, most=50).advance(10.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"times": [1.0], "dimension": 1}, "Argument `dimension` must be at least 2 to realise the student_ratio 0.4, but is 1."),
        (
            {"times": [1.0], "dimension": 20, "data": "gaussian"},
            'Argument `data` must be one of "inputs", "symmetric", "hermitian", but is \'gaussian\'.',
        ),
        ({"dimension": 20}, "Argument `times` is missing: give times, or end=True for the end of the flow."),
        (
            {"times": [1.0], "dimension": 20, "end": True},
            "Argument `end` must be False where `times` are given: the end of the flow has no time.",
        ),
        (
            {"times": [1.0], "dimension": 20, "data": "hermitian", "weights": np.ones((8, 20))},
            'Argument `weights` must be None for data="hermitian", whose weights are complex.',
        ),
        (
            {"times": [1.0], "dimension": 20, "weights": np.ones((8, 19))},
            "Argument `weights` must have shape (p, 20) or (1, p, 20), but has shape (8, 19).",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_a_sentence(call, message):
    with pytest.raises(ValueError) as error:
        example().simulate(**call)
    assert str(error.value) == message


def test_data_beyond_memory_are_refused_before_any_work():
    with pytest.raises(ValueError) as error:
        example().simulate([1.0], dimension=20_000, runs=1, threads=1)
    assert str(error.value).startswith(
        'Argument `data` must be "symmetric" or "hermitian" in dimension 20000, whose matrices are never stored, but is "inputs": '
        "120000000 inputs hold 2.4e+12 numbers"
    )
    with pytest.raises(ValueError, match=r"sample_ratio 0\.001"):
        fl.EmpiricalQuadratic(0.4, MP(0.3), 0.001).simulate([1.0], dimension=20)
