r"""Coefficients of the Radau IIA methods with 3, 5 and 7 stages (orders 5, 9 and 13), computed from their definition.

The nodes :math:`c_1 < \dots < c_s = 1` are the zeros of :math:`P_s - P_{s-1}` on [0, 1].  The collocation polynomial
:math:`u` has :math:`u(0) = y_0`, :math:`u(c_i) = y_0 + Z_i`, and :math:`u'(c_i) = h f(u(c_i))`.  So the inverse of the
Runge-Kutta matrix is the matrix of derivatives of the Lagrange polynomials on the nodes 0, c_1, ..., c_s, without the
row and column of the node 0 (Hairer & Wanner, *Solving Ordinary Differential Equations II*, sections IV.5 and IV.8).
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

STAGES = (3, 5, 7)
WIDTH = 7

# Rows of the real table of each method, shape (methods, ROWS, WIDTH).
NODES, START_SLOPE, REAL_RIGHT, REAL_LEFT, INVERSE, NESTED = 0, 1, 2, 3, 4, 4 + WIDTH
ROWS = NESTED + WIDTH
# Rows of the complex table.
EIGENVALUES, RIGHT, LEFT = 0, 1, 4
COMPLEX_ROWS = 7


def nodes(stages: int) -> np.ndarray:
    """Return the nodes in (0, 1]."""
    series = np.zeros(stages + 1)
    series[stages - 1 :] = -1.0, 1.0
    roots = np.sort(legendre.legroots(series).real)
    for _ in range(3):
        roots -= legendre.legval(roots, series) / legendre.legval(roots, legendre.legder(series))
    roots[-1] = 1.0
    return (1.0 + roots) / 2.0


def derivative_matrix(points: np.ndarray) -> np.ndarray:
    """Return the derivatives of the Lagrange polynomials on `points`, entry [i, j] that of polynomial j at point i."""
    gaps = points[:, None] - points[None, :]
    np.fill_diagonal(gaps, 1.0)
    weights = 1.0 / gaps.prod(axis=1)
    matrix = weights[None, :] / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def nested_basis(theta: np.ndarray, count: int) -> np.ndarray:
    """Return theta, theta (1 - theta), theta^2 (1 - theta), ... as columns, see `dense`."""
    columns = [theta]
    for j in range(1, count):
        columns.append(columns[-1] * ((1 - theta) if j % 2 else theta))
    return np.stack(columns, axis=1)


def tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the real and the complex tables of the three methods, padded with zeros."""
    real = np.zeros((len(STAGES), ROWS, WIDTH))
    cplx = np.zeros((len(STAGES), COMPLEX_ROWS, WIDTH), dtype=np.complex128)
    for k, s in enumerate(STAGES):
        c = nodes(s)
        derivatives = derivative_matrix(np.concatenate([[0.0], c]))
        inverse = derivatives[1:, 1:]
        eigenvalues, right = np.linalg.eig(inverse)
        left = np.linalg.inv(right)
        one = int(np.argmin(abs(eigenvalues.imag)))
        upper = [i for i in np.argsort(eigenvalues.imag) if eigenvalues[i].imag > 1e-6]
        real[k, NODES, :s] = c
        real[k, START_SLOPE, :s] = derivatives[0, 1:]
        phase = right[0, one] / abs(right[0, one])
        real[k, REAL_RIGHT, :s] = (right[:, one] / phase).real
        real[k, REAL_LEFT, :s] = (left[one] * phase).real
        real[k, INVERSE : INVERSE + s, :s] = inverse
        real[k, NESTED : NESTED + s, :s] = np.linalg.inv(nested_basis(c, s))
        cplx[k, EIGENVALUES, 0] = eigenvalues[one].real
        for i, pair in enumerate(upper):
            cplx[k, EIGENVALUES, 1 + i] = eigenvalues[pair]
            cplx[k, RIGHT + i, :s] = right[:, pair]
            cplx[k, LEFT + i, :s] = left[pair]
    return real, cplx
