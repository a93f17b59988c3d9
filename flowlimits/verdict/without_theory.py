"""Runs are judged without a theory: two samples against each other, or several sizes extrapolated to infinite size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..core import checks
from ..core.storage import ARRAYS
from . import effects, judge, points, statistics
from .comparison import Comparison, assemble, curves, table_of
from .extrapolation import extrapolate
from .grids import axis_of, check_axes, clock_of
from .sentences import number, percent, place


def are_runs(*datasets: xr.Dataset) -> bool:
    """Return whether all are simulations or measurements; refuse what is no result."""
    kinds = [points.kind_of(one, f"Argument {i}") for i, one in enumerate(datasets, start=1)]
    return not any(kind in points.THEORIES for kind in kinds)


def compare_two(
    first: xr.Dataset, second: xr.Dataset, variables: Sequence[str] | str | None, level: float, resolution: float
) -> Comparison:
    """Test whether the means of two simulations of one size may be equal, at all points together.

    Each mean has its own error, so that numbers of runs and spreads may differ (Welch).  The largest score that chance
    allows is drawn from the residuals of both, as for one sample.
    """
    check_axes(first, (second,))
    points.check_clocks(first, (second,))
    times = points.check_times((first, second))
    chosen = points.choose(first, (second,), variables, times)
    name = points.size_name((first, second))
    sizes = [int(one.attrs[name]) for one in (first, second)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"Two simulations are compared at one size, but have {name} = {sizes[0]} and {sizes[1]}: compare both with a theory."
        )
    if all("run" in one.dims for one in (first, second)):
        points.samples((first, second), chosen, name)  # refuses runs of equal random streams
    ours, theirs = (points.samples((one,), chosen, name)[0] for one in (first, second))
    for position, one in (("first", ours), ("second", theirs)):
        if one.runs == 1:
            raise ValueError(f"The {position} simulation has a single run, which has no standard error: bring several.")
    judgement = _judge(chosen, ours, theirs, level, resolution)
    arrays = {"theory": ours.mean, "mean": theirs.mean, "deviation": theirs.mean - ours.mean}
    arrays |= {"standard_error": np.hypot(ours.error, theirs.error), "score": judgement.score}
    dataset = table_of(chosen, arrays | {"judged": judgement.judged})
    told = _sentences(judgement, chosen, level, clock_of(first), resolution)
    return assemble(judgement, chosen, "standard errors", level, dataset, first, (second,), told)


def _judge(
    chosen: points.Points, ours: statistics.Sample, theirs: statistics.Sample, level: float, resolution: float
) -> judge.Judgement:
    scale = effects.scales(chosen, ours.mean, theirs.mean)
    error = np.hypot(np.hypot(ours.error, theirs.error), judge.UNRESOLVED * scale)
    score = judge.scores(theirs.mean - ours.mean, error)
    judged = np.max([np.abs(statistics.skewness([one])) for one in (ours, theirs)], axis=0) <= judge.SKEWED
    if not judged.any():
        return judge.Judgement("undecided: skewed runs", None, np.nan, 0, np.nan, score, judged)
    freedoms = np.array([ours.freedom, theirs.freedom])
    pointwise = statistics.welch_freedom(np.array([ours.error**2, theirs.error**2]), freedoms)
    residuals = np.vstack([ours.residuals, theirs.residuals])
    allowed = judge.allowed_scores(residuals, float(freedoms.sum()), pointwise, judged, level)
    ratio = np.abs(score) / allowed
    index = int(ratio.argmax())
    unseen, where = judge.most_unseen(np.where(judged, allowed, 0.0) * error, scale, judged)
    acquitted = judge.acquit(float(allowed[judged].min()), unseen, resolution)
    verdict, passed = ("differs", False) if ratio[index] > 1 else acquitted
    return judge.Judgement(
        verdict, passed, float(abs(score[index])), index, float(allowed[index]), score, judged, unseen=unseen,
        unseen_index=where,
    )  # fmt: skip


def _sentences(
    judgement: judge.Judgement, chosen: points.Points, level: float, clock: str, resolution: float
) -> list[str]:
    if not judgement.judged.any():
        return [
            f"{judgement.verdict}. No point can be judged: single runs are so skewed that means are not determined."
        ]
    told = [
        f"{judgement.verdict}: largest difference of two simulations {number(judgement.largest)} standard errors "
        f"({place(judgement.index, chosen, clock)}; family-wise level {level:g} over {judgement.score.size} points allows "
        f"{number(judgement.allowed)}).",
        f"A difference of up to {percent(judgement.unseen)} of a variable's scale could go unseen "
        f"({place(judgement.unseen_index, chosen, clock)}); resolution={resolution:g} allows {percent(resolution)}.",
    ]
    skewed = int((~judgement.judged).sum())
    if skewed:
        told.append(f"Not judged: {skewed} of {judgement.judged.size} points, where single runs are too skewed.")
    return told


def order_of(runs: Sequence[xr.Dataset]) -> int:
    """Return the power of the inverse size by which runs deviate from their limit: 1, or what all of them state.

    Raises
    ------
    ValueError
        If they state different ones.
    """
    orders = {int(run.attrs.get("order", 1)) for run in runs}
    if len(orders) > 1:
        raise ValueError("Some runs deviate as 1/d and others as 1/d^2: compare one kind of `data` at a time.")
    return orders.pop()


def extrapolate_runs(runs: Sequence[xr.Dataset], variables: Sequence[str] | str | None = None) -> xr.Dataset:
    """Return the variables of the runs at infinite size.

    Parameters
    ----------
    runs : sequence of xarray.Dataset
        Simulations of at least two sizes, of at least two runs each, on one time grid.
    variables : str or sequence of str, optional
        By default all but ordered eigenvalues.

    Returns
    -------
    xarray.Dataset
        Of kind "extrapolated": every variable with its standard error as ``name_error``, neglected orders included.
    """
    first, name, order = runs[0], points.size_name(runs), order_of(runs)
    times = points.check_times(runs)
    chosen = points.choose(first, runs, variables, times)
    samples = points.samples(runs, chosen, name)
    if len(samples) < 2:
        raise ValueError("Runs of one size cannot be extrapolated: bring two sizes or more.")
    _check_ratios(runs)
    means, variances = np.array([one.mean for one in samples]), np.array([one.error**2 for one in samples])
    scale = effects.scales(chosen, *means)
    widths = [
        points.smallest_width(next(run for run in runs if int(run.attrs[name]) == one.size), one.size)
        for one in samples
    ]
    plausible = [effects.plausible_effect(chosen, scale, one, w) * one.size**order for one, w in zip(samples, widths)]
    inverse = np.array([float(one.size) ** -order for one in samples])
    # Some variables do not scatter: round-off is their error.
    variances = variances + (judge.UNRESOLVED * scale) ** 2
    base = means[-1]
    found = extrapolate(
        inverse, means - base, variances, chosen.labels, chosen.point_times, None, np.max(plausible, axis=0)
    )
    attrs = {key: first.attrs[key] for key in ("clock", "problem", ARRAYS, "schema") if key in first.attrs}
    attrs |= {"kind": "extrapolated", "sizes": [one.size for one in samples], "order": order}
    attrs["runs"] = [one.runs for one in samples]
    data = curves(first, chosen, base + found.deviation, found.error)
    made = xr.Dataset(data, coords={"time": first["time"]}, attrs=attrs)
    return made if axis_of(first) == "time" else made.isel(time=0, drop=True)


def _check_ratios(runs: Sequence[xr.Dataset]) -> None:
    """Warn where sizes round the ratios: without a theory nothing corrects for it."""
    for ratio in points.RATIOS:
        values = {round(float(run.attrs[ratio]), 9) for run in runs if ratio in run.attrs}
        if len(values) > 1:
            shown = ", ".join(f"{value:.4g}" for value in sorted(values))
            checks.warn(
                f"Widths are rounded differently at these sizes ({ratio.removeprefix('realised_')} {shown}), which no theory corrects: "
                "choose sizes at which they are whole numbers."
            )
