"""Jacobians for the implicit method: given, structured, or by coloured differences (compiled part)."""

import numpy as np

from ...compiled.jit import call_jacobian, call_rhs, call_structured_jacobian, jit
from ...compiled.structures import call_structure
from ..arrays import clear
from ..control import all_finite
from ..layout import EVALUATIONS, JACOBIANS

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
