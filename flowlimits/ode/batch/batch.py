"""The arrays of a batch, how each of its problems ended, and the report of all."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.progress import Progress
from .. import layout
from ..functions import RightHandSide
from ..report import Status, message_of, status_of
from . import layout as lanes_layout


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


def tell(report: BatchReport) -> None:
    """Warn of problems that did not reach the last time."""
    if failures(report.statuses):
        warnings.warn(
            f"{report.message} States that were not reached are NaN; see the status of each problem.",
            RuntimeWarning,
            stacklevel=3,
        )


#: Not begun; the codes of `layout` are positive.
WAITING = -1


class Batch:
    """The arrays of a batch, and how each problem ended."""

    def __init__(
        self,
        rhs: RightHandSide,
        y0s: np.ndarray,
        times: np.ndarray,
        params: np.ndarray,
        states: np.ndarray,
        *,
        start: float,
        rtol: float,
        atol: np.ndarray,
        method: str,
        max_steps: int,
        work_size: int,
        first_step: float,
        max_step: float,
        threads: int,
        progress: bool | None,
        bar: Progress | None = None,
        equations: Any = (),
        instead: Any = None,
    ) -> None:
        number = len(y0s)
        self.rhs, self.y0s, self.times, self.params, self.states = rhs, y0s, times, params, states
        self.atol, self.method, self.work_size, self.threads = atol, method, work_size, threads
        self.equations, self.instead = equations, instead
        self.settings = np.zeros(lanes_layout.SETTINGS)
        self.settings[:] = start, times[-1], rtol, first_step, max_step, max_steps, -1
        self.outcome = np.zeros((number, lanes_layout.OUTCOMES), dtype=np.int64)
        self.outcome[:, lanes_layout.STATUS] = WAITING
        self.reached = np.full(number, start)
        self.methods = ["dop853" if method == "auto" else method] * number
        self.operations = 0
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.own_bar = bar is None
        self.bar = Progress(number, "problems", progress) if bar is None else bar

    def close(self) -> None:
        """Mark what was not finished, and close the bar."""
        if self.own_bar:
            self.bar.close()
        status = self.outcome[:, lanes_layout.STATUS]
        status[(status == WAITING) | (status == layout.STIFF)] = layout.INTERRUPTED
        for index in np.flatnonzero(self.outputs < self.times.size):
            self.states[index, self.outputs[index] :] = np.nan

    def finished(self, count: int) -> None:
        """Move the bar."""
        with self.lock:
            if count:
                self.bar.update(count)

    def statuses(self) -> tuple[Status, ...]:
        """Return why each problem stopped."""
        codes = self.outcome[:, lanes_layout.STATUS]
        if (codes == layout.SUCCESS).all():
            return (Status.SUCCESS,) * len(codes)
        return tuple(map(status_of, codes.tolist()))

    @property
    def steps(self) -> np.ndarray:
        return self.outcome[:, lanes_layout.STEPS_MADE]

    @property
    def rejected(self) -> np.ndarray:
        return self.outcome[:, lanes_layout.STEPS_REJECTED]

    @property
    def evaluations(self) -> np.ndarray:
        return self.outcome[:, lanes_layout.CALLS]

    @property
    def outputs(self) -> np.ndarray:
        return self.outcome[:, lanes_layout.OUTPUTS]
