"""Group problems by their equations, trace and compile these, and run the loop over SIMD lanes in threads, in slices."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import numpy as np

from ...compiled.jit import CompilationError, is_strict
from ...compiled.simd import LANES
from ...compiled.simd_arrays import TABLE_ROWS
from ...core.threads import for_each
from .. import layout
from ..functions import RightHandSide, address_of
from . import layout as lanes_layout
from . import loop
from .batch import Batch
from .generate import compile_program, gives_the_same_bits
from .operations import Program
from .symbols import MixedError, UntraceableError
from .trace import cached_trace

#: Problems from which on a traced right-hand side is worth its compilation.
WORTH = 128
#: Sets of equations in one batch beyond which nothing is traced.
MOST_GROUPS = 16


@dataclass(frozen=True)
class Equations:
    """Equations of a set of problems.

    Attributes
    ----------
    indices : ndarray or None
        The problems; None: all of them.
    traced : int
        Address of the right-hand side of all lanes, 0 if the lanes call the function itself.
    inputs : ndarray, shape (problems or 1, inputs)
        What the traced right-hand side reads besides time and state.
    operations : int
        Operations of the trace.
    """

    indices: np.ndarray | None = None
    traced: int = 0
    inputs: np.ndarray = field(default_factory=lambda: np.zeros((1, 0)))
    operations: int = 0


def group(
    rhs: RightHandSide,
    y0s: np.ndarray,
    params: np.ndarray,
    work_size: int,
    span: tuple[float, float],
    equations: Iterable[int],
    instead: dict[Any, Any] | None,
) -> list[Equations]:
    """Return the sets of problems with the same equations; see `trace.trace` for `equations` and `instead`."""
    if len(y0s) < WORTH or not is_strict(rhs.function):
        return [Equations()]
    try:
        programs = _trace(
            rhs, y0s.shape[1], params, work_size, tuple(equations), instead or {}, np.arange(len(y0s)), MOST_GROUPS
        )
    except UntraceableError:
        return [Equations()]
    if len(programs) > MOST_GROUPS:
        return [Equations()]
    found = []
    for indices, program in programs:
        part = None if len(programs) == 1 else indices
        function = _compile(rhs, program, y0s, params, work_size, span, indices) if len(indices) >= WORTH else None
        if function is None:
            found.append(Equations(part))
        else:
            found.append(Equations(part, address_of(function), program.inputs, len(program.operations)))
    return found


def _trace(
    rhs: RightHandSide,
    n: int,
    params: np.ndarray,
    work_size: int,
    equations: tuple[int, ...],
    instead: dict[Any, Any],
    indices: np.ndarray,
    depth: int,
) -> list[tuple[np.ndarray, Program]]:
    """Return traces with the problems that they are for, parting problems that take other branches."""
    own = params if len(params) in (1, len(indices)) else params[indices]
    try:
        return [(indices, cached_trace(rhs.function.__wrapped__, n, own, work_size, equations, instead))]
    except MixedError as mixed:
        parts = [indices[mixed.groups == label] for label in np.unique(mixed.groups)]
    if len(parts) > MOST_GROUPS or depth == 0:
        raise UntraceableError("the problems have too many different equations")
    return [one for part in parts for one in _trace(rhs, n, params, work_size, equations, instead, part, depth - 1)]


#: Programs that were found to give the bits of their function; those that are remembered are met again.
_right: WeakSet[Program] = WeakSet()


def _compile(
    rhs: RightHandSide,
    program: Program,
    y0s: np.ndarray,
    params: np.ndarray,
    work_size: int,
    span: tuple[float, float],
    indices: np.ndarray,
) -> Any:
    """Return the compiled trace if it gives the bits of the function itself, else None."""
    try:
        function = compile_program(program)
    except CompilationError:
        return None
    if program not in _right:
        addresses = address_of(function), address_of(rhs.function)
        own = params if len(params) == 1 else params[indices]
        if not gives_the_same_bits(*addresses, span, y0s[indices], own, program.inputs, work_size):
            return None
        _right.add(program)
    return function


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
