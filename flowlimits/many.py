"""Many problems of one class in one call: `solve_many`."""

from __future__ import annotations

import importlib
import inspect
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .core import checks
from .core import threads as parallel
from .core.one_by_one import INTERRUPTED, NOT_FINITE, SUCCESS, General, Options, Solutions
from .core.problem import Problem

if TYPE_CHECKING:
    import xarray as xr


#: Rooms that solve many problems faster than one after the other, by class.
ROOMS = {"Committee": "committee.many", "ExtensiveQuadratic": "quadratic.extensive.limit"}


def solve_many(
    problems: Any,
    fields: Any = None,
    times: Any = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    max_steps: int | None = None,
    observables: Sequence[str] | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Solve many problems of one class, as ``solve_many(Class, fields, times)`` or ``solve_many(list_of_problems, times)``.

    Parameters
    ----------
    problems : class, or sequence of problems of one class
        What is solved.
    fields : mapping
        With a class: its arguments by name.  An array with one axis more than the argument has, or a list, holds one
        value for each problem; anything else is shared by all.
    times : array_like, shape (times,)
        On the problems' clock, the same for all.

    Other Parameters
    ----------------
    rtol, atol, method, max_steps, observables
        As in the class's own `solve`, with its defaults.
    threads : int, optional
        Threads; all processors by default.  They change nothing in the numbers.
    progress : bool or None
        Whether to show how many problems are finished; None: when it takes more than about two seconds.

    Returns
    -------
    xarray.Dataset
        The variables of `solve` with the leading dimension `problem`.  Coordinates: `status (problem)` ("success", or
        why the solver stopped), `reached (problem)`, the time up to which there are numbers (NaN beyond), and every
        number that differs between the problems under its own name.

    Warns
    -----
    RuntimeWarning
        If problems failed, or Ctrl-C stopped the work: what is finished is returned, with the status of each.

    Raises
    ------
    ValueError, TypeError
        For bad arguments, with the index of the problem.

    Notes
    -----
    `Committee` with constant learning rates runs in lanes, see `flowlimits.ode.integrate_batch`: its steps end on the requested times, so
    that the numbers may differ from those of `solve` within the tolerance; they depend neither on the number of threads
    nor on the other problems.  The other classes are solved as `solve` does it, side by side in threads.

    Examples
    --------
    >>> import numpy as np, flowlimits as fl
    >>> rates = np.linspace(0.01, 0.1, 5)
    >>> many = fl.solve_many(fl.Committee, dict(Q=[[0.5]], R=[[0.1]], T=[[1.0]], learning_rate=rates), [0.0, 50.0])
    >>> many["risk"].sizes["problem"], bool((many["risk"][:, -1] < 1e-10).all())
    (5, True)
    """
    listed = not isinstance(problems, type)
    if listed and times is None:
        fields, times = None, fields
    if times is None:
        raise TypeError(
            "Argument `times` is missing: solve_many(Class, fields, times), or solve_many(problems, times)."
        )
    options = check_options(
        times,
        rtol=rtol,
        atol=atol,
        method=method,
        max_steps=max_steps,
        observables=observables,
        threads=threads,
        progress=progress,
    )
    began = time.perf_counter()
    if listed:
        own = check_list(problems)
        solutions = _room(type(own[0])).solve_list(own, options)
    else:
        check_class(problems)
        if not isinstance(fields, Mapping):
            raise TypeError(
                f"Argument `fields` must be a mapping of the arguments of {problems.__name__} to arrays, but is {checks.show(fields)}."
            )
        solutions = _room(problems).solve_fields(problems, dict(fields), options)
    solutions.provenance["wall_time"] = time.perf_counter() - began
    dataset = build(solutions, options)
    tell(solutions)
    return dataset


def solve_list(problems: list[Any], times: Any, **options: Any) -> tuple[xr.Dataset, dict[int, str]]:
    """Return what `solve_many` does for a list, without warnings, and why problems failed."""
    checked = check_options(times, **options)
    solutions = _room(type(problems[0])).solve_list(problems, checked)
    messages = {int(index): reason(solutions, int(index)) for index in np.flatnonzero(solutions.statuses != SUCCESS)}
    return build(solutions, checked), messages


def check_options(
    times: Any,
    *,
    rtol: Any = None,
    atol: Any = None,
    method: Any = None,
    max_steps: Any = None,
    observables: Any = None,
    threads: Any = None,
    progress: Any = None,
) -> Options:
    """Return the checked arguments beside the problems."""
    return Options(
        times=check_times(times),
        threads=parallel.check_threads(threads),
        progress=checks.progress(progress),
        rtol=None if rtol is None else checks.tolerances(rtol, 0.0)[0],
        atol=None if atol is None else checks.tolerances(1e-8, atol)[1],
        method=method,
        max_steps=None if max_steps is None else checks.integer("max_steps", max_steps, minimum=1),
        observables=None if observables is None else checks.items("observables", observables, str),
    )


def _room(owner: type) -> Any:
    name = ROOMS.get(owner.__name__)
    return General if name is None else importlib.import_module(f"flowlimits.{name}")


def check_times(times: Any) -> np.ndarray:
    """Return the requested times, which all problems share."""
    try:
        dimensions = np.ndim(times)
    except ValueError:
        dimensions = 2
    if dimensions > 1:
        raise ValueError(
            "Argument `times` must be one-dimensional: all problems share the requested times.  For other times, ask for "
            "all of them and select, or make one call per set of times."
        )
    return checks.times(times)


def check_class(owner: Any) -> None:
    """Raise unless `owner` is a Problem subclass whose `solve` takes `times`."""
    if (
        not (isinstance(owner, type) and issubclass(owner, Problem))
        or "times" not in inspect.signature(owner.solve).parameters
    ):
        raise TypeError(
            f"Argument `problems` must be a problem class that is solved over times, or a list of problems, but is {checks.show(owner)}."
        )


def check_list(problems: Any) -> list[Any]:
    """Return the problems as a list: at least one, all of one class."""
    if isinstance(problems, Problem):
        raise TypeError(
            "Argument `problems` must be a class or a list of problems, but is one problem; use its `solve`."
        )
    own = list(checks.items("problems", problems, Problem))
    if not own:
        raise ValueError("Argument `problems` must hold at least one problem, but is empty.")
    check_class(type(own[0]))
    for index, problem in enumerate(own):
        if type(problem) is not type(own[0]):
            raise TypeError(
                f"Argument `problems` must hold problems of one class, but problem 0 is a {type(own[0]).__name__} and problem {index} is {checks.show(problem)}."
            )
    return own


def build(solutions: Solutions, options: Options) -> xr.Dataset:
    """Return the Dataset: variables with the leading dimension `problem`, status and reached time, and what differs."""
    import xarray as xr

    from .core.results import SCHEMA, clock_symbol, versions

    problem = solutions.example
    number = len(solutions.statuses)
    data = {}
    for name, values in solutions.variables.items():
        known = problem.variables.get(name)
        dims = (
            known.dims
            if known is not None and len(known.dims) == values.ndim - 2
            else tuple(f"{name}_{axis}" for axis in range(values.ndim - 2))
        )
        attributes = {} if known is None else known.attributes() | _checked(solutions, name, values)
        data[name] = (("problem", "time", *dims), values, attributes)
    coords: dict[str, Any] = {
        "problem": np.arange(number),
        "time": ("time", options.times, {"long_name": problem.clock, "symbol": clock_symbol(problem.clock)}),
        "status": ("problem", solutions.statuses, {"long_name": "how the solution ended"}),
        "reached": ("problem", solutions.reached, {"long_name": "time up to which there are numbers"}),
    }
    for name, values in solutions.coordinates.items():
        coords.setdefault(name, ("problem", values))
    details = {
        "call": {"verb": "solve_many", "class": type(problem).__name__},
        "threads": options.threads,
        **solutions.provenance,
        "versions": versions(),
    }
    attrs = {
        "kind": solutions.kind or problem.kind,
        "clock": problem.clock,
        "provenance": json.dumps(details, default=str),
        "schema": SCHEMA,
    }
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _checked(solutions: Solutions, name: str, values: np.ndarray) -> dict[str, str]:
    """Return why numbers of finished problems are not finite; a problem fails if nothing says why, or beyond bounds."""
    from .core.results import checked

    lacking = solutions.lacking.get(name, set())
    undefined = {"undefined": "nan for problems that do not have it"} if lacking else {}
    done = np.flatnonzero(solutions.statuses == SUCCESS)
    if lacking:
        done = done[~np.isin(done, list(lacking))]
    rows = slice(None) if done.size == len(values) else done  # a view where it can be
    try:
        values[rows], found = checked(solutions.example, name, values[rows])
        undefined |= found
    except FloatingPointError:
        for index in done:
            try:
                values[index], _ = checked(solutions.example, name, values[index])
            except FloatingPointError as error:
                solutions.statuses[index], solutions.messages[int(index)] = NOT_FINITE, str(error)
    return undefined


def reason(solutions: Solutions, index: int) -> str:
    """Return why a problem was not solved."""
    return (
        solutions.messages.get(index)
        or f"Integration stopped at t={solutions.reached[index]:.3g} ({solutions.statuses[index]})."
    )


def tell(solutions: Solutions) -> None:
    """Warn of problems that did not reach the last time."""
    failed = np.flatnonzero(solutions.statuses != SUCCESS)
    if not failed.size:
        return
    number, cut = len(solutions.statuses), np.flatnonzero(solutions.statuses == INTERRUPTED)
    if cut.size:
        sentence = f"Interrupted: {number - failed.size} of {number} problems are finished."
    else:
        first = int(failed[0])
        sentence = (
            f"{failed.size} of {number} problems failed; the first is problem {first}: {reason(solutions, first)}"
        )
    warnings.warn(f"{sentence} What was not reached is NaN; see the coordinate `status`.", RuntimeWarning, stacklevel=3)
