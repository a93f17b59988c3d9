r"""Distance of a direction from the critical points of the margin problem, with Clarke gates at kinks.

The limit direction of a margin flow satisfies the KKT conditions of maximising the margin at fixed norm (Lyu & Li,
1906.05890, theorem 4.4): in the l2 geometry :math:`u = \sum_i\lambda_i h_i` with :math:`\lambda \ge 0` on the support vectors and
:math:`h_i` in the Clarke subdifferential of :math:`q_i`.  For ReLU units whose hyperplane contains a sample the gate is any
number in [0, 1]: units come to *slide* on such kinks, and with a fixed gate the residual never falls.
"""

from __future__ import annotations

import numpy as np

#: Samples whose logits lie within this of the smallest count as support vectors.
SUPPORT = 20.0
#: A unit counts as sitting on the kink of a sample when their cosine is below this.
KINK = 1e-3
#: Weight of the rows that bound the gates, as equations, in the least-squares problem.
HEAVY = 1e4


def kinks(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return which samples lie on the kink of which unit, shape (n, width)."""
    scale = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(weights, axis=1)[None, :]
    return np.abs(X @ weights.T) <= KINK * scale


def columns(
    q: np.ndarray, gradients: np.ndarray, hidden: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the generators of the cone of subgradients.

    Parameters
    ----------
    q : ndarray, shape (n,)
        Logits (margins at the actual norm).
    gradients : ndarray, shape (n, size)
        Gradients of the margins, kinks with any gate.
    hidden : tuple of (W, a, X, y), optional
        Layers and data of a ReLU model.

    Returns
    -------
    generators : ndarray, shape (size, support + gates)
        First the gradients with all free gates closed, then the parts that an open gate adds.
    owner : ndarray, shape (gates,)
        For each gate the column of its sample.
    support : int
        Number of support vectors.
    """
    support = np.flatnonzero(q <= q.min() + SUPPORT)
    base = gradients[support].T.copy()
    parts, owner = [], []
    if hidden is not None:
        W, a, X, y = hidden
        d = W.shape[1]
        free = kinks(W, X)
        for column, i in enumerate(support):
            for j in np.flatnonzero(free[i]):
                rows = slice(j * d, (j + 1) * d)
                base[rows, column] = 0.0
                part = np.zeros(base.shape[0])
                part[rows] = y[i] * a[j] * X[i]
                parts.append(part)
                owner.append(column)
    generators = np.column_stack([base, *parts]) if parts else base
    return generators, np.array(owner, dtype=int), support.size


def residual_l2(direction: np.ndarray, generators: np.ndarray, owner: np.ndarray, support: int) -> float:
    """Return the distance of the unit vector `direction` from the cone, by non-negative least squares."""
    from scipy.optimize import nnls

    gates = owner.size
    if gates == 0:
        return float(nnls(generators, direction)[1])
    # Unknowns: lambda (support), zeta (gates), eta (gates) with zeta + eta = lambda of the gate's sample.
    size = generators.shape[0]
    scale = HEAVY * np.abs(generators).max()
    A = np.zeros((size + gates, support + 2 * gates))
    A[:size, : support + gates] = generators
    for g, sample in enumerate(owner):
        A[size + g, [support + g, support + gates + g]] = scale
        A[size + g, sample] = -scale
    b = np.concatenate([direction, np.zeros(gates)])
    solution = nnls(A, b, maxiter=50 * A.shape[1])[0]
    return float(np.linalg.norm(generators @ solution[: support + gates] - direction))


def residual_dual(
    geometry: str, direction: np.ndarray, generators: np.ndarray, owner: np.ndarray, support: int
) -> float:
    """Return the relative gap min_lambda N_*(sum lambda_i h_i) / <theta, sum lambda_i h_i> - 1 for N = linf or l1.

    It vanishes exactly at the KKT points of the margin problem in the norm N.
    """
    from scipy.optimize import linprog

    size, gates = generators.shape[0], owner.size
    known = generators.shape[1]
    inner = direction @ generators
    bound = size if geometry == "linf" else 1  # dual norms: l1 of the combination, or linf
    # Unknowns: multipliers, then the moduli (linf) or their maximum (l1); normalised to <theta, h> = 1.
    cost = np.concatenate([np.zeros(known), np.ones(bound)])
    cap = -np.eye(size) if geometry == "linf" else -np.ones((size, 1))
    inequalities = np.block([[generators, cap], [-generators, cap]])
    gate_rows = np.zeros((gates, known + bound))
    for g, sample in enumerate(owner):
        gate_rows[g, support + g] = 1.0
        gate_rows[g, sample] = -1.0
    A = np.vstack([inequalities, gate_rows])
    outcome = linprog(
        cost, A_ub=A, b_ub=np.zeros(A.shape[0]), A_eq=np.concatenate([inner, np.zeros(bound)])[None, :], b_eq=[1.0]
    )
    return max(float(outcome.fun) - 1.0, 0.0) if outcome.status == 0 else float("nan")


def residual(
    geometry: str,
    theta: np.ndarray,
    q: np.ndarray,
    gradients: np.ndarray,
    hidden: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None,
) -> float:
    """Return the KKT residual of the weights `theta` in a geometry; 0 at a critical direction."""
    generators, owner, support = columns(q, gradients, hidden)
    # Scaling the generators keeps the least-squares problem well conditioned; the cone does not change.
    generators = generators / np.linalg.norm(generators, axis=0).max()
    if geometry == "l2":
        return residual_l2(theta / np.linalg.norm(theta), generators, owner, support)
    norm = np.abs(theta).max() if geometry == "linf" else np.abs(theta).sum()
    return residual_dual(geometry, theta / norm, generators, owner, support)
