"""Symbols that stand for numbers, and for arrays of them, while a right-hand side is traced.

They do what gives the bits of compiled code; what compiled code may do in another way is refused.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

#: Integer exponents beyond which Numba calls the power function.
LARGEST_EXPONENT = 0x10000


class UntraceableError(Exception):
    """The function cannot be traced without knowing the state."""


class MixedError(Exception):
    """Problems differ in a value that decides what the function does; `groups` holds a label for each problem."""

    def __init__(self, groups: np.ndarray) -> None:
        super().__init__("problems differ in their equations")
        self.groups = groups


class Recorder(Protocol):
    """What symbols need of the operations that they are recorded in."""

    def binary(self, name: str, left: Any, right: Any) -> Any: ...
    def negative(self, value: Any) -> Any: ...
    def power(self, base: Any, exponent: Any, written: bool = False) -> Any: ...
    def call(self, name: str, *arguments: Any) -> Any: ...


class Unwritten:
    """What lies in scratch and slope before the function writes there; nothing may depend on it."""

    def _refuse(self, *_: Any) -> Any:
        raise UntraceableError("a number is read that was not written before")

    __bool__ = __int__ = __float__ = __index__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __abs__ = (
        _refuse
    )
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


def _compared(test: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda symbol, other: symbol._compare(other, test)


def _recorded(sign: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    return (
        lambda symbol, other: symbol.recorder.binary(sign, symbol, other),
        lambda symbol, other: symbol.recorder.binary(sign, other, symbol),
    )


class Symbol:
    """A number that is not known yet: an operation that is recorded, or a value of each problem."""

    __slots__ = ("place", "recorder", "values")

    def __init__(self, recorder: Recorder, place: int, values: np.ndarray | None = None) -> None:
        self.recorder, self.place, self.values = recorder, place, values

    def _known(self) -> np.ndarray:
        if self.values is None:
            raise UntraceableError("a branch depends on the state or the time")
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
        raise UntraceableError("a number is used as an index")

    def __float__(self) -> float:
        raise UntraceableError("a number leaves the traced arrays")

    def _compare(self, other: Any, test: Callable[[Any, Any], Any]) -> bool:
        if not isinstance(other, Symbol) and not is_number(other):
            raise UntraceableError(f"a number is compared with a {type(other).__name__}")
        theirs = other._known() if isinstance(other, Symbol) else other
        return bool(self._decide(test(self._known(), theirs)))

    __eq__, __ne__ = _compared(np.equal), _compared(np.not_equal)
    __lt__, __le__ = _compared(np.less), _compared(np.less_equal)
    __gt__, __ge__ = _compared(np.greater), _compared(np.greater_equal)
    __hash__ = None  # type: ignore[assignment]

    __add__, __radd__ = _recorded("+")
    __sub__, __rsub__ = _recorded("-")
    __mul__, __rmul__ = _recorded("*")
    __truediv__, __rtruediv__ = _recorded("/")

    def __pow__(self, other: Any) -> Any:
        caller = sys._getframe(1)
        if isinstance(other, Symbol) or caller.f_lasti not in written_exponents(caller.f_code):
            return self.recorder.power(self, other)
        return self._power(other) if type(other) is int else self.recorder.power(self, other, written=True)

    def __rpow__(self, other: Any) -> Any:
        return self.recorder.power(other, self)

    def _power(self, exponent: int) -> Any:
        """Return an integer power as compiled code takes it: by squaring, and one division."""
        result, square = 1.0, self
        left = abs(exponent)
        if left > LARGEST_EXPONENT:
            raise UntraceableError("an exponent is large")
        while left:
            if left & 1:
                result = result * square
            left >>= 1
            if left:
                square = square * square
        return 1.0 / result if exponent < 0 else result

    def __neg__(self) -> Any:
        return self.recorder.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.recorder.call("abs", self)


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
            raise UntraceableError(f"{ufunc.__name__} of arrays")
        plain = [one.view(np.ndarray) if isinstance(one, Numbers) else one for one in inputs]
        if out is None:
            return ufunc(*plain).view(Numbers)
        if not out[0].flags.writeable:
            raise UntraceableError("the state or the parameters are overwritten")
        ufunc(*plain, out=out[0].view(np.ndarray))
        return out[0]

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise UntraceableError(f"{function.__name__} of arrays")

    def __setitem__(self, index: Any, value: Any) -> None:
        # An array of floats holds floats, whatever is written.
        super().__setitem__(index, float(value) if is_number(value) else value)
