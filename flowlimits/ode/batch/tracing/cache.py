"""Straight lines that were made before, for the next batch with the same equations.

Following a right-hand side takes a few milliseconds, which is more than a small batch takes.  What is followed depends on the
function, on what it finds outside itself, on the lengths of state, scratch and parameters, and on parameters where these decide:
the parameters that belong to the equations, and the branches.  All of that is noted while the function is followed, and looked at again
before a line is taken a second time: by identity where Python names things, by value where arrays or parameters hold numbers.

What follows from parameters alone, the inputs of the line, is computed anew for all problems by the operations that were noted.
"""

from __future__ import annotations

import inspect
import itertools
import math
import operator
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import config

from . import program as lines
from .program import Line, Program
from .symbols import Symbol
from .trace import _is_compiled

#: Functions whose lines are kept, and lines for one function with other branches.
MOST_FUNCTIONS, MOST_LINES = 64, 16

#: Test, place, place or number that it is compared with, outcome.
Decision = tuple[Callable[[Any, Any], Any], int, "int | float", bool]

_ABSENT: Any = object()


class Known(Symbol):
    """A number that follows from parameters; what is decided by it is noted."""

    __slots__ = ()

    def __bool__(self) -> bool:
        outcome = super().__bool__()
        self.line.decide(np.not_equal, self.place, 0.0, outcome)  # type: ignore[attr-defined]
        return outcome

    def __int__(self) -> int:
        outcome = super().__int__()
        self.line.decide(np.equal, self.place, float(self._known()[0]), True)  # type: ignore[attr-defined]
        return outcome

    def _compare(self, other: Any, test: Callable[[Any, Any], Any]) -> bool:
        outcome = super()._compare(other, test)
        theirs = other.place if isinstance(other, Symbol) else float(other)
        self.line.decide(test, self.place, theirs, outcome)  # type: ignore[attr-defined]
        return outcome


class Recorder(Line):
    """A line that notes what was decided by parameters, and how the inputs follow from them."""

    def __init__(self, problems: int, finite: bool = False) -> None:
        super().__init__(problems, finite)
        # By their text: 1 and 1.0 are equal, but one is a place and the other a number.
        self.decisions: dict[str, Decision] = {}
        # Operations whose values another has too, with places of their own, which are negative.
        self.merged: dict[str, tuple[int, tuple[Any, ...]]] = {}

    def decide(self, test: Callable, place: int, other: int | float, outcome: bool) -> None:
        self.decisions[repr((test.__name__, place, other))] = test, place, other, outcome

    def note(self, operation: tuple[Any, ...], values: np.ndarray | None = None) -> Symbol:
        made = super().note(operation, values)
        if made.values is None:
            return made
        # What the line leaves out because of the values is decided by them.
        if values is not None and repr(self.operations[made.place]) != repr(operation):
            place, _ = self.merged.setdefault(repr(operation), (-1 - len(self.merged), operation))
            self.decide(same_bits, place, made.place, True)
        if made.place in self.trivial:
            self.decide(same_bits, made.place, self.trivial[made.place], True)
        return Known(self, made.place, made.values)

    def finish(self, velocities: Iterable[Any]) -> Program:
        ends = list(velocities)
        program = super().finish(ends)
        values, problems = self.values, self.problems
        # The same once more with places for values shows which values the inputs are.
        self.values, self.problems = {place: np.array([float(place)]) for place in values}, 1
        try:
            places = [int(place) for place in super().finish(ends).inputs[0]]
        finally:
            self.values, self.problems = values, problems
        return Recorded(program.operations, program.velocities, program.inputs, program.functions, self.recipe(places))

    def recipe(self, places: list[int]) -> Recipe:
        merged = dict(self.merged.values())
        needed: set[int] = set()
        pending = [
            *places,
            *(one for _, left, right, _ in self.decisions.values() for one in (left, right) if isinstance(one, int)),
        ]
        while pending:
            place = pending.pop()
            if place not in needed:
                needed.add(place)
                name, *arguments = merged[place] if place < 0 else self.operations[place]
                pending += [] if name == "p" else [one for one in arguments if isinstance(one, int)]
        operations = [(place, self.operations[place]) for place in sorted(needed) if place >= 0]
        return Recipe(
            operations + [(place, merged[place]) for place in needed if place < 0],
            places,
            list(self.decisions.values()),
        )


def same_bits(one: np.ndarray, other: Any) -> np.ndarray:
    """Return where numbers are the same, the sign of zeros included."""
    return one.view(np.int64) == np.asarray(other, dtype=np.float64).view(np.int64)


@dataclass(frozen=True)
class Recipe:
    """How numbers follow from parameters: operations with their places, those that are inputs, and decisions."""

    operations: list[tuple[int, tuple[Any, ...]]]
    inputs: list[int]
    decisions: list[Decision]

    def compute(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of all problems (problems, inputs), and for which problems all was decided as it was noted.

        Raises
        ------
        ValueError, OverflowError, ZeroDivisionError, TypeError
            If a function is not defined for some parameters.
        """
        values: dict[int, np.ndarray] = {}

        def value(argument: Any) -> Any:
            return values[argument] if isinstance(argument, int) else argument

        inputs, agree = np.empty((len(params), len(self.inputs))), np.ones(len(params), dtype=bool)
        with np.errstate(all="ignore"):
            for place, (name, *arguments) in self.operations:
                values[place] = (
                    np.ascontiguousarray(params[:, int(arguments[0])])
                    if name == "p"
                    else _apply(name, *map(value, arguments))
                )
            for test, left, right, outcome in self.decisions:
                agree &= test(values[left], value(right)) == outcome
        for column, place in enumerate(self.inputs):
            inputs[:, column] = values[place]
        return inputs, agree


def _apply(name: str, *arguments: Any) -> np.ndarray:
    """Return an operation on columns with the bits that it has for each number."""
    if name in lines._BINARY:
        return lines._BINARY[name](*arguments)
    if name == "neg":
        return -arguments[0]
    if name == "sqrt" and not (arguments[0] < 0.0).any():
        return np.sqrt(arguments[0])
    # One by one: vectorised functions round differently at different places of an array.
    return np.frompyfunc(lines._plain(name), len(arguments), 1)(*arguments).astype(np.float64)


@dataclass(frozen=True)
class Recorded(Program):
    """A straight line with the recipe of its inputs."""

    recipe: Recipe


class Surroundings:
    """What functions find outside themselves, and whether it is still the same."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.parts: list[tuple[Any, tuple[Any, ...]]] = []
        self.arrays: list[tuple[np.ndarray, bytes]] = []
        self.seen: set[Any] = set()
        for function in functions:
            self.follow(inspect.unwrap(function))

    def follow(self, function: Any) -> None:
        """Note a function, the names that it mentions, and the compiled functions among them."""
        if function in self.seen:
            return
        self.seen.add(function)
        self.parts.append((function, _parts(function)))
        self.add(function.__defaults__ or (), frozenset())
        names = frozenset(_mentioned(function.__code__))
        self.look_up(function.__globals__, names)
        for cell in function.__closure__ or ():
            self.cells.append((cell, _content_of(cell)))
            self.add(_content_of(cell), names)

    def look_up(self, space: dict[str, Any], names: frozenset[str]) -> None:
        if (id(space), names) not in self.seen:
            self.seen.add((id(space), names))
            for name in names:
                value = space.get(name, _ABSENT)
                self.names.append((space, name, value))
                if space is not vars(np) and space is not vars(math):
                    self.add(value, names)

    def add(self, value: Any, names: frozenset[str]) -> None:
        """Note what a value depends on; of a module, what the names say."""
        if isinstance(value, np.ndarray):
            self.arrays.append((value, _content(value)))
        elif isinstance(value, tuple):
            for one in value:
                self.add(one, names)
        elif isinstance(value, types.ModuleType):
            self.look_up(vars(value), names)
        elif _is_compiled(value):
            self.follow(value.py_func)

    def unchanged(self) -> bool:
        return (
            all(space.get(name, _ABSENT) is value for space, name, value in self.names)
            and all(_content_of(cell) is content for cell, content in self.cells)
            and all(all(map(operator.is_, _parts(function), parts)) for function, parts in self.parts)
            and all(_content(array) == content for array, content in self.arrays)
        )


def _parts(function: Any) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__, function.__closure__


def _content(array: np.ndarray) -> bytes:
    return repr((array.shape, array.strides, array.dtype.str)).encode() + array.tobytes()


def _content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _ABSENT


def _mentioned(code: types.CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_freevars)
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _mentioned(one)


class Kept:
    """A straight line, and what must be as it was for it to be taken again.

    Attributes
    ----------
    program : Program
        Its inputs are those of the problems that it was made for.
    function : object or None
        The compiled line, once it gave the bits of the function itself.
    """

    def __init__(self, program: Program, functions: Iterable[Any] = (), numbers: np.ndarray | None = None) -> None:
        self.program, self.numbers = program, numbers
        self.surroundings = Surroundings(functions)
        self.function: Any = None

    def inputs(self, params: np.ndarray, equations: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the problems that the line is for, and their inputs; the parameters have a row for each."""
        assert self.numbers is not None
        # Zeros of either sign are equal, but not in every function.
        equal = same_bits(params[:, equations], self.numbers)
        rows = np.arange(len(params)) if equal.all() else np.flatnonzero(equal.all(axis=1))
        own = params if len(rows) == len(params) else params[rows]
        try:
            inputs, agree = self.program.recipe.compute(own)  # type: ignore[attr-defined]
        except (ValueError, OverflowError, ZeroDivisionError, TypeError):
            return rows[:0], np.zeros((0, 0))
        return (rows, inputs) if agree.all() else (rows[agree], inputs[agree])


class Shelf:
    """The lines that are kept, by function, lengths and places of the equations' parameters."""

    def __init__(self) -> None:
        self.lines: OrderedDict[Any, list[Kept]] = OrderedDict()
        self.lock = threading.Lock()

    def find(
        self, key: Any, params: np.ndarray, equations: list[int]
    ) -> tuple[list[tuple[np.ndarray, Kept, np.ndarray]], np.ndarray]:
        """Return rows of the parameters, the line that is for them, and its inputs; and the rows that none is for."""
        with self.lock:
            known = [one for one in self.lines.get(key, ()) if one.surroundings.unchanged()]
            if key in self.lines:
                self.lines[key] = known
                self.lines.move_to_end(key)
        left, found = np.arange(len(params)), []
        for one in known:
            if not left.size:
                break
            rows, inputs = one.inputs(params if len(left) == len(params) else params[left], equations)
            if rows.size:
                found.append((left[rows], one, inputs))
                left = np.delete(left, rows) if rows.size < left.size else left[:0]
        return found, left

    def keep(
        self, key: Any, functions: Iterable[Any], program: Program, params: np.ndarray, equations: list[int]
    ) -> Kept:
        """Return a line just made, kept if its recipe gives the inputs that it has."""
        if not isinstance(program, Recorded):
            return Kept(program)
        made = Kept(program, functions, params[0, equations])
        rows, inputs = made.inputs(params, equations)
        if len(rows) == len(params) and same_bits(inputs, program.inputs).all():
            with self.lock:
                self.lines[key] = [made, *self.lines.pop(key, ())][:MOST_LINES]
                while len(self.lines) > MOST_FUNCTIONS:
                    self.lines.popitem(last=False)
        return made

    def drop(self, kept: Kept) -> None:
        """Forget a line that does not give the bits of its function."""
        with self.lock:
            for key, known in list(self.lines.items()):
                self.lines[key] = [one for one in known if one is not kept]


shelf = Shelf()


def key_of(
    function: Any, n: int, work_size: int, parameters: int, equations: Iterable[int], instead: dict[Any, Any] | None
) -> Any:
    """Return what lines are kept by: all of it compares by identity or by whole numbers."""
    given = tuple(itertools.chain.from_iterable((instead or {}).items()))
    return function, n, work_size, parameters, tuple(equations), given, bool(getattr(config, "USING_SVML", False))


__all__ = ["Kept", "Recorder", "key_of", "shelf"]
