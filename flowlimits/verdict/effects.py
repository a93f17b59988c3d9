"""A deviation may have other causes than an error of the theory: finite size, as far as it is predicted, tolerated numerics, or a clock of other units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from ..core.threads import Unfinished
from . import points as grid_of
from .grids import axis_of
from .points import SIZES, Points
from .statistics import Sample

FINITE_SIZE = 5.0  # largest n |deviation| / scale that counts as O(1/d)
FLUCTUATION = 3.0  # largest |deviation| scale / spread^2 that counts as an effect of fluctuations
REACH = 20.0  # largest factor that is looked for, and the inverse of the smallest
GRID = 400  # times of the first search
STEP = 1e-4  # relative step of the derivative along the clock
SIGNIFICANT = 3.0  # standard errors by which a factor must differ from one


def plausible_effect(points: Points, scale: np.ndarray, sample: Sample, width: float) -> np.ndarray:
    """Return the largest deviation at every point that counts as an effect of finite size."""
    relative = relative_spread(points, scale, sample)
    amplification = relative * np.sqrt(width)
    return scale * (FINITE_SIZE / width + FLUCTUATION * (1 + amplification) * relative**2)


def relative_spread(points: Points, scale: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the largest standard deviation of one run over the times of the variable of every point, over its scale."""
    return largest_of_variable(points, np.nan_to_num(sample.spread)) / scale


def largest_of_variable(points: Points, values: np.ndarray) -> np.ndarray:
    """Return at every point the largest value, none negative, at the points of the same variable."""
    largest = np.zeros(len(points.variables))
    np.maximum.at(largest, points.labels, values)
    return largest[points.labels]


def scales(points: Points, *curves: np.ndarray) -> np.ndarray:
    """Return the scale of every point: the largest absolute value of its variable in any of the curves."""
    largest = largest_of_variable(points, np.max([np.abs(curve) for curve in curves], axis=0))
    return np.where(largest > 0, largest, 1.0)


def nearest(points: Points, theory: np.ndarray, values: np.ndarray, tolerance: float | None) -> np.ndarray:
    """Return the values nearest to `values` that deviate from the theory by no more than the tolerance, in units of the scale."""
    if tolerance is None:
        return theory
    band = tolerance * scales(points, theory, values)
    return np.clip(values, theory - band, theory + band)


def clock_factor(
    theory: xr.Dataset, chosen: Points, sample: Sample, error: np.ndarray, judge: Callable[[np.ndarray], bool | None]
) -> tuple[float, float] | None:
    """Return the factor c for which the theory at the times c t fits the mean at the times t best, and its standard error.

    Parameters
    ----------
    error : ndarray, shape (points,)
        Standard errors of the mean, floors included.
    judge : callable
        The verdict on a theory of these points: True, False or None.

    Returns
    -------
    tuple of float, or None
        None if the theory holds no problem to solve again, the factor cannot be told from one, or does not explain the deviation.
    """
    problem = grid_of.problem_of(theory)
    times = chosen.times
    if problem is None or axis_of(theory) != "time" or not problem.solves_in_time or not (times > 0).any():
        return None

    def curves(at: np.ndarray) -> np.ndarray:
        """Return the theory at sorted times, shape (points of the entries, times)."""
        solved = grid_of.flatten(grid_of.solve(problem, at, theory), chosen, "theory")[0]
        return solved.reshape(len(chosen.entries), at.size)

    weights = 1 / error**2
    try:
        guess = _search(curves, chosen, sample.mean, weights)
        for _ in range(3):
            here, slope = _along(curves, guess * times)
            total = float((weights * slope**2).sum())
            if not total > 0:
                return None
            move = float((weights * slope * (sample.mean - here)).sum()) / total
            guess *= float(np.exp(np.clip(move, -0.5, 0.5)))
        here, slope = _along(curves, guess * times)
    except (Unfinished, ValueError):
        return None
    per_point = weights * slope / float((weights * slope**2).sum())
    # Points of one run deviate together; errors that were given are taken as independent.
    noise = sample.residuals @ per_point if sample.runs else error * per_point
    spread = guess * float(np.sqrt((noise**2).sum()))
    if abs(guess - 1) < SIGNIFICANT * spread or not 1 / REACH < guess < REACH or judge(here) is False:
        return None
    return guess, spread


def _search(curves: Callable[[np.ndarray], np.ndarray], chosen: Points, mean: np.ndarray, weights: np.ndarray) -> float:
    """Return the best of many factors, on a theory that is interpolated in the logarithm of the time."""
    positive = chosen.times[chosen.times > 0]
    grid = np.geomspace(positive[0] / REACH, positive[-1] * REACH, GRID)
    solved = curves(grid)
    start = curves(np.array([grid[0] / REACH]))
    logs = np.log(np.append(grid[0] / REACH, grid))
    table = np.hstack([start, solved])
    factors = np.geomspace(1 / REACH, REACH, 2 * GRID)
    misfit = np.empty(factors.size)
    for i, one in enumerate(factors):
        at = np.log(np.maximum(one * chosen.times, grid[0] / REACH))
        here = np.concatenate([np.interp(at, logs, row) for row in table])
        misfit[i] = (weights * (mean - here) ** 2).sum()
    return float(factors[misfit.argmin()])


def _along(curves: Callable[[np.ndarray], np.ndarray], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the theory at times, and its derivative by their logarithm, both of shape (points,)."""
    near = [times * (1 - STEP), times, times * (1 + STEP)]
    at, place = np.unique(np.concatenate(near), return_inverse=True)
    before, here, after = np.split(curves(at)[:, place], 3, axis=1)
    return here.reshape(-1), ((after - before) / (2 * STEP)).reshape(-1)


# Runs of one size beside a theory that predicts their spread and their bias.

#: Share by which a measured spread may differ from the predicted one beside its statistical error, in units of `ERRORS`.
SPREAD, ERRORS = 0.1, 4.0
#: Shares of the predicted bias, and of the predicted spread, that stay uncertain: where the expansion is good, and per needs_dimension/d.
UNCERTAIN_BIAS, UNCERTAIN_SPREAD = (0.05, 0.5), (0.05, 0.2)
#: Predicted spreads below this share of the largest of their variable are not compared with those of runs.
TINY = 1e-3


@dataclass(frozen=True)
class Prediction:
    """What a theory says about runs of one size.

    Attributes
    ----------
    shift : ndarray, shape (points,)
        The predicted bias of their mean; 0 where the theory predicts none.
    plausible : ndarray, shape (points,)
        The deviation from it that may be an effect of finite size.
    sample : Sample
        The runs, whose errors are the predicted ones where they hold.
    freedom : ndarray, shape (points,)
        Degrees of freedom of the errors; infinite where they are predicted.
    said : str
        A sentence on what was used, or why nothing was.
    """

    shift: np.ndarray
    plausible: np.ndarray
    sample: Sample
    freedom: np.ndarray
    said: str


def predict(
    theory: xr.Dataset, runs: Sequence[xr.Dataset], points: Points, sample: Sample, name: str
) -> Prediction | None:
    """Return what the theory, at the times of the runs, predicts for them; None if it predicts nothing.

    Parameters
    ----------
    name : str
        What the size is called.
    """
    wanted = [f"{prefix}_{one}" for one in points.variables for prefix in ("std", "bias")]
    if "needs_dimension" not in theory or not all(one in theory for one in wanted) or sample.runs == 1:
        return None
    size = sample.size
    curve = grid_of.flatten(theory, points, "theory")[0]
    width = float(min(grid_of.smallest_width(run, size) for run in runs))
    scale = scales(points, curve, sample.mean)
    plausible = plausible_effect(points, scale, sample, width)
    own = np.full(curve.size, sample.freedom)
    letter = f"{SIZES[name]} = {size}"
    needs = np.tile(theory["needs_dimension"].values, len(points.entries))
    holds = needs <= size

    def unused(reason: str) -> Prediction:
        said = f"The predicted deviations of runs are not used: {reason}."
        return Prediction(np.zeros(curve.size), plausible, sample, own, said)

    if not holds.any():
        return unused(f"they need a dimension of {needs.min():.0f}, and {letter}")
    for run in runs:
        groups = getattr(grid_of.problem_of(run), "covariance", None)
        if groups is not None and np.abs(groups.weights * size - np.round(groups.weights * size)).max() > 1e-6:
            return unused(f"at {letter} the groups have no whole numbers of directions")
    bias = _flat(theory, points, "bias") / size
    spread = _flat(theory, points, "std") / np.sqrt(size)
    compared = holds & (spread > TINY * largest_of_variable(points, spread))
    if sample.runs > 1:
        ratio = np.where(compared, sample.spread / np.where(compared, spread, 1.0), 1.0)
        off = np.abs(ratio - 1.0) - (SPREAD + ERRORS / np.sqrt(2.0 * (sample.runs - 1.0)))
        worst = int(off.argmax())
        if off[worst] > 0:
            entry, time = points.where(worst)
            return unused(f"the spread of {entry} at time {time:.3g} is {ratio[worst]:.2f} times the predicted one")
        error = spread / np.sqrt(sample.runs) * (UNCERTAIN_SPREAD[0] + 1.0 + UNCERTAIN_SPREAD[1] * needs / size)
        sample = replace(sample, error=np.where(compared, error, sample.error))
    # Of all entries of a variable at the same time the largest, since single ones may vanish by symmetry.
    top = np.zeros((len(points.variables), points.times.size))
    np.maximum.at(top, points.owner, points.table(np.abs(bias)))
    left = (top[points.owner].ravel() + spread**2 / scale) * (UNCERTAIN_BIAS[0] + UNCERTAIN_BIAS[1] * needs / size)
    said = f"The predicted bias and spread of runs at {letter} are used"
    first = points.times[~holds[: points.times.size]]
    said += f" before time {first[0]:.3g}; later they need a larger dimension." if first.size else "."
    return Prediction(
        np.where(holds, bias, 0.0), np.where(holds, left, plausible), sample, np.where(compared, np.inf, own), said
    )


def _flat(theory: xr.Dataset, points: Points, prefix: str) -> np.ndarray:
    """Return the points of the variables `std_*` or `bias_*`; 0 where they are not finite."""
    parts = []
    for name in points.variables:
        array = theory[f"{prefix}_{name}"]
        rest = [dim for dim in array.dims if dim != "time"]
        parts.append(array.transpose(*rest, "time").values.reshape(-1))
    return np.nan_to_num(np.concatenate(parts))
