"""Scales of variables, and the largest effect of finite size that is plausible beside them."""

from __future__ import annotations

import numpy as np

from .points import Points
from .statistics import Sample

FINITE_SIZE = 5.0  # largest n |deviation| / scale that counts as O(1/d)
FLUCTUATION = 3.0  # largest |deviation| scale / spread^2 that counts as an effect of fluctuations


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
