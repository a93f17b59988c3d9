"""What users do daily: wrap their own numbers, read off a crossing, carry a result on, write a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results
from ..core.problem import Problem
from .export import to_table

__all__ = ["crossing", "extend", "to_table", "wrap"]

KINDS = ("measurement", "simulation", "limit", "exact")
SCALES = ("auto", "linear", "log")


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
    table = getattr(like, "variables", {}) if isinstance(like, Problem) else {}
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
        error = checks.array(f"errors[{name}]", values, data[name][1].shape)
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
    array = checks.array(name, values)
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


def crossing(dataset: xr.Dataset, variable: str, value: float, *, scale: str = "auto") -> xr.DataArray:
    """Return the first time at which a curve crosses a value, from either side.

    Parameters
    ----------
    dataset : xarray.Dataset
        A result in time.
    variable : str
        A variable with the axes `time`, and `run` if there are runs, and possibly more.
    value : float
        The value to cross; a curve that starts on it crosses it at its first time.
    scale : {"auto", "linear", "log"}, optional
        The scale of the times in which the curve is interpolated; "auto" takes the logarithm where the grid is
        closer to a geometric one.

    Returns
    -------
    xarray.DataArray
        The time, per run and entry; nan where the curve never crosses.  Its coordinate `error` estimates the error
        of the interpolation, as the difference between a monotone cubic and the straight line; it shrinks with the
        spacing of the times.

    Raises
    ------
    ValueError
        If the variable is missing, has no time or is not finite, or there are fewer than two times.

    Notes
    -----
    Between the two times around the crossing, the curve is the monotone piecewise cubic of Fritsch and Carlson
    (SIAM J. Numer. Anal. 17, 238, 1980), which crosses once.  For an exact time solve with ``fl.Event``.
    """
    if not isinstance(dataset, xr.Dataset) or "time" not in dataset.coords:
        raise TypeError("Argument `dataset` must be a result in time (an xarray.Dataset with the coordinate `time`).")
    timed = [str(name) for name, array in dataset.data_vars.items() if "time" in array.dims]
    checks.choice("variable", variable, timed)
    target = checks.number("value", value)
    checks.choice("scale", scale, SCALES)
    array = dataset[variable].transpose(..., "time")
    times = checks.times(dataset["time"].values, "time")
    if times.size < 2:
        raise ValueError("A crossing needs at least two times, but the result has one.")
    values = checks.array(variable, array.values)
    axis = _axis(times, scale)
    flat = values.reshape(-1, times.size)
    found = np.array([_cross(axis, times, curve - target) for curve in flat])
    shape = values.shape[:-1]
    dims = [dim for dim in array.dims if dim != "time"]
    coords = {dim: array.coords[dim] for dim in dims if dim in array.coords}
    coords["error"] = (dims, found[:, 1].reshape(shape))
    attrs = {"long_name": f"time at which {variable} crosses {target:g}", "clock": dataset.attrs.get("clock", "")}
    return xr.DataArray(found[:, 0].reshape(shape), dims=dims, coords=coords, name="crossing", attrs=attrs)


def _axis(times: np.ndarray, scale: str) -> np.ndarray:
    """Return the times in the scale in which they are spaced more evenly."""
    if scale == "log" and times[0] <= 0:
        raise ValueError('Argument `scale` cannot be "log" for times that start at 0.')
    if scale == "linear" or times[0] <= 0 or (scale == "auto" and times.size < 3):
        return times
    if scale == "log":
        return np.log(times)
    even, geometric = (np.ptp(steps) / steps.mean() for steps in (np.diff(times), np.diff(np.log(times))))
    return np.log(times) if geometric < even else times


def _cross(axis: np.ndarray, times: np.ndarray, excess: np.ndarray) -> tuple[float, float]:
    """Return the time of the first zero of `excess` and the error of interpolation."""
    if excess[0] == 0:
        return float(times[0]), 0.0
    changes = np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[0]))
    if not changes.size:
        return float("nan"), float("nan")
    i = int(changes[0])
    if excess[i + 1] == 0:
        return float(times[i + 1]), 0.0
    step = axis[i + 1] - axis[i]
    left, right = _monotone_slopes(axis, excess, i)
    straight = excess[i] / (excess[i] - excess[i + 1])

    def cubic(s: float) -> float:
        return float(
            (1 + 2 * s) * (1 - s) ** 2 * excess[i]
            + s * (1 - s) ** 2 * step * left
            + s**2 * (3 - 2 * s) * excess[i + 1]
            + s**2 * (s - 1) * step * right
        )

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (cubic(middle) > 0) == (excess[i] > 0) else (low, middle)
    logarithmic = axis is not times
    bent, line = (axis[i] + s * step for s in ((low + high) / 2, straight))
    if logarithmic:
        bent, line = np.exp(bent), np.exp(line)
    return float(bent), float(abs(bent - line))


def _monotone_slopes(axis: np.ndarray, values: np.ndarray, i: int) -> tuple[float, float]:
    """Return the slopes at both ends of interval i: harmonic means of the neighbours, 0 where they change sign."""
    secants = np.diff(values) / np.diff(axis)
    widths = np.diff(axis)

    def slope(k: int) -> float:
        if k == 0 or k == secants.size:
            return float(secants[min(k, secants.size - 1)])
        before, after = secants[k - 1], secants[k]
        if before * after <= 0:
            return 0.0
        first, second = 2 * widths[k] + widths[k - 1], widths[k] + 2 * widths[k - 1]
        return float((first + second) / (first / before + second / after))

    return slope(i), slope(i + 1)


def extend(result: xr.Dataset, times: Any) -> xr.Dataset:
    """Carry a result on to further times.

    Parameters
    ----------
    result : xarray.Dataset
        A result of ``solve`` or ``simulate``.
    times : array_like, shape (n,)
        Further times, on the same clock; those that the result has already are kept once.

    Returns
    -------
    xarray.Dataset
        The result at all times, old and new.

    Raises
    ------
    ValueError
        If the result does not state the call that made it.

    Notes
    -----
    A problem that can continue from a kept state does so.  Otherwise the call that the result states is repeated
    at all times together: exact within tolerances for solutions, and for simulations the same runs, since the root
    of their random streams is stored.
    """
    from ..core.rebuild import load_problem
    from .rerun import repeat

    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `result` must be a result (an xarray.Dataset), but is {checks.show(result)}.")
    new = checks.times(times)
    if "time" not in result.coords:
        raise ValueError("Argument `result` must be a result in time: it has no coordinate `time`.")
    old = np.asarray(result["time"].values, dtype=float)
    known = np.isclose(new[:, None], old[None, :], rtol=1e-12, atol=0).any(axis=1)
    union = np.union1d(old, new[~known])
    continued = getattr(load_problem(result), "_extend", None)
    if continued is not None:
        return continued(result, union)
    details = results.provenance(result)
    details["call"] = dict(details.get("call") or {}) | {"times": union.tolist()}
    return repeat(result.assign_attrs(provenance=json.dumps(details)))
