"""Checks of the arguments of `integrate` and `integrate_batch`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import checks
from .functions import Event, RightHandSide, address_of, check_pattern
from .jacobians import Jacobian, Structure

METHODS = ("auto", "dop853", "radau", "radau5", "radau9", "radau13")


def check_rhs(rhs: Any) -> RightHandSide:
    """Return `rhs` if it was made by `right_hand_side`."""
    if not isinstance(rhs, RightHandSide):
        hint = f"; write @fl.ode.right_hand_side above `def {rhs.__name__}`." if inspect.isfunction(rhs) else "."
        raise TypeError(
            f"Argument `rhs` must be a function decorated with fl.ode.right_hand_side, but is {checks.show(rhs)}{hint}"
        )
    return rhs


def check_method(method: Any, known: Sequence[str] = METHODS) -> str:
    """Return the name of a method; the one that was taken out is refused by name."""
    if isinstance(method, str) and method == "tsit5":
        raise ValueError('Argument `method` cannot be "tsit5" any more: "dop853" takes less time at every tolerance.')
    return checks.choice("method", method, known)


def check_times(times: Any, start: float) -> np.ndarray:
    """Return the requested times: finite, strictly increasing, none before `start`."""
    result = np.atleast_1d(checks.array("times", times, allow_empty=True, largest=math.inf))
    if result.ndim != 1:
        raise ValueError(f"Argument `times` must be one-dimensional, but has shape {result.shape}.")
    if result.size == 0:
        raise ValueError("Argument `times` must hold at least one time, but is empty.")
    if result[0] < start:
        raise ValueError(f"Argument `times` must not begin before `start` = {start:g}, but begins at {result[0]:g}.")
    if (np.diff(result) <= 0).any():
        i = int(np.argmax(np.diff(result) <= 0))
        raise ValueError(
            f"Argument `times` must increase strictly, but {result[i + 1]:g} follows {result[i]:g} at index {i + 1}."
        )
    return result


def check_jumps(jumps: Any, start: float, end: float) -> np.ndarray:
    """Return the times at which the right-hand side jumps that lie inside the integration."""
    if isinstance(jumps, tuple) and not jumps:
        return np.empty(0)
    given = np.atleast_1d(checks.array("jumps", jumps, allow_empty=True, largest=math.inf))
    if given.ndim != 1:
        raise ValueError(f"Argument `jumps` must be one-dimensional, but has shape {given.shape}.")
    return np.unique(given[(given > start) & (given < end)])


def check_max_step(max_step: Any, start: float, end: float) -> float:
    """Return the longest step; one that cannot move the time is refused."""
    if max_step is None:
        return float("inf")
    longest = checks.number("max_step", max_step, positive=True, largest=math.inf)
    spacing = float(np.spacing(max(abs(start), abs(end))))
    if longest < spacing and end > start:
        raise ValueError(
            f"Argument `max_step` must be long enough to move the time, but is {longest:g}: between {start:g} and {end:g} "
            f"numbers of double precision are up to {spacing:.2g} apart."
        )
    return longest


def check_tolerances(rtol: Any, atol: Any, n: int) -> tuple[float, np.ndarray]:
    """Return rtol and one absolute tolerance per component."""
    relative = checks.number("rtol", rtol, nonnegative=True)
    absolute = checks.array("atol", atol, largest=math.inf)
    if absolute.ndim > 1 or (absolute.ndim == 1 and absolute.shape != (n,)):
        raise ValueError(f"Argument `atol` must be a number or have shape ({n},), but has shape {absolute.shape}.")
    if (absolute < 0).any():
        raise ValueError(f"Argument `atol` must not be negative, but holds {absolute.min():g}.")
    if relative < 1e-15 and not (absolute > 0).all():
        raise ValueError("Arguments `rtol` and `atol` must not both be zero.")
    if 0 < relative < 1e-14:
        raise ValueError(f"Argument `rtol` must be zero or at least 1e-14, but is {relative:g}.")
    return relative, np.broadcast_to(absolute, (n,))


def check_events(events: Any) -> tuple[Event, ...]:
    """Return `events` as a tuple of events."""
    # The two kinds of events, fl.Event and what fl.ode.event makes, are easily taken for each other.
    listed = (events,) if type(events).__name__ == "Event" else checks.items("events", events, Event)
    for event in listed:
        if not isinstance(event, Event):
            hint = "; fl.Event is for the `solve` of a problem." if type(event).__name__ == "Event" else "."
            raise TypeError(
                f"Argument `events` must hold functions decorated with fl.ode.event, but holds {checks.show(event)}{hint}"
            )
    return listed


def check_dense(dense: Any) -> int | None:
    """Return from how many requested times in one step on they are interpolated: 0 never, None by the rule."""
    if isinstance(dense, str) and dense == "auto":
        return None
    if isinstance(dense, bool | np.bool_):
        return 1 if dense else 0
    raise TypeError(f'Argument `dense` must be True, False or "auto", but is {checks.show(dense)}.')


def check_jacobian(rhs: RightHandSide, n: int, rank: Any, sparsity: Any, structure: Any = None) -> Jacobian:
    """Return how the implicit method gets its Jacobian."""
    if structure is not None:
        if not isinstance(structure, Structure):
            raise TypeError(f"Argument `structure` must be an ode.Structure, but is {checks.show(structure)}.")
        return Jacobian(4, address_of(structure.jacobian), structure=structure)
    columns = rhs.rank if rank is None else checks.integer("rank", rank, minimum=0)
    if rhs.jacobian is not None:
        if rhs.structured and columns == 0 and rank is None:
            raise ValueError(
                "Argument `rank` is missing: a structured Jacobian needs the number of columns of U and V, here or in "
                "fl.ode.right_hand_side."
            )
        return Jacobian(1 if rhs.structured else 0, address_of(rhs.jacobian), columns if rhs.structured else 0)
    pattern = rhs.sparsity if sparsity is None else check_pattern(sparsity)
    if pattern is None:
        return Jacobian()
    if pattern.shape != (n, n):
        raise ValueError(f"Argument `sparsity` must have shape ({n}, {n}), but has shape {pattern.shape}.")
    return Jacobian(3, sparsity=pattern)


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


def check_common_times(times: Any, start: float) -> np.ndarray:
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
    return check_times(times, start)


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
        return checks.array(name, value, allow_empty=True, largest=math.inf)
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
