"""The report of many integrations, and the warning about those that failed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from ..report import Status, message_of


@dataclass(frozen=True)
class BatchReport:
    """How the integration of many problems went; arrays hold one entry per problem.

    Attributes
    ----------
    statuses : tuple of Status
        Why each stopped.
    methods : tuple of str
        The method, or the methods in order of use.
    steps, rejected, evaluations : ndarray of int
        Accepted and rejected steps, calls of the right-hand side.
    outputs : ndarray of int
        How many of the requested times were reached; the states of the others are NaN.
    reached : ndarray
        The times that were reached.
    wall_time : float
        Seconds, compilation included.
    rtol, atol : float
        Tolerances, the smallest absolute one if there is one per component.
    threads : int
        Threads used; they change nothing in the result.
    operations : int
        Operations of the traced right-hand side, 0 where the lanes call the function itself.
    message : str
        One sentence.
    event_times : ndarray, shape (problems, events)
        When each event happened first; NaN where it did not.
    """

    statuses: tuple[Status, ...] = field(repr=False)
    methods: tuple[str, ...] = field(repr=False)
    steps: np.ndarray = field(repr=False)
    rejected: np.ndarray = field(repr=False)
    evaluations: np.ndarray = field(repr=False)
    outputs: np.ndarray = field(repr=False)
    reached: np.ndarray = field(repr=False)
    wall_time: float
    rtol: float
    atol: float
    threads: int
    operations: int
    message: str = ""
    event_times: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    @property
    def failed(self) -> np.ndarray:
        """Indices of the problems whose last requested time was not reached."""
        return np.array(failures(self.statuses), dtype=np.int64)


def failures(statuses: tuple[Status, ...]) -> list[int]:
    """Return the indices of the problems that failed."""
    if statuses.count(Status.SUCCESS) == len(statuses):
        return []
    good = tuple(status for status in Status if not status.failed)
    return [i for i, status in enumerate(statuses) if status not in good]


def sentence(statuses: tuple[Status, ...], reached: np.ndarray) -> str:
    """Return what happened, in one or two sentences."""
    failed = failures(statuses)
    if not failed:
        return f"All {len(statuses)} problems were integrated."
    cut = [i for i in failed if statuses[i] is Status.INTERRUPTED]
    if cut:
        return f"Interrupted: {len(statuses) - len(failed)} of {len(statuses)} problems are finished."
    first = failed[0]
    return (
        f"{len(failed)} of {len(statuses)} problems failed; the first is problem {first}: "
        f"{message_of(statuses[first], float(reached[first]), None)}"
    )


def tell(report: BatchReport, times: np.ndarray) -> None:
    """Warn of problems that did not reach the last time."""
    if failures(report.statuses):
        warnings.warn(
            f"{report.message} States that were not reached are NaN; see the status of each problem.",
            RuntimeWarning,
            stacklevel=3,
        )
