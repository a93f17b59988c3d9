"""Means and second moments of the increments of one step by a rule of points."""

from __future__ import annotations

import numpy as np

from .. import activations
from ..equations.moments import ERF, POLYNOMIAL, RELU
from ..physics import Physics
from .equations import accumulate

#: Variances below this share are those of a field that the fields before it determine.
TINY = 1e-13


def root(C: np.ndarray) -> np.ndarray:
    """Return lower triangular roots of positive semidefinite matrices (..., n, n); they change continuously where C is singular."""
    rest = C.copy()
    n = C.shape[-1]
    L = np.zeros_like(C)
    for j in range(n):
        pivot = np.where(rest[..., j, j] > TINY * C[..., j, j], rest[..., j, j], 0.0)
        scale = np.sqrt(np.where(pivot > 0, pivot, 1.0))
        column = np.where((pivot > 0)[..., None], rest[..., :, j] / scale[..., None], 0.0)
        column[..., :j] = 0.0
        L[..., :, j] = column
        rest = rest - column[..., :, None] * column[..., None, :]
    return L


def size(problem: Physics) -> int:
    """Return the number of components of (h_1 e, h_2 e^2): p n, p and one, and p (p + 1)/2."""
    p, k = problem.R.shape
    return p * (p + k) + p + 1 + p * (p + 1) // 2


def kind_of(activation: activations.Activation) -> tuple[int, np.ndarray]:
    """Return the number of an activation, and its coefficients if it is a polynomial; without the mean of the centred one."""
    if activation == "erf":
        return ERF, np.zeros(1)
    if activation == "relu":
        return RELU, np.zeros(1)
    return POLYNOMIAL, np.array(activations.coefficients(activation), dtype=float)


def sampled(
    problem: Physics, C: np.ndarray, a: np.ndarray, points: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and second moments by a rule.

    Parameters
    ----------
    C, a, points, weights : ndarray, shapes (T, n, n), (T, p), (N, n), (N,)
        Covariances of the fields, second layers, and the rule for standard normal variables.
    """
    p, k = problem.R.shape
    total = size(problem)
    # Components that no increment of the problem holds are left out.
    trained, centred = problem.second_layer_rate > 0, problem.activation == "centred"
    used = np.ones(total, dtype=bool)
    used[p * (p + k) : p * (p + k) + p] = trained
    used[p * (p + k) + p] = centred
    kept = np.flatnonzero(used)
    found, products = np.zeros((len(C), kept.size)), np.zeros((len(C), kept.size, kept.size))
    (kind, student), (other, teacher) = kind_of(problem.activation), kind_of(problem.teacher_activation)
    flags = np.array([kind, other, trained, centred, problem.teacher_activation == "centred"], dtype=np.int64)
    # The fields of the students depend on the first variables: that is where activations may have kinks.
    accumulate(
        flags, student, teacher, root(C), np.array(np.einsum("tuu->tu", C)), np.array(a, order="C"),
        np.array(problem.teacher_second_layer), np.array(points, order="C"), np.array(weights), problem.noise, found, products,
    )  # fmt: skip
    rows, columns = np.triu_indices(kept.size)
    means, moments = np.zeros((len(C), total)), np.zeros((len(C), total, total))
    means[:, kept] = found
    moments[:, kept[rows], kept[columns]] = moments[:, kept[columns], kept[rows]] = products[:, rows, columns]
    return means, moments
