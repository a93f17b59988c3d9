"""Drive the compiled stepping over kinks: slices, interrupts, progress, failures as sentences."""

from __future__ import annotations

import time

import numpy as np

from ..ode.driver import SLICE, progress_bar
from ..ode.report import IntegrationError, IntegrationInterrupted, Report, Status, message_of
from . import equations_steps as kernel
from .equations import sample_flow

_STATUS = {
    kernel.DONE: Status.SUCCESS,
    kernel.NOT_FINITE: Status.NOT_FINITE,
    kernel.TOO_MANY_STEPS: Status.TOO_MANY_STEPS,
    kernel.STEP_TOO_SMALL: Status.STEP_TOO_SMALL,
}
_ADVICE = {
    Status.NOT_FINITE: "The flow diverged: lower the start.",
    Status.TOO_MANY_STEPS: "Raise `max_steps`, or loosen `rtol` or `kink_step`.",
    Status.STEP_TOO_SMALL: "No step meets `rtol`: loosen it, or raise `kink_step`.",
}


def default_kink_step(X: np.ndarray, y: np.ndarray, loss: str) -> float:
    r"""Return the default shortest step: a hundredth of the time in which the fastest unit may align.

    The velocity of :math:`\log|w|` is at most :math:`\frac1n\sum_i|g_i||x_i|` with the pulls :math:`g_i` at the start.
    """
    pulls = np.abs(y) if loss == "squared" else np.full(len(y), 0.5 if loss == "logistic" else 1.0)
    fastest = float(np.mean(pulls * np.linalg.norm(X, axis=1)))
    return 0.01 / fastest if fastest > 0 else 0.01


def follow(
    start: np.ndarray, times: np.ndarray, params: np.ndarray, *, at: float, shortest: float, rtol: float, atol: float, max_steps: int,
    progress: bool | None,
) -> tuple[np.ndarray, Report, dict[str, float]]:  # fmt: skip
    """Return the states at `times`, the report, and what is known of the steps taken for their length alone.

    Raises
    ------
    flowlimits.ode.IntegrationError
        With the finished part.
    """
    d, m = int(params[1]), int(params[2])
    y = np.array(start)
    states = np.empty((times.size, y.size))
    real = np.zeros(6)
    real[[kernel.T, kernel.RTOL, kernel.ATOL, kernel.SHORTEST]] = at, rtol, atol, shortest
    count = np.zeros(6, dtype=np.int64)
    count[kernel.MAX_STEPS] = max_steps
    K, ynew, point, work = np.zeros((7, y.size)), np.empty_like(y), np.empty_like(y), np.zeros(3 * m)
    rates = np.zeros(8)
    began = time.perf_counter()
    bar = None if progress is False else progress_bar(progress, at, float(times[-1]))
    code, budget = kernel.RUNNING, 8
    status = Status.INTERRUPTED
    try:
        while code == kernel.RUNNING:
            before = time.perf_counter()
            code = kernel.walk(
                sample_flow.address, real, count, y, times, states, d, m, K, ynew, point, rates, params, work, budget
            )
            took = max(time.perf_counter() - before, 1e-9)
            budget = int(min(max(budget * min(SLICE / took, 4.0), 1.0), 1e7))
            if bar is not None:
                bar.update(real[kernel.T] - bar.n - at)
        status = _STATUS[code]
    except KeyboardInterrupt:
        pass
    finally:
        if bar is not None:
            bar.close()
    report = _report(status, real, count, time.perf_counter() - began)
    done = int(count[kernel.NEXT])
    if status is Status.INTERRUPTED:
        raise IntegrationInterrupted(report.message, times[:done], states[:done], report)
    if status.failed:
        raise IntegrationError(report.message, times[:done], states[:done], report)
    detail = {"forced_steps": int(count[kernel.FORCED]), "forced_error": float(real[kernel.FORCED_ERROR])}
    return states, report, detail


def _report(status: Status, real: np.ndarray, count: np.ndarray, seconds: float) -> Report:
    reached = float(real[kernel.T])
    return Report(
        status=status, method="kinks", switches=((0.0, "kinks"),), steps=int(count[kernel.STEPS]), rejected=int(count[kernel.REJECTED]),
        evaluations=int(count[kernel.EVALUATIONS]), jacobians=0, factorisations=0, reached=reached, wall_time=seconds,
        rtol=float(real[kernel.RTOL]), atol=float(real[kernel.ATOL]), event_times=np.zeros(0), crossings=(), event_states=(),
        message=message_of(status, reached, _ADVICE),
    )  # fmt: skip
