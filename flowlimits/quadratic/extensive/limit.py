"""The limit of infinite dimension behind the door of `core.solve`: its path, its observables, and the spectrum."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import checks
from ...core.one_by_one import Options as ManyOptions
from ...core.one_by_one import Solutions, one_by_one, solve_each
from ...core.solve import Options, Path
from ...spectrum.spectrum import Spectrum
from ..commuting import CommutingPath
from ..finite.limit import FlowPath
from ..finite.reduced_path import Tolerances
from . import prepare, variables
from .physics import Physics

METHODS = ("auto", "collocation")
#: Points of the grid on which events are first looked for.
EVENT_GRID = 400
#: Largest exponent of a negative eigenvalue of the teacher at which a density is computed.
MOST_FADED = 600.0
#: Smallest eigenvalue at which a density is computed.
LEAST = 1e-30
JUMP = "values at time 0 are those just after the start"
FAINT = "overlap and misalignment are NaN where the student is too small for floating-point numbers"
OBSERVABLES = ("risk", "overlap", "misalignment", "trace", "multiplier")


def tolerances(problem: Physics, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: Physics, given: Any) -> tuple[str, ...]:
    """Return the names of the variables to return; `risk` is always among them."""
    if given is None:
        return OBSERVABLES
    named = checks.items("observables", given, str)
    return tuple(dict.fromkeys(["risk", *(checks.choice("observables", name, OBSERVABLES) for name in named)]))


def event_variables(problem: Physics) -> Sequence[str]:
    """Return the variables that events may name."""
    return OBSERVABLES


def call(problem: Physics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    found: dict[str, Any] = {"verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method}
    found["max_steps"] = options.max_steps
    if options.given["observables"] is not None:
        found["observables"] = list(options.observables)
    if options.given["spectrum"] is not None:
        found["spectrum"] = {"array": "energy"}
    if options.events:
        found |= {"events": list(options.events), "times": times.tolist()}
    if options.keep_state:
        found["keep_state"] = True
    return found


def path(problem: Physics, options: Options, last: float) -> Path:
    """Return the path of the problem."""
    checks.choice("method", options.method, METHODS)
    given = options.given["spectrum"]
    energies = None if given is None else check_energies(given)
    if problem.covariance is not None:
        return CommutingLimit(problem, options, energies)
    assert isinstance(problem.teacher, Spectrum)
    if energies is not None and -8 * problem.teacher.nodes[0] * last > MOST_FADED:
        raise ValueError(
            f"Argument `spectrum` needs times up to {-MOST_FADED / 8 / problem.teacher.nodes[0]:g} for the teacher's eigenvalue "
            f"{problem.teacher.nodes[0]:g}, but the last one is {last:g}: what has faded is beyond floating-point numbers."
        )
    _warn_about_trace(problem)
    return ExtensivePath(problem, options, energies)


class ExtensivePath(Path):
    """The locked flow, always followed from its start; the nodes of a continuous teacher are those of the first run."""

    cuts = False

    def __init__(self, problem: Physics, options: Options, energies: np.ndarray | None):
        self.problem, self.options, self.energies = problem, options, energies
        self.teacher: prepare.Teacher | None = None
        self.spectra: tuple[np.ndarray, ...] | None = None
        self.times = np.empty(0)

    def run(self, times: np.ndarray) -> None:
        positive = variables.later(times)
        keep = self.options.keep_state or self.energies is not None
        solution = prepare.integrate(
            self.problem, positive, self.options.rtol, self.options.max_steps, keep, self.teacher
        )
        missing = times.size - positive.size
        done = missing + solution.reached()
        self.times, self.solution = times[:done], solution.first(done - missing)
        if done < times.size:
            raise prepare.failure(self.times, solution)
        if self.energies is not None and times.size:
            self._add_spectra(times, missing)

    def _add_spectra(self, times: np.ndarray, missing: int) -> None:
        if missing:
            raise ValueError("Argument `spectrum` needs positive times: at time 0 the spectrum is that of the start.")

        assert self.energies is not None
        self.spectra = variables.spectra(
            variables.with_panels(self.problem, times, self.solution), 2 * times, self.energies
        )
        done = len(self.spectra[0])
        if done < times.size:
            self.times, self.solution = times[:done], self.solution.first(done)
            raise prepare.interruption(self.times, self.solution)

    def restart(self, i: int) -> ExtensivePath:
        later = copy.copy(self)
        later.energies = None
        later.teacher = self.solution.teacher if i >= 0 else None
        return later

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return variables.columns(self.problem, self.times, self.solution)

    def watched(self, times: np.ndarray) -> ExtensivePath:
        """Look for events on a grid that holds the requested times."""
        last = float(times[-1])
        seen = self.restart(-1)
        points: list[Any] = (
            [[0.0], times, np.geomspace(1e-4 * min(last, 1.0), last, EVENT_GRID)] if last > 0 else [[0.0]]
        )
        seen.run(np.unique(np.concatenate(points)))
        return seen

    def contents(self) -> dict[str, Any]:
        columns = variables.columns(self.problem, self.times, self.solution)
        found: dict[str, Any] = {"variables": {name: columns[name] for name in self.options.observables}}
        if self.options.keep_state or self.spectra is not None:
            coords, extra = variables.extras(self.problem, self.times, self.solution, self.options.keep_state, self.energies, self.spectra)  # fmt: skip
            found |= {"coords": coords, "extra": extra}
        notes = []
        if self.times.size and self.times[0] == 0:
            notes.append(JUMP)
        if np.isnan(columns["overlap"]).any():
            notes.append(FAINT)
        if notes:
            found["attrs"] = {"note": "; ".join(notes)}
        return found

    def provenance(self, seconds: float) -> dict[str, Any]:
        return {name: value for name, value in self.solution.provenance.items() if name != "status"}


class CommutingLimit(FlowPath):
    """The limit for inputs with a covariance that commutes with teacher and start, on the clock tau; (Q28), (Q29)."""

    def __init__(self, problem: Physics, options: Options, energies: np.ndarray | None):
        limits = Tolerances(options.rtol, options.atol, options.max_steps, options.progress)
        engine = CommutingPath(
            problem._atoms(), problem.activation == "square", problem.weight_decay, limits, locked=True
        )
        super().__init__(engine, options, None)
        self.request.eigenvalues = energies is not None
        self.problem, self.energies = problem, energies

    def contents(self) -> dict[str, Any]:
        known, groups = self.outcome.variables(), self.problem.covariance
        assert groups is not None
        found: dict[str, Any] = {"variables": {name: known[name] for name in self.options.observables}}
        coords: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        if self.options.keep_state:
            coords["eigenvalue_of_inputs"] = ("node", groups.eigenvalues, {"long_name": "eigenvalue of the covariance"})
            coords["node"] = ("node", self.problem.teacher.eigenvalues, {"long_name": "teacher eigenvalue"})
            extra["state"] = (
                ("time", "node"),
                self.outcome.matrices,
                {"long_name": "eigenvalue of d Z", "symbol": r"\zeta"},
            )
            extra["node_weight"] = (("node",), groups.weights, {"long_name": "weight of the teacher eigenvalue"})
        if self.energies is not None:
            atoms = self.outcome.eigenvalues
            coords["energy"] = (
                "energy",
                self.energies,
                {"long_name": "eigenvalue of d S^(1/2) Z S^(1/2)", "symbol": r"E"},
            )
            spectra = (np.zeros((len(atoms), self.energies.size)), atoms, np.broadcast_to(groups.weights, atoms.shape))
            extra |= variables.spectral(*spectra)
        if coords:
            found |= {"coords": coords, "extra": extra}
        notes = [JUMP] if self.times.size and self.times[0] == 0 and self.problem.activation == "square" else []
        if np.isnan(known["overlap"]).any():
            notes.append(FAINT)
        return found | ({"attrs": {"note": "; ".join(notes)}} if notes else {})


def _warn_about_trace(problem: Physics) -> None:
    if problem.activation == "square" and isinstance(problem.start, Spectrum) and abs(problem.start.mean - 1) > 1e-9:
        checks.warn(
            f"The start has the trace {problem.start.mean:.6g} and the teacher 1: the limiting flow rescales the start "
            "at once (at finite dimension in a time O(1/d)), and values at time 0 are those just after."
        )


def check_energies(energies: Any) -> np.ndarray:
    """Return the eigenvalues at which the density is wanted."""
    values = checks.array("spectrum", energies, ("m",), largest=math.inf)
    if (values <= 0).any() or (np.diff(values) <= 0).any():
        raise ValueError(
            "Argument `spectrum` must hold positive, increasing eigenvalues: start at a small one; the atom at 0 is given apart."
        )
    if values[0] < LEAST or values[-1] > 1 / LEAST:
        raise ValueError(
            f"Argument `spectrum` must hold eigenvalues between {LEAST:g} and {1 / LEAST:g}, whose squares are floating-point numbers, "
            f"but holds {values[0] if values[0] < LEAST else values[-1]:g}."
        )
    return values


def solve_fields(owner: type, fields: dict[str, Any], options: ManyOptions) -> Solutions:
    """Solve problems given as lists or arrays of their arguments; see `flowlimits.solve_many`."""
    return solve_list(one_by_one(owner, fields), options)


def solve_list(problems: list[Physics], options: ManyOptions) -> Solutions:
    """Solve a list of problems."""
    rtol = 1e-8 if options.rtol is None else options.rtol
    checks.choice("method", options.method or "auto", METHODS)
    names = observables(problems[0], options.observables)
    times = options.times
    positive = variables.later(times)
    steps = options.max_steps or 100_000

    def one(problem: Physics) -> dict[str, np.ndarray]:
        if problem.covariance is not None:
            found = problem.solve(times, rtol=rtol, max_steps=steps, observables=names)
            return {name: found[name].to_numpy() for name in names}
        solution = prepare.integrate(problem, positive, rtol, steps, False)
        if solution.provenance.get("status", 0) != 0:
            # `solve` words the refusal and collects the finished part.
            problem.solve(times, rtol=rtol, max_steps=steps, observables=names)
        columns = variables.columns(problem, times, solution)
        return {name: columns[name] for name in names}

    solutions = solve_each(one, problems, options)
    solutions.provenance |= {"rtol": rtol, "method": "collocation"}
    return solutions
