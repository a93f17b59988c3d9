"""The public verb, and the driver that runs the compiled loops in slices."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .. import checks
from . import explicit, inputs, layout
from .functions import Event
from .solution import IntegrationError, IntegrationInterrupted, Report, Status, message_of, status_of

#: Seconds that the compiled loop may run before Python looks for interrupts.
SLICE = 0.15
LOG_ROWS = 64


def integrate(
    rhs,
    y0,
    times,
    params=(),
    *,
    start=0.0,
    rtol=1e-8,
    atol=1e-10,
    method="auto",
    events=(),
    max_steps=1_000_000,
    work_size=0,
    first_step=None,
    max_step=None,
    dense="auto",
    progress=False,
    rank=None,
    sparsity=None,
    advice=None,
):
    states_, report = None, None
    rhs = inputs.check_rhs(rhs)
    start = checks.number("start", start)
    state = checks.array("y0", np.atleast_1d(y0), ["n"])
    wanted = inputs.check_times(times, start)
    relative, absolute = inputs.check_tolerances(rtol, atol, state.size)
    listed = inputs.check_events(events)
    solver = Solver(
        rhs.function.address, state, wanted, checks.array("params", params, ["m"], allow_empty=True),
        start=start, rtol=relative, atol=absolute, method=checks.choice("method", method, inputs.METHODS),
        events=listed, max_steps=checks.integer("max_steps", max_steps, minimum=1),
        work_size=checks.integer("work_size", work_size, minimum=0),
        first_step=0.0 if first_step is None else checks.number("first_step", first_step, positive=True),
        max_step=np.inf if max_step is None else checks.number("max_step", max_step, positive=True),
        dense_from=inputs.check_dense(dense),
    )
    return solver.run(progress, advice)


class Solver:
    def __init__(self, address, y0, times, params, *, start=0.0, rtol=1e-8, atol=None, method="auto", events=(),
                 max_steps=1_000_000, work_size=0, first_step=0.0, max_step=np.inf, dense_from=None):
        n = y0.size
        self.address, self.y, self.times, self.params = address, y0.copy(), times, params
        self.work = np.zeros(work_size)
        self.atol = atol
        self.real = np.zeros(layout.REALS)
        self.count = np.zeros(layout.COUNTS, dtype=np.int64)
        self.states = np.full((times.size, n), np.nan)
        self.real[layout.T], self.real[layout.H] = start, first_step
        self.real[layout.END], self.real[layout.RTOL], self.real[layout.MAX_STEP] = times[-1], rtol, max_step
        self.count[layout.MAX_STEPS] = max_steps
        self.count[layout.DENSE_FROM] = 3 if dense_from is None else dense_from
        self.count[layout.PATIENCE] = -1
        self.method = "dop853" if method == "auto" else method
        self.switches = [(start, self.method)]
        number = len(events)
        rows = max(LOG_ROWS, 4 * layout.PIECES * number) if number else 0
        self.addresses = np.array([event.function.address for event in events], dtype=np.int64)
        self.info = np.array([[event.terminal, event.direction] for event in events], dtype=np.int64).reshape(-1, 2)
        self.values = np.zeros((2, number))
        self.found = np.zeros((layout.PIECES * number, 3))
        self.log = np.zeros((rows, 1 + n))
        self.logged = np.zeros(rows, dtype=np.int64)
        self.kept = []
        code = explicit.DOP853 if self.method == "dop853" else explicit.TSIT5
        self.code = code
        self.K = np.zeros((explicit.STAGES[code], n))
        self.scratch, self.dense = np.zeros((3, n)), np.zeros((explicit.ROWS, n))

    def slice(self, budget):
        return explicit.advance(
            self.address, self.code, self.real, self.count, self.y, self.K, self.scratch, self.dense, self.times,
            self.states, self.atol, self.params, self.work, self.addresses, self.info, self.values, self.found,
            self.log, self.logged, budget,
        )

    def run(self, progress=False, advice=None):
        began = time.perf_counter()
        budget = 8
        status = layout.RUNNING
        try:
            while status in (layout.RUNNING, layout.LOG_FULL):
                before = time.perf_counter()
                status = self.slice(budget)
                took = time.perf_counter() - before
                budget = int(min(max(budget * min(SLICE / max(took, 1e-9), 4.0), 1), 1_000_000))
                self.flush()
        except KeyboardInterrupt:
            status = layout.INTERRUPTED
        return self.finish(status_of(status), time.perf_counter() - began, advice)

    def flush(self):
        filled = self.count[layout.LOGGED]
        if filled:
            self.kept.append((self.log[:filled].copy(), self.logged[:filled].copy()))
            self.count[layout.LOGGED] = 0

    def finish(self, status, seconds, advice):
        count, reached = self.count, float(self.real[layout.T])
        n = self.y.size
        log = np.concatenate([rows for rows, _ in self.kept]) if self.kept else np.zeros((0, 1 + n))
        which = np.concatenate([rows for _, rows in self.kept]) if self.kept else np.zeros(0, dtype=np.int64)
        order = np.argsort(log[:, 0], kind="stable")
        log, which = log[order], which[order]
        crossings = tuple(log[which == e, 0] for e in range(self.addresses.size))
        event_states = tuple(log[which == e, 1:] for e in range(self.addresses.size))
        report = Report(
            status=status, method=", ".join(name for _, name in self.switches), switches=tuple(self.switches),
            steps=int(count[layout.STEPS]), rejected=int(count[layout.REJECTED]),
            evaluations=int(count[layout.EVALUATIONS]), jacobians=int(count[layout.JACOBIANS]),
            factorisations=int(count[layout.FACTORISATIONS]), reached=reached, wall_time=seconds,
            rtol=float(self.real[layout.RTOL]), atol=float(self.atol.min()),
            event_times=np.array([times[0] if times.size else np.nan for times in crossings]),
            crossings=crossings, event_states=event_states, message=message_of(status, reached, advice),
        )
        done = int(count[layout.NEXT])
        times, states = self.times[:done], self.states[:done]
        if status is Status.EVENT and (done == 0 or times[-1] < reached):
            times, states = np.append(times, reached), np.vstack([states, self.y])
        if status is Status.INTERRUPTED:
            raise IntegrationInterrupted(report.message, times, states, report)
        if status.failed:
            raise IntegrationError(report.message, times, states, report)
        return times, states, report
