r"""The stages of one Radau IIA step by simplified Newton iteration (compiled part).

The unknowns are the increments Z, shape (s, n), of the stages.  Residuals are formed with the Runge-Kutta matrix
itself; the eigenvectors only decouple the corrections, so that their round-off slows the iteration but does not move
its limit (compare Hairer & Wanner, *Solving Ordinary Differential Equations II*, section IV.8).

Coefficients of 3, 5 and 7 stages (orders 5, 9 and 13) are computed from their definition.  The nodes :math:`c_1 < \dots < c_s = 1` are the
zeros of :math:`P_s - P_{s-1}` on [0, 1].  The collocation polynomial :math:`u` has :math:`u(0) = y_0`, :math:`u(c_i) = y_0 + Z_i`, and
:math:`u'(c_i) = h f(u(c_i))`.  So the inverse of the Runge-Kutta matrix is the matrix of derivatives of the Lagrange polynomials on
the nodes 0, c_1, ..., c_s, without the row and column of the node 0 (sections IV.5 and IV.8).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.polynomial import legendre

from ...compiled.jit import call_factor, call_factor_complex, call_rhs, call_solve, call_solve_complex, jit
from ..dense import fill
from ..layout import EVALUATIONS, FACTORISATIONS

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


@functools.cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the real and the complex tables of the three methods, padded with zeros; nobody writes to them."""
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


CONVERGED, SLOW, DIVERGED, BROKEN = range(4)


@jit
def prepare(h, k, ctables, matrices, count):
    """Decompose the matrices of the method of index k; whether all are regular."""
    data, real, cplx, pivots, addresses = matrices
    count[FACTORISATIONS] += 2 + k
    if call_factor(addresses[0], ctables[k, EIGENVALUES, 0].real, h, data, real, pivots[0]) == 0:
        return False
    for i in range(k + 1):
        shift = ctables[k, EIGENVALUES, 1 + i]
        if call_factor_complex(addresses[2], shift, h, data, cplx[i], pivots[1 + i]) == 0:
            return False
    return True


@jit
def solve_real(h, matrices, b):
    """Solve the real system in place."""
    call_solve(matrices[4][1], h, matrices[0], matrices[1], matrices[3][0], b)


@jit
def correct(h, k, tables, ctables, matrices, Z, F, R, real_vector, complex_vector):
    """Overwrite `R` by the Newton correction of `Z`."""
    s, n = 2 * k + 3, Z.shape[1]
    for i in range(s):
        for m in range(n):
            R[i, m] = h * F[i, m]
        for j in range(s):
            weight = tables[k, INVERSE + i, j]
            for m in range(n):
                R[i, m] -= weight * Z[j, m]
    # F is free from here on and collects the correction.
    fill(real_vector, 0.0)
    for j in range(s):
        for m in range(n):
            real_vector[m] += tables[k, REAL_LEFT, j] * R[j, m]
    solve_real(h, matrices, real_vector)
    for i in range(s):
        for m in range(n):
            F[i, m] = tables[k, REAL_RIGHT, i] * real_vector[m]
    for pair in range(k + 1):
        fill(complex_vector, 0.0)
        for j in range(s):
            for m in range(n):
                complex_vector[m] += ctables[k, LEFT + pair, j] * R[j, m]
        call_solve_complex(matrices[4][3], h, matrices[0], matrices[2][pair], matrices[3][1 + pair], complex_vector)
        for i in range(s):
            weight = ctables[k, RIGHT + pair, i]
            for m in range(n):
                F[i, m] += 2.0 * (weight.real * complex_vector[m].real - weight.imag * complex_vector[m].imag)
    for i in range(s):
        for m in range(n):
            R[i, m] = F[i, m]


@jit
def iterate(
    rhs, t, h, k, y, tables, ctables, matrices, Z, F, R, point, real_vector, complex_vector, rtol, atol, goal,
    count, outcome, params, work,
):  # fmt: skip
    """Iterate on Z from its present value until its error is below `goal` tolerances.

    Writes the rate of convergence and the number of iterations to `outcome`; the entry `outcome[2]`, an estimate of
    error over last correction, is kept from step to step.
    """
    s, n = 2 * k + 3, y.size
    most = 7 + 5 * k
    before, rate, previous_rate = 0.0, 0.0, 0.0
    outcome[0] = 0.0
    outcome[2] = max(outcome[2], 1e-16) ** 0.8
    for iteration in range(1, most + 1):
        outcome[1] = iteration
        for i in range(s):
            for m in range(n):
                point[m] = y[m] + Z[i, m]
            call_rhs(rhs, t + tables[k, NODES, i] * h, point, F[i], params, work)
        count[EVALUATIONS] += s
        correct(h, k, tables, ctables, matrices, Z, F, R, real_vector, complex_vector)
        size = 0.0
        for m in range(n):
            scale = atol[m] + rtol * max(abs(y[m]), abs(y[m] + Z[s - 1, m]))
            largest = 0.0
            for i in range(s):
                Z[i, m] += R[i, m]
                largest = max(largest, abs(R[i, m]))
                if not np.isfinite(Z[i, m]):
                    return BROKEN
            if largest > 0.0:
                size = max(size, largest / scale)
        if iteration > 1:
            quotient = size / before if before > 0.0 else 0.0
            rate = quotient if iteration == 2 else np.sqrt(quotient * previous_rate)
            previous_rate = quotient
            outcome[0] = rate
            if rate >= 0.99:
                return DIVERGED
            outcome[2] = rate / (1.0 - rate)
            if outcome[2] * size > goal and rate ** (most - iteration) / (1.0 - rate) * size > goal:
                return SLOW
        if outcome[2] * size <= goal:
            return CONVERGED
        before = max(size, 1e-300)
    return SLOW


@jit
def polynomial(k, tables, y, Z, dense):
    """Write the collocation polynomial in nested form to the first s + 1 rows of `dense`."""
    s = 2 * k + 3
    for m in range(y.size):
        dense[0, m] = y[m]
        for i in range(s):
            value = 0.0
            for j in range(s):
                value += tables[k, NESTED + i, j] * Z[j, m]
            dense[1 + i, m] = value
