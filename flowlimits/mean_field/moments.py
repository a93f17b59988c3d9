"""Hermite components: of activations at a variance, of teachers and targets on the span, of the student."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from ..committee import activations
from . import rules

if TYPE_CHECKING:
    from .physics import MeanFieldPhysics

Index = tuple[int, ...]


def indices(coordinates: int, degree: int) -> list[Index]:
    """Return the multi-indices of total degree 0, 1, ..., degree."""
    return [
        tuple(factors.count(c) for c in range(coordinates))
        for n in range(degree + 1)
        for factors in combinations_with_replacement(range(coordinates), n)
    ]


def factorial(index: Index) -> float:
    """Return the product of the factorials."""
    return math.prod(map(math.factorial, index))


def coefficients(activation: activations.Activation, degree: int, q: np.ndarray) -> np.ndarray:
    r"""Return :math:`c_n(q) = \mathbb E\,s^{(n)}(\sqrt q z)` for n = 0, ..., degree, shape (degree + 1, len(q)); (F7)."""
    q = np.asarray(q, dtype=float)
    c = np.zeros((degree + 1, q.size))
    if activations.is_polynomial(activation):
        table = activations.table(activation)
        for n in range(min(degree + 1, len(table))):
            c[n] = np.polynomial.polynomial.polyval(q, table[n])
    elif activation == "erf":
        # Derivatives at zero of erf(y/sqrt(2 (1 + q))).
        v = 1.0 + q
        for n in range(1, degree + 1, 2):
            leading = (-1.0) ** ((n - 1) // 2) * math.prod(range(n - 2, 0, -2))
            c[n] = leading * np.sqrt(2.0 / (math.pi * v)) * v ** (-(n - 1) / 2)
    else:
        # Derivatives at zero of y Phi(y/sigma) + sigma phi(y/sigma).
        sigma = np.sqrt(q)
        c[0] = sigma / math.sqrt(2.0 * math.pi)
        if degree:
            c[1] = 0.5
        for n in range(2, degree + 1, 2):
            leading = (-1.0) ** ((n - 2) // 2) * math.prod(range(n - 3, 0, -2))
            c[n] = leading / math.sqrt(2.0 * math.pi) * sigma ** (1.0 - n)
    return c


def teacher_components(physics: MeanFieldPhysics, listed: list[Index], points: int) -> np.ndarray:
    r"""Return :math:`\mathbb E[f_\star\,\mathrm{He}_\beta(\xi)]` for each multi-index over the span.

    In closed form for a teacher; for a target on a grid with that many points per direction.
    """
    if physics.target is None:
        U = physics.teacher_rows
        shares = physics.teacher_shares
        c = coefficients(physics.teacher_activation, max(map(sum, listed)), (U**2).sum(1))
        return np.array([(shares * c[sum(beta)] * np.prod(U ** np.array(beta), axis=1)).sum() for beta in listed])
    grid, weights = rules.tensor(*rules.hermite(points), physics.directions)
    values = weights * physics.target_values(grid)
    return np.array([(values * hermite(grid, beta)).sum() for beta in listed])


def hermite(points: np.ndarray, beta: Index) -> np.ndarray:
    """Return the product of Hermite polynomials He at points (n, m)."""
    value = np.ones(len(points))
    for c, n in enumerate(beta):
        value = value * np.polynomial.hermite_e.hermeval(points[:, c], np.eye(n + 1)[n])
    return value


def student_components(
    activation: activations.Activation, mass: np.ndarray, u: np.ndarray, s: np.ndarray, listed: list[Index]
) -> np.ndarray:
    r"""Return the components of the student, :math:`\sum_j m_j c_{|\beta|}(q_j) u_j^\beta/\sqrt{\beta!}`, for masses m (P,); (F9)."""
    c = coefficients(activation, max(map(sum, listed)), (u**2).sum(1) + s**2)
    return np.array(
        [
            (mass * c[sum(beta)] * np.prod(u ** np.array(beta), axis=1)).sum() / math.sqrt(factorial(beta))
            for beta in listed
        ]
    )
