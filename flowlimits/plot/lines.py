"""Curves in time: theories as lines, simulations as points or bands with their standard error."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import choice, did_you_mean, integer, show
from . import style
from .labels import entry_labels, identity, is_theory, result_labels

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MOST_LABELS = 9  # labels of the curves of one variable; of more, some that are spread evenly are named
MOST_APART = 12  # entries told apart by colour and line together; more are shades in order
MOST_SKIPPED = 100  # marks of times without a value
SCALES = ("linear", "log")
MODES = ("points", "band")
#: What is drawn unless a variable is named: the first that all results have.
DEFAULTS = ("overlap", "risk", "margin", "residual")


@dataclass(frozen=True)
class Look:
    """How one result is drawn."""

    label: str
    colour: str
    line: str
    marker: str


def curves(
    *results: xr.Dataset,
    variable: str | None = None,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    xscale: str | None = None,
    yscale: str | None = None,
    runs_as: str | None = None,
    dimension: int | None = None,
    legend: bool = True,
) -> Axes:
    """Draw a variable of several results against time.

    A theory is a line.  A simulation is the mean over its runs with one standard error of that mean, a measurement
    has the error it came with: points with bars; a single run has no error.  Of more than 40 times some two dozen are
    drawn as points beside a theory, and all as a line in a band without one.  Times without a value are marked by a
    cross below the curves, values at time 0 by a triangle at the edge of a logarithmic axis.

    Parameters
    ----------
    *results : xarray.Dataset
        Theories and simulations of one clock, in any order.
    variable : str, optional
        The variable to draw; the first of "overlap", "risk", "margin" and "residual" that all results have.  Of a variable with further
        dimensions, such as a matrix, the eigenvalues or the problems of a batch, every entry is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None makes a new figure of the width of a journal column.  A second call on the same Axes goes on
        with the next colours, and the legend then names the variables if there are several.
    labels : sequence of str, optional
        One label per result.  By default the kind, the size and the number of runs, and the parameters, numbers
        or words, in which the problems, or else the calls, differ.
    xscale, yscale : {"linear", "log"}, optional
        By default the time is logarithmic where the grid is geometric, and the variable where it is positive and
        spans at least one and a half decades, unless it is a logarithm.  A logarithmic time axis cannot show the time 0.
    runs_as : {"points", "band"}, optional
        How simulations are drawn, at all of their times.
    dimension : int, optional
        Draw where single runs of this dimension lie: the mean and one standard deviation that theories solved with
        ``fluctuations=True`` predict, at the times at which the dimension is large enough for it.
    legend : bool, optional
        Draw a legend.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If there is no result, or one is no Dataset.
    ValueError
        If a result lacks the variable or the time, the clocks differ, the number of labels is wrong, or no theory
        predicts the deviations of runs that `dimension` asks for.

    Examples
    --------
    >>> ax = fl.plot.curves(limit, runs, variable="risk")  # doctest: +SKIP
    >>> ax.figure.savefig("risk.pdf")  # doctest: +SKIP
    """
    _check(results)
    name = _choose_variable(results, variable)
    for option, value, known in (("xscale", xscale, SCALES), ("yscale", yscale, SCALES), ("runs_as", runs_as, MODES)):
        if value is not None:
            choice(option, value, known)
    if dimension is not None:
        dimension = integer("dimension", dimension, minimum=1)
        if not any(f"std_{name}" in result for result in results):
            raise ValueError(
                f"Argument `dimension` needs a theory solved with fluctuations=True, but none predicts how {name} deviates."
            )
    axes = style.check_axes(ax)
    before = _drawn(axes)

    looks = list(_looks(results, result_labels(results, labels), len({kept[:2] for kept in before if kept[1]})))
    means = [_mean(result, name)[0] for result in results]
    times = max((result["time"].values for result in results), key=len)
    xscale = xscale or ("log" if style.is_geometric(times) else "linear")
    axes.set_xscale(xscale)
    shown = [np.asarray(line.get_ydata(), dtype=float) for *_, line in before if hasattr(line, "get_ydata")] + means
    decades = style.spans_decades(shown) and not name.startswith("log_")
    yscale = yscale or ("log" if decades else "linear")
    if yscale == "log":
        axes.set_yscale("log", nonpositive="clip")
        _keep_to_the_means(axes, shown)
    else:
        axes.set_yscale("linear")
    beside = any(is_theory(result) for result in results) or bool(before)
    theories = sum(is_theory(result) for result in results)
    simulations = [i for i, result in enumerate(results) if not is_theory(result)]
    for i, (look, result) in enumerate(zip(looks, results)):
        mode = runs_as or ("points" if beside or result["time"].size <= style.MANY_TIMES else "band")
        place = (simulations.index(i), len(simulations)) if i in simulations else (0, 1)
        own = result["time"].values
        some = np.arange(own.size) if runs_as else style.thinned(own, xscale, place)
        _draw(axes, result, name, look, mode, some, first=i == 0, styles=theories == 1)
        if dimension is not None and f"std_{name}" in result:
            _draw_predicted(axes, result, name, look, dimension)
    _mark_skipped(axes, results, name, looks, xscale)
    axes.set_xlabel(style.clock_label(results[0]))
    axes.set_ylabel(_quantities(axes, results[0], name, before))
    if legend:
        style.add_legend(axes, **({"ncols": 2} if len(axes.get_legend_handles_labels()[0]) > 6 else {}))
    return axes


def _check(results: Sequence[Any]) -> None:
    import xarray as xr

    if not results:
        raise TypeError("There is nothing to draw: give at least one result.")
    for result in results:
        if not isinstance(result, xr.Dataset):
            raise TypeError(f"Argument `results` must hold xarray.Datasets, but holds {show(result)}.")
        if "time" not in result.dims:
            raise ValueError("A result without the dimension `time` has no curve.")
    clocks = sorted({str(r.attrs["clock"]) for r in results if r.attrs.get("clock")})
    if len(clocks) > 1:
        raise ValueError(f"The results have different clocks ({'; '.join(clocks)}): draw them apart.")


def _choose_variable(results: Sequence[xr.Dataset], variable: str | None) -> str:
    if variable is None:
        shared = (name for name in DEFAULTS if all(name in result for result in results))
        variable = next(shared, "risk")
    for result in results:
        known = [str(name) for name, values in result.data_vars.items() if "time" in values.dims]
        if variable not in known:
            hint = did_you_mean(variable, known) or f"; it has {', '.join(known) or 'none'}."
            raise ValueError(f"A result has no variable `{variable}` in time{hint}")
    return variable


def _looks(results: Sequence[xr.Dataset], labels: Sequence[str], shift: int) -> Iterator[Look]:
    """Give a single theory black and its simulations colours; several theories share colours with their simulations.

    Curves that come to Axes which have some already, `shift` in number, begin with the next colour.
    """
    problems = [identity(result) for result in results]
    theories = {problem for problem, result in zip(problems, results) if is_theory(result)}
    several = len(theories) > 1 or bool(shift and theories)
    lines = simulations = 0
    colour_of: dict[Hashable, str] = {}
    for result, problem in zip(results, problems):
        if is_theory(result):
            colour_of.setdefault(problem, style.COLOURS[(shift + len(colour_of)) % len(style.COLOURS)])
    for result, problem, label in zip(results, problems, labels):
        following = style.COLOURS[(shift + simulations) % len(style.COLOURS)]
        if is_theory(result):
            colour = colour_of[problem] if several else style.THEORY
            yield Look(label, colour, style.LINES[(shift + lines) % len(style.LINES)], "")
            lines += 1
        else:
            colour = colour_of.get(problem, following) if several else following
            yield Look(label, colour, "-", style.MARKERS[(shift + simulations) % len(style.MARKERS)])
            simulations += 1


def _drawn(axes: Axes) -> list[tuple[str, str, Any]]:
    """Return variable, label and artist of the curves that this module has drawn on Axes before."""
    return [tuple(kept) for kept in getattr(axes, "flowlimits_curves", [])]


def _remember(axes: Axes, name: str, label: str, artist: Any) -> None:
    axes.flowlimits_curves = [*getattr(axes, "flowlimits_curves", []), (name, label, artist)]  # type: ignore[attr-defined]


def _quantities(axes: Axes, result: xr.Dataset, name: str, before: list[tuple[str, str, Any]]) -> str:
    """Return the label of the vertical axis; where it stands for several quantities, the legend names them."""
    names = list(dict.fromkeys([*(key for key, *_ in before), name]))
    if len(names) == 1:
        return style.variable_label(result, name, axes)
    for key, label, artist in _drawn(axes):
        if label:
            artist.set_label(f"{key.replace('_', ' ')}, {label}")
    return ", ".join(key.replace("_", " ") for key in names)


def _mean(result: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mean over the runs and its standard error, time first and all entries in the second axis.

    Measurements that were wrapped have no runs, and their error, if given, in a variable of its own.
    """
    values = result[name]
    rest = [dim for dim in values.dims if dim not in ("run", "time")]
    if "run" not in values.dims:
        flat = values.transpose("time", *rest).values
        given = result.get(f"{name}_error")
        error = None if given is None else given.transpose("time", *rest).values.reshape(len(flat), -1)
        return flat.reshape(len(flat), -1), error
    array = values.transpose("run", "time", *rest).values
    array = array.reshape(*array.shape[:2], -1)
    if len(array) < 2:
        return array[0], None
    return array.mean(axis=0), array.std(axis=0, ddof=1) / np.sqrt(len(array))


def _draw(
    axes: Axes, result: xr.Dataset, name: str, look: Look, mode: str, some: np.ndarray, *, first: bool, styles: bool
) -> None:
    """Draw all entries of a variable of one result; colours tell entries apart, lines and markers results.

    With `styles` the entries of a theory differ in their lines too, so that those of equal values are all seen.
    """
    times = result["time"].values
    mean, error = _mean(result, name)
    entries = entry_labels(result, name)
    named = style.spread(len(entries), MOST_LABELS)
    for entry, told in enumerate(entries):
        alone = len(entries) == 1
        apart = style.COLOURS[entry % len(style.COLOURS)] if len(entries) <= MOST_APART else None
        colour = look.colour if alone else apart or style.line_colour(entry, len(entries))
        label = look.label if alone else _entry_label(look.label, told, entry, named, first)
        if is_theory(result):
            line = (
                style.LINES[entry % len(style.LINES)]
                if styles and not alone and len(entries) <= MOST_APART
                else look.line
            )
            order = 3 + 0.1 * style.LINES.index(line)
            (artist,) = axes.plot(times, mean[:, entry], line, color=colour, lw=1.2, label=label, zorder=order)
            _remember(axes, name, label or "", artist)
            continue
        spread = None if error is None else error[:, entry]
        if mode == "points":
            bars = axes.errorbar(
                times[some], mean[some, entry], None if spread is None else spread[some], fmt=look.marker, color=colour,
                ms=3.2, mew=0.8, mfc="white", elinewidth=0.8, capsize=0, label=label, zorder=4,
            )  # fmt: skip
            _remember(axes, name, label or "", bars)
            continue
        # A band lies on the theory, thin enough to leave it visible.
        (artist,) = axes.plot(times, mean[:, entry], color=colour, lw=0.8, label=label, zorder=5)
        _remember(axes, name, label or "", artist)
        if spread is not None:
            axes.fill_between(
                times, mean[:, entry] - spread, mean[:, entry] + spread, color=colour, alpha=0.35, lw=0, zorder=4
            )


def _draw_predicted(axes: Axes, result: xr.Dataset, name: str, look: Look, dimension: int) -> None:
    """Draw one predicted standard deviation of single runs about their predicted mean, where the prediction holds."""
    mean, std, bias = (_mean(result, one)[0] for one in (name, f"std_{name}", f"bias_{name}"))
    mean, std = mean + bias / dimension, std / np.sqrt(dimension)
    holds = result["needs_dimension"].values <= dimension
    for entry in range(mean.shape[1]):
        apart = style.COLOURS[entry % len(style.COLOURS)] if mean.shape[1] <= MOST_APART else None
        colour = look.colour if mean.shape[1] == 1 else apart or style.line_colour(entry, mean.shape[1])
        axes.fill_between(
            result["time"].values, mean[:, entry] - std[:, entry], mean[:, entry] + std[:, entry], where=holds, color=colour,
            alpha=0.2, lw=0, zorder=2, label=f"runs of $d$ = {dimension}, predicted" if entry == 0 else None,
        )  # fmt: skip


def _entry_label(result: str, told: str, entry: int, named: list[int], first: bool) -> str | None:
    """Name the entries once, with the first result, and every further result with its first entry."""
    if first:
        return told if entry in named else None
    return f"{told}, {result}" if entry == 0 else None


def _mark_skipped(axes: Axes, results: Sequence[xr.Dataset], name: str, looks: Sequence[Look], xscale: str) -> None:
    """Mark times without a value below the curves, and on a logarithmic axis the values at time 0 at its left edge."""
    skipped: list[float] = []
    for result, look in zip(results, looks):
        times, mean = result["time"].values, _mean(result, name)[0]
        skipped += [float(time) for time in times[~np.isfinite(mean).any(axis=1)]]
        if xscale == "log" and times.size and times[0] == 0:
            for value in mean[0][np.isfinite(mean[0])]:
                axes.plot(
                    [0.0], [value], marker="<", ms=4, color=look.colour, ls="none", clip_on=False, zorder=6,
                    transform=axes.get_yaxis_transform(), scalex=False,
                )  # fmt: skip
    if 0 < len(skipped) <= MOST_SKIPPED:
        axes.plot(
            skipped, np.full(len(skipped), 0.02), "x", ms=3.5, mew=0.8, color=style.GUIDE, zorder=6, label="no value",
            transform=axes.get_xaxis_transform(), scaley=False,
        )  # fmt: skip


def _keep_to_the_means(axes: Axes, means: Sequence[np.ndarray]) -> None:
    """Set logarithmic limits by the means: the lower end of an error bar can reach below zero."""
    joined = np.concatenate([mean.ravel() for mean in means])
    joined = joined[np.isfinite(joined) & (joined > 0)]
    if joined.size:
        low, high = np.log10(joined.min()), np.log10(joined.max())
        margin = 0.06 * max(high - low, 0.5)
        axes.set_ylim(10 ** (low - margin), 10 ** (high + margin))
