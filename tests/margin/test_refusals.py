"""What margin flows refuse, and what they say before a run that will be long."""

import numpy as np
import pytest
from naive_margin import read

from flowlimits import margin

INSEPARABLE = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.2]]), np.array([1, -1, 1, -1])


@pytest.mark.parametrize("method", ["implicit", "explicit"])
def test_data_without_margin_are_named_with_the_best_margin_found(method):
    problem = margin.MarginFlow(margin.LinearModel(), *INSEPARABLE, weights=np.zeros(2))
    with pytest.raises(
        margin.NoMarginError, match=r"The flow has no margin: it stops at the loss 3\.\d+, above the one"
    ) as error:
        problem.solve([1.0], method=method)
    assert error.value.margin <= 0
    assert error.value.log_loss == pytest.approx(np.log(3.9), abs=0.15)


@pytest.mark.parametrize(
    ("losses", "arguments", "message"),
    [
        ([2.0, 1.0], {}, "Argument `log_losses` must increase strictly, but is not sorted"),
        ([-1.0], {}, "Argument `log_losses` must not be negative, but starts at -1"),
        ([1.0], {"method": "rk4"}, "Argument `method` must be one of"),
        ([1.0], {"rtol": 0}, "Argument `rtol` must be positive"),
        ([1.0], {"max_steps": 0}, "Argument `max_steps` must be at least 1, but is 0."),
    ],
)
def test_bad_calls_are_refused_with_a_sentence(losses, arguments, message):
    problem = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], rng=0)
    with pytest.raises(ValueError) as error:
        problem.solve(losses, **arguments)
    assert str(error.value).startswith(message)


def test_losses_above_that_of_the_start_are_refused():
    problem = margin.MarginFlow(margin.LinearModel(), np.eye(2), [1, 1], weights=[10.0, 10.0])
    with pytest.raises(
        ValueError,
        match=r"Argument `log_losses` must not begin before the start, whose minus log loss is 9\.30685, but begins at 1\.",
    ):
        problem.solve([1.0, 20.0])
    np.testing.assert_allclose(problem.solve([10 - np.log(2), 20])["log_norm"][0], np.log(np.sqrt(200)))


def test_kinks_have_no_implicit_flow():
    problem = margin.MarginFlow(margin.ReLUModel(4), np.eye(2), [1, 1], rng=0)
    with pytest.raises(
        ValueError, match=r'Argument `method` must not be "implicit" for ReLUModel: its gradient jumps.'
    ):
        problem.solve([1.0], method="implicit")


def test_a_horizon_beyond_the_budget_is_refused_before_the_long_run():
    X, y = read("relu_1")
    problem = margin.MarginFlow(margin.ReLUModel(16), X, y, rng=1, scale=0.5)
    with pytest.raises(
        margin.BudgetError,
        match=r"The horizon of minus log loss 2e\+07 will take about .* steps \(.*\), beyond max_steps=50000000",
    ):
        problem.solve([2e7])
    with pytest.raises(margin.NoMarginError, match="still is after max_steps=10 steps"):
        problem.solve([5.0], max_steps=10)


def contradictory(features=4):
    X = np.random.default_rng(0).normal(size=(12, features))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    return np.vstack([X, X[:1]]), np.append(y, -y[0])


STALLING = [(margin.LinearModel(), "linf"), (margin.ReLUModel(8), "l2"), (margin.QuadraticModel(4), "l2")]


@pytest.mark.parametrize(("model", "geometry"), STALLING)
def test_flows_that_stall_say_so_long_before_the_budget(model, geometry):
    problem = margin.MarginFlow(model, *contradictory(), rng=0, geometry=geometry)
    with pytest.raises(
        margin.NoMarginError, match=r"has no margin: it stalls at the loss .*best normalised margin found is -"
    ) as caught:
        problem.solve([10.0, 100.0], max_steps=10_000_000)
    assert caught.value.margin <= 0
    if geometry == "l2":  # The two contradictory samples cost at least exp(-q) + exp(q) >= 2.
        assert np.exp(caught.value.log_loss) == pytest.approx(2.0, rel=1e-2)


def test_a_budget_that_ends_the_first_phase_of_separable_data_is_not_taken_for_data_without_margin():
    X, y = contradictory()
    X, y = X[:-1], y[:-1]
    with pytest.raises(margin.NoMarginError, match=r"max_steps=10 steps .* or `max_steps` is too small\.$"):
        margin.MarginFlow(margin.LinearModel(), X, y, rng=1).solve([10.0], max_steps=10)
    problem = margin.MarginFlow(margin.ReLUModel(16), X, y, rng=0)
    errors = []
    for steps in range(200, 2000, 200):
        with pytest.raises((margin.NoMarginError, margin.BudgetError)) as caught:
            problem.solve([10.0, 1e5], max_steps=steps)
        errors.append(caught.value)
    assert all(error.margin <= 0 for error in errors if isinstance(error, margin.NoMarginError))
    assert any("The flow separates the data (normalised margin 0." in str(error) for error in errors)
