"""Plots of studies: lines, heat maps, phase diagrams with contours, and facets of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import did_you_mean, show
from . import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

ABSENT = "#DDDDDD"
MOST_LINES, MOST_FACETS = 12, 24


def study(
    table: xr.Dataset,
    x: str | None = None,
    y: str | None = None,
    *,
    variable: str | None = None,
    hue: str | None = None,
    facet: str | None = None,
    at: Mapping[str, Any] | None = None,
    levels: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes | np.ndarray:
    """Draw a study over one axis (lines) or two (a map).

    Parameters
    ----------
    table : xarray.Dataset
        The result of `flowlimits.study` or `flowlimits.refine`.
    x, y : str, optional
        Dimensions; `x` alone draws lines, both draw a map.  By default `x` is the first one.
    variable : str, optional
        What to draw; by default the first variable.  A map of words is a phase diagram with one colour per word.
    hue : str, optional
        The dimension that tells lines apart.
    facet : str, optional
        The dimension with one panel per value.
    at : mapping, optional
        Values of the other dimensions; the nearest ones of the table are taken.
    levels : sequence of float, optional
        Contours on a map.
    ax : matplotlib Axes, optional
        Where to draw; not with `facet`.

    Returns
    -------
    Axes, or ndarray of Axes with `facet`
        Repeats are averaged; lines carry the band of one standard error.  Failed and missing points are grey on a map.

    Raises
    ------
    ValueError
        If a name is unknown, or dimensions are left over.
    """
    values = _select(table, _variable(table, variable), at)
    names = _dimensions(values)
    x = names[0] if x is None else x
    roles = {"x": x, "y": y, "hue": hue, "facet": facet}
    for role, name in roles.items():
        if name is not None and name not in names:
            raise ValueError(f"Argument `{role}` must be one of {', '.join(names)}, but is {show(name)}{did_you_mean(name, names) or '.'}")
    used = [name for name in roles.values() if name is not None]
    if len(set(used)) < len(used):
        raise ValueError(f"Each dimension can have one role, but they are {', '.join(f'{r}={n!r}' for r, n in roles.items() if n is not None)}.")
    left = [name for name in names if name not in used]
    if left and y is None and hue is None:
        hue = left.pop(0)
    if left:
        raise ValueError(f"Dimension `{left[0]}` has no place in this plot: choose a value with at=dict({left[0]}=...), or facet={left[0]!r}.")
    if y is not None and hue is not None:
        raise ValueError("A map has no `hue`; use `facet` for a third dimension.")
    if facet is None:
        axes = style.check_axes(ax)
        _panel(axes, table, values, x, y, hue, levels, _limits(values))
        return axes
    if ax is not None:
        raise ValueError("With `facet` the panels are new Axes: leave `ax` out.")
    return _facets(table, values, x, y, hue, facet, levels)


def _variable(table: Any, name: str | None) -> str:
    if not hasattr(table, "data_vars"):
        raise TypeError(f"Argument `table` must be the Dataset of a study, but is {show(table)}.")
    known = list(map(str, table.data_vars))
    if not known:
        raise ValueError("This table has no variable to draw.")
    if name is not None and name not in known:
        raise ValueError(f"Argument `variable` must be one of {', '.join(known)}, but is {show(name)}{did_you_mean(name, known) or '.'}")
    return known[0] if name is None else name


def _select(table: xr.Dataset, variable: str, at: Mapping[str, Any] | None) -> xr.DataArray:
    values = table[variable]
    for name, wanted in dict(at or {}).items():
        if name not in values.dims:
            known = list(map(str, values.dims))
            raise ValueError(f"Argument `at` names `{name}`, which is no dimension of `{variable}`{did_you_mean(name, known) or '.'}")
        if name not in values.coords:
            values = values.isel({name: wanted})
        elif values[name].dtype.kind in "fiu":
            values = values.sel({name: wanted}, method="nearest")
        else:
            values = values.sel({name: wanted})
    return values


def _dimensions(values: xr.DataArray) -> list[str]:
    """Return the dimensions that can be drawn; the axes of a list of points stand for the dimension of the list."""
    if "point" in values.dims:
        return [str(name) for name, coord in values.coords.items() if coord.dims == ("point",) and name not in ("point", "status")]
    return [str(name) for name in values.dims if name != "repeat"]


def _limits(values: xr.DataArray) -> Any:
    """Return one colour scale for all panels; None for words."""
    if values.dtype.kind not in "fiub":
        return None
    from matplotlib.colors import LogNorm, Normalize

    numbers = np.asarray(values.values, dtype=float)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return LogNorm(low, high) if low > 0 and style.spans_decades([finite]) else Normalize(low, high)


def _panel(axes: Axes, table: xr.Dataset, values: xr.DataArray, x: str, y: str | None, hue: str | None, levels: Any, norm: Any) -> Any:
    _label(axes.set_xlabel, table, x)
    if y is None:
        _lines(axes, table, values, x, hue)
        return None
    _label(axes.set_ylabel, table, y)
    drawn = _scattered(axes, values, x, y, norm, levels) if "point" in values.dims else _map(axes, values, x, y, norm, levels)
    if drawn is not None:
        bar = axes.figure.colorbar(drawn, ax=axes)
        bar.set_label(style.variable_label(table, values.name or ""), fontsize=style.TEXT)
        bar.ax.tick_params(labelsize=style.SMALL)
    return drawn


def _label(setter: Any, table: xr.Dataset, name: str) -> None:
    setter(style.variable_label(table, name) if name in table.variables else name.replace("_", " "))


def _positions(coordinate: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return where the values of an axis stand, and whether they stand on a logarithmic scale."""
    if coordinate.dtype.kind not in "fiu":
        return np.arange(len(coordinate), dtype=float), False
    numbers = np.asarray(coordinate, dtype=float)
    return numbers, style.is_geometric(numbers) and bool(numbers[0] > 0)


def _coordinate(values: xr.DataArray, name: str) -> np.ndarray:
    return np.asarray(values[name].values) if name in values.coords else np.arange(values.sizes[name])


def _scale(axes: Axes, which: str, coordinate: np.ndarray, logarithmic: bool) -> None:
    axis = getattr(axes, f"{which}axis")
    if logarithmic:
        getattr(axes, f"set_{which}scale")("log")
    elif coordinate.dtype.kind not in "fiu":
        axis.set_ticks(range(len(coordinate)), labels=[str(value) for value in coordinate])


def _lines(axes: Axes, table: xr.Dataset, values: xr.DataArray, x: str, hue: str | None) -> None:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Variable `{values.name}` holds words, which lines cannot show: give `x` and `y`.")
    if "point" in values.dims:
        values = values.sortby(x).swap_dims(point=x) if hue is None else values
        if hue is not None:
            raise ValueError("A list of points has lines over one axis only: leave `hue` out.")
    coordinate = _coordinate(values, x)
    positions, logarithmic = _positions(coordinate)
    chosen: list[Any] = [None] if hue is None else [values.isel({hue: i}) for i in _spread(values.sizes[hue], MOST_LINES)]
    shown = []
    named = _spread(len(chosen), len(style.COLOURS))
    for i, line in enumerate(chosen):
        part = values if line is None else line
        mean, error = _over_repeats(part, x)
        colour = _line_colour(i, len(chosen))
        label = _value_text(part, hue, i) if line is not None and i in named else None
        axes.plot(positions, mean, color=colour, label=label, linewidth=1.2, marker="o" if len(positions) < 2 else None)
        if error is not None:
            axes.fill_between(positions, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)
        shown.append(mean)
    _scale(axes, "x", coordinate, logarithmic)
    if style.spans_decades(shown):
        axes.set_yscale("log")
    _label(axes.set_ylabel, table, str(values.name))
    style.add_legend(axes, **({} if hue is None else {"title": hue.replace("_", " "), "title_fontsize": style.SMALL}))


def _line_colour(position: int, count: int) -> Any:
    """Return a colour of its own for each of a few lines, and a shade in order for each of many."""
    if count <= len(style.COLOURS):
        return style.COLOURS[position]
    import matplotlib

    return matplotlib.colormaps["viridis"](0.92 * position / (count - 1))


def _over_repeats(values: xr.DataArray, x: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mean over repeats and its standard error, by hand: failed repeats are left out without a warning."""
    if "repeat" not in values.dims:
        return np.asarray(values.transpose(x).values, dtype=float), None
    numbers = np.asarray(values.transpose("repeat", x).values, dtype=float)
    there = np.isfinite(numbers)
    count = there.sum(axis=0)
    filled = np.where(there, numbers, 0.0)
    mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(there, (numbers - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1)), np.nan)


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _value_text(part: xr.DataArray, name: str | None, position: int) -> str:
    value = part.coords[name].item() if name in part.coords else position
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _map(axes: Axes, values: xr.DataArray, x: str, y: str, norm: Any, levels: Any) -> Any:
    if "repeat" in values.dims:
        if values.dtype.kind not in "fiub":
            raise ValueError(f"Variable `{values.name}` holds words, which have no mean over repeats: choose one with at=dict(repeat=...).")
        values = values.astype(float).mean("repeat", skipna=True, keep_attrs=True)
    across, up = _coordinate(values, x), _coordinate(values, y)
    (px, log_x), (py, log_y) = _positions(across), _positions(up)
    grid = values.transpose(y, x).values
    axes.set_facecolor(ABSENT)
    words = None
    if norm is None:
        grid, words = _coded(grid)
    colours, scale = _colours(words, norm)
    drawn = axes.pcolormesh(_edges(px, log_x), _edges(py, log_y), np.ma.masked_invalid(np.asarray(grid, dtype=float)), cmap=colours, norm=scale, rasterized=True)
    _scale(axes, "x", across, log_x)
    _scale(axes, "y", up, log_y)
    if levels is not None and min(grid.shape) > 1:
        _outline(axes, axes.contour(px, py, np.asarray(grid, dtype=float), levels=sorted(levels), colors="black", linewidths=0.9))
    if words is not None:
        _legend(axes, words)
        return None
    return drawn


def _outline(axes: Axes, contours: Any) -> None:
    """Label contours, and set them off from the dark end of the colour scale."""
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    halo: list[AbstractPathEffect] = [withStroke(linewidth=2.2, foreground="white", alpha=0.8)]
    contours.set_path_effects(halo)
    for text in axes.clabel(contours, fontsize=style.SMALL):
        text.set_path_effects(halo)


def _scattered(axes: Axes, values: xr.DataArray, x: str, y: str, norm: Any, levels: Any) -> Any:
    numbers = np.asarray(values.values, dtype=float)
    there = np.isfinite(numbers)
    px, py = (np.asarray(values[name].values, dtype=float)[there] for name in (x, y))
    if there.sum() < 3:
        raise ValueError("A map needs at least three finished points.")
    drawn = axes.tripcolor(px, py, numbers[there], norm=norm, cmap="viridis", shading="gouraud", rasterized=True)
    axes.plot(px, py, ".", color="white", markersize=1.2, alpha=0.7)
    if levels is not None:
        _outline(axes, axes.tricontour(px, py, numbers[there], levels=sorted(levels), colors="black", linewidths=0.9))
    return drawn


def _coded(grid: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return words as numbers; the empty word is a point without a result."""
    words = sorted({str(word) for word in grid.ravel()} - {""})
    code = {word: float(i) for i, word in enumerate(words)} | {"": np.nan}
    return np.vectorize(lambda word: code[str(word)], otypes=[float])(grid), words


def _colours(words: list[str] | None, norm: Any) -> tuple[Any, Any]:
    if words is None:
        return "viridis", norm
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = max(len(words), 1)
    colours = [style.COLOURS[i % len(style.COLOURS)] for i in range(count)]
    return ListedColormap(colours), BoundaryNorm(np.arange(count + 1) - 0.5, count)


def _legend(axes: Axes, words: list[str]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=style.COLOURS[i % len(style.COLOURS)], label=word) for i, word in enumerate(words)]
    axes.legend(handles=patches, fontsize=style.SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _edges(positions: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Return the edges of the cells around positions, half-way in the scale of the axis."""
    p = np.log(positions) if logarithmic else positions
    if p.size == 1:
        edges = np.array([p[0] - 0.5, p[0] + 0.5])
    else:
        middle = 0.5 * (p[1:] + p[:-1])
        edges = np.concatenate([[2 * p[0] - middle[0]], middle, [2 * p[-1] - middle[-1]]])
    return np.exp(edges) if logarithmic else edges


def _facets(table: xr.Dataset, values: xr.DataArray, x: str, y: str | None, hue: str | None, facet: str, levels: Any) -> np.ndarray:
    if "point" in values.dims:
        raise ValueError("A list of points has no facets.")
    chosen = _spread(values.sizes[facet], MOST_FACETS)
    columns = min(len(chosen), 3)
    rows = -(-len(chosen) // columns)
    figure = style.new_figure(style.COLUMN * (0.9 * columns + 0.1), 2.5 * rows)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True))
    norm = _limits(values)
    for position, axes in zip(chosen, panels.ravel()):
        style.dress(axes)
        part = values.isel({facet: position})
        _panel(axes, table, part, x, y, hue, levels, norm)
        axes.set_title(f"{facet.replace('_', ' ')} = {_value_text(part, facet, position)}", fontsize=style.TEXT)
    for axes in panels.ravel()[len(chosen) :]:
        axes.set_visible(False)
    return panels
