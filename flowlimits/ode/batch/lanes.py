"""Run the loop over SIMD lanes in threads, in slices that an interrupt stops."""

from __future__ import annotations

import time

import numpy as np

from ...compiled.simd import LANES
from ...compiled.simd_arrays import TABLE_ROWS
from ...core.threads import for_each
from .. import layout
from ..functions import address_of
from . import layout as lanes_layout
from . import loop
from .batch import Batch
from .groups import Equations

#: Seconds that a compiled loop may run before Python looks for interrupts and moves the progress bar.
SLICE = 0.1


class Lanes:
    """Problems with the same equations, handed in chunks to threads that each have SIMD lanes of their own."""

    def __init__(self, batch: Batch, equations: Equations) -> None:
        self.batch, self.indices, self.inputs = batch, equations.indices, equations.inputs
        self.model = (address_of(batch.rhs.function), equations.traced)
        indices = self.indices

        def part(array: np.ndarray) -> np.ndarray:
            return (
                array if indices is None or len(array) == 1 < len(batch.y0s) else np.ascontiguousarray(array[indices])
            )

        self.y0s, self.params, self.states = part(batch.y0s), part(batch.params), part(batch.states)
        self.outcome, self.reached = part(batch.outcome), part(batch.reached)
        self.following = 0
        number, workers = len(self.y0s), batch.threads
        self.chunk = number if workers == 1 else max(4 * LANES, -(-number // (16 * workers)))

    def run(self) -> None:
        workers = min(self.batch.threads, -(-len(self.y0s) // LANES))
        try:
            for_each(lambda _: self.work(), np.arange(workers), workers, self.batch.stop)
        finally:
            if self.indices is not None:
                for whole, part in (
                    (self.batch.states, self.states),
                    (self.batch.outcome, self.outcome),
                    (self.batch.reached, self.reached),
                ):
                    whole[self.indices] = part

    def claim(self) -> tuple[int, int]:
        """Return the next chunk of waiting problems."""
        with self.batch.lock:
            first = self.following
            self.following = min(first + self.chunk, len(self.y0s))
            return first, self.following

    def work(self) -> None:
        """Run one thread's lanes until no problem waits."""
        batch, n = self.batch, self.y0s.shape[1]
        lane, place = aligned(lanes_layout.LANE_NUMBERS, LANES), np.zeros((2, LANES), dtype=np.int64)
        place[lanes_layout.PROBLEM] = -1
        queue = np.zeros(lanes_layout.QUEUE, dtype=np.int64)
        queue[lanes_layout.OPEN] = 1
        table, scratch = aligned(n, TABLE_ROWS, LANES), np.zeros((4, n))
        inputs, own = aligned(self.inputs.shape[1], LANES), np.zeros((LANES, self.params.shape[1]))
        work = np.zeros((LANES, batch.work_size))
        code, budget, done = layout.RUNNING, 8, 0
        try:
            while code == layout.RUNNING and not batch.stop.is_set():
                if queue[lanes_layout.FOLLOWING] >= queue[lanes_layout.LAST] and queue[lanes_layout.OPEN]:
                    first, last = self.claim()
                    queue[lanes_layout.FOLLOWING], queue[lanes_layout.LAST] = first, last
                    queue[lanes_layout.OPEN] = first < last
                before = time.perf_counter()
                code = loop.advance(
                    self.model, batch.settings, lane, place, queue, table, inputs, own, self.y0s, self.inputs,
                    self.params, batch.times, self.states, self.outcome, self.reached, batch.atol, scratch, work, budget,
                )  # fmt: skip
                took = max(time.perf_counter() - before, 1e-9)
                budget = int(min(max(budget * min(SLICE / took, 4.0), 1.0), 1e7))
                finished = int(queue[lanes_layout.FINISHED])
                batch.finished(finished - done)
                done = finished
        finally:
            if code == layout.RUNNING:
                self.leave(lane, place)

    def leave(self, lane: np.ndarray, place: np.ndarray) -> None:
        """Note how far the problems in the lanes came."""
        for position, problem in enumerate(place[lanes_layout.PROBLEM]):
            if problem >= 0:
                counts = [
                    int(lane[row, position])
                    for row in (lanes_layout.STEPS, lanes_layout.REJECTED, lanes_layout.EVALUATIONS)
                ]
                self.outcome[problem] = layout.INTERRUPTED, place[lanes_layout.NEXT, position], *counts
                self.reached[problem] = lane[lanes_layout.T, position]


def aligned(*shape: int) -> np.ndarray:
    """Return zeros that begin at a multiple of 64 bytes: vectors of several lanes that lie across two cache lines take a fifth longer."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8)
    first = -raw.ctypes.data // 8 % 8
    return raw[first : first + size].reshape(shape)
