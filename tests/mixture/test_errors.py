"""Errors that results of the XOR mixture state, and inputs that are refused before any work."""

import json

import numpy as np
import pytest

import flowlimits as fl


def stated(result):
    return json.loads(result.attrs["provenance"])


def test_the_classification_error_and_the_risk_lie_within_what_is_stated():
    inside = {"clean_error": [], "risk": []}
    for seed in range(20):
        loss = ("logistic", "exponential")[seed % 2]
        problem = fl.XorMixture(
            2 + seed % 4, noise_scale=0.3 + 0.1 * (seed % 3), loss=loss, scale=0.5, dimension=30, rng=seed
        )
        few, many = (problem.solve([0.0], error_points=n, points=64) for n in (512, 2**15))
        for name, seen in inside.items():
            seen.append(abs(float(few[name][0] - many[name][0])) <= stated(few)[f"{name}_error"])
    assert all(np.mean(seen) >= 0.9 for seen in inside.values())


def test_closed_forms_state_no_error_of_the_risk_and_atoms_none_of_the_classification():
    problem = fl.XorMixture(2, noise_scale=0.5, dimension=10, rng=0)
    assert "risk_error" not in stated(problem.solve([0.0], error_points=64))
    assert stated(fl.XorMixture(2, dimension=10, rng=0).solve([0.0]))["clean_error_error"] == 0


def test_the_velocity_error_looks_at_the_end_too():
    # At the start the two units cancel, and with them whatever the points carry.
    W = np.array([[0.4, 0.3, 0.5], [0.4, 0.3, 0.5]])
    problem = fl.XorMixture(Q=W @ W.T, R=W[:, :2], second_layer=[0.7, -0.7], noise_scale=0.7, loss="logistic")
    errors = [stated(problem.solve([t], points=256, observables=["risk"]))["velocity_error"] for t in (0.0, 4.0)]
    assert errors[0] < 1e-10 < 1e-5 < errors[1]


def test_a_flow_on_atoms_that_runs_out_of_steps_keeps_the_finished_part():
    problem = fl.XorMixture(4, loss="exponential", scale=0.1, dimension=20, rng=1)
    whole = problem.solve([0.5, 1.0])["R"]
    with pytest.raises(fl.ode.IntegrationError) as caught:
        problem.solve([0.5, 1.0, 1e9], rtol=1e-12, atol=1e-14, max_steps=60)
    assert caught.value.partial is not None
    np.testing.assert_allclose(
        caught.value.partial["R"].values, whole.values[: caught.value.partial.sizes["time"]], atol=1e-6
    )


def test_events_are_a_coordinate_and_the_call_keeps_the_times_as_asked():
    problem = fl.XorMixture(4, scale=0.1, dimension=20, rng=1)
    times = [1.0, 5.0, 20.0, 50.0]
    result = problem.solve(times, events=[fl.Event("risk", 0.3, stop=True), fl.Event("error", -1.0)])
    assert result["event"].values.tolist() == ["risk=0.3", "error=-1"]
    at = float(result["event_time"][0])
    assert float(problem.solve([at])["risk"][0]) == pytest.approx(0.3, abs=1e-7)
    assert result.time.values.tolist() == [t for t in times if t <= at]
    assert result.sizes["time"] < len(times)
    assert stated(result)["call"]["times"] == times


REFUSED = [
    (
        lambda: fl.XorMixture(Q=np.eye(2), R=1e200 * np.eye(2)),
        "Argument `R` must be at most 1e+50 in size, but is 1e+200 at index [0, 0]: rescale it.",
    ),
    (
        lambda: fl.XorMixture(Q=np.eye(2), R=np.zeros((2, 2)), second_layer=[1e300, 1], noise_scale=1),
        "Argument `second_layer` must be at most 1e+50 in size, but is 1e+300 at index [0]: rescale it.",
    ),
    (
        lambda: fl.XorMixture(Q=np.eye(2), R=np.zeros((2, 2)), separation=1e-300),
        "Argument `separation` must be at least 1e-50, but is 1e-300: rescale it.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, noise_scale=1e200, rng=0),
        "Argument `noise_scale` must be at most 1e+50 in size, but is 1e+200: rescale it.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, noise_scale=1, rng=0).solve([0.0], error_points=2),
        "Argument `error_points` must be at least twice the 4 directions of 2 units and two centres, but is 2.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, noise_scale=1, rng=0).solve([0.0], max_steps=2**63),
        "Argument `max_steps` must be at most 9223372036854775807, but is 9223372036854775808.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, noise_scale=1, learning_rate=0.1, rng=0).simulate([1e30], dimension=10),
        "Argument `times` asks, at steps of 0.01, for 1e+32, and at most 1e+12 can be made.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=10**12, rng=0),
        "Argument `dimension` must leave arrays below 8.6e+09 numbers, but at 1e+12 one has 2e+12.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, rng=0, weight_decay=0.1),
        "XorMixture has no argument `weight_decay`: these equations have no decay of the weights; fl.Committee, fl.QuadraticFlow and "
        "fl.ExtensiveQuadratic have.",
    ),
    (
        lambda: fl.XorMixture(2, dimension=3, rng=0, centres=np.eye(2)),
        "XorMixture has no argument `centres`: the centres are two orthogonal pairs at the distance `separation`, for which alone the "
        "overlaps Q and R close here.",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message
