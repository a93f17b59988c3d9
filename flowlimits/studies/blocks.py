"""A block holds the results of several points in the one form in which they travel, are stored and become a table.

A result is split into its structure (names, dimensions, shapes, coordinates: equal at all points) and its
arrays.  Points of equal structure travel together as a `Block`, one array per variable, so that the cost per
point is that of a row.

A `Shard` holds blocks as the bytes of an npz archive.  Its name is the hash of its bytes, so that a file that was cut
off or changed by a single bit is found.  Nothing is unpickled: the archive holds plain arrays and JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import show
from ..core.storage import ARRAY_PREFIX

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
        return Structure((Variable(name, (), (), "<f8"),)), [result]
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
    hidden = ARRAY_PREFIX if "problem" in dataset.attrs else "\0"
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


SUFFIX = ".npz"


class Shard(NamedTuple):
    """Points of one structure, and failures.

    `block.indices` counts from zero here; `keys[i]` is the key of point i, `values[name][i]` its value on an axis.
    `failures` holds (key, message) pairs.
    """

    definition: dict[str, Any]
    keys: list[bytes]
    values: dict[str, np.ndarray]
    repeats: np.ndarray
    block: Block | None
    failures: list[dict[str, Any]]


class DamagedShardError(ValueError):
    """A file that is not what was written."""


def encode(shard: Shard) -> tuple[str, bytes]:
    """Return the file name and the bytes of a shard."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {
        "definition": shard.definition,
        "failures": shard.failures,
        "axes": list(shard.values),
        "structure": None,
    }
    if shard.block is not None:
        structure = shard.block.structure
        variables = [[v.name, v.dims, v.shape, v.dtype, v.attrs] for v in structure.variables]
        coordinates = [[c.name, c.dims, c.shape, c.dtype, c.attrs] for c in structure.coordinates]
        meta["structure"] = {"variables": variables, "coordinates": coordinates}
        arrays |= {f"column{i}": column for i, column in enumerate(shard.block.columns)}
        arrays |= {f"coordinate{i}": c.values() for i, c in enumerate(structure.coordinates)}
        arrays |= {f"axis{i}": values for i, values in enumerate(shard.values.values())}
        arrays["keys"] = np.frombuffer(b"".join(shard.keys), dtype=np.uint8).reshape(-1, 16)
        arrays["repeats"] = shard.repeats
        arrays["seconds"] = shard.block.seconds
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    return name_of(content), content


def name_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest() + SUFFIX


def decode(name: str, content: bytes) -> Shard:
    """Return a shard from its file.

    Raises
    ------
    DamagedShardError
        If the file is cut off, was changed, or is something else.
    """
    if name_of(content) != name:
        raise DamagedShardError("its content does not fit its checksum")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {
                entry.removesuffix(".npy"): np.lib.format.read_array(
                    io.BytesIO(archive.read(entry)), allow_pickle=False
                )
                for entry in archive.namelist()
            }
        meta = json.loads(arrays["meta"].tobytes())
        return _shard(meta, arrays)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, EOFError, AttributeError) as error:
        raise DamagedShardError(f"it is no shard of this version ({type(error).__name__}: {error})") from error


def _shard(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Shard:
    failures = [
        {"key": str(f["key"]), "point": dict(f["point"]), "message": str(f["message"])} for f in meta["failures"]
    ]
    if meta["structure"] is None:
        return Shard(meta["definition"], [], {}, np.zeros(0, dtype=int), None, failures)
    coordinates = tuple(
        Coordinate(name, tuple(dims), tuple(shape), dtype, _pairs(attrs), arrays[f"coordinate{i}"].tobytes())
        for i, (name, dims, shape, dtype, attrs) in enumerate(meta["structure"]["coordinates"])
    )
    variables = tuple(
        Variable(name, tuple(dims), tuple(shape), dtype, _pairs(attrs))
        for name, dims, shape, dtype, attrs in meta["structure"]["variables"]
    )
    keys = [row.tobytes() for row in arrays["keys"]]
    columns = tuple(arrays[f"column{i}"] for i in range(len(variables)))
    if any(column.shape != (len(keys), *variable.shape) for column, variable in zip(columns, variables)):
        raise ValueError("its arrays have other shapes than it says")
    values = {str(name): arrays[f"axis{i}"] for i, name in enumerate(meta["axes"])}
    block = Block(Structure(variables, coordinates), np.arange(len(keys)), columns, arrays["seconds"])
    return Shard(meta["definition"], keys, values, arrays["repeats"], block, failures)


def _pairs(attrs: Sequence[Sequence[Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((str(name), value) for name, value in attrs)


def merge(shards: Sequence[Shard]) -> list[Shard]:
    """Return as few shards as hold the same points: one per structure, the failures in the first."""
    groups: dict[Structure | None, list[Shard]] = {}
    for shard in shards:
        groups.setdefault(None if shard.block is None else shard.block.structure, []).append(shard)
    failures = [failure for shard in shards for failure in shard.failures]
    merged = []
    for structure, group in groups.items():
        if structure is None:
            continue
        blocks = [shard.block for shard in group if shard.block is not None]
        columns = tuple(np.concatenate([block.columns[i] for block in blocks]) for i in range(len(structure.variables)))
        keys = [key for shard in group for key in shard.keys]
        values = {name: np.concatenate([shard.values[name] for shard in group]) for name in group[0].values}
        block = Block(structure, np.arange(len(keys)), columns, np.concatenate([b.seconds for b in blocks]))
        merged.append(Shard(group[0].definition, keys, values, np.concatenate([s.repeats for s in group]), block, []))
    if failures:
        first = merged[0] if merged else shards[0]
        merged[:1] = [first._replace(failures=failures)]
    return merged
