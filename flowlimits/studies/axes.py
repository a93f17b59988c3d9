"""Checks of the axes of a grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.checks import show


def check_axes(axes: Any) -> dict[str, list[Any]]:
    """Return the axes as lists of plain Python values.

    Raises
    ------
    TypeError, ValueError
        If an axis is no sequence of numbers, words or truth values, is empty, repeats a value, or is not sorted.
    """
    if not isinstance(axes, Mapping):
        raise TypeError(f"Argument `axes` must map names to values, but is {show(axes)}.")
    if not axes:
        raise ValueError("Argument `axes` must have at least one axis, but is empty.")
    return {_axis_name(name): _axis(name, values) for name, values in axes.items()}


def _axis_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"Argument `axes` must have the names of arguments as keys, but has {show(name)}.")
    return name


def _axis(name: str, values: Any) -> list[Any]:
    items = values if isinstance(values, str) or hasattr(values, "__array__") else _items(name, values)
    array = np.asarray(items)
    if array.ndim != 1:
        raise ValueError(
            f"Axis `{name}` must be one-dimensional, but is {show(values)}; what is equal at all points goes into `parameters`."
        )
    if array.size == 0:
        raise ValueError(f"Axis `{name}` must hold at least one value, but is empty.")
    if array.dtype.kind not in "biufU":
        raise TypeError(f"Axis `{name}` must hold numbers, words or truth values, but holds {show(array[0])}.")
    if array.dtype.kind == "U" and not all(isinstance(value, str) for value in list(items)):
        raise TypeError(f"Axis `{name}` must hold numbers or words, but mixes them.")
    plain: list[Any] = array.tolist()
    if array.dtype.kind == "f" and not all(map(math.isfinite, plain)):
        raise ValueError(f"Axis `{name}` must be finite, but holds {next(v for v in plain if not math.isfinite(v))}.")
    for i, (before, after) in enumerate(itertools.pairwise(plain)):
        if array.dtype.kind in "iuf" and after < before:
            raise ValueError(
                f"Axis `{name}` must increase strictly, but is not sorted: {after:g} follows {before:g} at index {i + 1}."
            )
    seen: set[Any] = set()
    for i, value in enumerate(plain):
        if value in seen:
            raise ValueError(f"Axis `{name}` must not repeat a value, but repeats {value!r} at index {i}.")
        seen.add(value)
    return plain


def _items(name: str, values: Any) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise TypeError(
            f"Axis `{name}` must be a sequence, but is {show(values)}; what is equal at all points goes into `parameters`."
        ) from None
