"""Certificates by column generation: the trace norm, and all directions of the plane; see `certificates` for their duals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks
from .certificates import Certificate, check_samples, inseparable, mixture


def _generate_columns(atoms: np.ndarray, column: Any, search: Any, tolerance: float, rounds: int) -> Certificate:
    """Solve a program over infinitely many units: add the units that violate the dual most, until none does.

    `column` maps atoms (m, k) to their margins (n, m), `search` maps p to candidate atoms (m, k), among them the best.
    The `solution` holds the atoms of positive mass, with their mass as last column.
    """
    tolerance, rounds = (
        checks.number("tolerance", tolerance, nonnegative=True),
        checks.integer("rounds", rounds, minimum=1),
    )
    upper, idle = np.inf, 0
    for _ in range(rounds):
        lower, c, p = mixture(column(atoms))
        found = search(p)
        values = p @ column(found)
        # The solver's own accuracy ends the progress before a tolerance near round-off would.
        idle = 0 if values.max() < upper else idle + 1
        if values.max() < upper:
            upper, multipliers = float(values.max()), p
        kept = c > 0
        solution = np.column_stack([atoms[kept], c[kept]])
        if upper - lower <= tolerance * abs(upper) or idle == 20:
            break
        atoms = np.vstack([atoms, found[values > lower]])
    if lower <= 0:
        raise inseparable(lower)
    return Certificate(lower, upper, solution, multipliers)


def trace_norm(X: Any, y: Any, *, tolerance: float = 1e-8, rounds: int = 500) -> Certificate:
    """Return the largest margin of x^T Z x at trace norm one: the optimum of quadratic networks with ``|W| = 1``.

    Parameters
    ----------
    X, y : array_like
        As in `support_vectors`.
    tolerance : float, optional
        Relative gap between the bounds at which the generation of columns stops.
    rounds : int, optional
        Linear programs at most; the bounds hold in any case.

    Returns
    -------
    Certificate
        Rows of `solution`: a unit vector w, a sign, a mass; Z is the sum of mass * sign * w w^T.
    """
    X, y = check_samples(X, y)
    d = X.shape[1]

    def column(atoms: np.ndarray) -> np.ndarray:
        return y[:, None] * (X @ atoms[:, :d].T) ** 2 * atoms[:, d]

    def search(p: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh((X.T * (p * y)) @ X)
        return np.column_stack([vectors.T, np.where(values >= 0, 1.0, -1.0)])

    return _generate_columns(search(np.full(len(y), 1 / len(y))), column, search, tolerance, rounds)


def relu_plane(X: Any, y: Any, *, tolerance: float = 1e-8, rounds: int = 500) -> Certificate:
    """Return the largest margin of two-layer ReLU networks of any width on inputs in the plane, at norm one of all weights.

    Between two neighbouring kinks the dual function is a sinusoid of the angle, so that its largest value is known exactly,
    not on a grid.

    Parameters
    ----------
    X : array_like, shape (n, 2)
        Inputs.
    y : array_like, shape (n,)
        Labels, 1 and -1.
    tolerance, rounds : optional
        As in `trace_norm`.

    Returns
    -------
    Certificate
        Rows of `solution`: a unit vector w, the sign of its output weight, a mass.
    """
    X, y = check_samples(X, y)
    if X.shape[1] != 2:
        raise ValueError(
            f"Argument `X` must have shape (n, 2), but has shape {X.shape}: the exact optimum is known in the plane."
        )

    def column(atoms: np.ndarray) -> np.ndarray:
        return 0.5 * y[:, None] * np.maximum(X @ atoms[:, :2].T, 0.0) * atoms[:, 2]

    start = candidates(X, y, np.full(len(y), 1 / len(y)))
    return _generate_columns(start, column, lambda p: candidates(X, y, p), tolerance, rounds)


def candidates(X: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return signed unit vectors of the plane, among them the maximum of |sum_i p_i y_i relu(v.x_i)|: (m, 3)."""
    angle = np.arctan2(X[:, 1], X[:, 0])
    edges = np.unique(np.mod(np.concatenate([angle + np.pi / 2, angle - np.pi / 2]), 2 * np.pi))
    middles = 0.5 * (edges + np.append(edges[1:], edges[0] + 2 * np.pi))
    active = (np.cos(middles[:, None] - angle[None, :]) > 0).astype(float)
    peaks = active @ (X * (p * y)[:, None])
    norms = np.linalg.norm(peaks, axis=1)
    peaks = peaks[norms > 0] / norms[norms > 0, None]
    units = np.vstack([peaks, -peaks, np.column_stack([np.cos(edges), np.sin(edges)])])
    signs = np.where(np.maximum(units @ X.T, 0.0) @ (p * y) >= 0, 1.0, -1.0)
    return np.column_stack([units, signs])
