"""Gradient descent with a constant step, against the flow at equal norm."""

import json

import numpy as np
import pytest
from naive_margin import read

from flowlimits import margin
from flowlimits.core.threads import Interrupted
from flowlimits.data.rerun import differing, rerun


def relu_problem():
    return margin.MarginFlow(margin.ReLUModel(16), *read("relu_1"), rng=1, scale=0.5)


def test_descent_follows_the_flow_at_equal_norm():
    problem = relu_problem()
    losses = np.linspace(1.0, 8.0, 40)
    flow = problem.solve(losses)
    for batch, bound in ((None, 1e-4), (1, 2e-3)):
        runs = problem.simulate(losses, learning_rate=0.02, batch=batch, runs=1, rng=0)
        at_equal_norm = np.interp(runs["log_norm"][0, 20:], flow["log_norm"], flow["margin"])
        difference = np.abs(at_equal_norm - runs["margin"][0, 20:]).max()
        assert difference < bound
        # At another norm the margins differ by far more.
        assert (
            np.abs(
                np.interp(runs["log_norm"][0, 20:] - 0.3, flow["log_norm"], flow["margin"]) - runs["margin"][0, 20:]
            ).max()
            > bound
        )


def test_a_small_step_gives_the_flow_in_time():
    X, y = read("linear")
    problem = margin.MarginFlow(margin.LinearModel(), X, y, weights=np.zeros(4), loss="logistic")
    losses = np.array([0.5, 1.0, 2.0])
    flow = problem.solve(losses)
    gaps = []
    for rate in (0.01, 0.005):
        run = problem.simulate(losses, learning_rate=rate)
        gaps.append(np.abs(run["log_time"][0] - flow["log_time"]).max())
    assert gaps[1] < 0.6 * gaps[0] < 0.02


def test_runs_have_their_own_batches_and_repeat():
    problem = relu_problem()
    first = problem.simulate([1.0, 2.0], learning_rate=0.05, batch=2, runs=2, rng=3)
    assert first["margin"].dims == ("run", "time")
    assert not np.array_equal(first["direction"][0], first["direction"][1])
    again = problem.simulate([1.0, 2.0], learning_rate=0.05, batch=2, runs=2, rng=3, threads=1)
    np.testing.assert_array_equal(first["direction"], again["direction"])
    assert json.loads(first.attrs["provenance"])["method"] == "sgd"


def test_bad_descents_are_refused_with_a_sentence():
    problem = relu_problem()
    with pytest.raises(
        margin.BudgetError, match=r"Gradient descent reached minus log loss .* of 50 in max_steps=1000 steps"
    ):
        problem.simulate([50.0], learning_rate=0.02, max_steps=1000)
    with pytest.raises(
        ValueError, match=r"Gradient descent diverged after .* steps: lower `learning_rate`, which is 100"
    ):
        problem.simulate([50.0], learning_rate=100.0)
    with pytest.raises(ValueError, match="Argument `batch` must be at least 1, but is 0"):
        problem.simulate([5.0], learning_rate=0.1, batch=0)
    with pytest.raises(ValueError, match="Argument `learning_rate` must be positive, but is -1"):
        problem.simulate([5.0], learning_rate=-1)
    sign = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], geometry="linf", rng=0)
    with pytest.raises(ValueError, match='Gradient descent belongs to geometry="l2"'):
        sign.simulate([5.0], learning_rate=0.1)


def test_a_certificate_belongs_to_one_run():
    problem = margin.MarginFlow(margin.LinearModel(), [[2.0, 0.0], [0.0, 1.0]], [1, 1], rng=0)
    runs = problem.simulate([1.0, 2.0], learning_rate=0.01, batch=1, runs=2, rng=0)
    with pytest.raises(
        ValueError, match=r"must be a single flow, but has the dimension `run`: take one run with \.isel\(run=0\)\."
    ):
        margin.certify(runs)
    assert margin.certify(runs.isel(run=0)).gap > 0


def test_an_interrupt_keeps_the_finished_runs(monkeypatch):
    from flowlimits.margin import simulation

    problem = relu_problem()
    whole = problem.simulate([1.0, 2.0], learning_rate=0.05, batch=2, runs=3, rng=3, threads=1)
    train, calls = simulation._train, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(simulation, "_train", interrupted)
    with pytest.raises(Interrupted, match="after 2 of 3 training runs") as caught:
        problem.simulate([1.0, 2.0], learning_rate=0.05, batch=2, runs=3, rng=3, threads=1)
    monkeypatch.undo()
    kept = caught.value.partial
    np.testing.assert_array_equal(kept["margin"], whole["margin"][:2])
    assert differing(kept, rerun(kept)) == []
