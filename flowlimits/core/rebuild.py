"""`rebuild` makes problems and other descriptions from their plain form."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .checks import show
from .problem import ARRAY_PREFIX, Description, Problem
from .registry import DESCRIPTIONS
from .words import did_you_mean

if TYPE_CHECKING:
    import xarray as xr


def description_class(name: str) -> type[Description]:
    """Return the class of that name."""
    if name not in DESCRIPTIONS:
        raise ValueError(f"There is no problem class `{name}`{did_you_mean(name, DESCRIPTIONS) or '.'}")
    return cast(type[Description], getattr(importlib.import_module(DESCRIPTIONS[name]), name))


def rebuild(plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Description:
    """Return the object that `Description.to_plain` described.

    Raises
    ------
    ValueError
        If the class or one of its fields is unknown, or an array is missing.
    """
    kind = description_class(str(plain.get("class")))
    fields = {key: _rebuild(value, arrays) for key, value in plain.items() if key != "class"}
    try:
        return kind.from_plain(fields)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # what stands in a file can be wrong in any way
        reason = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"This version of flowlimits cannot rebuild {kind.__name__}: {reason}") from error


def _rebuild(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, Mapping):
        if "class" in value:
            return rebuild(value, arrays)
        if set(value) == {"array"}:
            if not isinstance(value["array"], str) or value["array"] not in arrays:
                raise ValueError(f"The result holds no array `{value['array']}`, to which its problem refers.")
            return np.asarray(arrays[value["array"]])
    if isinstance(value, list):
        return tuple(_rebuild(item, arrays) for item in value)
    return value


def load_problem(source: xr.Dataset | str | os.PathLike[str]) -> Problem:
    """Return the problem of a result.

    Parameters
    ----------
    source : xarray.Dataset or path
        A result, or the file of one.

    Raises
    ------
    ValueError
        If the source holds no problem, or one that this version does not know.
    """
    if isinstance(source, str | os.PathLike):
        from .storage import load

        source = load(source)
    if not hasattr(source, "attrs") or not hasattr(source, "dims"):
        raise TypeError(f"Argument `source` must be a result or the path of one, but is {show(source)}.")
    dataset = cast("xr.Dataset", source)
    text = dataset.attrs.get("problem")
    if not text and "problem" in dataset.dims:
        raise ValueError(
            "This Dataset holds the numbers of many problems, and not the problems: keep the list or the arrays given to fl.solve_many."
        )
    if not text:
        raise ValueError("This Dataset holds no problem: its attribute `problem` is missing.")
    from .attributes import problem_of

    arrays = {
        str(name): values.values for name, values in dataset.variables.items() if str(name).startswith(ARRAY_PREFIX)
    }
    try:
        problem = rebuild(problem_of(dataset), arrays)
    except RecursionError:
        raise ValueError("The problem of this Dataset is nested too deeply to be one.") from None
    if not isinstance(problem, Problem):
        raise ValueError(f"This Dataset holds no problem, but a {type(problem).__name__}.")
    return problem
