"""Tables of the collocation at Radau points, interpolation inside a step, small linear systems."""

import functools

import numpy as np

from ...compiled.jit import jit

#: Radau points of a step.
STAGES = 10


@functools.cache
def radau_tables(stages=STAGES):
    """Return the Radau points in (0, 1], the integration matrix, its inverse, and interpolation weights.

    Returns
    -------
    points : ndarray, shape (m,)
    integration, differentiation : ndarray, shape (m, m)
        Integrals from 0 to the points of the polynomial through values at the points, and the inverse.
    left : ndarray, shape (m,)
        Extrapolation of that polynomial to 0.
    barycentric : ndarray, shape (m + 1,)
        Weights of the interpolation through 0 and the points.
    """
    legendre = np.polynomial.legendre
    roots = np.sort(legendre.legroots(np.append(np.zeros(stages - 1), [-1.0, 1.0])).real)
    roots[-1] = 1.0
    values = legendre.legvander(roots, stages - 1)
    integrals = np.stack([legendre.legval(roots, legendre.legint(row, lbnd=-1)) for row in np.eye(stages)], axis=1) / 2
    integration = integrals @ np.linalg.inv(values)
    left = (legendre.legvander(np.array([-1.0]), stages - 1) @ np.linalg.inv(values))[0]
    points = np.append(0.0, (roots + 1) / 2)
    differences = points[:, None] - points[None, :] + np.eye(stages + 1)
    return points[1:].copy(), integration, np.linalg.inv(integration), left, 1 / differences.prod(axis=1)


@jit
def solve_small(matrix, right):
    """Solve a small linear system in place (partial pivoting); False if it is singular."""
    m = right.size
    for p in range(m):
        best = p
        for i in range(p + 1, m):
            if abs(matrix[i, p]) > abs(matrix[best, p]):
                best = i
        if not abs(matrix[best, p]) > 0:
            return False
        if best != p:
            for k in range(p, m):
                matrix[p, k], matrix[best, k] = matrix[best, k], matrix[p, k]
            right[p], right[best] = right[best], right[p]
        for i in range(p + 1, m):
            factor = matrix[i, p] / matrix[p, p]
            for k in range(p + 1, m):
                matrix[i, k] -= factor * matrix[p, k]
            right[i] -= factor * right[p]
    for p in range(m - 1, -1, -1):
        for k in range(p + 1, m):
            right[p] -= matrix[p, k] * right[k]
        right[p] /= matrix[p, p]
    return True


@jit
def extrapolate(at, values, u):
    """Return the quadratic through three points at `u`."""
    (a, b, c), (x, y, w) = (at[0], at[1], at[2]), (values[0], values[1], values[2])
    return (
        x * (u - b) * (u - c) / ((a - b) * (a - c))
        + y * (u - a) * (u - c) / ((b - a) * (b - c))
        + w * (u - a) * (u - b) / ((c - a) * (c - b))
    )


@jit
def interpolation(at, points, barycentric, weights):
    """Write the weights of the values at 0 and at the points in the polynomial through them at `at`."""
    m = points.size
    total = 0.0
    for k in range(m + 1):
        distance = at - (points[k - 1] if k > 0 else 0.0)
        if distance == 0.0:
            for l in range(m + 1):
                weights[l] = 1.0 if l == k else 0.0
            return
        weights[k] = barycentric[k] / distance
        total += weights[k]
    for k in range(m + 1):
        weights[k] /= total
