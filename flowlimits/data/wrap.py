"""`wrap` puts a user's own numbers into the form of a result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results
from ..core.problem import Problem

KINDS = ("measurement", "simulation", "limit", "exact")


def wrap(
    times: Any,
    *,
    dimension: int | None = None,
    student_width: int | None = None,
    errors: Mapping[str, Any] | None = None,
    kind: str = "measurement",
    clock: str | None = None,
    like: Problem | xr.Dataset | None = None,
    **variables: Any,
) -> xr.Dataset:
    """Put one's own numbers into the form of a result, so that `compare` and the plots take them.

    Parameters
    ----------
    times : array_like, shape (n,)
        Times, increasing.
    dimension, student_width : int, optional
        The size that the numbers were measured at; `compare` needs one of them.
    errors : mapping, optional
        Standard errors by variable, shape (n,), for variables given as means.
    kind : {"measurement", "simulation", "limit", "exact"}, optional
        What the numbers are; the last two make a theory of them.
    clock : str, optional
        The clock of `times`; by default that of `like`, and if there is none, whatever they are compared with.
    like : Problem or xarray.Dataset, optional
        Problem or result that describes the variables: clock, names, symbols, and which variables are matrices.
    **variables
        Arrays by name, shape (n,) for one curve or (runs, n) for several runs; a variable that `like` describes as
        a matrix has its further axes after the times.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ValueError
        If a shape does not fit the times, numbers of runs differ, a value is not finite, or an error is negative.

    Examples
    --------
    >>> import flowlimits as fl
    >>> fl.wrap([0.1, 0.2], overlap=[[0.5, 0.6], [0.52, 0.61]], dimension=100)["overlap"].dims
    ('run', 'time')
    """
    grid = checks.times(times)
    checks.choice("kind", kind, KINDS)
    if not variables:
        raise ValueError("There is nothing to wrap: give at least one variable, such as overlap=array.")
    table = like.variables if isinstance(like, Problem) else {}
    data: dict[str, Any] = {}
    for name, values in variables.items():
        data[name] = _wrapped(name, values, grid, like, table)
    runs = {name: len(values[1]) for name, values in data.items() if values[0][0] == "run"}
    if len(set(runs.values())) > 1:
        listed = ", ".join(f"`{name}` has {count}" for name, count in runs.items())
        raise ValueError(f"All variables must have the same number of runs, but {listed}.")
    if errors is not None and not isinstance(errors, Mapping):
        raise TypeError(f"Argument `errors` must be a mapping from variables to arrays, but is {checks.show(errors)}.")
    for name, values in (errors or {}).items():
        checks.choice("errors", name, list(variables))
        if data[name][0][0] == "run":
            raise ValueError(f"Variable `{name}` is given run by run: its errors follow from the runs.")
        error = checks.array(f"errors[{name}]", values, data[name][1].shape, largest=math.inf)
        if (error < 0).any():
            raise ValueError(f"Argument `errors[{name}]` must not be negative, but is {error.min():g} somewhere.")
        data[f"{name}_error"] = (data[name][0], error, {"long_name": f"standard error of {name}"})
    attrs: dict[str, Any] = {"kind": kind, "clock": _clock(clock, like), "schema": results.SCHEMA}
    for key, size in (("dimension", dimension), ("student_width", student_width)):
        if size is not None:
            attrs[key] = checks.integer(key, size, minimum=1)
    return xr.Dataset(data, coords={"time": ("time", grid, {"long_name": attrs["clock"] or "time"})}, attrs=attrs)


def _wrapped(
    name: str, values: Any, grid: np.ndarray, like: Any, table: Mapping[str, Any]
) -> tuple[tuple[str, ...], np.ndarray, dict[str, Any]]:
    array = checks.array(name, values, largest=math.inf)
    rest: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    if name in table:
        rest, attributes = table[name].dims, table[name].attributes()
    elif isinstance(like, xr.Dataset) and name in like.data_vars:
        rest = tuple(str(dim) for dim in like[name].dims if dim not in ("run", "time"))
        attributes = dict(like[name].attrs)
    lead = ("run", "time") if array.ndim == 2 + len(rest) else ("time",)
    if array.ndim != len(lead) + len(rest) or array.shape[len(lead) - 1] != grid.size:
        further = "".join(f", {dim}" for dim in rest)
        raise ValueError(
            f"Argument `{name}` must have shape ({grid.size}{further or ','}) or (runs, {grid.size}{further}) for "
            f"{grid.size} times, but has shape {array.shape}."
        )
    return (*lead, *rest), array, attributes


def _clock(clock: str | None, like: Problem | xr.Dataset | None) -> str:
    if clock is not None:
        if not isinstance(clock, str):
            raise TypeError(f"Argument `clock` must be the name of a clock, but is {checks.show(clock)}.")
        return clock
    if like is None:
        return ""
    if isinstance(like, Problem):
        return like.clock
    if isinstance(like, xr.Dataset):
        return str(like.attrs.get("clock", ""))
    raise TypeError(f"Argument `like` must be a problem or a result, but is {checks.show(like)}.")
