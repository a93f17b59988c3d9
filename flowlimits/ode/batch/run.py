"""How a batch is run: groups with the same equations, threads with their own lanes, and what is left for one by one."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from ...compiled.simd import LANES
from ...compiled.simd_arrays import ROWS
from ...core import threads as parallel
from .. import layout
from ..driver import Integration, Jacobian
from ..functions import RightHandSide, address_of
from ..inputs import check_jacobian
from ..report import IntegrationError, IntegrationInterrupted, Status, status_of
from . import layout as lanes_layout
from . import loop as lanes
from .threads import Stoppable, for_each

#: Problems from which on a straight-line right-hand side is worth its compilation.
WORTH = 128
#: Problems at which a kept line is compared with its function again.
FEW = 16
#: Sets of equations in one batch beyond which straight lines are not made.
MOST_GROUPS = 16
#: Seconds that a compiled loop may run before Python looks for interrupts and moves the progress bar.
SLICE = 0.1

#: Methods that run in lanes.
_LANES = ("auto", "dop853")
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
        bar: parallel.Progress | None = None,
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
        self.bar = parallel.Progress(number, "problems", progress) if bar is None else bar

    def run(self) -> None:
        """Run everything; after an interrupt, what is finished stays."""
        try:
            with parallel.one_blas_thread():
                if self.method in _LANES:
                    self.run_lanes()
                    left = np.flatnonzero(self.outcome[:, lanes_layout.STATUS] == layout.STIFF)
                else:
                    left = np.arange(len(self.y0s))
                self.run_singly(left)
        except KeyboardInterrupt:
            pass
        finally:
            if self.own_bar:
                self.bar.close()
        status = self.outcome[:, lanes_layout.STATUS]
        status[(status == WAITING) | (status == layout.STIFF)] = layout.INTERRUPTED
        for index in np.flatnonzero(self.outputs < self.times.size):
            self.states[index, self.outputs[index] :] = np.nan

    def run_lanes(self) -> None:
        if self.method == "auto":
            probe = Integration(0, self.y0s[0], self.times, self.params[0], atol=self.atol, jacobian=self.jacobian())
            self.settings[lanes_layout.PATIENCE] = probe.patience()
        for group in self.groups():
            Group(self, *group).run()

    def groups(self) -> list[tuple[np.ndarray | None, int, np.ndarray, Any]]:
        """Return sets of problems with the same equations: indices (None: all), address for all lanes, its inputs, its owner."""
        number = len(self.y0s)
        nothing = np.zeros((1, 0))
        if number < WORTH:
            return [(None, 0, nothing, None)]
        from .tracing.trace import NotStraightError

        try:
            sets = self.programs(np.arange(number))
        except NotStraightError:
            return [(None, 0, nothing, None)]
        if len(sets) > MOST_GROUPS:
            return [(None, 0, nothing, None)]
        made = []
        for indices, kept, own in sets:
            function = self.compiled(kept, own, indices) if len(indices) >= WORTH else None
            whole = None if len(sets) == 1 else indices
            if function is None:
                made.append((whole, 0, np.zeros((1, 0)), None))
            else:
                self.operations = max(self.operations, len(kept.program.operations))
                made.append((whole, address_of(function), own, function))
        return made

    def programs(self, indices: np.ndarray, depth: int = 0) -> list[tuple[np.ndarray, Any, np.ndarray]]:
        """Return problems, the straight line that is for them, and its inputs, parting problems that take other branches."""
        from .tracing.cache import Recorder, key_of, shelf
        from .tracing.trace import MixedError, NotStraightError, strict, trace

        if not strict(getattr(getattr(self.rhs.function, "_compiler", None), "targetoptions", {})):
            raise NotStraightError("the right-hand side was compiled with other rules of arithmetic")
        values = self.params if len(self.params) in (1, len(indices)) else self.params[indices]
        n, fixed = self.y0s.shape[1], list(self.equations)
        key = key_of(self.rhs.function, n, self.work_size, values.shape[1], fixed, self.instead)
        found, left = shelf.find(key, values, fixed)
        sets = [(indices if len(rows) == len(values) else indices[rows], kept, own) for rows, kept, own in found]
        if not left.size:
            return sets
        if found:
            indices, values = indices[left], values[left]
        plain = self.rhs.function.__wrapped__
        try:
            program = trace(plain, n, values, self.work_size, equations=fixed, instead=self.instead, record=Recorder)
        except MixedError as mixed:
            parts = [indices[mixed.groups == label] for label in np.unique(mixed.groups)]
            if len(parts) > MOST_GROUPS or depth > MOST_GROUPS:
                raise NotStraightError("the problems have too many different equations") from None
            return sets + [one for part in parts for one in self.programs(part, depth + 1)]
        kept = shelf.keep(key, (plain, *(self.instead or {}).values()), program, values, fixed)
        return [*sets, (indices, kept, program.inputs)]

    def compiled(self, kept: Any, own: np.ndarray, indices: np.ndarray) -> Any:
        """Return the compiled straight line if it gives the bits of the function itself, else None."""
        from numba.core.errors import NumbaError

        from .tracing.cache import shelf
        from .tracing.compile import check_straight, compile_straight

        try:
            function = compile_straight(kept.program) if kept.function is None else kept.function
        except NumbaError:
            return None
        # All of a line is seen in every call, so that a few problems show whether a kept one still fits.
        some = indices if kept.function is None else indices[:: max(1, len(indices) // FEW)]
        params = self.params if len(self.params) == 1 else self.params[some]
        inputs = own if len(own) == 1 or kept.function is None else own[:: max(1, len(indices) // FEW)]
        span = (float(self.settings[lanes_layout.START]), float(self.times[-1]))
        addresses = address_of(function), address_of(self.rhs.function)
        if not check_straight(*addresses, span, self.y0s[some], params, inputs, self.work_size):
            shelf.drop(kept)
            return None
        kept.function = function
        return function

    def jacobian(self) -> Jacobian:
        return check_jacobian(self.rhs, self.y0s.shape[1], None, None)

    def run_singly(self, indices: np.ndarray) -> None:
        """Integrate problems one by one, as `integrate` does."""
        if not indices.size:
            return
        jacobian, address = self.jacobian(), address_of(self.rhs.function)
        settings = self.settings

        def one(index: int) -> None:
            integration = Stoppable(
                self.stop, address, self.y0s[index], self.times, self.params[min(index, len(self.params) - 1)],
                start=settings[lanes_layout.START], rtol=settings[lanes_layout.RTOL], atol=self.atol, method=self.method,
                jacobian=jacobian, max_steps=int(settings[lanes_layout.MAX_STEPS]), work_size=self.work_size,
                first_step=settings[lanes_layout.FIRST_STEP], max_step=settings[lanes_layout.MAX_STEP],
            )  # fmt: skip
            try:
                _, states, report = integration.run()
            except (IntegrationError, IntegrationInterrupted) as error:
                states, report = error.states, error.report
            codes = {
                status_of(code): code
                for code in (layout.SUCCESS, *range(layout.NOT_FINITE, layout.NEWTON_FAILED + 1), layout.INTERRUPTED)
            }
            self.states[index, : len(states)] = states
            self.states[index, len(states) :] = np.nan
            earlier = self.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1].copy()
            self.outcome[index] = codes[report.status], len(states), report.steps, report.rejected, report.evaluations
            self.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1] += earlier
            self.reached[index] = report.reached
            self.methods[index] = report.method
            if report.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            self.finished(1)

        for_each(one, indices, self.threads, self.stop)

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


class Group:
    """Problems with the same equations, handed to threads in chunks."""

    def __init__(self, batch: Batch, indices: np.ndarray | None, wide: int, inputs: np.ndarray, owner: Any) -> None:
        self.batch, self.indices, self.inputs, self.owner = batch, indices, inputs, owner
        self.model = (address_of(batch.rhs.function), wide)

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
        board, scratch = aligned(n, ROWS, LANES), np.zeros((4, n))
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
                code = lanes.advance(
                    self.model, batch.settings, lane, place, queue, board, inputs, own, self.y0s, self.inputs,
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
