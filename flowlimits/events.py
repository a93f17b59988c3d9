"""Events: the times at which an observable of a solution crosses a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    listed = (events,) if isinstance(events, Event) else tuple(events)
    for event in listed:
        if not isinstance(event, Event):
            raise TypeError(f"Argument `events` must hold fl.Event objects, but holds {checks.show(event)}.")
        checks.choice("variable", event.variable, variables)
    return listed
