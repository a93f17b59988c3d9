r"""From the rows of a solution to the variables of a result, and to the density and atoms of the spectrum, docs/theory.md (Q21).

With :math:`E_j` and the exponent :math:`e` of `subordination` and complex :math:`w` the resolvent reads, without overflow,

.. math:: g(w) = \frac1w + \frac1{w^2}\sum_j \frac{q_j}{e^{-E_j} + 4 v_j - 1/w}, \qquad E_j = 4(z_j - z_c)\gamma + e .

Here :math:`e` solves the subordination equation with :math:`x D_j(w) = e^{E_j}(4 v_j - 1/w)`.  Far above the real axis it is the real
root of the solution; from there it is followed down.  Where a start and the teacher both have large degenerate eigenspaces, these
intersect: an eigenvalue :math:`\ell_k` of weight :math:`\nu_k` and one :math:`z_j` of weight :math:`q_j` give an atom of weight
:math:`(\nu_k + q_j - 1)^+` at :math:`P_j \ell_k/(1 + \ell_k D_j)`, on which start and teacher commute.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks
from ...spectrum import marchenko_pastur
from . import prepare, subordination
from .prepare import Solution, Start, Teacher
from .resolvent import densities
from .subordination import EXPONENT, LOG_X, RISK, start_side

if TYPE_CHECKING:
    from .physics import Physics
    from .prepare import Solution

SMALLEST_ATOM = 1e-12
#: Energies between two looks at Ctrl-C: compiled code does not see it.
BLOCK = 16


def spectra(solution: Solution, gammas: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spectrum of d Z at the times of a solution that kept its state, after Ctrl-C at those that are finished.

    Parameters
    ----------
    energies : ndarray, shape (m,)
        Positive eigenvalues at which the density is wanted.

    Returns
    -------
    density : ndarray, shape (n, m)
        The continuous part; its integral is one minus the weight of the atoms.
    positions, weights : ndarray, shape (n, atoms)
        Atoms, the one at zero first; NaN and 0 where a time has fewer.
    """
    continuous = np.zeros((gammas.size, energies.size))
    found = []
    try:
        for k, gamma in enumerate(gammas):
            row, v = solution.rows[k], solution.kept[k, 1]
            if row[RISK] == 0 and np.isnan(row[EXPONENT]):
                found.append((solution.teacher.z, solution.teacher.q))
                continue
            atoms = intersections(solution.teacher, solution.start, gamma, row, v)
            if 1 - atoms[1].sum() > SMALLEST_ATOM:
                if proportional(solution.start):
                    continuous[k] = density_of_image(solution.teacher, v, energies)
                else:
                    continuous[k] = density(solution.teacher, solution.start, gamma, row, v, energies)
            found.append(atoms)
    except KeyboardInterrupt:
        continuous = continuous[: len(found)]
    count = max((positions.size for positions, _weights in found), default=0)
    positions = np.full((len(found), count), np.nan)
    weights = np.zeros((len(found), count))
    for k, (where, how_much) in enumerate(found):
        positions[k, : where.size] = where
        weights[k, : where.size] = how_much
    return continuous, positions, weights


def intersections(
    teacher: Teacher, start: Start, gamma: float, row: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and weights of the atoms."""
    if proportional(start):
        kept = (teacher.z == 0) | (teacher.panels is None)
        return 1 / (4 * v[kept]), teacher.q[kept]
    positions, weights = [0.0], [max(1 - start.rank, 0.0)]
    offset = row[EXPONENT] - row[LOG_X]
    with np.errstate(over="ignore"):
        inverse = np.exp(-(4 * (teacher.z - teacher.reference) * gamma + offset))
    for ell, nu in zip(start.ell, start.nu):
        shared = nu + teacher.q - 1
        # The positive nodes of a refined teacher stand for a continuous law.
        kept = (shared > SMALLEST_ATOM) & ((teacher.z == 0) | (teacher.panels is None))
        positions += list(1 / (inverse[kept] / ell + 4 * v[kept]))
        weights += list(shared[kept])
    where, how_much = np.array(positions), np.array(weights)
    real = how_much > SMALLEST_ATOM
    return where[real], how_much[real]


def density(
    teacher: Teacher, start: Start, gamma: float, row: np.ndarray, v: np.ndarray, energies: np.ndarray
) -> np.ndarray:
    """Return the continuous density at positive `energies`, shape (m,)."""
    z, q = teacher.z, teacher.q
    if teacher.panels is not None:
        atom = z.size - (teacher.panels.edges.size - 1) * teacher.panels.count
        path, weights, continued = teacher.panels.lowered(v[atom:])
        z, q, v = np.append(z[:atom], path), np.append(q[:atom], weights), np.append(v[:atom], continued)
    offset = row[EXPONENT] - row[LOG_X]
    first = row[EXPONENT] if start.gaussian else _unknown_of(start, row[EXPONENT], offset)
    result = np.empty(energies.size)
    complex_levels = (4 * (z - teacher.reference) * gamma).astype(complex)
    top, lost = float(energies.max()), 0
    for i in range(0, energies.size, BLOCK):
        lost += densities(
            energies[i : i + BLOCK], top, complex_levels, q.astype(complex), v.astype(complex),
            start.gaussian, start.rank, start.ell, start.nu, offset, complex(first), result[i : i + BLOCK],
        )  # fmt: skip
    if lost:
        checks.warn(
            f"At {lost} of {energies.size} energies the density is smoothed: its root was not followed to the real axis."
        )
    return result


def _unknown_of(start: Start, exponent: float, offset: float) -> float:
    """Return the unknown of a start given by nodes at which the exponent, which decreases, has this value."""
    low, high = -offset - 700.0, -offset + 700.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        higher = start_side(False, start.rank, start.ell, start.nu, middle, offset)[0] > exponent
        low, high = (middle, high) if higher else (low, middle)
    return 0.5 * (low + high)


def proportional(start: Start) -> bool:
    """Return whether the start is proportional to the identity; v_j then stands for 1/(4 zeta_j)."""
    return not start.gaussian and start.ell.size == 0


def density_of_image(teacher: Teacher, v: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Return the density of a refined teacher whose student starts from a multiple of the identity.

    The student then commutes with the teacher: its spectrum is the image of the teacher's under z -> zeta(z).
    """
    panels = teacher.panels
    assert panels is not None
    atom = teacher.z.size - (panels.edges.size - 1) * panels.count
    z, zeta = teacher.z[atom:], 1 / (4 * v[atom:])
    middle, half = marchenko_pastur.middle_of(panels.ratio, panels.scale)
    legendre = np.polynomial.legendre
    fitted = legendre.legfit((z - middle) / half, zeta, min(40, z.size // 2))
    position = np.interp(energies, zeta, (z - middle) / half)
    slope = legendre.legder(fitted)
    for _ in range(8):
        position = np.clip(
            position - (legendre.legval(position, fitted) - energies) / legendre.legval(position, slope), -1, 1
        )
    inside = np.abs(legendre.legval(position, fitted) - energies) < 1e-9 * energies
    sine_squared = np.maximum(1 - position**2, 0.0)
    law = panels.ratio * half * np.sqrt(sine_squared) / (2 * np.pi * panels.scale * (middle + half * position))
    return np.where(inside, law * half / panels.scale / legendre.legval(position, slope), 0.0)


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
    if problem._law.kind != "marchenko_pastur" or problem._law.refine:
        return solution
    continuous = replace(problem, teacher=replace(problem._law, refine=True))
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
