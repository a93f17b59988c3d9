"""Plots of studies: lines, maps, and facets of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import array, choice, did_you_mean, show
from . import maps, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

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
    norm: str | None = None,
    xscale: str | None = None,
    yscale: str | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes | np.ndarray:
    """Draw a study over one axis (lines) or two (a map).

    Parameters
    ----------
    table : xarray.Dataset
        The result of `flowlimits.study` or `flowlimits.refine`.
    x, y : str, optional
        Dimensions; `x` alone draws lines, both draw a map.  By default `x` is the first one, and `y` the second one of the
        points of `flowlimits.refine`.
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
    norm : {"linear", "log"}, optional
        The scale of the colours of a map; by default logarithmic where the values are positive and span at least one
        and a half decades.  With "log", values that are not positive are grey.
    xscale, yscale : {"linear", "log"}, optional
        Scales of the axes; by default those of the grid, and for lines that of the values.
    label : str, optional
        The name of the lines in the legend, or of the colour bar of a map.  Lines of a second call on the same Axes go
        on with the next colour, and are named by their variable.
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
    for option, value in (("norm", norm), ("xscale", xscale), ("yscale", yscale)):
        if value is not None:
            choice(option, value, ("linear", "log"))
    if label is not None and not isinstance(label, str):
        raise TypeError(f"Argument `label` must be a string, but is {show(label)}.")
    values = _select(table, _variable(table, variable), at)
    names = _dimensions(values)
    x = names[0] if x is None else x
    roles = {"x": x, "y": y, "hue": hue, "facet": facet}
    for role, name in roles.items():
        if name is not None and name not in names:
            raise ValueError(
                f"Argument `{role}` must be one of {', '.join(names)}, but is {show(name)}{did_you_mean(name, names) or '.'}"
            )
    used = [name for name in roles.values() if name is not None]
    if len(set(used)) < len(used):
        raise ValueError(
            f"Each dimension can have one role, but they are {', '.join(f'{r}={n!r}' for r, n in roles.items() if n is not None)}."
        )
    left = [name for name in names if name not in used]
    if left and y is None and hue is None:
        # Points that do not form a grid have no lines over one of two axes.
        if "point" in values.dims:
            y = left.pop(0)
        else:
            hue = left.pop(0)
    if left:
        raise ValueError(
            f"Dimension `{left[0]}` has no place in this plot: choose a value with at=dict({left[0]}=...), or facet={left[0]!r}."
        )
    if y is not None and hue is not None:
        raise ValueError("A map has no `hue`; use `facet` for a third dimension.")
    if y is None:
        for option, asked in (("norm", norm), ("levels", levels)):
            if asked is not None:
                raise ValueError(f"Argument `{option}` belongs to a map: give `y` too.")
    if levels is not None:
        levels = array("levels", levels, ("n",), largest=math.inf).tolist()
    scales = maps.Scales(xscale, yscale)
    scale = maps.common_scale(values, norm)
    if facet is None:
        axes = style.check_axes(ax)
        _bar([axes], table, values, _panel(axes, table, values, x, y, hue, levels, scale, scales, label), label)
        return axes
    if ax is not None:
        raise ValueError("With `facet` the panels are new Axes: leave `ax` out.")
    return _facets(table, values, x, y, hue, facet, levels, scale, scales, label)


def _variable(table: Any, name: str | None) -> str:
    if not hasattr(table, "data_vars"):
        raise TypeError(f"Argument `table` must be the Dataset of a study, but is {show(table)}.")
    known = list(map(str, table.data_vars))
    if not known:
        raise ValueError("This table has no variable to draw.")
    if name is not None and name not in known:
        raise ValueError(
            f"Argument `variable` must be one of {', '.join(known)}, but is {show(name)}{did_you_mean(name, known) or '.'}"
        )
    return known[0] if name is None else name


def _select(table: xr.Dataset, variable: str, at: Mapping[str, Any] | None) -> xr.DataArray:
    values = table[variable]
    for name, wanted in dict(at or {}).items():
        if name not in values.dims:
            known = list(map(str, values.dims))
            raise ValueError(
                f"Argument `at` names `{name}`, which is no dimension of `{variable}`{did_you_mean(name, known) or '.'}"
            )
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
        return [
            str(name)
            for name, coord in values.coords.items()
            if coord.dims == ("point",) and name not in ("point", "status")
        ]
    return [str(name) for name in values.dims if name != "repeat"]


def _panel(
    axes: Axes, table: xr.Dataset, values: xr.DataArray, x: str, y: str | None, hue: str | None, levels: Any, scale: Any,
    scales: maps.Scales, label: str | None,
) -> Any:  # fmt: skip
    _label(axes.set_xlabel, table, x)
    if y is None:
        _lines(axes, table, values, x, hue, scales, label)
        return None
    _label(axes.set_ylabel, table, y, axes)
    draw = maps.draw_points if "point" in values.dims else maps.draw_cells
    return draw(axes, values, x, y, scale, levels, scales)


def _bar(panels: list[Axes], table: xr.Dataset, values: xr.DataArray, drawn: Any, label: str | None) -> None:
    """Draw one colour bar for panels of one scale; lines and words have none."""
    if drawn is not None:
        bar = panels[0].figure.colorbar(drawn, ax=panels, pad=0.02)
        bar.set_label(label or style.variable_label(table, values.name or "", panels[0]), fontsize=style.TEXT)
        bar.ax.tick_params(labelsize=style.SMALL)


def _label(setter: Any, table: xr.Dataset, name: str, axes: Axes | None = None) -> None:
    setter(style.variable_label(table, name, axes) if name in table.variables else name.replace("_", " "))


def _lines(
    axes: Axes, table: xr.Dataset, values: xr.DataArray, x: str, hue: str | None, scales: maps.Scales, label: str | None
) -> None:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Variable `{values.name}` holds words, which lines cannot show: give `x` and `y`.")
    if "point" in values.dims:
        values = values.sortby(x).swap_dims(point=x) if hue is None else values
        if hue is not None:
            raise ValueError("A list of points has lines over one axis only: leave `hue` out.")
    coordinate = maps.coordinate_of(values, x)
    positions, logarithmic = maps.positions_of(coordinate, scales.x, x)
    chosen: list[Any] = (
        [None] if hue is None else [values.isel({hue: i}) for i in style.spread(values.sizes[hue], MOST_LINES)]
    )
    before: list[tuple[str, Any]] = getattr(axes, "flowlimits_lines", [])
    quantity = label or str(values.name).replace("_", " ")
    lines, shown = [], [np.asarray(line.get_ydata(), dtype=float) for _, line in before]
    named = style.spread(len(chosen), len(style.COLOURS))
    for i, line in enumerate(chosen):
        part = values if line is None else line
        mean, error = _over_repeats(part, x)
        following = line is None or before
        colour = (
            style.COLOURS[(len(before) + i) % len(style.COLOURS)] if following else style.line_colour(i, len(chosen))
        )
        told = label
        if line is not None:
            told = _value_text(part, hue, i) if i in named else None
            told = f"{quantity}, {told}" if told and (before or label) else told
        marker = "o" if len(positions) < 2 else None
        (drawn,) = axes.plot(positions, mean, color=colour, label=told, linewidth=1.2, marker=marker)
        if error is not None:
            axes.fill_between(positions, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)
        lines.append((quantity, drawn))
        shown.append(mean)
    maps.set_scale(axes, "x", coordinate, logarithmic)
    axes.set_yscale(scales.y or ("log" if style.spans_decades(shown) else "linear"))
    axes.flowlimits_lines = [*before, *lines]  # type: ignore[attr-defined]
    _name_quantities(axes, table, str(values.name), before, lines)
    style.add_legend(axes, **({} if hue is None else {"title": hue.replace("_", " "), "title_fontsize": style.SMALL}))


def _name_quantities(axes: Axes, table: xr.Dataset, name: str, before: list[Any], lines: list[Any]) -> None:
    """Label the vertical axis; lines that join others are named in the legend, and so are those that were there."""
    if not before:
        _label(axes.set_ylabel, table, name, axes)
        return
    for quantity, line in (*before, *lines):
        if line.get_label().startswith("_"):
            line.set_label(quantity)
    axes.set_ylabel(", ".join(dict.fromkeys(quantity for quantity, _ in (*before, *lines))))


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


def _value_text(part: xr.DataArray, name: str | None, position: int) -> str:
    value = part.coords[name].item() if name in part.coords else position
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _facets(
    table: xr.Dataset, values: xr.DataArray, x: str, y: str | None, hue: str | None, facet: str, levels: Any,
    scale: Any, scales: maps.Scales, label: str | None,
) -> np.ndarray:  # fmt: skip
    if "point" in values.dims:
        raise ValueError("A list of points has no facets.")
    chosen = style.spread(values.sizes[facet], MOST_FACETS)
    columns = min(len(chosen), 3)
    rows = -(-len(chosen) // columns)
    figure = style.new_figure(style.COLUMN * (0.9 * columns + 0.1), 2.5 * rows)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True))
    shown = list(panels.ravel()[: len(chosen)])
    drawn = None
    for position, axes in zip(chosen, shown):
        style.dress(axes)
        part = values.isel({facet: position})
        drawn = _panel(axes, table, part, x, y, hue, levels, scale, scales, label)
        axes.set_title(f"{facet.replace('_', ' ')} = {_value_text(part, facet, position)}", fontsize=style.TEXT)
    for axes in panels.ravel()[len(chosen) :]:
        axes.set_visible(False)
    _share(shown, columns, first=y is None)
    _bar(shown, table, values, drawn, label)
    return panels


def _share(panels: list[Axes], columns: int, *, first: bool) -> None:
    """Leave labels at the outer panels only, and one legend: in the first panel, or beside the last of the first row."""
    for number, axes in enumerate(panels):
        if number % columns:
            axes.set_ylabel("")
        if number + columns < len(panels):
            axes.set_xlabel("")
        else:
            axes.tick_params(labelbottom=True)
        legend = axes.get_legend()
        if legend is not None and number != (0 if first else columns - 1):
            legend.remove()
