"""A learning rate that changes in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core import checks
from ..core.problem import Description


@dataclass(frozen=True, eq=False, repr=False)
class Schedule(Description):
    """A learning rate given at some times and linear in between, constant before the first and after the last.

    Time is the clock of the problem, t = sum of learning_rate / (p d) over the steps, so that a small learning rate
    takes more steps for the same time.

    Parameters
    ----------
    times : array_like, shape (n,)
        Increasing, not negative.
    values : array_like, shape (n,)
        Positive: with the learning rate zero the clock would stand still.

    Raises
    ------
    ValueError
        If shapes differ, times do not increase, or a value is not positive.

    Examples
    --------
    >>> import flowlimits as fl
    >>> float(fl.Schedule([0, 10], [0.5, 0.1])(5.0))
    0.3
    """

    times: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        times = checks.times(self.times)
        values = np.atleast_1d(checks.array("values", self.values))
        if values.shape != times.shape:
            raise ValueError(
                f"Argument `values` must have shape {times.shape}, as `times`, but has shape {values.shape}."
            )
        if (values <= 0).any():
            raise ValueError(
                f"Argument `values` must be positive, but holds {values.min():g}: with a zero learning rate the clock, "
                "the sum of learning_rate/(p d), stands still."
            )
        self._freeze("times", times)
        self._freeze("values", values)

    def __call__(self, t: float) -> float:
        """Return the learning rate at time `t`."""
        return float(np.interp(t, self.times, self.values))

    def pieces(self, start: float, end: float) -> list[tuple[float, float, float, float]]:
        """Return (beginning, end, value at the beginning, slope) for the linear pieces of [start, end]."""
        inner = self.times[(self.times > start) & (self.times < end)]
        knots = np.concatenate([[start], inner, [end]])
        values = np.interp(knots, self.times, self.values)
        slopes = np.diff(values) / np.where(np.diff(knots) > 0, np.diff(knots), 1.0)
        return [(float(a), float(b), float(v), float(s)) for a, b, v, s in zip(knots[:-1], knots[1:], values, slopes)]
