"""Collocation of the locked flow for many problems, one in each lane: `extensive_collocation` in the words of wide numbers.

The order of all operations is kept, so that every lane has the bits of a problem solved alone (compiled part).
"""

import math

import numpy as np

from ..compiled.jit import jit
from ..compiled.simd import each, holds, maximum, minimum, spread, where
from .extensive.steps import ITERATIONS, ROUND_OFF, RUNAWAY
from .extensive.tableau import STAGES
from .extensive_lanes_board import END, EXTENT, GAMMA, PACE, PSI, REFERENCE, SUMS, A, B, H
from .extensive_lanes_roots import solve_theta, unpack


@jit
def swap(matrix, first, second, stride, count, chosen):
    """Exchange numbers of a matrix that lie `stride` apart, in the lanes that are chosen."""
    for k in range(count):
        one, other = matrix[first + stride * k], matrix[second + stride * k]
        up, down = where(chosen, other, one), where(chosen, one, other)
        matrix[first + stride * k] = up
        matrix[second + stride * k] = down


@jit
def pivot_row(matrix, p):
    """Return the row of the largest number in column p on and below the diagonal, and the number's size."""
    m = STAGES
    largest, best = abs(matrix[p * m + p]), spread(1.0 * p)
    for i in range(p + 1, m):
        size = abs(matrix[i * m + p])
        larger = size > largest
        largest = where(larger, size, largest)
        best = where(larger, 1.0 * i, best)
    return best, largest


@jit
def invert(matrix, chosen):
    """Replace matrices by their inverses; return where they are not singular."""
    m = STAGES
    fine = spread(1.0) > 0.0
    for p in range(m):
        best, largest = pivot_row(matrix, p)
        chosen[p] = best
        fine = fine & (largest > 0.0)
        if holds(best != 1.0 * p):
            for i in range(p + 1, m):
                if holds(best == 1.0 * i):
                    swap(matrix, p * m, i * m, 1, m, best == 1.0 * i)
        pivot = 1.0 * matrix[p * m + p]
        # The column of the matrix is known from here on, and its place is taken by that of the inverse.
        matrix[p * m + p] = spread(1.0)
        for k in range(m):
            matrix[p * m + k] = matrix[p * m + k] / pivot
        for i in range(m):
            if i != p:
                factor = 1.0 * matrix[i * m + p]
                matrix[i * m + p] = spread(0.0)
                for k in range(m):
                    matrix[i * m + k] = matrix[i * m + k] - factor * matrix[p * m + k]
    for back in range(m):
        p = m - 1 - back
        best = chosen[p]
        if holds(best != 1.0 * p):
            for i in range(p + 1, m):
                if holds(best == 1.0 * i):
                    swap(matrix, p, i, m, m, best == 1.0 * i)
    return fine


@jit
def prepare(nodes, work, matrix, table):
    """Write the inverses of B + h speed (4 z_j - 2 rate); return where there are any."""
    m = STAGES
    h, rate = work.lane[H], work.lane[PACE]
    fine = spread(1.0) > 0.0
    for j in range(len(nodes.z)):
        shift = 4 * nodes.z[j] - 2 * rate
        for i in range(m):
            for k in range(m):
                matrix[i * m + k] = spread(table[B + i, k])
            matrix[i * m + i] = table[B + i, i] + h * work.speed[i] * shift
        fine = fine & invert(matrix, work.chosen)
        for i in range(m * m):
            work.inverses[j * m * m + i] = 1.0 * matrix[i]
    return fine


@jit
def follow(nodes, work, table):
    """Write the stages of every node for given Q, the integral `drift` of Q and G; return where they are possible."""
    m = STAGES
    h, rate = work.lane[H], work.lane[PACE]
    Q, G, drift, speed, pull, velocity, bracket = (
        work.Q,
        work.G,
        work.drift,
        work.speed,
        work.pull,
        work.velocity,
        work.early,
    )
    for i in range(m):
        total = spread(0.0)
        for k in range(m):
            total = total + table[A + i, k] * Q[k]
        drift[i] = h * total
        G[i] = each(math.exp, -2 * drift[i])
    for k in range(m):
        pull[k] = h * speed[k] * G[k]
        velocity[k] = rate + Q[k] / speed[k]
    possible = spread(1.0) > 0.0
    for j in range(len(nodes.z)):
        bounded = nodes.bounded[j] != 0.0
        for k in range(m):
            bracket[k] = table[SUMS, k] * work.states[j] + pull[k] * where(bounded, 2 * velocity[k], 1.0)
        for i in range(m):
            total = spread(0.0)
            for k in range(m):
                total = total + work.inverses[(j * m + i) * m + k] * bracket[k]
            stage = total / G[i]
            work.stages[j * m + i] = stage
            possible = possible & (where(bounded, 1 + stage, stage) > 0.0)
    return possible


@jit
def lock(kind, nodes, work, i, offset, accuracy, table, active):
    """Return the lock's residual and size at stage `i` and the root theta; write row `i` of the Jacobian."""
    m = STAGES
    z, q, v, eps, s, omega = nodes.z, nodes.q, nodes.v, nodes.eps, nodes.s, nodes.omega
    h, G, early, late = work.lane[H], work.G, work.early, work.late
    for j in range(len(z)):
        nodes.e[j] = 1.0 * work.stages[j * m + i]
    unpack(nodes, work.gammas[i])
    theta, residual, side = solve_theta(kind, nodes, offset, work.theta[i], accuracy, active)
    _x, x_theta, _C, C_theta, C_offset, x_offset, _l = side

    locked, size, slope, pull = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    for j in range(len(z)):
        zeta = s[j] / (4 * v[j])
        bounded, positive = nodes.bounded[j] != 0.0, z[j] > 0.0
        weight = q[j] * z[j]
        gap = where(bounded, weight * (eps[j] + omega[j]) / (1 + eps[j]), q[j] * (z[j] - zeta))
        sum_of_terms = where(positive, q[j] * (z[j] + zeta), q[j] * zeta)
        locked = locked + gap
        size = size + where(bounded, weight * (abs(eps[j]) + omega[j]) / (1 + eps[j]), sum_of_terms)
        slope = slope + q[j] * s[j] * omega[j]
        pull = pull + q[j] * zeta * omega[j]
    ratio = pull * x_theta / (slope * x_theta + C_theta)
    by_psi = 2 * (pull * x_offset - ratio * (slope * x_offset + C_offset))

    own = spread(0.0)
    for k in range(m):
        early[k], late[k] = spread(0.0), spread(0.0)
    for j in range(len(z)):
        zeta = s[j] / (4 * v[j])
        bounded = nodes.bounded[j] != 0.0
        weight = q[j] * s[j] * (zeta + ratio * omega[j])
        weight = weight * where(bounded, 1 / (1 + eps[j]), 1 / v[j])
        own = own + weight * nodes.e[j]
        first, second = where(bounded, 0.0, weight), where(bounded, weight, 0.0)
        for k in range(m):
            inverse = work.inverses[(j * m + i) * m + k]
            early[k] = early[k] + first * inverse
            late[k] = late[k] + second * inverse
    for k in range(m):
        response = work.pull[k] / G[i] * (early[k] + 2 * work.velocity[k] * late[k])
        early[k] = 2 * (response - own) if k == i else 2 * response
    for l in range(m):
        total = by_psi * table[A + i, l]
        for k in range(m):
            total = total - early[k] * table[A + k, l]
        work.jacobian[i * m + l] = h * total + 2 * h * G[l] / G[i] * late[l]
    return locked + ratio * residual, size, theta


@jit
def solve_small(matrix, right):
    """Solve small linear systems in place; return where they are not singular."""
    m = STAGES
    fine = spread(1.0) > 0.0
    for p in range(m):
        best, largest = pivot_row(matrix, p)
        fine = fine & (largest > 0.0)
        if holds(best != 1.0 * p):
            for i in range(p + 1, m):
                if holds(best == 1.0 * i):
                    swap(matrix, p * m + p, i * m + p, 1, m - p, best == 1.0 * i)
                    swap(right, p, i, 1, 1, best == 1.0 * i)
        pivot = matrix[p * m + p]
        for i in range(p + 1, m):
            factor = matrix[i * m + p] / pivot
            for k in range(p + 1, m):
                matrix[i * m + k] = matrix[i * m + k] - factor * matrix[p * m + k]
            right[i] = right[i] - factor * right[p]
    for back in range(m):
        p = m - 1 - back
        total = 1.0 * right[p]
        for k in range(p + 1, m):
            total = total - matrix[p * m + k] * right[k]
        right[p] = total / matrix[p * m + p]
    return fine


@jit
def unit(size, pace, tolerance):
    """Return the size relative to which an error of the velocity counts, see `extensive_steps.unit`."""
    return minimum(size, maximum(1 / pace, minimum(1e-2 * size, RUNAWAY / (tolerance * pace))))


@jit
def newton(kind, nodes, work, table, tolerance, active):
    """Solve the collocation equations of one step in the lanes that are active.

    Returns the number of evaluations, negative without success, and the relative residual of the lock.
    """
    m = STAGES
    lane, Q, residuals = work.lane, work.Q, work.residuals
    accept = max(1e-14, min(1e-12, 1e-2 * tolerance))
    near = math.sqrt(1e-3 * tolerance)
    h, rate, reference = lane[H], lane[PACE], nodes.given[REFERENCE]
    found, noise, last = spread(-1.0), spread(0.0), spread(0.0)
    for iteration in range(ITERATIONS):
        count = 1.0 * (iteration + 1)
        found = where(active, -count, found)
        active = active & follow(nodes, work, table)
        if not holds(active):
            break
        accuracy = where(last != 0.0, 1e-15, 1e-5)
        worst = spread(0.0)
        for i in range(m):
            gamma = work.gammas[i]
            offset = 4 * reference * gamma - 2 * (lane[PSI] + rate * (gamma - lane[GAMMA]) + work.drift[i])
            residual, size, theta = lock(kind, nodes, work, i, offset, accuracy, table, active)
            residuals[i] = residual
            work.sizes[i] = where(active, size, work.sizes[i])
            work.theta[i] = where(active, theta, work.theta[i])
            worst = maximum(worst, abs(residual) / size)
        active = active & (worst < np.inf)
        done = active & (last != 0.0) & (worst <= accept)
        found = where(done, count, found)
        noise = where(done, maximum(worst, ROUND_OFF), noise)
        active = active & ~done
        if not holds(active):
            break
        active = active & solve_small(work.jacobian, residuals)
        moved = spread(0.0)
        for k in range(m):
            size = maximum(lane[EXTENT], abs(rate + Q[k] / work.speed[k]))
            moved = maximum(moved, abs(residuals[k]) / (work.speed[k] * unit(size, h * work.speed[k], tolerance)))
            Q[k] = where(active, Q[k] - residuals[k], Q[k])
        active = active & (moved < np.inf)
        last = where((moved < near) | (worst <= 1e-14), 1.0, 0.0)
        if not holds(active):
            break
    lane[END] = lane[PSI] + rate * (work.gammas[m - 1] - lane[GAMMA]) + work.drift[m - 1]
    return found, noise
