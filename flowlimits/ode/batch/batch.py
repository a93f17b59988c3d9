"""The arrays of a batch, and how each of its problems ended."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ...core.threads import Progress
from .. import layout
from ..functions import RightHandSide
from ..report import Status, status_of
from . import layout as lanes_layout

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
