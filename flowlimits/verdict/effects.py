"""What explains a deviation beside an error of the theory: finite size, tolerated numerics, and a clock of other units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from ..core.threads import Unfinished
from . import points as grid_of
from .grids import axis_of
from .points import Points
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
    spread = np.zeros(len(points.variables))
    np.maximum.at(spread, points.labels, np.nan_to_num(sample.spread))
    return spread[points.labels] / scale


def scales(points: Points, *curves: np.ndarray) -> np.ndarray:
    """Return the scale of every point: the largest absolute value of its variable in any of the curves."""
    labels = points.labels
    magnitude = np.max([np.abs(curve) for curve in curves], axis=0)
    largest = np.zeros(len(points.variables))
    np.maximum.at(largest, labels, magnitude)
    return np.where(largest[labels] > 0, largest[labels], 1.0)


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
