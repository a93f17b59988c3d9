"""A shard holds finished points as the bytes of an npz archive.

The name of a shard is the hash of its bytes, so that a file that was cut off or changed by a single bit is found.
Nothing is unpickled: the archive holds plain arrays and JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .blocks import Block, Coordinate, Structure, Variable

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
