"""The public verb `integrate_batch`: groups of problems run in SIMD lanes, over threads, and the stiff rest singly."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
import time
import warnings
from typing import Any

import numpy as np

from ...core import checks
from ...core.threads import check_threads, for_each, one_blas_thread
from .. import inputs, layout
from ..dense import first_intervals
from ..driver import Integration, StoppableIntegration
from ..functions import Event, RightHandSide, address_of
from ..guards import Guard
from ..inputs import check_jacobian
from ..integrate import _solve
from ..report import IntegrationError, IntegrationInterrupted, Status, status_of
from . import layout as lanes_layout
from .batch import Batch, BatchReport, sentence, tell

#: Methods that run in lanes.
IN_LANES = ("auto", "dop853")


def run(batch: Batch) -> None:
    """Run everything; after an interrupt, what is finished stays."""
    try:
        with one_blas_thread:
            if batch.method in IN_LANES and lanes_work():
                run_lanes(batch)
                stiff = np.flatnonzero(batch.outcome[:, lanes_layout.STATUS] == layout.STIFF)
                run_singly(batch, stiff, None)
            else:
                run_singly(batch, np.arange(len(batch.y0s)), 0 if batch.method in IN_LANES else None)
    except KeyboardInterrupt:
        pass
    finally:
        batch.close()


@functools.cache
def lanes_work() -> bool:
    """Whether SIMD lanes can be used with this Numba; if not, a warning says so once."""
    try:
        from . import lanes  # noqa: F401
    except Exception as error:  # whatever another Numba makes of the types, there is the way without them
        import numba

        warnings.warn(
            f"SIMD lanes cannot be used with Numba {numba.__version__} ({type(error).__name__}: {error}): batches are "
            "integrated problem by problem, with the same results.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def run_lanes(batch: Batch) -> None:
    """Run the explicit method in lanes; stiff problems are left with the status STIFF."""
    from .lanes import Lanes, group

    if batch.method == "auto":
        jacobian = check_jacobian(batch.rhs, batch.y0s.shape[1], None, None)
        probe = Integration(0, batch.y0s[0], batch.times, batch.params[0], atol=batch.atol, jacobian=jacobian)
        batch.settings[lanes_layout.PATIENCE] = probe.patience()
    span = (float(batch.settings[lanes_layout.START]), float(batch.times[-1]))
    for equations in group(batch.rhs, batch.y0s, batch.params, batch.work_size, span, batch.equations, batch.instead):
        batch.operations = max(batch.operations, equations.operations)
        Lanes(batch, equations).run()


def run_singly(batch: Batch, indices: np.ndarray, dense_from: int | None) -> None:
    """Integrate problems one by one, as `integrate` does; `dense_from` 0: with steps that end on the requested times."""
    if not indices.size:
        return
    jacobian, address = check_jacobian(batch.rhs, batch.y0s.shape[1], None, None), address_of(batch.rhs.function)
    settings = batch.settings
    codes = {
        status_of(code): code
        for code in (layout.SUCCESS, *range(layout.NOT_FINITE, layout.NEWTON_FAILED + 1), layout.INTERRUPTED)
    }

    def one(index: int) -> None:
        integration = StoppableIntegration(
            batch.stop, address, batch.y0s[index], batch.times, batch.params[min(index, len(batch.params) - 1)],
            start=settings[lanes_layout.START], rtol=settings[lanes_layout.RTOL], atol=batch.atol, method=batch.method,
            jacobian=jacobian, max_steps=int(settings[lanes_layout.MAX_STEPS]), work_size=batch.work_size,
            first_step=settings[lanes_layout.FIRST_STEP], max_step=settings[lanes_layout.MAX_STEP], dense_from=dense_from,
        )  # fmt: skip
        try:
            _, states, report = integration.run()
        except (IntegrationError, IntegrationInterrupted) as error:
            states, report = error.states, error.report
        batch.states[index, : len(states)] = states
        batch.states[index, len(states) :] = np.nan
        earlier = batch.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1].copy()
        batch.outcome[index] = codes[report.status], len(states), report.steps, report.rejected, report.evaluations
        batch.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1] += earlier
        batch.reached[index] = report.reached
        batch.methods[index] = report.method
        if report.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        batch.finished(1)

    for_each(one, indices, batch.threads, batch.stop)


def integrate_batch(
    rhs: RightHandSide,
    y0s: Any,
    times: Any,
    params: Any = (),
    *,
    start: float = 0.0,
    rtol: float = 1e-8,
    atol: Any = 1e-10,
    method: str = "auto",
    events: Any = (),
    max_steps: int = 1_000_000,
    work_size: int = 0,
    first_step: float | None = None,
    max_step: float | None = None,
    threads: int | None = None,
    progress: bool | None = False,
) -> tuple[np.ndarray, np.ndarray, BatchReport]:
    r"""Integrate y' = f(t, y) from many starts and with many parameters, eight problems side by side in each thread.

    Parameters
    ----------
    rhs : RightHandSide
        A function decorated with `right_hand_side`.
    y0s : array_like, shape (problems, n)
        The states at time `start`.
    times : array_like, shape (times,)
        Requested times, the same for all problems, strictly increasing, none before `start`.
    params : array_like, shape (problems, m), or (m,) or (1, m) for all problems, optional
        Passed to the right-hand side.

    Returns
    -------
    times : ndarray, shape (times,)
        The requested times.
    states : ndarray, shape (problems, times, n)
        The states there; NaN from where on a problem failed.
    report : BatchReport
        Status, cost and reached time of every problem.

    Other Parameters
    ----------------
    start, rtol, atol, max_steps, work_size, first_step, max_step
        As in `integrate`, the same for all problems.
    method : {"auto", "dop853", "radau", "radau5", "radau9", "radau13"}
        As in `integrate`.  The explicit method runs in lanes, with steps that end on the requested times.  With "auto"
        a problem that turns out to be stiff is integrated anew by itself, as `integrate` does it, and so is every
        problem with an implicit method.
    events : Event or sequence of Event
        Functions decorated with `event`.  A sign change is seen between two requested times at whose ends an event function
        differs in sign; that interval is then integrated again, by itself, so that its time is as accurate as the solution.  The
        times are in ``report.event_times``.  After a terminal event the states of a problem are NaN.
    threads : int, optional
        Threads; all processors by default.
    progress : bool or None
        Show how many problems are finished; None: only when it takes more than about two seconds.

    Warns
    -----
    RuntimeWarning
        If problems failed, or Ctrl-C stopped the work: those that are finished are returned, with the status of each.

    Raises
    ------
    ValueError, TypeError
        For bad arguments.

    Notes
    -----
    The right-hand side is traced: run once with symbols in place of numbers, and what it computes is compiled for all
    SIMD lanes (cached on disk, about a second the first time).  Where that cannot be done, because a branch depends on
    the state or the trace would be too long, and for few problems, every lane calls the function itself.
    The numbers are the same bit for bit, and those of ``integrate(..., method="dop853", dense=False)``: they depend
    neither on the number of threads nor on what else is in the batch.  A function is expected to compute dy from its
    arguments alone; scratch is cleared for every problem.  What can be traced is listed in docs/howto/many_problems.md.

    Examples
    --------
    >>> import flowlimits as fl
    >>> @fl.ode.right_hand_side
    ... def decay(t, y, dy, params, work):
    ...     dy[0] = -params[0] * y[0]
    >>> times, states, report = fl.ode.integrate_batch(decay, [[1.0], [1.0]], [1.0], params=[[0.5], [2.0]])
    >>> states[:, 0, 0].round(6).tolist()
    [0.606531, 0.135335]
    """
    rhs = inputs.check_rhs(rhs)
    begin = checks.number("start", start, largest=math.inf)
    starts = inputs.check_starts(y0s)
    relative, absolute = inputs.check_tolerances(rtol, atol, starts.shape[1])
    own = inputs.check_params(params, len(starts))
    work = checks.integer("work_size", work_size, minimum=0)
    wanted = inputs.check_common_times(times, begin)
    watched = inputs.check_events(events)
    guard = Guard(rhs, starts.shape[1], own[0], work, watched)
    guard.start(begin, starts[0])
    options: dict[str, Any] = {
        "start": begin, "rtol": relative, "atol": np.array(absolute, dtype=np.float64),
        "method": inputs.check_method(method),
        "max_steps": checks.integer("max_steps", max_steps, minimum=1), "work_size": work,
        "first_step": 0.0 if first_step is None else checks.number("first_step", first_step, positive=True, largest=math.inf),
        "max_step": inputs.check_max_step(max_step, begin, wanted[-1]),
        "threads": check_threads(threads), "progress": checks.progress(progress),
    }  # fmt: skip
    states = np.empty((len(starts), wanted.size, starts.shape[1]))
    report = solve_batch(rhs, starts, wanted, own, states, **options)
    guard.reached(wanted, states[0])
    if watched:
        report = _find_events(rhs, watched, starts, wanted, own, states, report, options)
    tell(report)
    return wanted, states, report


def _find_events(
    rhs: RightHandSide,
    events: tuple[Event, ...],
    starts: np.ndarray,
    times: np.ndarray,
    params: np.ndarray,
    states: np.ndarray,
    report: BatchReport,
    options: dict[str, Any],
) -> BatchReport:
    """Return the report with the times of events; states after a terminal one become NaN."""
    happened = np.full((len(starts), len(events)), np.nan)
    work = np.zeros(max(options["work_size"], 1))
    jacobian = check_jacobian(rhs, starts.shape[1], None, None)
    settings = {name: options[name] for name in ("rtol", "atol", "method", "work_size", "max_step")}
    for column, event in enumerate(events):
        intervals = np.empty(len(starts), dtype=np.int64)
        watched = (address_of(event.function), True, event.direction)
        first_intervals(
            watched[0], event.direction, options["start"], times, starts, states, params, work[: options["work_size"]], intervals
        )  # fmt: skip

        def locate(index: int, watched: Any = watched, column: int = column, intervals: np.ndarray = intervals) -> None:
            last = int(intervals[index])
            begin, state = (times[last - 1], states[index, last - 1]) if last else (options["start"], starts[index])
            found, _, _ = _solve(
                address_of(rhs.function), np.array(state), times[last : last + 1].copy(), params[min(index, len(params) - 1)],
                start=float(begin), events=(watched,), jacobian=jacobian, owner=(rhs, events), **settings,
            )  # fmt: skip
            happened[index, column] = found[-1]

        for_each(locate, np.flatnonzero(intervals >= 0), options["threads"], threading.Event())
    terminal = [column for column, event in enumerate(events) if event.terminal]
    stop = np.where(np.isnan(happened), np.inf, happened)[:, terminal].min(axis=1, initial=np.inf)
    happened[happened > stop[:, None]] = np.nan
    ended = np.isfinite(stop)
    states[times[None, :] > stop[:, None]] = np.nan
    statuses = tuple(Status.EVENT if ends else status for ends, status in zip(ended, report.statuses))
    reached = np.where(ended, stop, report.reached)
    outputs = np.where(ended, (times[None, :] <= stop[:, None]).sum(axis=1), report.outputs)
    return dataclasses.replace(
        report,
        statuses=statuses,
        reached=reached,
        outputs=outputs,
        event_times=happened,
        message=sentence(statuses, reached),
    )


def solve_batch(
    rhs: RightHandSide,
    y0s: np.ndarray,
    times: np.ndarray,
    params: np.ndarray,
    states: np.ndarray,
    *,
    equations: Any = (),
    instead: Any = None,
    **options: Any,
) -> BatchReport:
    """Integrate without checks and warnings, for callers in the package; write the states to `states`.

    Parameters
    ----------
    rhs, y0s, times, params, **options
        As `integrate_batch` checks them; `params` has shape (problems or 1, m), `atol` (n,).
    states : ndarray, shape (problems, times, n)
        Whatever it held, what is not reached becomes NaN.
    equations, instead
        Of `trace.trace`.
    """
    began = time.perf_counter()
    batch = Batch(rhs, y0s, times, params, states, equations=equations, instead=instead, **options)
    run(batch)
    statuses = batch.statuses()
    return BatchReport(
        statuses=statuses,
        methods=tuple(batch.methods),
        steps=batch.steps,
        rejected=batch.rejected,
        evaluations=batch.evaluations,
        outputs=batch.outputs,
        reached=batch.reached,
        wall_time=time.perf_counter() - began,
        rtol=options["rtol"],
        atol=float(options["atol"].min()),
        threads=options["threads"],
        operations=batch.operations,
        message=sentence(statuses, batch.reached),
    )
