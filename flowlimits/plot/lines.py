"""Curves in time: theories as lines, simulations as points or bands with their standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import choice, did_you_mean, show
from . import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MANY_TIMES = 40
THEORIES = ("limit", "exact")
SIZES = {"dimension": "$d$", "student_width": "$p$"}
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
    legend: bool = True,
) -> Axes:
    """Draw a variable of several results against time.

    A theory is a line.  A simulation is the mean over its runs with one standard error of that mean, a measurement
    has the error it came with: points with bars up to 40 times, a line in a band beyond; a single run has no error.

    Parameters
    ----------
    *results : xarray.Dataset
        Theories and simulations of one clock, in any order.
    variable : str, optional
        The variable to draw; the first of "overlap", "risk", "margin" and "residual" that all results have.  Of a variable with further
        dimensions, such as the eigenvalues, every entry is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None makes a new figure of the width of a journal column.
    labels : sequence of str, optional
        One label per result.  By default the kind, the size and the number of runs, and the parameters in which
        the problems differ.
    xscale, yscale : {"linear", "log"}, optional
        By default the time is logarithmic where the grid is geometric, and the variable where it is positive and
        spans at least one and a half decades, unless it is a logarithm.  A logarithmic time axis cannot show the time 0.
    runs_as : {"points", "band"}, optional
        How simulations are drawn.
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
        If a result lacks the variable or the time, the clocks differ, or the number of labels is wrong.

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
    axes = style.check_axes(ax)

    looks = list(_looks(results, _labels(results, labels)))
    for look, result in zip(looks, results):
        _draw(axes, result, name, look, runs_as)

    times = max((result["time"].values for result in results), key=len)
    axes.set_xscale(xscale or ("log" if style.is_geometric(times) else "linear"))
    decades = style.spans_decades([_mean(r, name)[0] for r in results]) and not name.startswith("log_")
    if (yscale or ("log" if decades else "linear")) == "log":
        axes.set_yscale("log", nonpositive="clip")
        _keep_to_the_means(axes, [_mean(r, name)[0] for r in results])
    axes.set_xlabel(style.clock_label(results[0]))
    axes.set_ylabel(style.variable_label(results[0], name))
    if legend:
        style.add_legend(axes)
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


def _labels(results: Sequence[xr.Dataset], labels: Sequence[str] | None) -> list[str]:
    if labels is None:
        parameters = [_scalar_parameters(result) for result in results]
        keys = sorted({key for fields in parameters for key in fields})
        differing = [key for key in keys if len({fields[key] for fields in parameters if key in fields}) > 1]
        return [_label(result, fields, differing) for result, fields in zip(results, parameters)]
    if isinstance(labels, str) or len(labels) != len(results):
        count = "a single string" if isinstance(labels, str) else len(labels)
        raise ValueError(f"Argument `labels` must hold one label per result, that is {len(results)}, but is {count}.")
    return [str(label) for label in labels]


def _label(result: xr.Dataset, fields: dict[str, Any], differing: list[str]) -> str:
    told = [f"{key.replace('_', ' ')} {fields[key]:.3g}" for key in differing if key in fields]
    told.append(str(result.attrs["kind"]) if _is_theory(result) else size_label(result))
    if result.sizes.get("run", 1) > 1:
        told.append(f"{result.sizes['run']} runs")
    return ", ".join(told)


def size_label(result: xr.Dataset) -> str:
    """Return the size of a simulation, such as d = 200, or what it is if it names none."""
    sizes = [f"{letter} = {int(result.attrs[key])}" for key, letter in SIZES.items() if key in result.attrs]
    return sizes[0] if sizes else str(result.attrs.get("kind", "result"))


def _scalar_parameters(result: xr.Dataset) -> dict[str, float]:
    """Return the numbers in the problem of a theory."""
    if not _is_theory(result):
        return {}
    try:
        plain = json.loads(result.attrs.get("problem", "{}"))
    except ValueError:
        return {}
    return {
        key: value for key, value in plain.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _looks(results: Sequence[xr.Dataset], labels: Sequence[str]) -> Iterator[Look]:
    """Give a single theory black and its simulations colours; several theories share colours with their simulations."""
    problems = [str(result.attrs.get("problem", "")) for result in results]
    theories = [problem for problem, result in zip(problems, results) if _is_theory(result)]
    several = len(set(theories)) > 1
    colour_of = {problem: style.COLOURS[i % len(style.COLOURS)] for i, problem in enumerate(dict.fromkeys(theories))}
    lines = simulations = 0
    for result, problem, label in zip(results, problems, labels):
        following = style.COLOURS[simulations % len(style.COLOURS)]
        if _is_theory(result):
            colour = colour_of[problem] if several else style.THEORY
            yield Look(label, colour, style.LINES[lines % len(style.LINES)], "")
            lines += 1
        else:
            colour = colour_of.get(problem, following) if several else following
            yield Look(label, colour, "-", style.MARKERS[simulations % len(style.MARKERS)])
            simulations += 1


def _is_theory(result: xr.Dataset) -> bool:
    return result.attrs.get("kind") in THEORIES


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


def _draw(axes: Axes, result: xr.Dataset, name: str, look: Look, runs_as: str | None) -> None:
    times = result["time"].values
    mean, error = _mean(result, name)
    for entry in range(mean.shape[1]):
        label = look.label if entry == 0 else None
        if _is_theory(result):
            axes.plot(times, mean[:, entry], look.line, color=look.colour, lw=1.2, label=label, zorder=3)
            continue
        spread = None if error is None else error[:, entry]
        if (runs_as or ("points" if times.size <= MANY_TIMES else "band")) == "points":
            axes.errorbar(
                times, mean[:, entry], spread, fmt=look.marker, color=look.colour, ms=3.2, mew=0.8,
                mfc="white", elinewidth=0.8, capsize=0, label=label, zorder=4,
            )  # fmt: skip
            continue
        axes.plot(times, mean[:, entry], color=look.colour, lw=1.0, label=label, zorder=2)
        if spread is not None:
            axes.fill_between(
                times, mean[:, entry] - spread, mean[:, entry] + spread, color=look.colour, alpha=0.3, lw=0, zorder=1
            )


def _keep_to_the_means(axes: Axes, means: Sequence[np.ndarray]) -> None:
    """Set logarithmic limits by the means: the lower end of an error bar can reach below zero."""
    joined = np.concatenate([mean.ravel() for mean in means])
    joined = joined[np.isfinite(joined) & (joined > 0)]
    if joined.size:
        low, high = np.log10(joined.min()), np.log10(joined.max())
        margin = 0.06 * max(high - low, 0.5)
        axes.set_ylim(10 ** (low - margin), 10 ** (high + margin))
