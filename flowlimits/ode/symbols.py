"""Symbols that stand for numbers while a right-hand side is followed, and the straight line of operations they leave.

What is kept gives the bits of compiled code: single operations of IEEE arithmetic, in their order, and functions of the same library.
What compiled code may do in another way is refused.
"""

from __future__ import annotations

import builtins
import dis
import functools
import math
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import config
from numba.core.dispatcher import Dispatcher

#: Operations beyond which a straight line compiles too slowly.
LONGEST = 6000
#: Operations that may be met on the way, before what is not needed is dropped, and with those that are met again.
MOST_MET = 60_000
MOST_REPEATED = 1_000_000
#: Integer exponents beyond which Numba calls the power function.
LARGEST_EXPONENT = 0x10000

_BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
#: Functions of one number by their names in NumPy, and in the module `math` where it has another.
FUNCTIONS = {
    **dict.fromkeys(("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "expm1", "log1p", "erf", "erfc"), ""),
    "arcsin": "asin", "arccos": "acos", "arctan": "atan",
}  # fmt: skip
_EXACT = ("sqrt", "abs", "max", "min")


class NotStraightError(Exception):
    """The function cannot be followed without knowing the state."""


class MixedError(Exception):
    """Problems differ in a value that decides what the function does; `groups` holds a label for each problem."""

    def __init__(self, groups: np.ndarray) -> None:
        super().__init__("problems differ in their equations")
        self.groups = groups


class Unwritten:
    """What lies in scratch and slope before the function writes there; nothing may depend on it."""

    def _refuse(self, *_: Any) -> Any:
        raise NotStraightError("a number is read that was not written before")

    __bool__ = __int__ = __float__ = __index__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __abs__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def is_number(value: Any) -> bool:
    """Whether compiled code computes with the value as a whole number, a bool or one of double precision."""
    return isinstance(value, bool | int | float | np.bool_ | np.integer | np.float64)


@functools.cache
def written_exponents(code: types.CodeType) -> frozenset[int]:
    """Return the places in the code where powers are taken whose exponent is a number that stands there."""
    places, before = set(), ""
    for instruction in dis.get_instructions(code):
        if is_power(instruction) and before in ("LOAD_CONST", "LOAD_SMALL_INT") and not instruction.is_jump_target:
            places.add(instruction.offset)
        before = instruction.opname
    return frozenset(places)


def is_power(instruction: dis.Instruction) -> bool:
    return instruction.opname == "BINARY_OP" and instruction.argrepr in ("**", "**=")


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
        if not isinstance(other, Symbol) and not is_number(other):
            raise NotStraightError(f"a number is compared with a {type(other).__name__}")
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
        caller = sys._getframe(1)
        if isinstance(other, Symbol) or caller.f_lasti not in written_exponents(caller.f_code):
            return self.line.power(self, other)
        return self._power(other) if type(other) is int else self.line.power(self, other, written=True)

    def __rpow__(self, other: Any) -> Any:
        return self.line.power(other, self)

    def _power(self, exponent: int) -> Any:
        """Return an integer power as compiled code takes it: by squaring, and one division."""
        result, square = 1.0, self
        left = abs(exponent)
        if left > LARGEST_EXPONENT:
            raise NotStraightError("an exponent is large")
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
    """The operations met so far; equal operations are kept once.

    Parameters
    ----------
    problems : int
        Rows of parameters.
    finite : bool
        Whether what is multiplied by a zero of the equations may be taken for finite, and zeros have no sign.
    """

    def __init__(self, problems: int, finite: bool = False) -> None:
        self.problems, self.finite = problems, finite
        self.operations: list[tuple[Any, ...]] = []
        # By their text: 1 and 1.0 are equal, but one is a place and the other a number.
        self.known: dict[str, int] = {}
        self.values: dict[int, np.ndarray] = {}
        self.functions: dict[str, Dispatcher] = {}
        self.repeated = 0

    def note(self, operation: tuple[Any, ...], values: np.ndarray | None = None) -> Symbol:
        place = self.known.get(repr(operation))
        self.repeated += 1
        if place is None:
            place = len(self.operations)
            self.operations.append(operation)
            self.known[repr(operation)] = place
            if values is not None:
                self.values[place] = values
        if place > MOST_MET or self.repeated > MOST_REPEATED:
            raise NotStraightError("there are too many operations")
        return Symbol(self, place, self.values.get(place))

    def argument(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            return value.place
        if is_number(value):
            return float(value)
        raise NotStraightError(f"a value is of type {type(value).__name__}")

    def binary(self, name: str, left: Any, right: Any) -> Any:
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return NotImplemented
        first, second = self.argument(left), self.argument(right)
        for number, other in ((first, right), (second, left)):
            if name == "*" and isinstance(number, float) and number == 1.0:
                return other
            # Compiled code keeps these: infinity times zero is NaN, and 0.0 + -0.0 is 0.0.
            if self.finite and name in "*+" and isinstance(number, float) and number == 0.0:
                return 0.0 if name == "*" else other
        if name == "-" and isinstance(second, float) and (repr(second) == "0.0" or (self.finite and second == 0.0)):
            return left
        if name == "/" and isinstance(second, float) and second == 1.0:
            return left
        return self.note((name, first, second), self._compute(_BINARY[name], left, right))

    def negative(self, value: Symbol) -> Symbol:
        return self.note(("neg", value.place), None if value.values is None else -value.values)

    def power(self, base: Any, exponent: Any, written: bool = False) -> Any:
        """Return a power; an exponent that is a number must be written where the power is taken.

        Compiled code makes products or roots of the powers that it knows, and they round otherwise than the power function.
        What is a number here may be one that compiled code does not know, or a whole number that it takes for another kind.
        """
        if not isinstance(base, Symbol):
            raise NotStraightError("the base of a power is no symbol")
        if not isinstance(exponent, Symbol) and not (written and isinstance(exponent, float)):
            raise NotStraightError("an exponent may be known or not when compiled")
        if base.values is not None and not isinstance(exponent, Symbol):
            raise NotStraightError("a power of parameters may be taken by products")
        return self.call("pow", base, exponent)

    def _compute(self, function: Callable[..., Any], *arguments: Any) -> np.ndarray | None:
        """Return the value for each problem if it follows from parameters alone."""
        if any(isinstance(one, Symbol) and one.values is None for one in arguments):
            return None
        with np.errstate(all="ignore"):
            return function(*(one.values if isinstance(one, Symbol) else float(one) for one in arguments))

    def call(self, name: str, *arguments: Any) -> Any:
        places = tuple(self.argument(one) for one in arguments)
        if all(not isinstance(one, Symbol) or one.values is not None for one in arguments):
            # One by one: vectorised functions round differently at different places of an array.
            known: list[Any] = [one.values if isinstance(one, Symbol) else float(one) for one in arguments]
            columns = [np.broadcast_to(one, self.problems) for one in known]
            return self.note((name, *places), np.array([_safely(_plain(name), *map(float, row)) for row in zip(*columns)]))
        if getattr(config, "USING_SVML", False) and name not in _EXACT:
            raise NotStraightError("functions of several numbers at once round differently here")
        return self.note((name, *places))

    def opaque(self, function: Dispatcher, arguments: Iterable[Any]) -> Symbol:
        plain = function.py_func
        name = "".join(one if one.isalnum() else "_" for one in f"{plain.__module__}.{plain.__qualname__}")
        if getattr(config, "USING_SVML", False) or self.functions.setdefault(name, function) is not function:
            raise NotStraightError("two functions have one name, or functions of several numbers round differently")
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
        if len(live) > LONGEST:
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


class Numbers(np.ndarray):
    """An array of symbols; it does what compiled code does in the same order, one number at a time, and refuses sums."""

    _ELEMENTWISE = (np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive)

    @classmethod
    def of(cls, values: list[Any]) -> Numbers:
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made.view(cls)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method != "__call__" or options or ufunc not in self._ELEMENTWISE:
            raise NotStraightError(f"{ufunc.__name__} of arrays")
        plain = [one.view(np.ndarray) if isinstance(one, Numbers) else one for one in inputs]
        if out is None:
            return ufunc(*plain).view(Numbers)
        if not out[0].flags.writeable:
            raise NotStraightError("the state or the parameters are overwritten")
        ufunc(*plain, out=out[0].view(np.ndarray))
        return out[0]

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise NotStraightError(f"{function.__name__} of arrays")

    def __setitem__(self, index: Any, value: Any) -> None:
        # An array of floats holds floats, whatever is written.
        super().__setitem__(index, float(value) if is_number(value) else value)


def _plain(name: str) -> Callable:
    return getattr(builtins, name) if name in ("max", "min", "abs", "pow") else getattr(math, FUNCTIONS[name] or name)


def _safely(function: Callable, *arguments: float) -> float:
    """Return a function's value; where the interpreter raises, compiled code has a value that is not known here."""
    try:
        return float(function(*arguments))
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise NotStraightError("a function of parameters is not defined everywhere") from None
