"""What a user passes and gets: refusals, events, observables, state, plain form, repetition."""

import math
import subprocess
import sys

import numpy as np
import pytest

import flowlimits as fl

ORTHONORMAL = fl.Spectrum.orthonormal


def problem(student_ratio=0.5, teacher=None, **fields):
    return fl.ExtensiveQuadratic(student_ratio, ORTHONORMAL(0.25) if teacher is None else teacher, **fields)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: problem(0), ValueError, "Argument `student_ratio` must be positive, but is 0"),
        (lambda: problem(-0.5), ValueError, r"Argument `student_ratio` must be positive, but is -0\.5"),
        (lambda: problem(math.nan), ValueError, "Argument `student_ratio` must be finite, but is nan"),
        (lambda: problem("wide"), TypeError, "Argument `student_ratio` must be a number, but is 'wide'"),
        (lambda: problem(teacher=0.25), TypeError, r"must be a Spectrum, but is 0\.25; Spectrum\.orthonormal\(ratio\)"),
        (
            lambda: problem(teacher=fl.Spectrum([0, 2], [0.4, 0.6])),
            ValueError,
            r"Argument `teacher` must have the mean eigenvalue 1 .* but its mean is 1\.2\. Spectrum\.normalised\(\)",
        ),
        (lambda: problem(start="gausian"), ValueError, "Argument `start` must be one of .*did you mean `gaussian`"),
        (lambda: problem(start=1.0), TypeError, r"Argument `start` must be a name or a Spectrum, but is 1\.0"),
        (lambda: problem(activation="centered"), ValueError, "Argument `activation` .*did you mean `centred`"),
        (lambda: problem(weight_decay=-1), ValueError, "Argument `weight_decay` must not be negative, but is -1"),
        (
            lambda: problem(covariance=np.eye(2)),
            ValueError,
            r"must have one eigenvalue for each of the 2 groups of the teacher, shape \(2,\), but has shape \(2, 2\): .* no closed limit is known",
        ),
        (lambda: problem(samples=10), TypeError, "a finite number of samples is not here"),
        (lambda: problem(weight_deca=0.1), TypeError, "no argument `weight_deca`; did you mean `weight_decay`"),
        (
            lambda: problem(0.4, start=ORTHONORMAL(0.5)),
            ValueError,
            r"Argument `start` must have a weight of at least 0\.6 at the node 0, .* student_ratio = 0\.4 .* is 0\.5",
        ),
        (lambda: problem(start=fl.Spectrum([0], [1])), ValueError, "Argument `start` has only zero eigenvalues"),
        (lambda: problem().solve([]), ValueError, "Argument `times` must hold at least one time"),
        (lambda: problem().solve([2, 1]), ValueError, "Argument `times` must increase strictly"),
        (lambda: problem().solve([-1, 1]), ValueError, "Argument `times` must not be negative"),
        (lambda: problem().solve([1, 1]), ValueError, "Argument `times` must increase strictly, but repeats 1"),
        (lambda: problem().solve([1], rtol=0), ValueError, "Argument `rtol` must be positive"),
        (lambda: problem().solve([1], method="euler"), ValueError, "Argument `method` must be one of"),
        (lambda: problem().solve([1], observables=["overlaps"]), ValueError, "did you mean `overlap`"),
        (lambda: problem().solve([1], observables=3), TypeError, "must be a sequence, but is 3"),
        (lambda: problem().solve([1], progress="yes"), TypeError, "must be True, False or None"),
        (lambda: problem().solve([1], events=[fl.Event("eigenvalues", 1)]), ValueError, "Argument `variable` must be"),
        (lambda: problem().solve([1], max_steps=0), ValueError, "Argument `max_steps` must be at least 1"),
    ],
)
def test_refusals_are_sentences(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_the_rank_of_a_start_may_be_below_what_the_width_allows():
    limit = problem(0.8, start=ORTHONORMAL(0.5)).solve([1.0])
    np.testing.assert_allclose(limit.risk, problem(0.5).solve([1.0]).risk, rtol=1e-13)


def test_the_result_names_everything():
    limit = problem().solve([0.0, 1.0])
    assert limit.attrs["kind"] == "limit"
    assert limit.attrs["clock"].startswith("tau = t/d")
    assert list(limit.data_vars)[:5] == ["risk", "overlap", "misalignment", "trace", "multiplier"]
    assert limit.risk.attrs["scale"] == "d x risk"
    np.testing.assert_allclose(limit.overlap + limit.misalignment, 1, rtol=1e-14)


def test_observables_are_chosen_and_risk_is_always_there():
    limit = problem().solve([1.0], observables=["overlap"])
    assert {"risk", "overlap"} == {name for name in limit.data_vars if not name.startswith("problem_")}


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("teacher", [ORTHONORMAL(0.25), fl.Spectrum.marchenko_pastur(0.5)])
def test_events_are_located_to_the_accuracy_of_the_solution(teacher, activation):
    limited = problem(teacher=teacher, activation=activation)
    events = [fl.Event("overlap", 0.9), fl.Event("risk", 0.01), fl.Event("overlap", 2.0)]
    limit = limited.solve([0.1, 5.0], events=events)
    first, second, never = limit.event_time.values
    assert math.isnan(never)
    assert limit.event.values[0] == "overlap=0.9"
    assert float(limited.solve([first, 5.0]).overlap[0]) == pytest.approx(0.9, rel=1e-8)
    assert float(limited.solve([second, 5.0]).risk[0]) == pytest.approx(0.01, rel=1e-8)


def test_an_event_may_stop_the_solution():
    limit = problem().solve([0.1, 0.3, 1.0, 5.0], events=fl.Event("overlap", 0.999, stop=True))
    np.testing.assert_allclose(limit.time, [0.1, 0.3])
    assert 0.3 < float(limit.event_time[0]) < 1.0


def test_the_state_is_the_mean_on_the_eigenspaces_of_the_teacher():
    for activation in ("square", "centred"):
        limit = problem(activation=activation).solve([0.0, 0.5, 3.0], keep_state=True)
        weighted = limit.state * limit.node_weight
        np.testing.assert_allclose(weighted.sum("node"), limit.trace, rtol=1e-9)
        np.testing.assert_allclose(limit.node, [0, 4])
        assert float(limit.state[2, 1]) == pytest.approx(4, rel=0.02)


def test_running_out_of_steps_keeps_the_finished_part():
    times = np.geomspace(0.01, 5, 11)
    with pytest.raises(
        fl.ode.IntegrationError, match=r"Integration stopped at t=.* \(too many steps\)\. Raise"
    ) as caught:
        problem().solve(times, max_steps=8)
    partial = caught.value.partial
    assert 1 < partial.sizes["time"] < 11
    np.testing.assert_array_equal(partial.risk, problem().solve(times).risk[: partial.sizes["time"]])
    assert caught.value.report.steps <= 8


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "teacher": fl.Spectrum.marchenko_pastur(0.7),
            "start": "gaussian",
            "activation": "centred",
            "weight_decay": 0.5,
        },
        {"start": fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25])},
    ],
)
def test_a_result_rebuilds_its_problem_and_repeats_itself(fields, tmp_path):
    from flowlimits.data.rerun import differing, rerun

    stated = problem(**fields)
    limit = stated.solve([0.1, 1.0], spectrum=[0.5, 1.5], events=[fl.Event("overlap", 0.5)], rtol=1e-7, keep_state=True)
    fl.save(limit, tmp_path / "limit.nc")
    loaded = fl.load(tmp_path / "limit.nc")
    assert fl.load_problem(loaded) == stated
    assert hash(fl.load_problem(loaded)) == hash(stated)
    assert differing(loaded, rerun(loaded)) == []


def test_a_first_curve_loads_no_heavy_parts_of_scipy():
    code = (
        "import sys, flowlimits as fl\n"
        "fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.25), 'gaussian').solve([0.1, 1.0])\n"
        "bad = [n for n in ('scipy.integrate', 'scipy.optimize', 'matplotlib.pyplot') if n in sys.modules]\n"
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


def test_one_observable_needs_no_list():
    assert set(problem().solve([1.0], observables="overlap").data_vars) >= {"risk", "overlap"}
    assert "trace" not in problem().solve([1.0], observables="overlap", progress=None)
