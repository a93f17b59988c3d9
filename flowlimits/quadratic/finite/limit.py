"""From a start and a teacher to a result: choice of the method by cost, events, what fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...core import checks
from ...core.events import Event, check_events, locate
from ...core.problem import Problem
from ...core.results import Variable, build
from ...ode.report import IntegrationError, IntegrationInterrupted, message_of
from .equations_reduced import OBSERVABLES
from .matrix_path import LARGE, MatrixPath
from .reduced_path import ADVICE, Outcome, ReducedPath, Request, Tolerances
from .start import Scalars, Split, Teacher, scalars, split
from .start_blocks import decouple

METHODS = ("auto", "reduced", "matrix")
#: 8 (largest eigenvalue) (last time) beyond which the risk may be too small for the matrix form.
LATE = 10.0
#: Points between which events are looked for, besides the requested times.
EVENT_GRID = 400

VARIABLES = {
    "risk": Variable("population risk", r"\mathcal{R}"),
    "overlap": Variable("overlap", r"\chi"),
    "misalignment": Variable("misalignment", r"1 - \chi"),
    "trace": Variable("trace of the student", r"\mathrm{tr}\,Z"),
    "multiplier": Variable("multiplier", r"\varphi"),
    "eigenvalues": Variable("eigenvalues of the student", r"\mathrm{spec}\,Z", ("eigenvalue",)),
    "Z": Variable("matrix of the student", "Z", ("input", "input_2")),
}


@dataclass(frozen=True)
class Flow:
    """What is integrated: the start V0, shape (d, p), and the physics; weight decay on the clock t."""

    V0: np.ndarray
    teacher: Teacher
    square: bool
    weight_decay: float

    @property
    def decay(self) -> float:
        return self.weight_decay / 2


def choose_method(flow: Flow, last: float) -> str:
    """Return "reduced" or "matrix", whichever should cost less to the time `last` on the clock t.

    The constants were measured: operations per second of the compiled loops of both forms, of NumPy's products and
    decompositions; evaluations by the implicit method of the reduced form, which hardly depend on the last time, and by
    the explicit one of the matrix form, whose steps are limited by stability.
    """
    d, p = flow.V0.shape
    m, r = min(d, p), flow.teacher.values.size
    rows, rank = r + min(d - r, m), min(m, r)
    stiffness = 8 * flow.teacher.values.max(initial=0.0) * last
    if stiffness > LATE:
        return "reduced"
    evaluations = 350 + 150 * math.log10(1 + stiffness) if flow.square else 0
    once = 1e-3 + (20.0 * m**3 + 4.0 * d * m * m) / 1e10
    reduced = once + evaluations * (2e-6 + (2.0 * rank * rank * (rank + m) + 200.0 * (m + r)) / 1e10)
    products = 4.0 * rows * m * m
    speed, other = (5e9, 5e-7) if products < LARGE else (2e10, 2e-5 + 60.0 * rows * m / 1e10)
    matrix = 2e-4 + 12 * (60 + stiffness / 2) * (products / speed + other)
    return "reduced" if reduced <= matrix else "matrix"


def make_path(
    flow: Flow, method: str, last: float, limits: Tolerances, *, keep_basis: bool = False, try_blocks: bool = True
) -> ReducedPath | MatrixPath:
    """Return the path of the chosen method; `last` is the last time on the clock t."""
    blocks: Scalars | None = None
    if method != "matrix" and not keep_basis and try_blocks:
        blocks = decouple(flow.V0, flow.teacher, square=flow.square, decay=flow.decay)
        if blocks is not None:
            return ReducedPath(blocks, flow.teacher, limits)
    start: Split = split(flow.V0, flow.teacher)
    if method == "auto":
        method = choose_method(flow, last)
    if method == "matrix":
        return MatrixPath(start, square=flow.square, decay=flow.decay, limits=limits)
    system = scalars(start, square=flow.square, decay=flow.decay, keep_basis=keep_basis)
    return ReducedPath(system, flow.teacher, limits, start)


@dataclass(frozen=True)
class Options:
    """The checked keywords of `solve`."""

    rtol: float
    atol: float
    method: str
    observables: tuple[str, ...]
    events: tuple[Event, ...]
    max_steps: int
    keep_state: bool
    progress: bool | None

    @classmethod
    def checked(cls, *, rtol, atol, method, observables, events, max_steps, keep_state, progress) -> Options:
        rtol, atol = checks.tolerances(rtol, atol)
        return cls(
            rtol, atol, checks.choice("method", method, METHODS), check_observables(observables),
            check_events(events, list(OBSERVABLES)), checks.integer("max_steps", max_steps, minimum=1),
            checks.boolean("keep_state", keep_state), checks.progress(progress),
        )  # fmt: skip

    def call(self) -> dict[str, Any]:
        """Return the arguments that repeat the call."""
        call: dict[str, Any] = {"verb": "solve", "rtol": self.rtol, "atol": self.atol, "method": self.method}
        call |= {"max_steps": self.max_steps, "keep_state": self.keep_state}
        if self.observables != OBSERVABLES:
            call["observables"] = list(self.observables)
        if self.events:
            call["events"] = list(self.events)
        return call


def check_observables(observables: Any) -> tuple[str, ...]:
    """Return the names of the variables to return; `risk` is always among them."""
    if observables is None:
        return OBSERVABLES
    listed = checks.items("observables", observables, str)
    for name in listed:
        checks.choice("observables", name, (*OBSERVABLES, "eigenvalues"))
    return tuple(name for name in (*OBSERVABLES, "eigenvalues") if name in ("risk", *listed))


def solve_problem(
    problem: Problem, flow: Flow, times: Any, options: Options, *, kind: str, dimension: int | None
) -> Any:
    """Return the Dataset of the flow at `times` on the clock t."""
    times = checks.times(times)
    limits = Tolerances(options.rtol, options.atol, options.max_steps, options.progress)
    request = Request("eigenvalues" in options.observables, options.keep_state)

    def result(outcome: Outcome, reached: np.ndarray, method: str, happened: np.ndarray | None = None) -> Any:
        variables = {name: values for name, values in outcome.variables().items() if name in options.observables}
        if outcome.eigenvalues is not None:
            variables["eigenvalues"] = outcome.eigenvalues
        if outcome.matrices is not None:
            variables["Z"] = outcome.matrices
        call = options.call()
        coords, extra = {}, {}
        if happened is not None:
            coords["event"] = [f"{event.variable}={event.value:g}" for event in options.events]
            extra["event_time"] = (("event",), happened, {"long_name": "time of the event", "symbol": "t"})
            call["times"] = times
        details = on_clock(outcome.report.provenance()) | {"method": f"{method}, {outcome.report.method}"}
        return build(
            problem, kind=kind, times=reached, variables=variables, call=call, provenance=details, coords=coords,
            extra=extra, dimension=dimension,
        )  # fmt: skip

    try:
        # Weights beyond 1e75 overflow in the risk; the integrator then says so.
        with np.errstate(over="ignore", invalid="ignore"):
            path = make_path(flow, options.method, float(times[-1]), limits, keep_basis=options.keep_state)
            outcome = path.run(2 * times, request)
    except (IntegrationError, IntegrationInterrupted) as error:
        raise with_partial(error, path, times, request, result) from None
    if not options.events:
        return result(outcome, times, path.name)
    happened, stop = locate_events(path, times, outcome, options.events)
    kept = times <= stop
    return result(outcome.first(int(kept.sum())), times[kept], path.name, happened)


def locate_events(
    path: ReducedPath | MatrixPath, times: np.ndarray, outcome: Outcome, events: Sequence[Event]
) -> tuple[np.ndarray, float]:
    """Return the times of the events, NaN for those that do not happen before the end, and the end, inf without a stop."""
    quiet = Request()
    last = float(times[-1])
    grid = np.append(0.0, times[times > 0])
    if isinstance(path, ReducedPath) and last > 0:
        # Scalars are cheap: crossings are also looked for between distant requested times.
        grid = np.unique(np.concatenate([grid, np.geomspace(1e-6 * last, last, EVENT_GRID)]))
    whole = path.restart(0.0, -1)
    values = whole.run(2 * grid, quiet).variables()

    def evaluate(i: int, t: float) -> Mapping[str, float]:
        if t <= grid[i]:
            return {name: float(column[i]) for name, column in values.items()}
        near = whole.restart(2 * grid[i], i).run(np.array([2 * t]), quiet)
        return {name: float(column[0]) for name, column in near.variables().items()}

    happened = locate(events, grid, values, evaluate)
    stop = min((time for time, event in zip(happened, events) if event.stop and not math.isnan(time)), default=math.inf)
    return np.where(happened <= stop, happened, math.nan), float(stop)


def with_partial(error: Any, path: ReducedPath | MatrixPath, times: np.ndarray, request: Request, result: Any) -> Any:
    """Return the error with its time on the problem's clock and the finished part as a result in `partial`."""
    report = error.report
    reached = report.reached / 2
    told = replace(report, message=message_of(report.status, reached, ADVICE), reached=reached)
    again = type(error)(told.message, error.times / 2, error.states, told)
    again.partial = None
    done = len(error.times)
    if done:
        if isinstance(path, ReducedPath):
            path.states = error.states
            outcome = path._observe(2 * times[:done], report, request)
        else:
            outcome = path.run(2 * times[:done], request)
        again.partial = result(outcome, times[:done], path.name)
    return again


def on_clock(details: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of an integration on the clock s = 2 t with its times on the clock t."""
    details["reached"] /= 2
    details["switches"] = [[time / 2, name] for time, name in details["switches"]]
    details["message"] = f"Integration reached t={details['reached']:.6g}."
    del details["event_times"]
    return details
