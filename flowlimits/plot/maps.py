"""Maps of studies over two axes: cells of a grid, scattered points, and phase diagrams of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

ABSENT = "#DDDDDD"


class Scales(NamedTuple):
    """Scales of both axes, "linear" or "log"; None follows the grid."""

    x: str | None = None
    y: str | None = None


FREE = Scales()


def common_scale(values: xr.DataArray, norm: str | None = None) -> Any:
    """Return what all panels share: a scale of colours for numbers, the list of all words for words."""
    if values.dtype.kind not in "fiub":
        if norm is not None:
            raise ValueError(f"Variable `{values.name}` holds words, which have no scale: leave `norm` out.")
        return sorted({str(word) for word in values.values.ravel()} - {""})
    from matplotlib.colors import LogNorm, Normalize

    numbers = np.asarray(values.values, dtype=float)
    finite = numbers[np.isfinite(numbers)]
    if norm == "log":
        finite = finite[finite > 0]
        if not finite.size:
            raise ValueError(f'Variable `{values.name}` has no positive value: norm="log" needs one.')
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    decades = low > 0 and style.spans_decades([finite])
    return LogNorm(low, high) if norm == "log" or (norm is None and decades) else Normalize(low, high)


def positions_of(coordinate: np.ndarray, asked: str | None = None, name: str = "") -> tuple[np.ndarray, bool]:
    """Return where the values of an axis stand, and whether they stand on a logarithmic scale, as `asked` or by their grid."""
    if coordinate.dtype.kind not in "fiu":
        if asked == "log":
            raise ValueError(f"Axis `{name}` holds words, which have no logarithmic scale.")
        return np.arange(len(coordinate), dtype=float), False
    numbers = np.asarray(coordinate, dtype=float)
    if asked == "log" and numbers.min() <= 0:
        raise ValueError(f"Axis `{name}` must be positive for a logarithmic scale, but begins at {numbers.min():g}.")
    if asked is not None:
        return numbers, asked == "log"
    return numbers, style.is_geometric(numbers) and bool(numbers[0] > 0)


def coordinate_of(values: xr.DataArray, name: str) -> np.ndarray:
    """Return the values along a dimension, or their numbers where it has none."""
    return np.asarray(values[name].values) if name in values.coords else np.arange(values.sizes[name])


def set_scale(axes: Axes, which: str, coordinate: np.ndarray, logarithmic: bool) -> None:
    """Make an axis logarithmic, or write words at its ticks."""
    axis = getattr(axes, f"{which}axis")
    if logarithmic:
        getattr(axes, f"set_{which}scale")("log")
    elif coordinate.dtype.kind not in "fiu":
        axis.set_ticks(range(len(coordinate)), labels=[str(value) for value in coordinate])


def draw_cells(
    axes: Axes, values: xr.DataArray, x: str, y: str, scale: Any, levels: Sequence[float] | None, scales: Scales = FREE
) -> Any:
    """Draw cells around the points of a grid; return what a colour bar belongs to, None for words."""
    if "repeat" in values.dims:
        if values.dtype.kind not in "fiub":
            raise ValueError(
                f"Variable `{values.name}` holds words, which have no mean over repeats: choose one with at=dict(repeat=...)."
            )
        values = values.astype(float).mean("repeat", skipna=True, keep_attrs=True)
    across, up = coordinate_of(values, x), coordinate_of(values, y)
    (px, log_x), (py, log_y) = positions_of(across, scales.x, x), positions_of(up, scales.y, y)
    grid = values.transpose(y, x).values
    axes.set_facecolor(ABSENT)
    words = scale if isinstance(scale, list) else None
    if words is not None:
        grid = _coded(grid, words)
    colours, norm = ("viridis", scale) if words is None else _colours(words)
    shown = np.ma.masked_invalid(np.asarray(grid, dtype=float))
    drawn = axes.pcolormesh(_edges(px, log_x), _edges(py, log_y), shown, cmap=colours, norm=norm, rasterized=True)
    set_scale(axes, "x", across, log_x)
    set_scale(axes, "y", up, log_y)
    if levels is not None and min(grid.shape) > 1:
        _outline(
            axes,
            axes.contour(px, py, np.asarray(grid, dtype=float), levels=sorted(levels), colors="black", linewidths=0.9),
        )
    if words is not None:
        _legend(axes, words)
        return None
    return drawn


def draw_points(
    axes: Axes, values: xr.DataArray, x: str, y: str, scale: Any, levels: Sequence[float] | None, scales: Scales = FREE
) -> Any:
    """Draw a triangulation of scattered points; return what a colour bar belongs to."""
    numbers = np.asarray(values.values, dtype=float)
    there = np.isfinite(numbers)
    px, py = (np.asarray(values[name].values, dtype=float)[there] for name in (x, y))
    if there.sum() < 3:
        raise ValueError("A map needs at least three finished points.")
    drawn = axes.tripcolor(px, py, numbers[there], norm=scale, cmap="viridis", shading="gouraud", rasterized=True)
    axes.plot(px, py, ".", color="white", markersize=1.2, alpha=0.7)
    for which, positions, asked, name in (("x", px, scales.x, x), ("y", py, scales.y, y)):
        if asked is not None:
            set_scale(axes, which, positions, positions_of(np.sort(positions), asked, name)[1])
    if levels is not None:
        _outline(axes, axes.tricontour(px, py, numbers[there], levels=sorted(levels), colors="black", linewidths=0.9))
    return drawn


def _outline(axes: Axes, contours: Any) -> None:
    """Label contours, and set them off from the dark end of the colour scale."""
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    halo: list[AbstractPathEffect] = [withStroke(linewidth=2.2, foreground="white", alpha=0.8)]
    contours.set_path_effects(halo)
    for text in axes.clabel(contours, fontsize=style.SMALL, fmt="%g"):
        text.set_path_effects(halo)


def _coded(grid: np.ndarray, words: list[str]) -> np.ndarray:
    """Return words as numbers; the empty word is a point without a result."""
    code = {word: float(i) for i, word in enumerate(words)} | {"": np.nan}
    return np.vectorize(lambda word: code[str(word)], otypes=[float])(grid)


def _colours(words: list[str]) -> tuple[Any, Any]:
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
