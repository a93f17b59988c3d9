"""Solve the equations of the overlaps of one unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.solve import Options, Path, cost
from ..core.threads import Unfinished
from ..ode.inputs import check_method
from ..ode.jacobians import arrow
from . import equations, expressions
from .physics import SingleUnitPhysics

SCALARS = ("risk", "Q", "R", "overlap")
BY_GROUP = ("Q_groups", "R_groups")
#: Nodes on each side of zero for the teacher's field, and for the rest of the student's; both grow until averages agree.
FEWEST, MOST = 24, 384
#: Relaxation times of the fastest group beyond which the implicit method begins at once.
STIFF_SPAN = 1000.0


def tolerances(problem: SingleUnitPhysics, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: SingleUnitPhysics, given: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    return check_observables(given)


def event_variables(problem: SingleUnitPhysics) -> list[str]:
    """Return the variables that events may name."""
    return list(SCALARS)


def call(problem: SingleUnitPhysics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    return {
        "verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method,
        "observables": list(options.observables) or None, "events": list(options.events), "max_steps": options.max_steps,
    }  # fmt: skip


def path(problem: SingleUnitPhysics, options: Options, last: float) -> UnitPath:
    """Return the path of the problem."""
    check_method(options.method)
    return UnitPath(problem, options)


class UnitPath(Path):
    """The equations of the overlaps, integrated from any state and time."""

    cuts = False

    def __init__(self, problem: SingleUnitPhysics, options: Options):
        self.problem, self.asked = problem, options
        self.start = start(problem)
        self.nodes = nodes_of(problem, options.rtol)
        self.rhs = ode.right_hand_side(equations.rhs)
        self.structure = arrow(equations.jacobian, problem.covariance.count, 2)
        self.reports: list[ode.Report] = []
        self.times, self.states = np.empty(0), np.empty((0, self.start.size))

    def run(self, times: np.ndarray) -> None:
        """Solve at `times`, with as many nodes as the averages along the solution need."""
        self.times, self.states = times, np.empty((0, self.start.size))
        while times.size:
            params = parameters(self.problem, self.nodes)
            try:
                _, self.states, report = ode.integrate(
                    self.rhs, self.start, times, params, start=self.begin, method=self._method(params, times[-1] - self.begin),
                    rtol=self.asked.rtol, atol=self.asked.atol * self._scales(), max_steps=self.asked.max_steps,
                    progress=self.asked.progress, structure=self.structure, work_size=equations.WORK,
                )  # fmt: skip
            except Unfinished as error:
                self.times, self.states = error.times, error.states
                raise
            self.reports.append(report)
            rows = self.states[np.unique(np.linspace(0, len(self.states) - 1, 5).astype(int))]
            if self.nodes >= MOST or accurate(self.problem, self.nodes, self.asked.rtol, rows):
                return
            self.nodes = more(self.nodes)

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return describe(self.problem, self.states, (), self.nodes)

    def contents(self) -> dict[str, Any]:
        return {
            "variables": describe(self.problem, self.states, self.asked.observables, self.nodes),
            "coords": coordinates(self.problem, self.asked.observables),
            "attrs": {"effective_dimension_per_dimension": self.problem.covariance.effective_dimension(1.0)},
        }

    def provenance(self, seconds: float) -> dict[str, Any]:
        plain: dict[str, Any] = {"nodes": self.nodes, "rtol": self.asked.rtol, "atol": self.asked.atol}
        return plain | cost(self.reports) | {"wall_time": seconds}

    def watched(self, times: np.ndarray) -> UnitPath:
        return self.watched_finely(times)

    def failed(self, error: Unfinished) -> Unfinished:
        if not isinstance(error, ode.IntegrationError) or self.problem.learning_rate == 0:
            return error
        known = f"Lower the learning rate, {self.problem.learning_rate:g}."
        return ode.IntegrationError(f"{error} {known}", error.times, error.states, error.report)

    def _method(self, params: np.ndarray, span: float) -> str:
        if self.asked.method != "auto":
            return self.asked.method
        H0 = abs(evaluate(params, *_fields(self.problem, self.start[None, :]))[0, equations.CURVATURE])
        fastest = 2 * H0 * self.problem.covariance.eigenvalues.max()
        return "radau" if fastest * span > STIFF_SPAN else "auto"

    def _scales(self) -> np.ndarray:
        """Return the share of each component in the absolute tolerance: small groups are as accurate as large ones."""
        sizes = self.problem.T + self.start[1::2]
        shares = np.maximum(sizes / sizes.sum(), self.problem.covariance.weights)
        return np.repeat(np.maximum(shares, 1e-14), 2)


def nodes_of(problem: SingleUnitPhysics, rtol: float) -> int:
    """Return nodes with which averages at the start and at a perfect student are accurate."""
    likely = np.stack([start(problem), np.repeat(problem.T, 2)])
    nodes = FEWEST
    while not accurate(problem, nodes, rtol, likely) and nodes < MOST:
        nodes = more(nodes)
    return nodes


def more(nodes: int) -> int:
    """Return the next number of nodes to try: quadratures converge exponentially, so that a third more show the error."""
    return nodes + (nodes + 2) // 3


def accurate(problem: SingleUnitPhysics, nodes: int, rtol: float, states: np.ndarray) -> bool:
    """Whether averages at some states agree with those over more nodes to a tenth of the tolerance."""
    params, finer = parameters(problem, nodes), parameters(problem, more(nodes))
    if problem.loss in ("squared", "intensity"):
        places = slice(equations.Y, equations.HEAD)
        return bool((np.abs(params[places] - finer[places]) <= 1e-11 * (1e-3 + np.abs(finer[places]))).all())
    R, Q = _fields(problem, states)
    coarse, fine = evaluate(params, R, Q), evaluate(finer, R, Q)
    sizes = np.maximum(np.abs(fine), 1e-3 * np.abs(fine).max(0))
    return bool((np.abs(coarse - fine) <= 0.1 * rtol * sizes + 1e-14).all())


def check_observables(observables: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    listed = () if observables is None else checks.items("observables", observables, str)
    return tuple(checks.choice("observables", name, BY_GROUP) for name in listed)


def coordinates(problem: SingleUnitPhysics, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the eigenvalues as a coordinate of the groups, if there are variables by group."""
    described = {"long_name": "eigenvalue of the covariance", "symbol": "$c_l$"}
    return {"eigenvalue": ("group", problem.covariance.eigenvalues, described)} if names else {}


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
    v, labels, weights = expressions.label_table(
        problem.link, problem.teacher_variance, 0.0 if clean else problem.noise, nodes
    )
    z = np.linspace(-expressions.REACH, expressions.REACH, 2 * nodes + 1)
    share = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    loss = expressions.compiled_loss(problem.loss)
    kind = equations.OWN if loss is not None else expressions.LOSSES.index(problem.loss)
    head = np.zeros(equations.HEAD)
    head[equations.RATE], head[equations.DECAY] = problem.learning_rate, problem.weight_decay
    head[equations.GROUPS], head[equations.NODES] = groups.count, z.size
    head[equations.ROWS], head[equations.LABELS] = labels.shape
    head[equations.TEACHER], head[equations.KIND] = problem.teacher_variance, kind
    # Addresses have 47 bits, a float holds 53.
    head[equations.ADDRESS] = 0 if loss is None else ode.functions.address_of(loss)
    head[equations.Y :] = expressions.label_moments(v, labels, weights)
    parts = (head, groups.eigenvalues, groups.weights, problem.T, z, share, v, labels.ravel(), weights.ravel())
    return np.concatenate(parts)
