"""The base of errors that carry the finished part of a computation over times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


class Unfinished(BaseException):
    """A computation stopped before the last requested time.

    Attributes
    ----------
    times, states : ndarray
        The requested times that were reached, and the states there.
    report : Report
        How it went; `report.status` says why it stopped.
    partial : xarray.Dataset or None
        The finished part as a result, where a problem was solved and at least one time was reached.
    """

    partial: xr.Dataset | None = None

    def __init__(self, message: str, times: np.ndarray, states: np.ndarray, report: Any) -> None:
        super().__init__(message)
        self.times = times
        self.states = states
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.times, self.states, self.report)
