"""Observables of the flow on a sample at given weights, and the class of a trained network."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from ..core import checks
from . import equations
from .equations import LOSSES
from .physics import SampleFlowPhysics


def least_squares(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the coefficients of the least-squares fit of smallest norm."""
    return np.linalg.lstsq(X, y, rcond=None)[0]


def split_least_squares(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the fits :math:`b_+, b_-` on the inputs with :math:`\beta\cdot x > 0` and :math:`< 0`, beta that of all inputs, eq. (S5)."""
    right = X @ least_squares(X, y) > 0
    plus = least_squares(X[right], y[right]) if right.any() else np.zeros(X.shape[1])
    minus = least_squares(X[~right], y[~right]) if (~right).any() else np.zeros(X.shape[1])
    return plus, minus


def split_prediction(X: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    r"""Return :math:`\langle x, b_+\rangle_+ - \langle -x, b_-\rangle_+`."""
    return np.maximum(X @ plus, 0) - np.maximum(-X @ minus, 0)


def distances(X: np.ndarray, y: np.ndarray, output: np.ndarray) -> dict[str, float]:
    """Return root-mean-square distances of the output to the candidates, relative to that of the labels."""
    scale = float(np.sqrt(np.mean(y**2))) or 1.0
    plus, minus = split_least_squares(X, y)
    candidates = {"interpolating": y, "OLS": X @ least_squares(X, y), "split OLS": split_prediction(X, plus, minus)}
    return {name: float(np.sqrt(np.mean((output - value) ** 2))) / scale for name, value in candidates.items()}


def classify(X: np.ndarray, y: np.ndarray, output: np.ndarray, tolerance: float = 0.02) -> tuple[str, dict[str, float]]:
    """Return the nearest candidate within the tolerance, or "other", and all distances.

    Interpolation is asked first: where the sample can be fitted exactly, all candidates may coincide.
    """
    seen = distances(X, y, output)
    if seen["interpolating"] <= tolerance:
        return "interpolating", seen
    name = min(("OLS", "split OLS"), key=lambda key: seen[key])
    return (name if seen[name] <= tolerance else "other"), seen


def end_point(X: np.ndarray, y: np.ndarray, W: np.ndarray, a: np.ndarray, share: float = 1e-3) -> tuple[float, bool]:
    r"""Return where the flow ends in closed form if its patterns stay, eq. (S6): the loss, and whether they can stay.

    Units of one pattern and sign act through the one vector :math:`v = \sum_j a_jw_j`, in which the loss is quadratic; its minimum is
    consistent if each :math:`v`, taken with its sign, has the pattern that it was computed with.  Units below `share` of the largest
    :math:`|a_j||w_j|` are left out.
    """
    weight = np.abs(a) * np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(weight > share * weight.max(initial=0.0))
    if kept.size == 0:
        return float(0.5 * np.mean(y**2)), True
    patterns = np.unique(np.column_stack([np.sign(a[kept]), W[kept] @ X.T > 0]), axis=0)
    signs, gates = patterns[:, 0], patterns[:, 1:]
    columns = (gates[:, :, None] * X[None]).transpose(1, 0, 2).reshape(len(X), -1)
    v = least_squares(columns, y)
    loss = float(0.5 * np.mean((columns @ v - y) ** 2))
    consistent = ((signs[:, None] * v.reshape(len(signs), -1)) @ X.T > 0) == (gates > 0)
    return loss, bool(consistent.all())


def distinct_directions(W: np.ndarray, a: np.ndarray, angle: float = 0.02, share: float = 1e-3) -> int:
    """Return the number of directions, apart by more than `angle`, of units that carry more than `share` of the largest a_j |w_j|."""
    weight = np.abs(a) * np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(weight > share * weight.max(initial=0.0))
    kept = kept[np.argsort(-weight[kept], kind="stable")]
    found: list[np.ndarray] = []
    for j in kept:
        u = W[j] / np.linalg.norm(W[j])
        signed = np.append(u, np.sign(a[j]))
        if all(
            signed[-1] != other[-1] or 2 * math.asin(min(1.0, float(np.linalg.norm(u - other[:-1])) / 2)) > angle
            for other in found
        ):
            found.append(signed)
    return len(found)


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
