"""The spectrum of a matrix: simulated eigenvalues against the limiting density, atoms apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import integer, show, times
from . import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

HEADROOM = 1.18  # above the density, for the legend
SUPPORT = 1e-6  # of the largest density: below it there is none
UNEQUAL = 25.0  # bulks whose heights differ by more share a logarithmic axis
TOGETHER = 1e-6  # eigenvalues nearer than this, relative to the largest, are one degenerate eigenvalue


def spectrum(
    limit: xr.Dataset,
    runs: xr.Dataset | None = None,
    *,
    time: float | None = None,
    ax: Axes | None = None,
    bins: int | None = None,
) -> Axes:
    """Draw the limiting density of a spectrum, over the histogram of simulated eigenvalues.

    Atoms are no part of a density and have a scale of their own, the weight, on the right: filled for the limit,
    hollow for the degenerate eigenvalues of the runs that lie at an atom.  The area under the density, or under
    the histogram, is one minus the weight of the atoms.  Each bulk has bins of its own width; the density is
    logarithmic where the heights of the bulks differ by more than a factor 25.

    Parameters
    ----------
    limit : xarray.Dataset
        A limit with `density (time, energy)` and, if it has atoms, `atom_position` and `atom_weight (time, atom)`.
    runs : xarray.Dataset, optional
        A simulation with `eigenvalues (run, time, eigenvalue)`.
    time : float, optional
        The time, one of those of the results; None is the last one.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None makes a new figure of the width of a journal column.
    bins : int, optional
        The number of equal bins between the smallest and the largest value shown.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `limit` or `runs` is no Dataset.
    ValueError
        If the results hold no spectrum, or not at that time.
    """
    _check(limit, "limit", "density", "solve(times, spectrum=energies)")
    if runs is not None:
        _check(runs, "runs", "eigenvalues", 'simulate(times, observables=[..., "eigenvalues"])')
    if bins is not None:
        integer("bins", bins, minimum=1)
    instant = float(limit["time"].values[-1] if time is None else times([time], "time")[0])
    axes = style.check_axes(ax)

    here = limit.isel(time=_index(limit, "limit", instant))
    energies, density = here["energy"].values, here["density"].values
    positions, weights = _atoms(here)
    values = _eigenvalues(runs, instant)
    bulks = _bulks(energies, density)
    shown = [np.ravel(bulks), positions]
    if values is not None:
        loose, found = _split(values, positions)
        shown.append(loose)
        _histogram(axes, loose, values, bulks, bins, _runs_label(runs, values))
    axes.plot(energies, density, color=style.THEORY, lw=1.2, label="limit", zorder=3)
    _scale(axes, density, [density[(energies >= low) & (energies <= high)].max() for low, high in bulks])
    _limit(axes, np.concatenate(shown))
    if positions.size:
        _draw_atoms(axes, positions, weights, None if values is None else found)
    axes.set_xlabel(_energy_label(limit))
    axes.set_ylabel(f"spectral density  {style.formula(str(limit['density'].attrs.get('symbol', '')))}".strip())
    style.add_legend(axes, loc="upper center", ncols=2, columnspacing=1.2)
    return axes


def _bulks(energies: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Return both ends of each interval on which there is a density, shape (bulks, 2)."""
    inside = density > SUPPORT * density.max() if density.size else np.zeros(0, dtype=bool)
    steps = np.diff(np.concatenate([[0], inside.astype(int), [0]]))
    first, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    low, high = np.maximum(first - 1, 0), np.minimum(last + 1, energies.size - 1)
    return np.column_stack([energies[low], energies[high]])


def _scale(axes: Axes, density: np.ndarray, heights: list[float]) -> None:
    """Leave room for the legend, and make the density logarithmic where one bulk would hide the others."""
    if heights and max(heights) > UNEQUAL * min(heights):
        axes.set_yscale("log", nonpositive="clip")
        low, high = np.log10(min(heights) / UNEQUAL), np.log10(1.5 * max(heights))
        axes.set_ylim(10**low, 10 ** (low + HEADROOM * (high - low)))
    else:
        axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])


def _limit(axes: Axes, shown: np.ndarray) -> None:
    """Show where there is something: the grid of energies may reach far beyond."""
    if shown.size and np.ptp(shown) > 0:
        margin = 0.05 * np.ptp(shown)
        axes.set_xlim(shown.min() - margin, shown.max() + margin)


def _check(result: Any, argument: str, variable: str, advice: str) -> None:
    import xarray as xr

    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `{argument}` must be an xarray.Dataset, but is {show(result)}.")
    if variable not in result or "time" not in result.dims:
        raise ValueError(f"Argument `{argument}` holds no variable `{variable}` in time: ask for it with {advice}.")


def _index(result: xr.Dataset, argument: str, instant: float) -> int:
    times = result["time"].values
    nearest = int(np.argmin(np.abs(times - instant)))
    if not np.isclose(times[nearest], instant, rtol=1e-6, atol=1e-12):
        raise ValueError(
            f"Argument `{argument}` has no spectrum at the time {instant:g}; the nearest is {times[nearest]:g}."
        )
    return nearest


def _atoms(here: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    if "atom_position" not in here or "atom_weight" not in here:
        return np.empty(0), np.empty(0)
    positions, weights = here["atom_position"].values, here["atom_weight"].values
    real = np.isfinite(positions) & (weights > 1e-12)
    return positions[real], weights[real]


def _eigenvalues(runs: xr.Dataset | None, instant: float) -> np.ndarray | None:
    if runs is None:
        return None
    values = runs["eigenvalues"].isel(time=_index(runs, "runs", instant)).values
    return np.sort(np.atleast_2d(values), axis=-1)


def _split(values: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues outside the atoms, and position and weight of each simulated atom, averaged over runs.

    Degenerate eigenvalues of a run belong to the nearest atom of the limit; whether they are degenerate is judged
    from the run alone.
    """
    scale = max(float(np.abs(values).max()), np.finfo(float).tiny)
    apart = np.diff(values, axis=1) > TOGETHER * scale
    edge = np.ones((len(values), 1), dtype=bool)
    degenerate = ~(np.hstack([edge, apart]) & np.hstack([apart, edge]))
    reach = 0.1 * scale
    found = []
    for position in positions:
        nearest = np.abs(positions[:, None, None] - values).argmin(axis=0) == np.flatnonzero(positions == position)[0]
        members = degenerate & nearest & (np.abs(values - position) < reach)
        if members.any():
            found.append((values[members].mean(), members.sum() / values.size))
            degenerate = degenerate & ~members
            values = np.where(members, np.nan, values)
    return values[np.isfinite(values)], np.array(found).reshape(-1, 2)


def _histogram(
    axes: Axes, loose: np.ndarray, values: np.ndarray, bulks: np.ndarray, bins: int | None, label: str
) -> None:
    if not loose.size:
        return
    if bins is not None:
        ends = [*np.ravel(bulks), loose.min(), loose.max()]
        edges = np.linspace(min(ends), max(ends), bins + 1)
    else:
        edges = _edges(loose, bulks)
    heights, _ = np.histogram(loose, edges)
    axes.stairs(
        heights / (values.size * np.diff(edges)), edges, fill=True, color=style.COLOURS[5], alpha=0.55, label=label
    )


def _edges(loose: np.ndarray, bulks: np.ndarray) -> np.ndarray:
    """Return bins for each bulk apart, its ends moved out to the eigenvalues of the runs that belong to it."""
    if not len(bulks):
        bulks = np.array([[loose.min(), loose.max()]])
    outside = np.maximum(bulks[:, :1] - loose, loose - bulks[:, 1:]).clip(0)
    nearest = outside.argmin(axis=0)
    edges: list[np.ndarray] = []
    for bulk, (low, high) in enumerate(bulks):
        members = loose[nearest == bulk]
        if members.size:
            low, high = min(low, members.min()), max(high, members.max())
            high = max(high, np.nextafter(low, np.inf))
        count = int(np.clip(2 * members.size ** (1 / 3), 12, 80))
        edges.append(np.linspace(low, high, count + 1))
    return np.unique(np.concatenate(edges))


def _runs_label(runs: xr.Dataset | None, values: np.ndarray) -> str:
    size = f"$d$ = {values.shape[1]}"
    count = 1 if runs is None else runs.sizes.get("run", 1)
    return f"{size}, {count} runs" if count > 1 else size


def _draw_atoms(axes: Axes, positions: np.ndarray, weights: np.ndarray, found: np.ndarray | None) -> None:
    colour = style.COLOURS[1]
    scale = axes.twinx()
    style.dress(scale)
    axes.tick_params(which="both", right=False)
    scale.vlines(positions, 0, weights, color=colour, lw=1.2)
    scale.plot(positions, weights, "o", ms=4, color=colour)
    if found is not None and found.size:
        scale.plot(found[:, 0], found[:, 1], "o", ms=7, mfc="none", mew=1.0, color=colour)
    scale.set_ylim(0, 1.05 * max(1.0, weights.max()))
    scale.set_ylabel("weight of atoms", color=colour)
    scale.tick_params(which="both", colors=colour, left=False, top=False)
    axes.set_zorder(scale.get_zorder() + 1)
    axes.patch.set_visible(False)


def _energy_label(limit: xr.Dataset) -> str:
    attributes = limit["energy"].attrs
    words = str(attributes.get("long_name", "eigenvalue")).replace("d Z", r"$d\,Z$")
    symbol = style.formula(str(attributes.get("symbol", "")))
    return f"{words}  {symbol}".strip()
