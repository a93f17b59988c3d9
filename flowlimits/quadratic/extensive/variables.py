"""From the rows of a solution to the variables of a result."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import prepare as extensive_solve
from . import subordination

if TYPE_CHECKING:
    from ...core.events import Event
    from .prepare import Solution
    from .problem import ExtensiveQuadratic

#: Variables that are columns of an observed row.
COLUMNS = {
    "risk": subordination.RISK,
    "overlap": subordination.OVERLAP,
    "misalignment": subordination.MISALIGNMENT,
    "trace": subordination.TRACE,
}


def columns(problem: ExtensiveQuadratic, times: np.ndarray, solution: Solution) -> dict[str, np.ndarray]:
    """Return the variables at `times`; the rows of the solution stand for the positive ones."""
    rows = solution.rows
    if times.size > len(rows):
        rows = np.vstack([first_row(problem, solution), rows])
    square = problem.activation == "square"
    multiplier = np.zeros(times.size)
    if square:
        multiplier = rows[:, subordination.PSI] + 0.5 * math.log(solution.start.mean) - problem.weight_decay * times
    return {name: rows[:, column] for name, column in COLUMNS.items()} | {"multiplier": multiplier}


def first_row(problem: ExtensiveQuadratic, solution: Solution) -> np.ndarray:
    """Return the observables just after the start, where the student is isotropic on the teacher's eigenspaces."""
    z, q = solution.teacher.z, solution.teacher.q
    mean = 1.0 if problem.activation == "square" else solution.start.mean
    spread = solution.start.variance * mean**2
    a = math.fsum(q * z * z)
    across = math.fsum(q * (z - mean + (mean / a - 1) * z) ** 2) + spread
    norm = math.sqrt(a * (mean**2 + spread))
    row = np.full(subordination.COLUMNS, np.nan)
    row[subordination.RISK] = math.fsum(q * (z - mean) ** 2) + spread
    row[subordination.OVERLAP] = mean / norm
    row[subordination.MISALIGNMENT] = a * across / (norm * (norm + mean))
    row[subordination.TRACE] = mean
    row[subordination.PSI] = 0.0
    return row


def with_panels(problem: ExtensiveQuadratic, times: np.ndarray, solution: Solution) -> Solution:
    """Return the solution, for a Marchenko-Pastur teacher of fixed nodes one with a continuous law instead."""
    if problem.teacher.kind != "marchenko_pastur" or problem.teacher.refine:
        return solution
    continuous = type(problem)(
        problem.student_ratio,
        replace(problem.teacher, refine=True),
        problem.start,
        problem.activation,
        problem.weight_decay,
    )
    details = solution.provenance
    return extensive_solve.integrate(continuous, 2 * times, details["rtol"], 1_000_000, True)


def extras(
    problem: ExtensiveQuadratic,
    times: np.ndarray,
    solution: Solution,
    energies: np.ndarray | None,
    keep: bool,
    events: tuple[Event, ...],
    happened: np.ndarray | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the coordinates and variables that were asked for besides: events, state, spectrum."""
    coords: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    if happened is not None:
        coords["event"] = [f"{event.variable}={event.value:g}" for event in events]
        extra["event_time"] = (("event",), happened, {"long_name": "time of the event"})
    if energies is None and not keep:
        return coords, extra
    missing = times.size - len(solution.rows)
    if keep:
        mean = 1.0 if problem.activation == "square" else solution.start.mean
        first = np.full((missing, solution.teacher.z.size), mean)
        coords["node"] = ("node", solution.teacher.z, {"long_name": "teacher eigenvalue"})
        extra["state"] = (
            ("time", "node"),
            np.vstack([first, solution.kept[:, 0]]),
            {"long_name": "mean of d Z on the teacher's eigenspaces", "symbol": r"\zeta"},
        )
        extra["node_weight"] = (("node",), solution.teacher.q, {"long_name": "weight of the teacher eigenvalue"})
    if energies is not None:
        if missing:
            raise ValueError("Argument `spectrum` needs positive times: at time 0 the spectrum is that of the start.")
        from .density import spectra

        density, positions, weights = spectra(with_panels(problem, times, solution), 2 * times, energies)
        coords["energy"] = ("energy", energies, {"long_name": "eigenvalue of d Z", "symbol": r"E"})
        extra["density"] = (("time", "energy"), density, {"long_name": "spectral density of d Z", "symbol": r"\rho"})
        extra["atom_position"] = (("time", "atom"), positions, {"long_name": "position of an atom of the spectrum"})
        extra["atom_weight"] = (("time", "atom"), weights, {"long_name": "weight of an atom of the spectrum"})
    return coords, extra
