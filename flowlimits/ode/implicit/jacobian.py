r"""Jacobians for the implicit method, given or by coloured differences, and linear systems with them (compiled part).

J is dense, (n, n), or :math:`\mathrm{diag}(D) + U V^\top` with U and V of shape (n, m).  For the systems :math:`(\lambda - h J) x = b`
of the second case, with :math:`E = \lambda - h D`, the Woodbury formula

.. math:: x = E^{-1} (b + h U S^{-1} V^\top E^{-1} b), \qquad S = 1 - h V^\top E^{-1} U

leaves one small system (m, m).  The functions for linear systems serve real and complex numbers.
"""

import numpy as np

from ...compiled.jit import call_jacobian, call_rhs, call_structure, call_structured_jacobian, jit
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
def prepare_structured(shift, h, D, U, V, inverse, A, pivots):
    """Write 1 / (shift - h D) to `inverse` and decompose S into `A`; whether both are regular."""
    n, m = U.shape
    for i in range(n):
        difference = shift - h * D[i]
        if not 1e-290 < size(difference) < 1e290:
            return False
        inverse[i] = 1.0 / difference
    clear(A)
    for i in range(n):
        for k in range(m):
            weight = h * V[i, k] * inverse[i]
            for j in range(m):
                A[k, j] -= weight * U[i, j]
    for k in range(m):
        A[k, k] += 1.0
    return factor(A, pivots)


@jit
def solve_structured(h, U, V, inverse, A, pivots, small, b):
    """Overwrite `b` by the solution, by the Woodbury formula."""
    n, m = U.shape
    fill(small, 0.0)
    for i in range(n):
        b[i] *= inverse[i]
        for k in range(m):
            small[k] += V[i, k] * b[i]
    substitute(A, pivots, small)
    for i in range(n):
        total = 0.0 * small[0] if m > 0 else 0.0 * b[i]
        for k in range(m):
            total += U[i, k] * small[k]
        b[i] += h * inverse[i] * total


DENSE, STRUCTURED, DIFFERENCES, COLOURED, OWN = range(5)


@jit
def jacobian(
    kind, address, rhs, t, y, slope, h, rtol, atol, groups, pattern, J, D, U, V, point, other, count, params, work
):
    """Evaluate the Jacobian at (t, y); whether it is finite."""
    count[JACOBIANS] += 1
    if kind == OWN:
        call_structure(address, t, y, D, params, work)
        total = 0.0
        for i in range(D.size):
            total += abs(D[i])
        return np.isfinite(total)
    if kind == STRUCTURED:
        call_structured_jacobian(address, t, y, D, U, V, params, work)
        total = 0.0
        for i in range(y.size):
            total += abs(D[i])
            for k in range(U.shape[1]):
                total += abs(U[i, k]) + abs(V[i, k])
        return np.isfinite(total)
    if kind == DENSE:
        call_jacobian(address, t, y, J, params, work)
    else:
        differences(kind, rhs, t, y, slope, h, rtol, atol, groups, pattern, J, point, other, count, params, work)
    total = 0.0
    for i in range(y.size):
        for j in range(y.size):
            total += abs(J[i, j])
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


@jit
def differences(kind, rhs, t, y, slope, h, rtol, atol, groups, pattern, J, point, other, count, params, work):
    """Approximate the Jacobian, one evaluation per group of columns that share no row."""
    n = y.size
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
def bound(kind, J, D, U, V):
    """Return an upper bound of the largest eigenvalue of the Jacobian: its norm by rows."""
    worst = 0.0
    if kind == OWN:
        return np.inf
    if kind == STRUCTURED:
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
    for i in range(J.shape[0]):
        total = 0.0
        for j in range(J.shape[1]):
            total += abs(J[i, j])
        worst = max(worst, total)
    return worst
