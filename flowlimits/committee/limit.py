"""Solve the equations of the overlaps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from ..core.events import check_events, locate
from . import observables as named
from .equations import choose as families
from .equations import evaluate as scalars
from .schedule import Schedule

if TYPE_CHECKING:
    import xarray as xr

    from .problem import Committee

#: States beyond which the implicit method, whose cost grows with their cube, is not tried.
LARGE = 600
EVENT_GRID = 400


def solve(
    problem: Committee,
    times: Any,
    *,
    rtol: float,
    atol: float,
    method: str,
    observables: Any,
    events: Any,
    max_steps: int,
    keep_state: bool,
    progress: bool | None,
) -> xr.Dataset:
    """Return the solution; see `Committee.solve`."""
    wanted = checks.times(times)
    rtol, atol = checks.tolerances(rtol, atol)
    checks.boolean("keep_state", keep_state)
    progress = checks.progress(progress)
    extra_names = named.check(observables)
    listed = check_events(events, ["risk", *named.SCALARS])
    flow = Flow(problem, rtol, atol, method, max_steps, progress)
    call = {
        "verb": "solve", "rtol": rtol, "atol": atol, "method": method, "observables": list(extra_names) or None,
        "events": list(listed), "max_steps": max_steps, "keep_state": keep_state,
    }  # fmt: skip

    def result(at: np.ndarray, states: np.ndarray, extra: Any = None) -> xr.Dataset:
        return results.build(
            problem, kind=problem.kind, times=at, variables=describe(problem, flow.family, states, extra_names), call=call,
            provenance=flow.provenance(), extra=extra,
        )  # fmt: skip

    began = time.perf_counter()
    try:
        extra = None
        if listed:
            found, failure = _locate(problem, flow, listed, wanted)
            label = "; ".join(f"{event.variable} = {event.value:g}" for event in listed)
            extra = {"event_time": (("event",), found, {"long_name": "time of the event", "events": label})}
            stops = [t for event, t in zip(listed, found) if event.stop and np.isfinite(t)]
            if stops:
                wanted = wanted[wanted <= min(stops)]
            elif failure is not None:
                # Once more at the requested times, for the partial result.
                flow.run(families.start(problem), 0.0, wanted)
                raise failure
        start = families.start(problem)
        states = flow.run(start, 0.0, wanted) if wanted.size else np.empty((0, start.size))
    except ode.IntegrationError as error:
        flow.wall_time = time.perf_counter() - began
        failed = ode.IntegrationError(
            f"{error} {advice(problem, flow.family, _rate_at(problem, error.report.reached))}".rstrip(),
            error.times,
            error.states,
            error.report,
        )
        failed.partial = result(error.times, error.states)  # type: ignore[attr-defined]
        raise failed from None
    flow.wall_time = time.perf_counter() - began
    return result(wanted, states, extra)


class Flow:
    """The equations of a problem, ready to be integrated from any state and time."""

    def __init__(
        self, problem: Committee, rtol: float, atol: float, method: str, max_steps: int, progress: bool | None = False
    ):
        self.problem, self.family = problem, families.choose(problem)
        self.rhs = ode.right_hand_side(self.family.rhs)
        size = families.start(problem).size
        self.options: dict[str, Any] = {
            "rtol": rtol, "atol": atol, "max_steps": max_steps, "progress": progress, "work_size": self.family.work_size,
            "method": "dop853" if size > LARGE and isinstance(method, str) and method == "auto" else method,
            "advice": {ode.Status.NOT_FINITE: "The flow diverged.", ode.Status.STEP_TOO_SMALL: "The flow diverged."},
        }  # fmt: skip
        self.reports: list[ode.Report] = []
        self.wall_time = 0.0

    def run(self, state: np.ndarray, at: float, times: np.ndarray) -> np.ndarray:
        """Return the states at `times` from `state` at time `at`; pieces of a schedule are integrated one after the other."""
        rate = self.problem.learning_rate
        if not isinstance(rate, Schedule):
            _, states, report = ode.integrate(
                self.rhs, state, times, families.parameters(self.problem, rate), start=at, **self.options
            )
            self.reports.append(report)
            return states
        rows: list[np.ndarray] = []
        last = float(times[-1])
        for begin, end, value, slope in rate.pieces(at, last) if last > at else [(at, at, rate(at), 0.0)]:
            inside = times[(times >= begin if begin == at else times > begin) & (times <= end)]
            grid = inside if inside.size and inside[-1] == end else np.append(inside, end)
            params = families.parameters(self.problem, value, slope, begin)
            try:
                _, states, report = ode.integrate(self.rhs, state, grid, params, start=begin, **self.options)
            except ode.IntegrationError as error:
                done = np.vstack([*rows, error.states[: inside.size]])
                raise ode.IntegrationError(str(error), times[: len(done)], done, error.report) from None
            self.reports.append(report)
            rows.append(states[: inside.size])
            state = states[-1]
        return np.vstack(rows)

    def provenance(self) -> dict[str, Any]:
        """Return what it cost."""
        plain: dict[str, Any] = {"family": self.family.name, "rtol": self.options["rtol"], "atol": self.options["atol"]}
        plain["method"] = ", ".join(dict.fromkeys(report.method for report in self.reports))
        for name in ("steps", "rejected", "evaluations", "jacobians"):
            plain[name] = sum(getattr(report, name) for report in self.reports)
        return plain | {"wall_time": self.wall_time}


def describe(problem: Committee, family: families.Family, states: np.ndarray, names: Any) -> dict[str, np.ndarray]:
    """Return the variables of the result at states of any leading shape, (..., n)."""
    Q, R, a = families.unpack(problem, states)
    variables = {"risk": risks(problem, family, states), "Q": Q, "R": R}
    if problem.second_layer_rate > 0:
        variables["second_layer"] = a
    return variables | {name: named.SCALARS[name](problem, Q, R, a) for name in names}


def risks(problem: Committee, family: families.Family, states: np.ndarray) -> np.ndarray:
    """Return the risk at states (..., n)."""
    flat = np.ascontiguousarray(states.reshape(-1, states.shape[-1]))
    out = np.empty(len(flat))
    scalars.evaluate(family.risk.address, flat, families.parameters(problem, 0.0), np.zeros(family.work_size), out)
    # Round-off of the overlaps may leave a risk of -1e-17 at a perfect student; NaN stays.
    return np.where(out < 0.0, 0.0, out).reshape(states.shape[:-1])


def _locate(
    problem: Committee, flow: Flow, events: Any, wanted: np.ndarray
) -> tuple[np.ndarray, ode.IntegrationError | None]:
    """Return the event times, looked for on a grid finer than the requested times, and why the grid was not finished.

    A flow may diverge after the event at which it was to stop.
    """
    last = wanted[-1]
    first = wanted[wanted > 0][0] if last > 0 else 0.0
    grid = np.unique(np.concatenate([[0.0], wanted, np.linspace(0.0, last, EVENT_GRID), np.geomspace(max(first, 1e-6 * last), last, EVENT_GRID)])) if last > 0 else wanted  # fmt: skip
    failure = None
    try:
        states = flow.run(families.start(problem), 0.0, grid)
    except ode.IntegrationError as error:
        failure, grid, states = error, error.times, error.states
    names = list(dict.fromkeys(event.variable for event in events))

    def values(rows: np.ndarray) -> dict[str, np.ndarray]:
        return describe(problem, flow.family, rows, [name for name in names if name != "risk"])

    def evaluate(i: int, t: float) -> dict[str, float]:
        row = states[i : i + 1] if t == grid[i] else flow.run(states[i], grid[i], np.array([t]))
        return {name: float(value[0]) for name, value in values(row).items() if name in names}

    return locate(events, grid, values(states), evaluate), failure


def _rate_at(problem: Committee, t: float) -> float:
    return problem.learning_rate(t) if isinstance(problem.learning_rate, Schedule) else problem.learning_rate


def advice(problem: Committee, family: families.Family, rate: float) -> str:
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


def descent_bound(problem: Committee, family: families.Family) -> float:
    """Return the learning rate above which the noise of SGD raises the risk at the start; infinity if none does."""
    state = families.start(problem)
    work = np.zeros(family.work_size)
    slopes = []
    for rate in (0.0, 1.0):
        velocity = velocity_at(problem, family, state, rate, work)
        step = 1e-6 * max(np.abs(state).max(), 1e-300) / max(np.abs(velocity).max(), 1e-300)
        pair = np.array([state + step * velocity, state - step * velocity])
        out = np.empty(2)
        scalars.evaluate(family.risk.address, pair, families.parameters(problem, 0.0), work, out)
        slopes.append((out[0] - out[1]) / (2 * step))
    return -slopes[0] / (slopes[1] - slopes[0]) if slopes[1] > slopes[0] else np.inf


def velocity_at(
    problem: Committee, family: families.Family, state: np.ndarray, rate: float, work: np.ndarray
) -> np.ndarray:
    """Return dy/dt at a state and a learning rate."""
    out = np.empty((1, state.size))
    scalars.velocities(family.rhs.address, state[None, :], families.parameters(problem, rate), work, out)
    return out[0]
