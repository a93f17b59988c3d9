"""Trace a right-hand side: run it once with symbols for numbers, and record the operations, without branches.

The equations of a model are written once, as the compiled function ``f(t, y, dy, params, work)`` with its loops over
units and its scratch matrices.  Here the same function runs uncompiled on symbols: loops with known bounds unroll,
scratch disappears, what is computed twice is recorded once, and what no velocity needs is dropped.  The remaining operations
are those of the compiled function, in its order, up to signs and factors of one, so that both give the same bits.

What depends on parameters alone is computed at once for all problems, and enters the trace as an input.  A
branch on such a value is traced where all problems agree; where they do not, `MixedError` says how to part them.

Traced are numbers, arrays of given shapes with their slices, sums, differences, products and quotients of numbers and of
whole arrays, the functions of `operations.FUNCTIONS`, abs, min and max of two numbers, powers whose exponent is written as a number,
and compiled helpers.  Everything else raises `UntraceableError`, and the lanes call the function itself: branches on
the state or the time, sums and matrix products of whole arrays (their order is that of a library), other powers, random
numbers, single precision, reads of what was not written, writes to the state or the parameters.  A helper of numbers only that
cannot be traced is called as it is if its value follows from its arguments.

Traces of the package's own equations, which cannot change, are cached; a user's function is traced in each call.
"""

from __future__ import annotations

import builtins
import hashlib
import math
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ...compiled import views as _views
from ...compiled.cache import instructions, names, outside
from ...compiled.jit import is_compiled, is_strict
from .operations import FUNCTIONS, MOST, Operations, Program
from .symbols import MixedError, Numbers, Symbol, UntraceableError, Unwritten, is_number, is_power

_BUILTINS = {"range", "len", "abs", "min", "max", "int", "float", "bool", "enumerate", "zip", "pow"}
_CONSTANTS = {"pi", "e", "inf", "nan", "tau"}
_KINDS = {"float64", "int64", "uint64", "intp"}
_OF_ARRAYS = {"size", "shape", "ndim", "reshape", "copy", "T"}
_IN_MATH = {name: other or name for name, other in FUNCTIONS.items()}
#: Names whose meaning is known; all others are refused.
_ATTRIBUTES = {*FUNCTIONS, *_IN_MATH.values(), "abs", "absolute", "fabs", "pow", *_CONSTANTS, *_KINDS, *_OF_ARRAYS}
#: Further functions that depend on their arguments alone, for helpers that are called as they are.
_PURE = {
    "arctan2", "atan2", "arcsinh", "arccosh", "arctanh", "asinh", "acosh", "atanh", "exp2", "log2", "log10", "cbrt", "hypot", "floor",
    "ceil", "trunc", "rint", "sign", "copysign", "fmod", "isnan", "isinf", "isfinite", "gamma", "lgamma", "minimum", "maximum",
}  # fmt: skip


def trace(
    function: Callable,
    n: int,
    params: np.ndarray,
    work_size: int,
    *,
    equations: Iterable[int] = (),
    instead: dict[Any, Any] | None = None,
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
        Parameters that are part of the equations: their numbers are written into the trace.  If given, products with
        zero, of the equations or of the parameters of all problems, are folded to zero; the caller guarantees that the other
        factor is finite and that the sign of a zero means nothing.
    instead : dict, optional
        Functions of one's own in place of compiled helpers, with the same values.

    Raises
    ------
    UntraceableError
        If it cannot be traced.
    MixedError
        If problems take different branches.
    """
    fixed = set(equations)
    recorder = Operations(len(params), finite=bool(fixed))
    own: list[Any] = []
    for index in range(params.shape[1]):
        column = np.ascontiguousarray(params[:, index])
        if index in fixed:
            if (column != column[0]).any():
                raise MixedError(np.unique(column, return_inverse=True)[1])
            own.append(float(column[0]))
        else:
            own.append(recorder.note(("p", float(index)), column))
    state, given = Numbers.of([recorder.note(("y", index)) for index in range(n)]), Numbers.of(own)
    state.flags.writeable = given.flags.writeable = False
    slope, work = Numbers.of([Unwritten()] * n), Numbers.of([Unwritten()] * work_size)
    try:
        _Tracer(recorder, instead or {}).trace(function)(recorder.note(("t", 0)), state, slope, given, work)
        return recorder.finish(slope)
    except (UntraceableError, MixedError):
        raise
    except Exception as error:  # what an interpreter cannot do with symbols, compiled code may do with numbers
        raise UntraceableError(f"{type(error).__name__}: {error}") from None


class _Tracer:
    """Makes functions that take symbols from uncompiled ones; all names that they use are looked at first."""

    def __init__(self, recorder: Operations, instead: dict[Any, Any]) -> None:
        self.recorder, self.instead = recorder, instead
        self.seen: dict[Any, Callable] = {}
        self.of_symbols = {name: self.elementary(name) for name in (*FUNCTIONS, "abs")}

    def trace(self, function: Callable) -> Callable:
        """Return the function with helpers and mathematical functions that take symbols."""
        if function not in self.seen:
            try:
                self.seen[function] = self.make(function)
            except UntraceableError:
                self.seen[function] = _refuse
                raise
        return self.seen[function]

    def make(self, plain: Any) -> Callable:
        """Return the function with another scope."""
        found_outside = outside(plain)
        scope: dict[str, Any] = {"__builtins__": builtins, "__name__": plain.__name__}
        cells = {name: types.CellType() for name in plain.__code__.co_freevars}
        copy = types.FunctionType(
            plain.__code__,
            scope,
            plain.__name__,
            plain.__defaults__,
            tuple(cells[name] for name in plain.__code__.co_freevars),
        )
        self.seen[plain] = copy  # for a function that calls itself
        outer, others = names(plain.__code__)
        _check_names(outer, others, found_outside, _ATTRIBUTES)
        found = {name: self.convert(found_outside[name], others) for name in sorted(outer) if name in found_outside}
        scope |= {
            "min": self.choose("min"),
            "max": self.choose("max"),
            "pow": self.recorder.power,
            "abs": self.of_symbols["abs"],
        }
        scope |= {"float": lambda x: x if isinstance(x, Symbol) else float(x)} | found
        for name, cell in cells.items():
            cell.cell_contents = found[name]
        return copy

    def convert(self, value: Any, names: set[str]) -> Any:
        """Return the stand-in of what a function finds outside itself."""
        if is_compiled(value):
            return self.helper(value)
        if isinstance(value, types.ModuleType):
            return types.SimpleNamespace(**dict(self.members(value, names)))
        if _is_constant(value) or value in (_views.matrix, _views.vector):
            return value
        name = getattr(value, "__name__", "")
        if value is getattr(math, name, None) or value is getattr(np, name, None):
            return dict(self.members(np if isinstance(value, np.ufunc) else math, {name})).get(name, _refuse)
        raise UntraceableError(f"something of type {type(value).__name__} is used")

    def members(self, module: types.ModuleType, names: set[str]) -> Iterator[tuple[str, Any]]:
        """Yield the stand-ins of the members of a module that are named."""
        if module is np or module is math:
            yield from (
                (name, getattr(module, name)) for name in names & (_CONSTANTS | _KINDS) if hasattr(module, name)
            )
            for name, in_math in _IN_MATH.items():
                own = name if module is np else in_math
                if own in names and hasattr(module, own):
                    yield own, self.of_symbols[name]
            yield from (
                (name, self.of_symbols["abs"]) for name in names & {"abs", "absolute", "fabs"} if hasattr(module, name)
            )
            if module is math and "pow" in names:
                yield "pow", self.recorder.power
            return
        for name in names & set(vars(module)):
            yield name, self.convert(vars(module)[name], names)

    def helper(self, dispatcher: Any) -> Callable:
        """Return a compiled helper that is traced, or called as it is where that is impossible and harmless."""
        if not is_strict(dispatcher):
            return _refuse
        if dispatcher in self.instead:
            return self.instead[dispatcher]
        try:
            body: Callable = self.trace(dispatcher.py_func)
        except UntraceableError:
            body = _refuse

        def run(*arguments: Any) -> Any:
            try:
                return body(*arguments)
            except MixedError:
                raise
            except Exception:
                # Whole numbers would arrive as others, and arrays hold symbols.
                numbers = all(isinstance(one, Symbol) or type(one) in (float, np.float64) for one in arguments)
                if not numbers or not _is_pure(dispatcher.py_func, all(isinstance(one, Symbol) for one in arguments)):
                    raise
            return self.recorder.opaque(dispatcher, arguments)

        return run

    def elementary(self, name: str) -> Callable:
        """Return a function of one number."""
        of_numbers = abs if name == "abs" else getattr(math, _IN_MATH[name])

        def function(x: Any) -> Any:
            if isinstance(x, Symbol):
                return self.recorder.call(name, x)
            if isinstance(x, Numbers):
                made = np.empty(x.shape, dtype=object)
                for index, one in np.ndenumerate(x.view(np.ndarray)):
                    made[index] = function(one)
                return made.view(Numbers)
            if not is_number(x):
                raise UntraceableError(f"{name} of a {type(x).__name__}")
            return of_numbers(x)

        return function

    def choose(self, name: str) -> Callable:
        """Return min or max of two numbers."""

        def function(*arguments: Any) -> Any:
            if len(arguments) != 2 or not all(isinstance(one, Symbol) or is_number(one) for one in arguments):
                raise UntraceableError(f"{name} of something else than two numbers")
            if not any(isinstance(one, Symbol) for one in arguments):
                return getattr(builtins, name)(*arguments)
            return self.recorder.call(name, *arguments)

        return function


def _refuse(*_: Any) -> Any:
    raise UntraceableError("a helper cannot be traced")


def _check_names(outer: set[str], others: set[str], space: dict[str, Any], attributes: set[str]) -> None:
    """Refuse names that are neither outside, nor harmless built-ins, nor attributes of a known meaning."""
    modules = [space[name] for name in outer if isinstance(space.get(name), types.ModuleType)]
    members = {name for module in modules if module not in (np, math) for name in vars(module)}
    unknown = sorted((outer - set(space) - _BUILTINS) | (others - attributes - members))
    if unknown:
        raise UntraceableError(f"the meaning of `{unknown[0]}` is not known here")


def _is_constant(value: Any) -> bool:
    """Whether compiled code takes the value for a constant of double precision or a whole one."""
    if isinstance(value, tuple):
        return all(_is_constant(one) for one in value)
    return is_number(value) or (isinstance(value, np.ndarray) and value.dtype in (np.float64, np.int64))


def _is_pure(function: Any, of_symbols: bool) -> bool:
    """Whether a helper depends on its numbers alone, and ends and reads nothing astray for any: no loops, no arrays.

    A power of a number that is known here, but not there or the other way round, may round differently.
    """
    space, (outer, others) = outside(function), names(function.__code__)
    try:
        _check_names(outer, others, space, _ATTRIBUTES | _PURE)
    except UntraceableError:
        return False
    for instruction in instructions(function.__code__):
        subscript = "SUBSCR" in instruction.opname or (
            instruction.opname == "BINARY_OP" and instruction.argrepr == "[]"
        )
        if subscript or "JUMP_BACKWARD" in instruction.opname or (is_power(instruction) and not of_symbols):
            return False
    used = [space[name] for name in outer if name in space]
    modules = [one for one in used if isinstance(one, types.ModuleType) and one not in (np, math)]
    used += [vars(module)[name] for module in modules for name in others & set(vars(module))]
    for value in used:
        if is_compiled(value):
            if value.py_func is function or not is_strict(value) or not _is_pure(value.py_func, of_symbols):
                return False
        elif not isinstance(value, types.ModuleType) and not _is_constant(value):
            name = getattr(value, "__name__", "")
            if name not in _ATTRIBUTES | _PURE or value not in (getattr(math, name, None), getattr(np, name, None)):
                return False
    return True


_traces: OrderedDict[Any, Program] = OrderedDict()


def cached_trace(
    function: Any, n: int, params: np.ndarray, work_size: int, equations: tuple[int, ...], instead: dict[Any, Any]
) -> Program:
    """Return the trace of a right-hand side, see `trace.trace`; another call with the same parameters finds it."""
    if not str(function.__module__).startswith("flowlimits."):
        return trace(function, n, params, work_size, equations=equations, instead=instead)
    digest = hashlib.sha256(params.tobytes()).digest()
    key = (function, n, params.shape, digest, work_size, equations, *instead.items())
    program = _traces.pop(key, None) or trace(function, n, params, work_size, equations=equations, instead=instead)
    _traces[key] = program
    while len(_traces) > MOST:
        _traces.popitem(last=False)
    return program
