"""Follow a right-hand side once with symbols for numbers, and keep the operations as a straight line.

The equations of a model are written once, as the compiled function ``f(t, y, dy, params, work)`` with its loops over
units and its scratch matrices.  Here the same function runs uncompiled on symbols: loops with known bounds unroll,
scratch disappears, what is computed twice is kept once, and what no velocity needs is dropped.  The remaining operations
are those of the compiled function, in its order, so that both give the same bits.

What depends on parameters alone is computed at once for all problems, and enters the straight line as an input.  A
branch on such a value is followed where all problems agree; where they do not, `MixedError` says how to part them.  A branch
on the state or the time cannot be followed: helper functions of numbers only are then called as they are, anything else
raises `NotStraightError`.
"""

from __future__ import annotations

import builtins
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

#: Operations beyond which a straight line compiles too slowly.
LONGEST = 4000
#: What a call of another function counts.
OF_A_CALL = 30
#: Operations that may be met on the way, before what is not needed is dropped.
MOST_MET = 60_000

_BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_FUNCTIONS = ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "arcsin", "arccos", "arctan", "expm1", "log1p", "erf", "erfc")
_AS_IN_MATH = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}


class NotStraightError(Exception):
    """The function cannot be followed without knowing the state."""


class MixedError(Exception):
    """Problems differ in a value that decides what the function does; `groups` holds a label for each problem."""

    def __init__(self, groups: np.ndarray) -> None:
        super().__init__("problems differ in their equations")
        self.groups = groups


class Symbol:
    """A number that is not known yet: an operation of the straight line, or a value of each problem."""

    __slots__ = ("line", "place", "values")

    def __init__(self, line: Line, place: int, values: np.ndarray | None = None) -> None:
        self.line, self.place, self.values = line, place, values

    def _known(self) -> np.ndarray:
        if self.values is None:
            raise NotStraightError("a branch depends on the state or the time")
        return self.values

    def _decide(self, values: np.ndarray) -> Any:
        if (values == values[0]).all():
            return values[0]
        raise MixedError(np.unique(values, return_inverse=True)[1])

    def __bool__(self) -> bool:
        return bool(self._decide(self._known() != 0))

    def __int__(self) -> int:
        return int(self._decide(self._known()))

    def __index__(self) -> int:
        raise NotStraightError("a number is used as an index")

    def __float__(self) -> float:
        raise NotStraightError("a number leaves the traced arrays")

    def _compare(self, other: Any, test: Callable[[Any, Any], Any]) -> bool:
        theirs = other._known() if isinstance(other, Symbol) else other
        return bool(self._decide(test(self._known(), theirs)))

    def __eq__(self, other: Any) -> bool:
        return self._compare(other, np.equal)

    def __ne__(self, other: Any) -> bool:
        return self._compare(other, np.not_equal)

    def __lt__(self, other: Any) -> bool:
        return self._compare(other, np.less)

    def __le__(self, other: Any) -> bool:
        return self._compare(other, np.less_equal)

    def __gt__(self, other: Any) -> bool:
        return self._compare(other, np.greater)

    def __ge__(self, other: Any) -> bool:
        return self._compare(other, np.greater_equal)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Any:
        return self.line.binary("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.line.binary("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.line.binary("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.line.binary("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.line.binary("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.line.binary("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.line.binary("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.line.binary("/", other, self)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and not isinstance(other, bool):
            return self._power(other)
        return self.line.call("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.line.call("pow", other, self)

    def _power(self, exponent: int) -> Any:
        """Return an integer power as compiled code takes it: by squaring, and one division."""
        result, square = 1.0, self
        left = abs(exponent)
        while left:
            if left & 1:
                result = result * square
            left >>= 1
            if left:
                square = square * square
        return 1.0 / result if exponent < 0 else result

    def __neg__(self) -> Any:
        return self.line.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.line.call("abs", self)

    def __getattr__(self, name: str) -> Any:
        # NumPy functions of an object call the method of their name.
        if name in _FUNCTIONS:
            return lambda: self.line.call(name, self)
        raise AttributeError(name)


@dataclass(frozen=True)
class Program:
    """A straight line: operations in order, which of them are the velocities, inputs and called functions.

    An operation is ``(name, argument, ...)``; an argument is the place of an operation, or a number as a float.
    """

    operations: list[tuple[Any, ...]]
    velocities: list[Any]
    inputs: np.ndarray
    functions: dict[str, Dispatcher]


class Line:
    """The operations met so far; equal operations are kept once."""

    def __init__(self, problems: int) -> None:
        self.problems = problems
        self.operations: list[tuple[Any, ...]] = []
        self.known: dict[tuple[Any, ...], int] = {}
        self.values: dict[int, np.ndarray] = {}
        self.functions: dict[str, Dispatcher] = {}

    def note(self, operation: tuple[Any, ...], values: np.ndarray | None = None) -> Symbol:
        place = self.known.get(operation)
        if place is None:
            place = len(self.operations)
            if place > MOST_MET:
                raise NotStraightError("there are too many operations")
            self.operations.append(operation)
            self.known[operation] = place
            if values is not None:
                self.values[place] = values
        return Symbol(self, place, self.values.get(place))

    def argument(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            return value.place
        if isinstance(value, bool | int | float | np.number):
            return float(value)
        raise NotStraightError(f"a value is of type {type(value).__name__}")

    def binary(self, name: str, left: Any, right: Any) -> Any:
        first, second = self.argument(left), self.argument(right)
        # Products with a zero or a one that is part of the equations, and sums with such a zero.
        if name == "*":
            for number, other in ((first, right), (second, left)):
                if isinstance(number, float) and number in (0.0, 1.0):
                    return other if number == 1.0 else 0.0
        if name == "+":
            for number, other in ((first, right), (second, left)):
                if isinstance(number, float) and number == 0.0:
                    return other
        if name in "-/" and isinstance(second, float) and second == (0.0 if name == "-" else 1.0):
            return left
        return self.note((name, first, second), self._compute(_BINARY[name], left, right))

    def negative(self, value: Symbol) -> Symbol:
        return self.note(("neg", value.place), None if value.values is None else -value.values)

    def _compute(self, function: Callable[..., Any], *arguments: Any) -> np.ndarray | None:
        """Return the value for each problem if it follows from parameters alone."""
        if any(isinstance(one, Symbol) and one.values is None for one in arguments):
            return None
        with np.errstate(all="ignore"):
            return function(*(one.values if isinstance(one, Symbol) else float(one) for one in arguments))

    def call(self, name: str, *arguments: Any) -> Any:
        places = tuple(self.argument(one) for one in arguments)
        values = None
        if all(not isinstance(one, Symbol) or one.values is not None for one in arguments):
            # One by one: vectorised functions round differently at different places of an array.
            known: list[Any] = [one.values if isinstance(one, Symbol) else float(one) for one in arguments]
            columns = [np.broadcast_to(one, self.problems) for one in known]
            values = np.array([_safely(_plain(name), *map(float, row)) for row in zip(*columns)])
        return self.note((name, *places), values)

    def opaque(self, function: Dispatcher, arguments: Iterable[Any]) -> Symbol:
        plain = function.py_func
        name = f"{plain.__module__}.{plain.__qualname__}".replace(".", "_").replace("<", "").replace(">", "")
        if self.functions.setdefault(name, function) is not function:
            raise NotStraightError("two functions have one name")
        return self.note(("call", name, *(self.argument(one) for one in arguments)))

    def finish(self, velocities: Iterable[Any]) -> Program:
        """Return what the velocities need; what follows from parameters alone becomes an input."""
        ends = [self.argument(one) for one in velocities]
        live: set[int] = set()
        pending = [end for end in ends if isinstance(end, int)]
        while pending:
            place = pending.pop()
            if place in live:
                continue
            live.add(place)
            if place not in self.values:
                pending += [one for one in self.operations[place][1:] if isinstance(one, int) and self.operations[place][0] not in ("y", "t")]
        calls = sum(self.operations[place][0] == "call" for place in live)
        if len(live) + OF_A_CALL * calls > LONGEST:
            raise NotStraightError("there are too many operations")
        operations: list[tuple[Any, ...]] = []
        columns: list[np.ndarray] = []
        moved: dict[int, int] = {}
        for place in sorted(live):
            operation = self.operations[place]
            if place in self.values:
                operation = ("input", len(columns))
                columns.append(self.values[place])
            elif operation[0] not in ("y", "t"):
                operation = (operation[0], *(moved[one] if isinstance(one, int) else one for one in operation[1:]))
            moved[place] = len(operations)
            operations.append(operation)
        inputs = np.ascontiguousarray(np.stack(columns, axis=1)) if columns else np.zeros((self.problems, 0))
        return Program(operations, [moved[end] if isinstance(end, int) else end for end in ends], inputs, self.functions)


def trace(
    function: Callable, n: int, params: np.ndarray, work_size: int, *, equations: Iterable[int] = (), instead: dict[Any, Any] | None = None
) -> Program:
    """Follow the uncompiled ``function(t, y, dy, params, work)``.

    Parameters
    ----------
    function : callable
        The Python function of a right-hand side.
    n, work_size : int
        Lengths of state and scratch.
    params : ndarray, shape (problems, m)
        Parameters of every problem.
    equations : iterable of int
        Parameters that are part of the equations: their numbers are written into the straight line.
    instead : dict, optional
        Functions of one's own in place of compiled helpers, with the same values.

    Raises
    ------
    NotStraightError
        If it cannot be followed.
    MixedError
        If problems take different branches.
    """
    line = Line(len(params))
    fixed = set(equations)
    own: list[Any] = []
    for index in range(params.shape[1]):
        column = np.ascontiguousarray(params[:, index])
        if index in fixed:
            if (column != column[0]).any():
                raise MixedError(np.unique(column, return_inverse=True)[1])
            own.append(float(column[0]))
        else:
            own.append(line.note(("p", float(index)), column))
    state, slope, given, work = (np.empty(size, dtype=object) for size in (n, n, params.shape[1], work_size))
    state[:] = [line.note(("y", index)) for index in range(n)]
    given[:] = own
    try:
        _followed(function, line, {}, instead or {})(line.note(("t", 0)), state, slope, given, work)
        return line.finish(slope)
    except (NotStraightError, MixedError):
        raise
    except Exception as error:  # what an interpreter cannot do with symbols, compiled code may do with numbers
        raise NotStraightError(f"{type(error).__name__}: {error}") from None


def _followed(function: Callable, line: Line, seen: dict[Any, Any], instead: dict[Any, Any]) -> Callable:
    """Return the function with helpers and mathematical functions that take symbols."""
    if function in seen:
        return seen[function]
    plain: Any = function
    scope = dict(plain.__globals__)
    copy = types.FunctionType(plain.__code__, scope, plain.__name__, plain.__defaults__, plain.__closure__)
    seen[function] = copy
    scope |= {"max": _choose(line, "max"), "min": _choose(line, "min"), "pow": lambda a, b: a**b}
    for name in _names(plain.__code__):
        value = plain.__globals__.get(name)
        if isinstance(value, Dispatcher):
            scope[name] = _helper(value, line, seen, instead)
        elif isinstance(value, types.ModuleType):
            scope[name] = math_of(line) if value is math else _module(value, line, seen, instead)
    return copy


def _names(code: types.CodeType) -> set[str]:
    return {*code.co_names, *(name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names(one))}


def _helper(dispatcher: Dispatcher, line: Line, seen: dict[Any, Any], instead: dict[Any, Any]) -> Callable:
    body = _followed(instead.get(dispatcher, dispatcher.py_func), line, seen, instead)

    def run(*arguments: Any) -> Any:
        numbers = all(isinstance(one, Symbol | bool | int | float | np.number) for one in arguments)
        if not numbers or not any(isinstance(one, Symbol) and one.values is None for one in arguments):
            return body(*arguments)
        try:
            return body(*arguments)
        except NotStraightError:
            return line.opaque(dispatcher, arguments)

    return run


def _module(module: types.ModuleType, line: Line, seen: dict[Any, Any], instead: dict[Any, Any]) -> Any:
    """Return a stand-in for a module in which compiled functions are followed."""
    if module is np:
        return np

    class StandIn:
        def __getattr__(self, name: str) -> Any:
            value = getattr(module, name)
            return _helper(value, line, seen, instead) if isinstance(value, Dispatcher) else value

    return StandIn()


def math_of(line: Line) -> Any:
    """Return the functions of the module `math` for symbols and numbers."""

    def one(name: str) -> Callable:
        def function(*arguments: Any) -> Any:
            if not any(isinstance(value, Symbol) for value in arguments):
                return getattr(math, name)(*arguments)
            return line.call("abs" if name == "fabs" else named.get(name, name), *arguments)

        return function

    named = {value: key for key, value in _AS_IN_MATH.items()}
    usable = {*_FUNCTIONS, *named, "pow", "fabs"} - set(_AS_IN_MATH)
    constants = {name: getattr(math, name) for name in ("pi", "e", "inf", "nan", "tau")}
    return types.SimpleNamespace(**{name: one(name) for name in usable if hasattr(math, name)}, **constants)


def _choose(line: Line, name: str) -> Callable:
    def choose(*arguments: Any) -> Any:
        if not any(isinstance(value, Symbol) for value in arguments):
            return getattr(builtins, name)(*arguments)
        if len(arguments) != 2:
            raise NotStraightError(f"{name} of {len(arguments)} arguments")
        return line.call(name, *arguments)

    return choose


def _plain(name: str) -> Callable:
    if name in ("max", "min", "abs", "pow"):
        return getattr(builtins, name)
    return getattr(math, _AS_IN_MATH.get(name, name))


def _safely(function: Callable, *arguments: float) -> float:
    """Return a function's value, NaN where the interpreter raises and compiled code does not."""
    try:
        return float(function(*arguments))
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan
