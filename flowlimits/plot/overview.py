"""A convergence on one page: curves of theory and runs, and the deviation against the size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import style
from .deviations import convergence, data_of
from .labels import size_label
from .lines import curves

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

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
