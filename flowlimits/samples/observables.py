"""Observables of the flow on a sample at given weights, and what a trained network has become."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..core import checks
from . import equations
from .end_state import classify, distinct_directions
from .equations import LOSSES
from .physics import SampleFlowPhysics


def shown_of(physics: SampleFlowPhysics, observables: Any) -> list[str]:
    if observables is None:
        return ["risk", *(["test_risk"] if physics.X_test is not None else []), "second_layer"]
    named = checks.items("observables", observables, str)
    shown = ["risk", *[checks.choice("observables", name, list(physics.variables)) for name in named]]
    if "test_risk" in shown and physics.X_test is None:
        raise ValueError("The observable `test_risk` needs test data: give `X_test` and `y_test`.")
    return list(dict.fromkeys(shown))


def observe(physics: SampleFlowPhysics, states: np.ndarray, m: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return the variables of the result at every state."""
    d = physics.W.shape[1]
    loss = LOSSES.index(physics.loss)
    Wt = states[:, : d * m].reshape(-1, d, m)
    a = states[:, d * m :]
    full: dict[str, np.ndarray] = {"second_layer": a}
    output = np.array([physics.predict(w.T, b, physics.X) for w, b in zip(Wt, a)]).reshape(len(states), -1)
    full["output"] = output
    full["risk"] = np.array([equations.mean_loss(row, np.array(physics.y), loss) for row in output])
    if "test_risk" in names:
        labels = np.array(physics.y_test)
        full["test_risk"] = np.array(
            [equations.mean_loss(physics.predict(w.T, b, physics.X_test), labels, loss) for w, b in zip(Wt, a)]
        )
    full["hidden"] = np.swapaxes(Wt, 1, 2)
    if "directions" in names:
        lengths = np.linalg.norm(full["hidden"], axis=2, keepdims=True)
        full["directions"] = np.divide(full["hidden"], lengths, out=np.zeros_like(full["hidden"]), where=lengths > 0)
    return {name: full[name] for name in physics.variables if name in names}


def weights_of(physics: SampleFlowPhysics, state: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    d = physics.W.shape[1]
    return state[: d * m].reshape(d, m).T, state[d * m :]


def end_state_of(physics: SampleFlowPhysics, state: np.ndarray, m: int) -> dict[str, Any]:
    W, a = weights_of(physics, state, m)
    attributes: dict[str, Any] = {"distinct_directions": distinct_directions(W, a)}
    if physics.loss == "squared":
        name, seen = classify(physics.inputs(), np.array(physics.y), physics.predict(W, a, physics.X))
        attributes |= {"end_state": name, "end_state_distances": json.dumps(seen)}
    return attributes
