"""Guards of a user's functions: calls of their uncompiled twins find what compiled code does not look for.

Compiled code reads beyond an array without a word, changes the state if it is told to, and draws random numbers inside a
step.  The same functions run as Python at the start and at states that were reached, on arrays that cannot be written;
after steps that became short they tell whether the right-hand side jumps.
"""

from __future__ import annotations

import builtins
import time
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..compiled.cache import names, outside
from ..compiled.jit import is_compiled
from .functions import Event, RightHandSide
from .report import Status

#: After these, steps had become short, or too many.
SHORT_STEPS = (Status.STEP_TOO_SMALL, Status.TOO_MANY_STEPS, Status.NEWTON_FAILED)
ADVICE = (
    "The right-hand side jumps here, and both sides point to the jump, so that steps become short without end: smooth the "
    "jump, or write down the motion along it."
)


def slides(velocity: Callable[[float, np.ndarray], np.ndarray], t: float, y: np.ndarray, step: float) -> bool:
    """Whether the velocity jumps within some steps of the state, and points to the jump from both sides.

    Parameters
    ----------
    velocity : callable
        The right-hand side ``velocity(t, y)``.
    step : float
        Length of the steps.
    """
    here = velocity(t, y)
    size = float(np.linalg.norm(here))
    if not np.isfinite(size) or size == 0.0:
        return False
    for reach in (1.0, 10.0, 100.0, 1000.0):
        low, high = y - reach * step * here, y + reach * step * here
        before, after = velocity(t, low), velocity(t, high)
        for _ in range(60):
            middle = 0.5 * (low + high)
            if (middle == low).all() or (middle == high).all():
                break
            between = velocity(t, middle)
            if np.linalg.norm(between - before) >= np.linalg.norm(after - between):
                high, after = middle, between
            else:
                low, before = middle, between
        jump = after - before
        if np.isfinite(jump).all() and np.linalg.norm(jump) > 0.1 * size and before @ jump < 0.0 < after @ jump:
            return True
    return False


#: Passes of loops after which an uncompiled call ends.
LONGEST = 20_000
#: Seconds of an uncompiled call beyond which it is made only once for arrays of the same sizes.
SLOW = 2e-4
#: States that are looked at when arrays have these sizes for the first time.
FIRST = 8

_twins: weakref.WeakKeyDictionary[Any, Twin] = weakref.WeakKeyDictionary()
#: Sizes of arrays that a function was called with, and how many seconds a call took.
_seen: weakref.WeakKeyDictionary[Any, dict[tuple[int, int, int], float]] = weakref.WeakKeyDictionary()


class Twin:
    """A Python function with the compiled functions that it calls replaced by their Python functions."""

    def __init__(self, function: Any) -> None:
        self.left = LONGEST
        self.function = _copy(function, {}, self.range)

    def range(self, *bounds: int) -> range:
        """Return a range, unless its loop would be too long."""
        made = range(*bounds)
        self.left -= len(made)
        if self.left < 0:
            raise _LongError
        return made

    def __call__(self, *arguments: Any) -> None:
        self.left = LONGEST
        with np.errstate(all="ignore"):
            self.function(*arguments)


class _LongError(Exception):
    """A loop is too long for the interpreter."""


def twin(function: Any) -> Twin:
    """Return the twin of a Python function."""
    if function not in _twins:
        _twins[function] = Twin(function)
    return _twins[function]


def _copy(function: Any, made: dict[Any, Callable], loop: Callable) -> Callable:
    if function in made:
        return made[function]
    code = function.__code__
    space, (outer, others) = outside(function), names(code)
    cells = {name: types.CellType() for name in code.co_freevars}
    scope: dict[str, Any] = {"__builtins__": builtins, "__name__": function.__name__, "range": loop}
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, tuple(cells.values()))
    copy.__kwdefaults__ = function.__kwdefaults__
    made[function] = copy
    for name in outer & set(space):
        value = _stand_in(space[name], others, made, loop)
        if name in cells:
            cells[name].cell_contents = value
        else:
            scope[name] = value
    return copy


def _stand_in(value: Any, others: set[str], made: dict[Any, Callable], loop: Callable) -> Any:
    if is_compiled(value):
        return _copy(value.py_func, made, loop)
    if isinstance(value, types.ModuleType) and any(is_compiled(vars(value).get(name)) for name in others):
        members = {name: _stand_in(vars(value)[name], others, made, loop) for name in others & set(vars(value))}
        return types.SimpleNamespace(**members)
    return value


def _own(function: Any) -> bool:
    """Whether a function is one of the package's own equations, whose arrays its tests look at."""
    plain = function.__wrapped__
    return plain.__closure__ is None and str(plain.__module__).partition(".")[0] == __name__.partition(".")[0]


class Guard:
    """Looks at calls of a right-hand side and of events with arrays of the sizes that are integrated with."""

    def __init__(self, rhs: RightHandSide, n: int, params: np.ndarray, work_size: int, events: Iterable[Event] = ()):
        self.rhs, self.events, self.work_size = rhs, tuple(events), work_size
        self.sizes = (n, params.size, work_size)
        functions = [rhs.function, *(event.function for event in self.events)]
        self.seen = [_seen.setdefault(function, {}) for function in functions]
        self.first = any(self.sizes not in seen for seen in self.seen)
        self.active = not all(map(_own, functions)) and (self.first or self.seen[0][self.sizes] < SLOW)
        if self.active:
            self.params = _locked(params)

    def start(self, t: float, y: np.ndarray) -> None:
        """Look at the first call, and whether a second one gives the same."""
        if not self.active:
            return
        began = time.thread_time()
        slope = self.velocity(t, y)
        took = time.thread_time() - began
        if self.first and not np.array_equal(slope, self.velocity(t, y), equal_nan=True):
            raise ValueError(
                f"The right-hand side `{self.rhs.name}` gives other values in a second call with the same arguments; steps of "
                "an integrator need a function of its arguments, without random numbers."
            )
        self._events(t, y)
        for seen in self.seen:
            seen[self.sizes] = took

    def reached(self, times: np.ndarray, states: np.ndarray) -> None:
        """Look at calls at the last state, and at some before it if the sizes are new."""
        if not self.active or not len(times):
            return
        last = len(times) - 1
        for index in sorted({*np.linspace(0, last, FIRST).astype(int).tolist()} if self.first else {last}):
            if np.isfinite(states[index]).all():
                self.velocity(float(times[index]), states[index])
                self._events(float(times[index]), states[index])

    def velocity(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the velocity by the uncompiled function, NaN where that cannot be called."""
        slope = np.full(y.size, np.nan)
        if not self._call("right-hand side", self.rhs.function, t, y, slope):
            slope.fill(np.nan)
        return slope

    def _events(self, t: float, y: np.ndarray) -> None:
        for event in self.events:
            self._call("event", event.function, t, y)

    def _call(self, kind: str, function: Any, t: float, y: np.ndarray, *slope: np.ndarray) -> bool:
        """Call the twin of a function; whether it came to an end."""
        name = function.__name__
        try:
            twin(function.__wrapped__)(t, _locked(y), *slope, self.params, np.zeros(self.work_size))
        except IndexError as error:
            raise ValueError(
                f"The {kind} `{name}` needs longer arrays than y0 ({y.size}), `params` ({self.params.size}) and "
                f"`work_size` ({self.work_size}) at t = {t:g}: {error}."
            ) from None
        except ValueError as error:
            if "read-only" in str(error):
                raise ValueError(
                    f"The {kind} `{name}` writes to `y` or `params` at t = {t:g}, which are to be read only: the integrator's "
                    "own state would change within a step.  Write to `dy` or `work`."
                ) from None
            return False
        except Exception:  # what the interpreter cannot do in a short time, compiled code may
            return False
        return True


def _locked(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
