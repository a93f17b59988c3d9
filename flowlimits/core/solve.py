"""The one skeleton of `solve`: it checks, runs a path, locates events, and makes a result of what was found.

A room brings a module `limit` with the functions of `Limit`; what they return is a `Path`, the equations of one problem with
the options of one call.  Everything that does not depend on the equations is here.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from . import checks, results
from .events import Event, check_events, locate
from .problem import Problem
from .threads import Interrupted, Unfinished

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Options:
    """The checked arguments of a call; `given` holds all arguments but the times as they were given."""

    rtol: float
    atol: float
    method: str
    observables: tuple[str, ...]
    events: tuple[Event, ...]
    max_steps: int
    keep_state: bool
    progress: bool | None
    given: Mapping[str, Any]


class Path(ABC):
    """The equations of a problem, which run from its start or from a time of the last run.

    Attributes
    ----------
    times, states : ndarray
        The times of the last run that were reached, and the states there, shape (n, components).
    begin, start : float, ndarray
        The time and the state from which it runs.
    failure : Unfinished or None
        Why a run that looked for events ended before its last time.
    cuts : bool
        Whether the states at all times are computed before those beyond a stopping event are left out.  Otherwise the solution
        ends at the last time before the stop, and a divergence after it is no failure.
    """

    cuts: ClassVar[bool] = True
    begin: float = 0.0
    start: np.ndarray
    times: np.ndarray
    states: np.ndarray
    failure: Unfinished | None = None

    @abstractmethod
    def run(self, times: np.ndarray) -> None:
        """Solve at `times`, which may be empty; when `Unfinished` is raised, times and states hold the finished part."""

    def restart(self, i: int) -> Self:
        """Return the path that continues from time i of the last run; i = -1 is the start."""
        later = copy.copy(self)
        if i >= 0:
            later.begin, later.start = float(self.times[i]), self.states[i]
        return later

    @abstractmethod
    def values(self, names: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Return the scalars of these names at the times of the last run, for events."""

    @abstractmethod
    def contents(self) -> dict[str, Any]:
        """Return the `variables` of the result, and any other arguments of `results.build`, at the times of the last run."""

    @abstractmethod
    def provenance(self, seconds: float) -> dict[str, Any]:
        """Return how it was computed."""

    def keep(self, count: int) -> None:
        """Leave out all but the first times of the last run."""
        self.times, self.states = self.times[:count], self.states[:count]

    def watched(self, times: np.ndarray) -> Path:
        """Return the path with a run between whose times events are looked for: by default the last one, its start added.

        A path that does not cut is asked before it has run, and brings a grid of its own.
        """
        if self.times[0] <= self.begin:
            return self
        seen = copy.copy(self)
        seen.times, seen.states = np.append(self.begin, self.times), np.vstack([self.start, self.states])
        return seen

    def watched_finely(self, times: np.ndarray) -> Self:
        """Return the path with a run on a finer grid, on which a flow may diverge after the event at which it was to stop."""
        seen = self.restart(-1)
        try:
            seen.run(event_grid(times))
        except Unfinished as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            seen.failure = error
        return seen

    def failed(self, error: Unfinished) -> Unfinished:
        """Return the error that says what the problem knows about a failure."""
        return error


def event_grid(times: np.ndarray, count: int = 400) -> np.ndarray:
    """Return the start, the times, and as many more on an even and on a geometric grid: events are looked for between them."""
    last = float(times[-1])
    grids = [np.zeros(1), times]
    if last > 0:
        first = max(float(times[times > 0][0]), 1e-6 * last)
        grids += [np.linspace(0.0, last, count), np.geomspace(first, last, count)]
    return np.unique(np.concatenate(grids))


def cost(reports: Sequence[Any]) -> dict[str, Any]:
    """Return the methods of some integrations, and their steps and evaluations summed."""
    names = ("steps", "rejected", "evaluations", "jacobians")
    methods = ", ".join(dict.fromkeys(report.method for report in reports))
    return {"method": methods} | {name: sum(getattr(report, name) for report in reports) for name in names}


class Limit(Protocol):
    """What a room's module `limit` offers to `solve`; each function is called with the problem."""

    def tolerances(self, problem: Any, method: str) -> tuple[float, float] | None:
        """Return the tolerances that None stands for; None if they have to be numbers."""

    def observables(self, problem: Any, given: Any) -> tuple[str, ...]:
        """Return the checked names of the variables to return."""

    def event_variables(self, problem: Any) -> Sequence[str]:
        """Return the variables that events may name."""

    def call(self, problem: Any, options: Options, times: np.ndarray) -> dict[str, Any]:
        """Return the arguments that repeat the call; the times need not be among them."""

    def path(self, problem: Any, options: Options, last: float) -> Path:
        """Return the path of the problem to the time `last`."""


def solve(problem: Problem, limit: Limit, times: Any, **given: Any) -> xr.Dataset:
    """Return the solution of a problem at `times`; `given` are the arguments of its `solve`.

    Raises
    ------
    ValueError, TypeError
        If an argument is not valid.
    Unfinished
        If the path ends early; the finished part is in its attribute `partial`.
    """
    asked = checks.times(times)
    options = check(problem, limit, given)
    call = limit.call(problem, options, asked)
    began = time.perf_counter()
    path = limit.path(problem, options, float(asked[-1]))
    happened: np.ndarray | None = None

    def result(seconds: float | None = None) -> xr.Dataset:
        parts = {"kind": problem.kind} | path.contents()
        if happened is not None:
            names = [f"{event.variable}={event.value:g}" for event in options.events]
            parts["coords"] = {"event": names} | parts.get("coords", {})
            parts["extra"] = {"event_time": (("event",), happened, {"long_name": "time of the event"})} | parts.get("extra", {})  # fmt: skip
        if path.times.size < asked.size and happened is not None:
            # A result that stopped at an event does not show the times that led to it.
            call["times"] = asked.tolist()
        spent = time.perf_counter() - began if seconds is None else seconds
        return results.build(problem, times=path.times, call=call, provenance=path.provenance(spent), **parts)

    def kept(seconds: float) -> xr.Dataset | None:
        with contextlib.suppress(FloatingPointError):  # numbers that are not to be trusted are no partial result
            return result(seconds)
        return None

    try:
        if not options.events or path.cuts:
            path.run(asked)
        if options.events:
            seen = path.watched(asked)
            happened, stop = _find(seen, options.events)
            if path.cuts:
                path.keep(int((asked <= stop).sum()))
            else:
                path.run(asked[asked <= stop])
                if seen.failure is not None and stop == math.inf:
                    raise seen.failure
    except Unfinished as error:
        failed = path.failed(error)
        happened = None
        if path.times.size:
            failed.partial = partial(kept, time.perf_counter() - began)
        raise failed from None
    try:
        return result()
    except KeyboardInterrupt:
        stopped = Interrupted("Interrupted after the last time, while the variables of the result were computed.", {})
        stopped.partial = partial(kept, time.perf_counter() - began)
        raise stopped from None


def check(problem: Problem, limit: Limit, given: Mapping[str, Any]) -> Options:
    """Return the checked arguments of a call."""
    method = given["method"]
    names = limit.observables(problem, given["observables"])
    rtol, atol, events = given["rtol"], given["atol"], given["events"]
    if rtol is None or atol is None:
        default = limit.tolerances(problem, method) or (rtol, atol)
        rtol, atol = (default[0] if rtol is None else rtol), (default[1] if atol is None else atol)
    if events != ():
        events = check_events(events, list(limit.event_variables(problem)))
    tolerances, max_steps = checks.tolerances(rtol, atol), checks.integer("max_steps", given["max_steps"], minimum=1)
    keep_state = checks.boolean("keep_state", given.get("keep_state", False))
    progress = checks.progress(given["progress"])
    return Options(*tolerances, method, names, events, max_steps, keep_state, progress, given)


def _find(seen: Path, events: Sequence[Event]) -> tuple[np.ndarray, float]:
    """Return when events happen, NaN for those that do not before the end, and the end: the first stop, or infinity."""
    names = list(dict.fromkeys(event.variable for event in events))
    known = seen.values(names)

    def evaluate(i: int, t: float) -> Mapping[str, float]:
        if t <= seen.times[i]:
            return {name: float(known[name][i]) for name in names}
        later = seen.restart(i)
        later.run(np.array([t]))
        found = later.values(names)
        return {name: float(found[name][0]) for name in names}

    happened = locate(events, seen.times, known, evaluate)
    stop = min((t for t, event in zip(happened, events) if event.stop and not math.isnan(t)), default=math.inf)
    return np.where(happened <= stop, happened, math.nan), float(stop)


def sgd_or_descent(method: str | None, step: Any, runs: int, methods: Sequence[str], sgd: bool) -> tuple[str, float]:
    """Return the method of a simulation and the step of "gd"; one-pass SGD, by default the first of `methods`, has a rate instead."""
    method = checks.choice("method", method, methods) if method is not None else methods[0] if sgd else "gd"
    if method == "gd":
        if sgd:
            raise ValueError(
                'Method "gd" is population gradient descent and needs learning_rate = 0; its step is the argument `step`.'
            )
        if runs != 1:
            raise ValueError(f'Argument `runs` must be 1 for method "gd", which has nothing random, but is {runs}.')
        return method, checks.number("step", 0.01 if step is None else step, positive=True)
    if not sgd:
        raise ValueError(f'Method "{method}" is one-pass SGD and needs learning_rate > 0; at 0 use method="gd".')
    if step is not None:
        raise ValueError(f'Argument `step` belongs to method "gd", not to "{method}": SGD steps by the learning rate.')
    return method, 0.0
