"""An event is the time at which an observable of a solution crosses a value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        object.__setattr__(self, "value", checks.number("value", self.value))
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
