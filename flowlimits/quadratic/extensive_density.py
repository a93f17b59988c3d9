r"""Density and atoms of the spectrum of :math:`d\,Z` in the limit, docs/theory.md (Q21).

With :math:`E_j` and the exponent :math:`e` of `subordination` and complex :math:`w` the resolvent reads, without overflow,

.. math:: g(w) = \frac1w + \frac1{w^2}\sum_j \frac{q_j}{e^{-E_j} + 4 v_j - 1/w}, \qquad E_j = 4(z_j - z_c)\gamma + e .

Here :math:`e` solves the subordination equation with :math:`x D_j(w) = e^{E_j}(4 v_j - 1/w)`.  Far above the real axis it is the real
root of the solution; from there it is followed down.  Where a start and the teacher both have large degenerate eigenspaces, these
intersect: an eigenvalue :math:`\ell_k` of weight :math:`\nu_k` and one :math:`z_j` of weight :math:`q_j` give an atom of weight
:math:`(\nu_k + q_j - 1)^+` at :math:`P_j \ell_k/(1 + \ell_k D_j)`, on which start and teacher commute.
"""

from __future__ import annotations

import numpy as np

from .extensive_solve import Solution, Start, Teacher
from .subordination import EXPONENT, LOG_X, PSI, RISK

#: The path of `w` from far above the real axis down to it, as multiples of the largest energy.
HEIGHTS = np.append(np.geomspace(30, 1e-9, 60), 1e-13)
SMALLEST_ATOM = 1e-12


def spectra(
    solution: Solution, gammas: np.ndarray, energies: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spectrum of d Z at the times of a solution that kept its state.

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
    densities = np.zeros((gammas.size, energies.size))
    found = []
    for k, gamma in enumerate(gammas):
        row, v = solution.rows[k], solution.kept[k, 1]
        if row[RISK] == 0 and np.isnan(row[EXPONENT]):
            found.append((solution.teacher.z, solution.teacher.q))
            continue
        weight_of_density = 1.0
        atoms = intersections(solution.teacher, solution.start, gamma, row, v)
        weight_of_density -= atoms[1].sum()
        if weight_of_density > SMALLEST_ATOM:
            densities[k] = density(solution.teacher, solution.start, gamma, row, v, energies)
        found.append(atoms)
    count = max(positions.size for positions, _weights in found)
    positions = np.full((gammas.size, count), np.nan)
    weights = np.zeros((gammas.size, count))
    for k, (where, how_much) in enumerate(found):
        positions[k, : where.size] = where
        weights[k, : where.size] = how_much
    return densities, positions, weights


def intersections(
    teacher: Teacher, start: Start, gamma: float, row: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and weights of the atoms."""
    positions, weights = [0.0], [max(1 - start.rank, 0.0)]
    offset = row[EXPONENT] - row[LOG_X]
    with np.errstate(over="ignore"):
        inverse = np.exp(-(4 * (teacher.z - teacher.reference) * gamma + offset))
    for ell, nu in zip(start.ell, start.nu):
        shared = nu + teacher.q - 1
        kept = shared > SMALLEST_ATOM
        positions += list(1 / (inverse[kept] / ell + 4 * v[kept]))
        weights += list(shared[kept])
    where, how_much = np.array(positions), np.array(weights)
    real = how_much > SMALLEST_ATOM
    return where[real], how_much[real]


def density(
    teacher: Teacher, start: Start, gamma: float, row: np.ndarray, v: np.ndarray, energies: np.ndarray
) -> np.ndarray:
    """Return the continuous density at positive `energies`, shape (m,)."""
    levels = 4 * (teacher.z - teacher.reference) * gamma
    offset = row[EXPONENT] - row[LOG_X]
    unknown = np.full(energies.size, row[EXPONENT], dtype=complex)
    if not start.gaussian:
        unknown = np.full(energies.size, _theta_of_exponent(start, row[EXPONENT], offset), dtype=complex)
    top = energies.max()
    w = energies.astype(complex)
    for height in HEIGHTS * top:
        w = energies + 1j * height
        unknown = _follow(teacher, start, levels, v, offset, w, unknown)
    exponent, _t, _s = _start_side(start, unknown, offset)
    terms = 1 / (np.exp(np.clip(-levels - exponent.real[:, None], -600, 600) - 1j * exponent.imag[:, None])
                 + 4 * v - 1 / w[:, None])
    resolvent = 1 / w + (terms @ teacher.q) / w**2
    return np.maximum(-resolvent.imag / np.pi, 0.0)


def _start_side(start: Start, unknown: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the exponent e, t, and their derivatives' ratio data for complex unknowns; see `subordination`."""
    if start.gaussian:
        x = np.exp(unknown - offset)
        return unknown, start.rank * (1 - x), -start.rank * x
    y = np.exp(np.clip(unknown.real + offset, -600, 600) + 1j * unknown.imag)[:, None] * start.ell
    inverse = 1 / (1 + y)
    t = (y * inverse) @ start.nu
    rest = 1 - start.rank + inverse @ start.nu
    return np.log(t / rest) - unknown, t, (y * inverse * inverse) @ start.nu


def _theta_of_exponent(start: Start, exponent: float, offset: float) -> float:
    """Return the unknown of a start given by nodes at which it has this exponent (decreasing in the unknown)."""
    low, high = -offset - 700.0, -offset + 700.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        value = _start_side(start, np.array([middle + 0j]), offset)[0][0].real
        low, high = (middle, high) if value > exponent else (low, middle)
    return 0.5 * (low + high)


def _follow(
    teacher: Teacher, start: Start, levels: np.ndarray, v: np.ndarray, offset: float, w: np.ndarray, unknown: np.ndarray
) -> np.ndarray:
    """Return the root at `w` by Newton's method from a nearby root."""
    for _ in range(30):
        exponent, t, t_slope = _start_side(start, unknown, offset)
        E = levels + exponent[:, None]
        factor = 4 * v - 1 / w[:, None]
        grown = np.exp(np.clip(E.real, -600, 600) + 1j * E.imag) * factor
        inverse = 1 / (1 + grown)
        residual = (grown * inverse) @ teacher.q - t
        by_exponent = (grown * inverse * inverse) @ teacher.q
        exponent_slope = 1.0 if start.gaussian else t_slope / (t * (1 - t)) - 1
        step = residual / (by_exponent * exponent_slope - t_slope)
        size = np.abs(step)
        unknown = unknown - step / np.maximum(1.0, 2 * size)
        if np.max(size) < 1e-13:
            break
    return unknown
