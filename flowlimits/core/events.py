"""An event is the time at which an observable of a solution crosses a value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from . import checks
from .problem import Description


@dataclass(frozen=True, eq=False, repr=False)
class Event(Description):
    """The first time at which a variable crosses a value, from either side.

    Parameters
    ----------
    variable : str
        Name of a variable of the result, such as "overlap".
    value : float
        The value to cross.
    stop : bool, optional
        End the solution there.  Times beyond the event are left out of the result.

    Examples
    --------
    >>> import flowlimits as fl
    >>> fl.Event("overlap", 0.95)
    Event(variable='overlap', value=0.95, stop=False)
    """

    variable: str
    value: float
    stop: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.variable, str):
            raise TypeError(f"Argument `variable` must be the name of a variable, but is {checks.show(self.variable)}.")
        object.__setattr__(self, "value", checks.number("value", self.value, largest=math.inf))
        object.__setattr__(self, "stop", checks.boolean("stop", self.stop))


def check_events(events: Any, variables: list[str]) -> tuple[Event, ...]:
    """Return `events` as a tuple of events on known variables."""
    # The two kinds of events, fl.Event and what fl.ode.event makes, are easily taken for each other.
    listed = (events,) if type(events).__name__ == "Event" else checks.items("events", events, Event)
    for event in listed:
        if not isinstance(event, Event):
            raise TypeError(
                f'Argument `events` must hold fl.Event objects such as fl.Event("overlap", 0.95), but holds {checks.show(event)}.'
            )
        checks.choice("variable", event.variable, variables)
    return listed


def locate(
    events: Sequence[Event],
    times: np.ndarray,
    variables: Mapping[str, np.ndarray],
    evaluate: Callable[[int, float], Mapping[str, float]],
) -> np.ndarray:
    """Return the first time at which each event happens, NaN where it does not, shape (len(events),).

    A crossing is seen between two requested times at whose ends the variable lies on different sides; the root
    is then refined by solving again, to the accuracy of that solution.

    Parameters
    ----------
    times : ndarray, shape (n,)
        Times of the solution, its start included.
    variables : mapping
        Values at these times, shape (n,) each.
    evaluate : callable
        ``evaluate(i, t)`` returns the variables at a time t in [times[i], times[i + 1]], solved from times[i].
    """
    found = np.full(len(events), np.nan)
    for number, event in enumerate(events):
        distance = np.asarray(variables[event.variable]) - event.value
        exact = np.flatnonzero(distance == 0)
        changes = np.flatnonzero(distance[:-1] * distance[1:] < 0)
        if exact.size and (not changes.size or exact[0] <= changes[0]):
            found[number] = times[exact[0]]
        elif changes.size:
            i = int(changes[0])

            def miss(t: float, i: int = i, event: Event = event) -> float:
                return float(evaluate(i, t)[event.variable]) - event.value

            found[number] = _root(miss, times[i], times[i + 1], distance[i], distance[i + 1])
    return found


def _root(miss: Callable[[float], float], low: float, high: float, at_low: float, at_high: float) -> float:
    """Return the root in a bracket by Ridders' method (SciPy's would load `scipy.optimize`)."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        if high - low <= 4e-16 * abs(high) or middle in (low, high):
            break
        at_middle = miss(middle)
        scale = math.sqrt(at_middle * at_middle - at_low * at_high)
        if scale == 0.0:
            return middle
        guess = middle + (middle - low) * math.copysign(at_middle / scale, at_middle * (at_low - at_high))
        guess = min(max(guess, low), high)
        at_guess = miss(guess)
        if at_guess == 0.0:
            return guess
        ends = sorted([(low, at_low), (middle, at_middle), (guess, at_guess), (high, at_high)])
        for (a, fa), (b, fb) in itertools.pairwise(ends):
            if fa * fb <= 0 and (fa, fb) != (0.0, 0.0):
                low, high, at_low, at_high = a, b, fa, fb
                break
        if abs(at_guess) <= 1e-15 * (abs(at_low) + abs(at_high)):
            return guess
    return 0.5 * (low + high)


SCALES = ("auto", "linear", "log")


def crossing(dataset: xr.Dataset, variable: str, value: float, *, scale: str = "auto") -> xr.DataArray:
    """Return the first time at which a curve crosses a value, from either side.

    Parameters
    ----------
    dataset : xarray.Dataset
        A result in time.
    variable : str
        A variable with the axes `time`, and `run` if there are runs, and possibly more.
    value : float
        The value to cross; a curve that starts on it crosses it at its first time.
    scale : {"auto", "linear", "log"}, optional
        The scale of the times in which the curve is interpolated; "auto" takes the logarithm where the grid is
        closer to a geometric one.

    Returns
    -------
    xarray.DataArray
        The time, per run and entry; nan where the curve never crosses, or is not finite before it does.  Its coordinate
        `error` bounds the error of the interpolation: the largest distance to the zeros of the straight line and of the
        parabolas through a neighbour on either side, or to the end of the interval where the curve bends too much
        between its points.  If a curve never crosses, the attribute `nearest` says how near it came.

    Raises
    ------
    ValueError
        If the variable is missing or has no time, a single curve is not finite, or there are fewer than two times.

    Notes
    -----
    Between the two times around the crossing, the curve is the monotone piecewise cubic of Fritsch and Carlson
    (SIAM J. Numer. Anal. 17, 238, 1980), which crosses once.  For an exact time solve with ``fl.Event``.
    """
    if not isinstance(dataset, xr.Dataset) or "time" not in dataset.coords:
        raise TypeError("Argument `dataset` must be a result in time (an xarray.Dataset with the coordinate `time`).")
    timed = [str(name) for name, array in dataset.data_vars.items() if "time" in array.dims]
    checks.choice("variable", variable, timed)
    target = checks.number("value", value, largest=math.inf)
    checks.choice("scale", scale, SCALES)
    array = dataset[variable].transpose(..., "time")
    times = checks.times(dataset["time"].values, "time")
    if times.size < 2:
        raise ValueError("A crossing needs at least two times, but the result has one.")
    values = np.asarray(array.values, dtype=float)
    if values.ndim == 1:
        values = checks.array(variable, values, largest=math.inf)
    axis = _axis(times, scale)
    flat = values.reshape(-1, times.size)
    found = np.array([_cross(axis, times, curve - target) for curve in flat])
    shape = values.shape[:-1]
    dims = [dim for dim in array.dims if dim != "time"]
    coords = {dim: array.coords[dim] for dim in dims if dim in array.coords}
    coords["error"] = (dims, found[:, 1].reshape(shape))
    missed = np.flatnonzero(np.isnan(found[:, 0]))
    nearest = _nearest(flat[missed], times, target, variable) if missed.size else {}
    attrs = nearest | {
        "long_name": f"time at which {variable} crosses {target:g}",
        "clock": dataset.attrs.get("clock", ""),
    }
    return xr.DataArray(found[:, 0].reshape(shape), dims=dims, coords=coords, name="crossing", attrs=attrs)


def _nearest(curves: np.ndarray, times: np.ndarray, target: float, variable: str) -> dict[str, str]:
    """Say how near curves came to a value that they never cross."""
    distance = np.abs(np.where(np.isfinite(curves), curves, np.inf) - target)
    if not np.isfinite(distance).any():
        return {}
    row, column = np.unravel_index(int(np.argmin(distance)), distance.shape)
    seen = f"{curves[row, column]:.6g}, at time {times[column]:.6g}"
    count = "" if len(curves) == 1 else f" in {len(curves)} curves"
    return {"nearest": f"{variable} never crosses {target:g}{count}: the nearest value is {seen}"}


def _axis(times: np.ndarray, scale: str) -> np.ndarray:
    """Return the times in the scale in which they are spaced more evenly."""
    if scale == "log" and times[0] <= 0:
        raise ValueError('Argument `scale` cannot be "log" for times that start at 0.')
    if scale == "linear" or times[0] <= 0 or (scale == "auto" and times.size < 3):
        return times
    if scale == "log":
        return np.log(times)
    even, geometric = (np.ptp(steps) / steps.mean() for steps in (np.diff(times), np.diff(np.log(times))))
    return np.log(times) if geometric < even else times


def _cross(axis: np.ndarray, times: np.ndarray, excess: np.ndarray) -> tuple[float, float]:
    """Return the time of the first zero of `excess` and the error of interpolation."""
    if excess[0] == 0:
        return float(times[0]), 0.0
    logarithmic = axis is not times
    lost = np.flatnonzero(~np.isfinite(excess))
    if lost.size:  # a problem of a batch that failed, from there on
        axis, times, excess = axis[: lost[0]], times[: lost[0]], excess[: lost[0]]
    if excess.size < 2:
        return float("nan"), float("nan")
    changes = np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[0]))
    if not changes.size:
        return float("nan"), float("nan")
    i = int(changes[0])
    if excess[i + 1] == 0:
        return float(times[i + 1]), 0.0
    step = axis[i + 1] - axis[i]
    left, right = _monotone_slopes(axis, excess, i)
    straight = excess[i] / (excess[i] - excess[i + 1])

    def cubic(s: float) -> float:
        return float(
            (1 + 2 * s) * (1 - s) ** 2 * excess[i]
            + s * (1 - s) ** 2 * step * left
            + s**2 * (3 - 2 * s) * excess[i + 1]
            + s**2 * (s - 1) * step * right
        )

    found = axis[i] + step * _bisect(cubic, excess[i] > 0)
    others = [axis[i] + step * straight, *(_parabola(axis, excess, i, k) for k in (i - 1, i + 2) if 0 <= k < axis.size)]
    if _is_coarse(axis, excess, i):
        others = [axis[i], axis[i + 1]]
    place, *bounds = np.exp([found, *others]) if logarithmic else (found, *others)
    return float(place), float(max(abs(place - other) for other in bounds))


def _bisect(function: Callable[[float], float], positive: bool) -> float:
    """Return the zero in [0, 1] of a function that changes its sign there; `positive` is the sign at 0."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (function(middle) > 0) == positive else (low, middle)
    return (low + high) / 2


def _parabola(axis: np.ndarray, excess: np.ndarray, i: int, k: int) -> float:
    """Return where the parabola through the ends of interval i and the point k crosses zero in the interval."""
    a, b, c = axis[i], axis[i + 1], axis[k]
    first = (excess[i + 1] - excess[i]) / (b - a)
    second = ((excess[k] - excess[i + 1]) / (c - b) - first) / (c - a)

    def value(s: float) -> float:
        x = a + s * (b - a)
        return float(excess[i] + first * (x - a) + second * (x - a) * (x - b))

    return float(a + (b - a) * _bisect(value, bool(excess[i] > 0)))


def _is_coarse(axis: np.ndarray, excess: np.ndarray, i: int) -> bool:
    """Whether the curve around interval i is too coarse for an interpolation: then the interval itself is the error."""
    if i == 0 or i == axis.size - 2:
        return True
    secants = np.diff(excess[i - 1 : i + 3]) / np.diff(axis[i - 1 : i + 3])
    sizes = np.abs(secants)
    return bool((secants * secants[1] <= 0).any() or sizes.max() > 3 * sizes.min())


def _monotone_slopes(axis: np.ndarray, values: np.ndarray, i: int) -> tuple[float, float]:
    """Return the slopes at both ends of interval i: harmonic means of the neighbours, 0 where they change sign."""
    secants = np.diff(values) / np.diff(axis)
    widths = np.diff(axis)

    def slope(k: int) -> float:
        if k == 0 or k == secants.size:
            return float(secants[min(k, secants.size - 1)])
        before, after = secants[k - 1], secants[k]
        if before * after <= 0:
            return 0.0
        first, second = 2 * widths[k] + widths[k - 1], widths[k] + 2 * widths[k - 1]
        return float((first + second) / (first / before + second / after))

    return slope(i), slope(i + 1)
