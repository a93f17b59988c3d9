r"""Exact optima of the margin problems that the flows approach, each with a lower and an upper bound.

Every bound is a pair of feasible points: weights of norm one, whose margin is the lower bound, and probabilities p on the
samples, whose dual value is the upper one.  ``upper - lower`` is therefore the whole error, whatever the solver did.

===================  =========================================================  ==================================
problem              largest margin                                             dual value
===================  =========================================================  ==================================
linear, norm N       :math:`\max_{N(w)\le 1}\min_i y_i w\cdot x_i`              :math:`N_*(\sum p_i y_i x_i)`
quadratic            :math:`\max_{|Z|_{tr}\le 1}\min_i y_i x_i^\top Z x_i`      :math:`|\sum p_i y_i x_i x_i^\top|_{op}`
frozen units F       :math:`\max_{c\in\Delta}\min_i (Fc)_i`                     :math:`\max_j (F^\top p)_j`
ReLU in the plane    :math:`\max_{|\mu|\le 1}\min_i y_i\int(v\cdot x_i)_+\mu`   :math:`\max_v|\sum p_i y_i(v\cdot x_i)_+|`
===================  =========================================================  ==================================

The ReLU margin per squared norm of both layers is half that of the last row: a unit of mass c has :math:`|w|^2 + a^2 = 2c`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import checks
from ..core.checks import LARGEST, check_classes, check_elements
from .models import NormOnlyModel


@dataclass(frozen=True, eq=False)
class Certificate:
    """An optimum between two bounds.

    Attributes
    ----------
    lower, upper : float
        The optimum lies between them.
    solution : ndarray
        What attains the lower bound.
    multipliers : ndarray, shape (n,)
        What attains the upper one: probabilities on the samples.
    """

    lower: float
    upper: float
    solution: np.ndarray = field(repr=False)
    multipliers: np.ndarray = field(repr=False)

    @property
    def gap(self) -> float:
        """Upper less lower bound."""
        return self.upper - self.lower


def check_samples(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    checked = checks.array("X", X, ("n", "d"))
    labels = checks.array("y", y, (checked.shape[0],))
    check_classes(checked, labels)
    return checked, labels


def inseparable(best: float) -> ValueError:
    return ValueError(f"The data have no margin: the best normalised margin is {best:.3g}.")


def support_vectors(X: Any, y: Any) -> Certificate:
    """Return the hard-margin support vector machine without bias, by non-negative least squares.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs.
    y : array_like, shape (n,)
        Labels, 1 and -1.

    Returns
    -------
    Certificate
        Its `solution` is the unit vector w.

    Raises
    ------
    ValueError
        If no hyperplane through the origin separates the data.

    References
    ----------
    C. Lawson and R. Hanson, *Solving Least Squares Problems*, chapter 23: least distance programming.
    """
    from scipy.optimize import nnls

    X, y = check_samples(X, y)
    Z = y[:, None] * X
    scale = np.abs(Z).max()
    E = np.vstack([(Z / scale).T, np.ones(len(y))])
    f = np.zeros(E.shape[0])
    f[-1] = 1.0
    u, distance = nnls(E, f, maxiter=100 * E.shape[1])
    if distance <= 1e-10:
        raise inseparable(0.0)
    residual = E @ u - f
    w = -residual[:-1] / residual[-1]
    w /= np.linalg.norm(w)
    p = u / u.sum()
    return Certificate(float((Z @ w).min()), float(np.linalg.norm(Z.T @ p)), w, p)


def linear_program(X: Any, y: Any, geometry: str) -> Certificate:
    """Return the linear classifier of largest margin at a fixed l-infinity or l1 norm of its weights, by linear programming.

    Parameters
    ----------
    X, y : array_like
        As in `support_vectors`.
    geometry : {"linf", "l1"}
        The norm N of the weights.
    """
    X, y = check_samples(X, y)
    checks.choice("geometry", geometry, ("linf", "l1"))
    # The margin scales with the inputs; the solver's tolerances do not.
    scale = float(np.abs(X).max())
    Z = y[:, None] * X / scale
    n, d = Z.shape
    # w = positive - negative; the last unknown is the margin.
    cost = np.zeros(2 * d + 1)
    cost[-1] = -1.0
    A = np.hstack([-Z, Z, np.ones((n, 1))])
    each = np.hstack([np.eye(d), np.eye(d), np.zeros((d, 1))])
    limit = each if geometry == "linf" else each.sum(axis=0, keepdims=True)
    x, p = _maximise(cost, np.vstack([A, limit]), np.append(np.zeros(n), np.ones(len(limit))), n)
    w = x[:d] - x[d : 2 * d]
    sizes, duals = np.abs(w), np.abs(Z.T @ p)
    norm, dual = (sizes.max(), duals.sum()) if geometry == "linf" else (sizes.sum(), duals.max())
    if norm == 0 or (Z @ w).min() <= 1e-12 * np.abs(Z).max() * norm:
        raise inseparable(0.0)
    return Certificate(scale * float((Z @ w).min() / norm), scale * float(dual), w / norm, p)


def _maximise(
    cost: np.ndarray, A: np.ndarray, b: np.ndarray, samples: int, sum_to_one: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Solve min cost.x, A x <= b, x >= 0 but for the last unknown; return x and the multipliers of the first rows as probabilities.

    The first `sum_to_one` unknowns have the sum one, if there are any.
    """
    from scipy.optimize import linprog

    bounds = [(0, None)] * (cost.size - 1) + [(None, None)]
    equation: dict[str, Any] = {}
    if sum_to_one:
        equation = {"A_eq": (np.arange(cost.size) < sum_to_one)[None, :].astype(float), "b_eq": [1.0]}
    exact = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    outcome = linprog(cost, A_ub=A, b_ub=b, bounds=bounds, method="highs", options=exact, **equation)
    if outcome.status != 0:
        raise RuntimeError(f"The linear program was not solved: {outcome.message}")
    p = np.maximum(-outcome.ineqlin.marginals[:samples], 0.0)
    return outcome.x, p / p.sum()


def mixture(F: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the largest min_i (F c)_i over probability vectors c, with c and the dual probabilities."""
    n, m = F.shape
    cost = np.append(np.zeros(m), -1.0)
    A = np.hstack([-F, np.ones((n, 1))])
    x, p = _maximise(cost, A, np.zeros(n), n, sum_to_one=m)
    c = np.maximum(x[:-1], 0.0)
    c /= c.sum()
    return float((F @ c).min()), c, p


def frozen_units(model: NormOnlyModel, X: Any, y: Any) -> Certificate:
    """Return the largest margin of a norm-only network at ``|s| = 1``: a linear program over its units.

    Its `solution` is s squared, shape (width,).
    """
    if not isinstance(model, NormOnlyModel):
        raise TypeError(f"Argument `model` must be a NormOnlyModel, but is {checks.show(model)}.")
    X, y = check_samples(X, y)
    prepared = model.prepare(X)
    if not np.isfinite(prepared).all() or np.abs(prepared).max() > LARGEST:
        raise ValueError(
            f"Argument `model` must have outputs up to {LARGEST:g}, but its frozen units reach {np.abs(prepared).max():g} on `X`."
        )
    F = y[:, None] * prepared
    value, c, p = mixture(F)
    if value <= 0:
        raise inseparable(value)
    return Certificate(value, float((F.T @ p).max()), c, p)


def parity(dimension: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return inputs, labels and the largest ReLU margin of the 2-sparse parity on the whole hypercube.

    Parameters
    ----------
    dimension : int
        d >= 2; there are 2^d inputs with entries +-1/sqrt(d), labelled by the product of the first two signs.

    Returns
    -------
    X : ndarray, shape (2^d, d)
    y : ndarray, shape (2^d,)
    margin : float
        1 / (2 sqrt(8 d)) at norm one of both layers: four units attain it (M. Telgarsky, 2208.02789).
    """
    d = checks.integer("dimension", dimension, minimum=2)
    check_elements("dimension", d, 2.0 ** min(d, 1000) * d)
    signs = 1.0 - 2.0 * ((np.arange(2**d)[:, None] >> np.arange(d)[None, :]) & 1)
    return signs / np.sqrt(d), signs[:, 0] * signs[:, 1], 0.5 / np.sqrt(8 * d)


def _generate_columns(atoms: np.ndarray, column: Any, search: Any, tolerance: float, rounds: int) -> Certificate:
    """Solve a program over infinitely many units: add the units that violate the dual most, until none does.

    `column` maps atoms (m, k) to their margins (n, m), `search` maps p to candidate atoms (m, k), among them the best.
    The `solution` holds the atoms of positive mass, with their mass as last column.
    """
    tolerance = checks.number("tolerance", tolerance, nonnegative=True)
    rounds = checks.integer("rounds", rounds, minimum=1)
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
