r"""Jacobians for the implicit method, given or by coloured differences, and linear systems with them (compiled part).

J is dense, (n, n), or :math:`\mathrm{diag}(D) + U V^\top` with U and V of shape (n, m).  For the systems :math:`(\lambda - h J) x = b`
of the second case, with :math:`E = \lambda - h D`, the Woodbury formula

.. math:: x = E^{-1} (b + h U S^{-1} V^\top E^{-1} b), \qquad S = 1 - h V^\top E^{-1} U

leaves one small system (m, m).  The functions for linear systems serve real and complex numbers.

The loop knows matrices by the addresses of callbacks that decompose and solve, so that only those of the kind at hand are compiled.
All numbers of J stand in one array `data`: J by rows, or D, U and V one after the other, or whatever a structure of its own holds.
"""

import numpy as np
from numba import types

from ...compiled.jit import (
    A1,
    ADDRESS,
    FACTOR,
    FACTOR_COMPLEX,
    FLOAT,
    SOLVE,
    SOLVE_COMPLEX,
    call_jacobian,
    call_rhs,
    call_structure,
    call_structured_jacobian,
    callback,
    caller,
    jit,
)
from ...compiled.views import matrix, vector
from ..control import all_finite
from ..dense import clear, fill
from ..layout import EVALUATIONS, JACOBIANS


@jit
def size(value):
    """Return a cheap norm of a real or complex number."""
    return abs(value.real) + abs(value.imag)


@jit
def factor(A, pivots):
    """Decompose `A`, shape (n, n), in place as L U with partial pivoting; whether it is regular."""
    n = A.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if size(A[i, k]) > size(A[best, k]):
                best = i
        pivots[k] = best
        if not 1e-290 < size(A[best, k]) < 1e290:
            return False
        if best != k:
            for j in range(n):
                A[k, j], A[best, j] = A[best, j], A[k, j]
        inverse = 1.0 / A[k, k]
        for i in range(k + 1, n):
            multiple = A[i, k] * inverse
            A[i, k] = multiple
            if multiple != 0.0:
                for j in range(k + 1, n):
                    A[i, j] -= multiple * A[k, j]
    return True


@jit
def substitute(A, pivots, b):
    """Overwrite `b` by the solution for the matrix decomposed by `factor`."""
    n = A.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            b[k], b[other] = b[other], b[k]
    for i in range(n):
        value = b[i]
        for j in range(i):
            value -= A[i, j] * b[j]
        b[i] = value
    for i in range(n - 1, -1, -1):
        value = b[i]
        for j in range(i + 1, n):
            value -= A[i, j] * b[j]
        b[i] = value / A[i, i]


@jit
def prepare_dense(shift, h, J, A, pivots):
    """Decompose shift - h J into `A`; whether it is regular."""
    n = J.shape[0]
    for i in range(n):
        for j in range(n):
            A[i, j] = -h * J[i, j]
        A[i, i] += shift
    return factor(A, pivots)


@jit
def decompose_dense(shift, h, data, factors, pivots):
    """Decompose shift - h J; 1 if that is regular, else 0."""
    n = pivots.size
    return 1 if prepare_dense(shift, h, matrix(data, 0, n, n), factors.reshape((n, n)), pivots) else 0


@jit
def solve_by_substitution(h, data, factors, pivots, x):
    """Overwrite `x` by the solution for the matrix that was decomposed."""
    substitute(factors.reshape((x.size, x.size)), pivots, x)


def solvers(decompose, solve):
    """Return the callbacks of two functions that serve real and complex numbers: decompose and solve, and both for a complex shift."""
    one, other = decompose.py_func, solve.py_func
    return callback(FACTOR)(one), callback(SOLVE)(other), callback(FACTOR_COMPLEX)(one), callback(SOLVE_COMPLEX)(other)


factor_dense, solve_dense, factor_dense_complex, solve_dense_complex = solvers(decompose_dense, solve_by_substitution)


@jit
def parts(data, m):
    """Return views of D (n,), U and V (n, m) in the numbers of a structured Jacobian."""
    n = data.size // (1 + 2 * m)
    return vector(data, 0, n), matrix(data, n, n, m), matrix(data, n + n * m, n, m)


@jit
def decompose_structured(shift, h, data, factors, pivots):
    """Write 1 / (shift - h D) to the head of `factors` and decompose S behind it; 1 if both are regular, else 0."""
    m = pivots.size
    D, U, V = parts(data, m)
    n = D.size
    inverse, A = factors[:n], factors[n : n + m * m].reshape((m, m))
    for i in range(n):
        difference = shift - h * D[i]
        if not 1e-290 < size(difference) < 1e290:
            return 0
        inverse[i] = 1.0 / difference
    clear(A)
    for i in range(n):
        for k in range(m):
            # Sums over some of the components leave most of V zero.
            if V[i, k] != 0.0:
                weight = h * V[i, k] * inverse[i]
                for j in range(m):
                    A[k, j] -= weight * U[i, j]
    for k in range(m):
        A[k, k] += 1.0
    return 1 if factor(A, pivots) else 0


@jit
def woodbury(h, data, factors, pivots, x):
    """Overwrite `x` by the solution, by the Woodbury formula."""
    m = pivots.size
    D, U, V = parts(data, m)
    n = D.size
    inverse, A, small = factors[:n], factors[n : n + m * m].reshape((m, m)), factors[n + m * m :]
    fill(small, 0.0)
    for i in range(n):
        x[i] *= inverse[i]
        for k in range(m):
            small[k] += V[i, k] * x[i]
    substitute(A, pivots, small)
    for i in range(n):
        total = 0.0 * x[i]
        if m > 0:
            total = 0.0 * small[0]
        for k in range(m):
            total += U[i, k] * small[k]
        x[i] += h * inverse[i] * total


factor_structured, solve_structured, factor_structured_complex, solve_structured_complex = solvers(
    decompose_structured, woodbury
)


DENSE, STRUCTURED, DIFFERENCES, COLOURED, OWN = range(5)
COUNT = types.int64[::1]
DIFFERENCES_SIGNATURE = types.void(
    types.int64, ADDRESS, FLOAT, A1, A1, FLOAT, FLOAT, A1, COUNT, types.boolean[:, ::1], A1, A1, A1, COUNT, A1, A1
)


#: Calls `differences` by its address.
call_differences = caller(DIFFERENCES_SIGNATURE)


@jit
def jacobian(
    kind, address, rank, rhs, t, y, slope, h, rtol, atol, groups, pattern, data, point, other, count, params, work
):  # fmt: skip
    """Evaluate the Jacobian at (t, y); whether it is finite."""
    count[JACOBIANS] += 1
    if kind == OWN:
        call_structure(address, t, y, data, params, work)
    elif kind == STRUCTURED:
        D, U, V = parts(data, rank)
        call_structured_jacobian(address, t, y, D, U, V, params, work)
    elif kind == DENSE:
        call_jacobian(address, t, y, matrix(data, 0, y.size, y.size), params, work)
    else:
        call_differences(
            address, kind, rhs, t, y, slope, h, rtol, atol, groups, pattern, data, point, other, count, params, work
        )
    total = 0.0
    for i in range(data.size):
        total += abs(data[i])
    return np.isfinite(total)


@jit
def shift(j, y, slope, h, rtol, atol, largest):
    """Return the increment of component j: the square root of round-off times its size."""
    magnitude = max(abs(y[j]), abs(h * slope[j]))
    if rtol > 0.0:
        magnitude = max(magnitude, min(atol[j] / rtol, 1.0))
    if magnitude == 0.0:
        magnitude = largest
    increment = 1.5e-8 * magnitude if slope[j] >= 0.0 else -1.5e-8 * magnitude
    return (y[j] + increment) - y[j]


@callback(DIFFERENCES_SIGNATURE)
def differences(kind, rhs, t, y, slope, h, rtol, atol, groups, pattern, data, point, other, count, params, work):
    """Approximate the Jacobian, one evaluation per group of columns that share no row."""
    n = y.size
    J = matrix(data, 0, n, n)
    largest = 0.0
    for j in range(n):
        largest = max(largest, abs(y[j]))
    if largest == 0.0:
        largest = 1.0
    number = 0
    for j in range(n):
        number = max(number, groups[j] + 1)
    clear(J)
    for g in range(number):
        for j in range(n):
            point[j] = y[j]
            if groups[j] == g:
                point[j] += shift(j, y, slope, h, rtol, atol, largest)
        call_rhs(rhs, t, point, other, params, work)
        count[EVALUATIONS] += 1
        for factor in (-1.0, 1e-3, -1e-3):
            # The increment may leave the domain of the right-hand side: turn it, shrink it.
            if all_finite(other):
                break
            for j in range(n):
                if groups[j] == g:
                    point[j] = y[j] + factor * shift(j, y, slope, h, rtol, atol, largest)
            call_rhs(rhs, t, point, other, params, work)
            count[EVALUATIONS] += 1
        for j in range(n):
            if groups[j] == g:
                increment = point[j] - y[j]
                for i in range(n):
                    if kind == DIFFERENCES or pattern[i, j]:
                        J[i, j] = (other[i] - slope[i]) / increment


@jit
def bound(kind, rank, n, data):
    """Return an upper bound of the largest eigenvalue of the Jacobian: its norm by rows."""
    worst = 0.0
    if kind == OWN:
        return np.inf
    if kind == STRUCTURED:
        D, U, V = parts(data, rank)
        for i in range(D.size):
            total = abs(D[i])
            worst = max(worst, total)
        product = 0.0
        for k in range(U.shape[1]):
            left = right = 0.0
            for i in range(D.size):
                left += U[i, k] * U[i, k]
                right += V[i, k] * V[i, k]
            product += np.sqrt(left * right)
        return worst + product
    J = matrix(data, 0, n, n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += abs(J[i, j])
        worst = max(worst, total)
    return worst
