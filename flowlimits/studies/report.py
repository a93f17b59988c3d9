"""`write_report` makes one self-contained HTML page about a folder, with every text from the folder escaped."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.files import replacing
from ..core.storage import check_path
from .blocks import Block, Failure
from .keys import Definition
from .store import Store, read_definition
from .table import FAILED, FINISHED, MISSING, Table, point_text, to_dataset

# `collect` reads the points of a folder as a table, without the function that computed them.

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
    path = Path(check_path(folder, "folder"))
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


MOST_PLOTS, MOST_FAILURES = 6, 200

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .2em 1.2em .2em 0; border-bottom: 1px solid #ddd; }
code, td.data { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
figure { display: inline-block; margin: 0 1em 1em 0; } svg { max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { background: #fff; } }
"""


def write_report(folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a study's folder.

    Parameters
    ----------
    folder : path
        The folder of a study, finished or not.
    output : path, optional
        The page; by default ``report.html`` in the folder.  Missing folders are made.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    ValueError
        If the folder holds no study.
    """
    target = Path(output) if output is not None else Path(folder) / "report.html"
    page = render(collect(folder), Path(folder))
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def render(found: Collected, folder: Path) -> str:
    """Return the page."""
    definition, dataset = found.definition, found.dataset
    title = f"{definition.function} over {', '.join(definition.axes)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table(_state(found)),
        *_plots(dataset),
        "<h2>Axes</h2>",
        _table(_axes(dataset, definition.axes), ("axis", "values", "from", "to")),
        "<h2>Definition</h2>",
        _table(_definition(definition)),
        *_failures(found.failures),
        "<h2>Provenance</h2>",
        _table(_provenance(folder)),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def _table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> str:
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(word)}</th>" for word in head) + "</tr>")
    for first, *rest in rows:
        lines.append(
            f"<tr><td>{escape(str(first))}</td>"
            + "".join(f'<td class="data">{escape(str(cell))}</td>' for cell in rest)
            + "</tr>"
        )
    return "\n".join([*lines, "</table>"])


def _state(found: Collected) -> list[tuple[str, Any]]:
    status = found.dataset["status"].values
    rows: list[tuple[str, Any]] = [("finished points", int((status == FINISHED).sum()))]
    for code, name in ((FAILED, "failed points"), (MISSING, "points of the same grid that are missing")):
        if (status == code).any():
            rows.append((name, int((status == code).sum())))
    return [*rows, ("computing time", f"{found.seconds:.3g} s")]


def _axes(dataset: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    rows = []
    for name in names:
        values = np.unique(dataset[name].values)
        rows.append((name, len(values), values[0], values[-1]) if len(values) else (name, 0, "", ""))
    return rows


def _definition(definition: Any) -> list[tuple[str, str]]:
    rows = [("function", definition.function), ("version", definition.version or "(none)")]
    rows += [(f"parameter {name}", json.dumps(value)) for name, value in definition.parameters.items()]
    if definition.root:
        rows.append(("root of the random streams", json.dumps(definition.root)))
    return rows + [(f"uses {name}", value) for name, value in definition.code.items()]


def _failures(failures: Sequence[tuple[str, str]]) -> list[str]:
    if not failures:
        return []
    more = f"<p>{len(failures) - MOST_FAILURES} more are left out.</p>" if len(failures) > MOST_FAILURES else ""
    return ["<h2>Failures</h2>", _table(failures[:MOST_FAILURES], ("point", "message")), more]


def _provenance(folder: Path) -> list[tuple[str, str]]:
    from ..core.storage import load

    for name in ("study.nc", "refined.nc"):
        try:
            stored = json.loads(load(folder / name).attrs["provenance"])
        except (OSError, ValueError, KeyError):
            continue
        shown = ("executor", "workers", "wall_time", "points", "finished", "failed", "versions")
        return [(key.replace("_", " "), json.dumps(stored[key])) for key in shown if key in stored]
    return [("no table yet", "the study has not come to an end")]


def _plots(dataset: Any) -> list[str]:
    figures = []
    for name in list(dataset.data_vars)[:MOST_PLOTS]:
        figure = _figure(dataset, str(name))
        if figure is not None:
            figures.append(f"<figure>{_svg(figure)}</figure>")
    return ["<h2>Plots</h2>", *figures] if figures else []


def _figure(dataset: Any, name: str) -> Any:
    """Return the figure of a variable over the first one or two axes, in the middle of all others; None if there is none."""
    from ..plot import study as draw

    values = dataset[name]
    words = values.dtype.kind not in "fiub"
    if "point" in values.dims:
        axes = [
            c
            for c in values.coords
            if c not in ("point", "status") and values[c].dims == ("point",) and values[c].dtype.kind in "fiu"
        ]
        extra = [dim for dim in values.dims if dim != "point"]
        if extra or words or not axes or int((dataset["status"] == FINISHED).sum()) < 4:
            return None
    else:
        # Long axes first: an axis of one value is no axis to draw.
        grid = [dim for dim in dataset["status"].dims if dim in values.dims and dim != "repeat"]
        axes = sorted((dim for dim in grid if values.sizes[dim] > 1), key=grid.index)[:2] or grid[:1]
        if words and (len(axes) < 2 or "repeat" in values.dims):
            return None
    at = {dim: _middle(values, dim) for dim in values.dims if dim not in (*axes, "repeat", "point")}
    drawn: Any = draw(dataset, *axes[:2], variable=name, at=at)
    return drawn.figure


def _middle(values: Any, dim: str) -> Any:
    middle = values.sizes[dim] // 2
    return values[dim].values[middle] if dim in values.coords else middle


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
