"""Solve the equations of the overlaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.solve import Options, Path, cost
from ..core.threads import Unfinished
from ..ode.driver import Jacobian
from ..ode.functions import address_of
from ..ode.inputs import METHODS, check_method
from ..ode.integrate import _solve as integrate_unchecked
from .equations import evaluate, system
from .equations.evaluate import infeasible_times
from .equations.system import advice, diverged
from .observables import RESOLVED, SCALARS, STARTS, check_names
from .physics import SLACK, warn_of_copies
from .schedule import Schedule

if TYPE_CHECKING:
    from .physics import Physics

#: Overlaps by group of a covariance.
GROUPS = ("Q_groups", "R_groups")
#: States beyond which the implicit method, whose cost grows with their cube, is not tried.
LARGE = 600


def tolerances(problem: Physics, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: Physics, given: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    return () if given is None else check_names(given, () if problem.covariance is None else GROUPS)


def event_variables(problem: Physics) -> list[str]:
    """Return the variables that events may name."""
    return ["risk", *SCALARS]


def beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `solve` that ask for more than the solution, checked; empty if none does."""
    asked: dict[str, Any] = {}
    fluctuations, sensitivities = given.get("fluctuations", False), given.get("sensitivities", ())
    if isinstance(fluctuations, str) and fluctuations == STARTS:
        asked["fluctuations"] = STARTS
    elif not isinstance(fluctuations, bool | np.bool_):
        raise TypeError(
            f'Argument `fluctuations` must be True, False or "{STARTS}", but is {checks.show(fluctuations)}.'
        )
    elif fluctuations:
        asked["fluctuations"] = True
    if not isinstance(sensitivities, tuple) or sensitivities:
        asked["sensitivities"] = list(checks.items("sensitivities", sensitivities, str))
    return {name: value for name, value in asked.items() if value}


def call(problem: Physics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    return {
        "verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method,
        "observables": list(options.observables) or None, "events": list(options.events), "max_steps": options.max_steps,
    } | beside(options.given)  # fmt: skip


def path(problem: Physics, options: Options, last: float) -> CommitteePath:
    """Return the path of the problem."""
    if not isinstance(options.method, str) or options.method not in METHODS:
        check_method(options.method)
    found = CommitteePath(problem, options)
    if problem.coordinates is not None and not problem.factored:
        warn_of_copies(found.problem.Q, found.problem.R)
    if found.beside:
        from . import fluctuations

        found.parameters = fluctuations.check(problem, found.start.size, options.given)
    return found


class CommitteePath(Path):
    """The equations of the overlaps, integrated from any state and time."""

    cuts = False
    #: The numbers with respect to which derivatives are wanted.
    parameters: tuple[str, ...] = ()

    def __init__(self, problem: Physics, options: Options):
        # What is shown, but for the groups, is that of the problem of standard normal inputs with the same fields.
        self.given, self.problem, self.asked, self.beside = problem, problem.seen(), options, beside(options.given)
        self.family = system.choose(self.problem)
        self.factored, self.grouped = problem.factored, problem.covariance is not None
        self.start = system.factor_start(problem) if self.factored else system.start(problem)
        self.reports: list[ode.Report] = []
        rate = problem.learning_rate
        fixed = 0.0 if isinstance(rate, Schedule) else rate
        self.params = system.parameters(self.problem, fixed)
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
        elif self.grouped:
            groups = problem.covariance
            assert groups is not None
            from .equations.groups import rhs as rhs_of_groups

            self.address = rhs_of_groups.address
            self.flow_params, size = system.group_parameters(self.problem, groups, problem.T, fixed)
            arrow = system.group_structure(self.problem, groups.count)
            jacobian = Jacobian(4, address_of(arrow.jacobian), structure=arrow)
            self.options |= {
                "work_size": size,
                "atol": self._tolerances(),
                "jacobian": jacobian,
                "method": options.method,
            }
        self.times, self.states = np.empty(0), np.empty((0, self.start.size))

    @property
    def overlaps(self) -> np.ndarray:
        """The states of the overlaps at the times of the last run."""
        if self.grouped:
            assert self.given.covariance is not None
            groups, layers = self._by_group()
            return np.concatenate([np.einsum("l,tln->tn", self.given.covariance.eigenvalues, groups), layers], axis=1)
        return system.factor_overlaps(self.given, self.states) if self.factored else self.states

    def _by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the states of each group, (times, L, n), and the trained second layers, (times, p or 0)."""
        p, k = self.problem.R.shape
        size = p * (p + 1) // 2 + p * k
        end = len(self.given.Q) * size
        return self.states[:, :end].reshape(len(self.states), -1, size), self.states[:, end:]

    def _parameters(self, rate: float, slope: float, start: float) -> np.ndarray:
        """Return the parameters of a piece of a schedule."""
        if self.given.covariance is None:
            return system.parameters(self.problem, rate, slope, start)
        return system.group_parameters(self.problem, self.given.covariance, self.given.T, rate, slope, start)[0]

    def _tolerances(self) -> np.ndarray:
        """Return the absolute tolerances, each group's in units of its own overlaps."""
        largest = np.maximum(self.given.Q.max(axis=(1, 2)), self.given.T.max(axis=(1, 2)))
        sizes = np.where(largest > 0, largest, 1.0) / max(float(largest.sum()), 1e-300)
        own = self.asked.atol * np.repeat(sizes, len(self.start) // len(sizes))
        return np.concatenate([own, np.full(self.start.size - own.size, self.asked.atol)])

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
        states, params = self.states[None], self.params[None]
        if self.grouped:
            states = np.ascontiguousarray(self._by_group()[0].swapaxes(0, 1))
            params = np.repeat(params, len(states), axis=0)
            first = system.layout.HEADER + sum(self.problem.R.shape)
            params[:, first : first + self.problem.T.size] = self.given.T.reshape(len(states), -1)
        found = infeasible(states, params, self.asked.rtol, self.asked.atol).min()
        if found == self.times.size:
            return
        reached = float(self.times[found])
        self.keep(int(found))
        message = ode.report.message_of(ode.Status.INFEASIBLE, reached, diverged(self.problem))
        report = dataclasses.replace(report, status=ode.Status.INFEASIBLE, reached=reached, message=message)
        raise ode.IntegrationError(message, self.times, self.states, report) from None

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return self._describe([name for name in names if name != "risk"])

    def contents(self) -> dict[str, Any]:
        names = self.asked.observables
        variables = self._describe(names)
        attrs: dict[str, Any] = {}
        coords: dict[str, Any] = {}
        if self.given.covariance is not None:
            groups = self.given.covariance
            attrs["effective_dimension_per_dimension"] = groups.effective_dimension(1.0)
            variables |= self._groups()
            if any(name in GROUPS for name in names):
                coords["group"] = ("group", groups.eigenvalues, {"long_name": "eigenvalue of the covariance"})
        further: dict[str, Any] = {}
        if self.beside and self.times.size:
            from . import fluctuations

            further["extra"], found = fluctuations.further(self, names, self._scalar)
            attrs |= found
            if "fluctuations" in self.beside:
                # Of runs from Gaussian starts the exact flow is the limit.
                further["kind"] = "limit"
        if not any(np.isnan(variables[name]).any() for name in names):
            return {"variables": variables, "attrs": attrs, "coords": coords} | further
        note = f"cosines are nan where the norms of units, Q_ii, are below {RESOLVED * self._error:.3g}: their directions are not resolved"
        return {"variables": variables, "attrs": attrs | {"note": note}, "coords": coords} | further

    def _scalar(self, name: str, states: np.ndarray) -> np.ndarray:
        """Return the risk, round-off included, or an observable at states of the fields of any leading shape."""
        if name == "risk":
            return risks(self.problem, self.family, states, self.params, rounded=False)
        return SCALARS[name](self.problem, *system.unpack(self.problem, states), RESOLVED * self._error)

    def _groups(self) -> dict[str, np.ndarray]:
        """Return what was asked for of the overlaps by group."""
        groups, _ = self._by_group()
        Q, R = system.unpack_overlaps(self.problem, groups)
        return {name: {"Q_groups": Q, "R_groups": R}[name] for name in self.asked.observables if name in GROUPS}

    @property
    def _error(self) -> float:
        """The absolute error of the overlaps."""
        return float(self.options["atol"][0]) ** 2 if self.factored else self.asked.atol

    def _describe(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        shown = [name for name in names if name not in GROUPS]
        return describe(self.problem, self.family, self.overlaps, shown, self.params, self._error)

    def provenance(self, seconds: float) -> dict[str, Any]:
        name = f"{self.family.name}, coordinates" if self.factored else self.family.name
        plain: dict[str, Any] = {"family": name, "rtol": self.asked.rtol, "atol": self.asked.atol}
        return plain | cost(self.reports) | {"wall_time": seconds}

    def watched(self, times: np.ndarray) -> CommitteePath:
        return self.watched_finely(times)

    def failed(self, error: Unfinished) -> Unfinished:
        if not isinstance(error, ode.IntegrationError) or error.report.status is ode.Status.INFEASIBLE:
            return error
        rate = _rate_at(self.problem, error.report.reached)
        if self.grouped:
            known = f"Lower the learning rate, {rate:g}." if rate > 0 else ""
        else:
            known = advice(self.problem, self.family, rate)
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
            params = self._parameters(value, slope, begin)
            try:
                states = self._solve(state, grid, params, begin)
            except ode.IntegrationError as error:
                done = np.vstack([*rows, error.states[: inside.size]])
                raise ode.IntegrationError(str(error), times[: len(done)], done, error.report) from None
            rows.append(states[: inside.size])
            state = states[-1]
        return np.vstack(rows)


def infeasible(states: np.ndarray, params: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Return the first time at which overlaps, shape (problems, times, n), are not feasible beyond a hundred tolerances."""
    found = np.empty(len(states), dtype=np.int64)
    # Of each problem by itself: neighbours in a batch, which may have failed, change nothing.
    scale = np.abs(states[:, 0]).max(axis=1, initial=1e-300) if states.shape[1] else np.full(len(states), 1e-300)
    infeasible_times(
        states, params, SLACK + 100 * rtol + 100 * atol / np.where(np.isfinite(scale), scale, 1e-300), found
    )
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


def risks(
    problem: Physics, family: system.Family, states: np.ndarray, params: np.ndarray | None = None, rounded: bool = True
) -> np.ndarray:
    """Return the risk at states (..., n), not below zero if `rounded`; the parameters may be those of any learning rate."""
    params = system.parameters(problem, 0.0) if params is None else params
    flat = np.ascontiguousarray(states.reshape(-1, states.shape[-1]))
    out = np.empty(len(flat))
    evaluate.evaluate(family.risk.address, flat, params, np.zeros(family.work_size), out)
    # Round-off of the overlaps may leave a risk of -1e-17 at a perfect student; NaN stays.
    return (np.where(out < 0.0, 0.0, out) if rounded else out).reshape(states.shape[:-1])


def _rate_at(problem: Physics, t: float) -> float:
    return problem.learning_rate(t) if isinstance(problem.learning_rate, Schedule) else problem.learning_rate
