"""Solve the mean-field equations: particles for the start, doubled until the risk settles, and the form that serves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ode
from ..committee.equations.evaluate import velocities
from ..core import checks
from ..core.solve import Options, Path, cost, event_grid
from . import forms, rules
from . import observables as named
from .forms import Form
from .physics import MeanFieldPhysics
from .rules import Particles, Rule

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


@dataclass
class Solution:
    """Particles, their form and their states at the requested times."""

    particles: Particles
    form: Form
    rule: Rule
    states: np.ndarray
    risk: np.ndarray
    accuracy: float = 0.0


def tolerances(problem: MeanFieldPhysics, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: MeanFieldPhysics, given: Any) -> tuple[str, ...]:
    """Return the names of further variables."""
    return named.check_names(given)


def event_variables(problem: MeanFieldPhysics) -> list[str]:
    """Return the variables that events may name."""
    return ["risk"]


def call(problem: MeanFieldPhysics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    rest = {name: options.given[name] for name in ("particles", "accuracy", "form", "degree")}
    if options.given["points"] is not None:
        rest["points"] = checks.array("points", options.given["points"]).tolist()
    return rest | {
        "verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method,
        "observables": list(options.observables) or None, "events": list(options.events), "max_steps": options.max_steps,
    }  # fmt: skip


def path(problem: MeanFieldPhysics, options: Options, last: float) -> MeanFieldPath:
    """Return the path of the problem."""
    return MeanFieldPath(problem, options)


class MeanFieldPath(Path):
    """The law as particles: its first run finds rule and form, later ones integrate them from any state and time."""

    def __init__(self, physics: MeanFieldPhysics, options: Options):
        given = options.given
        particles, form = given["particles"], given["form"]
        self.physics, self.options = physics, options
        self.count: int | None = None
        if not isinstance(particles, str):
            self.count = checks.integer("particles", particles, minimum=1)
        else:
            checks.choice("particles", particles, ("auto",))
        self.accuracy = checks.number("accuracy", given["accuracy"], positive=True)
        self.form = checks.choice("form", form, ("auto", *forms.FORMS))
        if form != "auto":
            forms.check(physics, form)
        self.asked = named.check(physics, options.observables, given["points"], given["degree"])
        self.reports: list[ode.Report] = []
        self.solution: Solution | None = None
        _warn_if_nothing_moves(physics)

    def run(self, times: np.ndarray) -> None:
        if self.solution is not None:
            self.times, self.states = times, self._integrate(self.solution.form, self.start, times)
            return
        try:
            self.solution = self._refined(times)
        except ode.IntegrationError as error:
            assert self.solution is not None
            self.times, self.states = error.times, self.solution.states
            raise
        self.start = self.solution.particles.state()
        self.times, self.states = times, self.solution.states
        _warn_if_poor(self.solution, chosen=self.count is not None)

    def watched(self, times: np.ndarray) -> MeanFieldPath:
        """Look for events on a finer grid."""
        seen = self.restart(-1)
        seen.run(event_grid(times, EVENT_GRID))
        return seen

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        assert self.solution is not None
        return {"risk": self.solution.form.risks(self.states)}

    def contents(self) -> dict[str, Any]:
        physics, solution = self.physics, self.solution
        assert solution is not None
        d = physics.dimension
        variables = self.values(()) | named.describe(physics, solution.particles, self.states, self.asked)
        return {
            "variables": variables, "coords": self.asked.coords(physics), "extra": self.asked.extra(physics, solution.particles),
            "attrs": {"dimension": "infinity" if d is None else d, "form": solution.form.name, "accuracy": solution.accuracy},
        }  # fmt: skip

    def provenance(self, seconds: float) -> dict[str, Any]:
        solution = self.solution
        assert solution is not None
        plain: dict[str, Any] = {
            "form": solution.form.name, "particles": solution.form.particles, "rule": solution.rule.kind, "accuracy": solution.accuracy,
            "rtol": self.options.rtol, "atol": self.options.atol,
        }  # fmt: skip
        return plain | cost(self.reports) | {"wall_time": seconds}

    def _integrate(self, form: Form, state: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the states at `times` from `state` at the time of the beginning."""
        options = self.options
        method = "dop853" if state.size > LARGE and options.method == "auto" else options.method
        _, states, report = ode.integrate(
            ode.right_hand_side(form.module.rhs), state, times, form.params, start=self.begin, rtol=options.rtol, atol=options.atol,
            method=method, max_steps=options.max_steps, work_size=form.work_size, progress=options.progress,
            advice=dict.fromkeys((ode.Status.NOT_FINITE, ode.Status.STEP_TOO_SMALL), "The flow diverged."),
        )  # fmt: skip
        self.reports.append(report)
        return states

    def _solution(self, rule: Rule, level: int, times: np.ndarray) -> Solution:
        """Return the solution of one rule; `level` doubles the grid or the angles."""
        physics = self.physics
        particles = rules.particles_of(physics, rule)
        form = forms.build(physics, self._form(particles), particles, level)
        try:
            states = self._integrate(form, particles.state(), times)
        except ode.IntegrationError as error:
            self.solution = Solution(particles, form, rule, error.states, form.risks(error.states))
            raise
        return Solution(particles, form, rule, states, form.risks(states))

    def _form(self, particles: Particles) -> str:
        return self.form if self.form != "auto" else forms.choose(self.physics, particles.masses.size)

    def _agree(self, coarse: Solution, fine: Solution) -> bool:
        """Whether the risks of two rules agree to the accuracy asked for."""
        allowed = self.accuracy * np.abs(fine.risk) + self.options.atol
        return bool((np.abs(fine.risk - coarse.risk) <= allowed).all())

    def _refined(self, times: np.ndarray) -> Solution:
        """Return the solution of the first grid, and then of the first rule, that agrees with the one before."""
        start, m = self.physics.start, self.physics.directions
        chosen = self.count is not None
        rule = rules.first(start, m) if self.count is None else rules.of_size(start, m, self.count)
        fixed = chosen or rule.kind == "atoms"
        solution, level = self._solution(rule, 0, times), 0
        while solution.form.refines and level < MOST_LEVELS and 2 * solution.form.cost <= LIMITS[solution.form.name]:
            finer = self._solution(rule, level + 1, times)
            settled, change = self._agree(solution, finer), _change(solution, finer)
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
            made = rules.particles_of(self.physics, rule)
            name = self._form(made)
            if forms.build(self.physics, name, made, level).cost > LIMITS[name]:
                return solution
            finer = self._solution(rule, level, times)
            finer.accuracy = grid + _change(solution, finer)
            # A rule of another kind agrees with the last of the old kind by chance only.
            if rule.kind == solution.rule.kind and self._agree(solution, finer):
                return finer
            solution = finer


def _change(coarse: Solution, fine: Solution) -> float:
    return float(np.abs(fine.risk - coarse.risk).max())


def _warn_if_nothing_moves(physics: MeanFieldPhysics) -> None:
    """Warn of a start at u = 0 at infinite dimension from which no projection moves."""
    if physics.dimension is not None:
        return
    m = physics.directions
    particles = rules.particles_of(physics, rules.first(physics.start, m))
    if particles.projections.any():
        return
    form = forms.build(physics, forms.choose(physics, particles.masses.size), particles, 0)
    state = particles.state()
    after = np.zeros((1, state.size))
    velocities(form.module.rhs.address, state[None], form.params, np.zeros(form.work_size), after)
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
