"""The driver of the compiled loops: owns their arrays, runs them in slices, changes the method, reports."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..core.progress import Progress
from ..core.threads import TURN, advance, interruptible, one_blas_thread
from . import control, layout
from .jacobians import Jacobian, implicit_arrays
from .report import IntegrationError, IntegrationInterrupted, Report, Status, message_of, status_of

#: Seconds that a compiled loop may run before Python looks for interrupts and moves the progress bar.
SLICE = 0.15
#: Number of components from which on a slice runs in a thread of its own from the beginning.
LARGE = 400
#: Evaluations of at most so many components that take less than so many seconds are not worth a slice of one step.
FEW, BRIEF = 64, 2e-5
#: Numbers of components between which matrices are multiplied by one thread of BLAS: from about there on it takes several,
#: which gain little before the second and wait for each other by spinning, so that a busy machine stands still.
ONE_BLAS_THREAD = range(2_000, 100_000)
#: Crossings of events that the compiled loop logs before Python takes them.
LOG_ROWS = 64
#: After this many changes between explicit and implicit methods the implicit one stays.
MOST_SWITCHES = 8

#: First, lowest and highest index of the implicit methods (3, 5, 7 stages).
_IMPLICIT = {"radau5": (0, 0, 0), "radau9": (1, 1, 1), "radau13": (2, 2, 2)}


class Integration:
    """One integration: the arrays of the compiled loops, and what has happened so far."""

    def __init__(
        self,
        address: int,
        y0: np.ndarray,
        times: np.ndarray,
        params: np.ndarray,
        *,
        start: float = 0.0,
        rtol: float = 1e-8,
        atol: np.ndarray,
        method: str = "auto",
        jacobian: Jacobian | None = None,
        events: tuple[tuple[int, bool, int], ...] = (),
        max_steps: int = 1_000_000,
        work_size: int = 0,
        first_step: float = 0.0,
        max_step: float = np.inf,
        dense_from: int | None = None,
        owner: Any = None,
    ) -> None:
        n, number = y0.size, len(events)
        #: Keeps the compiled functions alive that the addresses belong to.
        self.owner = owner
        self.slow = n >= LARGE
        # Copies: the compiled loops take writable, contiguous arrays.
        self.address, self.times = address, np.array(times, dtype=np.float64)
        self.params, self.atol = np.array(params, dtype=np.float64), np.array(atol, dtype=np.float64)
        self.y, self.states = np.array(y0, dtype=np.float64), np.full((times.size, n), np.nan)
        self.work = np.zeros(work_size)
        self.real, self.count = np.zeros(layout.REALS), np.zeros(layout.COUNTS, dtype=np.int64)
        self.real[layout.T], self.real[layout.H], self.real[layout.END] = start, first_step, times[-1]
        self.real[layout.RTOL], self.real[layout.MAX_STEP] = rtol, max_step
        self.count[layout.MAX_STEPS], self.dense_from = min(max_steps, 2**62), dense_from
        rows = max(LOG_ROWS, 4 * layout.PIECES * number) if number else 0
        self.addresses = np.array([event[0] for event in events], dtype=np.int64)
        self.info = np.array([event[1:] for event in events], dtype=np.int64).reshape(-1, 2)
        self.values, self.found = np.zeros((2, number)), np.zeros((layout.PIECES * number, 3))
        self.log, self.logged = np.zeros((rows, 1 + n)), np.zeros(rows, dtype=np.int64)
        self.crossings: list[tuple[np.ndarray, np.ndarray]] = []
        self.automatic, self.jacobian = method == "auto", jacobian or Jacobian()
        self.switches: list[tuple[float, str]] = []
        self.implicit_arrays: tuple[Any, ...] | None = None
        self.use("dop853" if self.automatic else method)

    def use(self, method: str) -> None:
        """Take the method from here on."""
        self.method = method
        self.switches.append((float(self.real[layout.T]), method))
        self.count[layout.BEGUN] = 0
        self.count[layout.PATIENCE] = -1
        self.count[layout.DENSE_FROM], self.count[layout.DENSE_WHILE] = dense_rule(method, self.dense_from)
        if method == "dop853":
            n = self.y.size
            self.K, self.scratch, self.dense = (
                np.zeros((control.STAGES, n)),
                np.zeros((4, n)),
                np.zeros((control.ROWS, n)),
            )
            if self.automatic and len(self.switches) <= MOST_SWITCHES:
                self.count[layout.PATIENCE] = self.patience()
            return
        if self.implicit_arrays is None:
            self.implicit_arrays = implicit_arrays(self.y.size, self.jacobian, self.addresses.size > 0)
        first, lowest, highest = _IMPLICIT.get(method) or variable_order(self.real[layout.RTOL])
        self.count[layout.METHOD : layout.HIGHEST + 1] = first, lowest, highest
        self.real[layout.WIDEN :] = [widening(self.real[layout.RTOL], 2 * k + 3) for k in range(3)]
        self.real[layout.MEMORY] = 0.0
        if self.automatic and len(self.switches) < MOST_SWITCHES:
            self.count[layout.PATIENCE] = 0

    def patience(self) -> int:
        """Return how many explicit steps must remain for the implicit method to be worth its linear algebra.

        One hundred, and the steps that cost as much as 200 implicit steps when an evaluation takes 20 n + n^1.5
        operations, an explicit step 12 evaluations, and an implicit one the decompositions of four matrices.
        """
        n, rank = self.y.size, self.jacobian.rank
        evaluation = 12 * (20 * n + n**1.5)
        if self.jacobian.kind == 1:
            return int(100 + 200 * 20 * n * (1 + rank) ** 2 / evaluation)
        if self.jacobian.structure is not None:
            return int(100 + 200 * 20 * self.jacobian.structure.factors_size / evaluation)
        differences = n if self.jacobian.kind == 2 else 1
        return int(100 + 200 * (differences / 12 + 5 * n**3 / evaluation))

    def slice(self, budget: int) -> int:
        """Run at most `budget` steps; return a status of `layout`."""
        if self.method == "dop853":
            from . import explicit_loop as explicit  # many problems in lanes do without its compiled loop

            return explicit.advance(
                self.address, self.real, self.count, self.y, self.K, self.scratch, self.dense,
                self.times, self.states, self.atol, self.params, self.work, self.addresses, self.info, self.values,
                self.found, self.log, self.logged, explicit.watch.address if self.addresses.size else 0, budget,
            )  # fmt: skip
        assert self.implicit_arrays is not None
        stiff, model, workspace, matrices, tables = self.implicit_arrays
        events = (self.addresses, self.info, self.values, self.found, self.log, self.logged)
        return stiff.advance(
            self.address, model, self.real, self.count, self.y, workspace, matrices, tables, self.times, self.states,
            self.atol, self.params, self.work, events, budget,
        )  # fmt: skip

    def run(
        self, progress: bool | None = False, advice: dict[Status, str] | None = None
    ) -> tuple[np.ndarray, np.ndarray, Report]:
        """Integrate to the end; see `integrate` for what is returned and raised."""
        began = time.perf_counter()
        code, budget = layout.RUNNING, 0  # the first slice evaluates once or twice, and takes no step
        start, end = float(self.real[layout.T]), float(self.times[-1])
        bar = Progress(max(end - start, 1e-300), "integrate", progress)
        try:
            with one_blas_thread if self.y.size in ONE_BLAS_THREAD else nullcontext():
                while code in (layout.RUNNING, layout.LOG_FULL, layout.STIFF, layout.NONSTIFF):
                    before = time.perf_counter()
                    code = interruptible(self.slice, budget) if self.slow else self.slice(budget)
                    took = max(time.perf_counter() - before, 1e-9)
                    self.slow = self.slow or (budget <= 1 and took > 0.2 * TURN)
                    if budget == 0 and took < BRIEF and self.y.size <= FEW:
                        budget = 64
                    else:
                        budget = int(min(max(budget * min(SLICE / took, 64.0), 1.0), 1e7))
                    if self.count[layout.LOGGED]:
                        self.take_log()
                    if code == layout.STIFF:
                        self.use("radau")
                    elif code == layout.NONSTIFF:
                        self.use("dop853")
                    done = float(self.real[layout.T]) - start
                    bar.reach(done)
                    advance(done / bar.total)
        except KeyboardInterrupt:
            code = layout.INTERRUPTED
            # A slice that was left behind still writes to the others.
            self.real, self.count, self.y, self.states = map(np.copy, (self.real, self.count, self.y, self.states))
        finally:
            bar.close()
        return self.finish(status_of(code), time.perf_counter() - began, advice)

    @property
    def step(self) -> float:
        """The length of the step to come."""
        return float(min(self.real[layout.H], self.real[layout.MAX_STEP]))

    def take_log(self) -> None:
        """Take the crossings out of the compiled loop."""
        filled = self.count[layout.LOGGED]
        self.crossings.append((self.log[:filled].copy(), self.logged[:filled].copy()))
        self.count[layout.LOGGED] = 0

    def finish(
        self, status: Status, seconds: float, advice: dict[Status, str] | None
    ) -> tuple[np.ndarray, np.ndarray, Report]:
        """Return the result or raise the error that carries it."""
        report = self.report(status, seconds, advice)
        done = int(self.count[layout.NEXT])
        times, states = self.times[:done], self.states[:done]
        if status is Status.EVENT and (done == 0 or times[-1] < report.reached):
            times, states = np.append(times, report.reached), np.vstack([states, self.y])
        if status is Status.INTERRUPTED:
            raise IntegrationInterrupted(report.message, times, states, report)
        if status.failed:
            raise IntegrationError(report.message, times, states, report)
        return times, states, report

    def report(self, status: Status, seconds: float, advice: dict[Status, str] | None) -> Report:
        """Return the report up to now."""
        count, reached = self.count, float(self.real[layout.T])
        crossings: tuple[np.ndarray, ...] = ()
        event_states: tuple[np.ndarray, ...] = ()
        if self.addresses.size:
            log = np.concatenate([self.log[:0], *(rows for rows, _ in self.crossings)])
            which = np.concatenate([self.logged[:0], *(rows for _, rows in self.crossings)])
            order = np.argsort(log[:, 0], kind="stable")
            log, which = log[order], which[order]
            crossings = tuple(log[which == e, 0] for e in range(self.addresses.size))
            event_states = tuple(log[which == e, 1:] for e in range(self.addresses.size))
        return Report(
            status=status,
            method=", ".join(name for _, name in self.switches),
            switches=tuple(self.switches),
            steps=int(count[layout.STEPS]),
            rejected=int(count[layout.REJECTED]),
            evaluations=int(count[layout.EVALUATIONS]),
            jacobians=int(count[layout.JACOBIANS]),
            factorisations=int(count[layout.FACTORISATIONS]),
            reached=reached,
            wall_time=seconds,
            rtol=float(self.real[layout.RTOL]),
            atol=float(self.atol.min()),
            event_times=np.array([times[0] if times.size else np.nan for times in crossings]),
            crossings=crossings,
            event_states=event_states,
            message=message_of(status, reached, advice),
        )


class StoppableIntegration(Integration):
    """An integration that another thread can interrupt between two slices."""

    def __init__(self, stop: threading.Event, *arguments: Any, **options: Any) -> None:
        self.stop = stop
        super().__init__(*arguments, **options)

    def slice(self, budget: int) -> int:
        """Run at most `budget` steps; return a status of `layout`."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        return super().slice(budget)


def dense_rule(method: str, dense_from: int | None) -> tuple[int, int]:
    """Return how many requested times in one step begin, and keep up, interpolation; see `integrate`."""
    if dense_from is not None:
        return dense_from, dense_from
    return (3, 1) if method == "dop853" else (5, 2)


def variable_order(rtol: float) -> tuple[int, int, int]:
    """Return the first, lowest and highest index of the implicit method for this tolerance."""
    first = 2 if rtol <= 1e-8 else 1 if rtol <= 1e-4 else 0
    return first, 0, first


def widening(rtol: float, stages: int) -> float:
    """Return the factor between the tolerance of the error estimate, of order `stages`, and that of the solution."""
    if rtol <= 0.0:
        return 1.0
    return max(1.0, 0.1 * rtol ** ((stages + 1.0) / (2.0 * stages) - 1.0))
