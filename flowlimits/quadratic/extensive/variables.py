"""From the rows of a solution to the variables of a result."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import prepare, subordination

if TYPE_CHECKING:
    from .physics import Physics
    from .prepare import Solution

#: Variables that are columns of an observed row.
COLUMNS = {
    "risk": subordination.RISK,
    "overlap": subordination.OVERLAP,
    "misalignment": subordination.MISALIGNMENT,
    "trace": subordination.TRACE,
}


def later(times: np.ndarray) -> np.ndarray:
    """Return the times after the start, on the clock gamma; before 1e-40 nothing has changed in sixteen digits."""
    return 2 * times[times > 1e-40]


def columns(problem: Physics, times: np.ndarray, solution: Solution) -> dict[str, np.ndarray]:
    """Return the variables at `times`; the rows of the solution stand for the positive ones."""
    rows = solution.rows
    if times.size > len(rows):
        rows = np.vstack([*[first_row(problem, solution)] * (times.size - len(rows)), rows])
    square = problem.activation == "square"
    multiplier = np.zeros(times.size)
    if square:
        multiplier = rows[:, subordination.PSI] + 0.5 * math.log(solution.start.mean) - problem.weight_decay * times
    return {name: rows[:, column] for name, column in COLUMNS.items()} | {"multiplier": multiplier}


def first_row(problem: Physics, solution: Solution) -> np.ndarray:
    """Return the observables just after the start, where the student is isotropic on the teacher's eigenspaces."""
    z, q = solution.teacher.z, solution.teacher.q
    mean = 1.0 if problem.activation == "square" else solution.start.mean
    spread = solution.start.variance * mean**2
    a, b = math.fsum(q * z * z), mean * (math.fsum(q * z) if problem.indefinite else 1.0)
    across = math.fsum(q * (z - mean + (b / a - 1) * z) ** 2) + spread
    norm = math.sqrt(a * (mean**2 + spread))
    row = np.full(subordination.COLUMNS, np.nan)
    row[subordination.RISK] = math.fsum(q * (z - mean) ** 2) + spread
    row[subordination.OVERLAP] = b / norm
    row[subordination.MISALIGNMENT] = a * across / (norm * (norm + b)) if b > 0 else 1 - b / norm
    row[subordination.TRACE] = mean
    row[subordination.PSI] = 0.0
    return row


def with_panels(problem: Physics, times: np.ndarray, solution: Solution) -> Solution:
    """Return the solution, for a Marchenko-Pastur teacher of fixed nodes one with a continuous law instead."""
    if problem.teacher.kind != "marchenko_pastur" or problem.teacher.refine:
        return solution
    continuous = replace(problem, teacher=replace(problem.teacher, refine=True))
    details = solution.provenance
    return prepare.integrate(continuous, 2 * times, details["rtol"], 1_000_000, True)


def extras(
    problem: Physics,
    times: np.ndarray,
    solution: Solution,
    keep: bool,
    energies: np.ndarray | None,
    spectra: tuple[np.ndarray, ...] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the coordinates and variables that were asked for besides: state, spectrum."""
    coords: dict[str, Any] = {}
    extra: dict[str, Any] = {}
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
    if spectra is not None:
        coords["energy"] = ("energy", energies, {"long_name": "eigenvalue of d Z", "symbol": r"E"})
        extra |= spectral(*spectra)
    return coords, extra


def spectral(density: np.ndarray, positions: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Return the variables of a spectrum: its density, and its atoms apart."""
    return {
        "density": (("time", "energy"), density, {"long_name": "spectral density of d Z", "symbol": r"\rho"}),
        "atom_position": (("time", "atom"), positions, {"long_name": "position of an atom of the spectrum"}),
        "atom_weight": (("time", "atom"), weights, {"long_name": "weight of an atom of the spectrum"}),
    }
