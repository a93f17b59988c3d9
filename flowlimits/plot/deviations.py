"""Plots of the deviation of simulations from a theory against their size, alone and on one page with the curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import did_you_mean, show
from . import style
from .labels import size_label
from .lines import curves

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLUMNS = 2  # of the legend
NOTHING = 1e-9  # a relative deviation below this is round-off, of a variable that the limit shares with every size
LEAST_ERROR = 0.01  # of an exponent, as in the printed verdict
LETTERS = {"dimension": "d", "student_width": "p"}


def convergence(comparison: Any, variable: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the deviation of the runs from the theory against their size, on logarithmic axes.

    The deviation of a size is the root mean square, over all times and all entries of the variable, of (mean of the
    runs minus theory), in units of the largest value of the variable.  Its error bar is one standard error, taken as equal in sign at all times,
    which bounds it from above.  The dashed line falls as one over the size, as a right theory asks for.

    Parameters
    ----------
    comparison : Comparison, or xarray.Dataset
        What `flowlimits.compare` or `flowlimits.convergence` returned for several sizes, or its `dataset`.
    variable : str, optional
        The variable to draw; by default all that deviate at all.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None makes a new figure of the width of a journal column.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `comparison` is none.
    ValueError
        If it has fewer than two sizes, or no such variable.
    """
    data = data_of(comparison)
    measured = {name: _measure(data, name) for name in _names(data, variable)}
    if variable is None:
        measured = {name: curve for name, curve in measured.items() if curve[0].max() > NOTHING} or measured
    axes = style.check_axes(ax)
    sizes = data["size"].values.astype(float)
    levels = [level for level, _ in measured.values()]
    bottom, lowest, top = _limits(levels)
    for number, (name, (level, error)) in enumerate(measured.items()):
        # A bar that reaches zero has no lower end on this axis: it is cut above the legend.
        below = np.clip(error, 0, np.maximum(level - lowest, 0))
        axes.errorbar(
            sizes, level, [below, error], fmt=f"-{style.MARKERS[number % len(style.MARKERS)]}",
            color=style.COLOURS[number % len(style.COLOURS)], ms=3.5, mfc="white", mew=0.9, lw=0.8, elinewidth=0.8,
            label=_legend_name(comparison, name), zorder=3,
        )  # fmt: skip
    letter = LETTERS.get(str(data["size"].attrs.get("long_name", "")), "size")
    _guide(axes, sizes, levels, letter)
    axes.set_xscale("log")
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(bottom, top)
    axes.set_xticks(sizes, [f"{int(size)}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlim(sizes.min() / 1.2, sizes.max() * 1.2)
    axes.set_xlabel(style.formula(letter) if letter != "size" else "size")
    axes.set_ylabel("relative deviation (rms)")
    title = _exponent(comparison, data)
    style.add_legend(
        axes,
        loc="lower left",
        ncols=COLUMNS,
        columnspacing=1.2,
        title=title,
        title_fontsize=style.SMALL,
        alignment="left",
    )
    return axes


def data_of(comparison: Any) -> xr.Dataset:
    """Return the deviations of a comparison of several sizes, and refuse everything else."""
    import xarray as xr

    data = comparison if isinstance(comparison, xr.Dataset) else getattr(comparison, "dataset", None)
    if not isinstance(data, xr.Dataset):
        raise TypeError(
            f"Argument `comparison` must be what fl.compare or fl.convergence returns, but is {show(comparison)}."
        )
    if data.attrs.get("kind") != "comparison":
        raise ValueError("Argument `comparison` must be a comparison, but is a result: pass fl.compare(theory, *runs).")
    if data.sizes.get("size", 0) < 2:
        raise ValueError("A deviation against the size needs at least two sizes: bring runs of several.")
    return data


def _names(data: xr.Dataset, variable: str | None) -> list[str]:
    """Return the variables to draw; the entries of a matrix, such as Q[0, 1], count as one, and can be asked for apart."""
    entries = [str(name) for name in data["variable"].values]
    known = list(dict.fromkeys(name.partition("[")[0] for name in entries))
    if variable is None:
        return known
    if variable not in (*known, *entries):
        hint = did_you_mean(variable, known) or f"; it has {', '.join(known)}."
        raise ValueError(f"The comparison has no variable `{variable}`{hint}")
    return [variable]


def _measure(data: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the relative deviation of every size and its error."""
    all_names = [str(entry) for entry in data["variable"].values]
    part = data.isel(variable=[i for i, entry in enumerate(all_names) if name in (entry, entry.partition("[")[0])])
    rows = [part[key].transpose("size", "variable", "time").values for key in ("deviation", "standard_error")]
    deviation, error = (values.reshape(len(values), -1) for values in rows)
    error = np.nan_to_num(error)
    scale = float(np.abs(part["theory"].values).max()) or 1.0
    level = np.sqrt((deviation**2).mean(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(level > 0, (np.abs(deviation) * error).mean(axis=1) / level, 0.0)
    return level / scale, spread / scale


def _guide(axes: Axes, sizes: np.ndarray, levels: list[np.ndarray], letter: str) -> None:
    """Draw a line of slope -1 that begins above the data: a wrong theory, whose deviation does not fall, crosses it."""
    height = max(float(level[sizes.argmin()]) for level in levels) * float(sizes.min())
    if height > 0:
        axes.plot(
            sizes, 1.5 * height / sizes, "--", color=style.GUIDE, lw=1.0, label=f"$\\propto 1/{letter}$", zorder=2
        )


def _limits(levels: list[np.ndarray]) -> tuple[float, float, float]:
    """Return the lower end of the axis, of the data above the legend, and the upper end."""
    joined = np.concatenate(levels)
    positive = joined[joined > 0]
    if not positive.size:
        return 1e-17, 1e-16, 1.0
    low, high = np.log10(positive.min() / 1.5), np.log10(2.5 * positive.max())
    # The legend, one row for its title and one per two entries, stands below the data.
    share = 0.07 + 0.085 * (1 + (len(levels) + 2) // COLUMNS)
    return 10 ** (low - (high - low) * share / (1 - share)), 10**low, 10**high


def _legend_name(comparison: Any, name: str) -> str:
    theory = getattr(comparison, "theory", None)
    symbol = theory[name].attrs.get("symbol", "") if theory is not None and name in theory else ""
    return style.formula(str(symbol)) or name.replace("_", " ")


def _exponent(comparison: Any, data: xr.Dataset) -> str | None:
    values = [getattr(comparison, key, data.attrs.get(key, math.nan)) for key in ("exponent", "exponent_error")]
    if not all(isinstance(value, float) and math.isfinite(value) for value in values):
        return None
    # A power law of a few sizes is not known better, and an error of 0.00 would say that it is.
    return f"fitted exponent ${values[0]:.2f} \\pm {max(values[1], LEAST_ERROR):.2f}$"


EARLIER = 5.0
FIRST = ("overlap", "multiplier", "risk")


def overview(comparison: Any, *, variables: tuple[str, str] | None = None) -> Figure:
    """Draw two variables of a comparison in time, and the deviation against the size.

    The theory is drawn on a fine grid: the comparison holds the problem, which is solved again.

    Parameters
    ----------
    comparison : Comparison
        What `flowlimits.compare` or `flowlimits.convergence` returned for several sizes.
    variables : (str, str), optional
        The variables to draw; by default the first two of overlap, multiplier, risk that it has.

    Returns
    -------
    matplotlib.figure.Figure
        As wide as a page.

    Raises
    ------
    TypeError, ValueError
        As `flowlimits.plot.convergence` and `flowlimits.plot.curves`.
    """
    data = data_of(comparison)
    chosen = variables or _choose([str(name) for name in data["variable"].values if str(name) in comparison.theory])
    figure = style.new_figure(7.0, 2.8)
    panels = np.atleast_1d(figure.subplots(1, len(chosen) + 1))
    for panel in panels:
        style.dress(panel)
    smooth = _smooth(comparison.theory)
    labels = [str(comparison.theory.attrs["kind"]), *(size_label(run) for run in comparison.runs)]
    for number, (panel, variable) in enumerate(zip(panels, chosen)):
        curves(smooth, *comparison.runs, variable=variable, ax=panel, labels=labels, legend=False)
        if number == 0:
            style.add_legend(panel)
    convergence(comparison, ax=panels[-1])
    return figure


def _choose(known: list[str]) -> tuple[str, ...]:
    return tuple(sorted(known, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))[:2])


def _smooth(theory: xr.Dataset) -> xr.Dataset:
    """Return the theory on a fine grid; a logarithmic one begins earlier, to show where the curve comes from."""
    from ..core.problem import load_problem

    times = theory["time"].values
    if times.size < 2 or not theory.attrs.get("problem"):
        return theory
    geometric = style.is_geometric(times) and times[0] > 0
    fine = np.geomspace(times[0] / EARLIER, times[-1], 200) if geometric else np.linspace(times[0], times[-1], 200)
    return load_problem(theory).solve(fine)
