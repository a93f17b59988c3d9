"""Limit of the flow on a sample: directly, by steps that bound the error at kinks, or by aligning and merging units first."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.progress import Progress
from ..core.solve import Options, Path
from ..core.threads import Unfinished, interruptible, plainly
from ..ode import inputs as ode_inputs
from ..ode.driver import LARGE, SLICE
from ..ode.report import IntegrationError, IntegrationInterrupted, Report, Status, message_of
from . import equations
from . import equations_steps as kernel
from .alignment import align_and_merge
from .equations import ACTIVATIONS, LOSSES, sample_flow
from .observables import end_point, end_state_of, observe, shown_of, weights_of
from .physics import SampleFlowPhysics

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
    K, ynew, point, work = (
        np.zeros((7, y.size)),
        np.empty_like(y),
        np.empty_like(y),
        np.zeros(equations.work_size(d, m)),
    )
    rates = np.zeros(8)
    began = time.perf_counter()
    bar = Progress(max(float(times[-1]) - at, 1e-300), "integrate", progress)
    code, budget = kernel.RUNNING, 8
    call = interruptible if y.size >= LARGE else plainly
    status = Status.INTERRUPTED
    try:
        while code == kernel.RUNNING:
            before = time.perf_counter()
            code = call(
                kernel.walk,
                sample_flow.address,
                real,
                count,
                y,
                times,
                states,
                d,
                m,
                K,
                ynew,
                point,
                rates,
                params,
                work,
                budget,
            )
            took = max(time.perf_counter() - before, 1e-9)
            budget = int(min(max(budget * min(SLICE / took, 4.0), 1.0), 1e7))
            bar.reach(float(real[kernel.T]) - at)
        status = _STATUS[code]
    except KeyboardInterrupt:
        # A slice that was left behind still writes to the others.
        real, count, states = real.copy(), count.copy(), states.copy()
    finally:
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


FLOW = ode.right_hand_side(equations.sample_flow)
METHODS = ("auto", "kinks", "merged", "dop853", "radau")
#: Further solutions, whose differences estimate the error: multiples of the tolerance, and of the step at kinks.
LOOSER = ((4.0, 2.0), (16.0, 4.0))
#: What is stated, in multiples of the largest difference: the differences scatter, and a small one may be chance.
STATED = 3.0


def parameters(physics: SampleFlowPhysics, width: int) -> np.ndarray:
    """Return the parameter vector of the right-hand side."""
    X = physics.inputs()
    head = [*X.shape, width, ACTIVATIONS.index(physics.activation), LOSSES.index(physics.loss)]
    return np.concatenate([head, X.ravel(), physics.y])


def tolerances(physics: SampleFlowPhysics, method: str) -> tuple[float, float]:
    """Return the tolerances that None stands for."""
    return (1e-5, 0.0) if _stepping(physics, method) == "kinks" else (1e-8, 1e-12)


def observables(physics: SampleFlowPhysics, given: Any) -> tuple[str, ...]:
    """Return the checked names of the variables to return."""
    return tuple(shown_of(physics, given))


def event_variables(physics: SampleFlowPhysics) -> list[str]:
    """Return the variables that events may name."""
    return ["risk", *(["test_risk"] if physics.X_test is not None else [])]


def call(physics: SampleFlowPhysics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    given = {
        name: None if options.given[name] is None else checks.number(name, options.given[name], positive=name != "atol")
        for name in ("rtol", "atol", "kink_step")
    }
    return {
        "verb": "solve", "rtol": given["rtol"], "atol": given["atol"], "method": options.method, "kink_step": given["kink_step"],
        "observables": list(options.observables), "max_steps": options.max_steps, "keep_state": options.keep_state,
        "events": list(options.events),
    }  # fmt: skip


def path(physics: SampleFlowPhysics, options: Options, last: float) -> SamplePath:
    """Return the path of the problem to the time `last`."""
    return SamplePath(physics, options, last)


def _stepping(physics: SampleFlowPhysics, method: str) -> str:
    """Return the method of integration that `method` means, or refuse one that does not apply."""
    ode_inputs.check_method(method, METHODS)
    kinked = physics.activation == "relu"
    if method == "merged" and not (kinked and physics.loss == "squared"):
        raise ValueError(
            f'Method "merged" needs ReLU units and the squared loss, but they are "{physics.activation}" and "{physics.loss}".'
        )
    if method == "kinks" and not kinked:
        raise ValueError(f'Method "kinks" is for ReLU units, but the activation is "{physics.activation}".')
    return ("kinks" if kinked else "auto") if method in ("auto", "merged") else method


class SamplePath(Path):
    """The flow of all units, or of those that are left when units are merged, from any state and time."""

    def __init__(self, physics: SampleFlowPhysics, options: Options, last: float) -> None:
        self.physics, self.asked = physics, options
        self.integrator = _Integrator(physics, options)
        W, a = physics.W, physics.second_layer
        self.detail: dict[str, Any] = {}
        self.merged_at = 0.0
        if options.method == "merged":
            W, a, self.merged_at, self.detail = align_and_merge(physics, last)
        self.start, self.width = np.concatenate([W.T.ravel(), a]), len(a)
        self.origin = self.start
        self.forced: dict[str, Any] = {}
        self.report: ode.Report | None = None
        self.times, self.states = np.empty(0), np.empty((0, self.start.size))

    def run(self, times: np.ndarray) -> None:
        # Before the merging time the outputs are below a hundredth of the labels: the merged start stands for them.
        begin = max(self.begin, self.merged_at)
        later = times[times > begin] if self.merged_at > 0 else times
        early = np.repeat(self.start[None], times.size - later.size, axis=0)
        try:
            states, report, forced = self.integrator.run(self.start, begin, later)
        except Unfinished as error:
            self.times = times[: len(early) + len(error.states)]
            self.states = np.vstack([early, error.states])
            self.report = error.report
            raise
        self.times, self.states = times, np.vstack([early, states])
        self.report, self.forced = report, forced

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return observe(self.physics, self.states, self.width, list(names))

    def contents(self) -> dict[str, Any]:
        last = self.states[-1:]
        merged = self.asked.method == "merged"
        attributes = end_state_of(self.physics, last[0], self.width) if len(last) else {}
        if merged and len(last):
            W, a = weights_of(self.physics, last[0], self.width)
            attributes["end_point_risk"], consistent = end_point(self.physics.inputs(), np.array(self.physics.y), W, a)
            attributes["end_point_consistent"] = int(consistent)
        parts: dict[str, Any] = {
            "variables": observe(self.physics, self.states, self.width, list(self.asked.observables)),
            "kind": "limit" if merged else "exact",
            "attrs": attributes,
        }
        if self.asked.keep_state and len(last):
            parts["extra"] = {"state": (("state_component",), last[0], {"long_name": "state at the last time"})}
        return parts

    def provenance(self, seconds: float) -> dict[str, Any]:
        method = "merged" if self.asked.method == "merged" else self.integrator.method
        plain: dict[str, Any] = {"method": method, **self.integrator.stated()} | self.detail | self.forced
        if self.report is not None:
            for name in ("steps", "rejected", "evaluations"):
                plain[name] = getattr(self.report, name)
        later = self.times[self.times > self.merged_at] if self.merged_at > 0 else self.times
        if self.integrator.kinked and later.size and self.report is not None and not self.report.status.failed:
            plain |= self._risk_error(later)
        return plain | {"wall_time": seconds}

    def _risk_error(self, later: np.ndarray) -> dict[str, float]:
        """Return `STATED` times the largest difference of the loss to looser solutions, absolute and relative."""
        fine = observe(self.physics, self.states, self.width, ["risk"])["risk"][-later.size :]
        gap = np.zeros(later.size)
        for factors in LOOSER:
            states = self.integrator.looser(*factors).run(self.origin, self.merged_at, later)[0]
            gap = np.maximum(gap, np.abs(observe(self.physics, states, self.width, ["risk"])["risk"] - fine))
        gap *= STATED
        relative = np.max(gap / np.maximum(fine, np.finfo(float).tiny))
        return {"risk_error": float(gap.max()), "relative_risk_error": float(relative)}


class _Integrator:
    """A method with its tolerances, and the same with looser ones."""

    def __init__(self, physics: SampleFlowPhysics, options: Options) -> None:
        self.physics, self.kinked = physics, physics.activation == "relu"
        self.method = _stepping(physics, options.method)
        kink_step = options.given["kink_step"]
        if kink_step is not None and self.method != "kinks":
            raise ValueError(f'Argument `kink_step` belongs to the method "kinks", not to "{self.method}".')
        self.rtol, self.atol, self.kink_step = options.rtol, options.atol, None
        if self.method == "kinks":
            if kink_step is None:
                kink_step = default_kink_step(physics.inputs(), np.array(physics.y), physics.loss)
            self.kink_step = checks.number("kink_step", kink_step, positive=True)
        self.max_steps, self.progress = options.max_steps, options.progress

    def stated(self) -> dict[str, Any]:
        """Return the tolerances, for the provenance."""
        return {"rtol": self.rtol, "atol": self.atol} | ({"kink_step": self.kink_step} if self.kink_step else {})

    def looser(self, tolerance: float, step: float) -> _Integrator:
        """Return the same method with multiples of the tolerances and of the step at kinks."""
        other = copy.copy(self)
        other.rtol, other.atol = min(self.rtol * tolerance, 0.1), self.atol * tolerance
        other.kink_step = self.kink_step * step if self.kink_step else None
        return other

    def run(self, start: np.ndarray, at: float, times: np.ndarray) -> tuple[np.ndarray, Any, dict[str, Any]]:
        """Return the states at `times` from `start` at the time `at`, the report, and what is known of forced steps."""
        if times.size == 0:
            return np.zeros((0, start.size)), None, {}
        m = start.size // (self.physics.W.shape[1] + 1)
        params = parameters(self.physics, m)
        options: dict[str, Any] = {
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "progress": self.progress,
        }
        if self.kink_step:
            return follow(start, times, params, at=at, shortest=self.kink_step, **options)
        _, states, report = ode.integrate(
            FLOW,
            start,
            times,
            params,
            start=at,
            method=self.method,
            work_size=equations.work_size(int(params[1]), m),
            **options,
        )
        return states, report, {}
