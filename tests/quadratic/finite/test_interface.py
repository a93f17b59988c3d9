"""What `QuadraticFlow` takes, returns and refuses."""

import tracemalloc

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core.results import provenance

W, W_STAR = np.ones((3, 5)), np.eye(2, 5)


@pytest.fixture
def flow():
    return fl.QuadraticFlow.gaussian(10, 4, 3, rng=0)


@pytest.mark.parametrize(
    ("arguments", "keywords", "sentence"),
    [
        (
            (W, np.eye(2, 4)),
            {},
            "Arguments `W` and `W_star` must have the same number of columns, the dimension, but have 5 and 4.",
        ),
        ((W[0], W_STAR), {}, "Argument `W` must have shape (p, d), but has shape (5,)."),
        ((W, W_STAR[None]), {}, "Argument `W_star` must have shape (k, d), but has shape (1, 2, 5)."),
        ((W * np.nan, W_STAR), {}, "Argument `W` must be finite, but is nan at index [0, 0]."),
        ((np.zeros((0, 5)), W_STAR), {}, "Argument `W` must not be empty, but has shape (0, 5)."),
        (
            (W, W_STAR),
            {"activation": "sqare"},
            'Argument `activation` must be one of "square", "centred", but is \'sqare\'; did you mean `square`?',
        ),
        (
            (W, 0 * W_STAR),
            {},
            "Argument `W_star` must not be zero: the overlap with a teacher that vanishes is not defined.",
        ),
        (
            (1e100 * W, W_STAR),
            {},
            "Argument `W` must be at most 1e+50 in size, but is 1e+100 at index [0, 0]: rescale it.",
        ),
        (
            (W, 1e-150 * W_STAR),
            {},
            "Argument `W_star` must have a largest entry of at least 1e-70, since the risk is of fourth order in it, but it is 1e-150.",
        ),
        ((W, W_STAR), {"weight_decay": -1}, "Argument `weight_decay` must not be negative, but is -1.0."),
    ],
)
def test_bad_problems(arguments, keywords, sentence):
    with pytest.raises(ValueError) as caught:
        fl.QuadraticFlow(*arguments, **keywords)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("keyword", "sentence"),
    [
        (
            "input_covariance",
            "QuadraticFlow has no argument `input_covariance`: the covariance of the inputs is `covariance`.",
        ),
        ("weight_decy", "QuadraticFlow has no argument `weight_decy`; did you mean `weight_decay`?"),
    ],
)
def test_features_that_are_not_here(keyword, sentence):
    with pytest.raises(TypeError) as caught:
        fl.QuadraticFlow(W, W_STAR, **{keyword: 1.0})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ([], "Argument `times` must hold at least one time, but is empty."),
        ([1.0, 0.5], "Argument `times` must increase strictly, but is not sorted: 0.5 follows 1.0 at index 1."),
        ([0.5, 0.5], "Argument `times` must increase strictly, but repeats 0.5 at index 1."),
        ([-1.0], "Argument `times` must not be negative, but starts at -1."),
        ([np.nan], "Argument `times` must be finite, but is nan at index [0]."),
    ],
)
def test_bad_times(flow, times, sentence):
    with pytest.raises(ValueError) as caught:
        flow.solve(times)
    assert str(caught.value) == sentence


def test_bad_options(flow):
    with pytest.raises(ValueError, match="did you mean `reduced`"):
        flow.solve([1.0], method="reduce")
    with pytest.raises(ValueError, match=r"Argument `observables` must be one of .* did you mean `overlap`"):
        flow.solve([1.0], observables=["overlaps"])
    with pytest.raises(ValueError, match="Argument `rtol` must lie between"):
        flow.solve([1.0], rtol=1e-20)
    with pytest.raises(ValueError, match='Argument `method` must be one of "gd"'):
        flow.simulate([1.0], method="sgd", step=0.1)
    with pytest.raises(ValueError, match="Argument `dimension` must be at least 1, but is 0"):
        fl.QuadraticFlow.gaussian(0, 2, 2)


def test_the_result_says_what_it_is(flow):
    result = flow.solve([0.0, 1.0], method="reduced")
    assert result.attrs["kind"] == "exact"
    assert result.attrs["dimension"] == 10
    assert set(result.data_vars) >= {"risk", "overlap", "misalignment", "trace", "multiplier"}
    assert fl.load_problem(result) == flow
    assert provenance(result)["method"].startswith("reduced")
    only = flow.solve([1.0], observables="overlap", keep_state=True)
    assert {str(n) for n in only.data_vars if not str(n).startswith("problem")} == {"risk", "overlap", "Z"}
    assert only["Z"].dims == ("time", "input", "input_2")


@pytest.mark.parametrize("method", ["reduced", "matrix"])
def test_events_are_located_to_the_accuracy_of_the_solution(flow, method):
    events = [fl.Event("overlap", 0.8), fl.Event("risk", 1e-3, stop=True), fl.Event("overlap", 0.99999)]
    result = flow.solve([0.5, 2.0, 50.0], method=method, events=events)
    first, second, third = result["event_time"].values
    assert 0 < first < second < 50
    assert np.isnan(third)
    assert (result["time"] <= second).all()
    again = flow.solve([first, second])
    assert float(again["overlap"][0]) == pytest.approx(0.8, abs=1e-7)
    assert float(again["risk"][1]) == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("method", ["reduced", "matrix", "blas"])
def test_a_failed_solution_keeps_its_finished_part(flow, method, monkeypatch):
    if method == "blas":
        monkeypatch.setattr("flowlimits.quadratic.finite.matrix_path.LARGE", 0.0)
    times = np.geomspace(1e-3, 1e3, 30)
    name = "matrix" if method == "blas" else method
    with pytest.raises(fl.ode.IntegrationError, match=r"Integration stopped at t=.* \(too many steps\)") as caught:
        flow.solve(times, method=name, max_steps=12)
    partial = caught.value.partial
    assert 0 < partial["time"].size < 30
    whole = flow.solve(times, method=name)
    np.testing.assert_allclose(partial["risk"], whole["risk"][: partial["time"].size], rtol=1e-6)
    assert caught.value.report.reached <= times[partial["time"].size]


@pytest.mark.parametrize("method", ["reduced", "matrix"])
def test_memory_stays_below_sixteen_matrices(method):
    d, p = 400, 200
    flow = fl.QuadraticFlow.gaussian(d, p, 20, rng=0)
    fl.QuadraticFlow.gaussian(10, 4, 3, rng=0).solve([1.0], method=method)
    tracemalloc.start()
    flow.solve([0.1, 0.5], method=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 8 * d * d


def test_gradient_descent_converges_to_the_flow_at_first_order(flow):
    times = [1.0, 4.0]
    exact = flow.solve(times, rtol=1e-11)
    errors = []
    for step in (0.02, 0.01, 0.005):
        descent = flow.simulate(times, step=step)
        assert descent["risk"].dims == ("run", "time")
        errors.append(np.abs(descent["risk"].values[0] - exact["risk"].values))
    order = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(order, 1.0, atol=0.05)


def test_gradient_descent_takes_the_step_of_its_definition(flow):
    from naive import gradient

    step, W = 0.1, flow.W.copy()
    for _ in range(3):
        W = W - step * W.size * gradient(W, flow.W_star)
    expected = fl.QuadraticFlow(W, flow.W_star).solve([0.0])
    descent = flow.simulate([0.3], step=step)
    for name in ("risk", "overlap", "misalignment", "trace"):
        assert float(descent[name][0, 0]) == pytest.approx(float(expected[name][0]), rel=1e-6)


def test_gradient_descent_that_diverges_says_so(flow):
    with pytest.warns(RuntimeWarning, match="Gradient descent diverged before t=.* Lower `step`"):
        result = flow.simulate([3.0, 3000.0], step=3.0)
    assert np.isnan(result["risk"].values[0, -1])
    with pytest.raises(ValueError, match="Argument `step` = 3 is longer than half"):
        flow.simulate([0.1, 0.2], step=3.0)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"observables": 3}, "Argument `observables` must be a sequence, but is 3."),
        ({"events": 3}, "Argument `events` must be a sequence, but is 3."),
        ({"progress": 3}, "Argument `progress` must be True, False or None, but is 3."),
    ],
)
def test_keywords_of_the_wrong_kind(flow, keywords, sentence):
    with pytest.raises(TypeError) as caught:
        flow.solve([1.0], **keywords)
    assert str(caught.value) == sentence


def test_a_step_beyond_the_first_time_is_refused(flow):
    """The result would silently hold the start."""
    with pytest.raises(ValueError) as caught:
        flow.simulate([0.0, 0.1], step=1.0)
    assert str(caught.value) == (
        "Argument `step` = 1 is longer than half the smallest distance of two times, the start included, 0.1 on the clock t: "
        "they would show the same weights."
    )
