"""Checks of what a user passes: each raises one sentence that names the argument, what it must be and what it is.

Every function returns the checked value in the form that the caller computes with, so that a check cannot
be forgotten where its result is used.  `TypeError` is for values of the wrong kind, `ValueError` for the rest.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .registry import SEED, did_you_mean

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
#: What compiled code counts up to.
LARGEST_INTEGER = 2**63 - 1
#: More steps or directions than this are refused: they would take weeks, or not fit into an integer.
MOST = 1e12
#: Elements of the largest array (64 GB).
MOST_ELEMENTS = 2**33
#: Numbers of problems are at most this in size: then their sixth powers are floats with all their digits.
LARGEST = 1e50
#: That of weights whose products are overlaps.
LARGEST_WEIGHT = 1e25


def show(value: Any) -> str:
    """Return a short form of `value` for a message, in one line and without addresses in memory."""
    if inspect.isfunction(value):
        return f"the function `{value.__name__}`"
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def number(
    name: str, value: Any, *, positive: bool = False, nonnegative: bool = False, below: float = math.inf,
    largest: float = LARGEST,
) -> float:  # fmt: skip
    """Return `value` as a float of at most `largest` in size; zero-dimensional arrays count as numbers."""
    scalar = _scalar(value)
    if not isinstance(scalar, Real):
        raise TypeError(f"Argument `{name}` must be a number, but is {show(value)}.")
    try:
        result = float(scalar)
    except OverflowError:
        raise ValueError(f"Argument `{name}` must be finite, but is {show(value)}.") from None
    if not math.isfinite(result):
        raise ValueError(f"Argument `{name}` must be finite, but is {result}.")
    if positive and result <= 0:
        raise ValueError(f"Argument `{name}` must be positive, but is {show(result)}.")
    if nonnegative and result < 0:
        raise ValueError(f"Argument `{name}` must not be negative, but is {show(result)}.")
    if result >= below:
        raise ValueError(f"Argument `{name}` must be below {below:g}, but is {show(result)}.")
    if abs(result) > largest:
        raise ValueError(f"Argument `{name}` must be at most {largest:g} in size, but is {show(result)}: rescale it.")
    return result


def counts(numbers: Any, what: str) -> np.ndarray:
    """Return numbers rounded to whole ones; `what` begins the sentence that refuses more than `MOST`, before any cast overflows."""
    found = np.asarray(numbers, dtype=np.float64)
    if not (np.abs(found) <= MOST).all():
        raise ValueError(
            f"{what} for {float(found[~(np.abs(found) <= MOST)][0]):.3g}, and at most {MOST:.0e} can be made."
        )
    return np.rint(found).astype(np.int64)


def integer(name: str, value: Any, *, minimum: int | None = None) -> int:
    """Return `value` as an int of at least `minimum`; 4.0 is not an int, and neither is True."""
    scalar = _scalar(value)
    if not isinstance(scalar, Integral):
        raise TypeError(f"Argument `{name}` must be a whole number, but is {show(value)}.")
    result = int(scalar)
    if minimum is not None and result < minimum:
        raise ValueError(f"Argument `{name}` must be at least {minimum}, but is {result}.")
    if abs(result) > LARGEST_INTEGER:
        raise ValueError(f"Argument `{name}` must be at most {LARGEST_INTEGER}, but is {show(result)}.")
    return result


def integers(name: str, value: Any, *, minimum: int | None = None) -> list[int]:
    """Return one whole number, or those of a sequence, as a list; the caller says whether it may be empty."""
    return [integer(name, item, minimum=minimum) for item in ([value] if is_single(value) else value)]


def is_single(value: Any) -> bool:
    """Whether `value` is one thing and no sequence: a number, a word, an array without axes."""
    return isinstance(value, str | bytes) or getattr(value, "ndim", None) == 0 or not isinstance(value, Iterable)


def _scalar(value: Any) -> Any:
    """Return a zero-dimensional array or DataArray as its element, a bool as None, and all else as it is."""
    if not isinstance(value, Real) and getattr(value, "ndim", None) == 0 and hasattr(value, "dtype"):
        value = np.asarray(value).item()
    return None if isinstance(value, bool | np.bool_) else value


def boolean(name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"Argument `{name}` must be True or False, but is {show(value)}.")
    return bool(value)


def progress(value: Any) -> bool | None:
    """Return whether to show a bar: True, False, or None for when it takes long."""
    if value is not None and not isinstance(value, bool | np.bool_):
        raise TypeError(f"Argument `progress` must be True, False or None, but is {show(value)}.")
    return None if value is None else bool(value)


def items(name: str, value: Any, kind: type) -> tuple[Any, ...]:
    """Return one object of a kind, or the elements of a sequence, as a tuple; the caller checks them."""
    if isinstance(value, kind):
        return (value,)
    if not isinstance(value, Iterable):
        raise TypeError(f"Argument `{name}` must be a sequence, but is {show(value)}.")
    return tuple(value)


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return `value` if it is one of the names `known`."""
    if not isinstance(value, str) or value not in known:
        listed = ", ".join(f'"{word}"' for word in known)
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise ValueError(f"Argument `{name}` must be one of {listed}, but is {show(value)}{hint or '.'}")
    return value


def array(
    name: str, value: Any, shape: Sequence[int | str | None] | None = None, *, allow_empty: bool = False,
    largest: float = LARGEST,
) -> np.ndarray:  # fmt: skip
    """Return `value` as a C-contiguous float array of the given shape (a copy) with numbers of at most `largest` in size.

    The shape has one entry per axis: a length, or a letter (equal letters are equal lengths) or None for any length.
    """
    try:
        given = np.asarray(value)
        # Fractions and the like arrive as objects; text, dates, complex numbers and None are no real numbers.
        if given.dtype.kind not in "fiu" and not (
            given.dtype.kind == "O" and all(isinstance(v, Real) for v in given.flat)
        ):
            raise TypeError
        result = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"Argument `{name}` must be an array of numbers, but is {show(value)}.") from None
    if shape is not None:
        _check_shape(name, result, shape)
    if result.size == 0 and not allow_empty:
        raise ValueError(f"Argument `{name}` must not be empty, but has shape {result.shape}.")
    fits = np.isfinite(result) if largest == math.inf else np.abs(result) <= largest
    if not fits.all():
        where = np.argwhere(~fits)[0]
        wrong = result[tuple(where)]
        at = f" at index [{', '.join(str(i) for i in where)}]" if result.ndim else ""
        bound, advice = (f"at most {largest:g} in size", ": rescale it.") if np.isfinite(wrong) else ("finite", ".")
        raise ValueError(f"Argument `{name}` must be {bound}, but is {wrong:{'g' if advice else ''}}{at}{advice}")
    return result


def weights(student: Any, teacher: Any, largest: float = LARGEST_WEIGHT) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of student and teacher, shapes (p, d) and (k, d)."""
    W, W_star = array("W", student, ("p", "d"), largest=largest), array("W_star", teacher, ("k", "d"), largest=largest)
    d, other = W.shape[1], W_star.shape[1]
    if d == other:
        return W, W_star
    # Networks with equally many rows, more than columns, are most likely stored with their inputs in rows.
    hint = "; rows are units: transpose both if yours are inputs." if len(W) == len(W_star) > max(d, other) else "."
    raise ValueError(
        f"Arguments `W` and `W_star` must have the same number of columns, the dimension, but have {d} and {other}{hint}"
    )


def starting_weights(value: Any, runs: int, p: int | str, d: int) -> np.ndarray:
    """Return own weights for all runs, shape (p, d), or for each, (runs, p, d); a letter p is any width."""
    result = array("weights", value)
    if (
        result.ndim not in (2, 3)
        or result.shape[-1] != d
        or p not in ("p", result.shape[-2])
        or (result.ndim == 3 and len(result) != runs)
    ):
        raise ValueError(
            f"Argument `weights` must have shape ({p}, {d}) or ({runs}, {p}, {d}), but has shape {result.shape}."
        )
    return result


def _check_shape(name: str, value: np.ndarray, shape: Sequence[int | str | None]) -> None:
    lengths: dict[str, int] = {}
    fits = value.ndim == len(shape)
    for expected, actual in zip(shape, value.shape):
        if isinstance(expected, str):
            expected = lengths.setdefault(expected, actual)
        fits = fits and expected in (None, actual)
    if not fits:
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        wanted += "," if len(shape) == 1 else ""
        raise ValueError(f"Argument `{name}` must have shape ({wanted}), but has shape {value.shape}.")


def times(value: Any, name: str = "times") -> np.ndarray:
    """Return `value` as a strictly increasing, non-negative, non-empty float array; a number is an array of one."""
    result = np.atleast_1d(array(name, value, allow_empty=True, largest=math.inf))
    if result.ndim != 1:
        raise ValueError(f"Argument `{name}` must be one-dimensional, but has shape {result.shape}.")
    if result.size == 0:
        raise ValueError(f"Argument `{name}` must hold at least one time, but is empty.")
    if result[0] < 0:
        raise ValueError(f"Argument `{name}` must not be negative, but starts at {result[0]:g}.")
    steps = np.diff(result)
    if (steps <= 0).any():
        i = int(np.argmax(steps <= 0))
        before, after = show(result[i]), show(result[i + 1])
        fault = f"repeats {after}" if steps[i] == 0 else f"is not sorted: {after} follows {before}"
        raise ValueError(f"Argument `{name}` must increase strictly, but {fault} at index {i + 1}.")
    return result


def tolerances(rtol: Any, atol: Any) -> tuple[float, float]:
    """Return the relative and the absolute tolerance of a solver."""
    checked = number("rtol", rtol, positive=True)
    if not 1e-14 <= checked <= 1e-1:
        raise ValueError(f"Argument `rtol` must lie between 1e-14 and 0.1, but is {checked:g}.")
    return checked, number("atol", atol, nonnegative=True, largest=math.inf)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside this package that led here, however many functions lie between."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "flowlimits":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)


def unknown_arguments(owner: str, given: Iterable[str], known: Sequence[str], absent: dict[str, str]) -> None:
    """Refuse keywords that `owner` does not take; `absent` explains features that are not here.

    Called from a constructor's ``**other`` so that `covariance=` and the like get a sentence of their own.
    """
    for key in given:
        if key in absent:
            raise TypeError(f"{owner} has no argument `{key}`: {absent[key]}")
        raise TypeError(f"{owner} has no argument `{key}`{did_you_mean(key, known) or '.'}")


def named_arguments(**absent: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Let a verb answer arguments that it does not take, or that are missing, with a sentence.

    Those of `absent` are explained there; the others are answered with the nearest name.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        parameters = inspect.signature(function).parameters
        known = [name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD]
        needed = [
            (place, name) for place, name in enumerate(known) if parameters[name].default is inspect.Parameter.empty
        ]
        closed = len(known) == len(parameters)
        known = [name for name in known if name not in ("self", "cls")]
        said = (SEED if "rng" in known else {}) | absent

        @functools.wraps(function)
        def checked(*values: Arguments.args, **given: Arguments.kwargs) -> Result:
            unknown = [name for name in given if name not in parameters and (closed or name in said)]
            if unknown:
                unknown_arguments(function.__qualname__, unknown, known, said)
            for place, name in needed:
                if place >= len(values) and name not in given:
                    raise TypeError(f"Argument `{name}` is missing: {function.__qualname__} needs it.")
            return function(*values, **given)

        return checked

    return decorate


def steps_at(times: np.ndarray, step: float) -> np.ndarray:
    """Return the whole numbers of steps nearest to `times`."""
    with np.errstate(over="ignore"):
        return counts(times / step, f"Argument `times` asks, at steps of {step:.3g},")


def check_elements(name: str, value: int, elements: float) -> None:
    """Refuse an argument that makes an array of more elements than a machine holds."""
    if elements > MOST_ELEMENTS:
        raise ValueError(
            f"Argument `{name}` must leave arrays below {MOST_ELEMENTS:.2g} numbers, but at {value:.6g} one has {elements:.2g}."
        )


def check_classes(X: np.ndarray, y: np.ndarray, suffix: str = "") -> None:
    """Refuse labels other than 1 and -1, and inputs that are zero."""
    wrong = np.abs(y) != 1
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"Argument `y{suffix}` must hold the labels 1 and -1, but holds {y[i]:g} at index {i}.")
    zero = ~X.any(axis=1)
    if zero.any():
        raise ValueError(
            f"Argument `X{suffix}` must not hold zero vectors: no homogeneous model classifies row {int(np.argmax(zero))}."
        )
    check_scale(f"X{suffix}", X)


def check_scale(name: str, values: np.ndarray) -> None:
    """Refuse data with rows so short that products of them leave the range of floats."""
    rows = np.abs(values).max(axis=tuple(range(1, values.ndim)), initial=0.0)
    wrong = (rows > 0) & (rows < 1 / LARGEST)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"Argument `{name}` must be zero or at least {1 / LARGEST:g} in size, but reaches {rows[i]:g} in row {i}: rescale it."
        )
