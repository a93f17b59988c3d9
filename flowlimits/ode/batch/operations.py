"""The operations that a traced right-hand side leaves, without branches.

They give the bits of compiled code: single operations of IEEE arithmetic, in their order, and functions of the same library.
Left out is what changes no bit: a sum or a product in the other order, a factor that is one or minus one in all problems, a sign that
another operation takes up.  What has the same values in all problems is one number, so that networks of equal units have fewer operations.
"""

from __future__ import annotations

import builtins
import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiled.views import rounds_in_vectors
from .symbols import Symbol, UntraceableError, is_number

#: Traces, and their texts, that are remembered.
MOST = 32
#: Operations beyond which a trace compiles too slowly.
LONGEST = 6000
#: Operations that may be met on the way, before what is not needed is dropped, and with those that are met again.
MOST_MET = 60_000
MOST_REPEATED = 1_000_000

_BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
#: Functions of one number by their names in NumPy, and in the module `math` where it has another.
FUNCTIONS = {
    **dict.fromkeys(("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "expm1", "log1p", "erf", "erfc"), ""),
    "arcsin": "asin", "arccos": "acos", "arctan": "atan",
}  # fmt: skip
_EXACT = ("sqrt", "abs", "max", "min")


@dataclass(frozen=True, eq=False)
class Program:
    """A trace: operations in order, which of them are the velocities, inputs and called functions.

    An operation is ``(name, argument, ...)``; an argument is the place of an operation, or a number as a float.
    """

    operations: list[tuple[Any, ...]]
    velocities: list[Any]
    inputs: np.ndarray
    functions: dict[str, Any]


class Operations:
    """The operations met so far; equal ones are recorded once.

    Parameters
    ----------
    problems : int
        Rows of parameters.
    finite : bool
        Whether what is multiplied by a zero of the equations, or of all problems, may be taken for finite, and zeros have no sign.
    """

    def __init__(self, problems: int, finite: bool = False) -> None:
        self.problems, self.finite = problems, finite
        self.operations: list[tuple[Any, ...]] = []
        # By their text: 1 and 1.0 are equal, but one is a place and the other a number.
        self.known: dict[str, int] = {}
        self.values: dict[int, np.ndarray] = {}
        #: Places by what all problems have there, and the zeros and ones of either sign among them.
        self.shared: dict[bytes, int] = {}
        self.trivial: dict[int, float] = {}
        self.functions: dict[str, Any] = {}
        self.repeated = 0

    def note(self, operation: tuple[Any, ...], values: np.ndarray | None = None) -> Symbol:
        name, *rest = operation
        key = repr((name, *sorted(rest, key=repr))) if name in ("+", "*") else repr(operation)
        place = self.known.get(key)
        self.repeated += 1
        if place is None:
            place = len(self.operations) if values is None else self._place_of(values)
            if place == len(self.operations):
                self.operations.append(operation)
                if values is not None:
                    self.values[place] = values
            self.known[key] = place
        if place > MOST_MET or self.repeated > MOST_REPEATED:
            raise UntraceableError("there are too many operations")
        return Symbol(self, place, self.values.get(place))

    def _place_of(self, values: np.ndarray) -> int:
        """Return the place of a number that is the same in all problems, or the next one.

        One problem alone says nothing: its parameters may be equal by chance, and the next problem wants another trace.
        """
        place = len(self.operations)
        if self.problems == 1:
            return place
        key = hashlib.blake2b(values.tobytes()).digest()
        if key not in self.shared and values[0] in (0.0, 1.0, -1.0) and (values == values[0]).all():
            signs = np.signbit(values)
            if (signs == signs[0]).all():
                self.trivial[place] = float(values[0])
        return self.shared.setdefault(key, place)

    def argument(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            return value.place
        if is_number(value):
            return float(value)
        raise UntraceableError(f"a value is of type {type(value).__name__}")

    def binary(self, name: str, left: Any, right: Any) -> Any:
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return NotImplemented
        first, second = self.argument(left), self.argument(right)
        simpler = self._left_out(name, first, second, left, right)
        if simpler is not None:
            return simpler
        values = self._compute(_BINARY[name], left, right)
        return self._signed(name, first, second) if values is None else self.note((name, first, second), values)

    def _left_out(self, name: str, first: Any, second: Any, left: Any, right: Any) -> Any:
        """Return what an operation with a one or a zero leaves, None if it does something."""
        for number, other in ((self._number(first, second), right), (self._number(second, first), left)):
            if name == "*" and number in (1.0, -1.0):
                return other if number == 1.0 else self.negative(other)
            # Compiled code keeps these: infinity times zero is NaN, and 0.0 + -0.0 is 0.0.
            if self.finite and name in "*+" and number == 0.0:
                return 0.0 if name == "*" else other
        number = self._number(second, first)
        nothing = name == "-" and number == 0.0 and (self.finite or repr(number) == "0.0")
        return left if nothing or (name == "/" and number == 1.0) else None

    def _number(self, argument: Any, other: Any) -> float | None:
        """Return an argument that is a number, or a one or a zero of all problems beside what differs with the state."""
        if isinstance(argument, float):
            return argument
        return self.trivial.get(argument) if isinstance(other, int) and other not in self.values else None

    def _signed(self, name: str, first: Any, second: Any) -> Symbol:
        """Note an operation whose arguments may be negative ones of others: rounding is the same for both signs."""
        one, two = self._positive(first), self._positive(second)
        if one is None and two is None:
            return self.note((name, first, second))
        if name in ("*", "/"):
            if one is not None and two is not None:
                return self.note((name, one, two))
            if isinstance(first, float) or isinstance(second, float):
                return self.note((name, -first if two is not None else one, -second if one is not None else two))
            return self.negative(self.note((name, first if one is None else one, second if two is None else two)))
        # Of two signs of the second argument, one is the operation's own.
        negative = (name == "-") != (two is not None)
        size = second if two is None else two
        if one is None:
            return self.note(("-" if negative else "+", first, size))
        if not negative:
            return self.note(("-", size, one))
        # Where the sum is zero, this gives the other zero.
        if self.finite:
            return self.negative(self.note(("+", one, size)))
        return self.note(("-", first, size))

    def _positive(self, argument: Any) -> Any:
        """Return the place of what an argument is the negative of, else None."""
        if isinstance(argument, int) and self.operations[argument][0] == "neg" and argument not in self.values:
            return self.operations[argument][1]
        return None

    def negative(self, value: Symbol) -> Symbol:
        inner = self._positive(value.place)
        if inner is not None:
            return Symbol(self, inner)
        return self.note(("neg", value.place), None if value.values is None else -value.values)

    def power(self, base: Any, exponent: Any, written: bool = False) -> Any:
        """Return a power; an exponent that is a number must be written where the power is taken.

        Compiled code makes products or roots of the powers that it knows, and they round otherwise than the power function.
        What is a number here may be one that compiled code does not know, or a whole number that it takes for another kind.
        """
        if not isinstance(base, Symbol):
            raise UntraceableError("the base of a power is no symbol")
        if not isinstance(exponent, Symbol) and not (written and isinstance(exponent, float)):
            raise UntraceableError("an exponent may be known or not when compiled")
        if base.values is not None and not isinstance(exponent, Symbol):
            raise UntraceableError("a power of parameters may be taken by products")
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
            return self.note(
                (name, *places), np.array([_safely(_plain(name), *map(float, row)) for row in zip(*columns)])
            )
        if rounds_in_vectors() and name not in _EXACT:
            raise UntraceableError("functions of several numbers at once round differently here")
        return self.note((name, *places))

    def opaque(self, function: Any, arguments: Iterable[Any]) -> Symbol:
        plain = function.py_func
        name = "".join(one if one.isalnum() else "_" for one in f"{plain.__module__}.{plain.__qualname__}")
        if rounds_in_vectors() or self.functions.setdefault(name, function) is not function:
            raise UntraceableError("two functions have one name, or functions of several numbers round differently")
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
                pending += [
                    one
                    for one in self.operations[place][1:]
                    if isinstance(one, int) and self.operations[place][0] not in ("y", "t")
                ]
        if len(live) > LONGEST:
            raise UntraceableError("there are too many operations")
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
        return Program(
            operations, [moved[end] if isinstance(end, int) else end for end in ends], inputs, self.functions
        )


def _plain(name: str) -> Callable:
    return getattr(builtins, name) if name in ("max", "min", "abs", "pow") else getattr(math, FUNCTIONS[name] or name)


def _safely(function: Callable, *arguments: float) -> float:
    """Return a function's value; where the interpreter raises, compiled code has a value that is not known here."""
    try:
        return float(function(*arguments))
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise UntraceableError("a function of parameters is not defined everywhere") from None
