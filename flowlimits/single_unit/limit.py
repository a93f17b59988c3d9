"""Solve the equations of the overlaps of one unit."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from ..core.events import check_events, locate
from ..ode.structure import arrow
from . import equations, links, losses
from .physics import SingleUnitPhysics

if TYPE_CHECKING:
    import xarray as xr

SCALARS = ("risk", "Q", "R", "overlap")
BY_GROUP = ("Q_groups", "R_groups")
#: Nodes on each side of zero for the teacher's field, and for the rest of the student's; both are doubled until averages agree.
FEWEST, MOST = 24, 384
EVENT_GRID = 400
#: Relaxation times of the fastest group beyond which the implicit method begins at once.
STIFF_SPAN = 1000.0


class Flow:
    """The equations of a problem, ready to be integrated from any state and time."""

    def __init__(
        self, problem: SingleUnitPhysics, rtol: float, atol: float, method: str, max_steps: int, progress: bool | None
    ):
        self.problem, self.method, self.rtol, self.atol = problem, method, rtol, atol
        self.nodes = FEWEST
        # The start, and a student that is the teacher.
        likely = np.stack([start(problem), np.repeat(problem.T, 2)])
        while not self._accurate(parameters(problem, self.nodes), likely) and self.nodes < MOST:
            self.nodes *= 2
        self.rhs = ode.right_hand_side(equations.rhs)
        self.structure = arrow(equations.jacobian, problem.covariance.count, 2)
        self.options: dict[str, Any] = {"rtol": rtol, "max_steps": max_steps, "progress": progress}
        self.reports: list[ode.Report] = []
        self.wall_time = 0.0

    def run(self, state: np.ndarray, at: float, times: np.ndarray) -> np.ndarray:
        """Return the states at `times` from `state` at time `at`, with as many nodes as their averages need."""
        while True:
            params = parameters(self.problem, self.nodes)
            _, states, report = ode.integrate(
                self.rhs, state, times, params, start=at, method=self._method(params, state, times[-1] - at),
                atol=self.atol * self._scales(state), structure=self.structure, work_size=equations.WORK, **self.options,
            )  # fmt: skip
            self.reports.append(report)
            if self._accurate(params, states) or self.nodes >= MOST:
                return states
            self.nodes *= 2

    def _method(self, params: np.ndarray, state: np.ndarray, span: float) -> str:
        if self.method != "auto":
            return self.method
        H0 = abs(evaluate(params, *_fields(self.problem, state[None, :]))[0, equations.CURVATURE])
        fastest = 2 * H0 * self.problem.covariance.eigenvalues.max()
        return "radau" if fastest * span > STIFF_SPAN else "auto"

    def _scales(self, state: np.ndarray) -> np.ndarray:
        """Return the share of each component in the absolute tolerance: small groups are as accurate as large ones."""
        sizes = self.problem.T + state[1::2]
        shares = np.maximum(sizes / sizes.sum(), self.problem.covariance.weights)
        return np.repeat(np.maximum(shares, 1e-14), 2)

    def _accurate(self, params: np.ndarray, states: np.ndarray) -> bool:
        """Whether averages at some of the states, first and last among them, agree with those over twice as many nodes."""
        if self.problem.loss in ("squared", "intensity"):
            return self._same_moments(params)
        rows = states[np.unique(np.linspace(0, len(states) - 1, 5).astype(int))]
        R, Q = _fields(self.problem, rows)
        coarse, fine = evaluate(params, R, Q), evaluate(parameters(self.problem, 2 * self.nodes), R, Q)
        sizes = np.abs(fine).max(0)
        return bool((np.abs(coarse - fine) <= 0.1 * self.rtol * np.maximum(np.abs(fine), 1e-3 * sizes) + 1e-14).all())

    def _same_moments(self, params: np.ndarray) -> bool:
        places = slice(equations.Y, equations.HEAD)
        fine = parameters(self.problem, 2 * self.nodes)[places]
        return bool((np.abs(params[places] - fine) <= 1e-11 * (1e-3 + np.abs(fine))).all())

    def provenance(self) -> dict[str, Any]:
        """Return what it cost."""
        plain: dict[str, Any] = {"nodes": self.nodes, "rtol": self.rtol, "atol": self.atol}
        plain["method"] = ", ".join(dict.fromkeys(report.method for report in self.reports))
        for name in ("steps", "rejected", "evaluations", "jacobians"):
            plain[name] = sum(getattr(report, name) for report in self.reports)
        return plain | {"wall_time": self.wall_time}


def solve(
    problem: SingleUnitPhysics,
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
    """Return the solution; see `SingleUnit.solve`."""
    wanted = checks.times(times)
    rtol, atol = checks.tolerances(rtol, atol)
    checks.boolean("keep_state", keep_state)
    names = check_observables(observables)
    listed = check_events(events, list(SCALARS))
    flow = Flow(problem, rtol, atol, method, max_steps, checks.progress(progress))
    call = {
        "verb": "solve", "rtol": rtol, "atol": atol, "method": method, "observables": list(names) or None,
        "events": list(listed), "max_steps": max_steps, "keep_state": keep_state,
    }  # fmt: skip

    def result(at: np.ndarray, states: np.ndarray, extra: Any = None) -> xr.Dataset:
        return results.build(
            problem, kind=problem.kind, times=at, variables=describe(problem, states, names, flow.nodes), call=call,
            provenance=flow.provenance(), extra=extra, coords=coordinates(problem, names),
            attrs={"effective_dimension_per_dimension": problem.covariance.effective_dimension(1.0)},
        )  # fmt: skip

    began = time.perf_counter()
    begin = start(problem)
    try:
        extra = None
        if listed:
            found = _locate(problem, flow, listed, wanted)
            label = "; ".join(f"{event.variable} = {event.value:g}" for event in listed)
            extra = {"event_time": (("event",), found, {"long_name": "time of the event", "events": label})}
            stops = [t for event, t in zip(listed, found) if event.stop and np.isfinite(t)]
            wanted = wanted[wanted <= min(stops)] if stops else wanted
        states = flow.run(begin, 0.0, wanted) if wanted.size else np.empty((0, begin.size))
    except ode.IntegrationError as error:
        flow.wall_time = time.perf_counter() - began
        advice = " Lower the learning rate, or the start." if problem.learning_rate > 0 else ""
        failed = ode.IntegrationError(f"{error}{advice}", error.times, error.states, error.report)
        failed.partial = result(error.times, error.states)  # type: ignore[attr-defined]
        raise failed from None
    flow.wall_time = time.perf_counter() - began
    return result(wanted, states, extra)


def _locate(problem: SingleUnitPhysics, flow: Flow, events: Any, wanted: np.ndarray) -> np.ndarray:
    """Return the event times, looked for on a grid finer than the requested times."""
    last = wanted[-1]
    first = max(wanted[wanted > 0][0], 1e-6 * last) if last > 0 else 0.0
    grid = np.unique(
        np.concatenate([[0.0], wanted, np.linspace(0.0, last, EVENT_GRID), np.geomspace(first, last, EVENT_GRID)])
    ) if last > 0 else wanted  # fmt: skip
    states = flow.run(start(problem), 0.0, grid)

    def evaluate_at(i: int, t: float) -> dict[str, float]:
        row = states[i : i + 1] if t == grid[i] else flow.run(states[i], grid[i], np.array([t]))
        return {name: float(value[0]) for name, value in describe(problem, row, (), flow.nodes).items()}

    return locate(events, grid, describe(problem, states, (), flow.nodes), evaluate_at)


def check_observables(observables: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    listed = () if observables is None else checks.items("observables", observables, str)
    return tuple(checks.choice("observables", name, BY_GROUP) for name in listed)


def coordinates(problem: SingleUnitPhysics, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the eigenvalues as a coordinate of the groups, if there are variables by group."""
    if not names:
        return None
    return {
        "eigenvalue": (
            "group",
            problem.covariance.eigenvalues,
            {"long_name": "eigenvalue of the covariance", "symbol": "$c_l$"},
        )
    }


def start(problem: SingleUnitPhysics) -> np.ndarray:
    """Return the state at time 0."""
    return np.stack([problem.R, problem.Q], axis=1).ravel()


def _fields(problem: SingleUnitPhysics, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c = problem.covariance.eigenvalues
    return states[..., 0::2] @ c, states[..., 1::2] @ c


def describe(
    problem: SingleUnitPhysics, states: np.ndarray, names: tuple[str, ...], nodes: int
) -> dict[str, np.ndarray]:
    """Return the variables of the result at states of any leading shape, (..., 2 L)."""
    R, Q = _fields(problem, states)
    found = evaluate(parameters(problem, nodes, clean=True), R.ravel(), Q.ravel())[:, equations.RISK].reshape(R.shape)
    if problem.loss in ("squared", "intensity"):
        # Round-off may leave -1e-17 at a perfect student; NaN stays.
        found = np.where(found < 0.0, 0.0, found)
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap = R / np.sqrt(Q * problem.teacher_variance)
    variables = {"risk": found, "Q": Q, "R": R, "overlap": np.clip(overlap, -1.0, 1.0)}
    by_group = {"Q_groups": states[..., 1::2], "R_groups": states[..., 0::2]}
    return variables | {name: by_group[name] for name in names}


def evaluate(params: np.ndarray, R: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return H_0, H_1, N and the risk at covariances of the fields, shape (n, 4)."""
    out = np.empty((R.size, 4))
    equations.evaluate(np.ascontiguousarray(R), np.ascontiguousarray(Q), params, out)
    return out


def parameters(problem: SingleUnitPhysics, nodes: int, clean: bool = False) -> np.ndarray:
    """Return `params` of the equations with tables of so many nodes; `clean` leaves the noise of the labels out."""
    groups = problem.covariance
    v, labels, weights = links.table(problem.link, problem.teacher_variance, 0.0 if clean else problem.noise, nodes)
    z = np.linspace(-links.REACH, links.REACH, 2 * nodes + 1)
    share = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    loss = losses.compiled(problem.loss)
    kind = equations.OWN if loss is not None else losses.NAMED.index(problem.loss)
    head = np.zeros(equations.HEAD)
    head[equations.RATE], head[equations.DECAY] = problem.learning_rate, problem.weight_decay
    head[equations.GROUPS], head[equations.NODES] = groups.count, z.size
    head[equations.ROWS], head[equations.LABELS] = labels.shape
    head[equations.TEACHER], head[equations.KIND] = problem.teacher_variance, kind
    # Addresses have 47 bits, a float holds 53.
    head[equations.ADDRESS] = 0 if loss is None else ode.functions.address_of(loss)
    head[equations.Y :] = links.moments(v, labels, weights)
    parts = (head, groups.eigenvalues, groups.weights, problem.T, z, share, v, labels.ravel(), weights.ravel())
    return np.concatenate(parts)
