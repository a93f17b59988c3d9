"""`collect` reads the points of a folder as a table, without the function that computed them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .blocks import Block, Failure, point_text
from .keys import Definition
from .store import Store, read_definition
from .table import Table, to_dataset

# Beyond this many empty places per point the points are those of a refinement, and not of a grid.
SPARSE = 4


class Collected(NamedTuple):
    """What a folder holds; `failures` are (point as text, message)."""

    definition: Definition
    dataset: Any
    failures: list[tuple[str, str]]
    seconds: float


def collect(folder: str | os.PathLike[str]) -> Collected:
    """Return everything that a folder holds, a running or an interrupted study included.

    Raises
    ------
    ValueError
        If the folder holds no study.
    """
    path = Path(folder)
    definition = read_definition(path)
    if definition is None:
        raise ValueError(f"Folder {folder} holds no study.")
    places: dict[tuple[Any, ...], int] = {}
    blocks: list[Block] = []
    failures: list[tuple[tuple[Any, ...], str]] = []
    for shard in Store(path, definition).read():
        if shard.block is not None:
            columns = [shard.values[name].tolist() for name in definition.axes]
            rows = [(*values, repeat) for *values, repeat in zip(*columns, shard.repeats.tolist())]
            indices = np.array([places.setdefault(row, len(places)) for row in rows])
            blocks.append(shard.block._replace(indices=indices))
        failures += [
            ((*(f["point"].get(name) for name in definition.axes), f["point"].get("repeat", 0)), f["message"])
            for f in shard.failures
        ]
    failed = {row: message for row, message in failures if row not in places}
    for row in failed:
        places[row] = len(places)
    dataset, seconds = _assemble(definition, places, blocks, failed)
    shown = [(point_text(dict(zip((*definition.axes, "repeat"), row))), message) for row, message in failed.items()]
    return Collected(definition, dataset, shown, seconds)


def _assemble(
    definition: Definition,
    places: Mapping[tuple[Any, ...], int],
    blocks: list[Block],
    failed: Mapping[tuple[Any, ...], str],
) -> Any:
    columns = [sorted({row[i] for row in places}) for i in range(len(definition.axes) + 1)]
    size = int(np.prod([float(len(column)) for column in columns])) if places else 0
    listed = size > SPARSE * len(places)
    if listed:
        order = {row: index for index, row in enumerate(places)}
        axes: dict[str, Any] = {name: [row[i] for row in places] for i, name in enumerate(definition.axes)}
        repeats = 1
    else:
        order = {row: index for index, row in enumerate(itertools.product(*columns))}
        axes = dict(zip(definition.axes, columns))
        repeats = max(len(columns[-1]), 1)
    table = Table(len(order), str, definition.function)
    target = np.array([order[row] for row in places], dtype=int)
    for block in blocks:
        table.add(block._replace(indices=target[block.indices]))
    for row, message in failed.items():
        table.fail(Failure(order[row], message))
    provenance = {"function": definition.function, "version": definition.version}
    return to_dataset(table, axes, repeats, points="point" if listed else None, provenance=provenance), table.seconds
