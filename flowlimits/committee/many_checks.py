"""Checks of many networks of fixed width at once, on arrays; the first problem at fault is named (see `physics`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks
from ..spectrum.covariance import groups_of
from .equations import evaluate
from .physics import SLACK
from .problem import Committee

#: Problems whose overlaps are looked at together.
TOGETHER = 8192
#: Fields with an entry for each problem, and the axes that they have for one.
AXES = {
    "Q": 2,
    "R": 2,
    "T": 2,
    "learning_rate": 0,
    "noise": 0,
    "second_layer": 1,
    "teacher_second_layer": 1,
    "second_layer_rate": 0,
    "weight_decay": 0,
}
#: Fields that all problems share.
SHARED = ("activation", "teacher_activation", "spherical")


def listed(value: Any) -> Any:
    """Return a list or tuple as it is, anything else as nothing."""
    return value if isinstance(value, list | tuple) else ()


def array(name: str, value: Any) -> np.ndarray:
    """Return a field as an array of finite numbers; ragged lists and the first problem with NaN are named."""
    from ..ode.inputs import finite, rectangular

    made = rectangular(name, value)
    if made.ndim > AXES[name]:
        finite(name, made)
        return made
    return checks.array(name, made)


def one_of(fields: dict[str, Any], arrays: dict[str, np.ndarray], index: int) -> Committee:
    """Return one of the problems, checked by its class."""
    own = {name: value[index] if value.ndim > AXES[name] else value for name, value in arrays.items()}
    plain: dict[str, Any] = {name: float(value) if value.ndim == 0 else value for name, value in own.items()}
    try:
        return Committee(**plain, **{name: fields[name] for name in SHARED if name in fields})
    except (TypeError, ValueError) as error:
        raise type(error)(f"Problem {index}: {error}") from None


def by_group(fields: dict[str, Any]) -> list[Committee]:
    """Return the problems of one covariance, which they share; overlaps may be plain, by group, or have one axis more for the problems.

    Three axes of overlaps are groups if they are as many as these, and problems otherwise.
    """
    covariance = groups_of(fields.get("covariance"))
    axes = AXES | {"unexplained": 2}
    arrays = {name: checks.array(name, fields[name]) for name in axes if fields.get(name) is not None}
    differ = {
        name
        for name, value in arrays.items()
        if value.ndim > axes[name]
        and not (name in ("Q", "R", "T") and value.ndim == 3 and len(value) == covariance.count)
    }
    numbers = {len(arrays[name]) for name in differ}
    if len(numbers) != 1:
        told = "differ in length" if numbers else "hold one problem"
        raise ValueError(
            f"Argument `fields` must hold one value for each problem in at least one array, but its arrays {told}."
        )
    made = []
    for index in range(numbers.pop()):
        own = {name: value[index] if name in differ else value for name, value in arrays.items()}
        plain: dict[str, Any] = {name: float(value) if value.ndim == 0 else value for name, value in own.items()}
        shared = {name: value for name, value in fields.items() if name not in arrays and name != "covariance"}
        try:
            made.append(Committee(**plain, **shared, covariance=fields.get("covariance")))
        except (TypeError, ValueError) as error:
            raise type(error)(f"Problem {index}: {error}") from None
    return made


def check_overlaps(Q: np.ndarray, R: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return symmetric overlaps of fitting shapes, positive semidefinite together; the first problem at fault is named.

    Arrays with an axis of problems, which `array` made, are not copied again.
    """
    p, k = Q.shape[-1], T.shape[-1]
    for name, value, shape in (("Q", Q, (p, p)), ("R", R, (p, k)), ("T", T, (k, k))):
        if value.shape[-2:] != shape:
            raise ValueError(
                f"Argument `{name}` must have shape {shape}, or (problems, {shape[0]}, {shape[1]}), but has shape {value.shape}."
            )
    lead = np.broadcast_shapes(Q.shape[:-2], R.shape[:-2], T.shape[:-2])
    Q, R, T = (np.ascontiguousarray(value) if value.ndim == 3 else value.copy() for value in (Q, R, T))
    if evaluate.feasible(*(value.reshape(-1, *value.shape[-2:]) for value in (Q, R, T)), SLACK):
        return Q, R, T
    return slowly(Q, R, T, lead)


def slowly(
    Q: np.ndarray, R: np.ndarray, T: np.ndarray, lead: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same by whole arrays, which says what is at fault."""
    p, k = R.shape[-2:]
    made = []
    for name, value in (("Q", Q), ("T", T)):
        turned = np.swapaxes(value, -1, -2)
        slack = SLACK * np.maximum(np.abs(value).max(axis=(-1, -2), keepdims=True), 1e-300)
        wrong = (np.abs(value - turned) > slack).any(axis=(-1, -2))
        if wrong.any():
            where = f" of problem {int(np.argmax(wrong))}" if value.ndim == 3 else ""
            raise ValueError(
                f"Argument `{name}` must be symmetric, but that{where} is not."
                if where
                else f"Argument `{name}` must be symmetric, but is not."
            )
        made.append(0.5 * (value + turned))
    Q, T = made
    for start in range(0, lead[0] if lead else 1, TOGETHER):
        rows = slice(start, start + TOGETHER)
        parts = (
            [np.broadcast_to(value, (*lead, *value.shape[-2:]))[rows] for value in (Q, R, T)]
            if lead
            else [Q[None], R[None], T[None]]
        )
        C = np.block([[parts[0], parts[1]], [np.swapaxes(parts[1], -1, -2), parts[2]]])
        scale = np.maximum(np.diagonal(C, axis1=-2, axis2=-1).max(axis=-1), 0.0)
        try:
            np.linalg.cholesky(C + (SLACK * scale + 1e-300)[:, None, None] * np.eye(p + k))
        except np.linalg.LinAlgError:
            smallest = np.linalg.eigvalsh(C)[:, 0]
            below = smallest + SLACK * scale
            # The first at fault; of those at the edge, where the two decompositions may differ, the nearest.
            index = int(np.argmax(below < 0.0) if (below < 0.0).any() else np.argmin(below))
            raise ValueError(
                f"Overlaps of problem {start + index} are not feasible: [[Q, R], [R.T, T]] has the eigenvalue {smallest[index]:.3g}. "
                "Overlaps of weight matrices are positive semidefinite."
            ) from None
    return Q, R, T
