"""Verdicts in words.  The sentences are part of the interface: tests compare them word by word."""

from __future__ import annotations

import math

import numpy as np

from .effects import FINITE_SIZE, Prediction
from .judge import FEW_RUNS, NOT_RESOLVED, TOLERANCES, TOO_SMALL, Judgement
from .points import SIZES, Points
from .statistics import Sample

CLOCK = "time"
_UNITS = " Check the units of your measurements: fl.conventions.Training turns steps and losses into times and risks."
_FEW = "So few runs leave so wide a margin that next to no theory would fail: bring eight or more."


def number(value: float) -> str:
    """Return a short form of a number: two or three digits, no exponent where a reader does not need one."""
    if not np.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = 0 if abs(value) >= 100 else (1 if abs(value) >= 10 else 2)
        return f"{value:.{digits}f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    return f"{value:.1e}"


def percent(value: float) -> str:
    """Return a share as a percentage of two digits."""
    return f"{100 * value:.2g} %"


def _points(points: Points) -> str:
    counted = _count(len(points.entries), "variable")
    if not points.axis:
        return counted
    noun = "time" if points.axis == "time" else "value"
    return f"{_count(points.times.size, noun)} x {counted}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def place(index: int, points: Points, clock: str) -> str:
    """Return the variable of a point, and its time where there are times."""
    variable, time = points.where(index)
    return f"{variable} at {clock} = {time:.3g}" if points.axis else variable


def _largest(judgement: Judgement, points: Points, level: float, clock: str) -> str:
    return (
        f"largest deviation {number(judgement.largest)} standard errors ({place(judgement.index, points, clock)}; "
        f"family-wise level {level:g} over {_points(points)} allows {number(judgement.allowed)})"
    )


def _not_judged(judgement: Judgement, points: Points) -> list[str]:
    total, told = judgement.judged.size, []
    early = np.zeros(total, dtype=bool) if judgement.early is None else judgement.early
    if early.any():
        told.append(
            f"Not judged: {int(early.sum())} of {total} points, up to time {points.point_times[early].max():.3g}, "
            "where runs of the smallest size still relax to the limit."
        )
    skewed = int((~judgement.judged & ~early).sum())
    if skewed:
        told.append(
            f"Not judged: {skewed} of {total} points, where single runs are so skewed that their mean is not determined."
        )
    return told


def _unseen(judgement: Judgement, points: Points, clock: str) -> str:
    return (
        f"a deviation of up to {percent(judgement.unseen)} of a variable's scale could go unseen "
        f"({place(judgement.unseen_index, points, clock)})"
    )


def _more(judgement: Judgement, letter: str, sizes: list[int], runs: int, resolution: float) -> str:
    """Return which runs or sizes would resolve what is not resolved."""
    excess = judgement.unseen / resolution
    if runs and judgement.unseen_noise > 0.7 * judgement.unseen:
        return f"runs={_round_up(runs * excess**2)} would do"
    factor = math.ceil(excess if len(sizes) == 1 else math.sqrt(excess)) if excess > 1 else 2
    listed = [size * max(2, factor) for size in sizes]
    if len(sizes) == 1:
        listed = [sizes[0], 2 * sizes[0], 4 * sizes[0]]
    return f"sizes {letter} = {', '.join(map(str, listed))} would do"


def _round_up(value: float) -> int:
    """Return a whole number of two digits that is not smaller."""
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _one_run(judgement: Judgement, points: Points, letter: str, clock: str) -> list[str]:
    return [
        f"{judgement.verdict}. A single run at {letter} = {judgement.size} has no standard error; its largest deviation is "
        f"{percent(judgement.relative)} of the variable's scale ({place(judgement.index, points, clock)}). Bring several runs."
    ]


def _sizes_advice(size: int, name: str, runs: int, measured: bool) -> str:
    if measured:
        return (
            f"Measure at {name} = {2 * size} and {4 * size} too, at the same times, and pass all to fl.compare.{_UNITS}"
        )
    return f"Bring several sizes: fl.convergence(problem, times, sizes=[{size}, {2 * size}, {4 * size}], runs={runs})."


def clock_factor(factor: float, error: float, clock: str) -> str:
    """Return the sentence on a clock that would explain a deviation; it follows another one."""
    digits = int(np.clip(np.ceil(-np.log10(max(error, 1e-12))), 0, 12))
    return f" A constant factor in the clock would explain it: the runs follow the theory at {factor:.{digits}f} +- {error:.1g} times their {clock}."


def _by_tolerance(judgement: Judgement, points: Points, tolerance: float, clock: str) -> list[str]:
    """Return the sentences on a single run that was judged by a tolerance."""
    return [
        f"{judgement.verdict}: largest deviation {percent(judgement.relative)} of the variable's scale ({place(judgement.index, points, clock)}; "
        f"{_points(points)}); tolerance={tolerance:g} allows {percent(tolerance)}.",
        *_not_judged(judgement, points),
    ]


def one_size(
    judgement: Judgement,
    points: Points,
    sample: Sample,
    name: str,
    level: float,
    width: float,
    exact: bool,
    clock: str = CLOCK,
    resolution: float = 0.05,
    cause: str = "",
    measured: bool = False,
    tolerance: float | None = None,
    counted: str = "smallest width",
    predicted: Prediction | None = None,
) -> list[str]:
    """Return the sentences on runs of one size; `cause` names what else may explain a deviation, and `counted` what `width` is.

    Of runs that were `measured` by the user the advice speaks of measurements.
    """
    letter = SIZES[name]
    if sample.runs == 1 and tolerance is not None and judgement.passed is not None:
        return _by_tolerance(judgement, points, tolerance, clock)
    if sample.runs == 1:
        return _one_run(judgement, points, letter, clock)
    if not judgement.judged.any():
        return [f"{judgement.verdict}. No point can be judged.", *_not_judged(judgement, points)]
    largest = _largest(judgement, points, level, clock)
    here = f"{letter} = {sample.size}" + (f" ({_count(sample.runs, 'run')})" if sample.runs else "")
    cause = cause or (_UNITS if measured else "")
    factor = f"{letter} x deviation" if width == sample.size else f"deviation x {counted} ({width:g})"
    effect = (
        f"beyond its error, {factor} is {number(judgement.relative)} times the variable's scale, "
        f"and up to {FINITE_SIZE:g} counts as O(1/{letter})"
    )
    if judgement.verdict == "agrees":
        told = [f"agrees: {largest}.", f"One size, {here}: {_unseen(judgement, points, clock)}."]
    elif judgement.verdict == NOT_RESOLVED:
        more = _more(judgement, letter, [sample.size], sample.runs, resolution)
        told = [
            f"{NOT_RESOLVED}. {_upper(largest)}.",
            f"Nothing contradicts the theory, but at {here} {_unseen(judgement, points, clock)}, and "
            f"resolution={resolution:g} allows {percent(resolution)}: {more}.",
        ]
    elif judgement.verdict == FEW_RUNS:
        told = [f"{FEW_RUNS}. {_upper(largest)}.", _FEW]
    elif judgement.verdict == "differs":
        if tolerance is not None:
            why = f"At {here} more than tolerance={tolerance:g} allows, {percent(tolerance)} of a variable's scale."
        elif predicted is not None and predicted.shift.any():
            why = f"The bias that the theory predicts at {here} is subtracted, and does not explain it."
        else:
            why = f"Too large for an effect of finite size at {here}: {effect}."
        told = [f"differs: {largest}.", why + cause]
    else:
        why = f"At {here} it may be an effect of finite size: {effect}. "
        why += _sizes_advice(judgement.size, name, max(sample.runs, 2), measured)
        if exact:
            why = f"At {here} it may be an error of the simulation, since the theory is exact at every size: {effect}."
            why += cause or " Simulate with a smaller step."
        told = [f"undecided: one size. {_upper(largest)}.", why]
    if predicted is not None:
        told.append(predicted.said)
    return told + _not_judged(judgement, points)


def several_sizes(
    judgement: Judgement,
    points: Points,
    samples: list[Sample],
    name: str,
    level: float,
    clock: str = CLOCK,
    resolution: float = 0.05,
    cause: str = "",
    order: int = 1,
) -> list[str]:
    """Return the sentences on runs of several sizes."""
    letter = SIZES[name]
    found = judgement.extrapolation
    if found is None:
        return _one_run(judgement, points, letter, clock)
    if not judgement.judged.any():
        return [f"{judgement.verdict}. No point can be judged.", *_not_judged(judgement, points)]
    sizes = ", ".join(str(one.size) for one in samples)
    counts = sorted({one.runs for one in samples if one.runs})
    runs = f" ({' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} runs each)" if counts else ""
    largest = _largest(judgement, points, level, clock)
    told = [
        f"{judgement.verdict}: {largest}.{cause if judgement.verdict == 'differs' else ''}"
        if judgement.verdict in ("agrees", "differs")
        else f"{judgement.verdict}. {_upper(largest)}.{' ' + _FEW if judgement.verdict == FEW_RUNS else ''}",
        f"Extrapolated to infinite {name.replace('_', ' ')} from {letter} = {sizes}{runs}: {_unseen(judgement, points, clock)}.",
    ]
    listed = [one.size for one in samples]
    if judgement.verdict == NOT_RESOLVED:
        more = _more(judgement, letter, listed, counts[-1] if counts else 0, resolution)
        told.append(
            f"Nothing contradicts the theory, but resolution={resolution:g} allows {percent(resolution)}: {more}."
        )
    if judgement.verdict == TOO_SMALL:
        told.append(
            f"What these sizes show is no expansion in 1/{letter} yet: without {letter} = {listed[0]} the deviation is within "
            f"its error, or its power of {letter} is neither that of a correction nor of a wrong theory. Bring larger sizes, such as "
            f"{', '.join(str(4 * size) for size in listed)}."
        )
    if np.isnan(judgement.exponent):
        told.append("The deviation is too small beside its error at some size for an exponent.")
    else:
        error = max(judgement.exponent_error, 0.01)
        verb = "falls" if judgement.exponent < -0.5 else "goes"
        told.append(f"Deviation {verb} as {letter}^{judgement.exponent:.2f} +- {error:.2f} (expected -{order}).")
    return told + _not_judged(judgement, points)


def two_theories(judgement: Judgement, points: Points, clock: str = CLOCK) -> list[str]:
    """Return the sentences on two theories."""
    return [
        f"{judgement.verdict}: largest difference {number(judgement.largest)} tolerances ({place(judgement.index, points, clock)}; "
        f"{_points(points)}).",
        f"Up to {TOLERANCES:g} are allowed: tolerances bound the error of a step, not that of the whole solution.",
    ]
