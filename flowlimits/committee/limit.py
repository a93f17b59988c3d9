"""Solve the equations of the overlaps."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.solve import Options, Path
from ..core.unfinished import Unfinished
from ..ode.inputs import METHODS
from ..ode.integrate import _solve as integrate_unchecked
from .equations import evaluate, system
from .equations.positive import infeasible_times
from .feasibility import SLACK
from .observables import RESOLVED, SCALARS, check_names
from .schedule import Schedule

if TYPE_CHECKING:
    from .physics import Physics

#: States beyond which the implicit method, whose cost grows with their cube, is not tried.
LARGE = 600
EVENT_GRID = 400
UNFEASIBLE = (
    "A negative eigenvalue of [[Q, R], [R.T, T]] of the size of round-off has grown: near this saddle the "
    "overlaps do not hold what decides the solution. Start from weights, Committee.from_weights(W, W_star), or farther from it."
)


def tolerances(problem: Physics, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: Physics, given: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    return () if given is None else check_names(given)


def event_variables(problem: Physics) -> list[str]:
    """Return the variables that events may name."""
    return ["risk", *SCALARS]


def call(problem: Physics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    return {
        "verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method,
        "observables": list(options.observables) or None, "events": list(options.events), "max_steps": options.max_steps,
    }  # fmt: skip


def path(problem: Physics, options: Options, last: float) -> CommitteePath:
    """Return the path of the problem."""
    if options.method not in METHODS:
        checks.choice("method", options.method, METHODS)
    return CommitteePath(problem, options)


class CommitteePath(Path):
    """The equations of the overlaps, integrated from any state and time."""

    cuts = False

    def __init__(self, problem: Physics, options: Options):
        self.problem, self.asked, self.family = problem, options, system.choose(problem)
        self.factored = problem.coordinates is not None
        self.start = system.factor_start(problem) if self.factored else system.start(problem)
        self.reports: list[ode.Report] = []
        rate = problem.learning_rate
        self.params = system.parameters(problem, 0.0 if isinstance(rate, Schedule) else rate)
        self.options: dict[str, Any] = {
            "rtol": options.rtol, "atol": np.full(self.start.size, options.atol), "max_steps": options.max_steps, "progress": options.progress,
            "work_size": self.family.work_size, "method": "dop853" if self.start.size > LARGE and options.method == "auto" else options.method,
            "advice": diverged(problem),
        }  # fmt: skip
        self.address, self.flow_params = self.family.rhs.address, self.params
        if self.factored:
            rhs, self.flow_params, size = system.choose_factor(problem)
            self.address = rhs.address
            # The error of a difference of units is a share of the whole, and not of the difference.
            tight = {"rtol": max(1e-3 * options.rtol, 1e-13), "atol": 1e-4 * self.options["atol"]}
            self.options |= {"work_size": size} | tight
        self.times, self.states = np.empty(0), np.empty((0, self.start.size))

    @property
    def overlaps(self) -> np.ndarray:
        """The states of the overlaps at the times of the last run."""
        return system.factor_overlaps(self.problem, self.states) if self.factored else self.states

    def _solve(self, state: np.ndarray, times: np.ndarray, params: np.ndarray, start: float) -> np.ndarray:
        _, states, report = integrate_unchecked(self.address, state, times, params, start=start, **self.options)
        self.reports.append(report)
        return states

    def run(self, times: np.ndarray) -> None:
        try:
            self.states = self._integrate(times) if times.size else np.empty((0, self.start.size))
            self.times = times
        except Unfinished as error:
            self.times, self.states = error.times, error.states
            self._watch(error.report)
            raise
        if times.size and not self.factored:
            self._watch(self.reports[-1])

    def _watch(self, report: ode.Report) -> None:
        """Raise if the overlaps are not feasible at one of the times of the run."""
        if self.factored or not self.times.size:
            return
        found = infeasible(self.states[None], self.params[None], self.asked.rtol, self.asked.atol)[0]
        if found == self.times.size:
            return
        reached = float(self.times[found])
        self.keep(int(found))
        message = ode.report.message_of(ode.Status.INFEASIBLE, reached, diverged(self.problem))
        report = dataclasses.replace(report, status=ode.Status.INFEASIBLE, reached=reached, message=message)
        raise ode.IntegrationError(message, self.times, self.states, report) from None

    def restart(self, i: int) -> CommitteePath:
        later = copy.copy(self)
        if i >= 0:
            later.begin, later.start = float(self.times[i]), self.states[i]
        return later

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return self._describe([name for name in names if name != "risk"])

    def contents(self) -> dict[str, Any]:
        names = self.asked.observables
        variables = self._describe(names)
        if not any(np.isnan(variables[name]).any() for name in names):
            return {"variables": variables}
        note = f"cosines are nan where the norms of units, Q_ii, are below {RESOLVED * self._error:.3g}: their directions are not resolved"
        return {"variables": variables, "attrs": {"note": note}}

    @property
    def _error(self) -> float:
        """The absolute error of the overlaps."""
        return float(self.options["atol"][0]) ** 2 if self.factored else self.asked.atol

    def _describe(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return describe(self.problem, self.family, self.overlaps, names, self.params, self._error)

    def provenance(self, seconds: float) -> dict[str, Any]:
        name = f"{self.family.name}, coordinates" if self.factored else self.family.name
        plain: dict[str, Any] = {"family": name, "rtol": self.asked.rtol, "atol": self.asked.atol}
        plain["method"] = ", ".join(dict.fromkeys(report.method for report in self.reports))
        for name in ("steps", "rejected", "evaluations", "jacobians"):
            plain[name] = sum(getattr(report, name) for report in self.reports)
        return plain | {"wall_time": seconds}

    def watched(self, times: np.ndarray) -> CommitteePath:
        """Look for events on a finer grid, on which a flow may diverge after the event at which it was to stop."""
        last = times[-1]
        first = times[times > 0][0] if last > 0 else 0.0
        grid = np.unique(np.concatenate([[0.0], times, np.linspace(0.0, last, EVENT_GRID), np.geomspace(max(first, 1e-6 * last), last, EVENT_GRID)])) if last > 0 else times  # fmt: skip
        seen = self.restart(-1)
        try:
            seen.run(grid)
        except ode.IntegrationError as error:
            seen.failure = error
        return seen

    def failed(self, error: Unfinished) -> Unfinished:
        if not isinstance(error, ode.IntegrationError) or error.report.status is ode.Status.INFEASIBLE:
            return error
        known = advice(self.problem, self.family, _rate_at(self.problem, error.report.reached))
        return ode.IntegrationError(f"{error} {known}".rstrip(), error.times, error.states, error.report)

    def _integrate(self, times: np.ndarray) -> np.ndarray:
        """Return the states at `times`; pieces of a schedule are integrated one after the other."""
        state, at, rate = self.start, self.begin, self.problem.learning_rate
        if not isinstance(rate, Schedule):
            return self._solve(state, times, self.flow_params, at)
        rows: list[np.ndarray] = []
        last = float(times[-1])
        for begin, end, value, slope in rate.pieces(at, last) if last > at else [(at, at, rate(at), 0.0)]:
            inside = times[(times >= begin if begin == at else times > begin) & (times <= end)]
            grid = inside if inside.size and inside[-1] == end else np.append(inside, end)
            params = system.parameters(self.problem, value, slope, begin)
            try:
                states = self._solve(state, grid, params, begin)
            except ode.IntegrationError as error:
                done = np.vstack([*rows, error.states[: inside.size]])
                raise ode.IntegrationError(str(error), times[: len(done)], done, error.report) from None
            rows.append(states[: inside.size])
            state = states[-1]
        return np.vstack(rows)


def diverged(problem: Physics) -> dict[ode.Status, str]:
    """Return what a failure means: a gradient flow has a finite length in a finite time, so that it only fails off its domain."""
    flow = problem.kind == "exact" and problem.coordinates is None
    text = UNFEASIBLE if flow else "The flow diverged."
    return {ode.Status.NOT_FINITE: text, ode.Status.STEP_TOO_SMALL: text, ode.Status.INFEASIBLE: UNFEASIBLE}


def infeasible(states: np.ndarray, params: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Return the first time at which overlaps, shape (problems, times, n), are not feasible beyond a hundred tolerances."""
    found = np.empty(len(states), dtype=np.int64)
    scale = float(np.abs(states[:, 0]).max(initial=0.0)) if states.shape[1] else 0.0
    infeasible_times(states, params, SLACK + 100 * rtol + 100 * atol / max(scale, 1e-300), found)
    return found


def describe(
    problem: Physics,
    family: system.Family,
    states: np.ndarray,
    names: Any,
    params: np.ndarray | None = None,
    atol: float = 0.0,
) -> dict[str, np.ndarray]:
    """Return the variables of the result at states of any leading shape, (..., n)."""
    Q, R, a = system.unpack(problem, states)
    variables = {"risk": risks(problem, family, states, params), "Q": Q, "R": R}
    if problem.second_layer_rate > 0:
        variables["second_layer"] = a
    return variables | {name: SCALARS[name](problem, Q, R, a, RESOLVED * atol) for name in names}


def risks(problem: Physics, family: system.Family, states: np.ndarray, params: np.ndarray | None = None) -> np.ndarray:
    """Return the risk at states (..., n); the parameters may be those of any learning rate."""
    params = system.parameters(problem, 0.0) if params is None else params
    flat = np.ascontiguousarray(states.reshape(-1, states.shape[-1]))
    out = np.empty(len(flat))
    evaluate.evaluate(family.risk.address, flat, params, np.zeros(family.work_size), out)
    # Round-off of the overlaps may leave a risk of -1e-17 at a perfect student; NaN stays.
    return np.where(out < 0.0, 0.0, out).reshape(states.shape[:-1])


def _rate_at(problem: Physics, t: float) -> float:
    return problem.learning_rate(t) if isinstance(problem.learning_rate, Schedule) else problem.learning_rate


def advice(problem: Physics, family: system.Family, rate: float) -> str:
    """Return what is known about the learning rate at which the risk starts to grow, given the one that failed."""
    if rate == 0.0:
        return ""
    bound = descent_bound(problem, family)
    if not np.isfinite(bound):
        known = "at this start its noise cannot raise the risk"
    elif rate < bound:
        known = f"it is below {bound:.3g}, so that the risk decreases at this start, but its noise grew later"
    else:
        known = f"at this start the risk decreases only for learning rates below {bound:.3g}"
    text = f"Lower the learning rate, {rate:g}: {known}."
    if problem.spherical and problem.student_width == 1 and family.name == "square":
        text += f" A single unit on the sphere leaves the plateau only below 2/(12 + noise) = {2 / (12 + problem.noise):.3g}."
    return text


def descent_bound(problem: Physics, family: system.Family) -> float:
    """Return the learning rate above which the noise of SGD raises the risk at the start; infinity if none does."""
    state = system.start(problem)
    work = np.zeros(family.work_size)
    slopes = []
    for rate in (0.0, 1.0):
        velocity = velocity_at(problem, family, state, rate, work)
        step = 1e-6 * max(np.abs(state).max(), 1e-300) / max(np.abs(velocity).max(), 1e-300)
        pair = np.array([state + step * velocity, state - step * velocity])
        out = np.empty(2)
        evaluate.evaluate(family.risk.address, pair, system.parameters(problem, 0.0), work, out)
        slopes.append((out[0] - out[1]) / (2 * step))
    return -slopes[0] / (slopes[1] - slopes[0]) if slopes[1] > slopes[0] else np.inf


def velocity_at(
    problem: Physics, family: system.Family, state: np.ndarray, rate: float, work: np.ndarray
) -> np.ndarray:
    """Return dy/dt at a state and a learning rate."""
    out = np.empty((1, state.size))
    evaluate.velocities(family.rhs.address, state[None, :], system.parameters(problem, rate), work, out)
    return out[0]
