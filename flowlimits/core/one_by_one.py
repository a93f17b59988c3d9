"""Problems solved one by one, side by side in threads; the options and the solutions of `solve_many`."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import threads as parallel
from .problem import Problem
from .threads import Unfinished, for_each

#: Word of a problem that was solved, and of one that Ctrl-C kept from it.
SUCCESS, INTERRUPTED, NOT_FINITE = "success", "interrupted", "not finite"


class UnsolvedError(RuntimeError):
    """A problem among many was not solved; the text says where it stopped, and why."""


@dataclass
class Solutions:
    """What a room returns: variables with the leading axis `problem`, and how each problem ended."""

    variables: dict[str, np.ndarray]
    statuses: np.ndarray
    reached: np.ndarray
    messages: dict[int, str]
    example: Problem
    coordinates: dict[str, np.ndarray] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    #: Per variable, the problems that do not have it.
    lacking: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """Arguments of `solve_many` beside the problems; those that are None were not given."""

    times: np.ndarray
    threads: int
    progress: bool | None
    rtol: float | None = None
    atol: float | None = None
    method: str | None = None
    max_steps: int | None = None
    observables: tuple[str, ...] | None = None

    def given(self) -> dict[str, Any]:
        """Return what was given, as keywords of `solve`."""
        names = ("rtol", "atol", "method", "max_steps", "observables")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class General:
    """Classes without a faster way: every problem by its own `solve`, side by side in threads."""

    @staticmethod
    def solve_fields(owner: type, fields: dict[str, Any], options: Options) -> Solutions:
        return General.solve_list(one_by_one(owner, fields), options)

    @staticmethod
    def solve_list(problems: list[Any], options: Options) -> Solutions:
        keywords = options.given()
        takes = inspect.signature(problems[0].solve).parameters
        for name in keywords:
            if name not in takes:
                raise TypeError(f"{type(problems[0]).__name__}.solve has no argument `{name}`.")

        return solve_each(lambda problem: in_time(problem.solve(options.times, **keywords)), problems, options)


def in_time(result: Any) -> dict[str, np.ndarray]:
    """Return the variables of a result whose first axis is time."""
    return {str(name): value.values for name, value in result.data_vars.items() if value.dims[:1] == ("time",)}


def solve_each(one: Any, problems: list[Any], options: Options) -> Solutions:
    """Return the solutions of ``one(problem)``, a dict of arrays whose first axis is time, for every problem."""
    number, times = len(problems), options.times
    arrays: dict[str, np.ndarray] = {}
    statuses = np.full(number, INTERRUPTED, dtype="<U24")
    reached = np.full(number, np.nan)
    messages: dict[int, str] = {}
    lock, stop = threading.Lock(), threading.Event()
    bar = parallel.Progress(number, "problems", options.progress)

    def store(index: int, values: Mapping[str, np.ndarray]) -> None:
        for name, value in values.items():
            if name not in arrays:
                arrays[name] = np.full((number, times.size, *value.shape[1:]), np.nan)
            if arrays[name].shape[2:] != value.shape[1:]:
                raise ValueError(
                    f"Problems must have variables of the same shape, but `{name}` of problem {index} has {value.shape[1:]} at "
                    f"each time and that of another {arrays[name].shape[2:]}."
                )
            arrays[name][index, : value.shape[0]] = value

    def run(index: int) -> None:
        try:
            values = one(problems[index])
            status, last = SUCCESS, times[-1]
        except Unfinished as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            values = {} if error.partial is None else in_time(error.partial)
            status, last = error.report.status.value, error.report.reached
            messages[index] = str(error)
        except FloatingPointError as error:
            values, status, last, messages[index] = {}, NOT_FINITE, 0.0, str(error)
        with lock:
            store(index, values)
            statuses[index], reached[index] = status, last
            bar.update()

    try:
        # Several BLAS threads inside several of ours would be slower than one each.
        with parallel.one_blas_thread:
            for_each(run, np.arange(number), options.threads, stop)
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()
    details = {"route": "one by one"} | options.given()
    return Solutions(arrays, statuses, reached, messages, problems[0], differing(problems), details)


def differing(problems: list[Any]) -> dict[str, np.ndarray]:
    """Return the numbers and words that differ between problems."""
    found = {}
    for name, value in problems[0]._fields().items():
        if isinstance(value, bool | int | float | str):
            values = [getattr(problem, name) for problem in problems]
            if values.count(value) < len(values) and all(isinstance(one, bool | int | float | str) for one in values):
                found[name] = np.array(values)
    return found


def one_by_one(owner: type, fields: dict[str, Any]) -> list[Any]:
    """Return problems from arguments of which lists and arrays hold one value for each."""
    lengths = {name: len(value) for name, value in fields.items() if _per_problem(value)}
    if not lengths:
        raise ValueError("Argument `fields` must hold at least one list or array with one value for each problem.")
    made = []
    for index in range(common_length(lengths)):
        own = {name: value[index] if name in lengths else value for name, value in fields.items()}
        try:
            made.append(
                owner(**{name: value.item() if isinstance(value, np.generic) else value for name, value in own.items()})
            )
        except (TypeError, ValueError) as error:
            raise type(error)(f"Problem {index}: {error}") from None
    return made


def common_length(lengths: Mapping[str, int]) -> int:
    """Return the number of problems, from the lengths of the arguments that hold one value for each."""
    first, number = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != number:
            raise ValueError(
                f"Arguments must hold one value for each problem, but `{first}` holds {number} and `{name}` {length}."
            )
    if number == 0:
        raise ValueError(f"Argument `{first}` must hold at least one problem, but is empty.")
    return number


def _per_problem(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def together(number: int, parts: list[tuple[np.ndarray, Solutions]]) -> Solutions:
    """Return the solutions of several groups in the order of the problems; a variable that a group lacks is NaN there."""
    first = parts[0][1]
    result = Solutions(
        {}, np.full(number, "", dtype="<U24"), np.zeros(number), {}, first.example, {}, dict(first.provenance)
    )
    for indices, part in parts:
        result.statuses[indices], result.reached[indices] = part.statuses, part.reached
        result.messages |= {int(indices[index]): message for index, message in part.messages.items()}
        for name, values in part.variables.items():
            result.variables.setdefault(name, np.full((number, *values.shape[1:]), np.nan))[indices] = values
        if part.kind == "limit":
            result.kind = part.kind
    for name in result.variables:
        own = [indices for indices, part in parts if name not in part.variables]
        result.lacking[name] = {int(index) for indices in own for index in indices}
    for name in ("steps", "rejected", "evaluations"):
        result.provenance[name] = sum(part.provenance[name] for _, part in parts)
    return result
