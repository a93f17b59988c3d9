"""Runs of several sizes extrapolated to infinite size by themselves: the limit where no theory of it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks
from . import effects, judge, points
from .extrapolation import extrapolate
from .grids import axis_of


def order_of(runs: Sequence[xr.Dataset]) -> int:
    """Return the power of the inverse size by which runs deviate from their limit: 1, or what all of them state.

    Raises
    ------
    ValueError
        If they state different ones.
    """
    orders = {int(run.attrs.get("order", 1)) for run in runs}
    if len(orders) > 1:
        raise ValueError("Some runs deviate as 1/d and others as 1/d^2: compare one kind of `data` at a time.")
    return orders.pop()


def extrapolate_runs(runs: Sequence[xr.Dataset], variables: Sequence[str] | str | None = None) -> xr.Dataset:
    """Return the variables of the runs at infinite size.

    Parameters
    ----------
    runs : sequence of xarray.Dataset
        Simulations of at least two sizes, of at least two runs each, on one time grid.
    variables : str or sequence of str, optional
        By default all but ordered eigenvalues.

    Returns
    -------
    xarray.Dataset
        Of kind "extrapolated": every variable with its standard error as ``name_error``, neglected orders included.
    """
    first, name, order = runs[0], points.size_name(runs), order_of(runs)
    times = points.check_times(runs)
    chosen = points.choose(first, runs, variables, times)
    samples = points.samples(runs, chosen, name)
    if len(samples) < 2:
        raise ValueError("Runs of one size cannot be extrapolated: bring two sizes or more.")
    _check_ratios(runs)
    means, variances = np.array([one.mean for one in samples]), np.array([one.error**2 for one in samples])
    scale = effects.scales(chosen, *means)
    widths = [
        points.smallest_width(next(run for run in runs if int(run.attrs[name]) == one.size), one.size)
        for one in samples
    ]
    plausible = [effects.plausible_effect(chosen, scale, one, w) * one.size**order for one, w in zip(samples, widths)]
    inverse = np.array([float(one.size) ** -order for one in samples])
    # Some variables do not scatter: round-off is their error.
    variances = variances + (judge.UNRESOLVED * scale) ** 2
    base = means[-1]
    found = extrapolate(
        inverse, means - base, variances, chosen.labels, chosen.point_times, None, np.max(plausible, axis=0)
    )
    attrs = {key: first.attrs[key] for key in ("clock", "problem", "schema") if key in first.attrs}
    attrs |= {"kind": "extrapolated", "sizes": [one.size for one in samples], "order": order}
    attrs["runs"] = [one.runs for one in samples]
    data = {str(key): first[key] for key in first.data_vars if str(key).startswith("problem_")}
    data |= _variables(first, chosen, base + found.deviation, found.error)
    made = xr.Dataset(data, coords={"time": first["time"]}, attrs=attrs)
    return made if axis_of(first) == "time" else made.isel(time=0, drop=True)


def _variables(like: xr.Dataset, chosen: points.Points, values: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for number, variable in enumerate(chosen.variables):
        here = chosen.owner == number
        dims = [str(dim) for dim in like[variable].dims if dim not in ("run", "time")]
        shape = tuple(like[variable].sizes[dim] for dim in dims)
        for suffix, array in (("", values), ("_error", errors)):
            table = np.moveaxis(chosen.table(array)[here].reshape(*shape, chosen.times.size), -1, 0)
            data[variable + suffix] = (("time", *dims), table, {} if suffix else dict(like[variable].attrs))
    return data


def _check_ratios(runs: Sequence[xr.Dataset]) -> None:
    """Warn where sizes round the ratios: without a theory nothing corrects for it."""
    for ratio in points.RATIOS:
        values = {round(float(run.attrs[ratio]), 9) for run in runs if ratio in run.attrs}
        if len(values) > 1:
            shown = ", ".join(f"{value:.4g}" for value in sorted(values))
            checks.warn(
                f"Widths are rounded differently at these sizes ({ratio.removeprefix('realised_')} {shown}), which no theory corrects: "
                "choose sizes at which they are whole numbers."
            )
