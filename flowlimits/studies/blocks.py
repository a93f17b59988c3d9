"""A block holds the results of several points in the one form in which they travel, are stored and become a table.

A result is split into its structure (names, dimensions, shapes, coordinates: equal at all points) and its
arrays.  Points of equal structure travel together as a `Block`, one array per variable, so that the cost per
point is that of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import show

Attributes = tuple[tuple[str, Any], ...]


class Variable(NamedTuple):
    """One variable of a result; `dtype` is NumPy's text form."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attrs: Attributes = ()


class Coordinate(NamedTuple):
    """One coordinate of a result, with its values as bytes."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attrs: Attributes
    content: bytes

    def values(self) -> np.ndarray:
        return np.frombuffer(self.content, dtype=self.dtype).reshape(self.shape)


class Structure(NamedTuple):
    """Everything about a result but its numbers."""

    variables: tuple[Variable, ...]
    coordinates: tuple[Coordinate, ...] = ()


class Block(NamedTuple):
    """The results of several points of one structure: `columns[v]` has shape (points, \\*shape of variable v)."""

    structure: Structure
    indices: np.ndarray
    columns: tuple[np.ndarray, ...]
    seconds: np.ndarray


class Failure(NamedTuple):
    """A point without a result; `row` is its index in the table."""

    row: int
    message: str


def normalise(result: Any, name: str) -> tuple[Structure, list[Any]]:
    """Return the structure of a result and its arrays, in the order of the structure's variables.

    Parameters
    ----------
    result : number, array, DataArray, mapping of numbers and arrays, or Dataset
        What the function returned.
    name : str
        The name of the variable if the result is a single number or array.

    Raises
    ------
    TypeError
        If the result is something else.
    """
    kind = type(result)
    if kind is float or kind is np.float64:
        return _plain_float(name), [result]
    module = kind.__module__
    if module.startswith("xarray"):
        if hasattr(result, "data_vars"):
            return _from_dataset(result)
        if result.ndim == 0:
            return _from_arrays({name: result.values}, {name: _attributes(result.attrs)})
        return _from_dataset(result.to_dataset(name=name))
    if isinstance(result, Mapping):
        if not result:
            raise TypeError("The function returned an empty mapping; it must return at least one number or array.")
        return _from_mapping(result)
    return _from_arrays({name: result}, {})


def _plain_float(name: str) -> Structure:
    return Structure((Variable(name, (), (), "<f8"),))


def _from_arrays(values: Mapping[str, Any], attrs: Mapping[str, Attributes]) -> tuple[Structure, list[Any]]:
    variables, arrays = [], []
    for name, value in values.items():
        array = _checked(name, value)
        dims = tuple(f"{name}_{axis}" for axis in range(array.ndim))
        variables.append(Variable(name, dims, array.shape, array.dtype.str, attrs.get(name, ())))
        arrays.append(array)
    return Structure(tuple(variables)), arrays


def _from_mapping(result: Mapping[Any, Any]) -> tuple[Structure, list[Any]]:
    variables: list[Variable] = []
    arrays: list[Any] = []
    coordinates: dict[str, Coordinate] = {}
    for name, value in result.items():
        if not isinstance(name, str):
            raise TypeError(f"The function returned a mapping with the key {show(name)}; its keys must be names.")
        if isinstance(value, Mapping) or hasattr(value, "data_vars"):
            raise TypeError(f"The function returned a mapping inside a mapping, under `{name}`.")
        structure, parts = normalise(value, name)
        variables += structure.variables
        arrays += parts
        for coordinate in structure.coordinates:
            if (
                coordinates.setdefault(coordinate.name, coordinate)[:4] != coordinate[:4]
                or coordinates[coordinate.name].content != coordinate.content
            ):
                raise TypeError(f"The function returned two different coordinates `{coordinate.name}`.")
    return Structure(tuple(variables), tuple(coordinates.values())), arrays


def _from_dataset(dataset: Any) -> tuple[Structure, list[Any]]:
    # The arrays of the problem may have another shape at every point, and the axes say what they are made from.
    hidden = "problem_" if "problem" in dataset.attrs else "\0"
    variables, arrays = [], []
    for name, value in dataset.data_vars.items():
        if str(name).startswith(hidden):
            continue
        array = _checked(str(name), value.values)
        variables.append(
            Variable(str(name), tuple(map(str, value.dims)), array.shape, array.dtype.str, _attributes(value.attrs))
        )
        arrays.append(array)
    if not variables:
        raise TypeError("The function returned a Dataset without variables.")
    used = {dim for variable in variables for dim in variable.dims}
    coordinates = []
    for name, value in dataset.coords.items():
        dims = tuple(map(str, value.dims))
        if dims and set(dims) <= used:
            array = np.ascontiguousarray(_checked(str(name), value.values))
            coordinates.append(
                Coordinate(str(name), dims, array.shape, array.dtype.str, _attributes(value.attrs), array.tobytes())
            )
    return Structure(tuple(variables), tuple(coordinates)), arrays


def _checked(name: str, value: Any) -> np.ndarray:
    if isinstance(value, str | bool | int | float | complex | np.ndarray | np.generic | list) or hasattr(
        value, "__array__"
    ):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.array(None)
        if array.dtype.kind in "biufU":
            return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        if array.dtype.kind == "c":
            raise TypeError(
                f"The function returned complex numbers for `{name}`; return the real and the imaginary part under two names."
            )
    raise TypeError(
        f"The function returned {show(value)} for `{name}`; it must return numbers, arrays, a mapping of these, or an xarray.Dataset."
    )


def _attributes(attrs: Mapping[Any, Any]) -> Attributes:
    return tuple((str(name), value) for name, value in attrs.items() if isinstance(value, str | bool | int | float))


def stack(parts: list[Any], variable: Variable) -> np.ndarray:
    """Return the column made of one variable's values at several points."""
    if not variable.shape:
        return np.array(parts, dtype=variable.dtype)
    return np.stack(parts)


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
