"""Runs of one size beside a theory that predicts their spread and their bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from . import points as grid_of
from .effects import plausible_effect, scales
from .points import SIZES, Points
from .statistics import Sample

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
    compared = holds & (spread > TINY * _largest(points, spread))
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


def _largest(points: Points, values: np.ndarray) -> np.ndarray:
    """Return the largest value of the variable of every point."""
    largest = np.zeros(len(points.variables))
    np.maximum.at(largest, points.labels, values)
    return largest[points.labels]


def _flat(theory: xr.Dataset, points: Points, prefix: str) -> np.ndarray:
    """Return the points of the variables `std_*` or `bias_*`; 0 where they are not finite."""
    parts = []
    for name in points.variables:
        array = theory[f"{prefix}_{name}"]
        rest = [dim for dim in array.dims if dim != "time"]
        parts.append(array.transpose(*rest, "time").values.reshape(-1))
    return np.nan_to_num(np.concatenate(parts))
