"""Results without time are judged too: on the coordinate that they have in its place, or number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..core import results
from ..core.problem import Problem
from ..core.storage import ARRAY_PREFIX

#: Coordinates that may stand in the place of the time.
AXES = ("sample_ratio", "weight_decay")
_AXIS = "_axis"


def axis_of(dataset: xr.Dataset) -> str:
    """Return what the coordinate `time` of a Dataset stands for: "time", another coordinate, or nothing."""
    return str(dataset.attrs.get(_AXIS, "time"))


def clock_of(dataset: xr.Dataset) -> str:
    """Return the symbol of the clock in plain text, such as tau in "tau = t/d", or what stands in its place."""
    if axis_of(dataset) != "time":
        return axis_of(dataset)
    return results.clock_symbol(str(dataset.attrs.get("clock", ""))).lstrip("\\") or "time"


def on_a_grid(dataset: Any) -> Any:
    """Return a result without time with a coordinate `time` that stands for the one it has, or for none; others as they are."""
    if not isinstance(dataset, xr.Dataset) or "time" in dataset.coords or not dataset.attrs.get("kind"):
        return dataset
    if dataset.attrs.get("clock"):
        return dataset
    axes = [name for name in AXES if name in dataset.dims]
    if len(axes) > 1:
        raise ValueError(
            f"A result over {' and '.join(f'`{name}`' for name in axes)} is judged along one of them: choose a value of the other."
        )
    if axes:
        return dataset.rename({axes[0]: "time"}).assign_attrs({_AXIS: axes[0]})
    placed = {
        name: values.expand_dims(time=[0.0], axis=values.ndim)
        for name, values in dataset.data_vars.items()
        if not str(name).startswith(ARRAY_PREFIX) and set(values.dims) <= {"run"} and values.dtype.kind == "f"
    }
    return dataset.assign(placed).assign_attrs({_AXIS: ""}) if placed else dataset


def solve_without_time(problem: Problem, values: np.ndarray, axis: str) -> xr.Dataset:
    """Return the end of training of a problem on the grid of another result."""
    if axis:
        return on_a_grid(problem.solve(**{f"{axis}s": values}))
    return on_a_grid(problem.solve())


def check_axes(theory: xr.Dataset, others: tuple[xr.Dataset, ...]) -> None:
    """Refuse results on different coordinates.

    Raises
    ------
    ValueError
        If one has a time and another one has not, or they run over different coordinates.
    """
    ours = axis_of(theory)
    for other in others:
        theirs = axis_of(other)
        if theirs != ours:
            named = [f"runs over `{axis}`" if axis else "has no coordinate" for axis in (ours, theirs)]
            raise ValueError(
                f"The theory {named[0]}, but what it is compared with {named[1]}: bring both on the same one."
            )
