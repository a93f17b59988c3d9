"""Solve the mean-field equations: particles for the start, doubled until the risk settles, and the form that serves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from ..core.events import Event, check_events, locate
from . import equations, forms, observables, rules
from .forms import Form
from .rules import Particles, Rule

if TYPE_CHECKING:
    import xarray as xr

    from .physics import MeanFieldPhysics

#: States beyond which the implicit method, whose cost grows with their cube, is not tried.
LARGE = 600
#: Cost of an evaluation (forms.Form.cost) beyond which rules are not doubled any more.
LIMITS = {"pairs": 6e6, "function": 3e6, "low rank": 6e4}
#: Nodes per direction at which Gauss rules are given up, by the number of directions.
MOST_NODES = {1: 64, 2: 32}
MOST_LEVELS = 5
#: An accuracy of the particles, relative to the risk, that calls for a warning.
POOR = 1e-2
EVENT_GRID = 200


@dataclass(frozen=True)
class Options:
    """Arguments of `solve`, checked."""

    particles: int | None
    accuracy: float
    form: str
    rtol: float
    atol: float
    method: str
    max_steps: int
    progress: bool | None

    def call(self) -> dict[str, Any]:
        """Return the arguments that repeat the call."""
        return {
            "particles": "auto" if self.particles is None else self.particles, "accuracy": self.accuracy, "form": self.form,
            "rtol": self.rtol, "atol": self.atol, "method": self.method, "max_steps": self.max_steps,
        }  # fmt: skip


@dataclass
class Solution:
    """Particles, their form and their states at the requested times."""

    particles: Particles
    form: Form
    rule: Rule
    states: np.ndarray
    risk: np.ndarray
    accuracy: float = 0.0


@dataclass
class Flow:
    """Integrates forms of one problem and adds up what it costs."""

    physics: MeanFieldPhysics
    options: Options
    reports: list[ode.Report] = field(default_factory=list)

    def run(self, form: Form, state: np.ndarray, at: float, times: np.ndarray) -> np.ndarray:
        """Return the states at `times` from `state` at time `at`."""
        options = self.options
        method = "dop853" if state.size > LARGE and options.method == "auto" else options.method
        _, states, report = ode.integrate(
            ode.right_hand_side(form.module.rhs), state, times, form.params, start=at, rtol=options.rtol, atol=options.atol,
            method=method, max_steps=options.max_steps, work_size=form.work_size, progress=options.progress,
            advice={status: "The flow diverged." for status in (ode.Status.NOT_FINITE, ode.Status.STEP_TOO_SMALL)},
        )  # fmt: skip
        self.reports.append(report)
        return states

    def solution(self, rule: Rule, level: int, times: np.ndarray) -> Solution:
        """Return the solution of one rule; `level` doubles the grid or the angles."""
        physics = self.physics
        particles = rules.particles(physics.start, physics.directions, rule)
        name = self.options.form if self.options.form != "auto" else forms.choose(physics, particles.masses.size)
        form = forms.build(physics, name, particles, level)
        try:
            states = self.run(form, particles.state(), 0.0, times)
        except ode.IntegrationError as error:
            error.solution = Solution(particles, form, rule, error.states, form.risks(error.states))  # type: ignore[attr-defined]
            raise
        return Solution(particles, form, rule, states, form.risks(states))

    def agree(self, coarse: Solution, fine: Solution) -> bool:
        """Whether the risks of two rules agree to the accuracy asked for."""
        allowed = self.options.accuracy * np.abs(fine.risk) + self.options.atol
        return bool((np.abs(fine.risk - coarse.risk) <= allowed).all())

    def refined(self, times: np.ndarray) -> Solution:
        """Return the solution of the first grid, and then of the first rule, that agrees with the one before."""
        physics, m = self.physics, self.physics.directions
        chosen = self.options.particles is not None
        rule = rules.of_size(physics.start, m, self.options.particles) if self.options.particles else rules.first(physics.start, m)
        fixed = chosen or rule.kind == "atoms"
        solution, level = self.solution(rule, 0, times), 0
        while solution.form.refines and level < MOST_LEVELS and 2 * solution.form.cost <= LIMITS[solution.form.name]:
            finer = self.solution(rule, level + 1, times)
            settled, change = self.agree(solution, finer), _change(solution, finer)
            # Angles that have settled are enough for the finer rules too; grids must follow particles that reach further.
            keep = settled and not fixed and solution.form.name == "pairs"
            solution, level = (solution, level) if keep else (finer, level + 1)
            solution.accuracy = change
            if settled:
                break
        if chosen and rule.kind != "atoms":
            # One rule alone does not tell how good it is.
            solution.accuracy = math.nan
        return solution if fixed else self._doubled(solution, level, times)

    def _doubled(self, solution: Solution, level: int, times: np.ndarray) -> Solution:
        m, grid = self.physics.directions, solution.accuracy
        while True:
            failed = solution.rule.kind == "gauss" and 2 * solution.rule.points > MOST_NODES[m]
            rule = rules.finer(solution.rule, m, failed)
            made = rules.particles(self.physics.start, m, rule)
            name = self.options.form if self.options.form != "auto" else forms.choose(self.physics, made.masses.size)
            if forms.build(self.physics, name, made, level).cost > LIMITS[name]:
                return solution
            finer = self.solution(rule, level, times)
            finer.accuracy = grid + _change(solution, finer)
            # A rule of another kind agrees with the last of the old kind by chance only.
            if rule.kind == solution.rule.kind and self.agree(solution, finer):
                return finer
            solution = finer

    def provenance(self, solution: Solution, began: float) -> dict[str, Any]:
        """Return how it was computed."""
        form = solution.form
        plain: dict[str, Any] = {
            "form": form.name, "particles": form.particles, "rule": solution.rule.kind, "accuracy": solution.accuracy,
            "rtol": self.options.rtol, "atol": self.options.atol,
        }  # fmt: skip
        plain["method"] = ", ".join(dict.fromkeys(report.method for report in self.reports))
        for name in ("steps", "rejected", "evaluations", "jacobians"):
            plain[name] = sum(getattr(report, name) for report in self.reports)
        return plain | {"wall_time": time.perf_counter() - began}


def _change(coarse: Solution, fine: Solution) -> float:
    return float(np.abs(fine.risk - coarse.risk).max())


def solve(
    physics: MeanFieldPhysics, times: Any, *, particles: Any, accuracy: Any, form: Any, observables_: Any, points: Any, degree: Any,
    events: Any, rtol: Any, atol: Any, method: str, max_steps: Any, progress: Any,
) -> xr.Dataset:  # fmt: skip
    """Return the limit; see `MeanField.solve`."""
    wanted = checks.times(times)
    relative, absolute = checks.tolerances(rtol, atol)
    options = Options(
        None if isinstance(particles, str) and checks.choice("particles", particles, ("auto",)) else checks.integer("particles", particles, minimum=1),
        checks.number("accuracy", accuracy, positive=True),
        checks.choice("form", form, ("auto", *forms.FORMS)),
        relative, absolute, method, checks.integer("max_steps", max_steps, minimum=1), checks.progress(progress),
    )  # fmt: skip
    if options.form != "auto":
        forms.check(physics, options.form)
    asked = observables.check(physics, observables_, points, degree)
    listed = check_events(events, ["risk"])
    _warn_if_nothing_moves(physics)
    began = time.perf_counter()
    flow = Flow(physics, options)
    call = {"verb": "solve", **options.call(), "observables": list(asked.names) or None, "events": list(listed), "degree": asked.degree}
    if points is not None:
        call["points"] = asked.points.tolist()

    def result(at: np.ndarray, found: Solution, extra: Any = None) -> xr.Dataset:
        variables = {"risk": found.risk} | observables.describe(physics, found.particles, found.states, asked)
        d = physics.dimension
        attrs = {"dimension": "infinity" if d is None else d, "form": found.form.name, "accuracy": found.accuracy}
        return results.build(
            physics, kind="limit", times=at, variables=variables, call=call, provenance=flow.provenance(found, began),
            coords=asked.coords(physics), extra=asked.extra(physics, found.particles) | (extra or {}), attrs=attrs,
        )  # fmt: skip

    try:
        solution = flow.refined(wanted)
    except ode.IntegrationError as error:
        error.partial = result(error.times, error.solution)  # type: ignore[attr-defined]
        raise
    _warn_if_poor(solution, chosen=options.particles is not None)
    if not listed:
        return result(wanted, solution)
    found = _locate(flow, solution, listed, wanted)
    label = "; ".join(f"{event.variable} = {event.value:g}" for event in listed)
    extra = {"event_time": (("event",), found, {"long_name": "time of the event", "events": label})}
    stops = [t for event, t in zip(listed, found, strict=True) if event.stop and np.isfinite(t)]
    if stops:
        kept = wanted <= min(stops)
        wanted, solution.states, solution.risk = wanted[kept], solution.states[kept], solution.risk[kept]
    return result(wanted, solution, extra)


def _locate(flow: Flow, solution: Solution, events: tuple[Event, ...], wanted: np.ndarray) -> np.ndarray:
    """Return the event times, looked for on a grid finer than the requested times."""
    last, form = float(wanted[-1]), solution.form
    start = solution.particles.state()
    first = float(wanted[wanted > 0][0]) if last > 0 else 0.0
    grids = [np.zeros(1), wanted]
    if last > 0:
        grids += [np.linspace(0.0, last, EVENT_GRID), np.geomspace(max(min(first, last), 1e-6 * last), last, EVENT_GRID)]
    grid = np.unique(np.concatenate(grids))
    states = flow.run(form, start, 0.0, grid)

    def evaluate(i: int, t: float) -> dict[str, float]:
        row = states[i : i + 1] if t == grid[i] else flow.run(form, states[i], float(grid[i]), np.array([t]))
        return {"risk": float(form.risks(row)[0])}

    return locate(events, grid, {"risk": form.risks(states)}, evaluate)


def _warn_if_nothing_moves(physics: MeanFieldPhysics) -> None:
    """Warn of a start at u = 0 at infinite dimension from which no projection moves."""
    if physics.dimension is not None:
        return
    m = physics.directions
    particles = rules.particles(physics.start, m, rules.first(physics.start, m))
    if particles.projections.any():
        return
    form = forms.build(physics, forms.choose(physics, particles.masses.size), particles, 0)
    state = particles.state()
    after = np.zeros((1, state.size))
    equations.velocities(form.module.rhs.address, state[None], form.params, np.zeros(form.work_size), after)
    size = np.abs(after).max(initial=0.0) + 1e-300
    if np.abs(after[0, : particles.projections.size]).max() <= 1e-12 * max(size, 1.0):
        checks.warn(
            "From projections of zero at infinite dimension the target has no first-order part that the activation sees: nothing moves "
            "towards it, and the projections stay zero. Start at a finite dimension, or from projections that are not zero."
        )


def _warn_if_poor(solution: Solution, *, chosen: bool) -> None:
    size = float(np.abs(solution.risk).max(initial=0.0))
    if not chosen and solution.accuracy > POOR * size:
        checks.warn(
            f"The particles have not settled: doubling them last changed the risk by {solution.accuracy:.2g}, which is stated as `accuracy`. "
            "Ask for earlier times, or for a number of particles."
        )
