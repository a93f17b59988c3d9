"""Derivatives of a solution with respect to its physics."""

import numpy as np
import pytest
from fluctuation_problems import BY_GROUP, PLAIN, problem

import flowlimits as fl


@pytest.mark.parametrize(
    ("start", "physics"),
    [
        (PLAIN, {"second_layer_rate": 0.5, "weight_decay": 0.1}),
        (PLAIN, {"activation": "square", "learning_rate": 0.0}),
        (BY_GROUP, {}),
    ],
)
def test_sensitivities_are_differences_of_solutions(start, physics):
    numbers = {"learning_rate": 1.0, "noise": 0.05, "weight_decay": 0.0} | {
        k: v for k, v in physics.items() if k != "activation"
    }
    one, times, step = problem(start, **physics), [0.5, 3.0], 1e-4
    found = one.solve(times, sensitivities=list(numbers), observables=["subspace_share"])
    for number, value in numbers.items():
        # From zero the difference is one-sided, and of second order too.
        moved = [value + 2 * step, value + step] if value == 0 else [value + step, value - step]
        ends = [
            problem(start, **physics | {number: other}).solve(
                times, rtol=1e-11, atol=1e-13, observables=["subspace_share"]
            )
            for other in moved
        ]
        here = problem(start, **physics).solve(times, rtol=1e-11, atol=1e-13, observables=["subspace_share"])
        for name in ("Q", "R", "risk", "subspace_share"):
            if value == 0:
                difference = (4 * ends[1][name] - ends[0][name] - 3 * here[name]).values / (2 * step)
            else:
                difference = (ends[0][name] - ends[1][name]).values / (2 * step)
            scale = max(np.abs(difference).max(), 1e-6)
            np.testing.assert_allclose(found[f"{name}_by_{number}"], difference, atol=3e-3 * scale, rtol=3e-3)


def test_sensitivities_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"^Argument `sensitivities` must be one of"):
        problem().solve([1.0], sensitivities=["lr"])
    with pytest.raises(ValueError, match=r"may name `learning_rate` where it is a number, but it is a Schedule"):
        problem(learning_rate=fl.Schedule([0.0, 1.0], [1.0, 0.5])).solve([1.0], sensitivities=["learning_rate"])
    with pytest.raises(ValueError, match=r"may name `second_layer_rate` where it is positive, but it is 0"):
        problem().solve([1.0], sensitivities=["second_layer_rate"])
