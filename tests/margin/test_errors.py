"""Errors that margin flows state, and inputs that are refused in one sentence."""

import json

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl
from flowlimits import margin, random_networks


def stated(flow):
    return json.loads(flow.attrs["provenance"])


@pytest.mark.parametrize("seed", range(6))
def test_direction_and_path_of_relu_networks_lie_within_what_is_stated(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((5, 2))
    problem = margin.MarginFlow(margin.ReLUModel(6), X, np.sign(X[:, 0] + 0.3), rng=seed, scale=0.7)
    clock = [3.0, 10.0, 40.0]
    flow, exact = problem.solve(clock, kkt=False), problem.solve(clock, kkt=False, rtol=2.5e-11)
    errors = stated(flow)
    assert 0 < np.abs(flow["direction"] - exact["direction"]).max() < errors["direction_error"] < 1e-2
    assert np.abs(flow["path_length"] - exact["path_length"]).max() < errors["path_length_error"] < 0.2


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_direction_and_path_of_smooth_models_lie_within_what_is_stated(loss):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 3))
    for model in (margin.LinearModel(), margin.QuadraticModel(4), margin.SoftplusModel(3)):
        problem = margin.MarginFlow(model, X, np.sign(X[:, 0]), rng=2, loss=loss)
        flow = problem.solve([3.0, 30.0, 1000.0], kkt=False, rtol=1e-6, atol=1e-8)
        exact = problem.solve([3.0, 30.0, 1000.0], kkt=False, rtol=1e-11, atol=1e-13)
        for name in ("direction", "path_length"):
            assert np.abs(flow[name] - exact[name]).max() < stated(flow)[f"{name}_error"] + 1e-9


def test_tighter_tolerances_bring_relu_networks_nearer():
    X = np.array([[1.0, 0.3], [0.2, 1.0], [-0.8, 0.4]])
    problem = margin.MarginFlow(margin.ReLUModel(6), X, [1, -1, 1], rng=1)
    flows = [problem.solve([30.0], kkt=False, rtol=rtol)["direction"].values for rtol in (1e-8, 1e-9, 1e-10, 1e-11)]
    gaps = [np.abs(flow - flows[-1]).max() for flow in flows[:-1]]
    assert gaps[2] < 0.6 * gaps[0]


SEPARABLE = (np.eye(2), [1, -1])
RELU = margin.ReLUModel(3)
PROBLEM = margin.MarginFlow(margin.LinearModel(), *SEPARABLE, rng=0)
REFUSED = [
    (
        lambda: PROBLEM.solve([0.1, 0.01, 0.001]),
        "Argument `log_losses` must hold minus the logarithms of losses, but 0.1 looks like a loss: give -np.log(losses).",
    ),
    (
        lambda: PROBLEM.solve([1e-10]),
        "Argument `log_losses` must hold minus the logarithms of losses, but 1e-10 looks like a loss: give -np.log(losses).",
    ),
    (lambda: margin.relu_plane(*SEPARABLE, rounds=-1), "Argument `rounds` must be at least 1, but is -1."),
    (lambda: margin.trace_norm(*SEPARABLE, rounds="a"), "Argument `rounds` must be a whole number, but is 'a'."),
    (lambda: margin.trace_norm(*SEPARABLE, tolerance=-1), "Argument `tolerance` must not be negative, but is -1.0."),
    (
        lambda: margin.linear_program(1e200 * np.eye(2), [1, -1], "l1"),
        "Argument `X` must be at most 1e+50 in size, but is 1e+200 at index [0, 0]: rescale it.",
    ),
    (
        lambda: margin.frozen_units(margin.NormOnlyModel(1e40 * np.eye(2), [1, -1]), 1e20 * np.eye(2), [1, -1]),
        "Argument `model` must have outputs up to 1e+50, but its frozen units reach 1e+60 on `X`.",
    ),
    (lambda: RELU.draw(0, 2, 1.0), "Argument `generator` must be a NumPy Generator, but is 0."),
    (lambda: RELU.size(-1), "Argument `features` must be at least 1, but is -1."),
    (lambda: RELU.pack(3, 2), "Argument `weights` must have shape (9,), but has shape ()."),
    (
        lambda: RELU.unpack([1, 2], 2),
        "Argument `weights` must have 9 numbers along its last axis, but has shape (2,).",
    ),
    (
        lambda: margin.parity(60),
        "Argument `dimension` must leave arrays below 8.6e+09 numbers, but at 60 one has 6.9e+19.",
    ),
    (
        lambda: random_networks.binary_task(np.eye(2), [1, -1], 3, 2),
        "Argument `classes` must hold two different labels, but is 3.",
    ),
    (
        lambda: random_networks.binary_task(3.0, [1, -1], (1, -1), 2),
        "Argument `inputs` must have shape (points, ...), but is a single number.",
    ),
    (
        lambda: random_networks.paired_difference(3, 1, 2),
        "Argument `results` must be a sequence of results, but is 3.",
    ),
    (
        lambda: random_networks.paired_difference([1, 2], 1, 2),
        "Argument `results` must hold results of GuessAndCheck.simulate or descend, with a `test_error`, but holds 1.",
    ),
    (lambda: random_networks.read_arrays(3), "Argument `path` must be a path, but is 3."),
    (
        lambda: fl.SampleFlow(np.eye(2), [1e200, 1], width=3, rng=0),
        "Argument `y` must be at most 1e+50 in size, but is 1e+200 at index [0]: rescale it.",
    ),
    (
        lambda: fl.EarlyAlignment(np.eye(2), [1, 1], width=10**12, rng=0),
        "Argument `width` must leave arrays below 8.6e+09 numbers, but at 1e+12 one has 2e+12.",
    ),
    (
        lambda: fl.EarlyAlignment(np.eye(2), [1, 1], width=3, rng=0).solve([1.0], max_kinks=2**63),
        "Argument `max_kinks` must be at most 9223372036854775807, but is 9223372036854775808.",
    ),
    (
        lambda: fl.SampleFlow(np.eye(2), [1, 1], width=3, rng=0).simulate([1e30]),
        "Argument `times` asks, at steps of 0.01, for 1e+32, and at most 1e+12 can be made.",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message


def test_results_of_other_things_have_no_paired_difference():
    with pytest.raises(TypeError, match=r"^Argument `results` must hold results of GuessAndCheck"):
        random_networks.paired_difference([xr.Dataset(coords={"width": [1, 2]})] * 2, 1, 2)


def test_a_linear_program_does_not_depend_on_the_unit_of_the_inputs():
    X = np.array([[2.0, 0.3], [0.1, 1.0], [-1.0, -0.7]])
    usual = margin.linear_program(X, [1, 1, -1], "l1")
    for scale in (1e-12, 1e12):
        scaled = margin.linear_program(scale * X, [1, 1, -1], "l1")
        assert scaled.lower == pytest.approx(scale * usual.lower, rel=1e-9)
        assert scaled.gap == pytest.approx(0, abs=1e-8 * scale)


def test_a_start_whose_loss_is_no_float_is_followed_and_one_without_digits_refused():
    flow = fl.MarginFlow(margin.LinearModel(), np.eye(2), [1.0, -1.0], weights=[1e3, 1e3]).solve([1.0])
    assert flow.attrs["first_phase"].startswith("The loss of the start was e^1000: the flow was first followed")
    with pytest.raises(ValueError, match=r"^At minus log loss 1 rounding decides on the direction"):
        fl.MarginFlow(margin.LinearModel(), np.eye(2), [1.0, -1.0], weights=[1e20, 1e20]).solve([1.0])


@pytest.mark.parametrize("model", [margin.LinearModel(), margin.QuadraticModel(2)])
def test_a_loss_at_which_rounding_decides_is_refused(model):
    problem = fl.MarginFlow(model, [[1.0, 0.3], [-0.2, 1.0], [0.5, 0.6]], [1.0, -1.0, 1.0], rng=0)
    late = problem.solve([1e9, 1e12])["margin"].values
    assert late[1] == pytest.approx(late[0], rel=1e-6)
    for log_losses in (1e15, 2**63):
        with pytest.raises(
            ValueError, match=r"rounding decides on the direction of the weights, of norm .* ask for larger losses"
        ):
            problem.solve(log_losses)
