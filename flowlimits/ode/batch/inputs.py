"""Checks of the arguments of `integrate_batch`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import checks
from .. import inputs


def check_starts(y0s: Any) -> np.ndarray:
    """Return the starts, shape (problems, n): at least one problem, at least one component, all finite."""
    starts = rectangular("y0s", y0s)
    if starts.ndim != 2:
        raise ValueError(
            f"Argument `y0s` must have shape (problems, n), one start per row, but has shape {starts.shape}."
        )
    if not len(starts):
        raise ValueError("Argument `y0s` must hold at least one problem, but is empty.")
    if not starts.shape[1]:
        raise ValueError("Argument `y0s` must hold at least one component per problem, but its rows are empty.")
    finite("y0s", starts)
    return starts


def check_params(params: Any, problems: int) -> np.ndarray:
    """Return the parameters, shape (problems, m), or (1, m) if all problems share them."""
    given = rectangular("params", params)
    if given.ndim == 1 and len(given) == problems > 1:
        raise ValueError(
            f"Argument `params` of shape ({problems},) could mean one parameter for each of the {problems} problems, or "
            f"{problems} parameters for all of them: give it the shape ({problems}, 1) or (1, {problems})."
        )
    if given.ndim <= 1:
        own = given.reshape(1, -1)
    elif given.ndim == 2 and len(given) in (1, problems):
        own = given
    else:
        raise ValueError(
            f"Argument `params` must have shape (problems, m) = ({problems}, m), or (m,) or (1, m) for all problems, but has shape {given.shape}."
        )
    finite("params", own, shared=len(own) == 1 < problems)
    return np.ascontiguousarray(own)


def check_times(times: Any, start: float) -> np.ndarray:
    """Return the requested times, which all problems share."""
    try:
        dimensions = np.ndim(times)
    except ValueError:
        dimensions = 2
    if dimensions > 1:
        raise ValueError(
            "Argument `times` must be one-dimensional: all problems of a batch share the requested times.  For other "
            "times, ask for all of them and select, or make one batch per set of times."
        )
    return inputs.check_times(times, start)


def rectangular(name: str, value: Any) -> np.ndarray:
    """Return an array of floats that may hold NaN; rows of different lengths are named."""
    try:
        given = np.asarray(value)
    except ValueError:
        shapes = [_shape(row) for row in value]
        other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
        raise ValueError(
            f"Argument `{name}` must have the same shape for every problem, but problem 0 has {shapes[0]} and "
            f"problem {other} has {shapes[other]}."
        ) from None
    if given.dtype.kind != "f":
        return checks.array(name, value, allow_empty=True)
    return np.array(given, dtype=np.float64, order="C")


def _shape(row: Any) -> str:
    try:
        return str(np.shape(row))
    except ValueError:
        return "ragged rows"


def finite(name: str, array: np.ndarray, shared: bool = False) -> None:
    """Refuse NaN and infinity, with the problem they are in."""
    rows = array.reshape(len(array), int(np.prod(array.shape[1:])))
    bad = ~np.isfinite(rows)
    if not bad.any():
        return
    problems = np.flatnonzero(bad.any(axis=1))
    first = rows[problems[0]][bad[problems[0]]][0]
    more = f" ({problems.size - 1} more do so)" if problems.size > 1 else ""
    where = "" if shared else f"problem {problems[0]} "
    raise ValueError(f"Argument `{name}` must be finite, but {where}holds {first:g}{more}.")
