"""Right-hand sides, Jacobians and event functions of a user: compiled to callbacks with an address, and sent to other processes.

They travel by name, or as Python functions that are compiled again.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiled.announce import reason
from ..compiled.cache import returns_a_value
from ..compiled.jit import (
    EVENT_SIGNATURE,
    JACOBIAN_SIGNATURE,
    RHS_SIGNATURE,
    STRUCTURED_SIGNATURE,
    CompilationError,
    callback,
    is_callback,
)
from ..core import checks


def by_name(item: Any) -> tuple[str, str] | None:
    """Return module and name under which another process finds an item, None if it is not found there."""
    plain = item.function.__wrapped__
    module, name = plain.__module__, plain.__qualname__
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is item else None


def reduce(item: Any, make: Callable, functions: tuple[Any, ...], options: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how an item is pickled.

    Parameters
    ----------
    make : callable
        ``make(*functions, *options)`` makes it again, from the Python functions.
    functions, options : tuple
        Callbacks or None, and plain values.
    """
    place = by_name(item)
    if place is not None and not (place[0] == "__main__" and _in_memory()):
        return find, place
    plain = tuple(None if one is None else one.__wrapped__ for one in functions)
    return load, (_by_value(plain), make, options)


def find(module: str, name: str) -> Any:
    """Return an item by its place."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def load(functions: bytes, make: Callable, options: tuple[Any, ...]) -> Any:
    """Return an item made anew from its Python functions; compiled code is found in the cache where there is one."""
    import pickle

    return make(*pickle.loads(functions), *options)


def _in_memory() -> bool:
    """Whether the main module is a notebook or a prompt, which another process cannot import."""
    return not os.path.exists(getattr(sys.modules["__main__"], "__file__", ""))


def _by_value(functions: tuple[Any, ...]) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        name = functions[0].__qualname__
        raise TypeError(
            f"`{name}` cannot be sent to another process: it is defined inside a function, in a notebook or at a prompt.  "
            "Define it at the top of a module, or install cloudpickle."
        ) from None
    return cloudpickle.dumps(functions)


_FORMS = {
    "right-hand side": (RHS_SIGNATURE, "(t, y, dy, params, work)", "write dy and return nothing"),
    "Jacobian": (JACOBIAN_SIGNATURE, "(t, y, J, params, work)", "write J and return nothing"),
    "structured Jacobian": (STRUCTURED_SIGNATURE, "(t, y, D, U, V, params, work)", "write D, U, V and return nothing"),
    "event": (EVENT_SIGNATURE, "(t, y, params, work)", "return a number"),
}


@dataclass(frozen=True, eq=False)
class RightHandSide:
    """The compiled right-hand side of y' = f(t, y), with its Jacobian if there is one; made by `right_hand_side`."""

    function: Any
    jacobian: Any = None
    structured: bool = False
    rank: int = 0
    sparsity: np.ndarray | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    def __call__(self, t, y, params=(), work_size: int = 0) -> np.ndarray:
        """Return dy at (t, y), computed by the uncompiled function: for checks by hand."""
        state = checks.array("y", y, ["n"], largest=math.inf)
        dy = np.full(state.shape, np.nan)
        self.function(float(t), state, dy, np.asarray(params, dtype=np.float64), np.empty(work_size))
        return dy

    def __reduce__(self):
        return reduce(self, _make, (self.function, self.jacobian), (self.rank, self.sparsity))

    def __copy__(self) -> RightHandSide:
        return self

    def __deepcopy__(self, memo: Any) -> RightHandSide:
        return self


@dataclass(frozen=True, eq=False)
class Event:
    """A compiled event function g(t, y, params, work); made by `event`."""

    function: Any
    terminal: bool
    direction: int

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    def __reduce__(self):
        return reduce(self, _make_event, (self.function,), (self.terminal, self.direction))

    def __copy__(self) -> Event:
        return self

    def __deepcopy__(self, memo: Any) -> Event:
        return self


def right_hand_side(
    function: Callable | None = None,
    *,
    jacobian: Callable | None = None,
    rank: int | None = None,
    sparsity: Any = None,
) -> Any:
    """Compile ``f(t, y, dy, params, work)``, which writes dy/dt to `dy`; use it as ``@right_hand_side`` or with options.

    Parameters
    ----------
    function : callable
        ``f(t, y, dy, params, work)``: time, state (n,), place for the velocity (n,), parameters, scratch.  It is
        compiled by Numba, should allocate nothing, and must not raise: where it is not defined, let it write NaN.  Numbers
        and arrays that it finds outside itself are those of the moment of its compilation, here: what changes from one
        integration to the next belongs into `params`.  It must read `y` and `params` only, and depend on nothing else: no
        random numbers, no memory from call to call.
    jacobian : callable, optional
        For the implicit method.  Either dense, ``jac(t, y, J, params, work)`` which writes every entry of J, shape
        (n, n); or structured, ``jac(t, y, D, U, V, params, work)`` which writes every entry of D (n,), U and V
        (n, rank) such that J = diag(D) + U V^T: a step then costs O(n rank^2).  Without it, differences are used.
    rank : int, optional
        Columns of U and V; can also be given to `integrate`, for ranks known later.
    sparsity : array_like of bool, shape (n, n), optional
        True where the Jacobian may differ from zero: differences then need as many evaluations as there are groups
        of columns that share no row (Curtis, Powell & Reid, 1974).

    Returns
    -------
    RightHandSide

    Raises
    ------
    TypeError
        If a function takes other arguments or cannot be compiled.

    Examples
    --------
    >>> import flowlimits as fl
    >>> @fl.ode.right_hand_side
    ... def decay(t, y, dy, params, work):
    ...     for i in range(y.size):
    ...         dy[i] = -params[0] * y[i]
    >>> times, states, report = fl.ode.integrate(decay, [1.0], [1.0, 2.0], params=[0.5])
    """
    if function is None:
        return lambda f: right_hand_side(f, jacobian=jacobian, rank=rank, sparsity=sparsity)
    if isinstance(function, RightHandSide):
        return function
    compiled = _compile("right-hand side", function)
    if jacobian is None:
        return RightHandSide(compiled, sparsity=check_pattern(sparsity))
    structured = _number_of_arguments(jacobian) == 7
    matrix = _compile("structured Jacobian" if structured else "Jacobian", jacobian)
    columns = 0 if rank is None else checks.integer("rank", rank, minimum=0)
    return RightHandSide(compiled, matrix, structured, columns, check_pattern(sparsity))


def event(function: Callable | None = None, *, terminal: bool = True, direction: int = 0) -> Any:
    """Compile an event function ``g(t, y, params, work)``; use it as ``@event`` or ``@event(terminal=False)``.

    Parameters
    ----------
    function : callable
        Returns the number whose change of sign is the event.
    terminal : bool, optional
        Stop there (default), or only record.
    direction : {0, 1, -1}, optional
        1: only from negative to positive values; -1: only from positive to negative; 0: both.

    Returns
    -------
    Event
    """
    if function is None:
        return lambda f: event(f, terminal=terminal, direction=direction)
    if direction not in (-1, 0, 1):
        raise ValueError(f"Argument `direction` must be -1, 0 or 1, but is {checks.show(direction)}.")
    return Event(_compile("event", function), checks.boolean("terminal", terminal), int(direction))


def _make(function: Any, jacobian: Any, rank: int, sparsity: Any) -> RightHandSide:
    return right_hand_side(function, jacobian=jacobian, rank=rank, sparsity=sparsity)


def _make_event(function: Any, terminal: bool, direction: int) -> Event:
    return event(function, terminal=terminal, direction=direction)


def address_of(function: Any) -> int:
    """Return the address of a callback; the caller keeps the callback alive."""
    address = function.address
    assert address is not None
    return address


def check_pattern(sparsity: Any) -> np.ndarray | None:
    """Return the pattern of non-zero entries as booleans, or None."""
    if sparsity is None:
        return None
    pattern = np.array(sparsity)
    if pattern.ndim != 2 or pattern.shape[0] != pattern.shape[1]:
        raise ValueError(f"Argument `sparsity` must have shape (n, n), but has shape {pattern.shape}.")
    return pattern != 0


def _number_of_arguments(function: Any) -> int:
    return len(inspect.signature(_plain(function)).parameters) if callable(function) else -1


def _plain(function: Any) -> Any:
    return getattr(function, "__wrapped__", getattr(function, "py_func", function))


def _compile(kind: str, function: Any) -> Any:
    signature, form, task = _FORMS[kind]
    if is_callback(function, signature):
        return function
    plain = _plain(function)
    if not inspect.isfunction(plain):
        raise TypeError(f"The {kind} must be a function {form}, but is {checks.show(function)}.")
    given = inspect.signature(plain)
    if len(given.parameters) != form.count(",") + 1:
        raise TypeError(f"The {kind} must take {form}, but `{plain.__name__}` takes {given}.")
    try:
        return callback(signature, at_once=True)(plain)
    except CompilationError as error:
        if signature != EVENT_SIGNATURE and returns_a_value(plain):
            raise TypeError(
                f"The {kind} `{plain.__name__}` cannot be compiled: it returns a value. It must {task}, as in `{form.split(', ')[2]}[0] = ...`."
            ) from None
        raise TypeError(
            f"The {kind} `{plain.__name__}` cannot be compiled: {reason(error)} It must {task}, "
            "with numbers, arrays, loops and NumPy functions that Numba knows."
        ) from error
