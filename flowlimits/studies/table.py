"""A table holds finished points in arrays, one row per point, and becomes a Dataset with the axes of the grid."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.checks import show
from .blocks import Block, Failure, Structure


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


def point_text(point: Mapping[str, Any]) -> str:
    """Return ``a=0.5, b=2`` for a point."""
    return ", ".join(
        f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in point.items()
    )


def difference(expected: Structure, found: Structure) -> str | None:
    """Return in what two structures differ beyond number types and attributes, in words; None if in nothing."""
    names, others = [v.name for v in expected.variables], [v.name for v in found.variables]
    if sorted(names) != sorted(others):
        return f"the variables {', '.join(others)} ({{here}}), but {', '.join(names)} ({{there}})"
    by_name = {v.name: v for v in found.variables}
    for variable in expected.variables:
        other = by_name[variable.name]
        if variable.shape != other.shape:
            return f"shape {other.shape} for `{variable.name}` ({{here}}), but shape {variable.shape} ({{there}})"
        if variable.dims != other.dims:
            return f"dimensions {other.dims} for `{variable.name}` ({{here}}), but {variable.dims} ({{there}})"
        if ("U" in variable.dtype) != ("U" in other.dtype):
            return f"words for `{variable.name}` at one point and numbers at another ({{here}}, {{there}})"
    before = {c.name: c for c in expected.coordinates}
    after = {c.name: c for c in found.coordinates}
    for name in sorted({*before, *after}):
        if name not in before or name not in after or before[name].content != after[name].content:
            return (
                f"another coordinate `{name}` ({{here}}) than elsewhere ({{there}}); return what varies as a variable"
            )
    return None


MISSING, FINISHED, FAILED = 0, 1, 2
STATUS = {
    "long_name": "state of the point",
    "flag_values": np.array([MISSING, FINISHED, FAILED], dtype=np.int8),
    "flag_meanings": "missing finished failed",
}


class Table:
    """The state of every point of a study.

    Parameters
    ----------
    count : int
        Number of points.
    describe : callable
        Returns the values of the point of an index as text.
    function : str
        Name of the function, for messages.
    """

    def __init__(self, count: int, describe: Callable[[int], str], function: str):
        self.status = np.full(count, MISSING, dtype=np.int8)
        self.describe, self.function = describe, function
        self.failures: dict[int, str] = {}
        self.structure: Structure | None = None
        self.columns: list[np.ndarray] = []
        self.seconds = 0.0
        self._first = count

    def add(self, block: Block) -> None:
        """Enter finished points.

        Raises
        ------
        ValueError
            If the block's structure differs from that of the points before.
        """
        if self.structure is None:
            self.structure = block.structure
            # What is missing is nan where it can be, and 0 or empty elsewhere.
            self.columns = [
                np.full(
                    (self.status.size, *v.shape),
                    np.nan if np.dtype(v.dtype).kind == "f" else np.zeros((), v.dtype),
                    v.dtype,
                )
                for v in block.structure.variables
            ]
        elif self.structure != block.structure:
            self._check(block)
        position = {variable.name: c for c, variable in enumerate(block.structure.variables)}
        for c, variable in enumerate(self.structure.variables):
            column = block.columns[position[variable.name]]
            if column.dtype != self.columns[c].dtype:
                common = np.result_type(self.columns[c].dtype, column.dtype)
                self.columns[c] = self.columns[c].astype(common, copy=False)
            self.columns[c][block.indices] = column
        first = int(block.indices.min())
        if first < self._first:
            # Attributes come from the first point of the grid, whatever the order of arrival.
            self._first = first
            by_name = {variable.name: variable for variable in block.structure.variables}
            order = self.structure.variables
            self.structure = Structure(tuple(by_name[v.name] for v in order), block.structure.coordinates)
        self.status[block.indices] = FINISHED
        self.seconds += float(block.seconds.sum())
        for index in block.indices.tolist() if self.failures else ():
            self.failures.pop(index, None)

    def fail(self, failure: Failure) -> None:
        """Enter a failed point, unless it has a result."""
        if self.status[failure.row] != FINISHED:
            self.status[failure.row] = FAILED
            self.failures[failure.row] = failure.message

    def _check(self, block: Block) -> None:
        assert self.structure is not None
        found = difference(self.structure, block.structure)
        if found is not None:
            here, there = f"at {self.describe(int(block.indices[0]))}", f"at {self.describe(self._first)}"
            raise ValueError(f"Function `{self.function}` returned {found.format(here=here, there=there)}.")

    def first(self, count: int) -> Table:
        """Return the table of the first points."""
        part = Table(count, self.describe, self.function)
        part.status, part.structure = self.status[:count], self.structure
        part.columns = [column[:count] for column in self.columns]
        part.failures = {index: message for index, message in self.failures.items() if index < count}
        return part

    def variables(self) -> list[tuple[Any, np.ndarray]]:
        """Return (variable, column) pairs; whole numbers and truth values become floats where points are missing."""
        complete = bool((self.status == FINISHED).all())
        pairs = []
        for variable, column in zip(self.structure.variables if self.structure else (), self.columns):
            if not complete and column.dtype.kind in "biu":
                column = column.astype(np.float64)
                column[self.status != FINISHED] = np.nan
            pairs.append((variable, column))
        return pairs


def to_dataset(
    table: Table,
    axes: Mapping[str, Sequence[Any]],
    repeats: int,
    *,
    points: str | None = None,
    provenance: Mapping[str, Any],
) -> Any:
    """Return the Dataset of a study.

    Parameters
    ----------
    table : Table
        Its rows are the points of the grid of `axes`, repeats innermost; with `points`, the points of a list.
    axes : mapping
        The values of each axis; with `points`, the values at each point.
    points : str, optional
        The name of the dimension of a list of points.
    """
    import xarray as xr

    dims = (points,) if points else tuple(axes)
    shape = (len(next(iter(axes.values()))),) if points else tuple(len(values) for values in axes.values())
    if repeats > 1:
        dims, shape = (*dims, "repeat"), (*shape, repeats)
    coords: dict[str, Any] = {
        name: ((points,) if points else (name,), np.asarray(values)) for name, values in axes.items()
    }
    if repeats > 1:
        coords["repeat"] = ("repeat", np.arange(repeats))
    data = {}
    for variable, column in table.variables():
        check_names(variable.name, variable.dims, dims)
        data[variable.name] = ((*dims, *variable.dims), column.reshape(*shape, *variable.shape), dict(variable.attrs))
    for coordinate in table.structure.coordinates if table.structure else ():
        coords[coordinate.name] = (coordinate.dims, coordinate.values().copy(), dict(coordinate.attrs))
    coords["status"] = (dims, table.status.reshape(shape).copy(), STATUS)
    if table.failures:
        failed = sorted(table.failures)
        described = {"long_name": "index of the failed point in the flattened grid"}
        coords["failure_point"] = ("failure", np.array(failed), described)
        coords["failure_message"] = ("failure", np.array([table.failures[i] for i in failed]))
    attrs = {"kind": "study", "provenance": json.dumps(provenance), "schema": 1}
    return xr.Dataset(data, coords=coords, attrs=attrs)


RESERVED = ("repeat", "status", "failure", "failure_point", "failure_message")


def check_names(name: str, dims: Sequence[str], taken: Sequence[str]) -> None:
    """Refuse a variable whose name or dimension is that of an axis."""
    for word, what in ((name, "a variable"), *((dim, "a dimension") for dim in dims)):
        if word in taken or word in RESERVED:
            kind = "an axis of the study" if word in taken else "a name that studies use themselves"
            raise ValueError(f"The function returned {what} `{word}`, which is {kind}: rename one of them.")
