"""Subordination and observables of many problems, one in each lane: `subordination` in the words of wide numbers (compiled part).

The order of all operations is that of `subordination`, so that every lane has the bits of a problem solved alone.
"""

import math

import numpy as np

from ..compiled.jit import jit
from ..compiled.simd import each, holds, maximum, minimum, spread, where
from .extensive.subordination import EXPONENT, LARGEST, LOG_X, MISALIGNMENT, OVERLAP, RISK, SIZE, TRACE, VELOCITY
from .extensive_lanes_board import DELTA, GAUSSIAN, IDENTITY, RANK, REFERENCE


@jit
def start_side(kind, nodes, theta, offset):
    """Return what `subordination.start_side` does."""
    rank, ell, nu = nodes.given[RANK], nodes.ell, nodes.nu
    zero, one = spread(0.0), spread(1.0)
    if kind == GAUSSIAN:
        C = rank * each(math.exp, minimum(theta - offset, LARGEST))
        return theta, one, C, C, -C, zero, -C
    if kind == IDENTITY:
        return zero, zero, zero, one, zero, zero, spread(-np.inf)
    y = each(math.exp, maximum(minimum(theta + offset, LARGEST), -LARGEST))
    t, C, slope = zero, zero, zero
    for k in range(len(ell)):
        inverse = 1 / (1 + y * ell[k])
        share = y * ell[k] * inverse
        t = t + nu[k] * share
        C = C + nu[k] * inverse
        slope = slope + nu[k] * share * inverse
    rest = 1 - rank + C
    early = t < rest
    small = where(early, t, 1 - rest)
    variance = (1 - rank) * (small * small)
    for k in range(len(ell)):
        inverse = 1 / (1 + y * ell[k])
        distance = where(early, y * ell[k] * inverse - t, inverse - rest)
        variance = variance + nu[k] * (distance * distance)
    exponent = each(math.log, t / rest) - theta
    by_log_y = -variance / (t * rest)
    least = minimum(t, rest)
    by_log_x = where(variance > 1e-28 * (least * least), slope / by_log_y, -np.inf)
    return exponent, by_log_y, C, -slope, -slope, 1 + by_log_y, by_log_x


@jit
def node_side(nodes, exponent):
    """Write the shares `s` and `omega`; return the two one-sided sums and the derivative by the exponent."""
    gained, missing, slope = spread(0.0), spread(0.0), spread(0.0)
    q = nodes.q
    for j in range(len(q)):
        E = nodes.base[j] + exponent
        small = each(math.exp, -abs(E))
        larger = 1 / (1 + small)
        smaller = small * larger
        s, omega = where(E > 0.0, larger, smaller), where(E > 0.0, smaller, larger)
        nodes.s[j], nodes.omega[j] = s, omega
        low = nodes.low[j] != 0.0
        gained = gained + where(low, q[j] * s, 0.0)
        missing = missing + where(low, 0.0, q[j] * omega)
        slope = slope + q[j] * s * omega
    return gained, missing, slope


@jit
def unpack(nodes, gamma):
    """Write v, eps and the part of the exponents that theta does not change."""
    reference = nodes.given[REFERENCE]
    for j in range(len(nodes.z)):
        z, e = nodes.z[j], nodes.e[j]
        bounded = nodes.bounded[j] != 0.0
        v = where(bounded, (1 + e) / (4 * z), e)
        nodes.v[j] = v
        nodes.eps[j] = where(bounded, e, 4 * z * e - 1)
        # Lanes that failed or are free take part with any numbers.
        nodes.base[j] = each(math.log, where(v > 0.0, 4 * v, 1.0)) + 4 * (z - reference) * gamma


@jit
def solve_theta(kind, nodes, offset, theta, accuracy, active):
    """Return the root in the lanes that are active, the residual left, and the start side there; writes `s` and `omega`.

    Lanes that are done are evaluated again at the same theta, which changes no bit.
    """
    if kind == IDENTITY:
        for j in range(len(nodes.q)):
            nodes.s[j], nodes.omega[j] = spread(1.0), spread(0.0)
        return spread(0.0), spread(0.0), start_side(kind, nodes, theta, offset)
    sign = 1.0 if kind == GAUSSIAN else -1.0
    delta = nodes.given[DELTA]
    low_end, high_end = spread(-np.inf), spread(np.inf)
    running, finishing = active, active & ~active
    residual = spread(0.0)
    side = start_side(kind, nodes, theta, offset)
    for attempt in range(200):
        if attempt > 0:
            side = start_side(kind, nodes, theta, offset)
        exponent, by_theta, C, C_theta, _o, _e, _l = side
        gained, missing, slope = node_side(nodes, exponent)
        residual = gained + C - missing - delta
        derivative = slope * by_theta + C_theta
        scale = gained + C + missing + abs(delta)
        running = running & ~(finishing | (abs(residual) <= 4e-16 * scale))
        if not holds(running):
            break
        below = residual * sign < 0.0
        low_end = where(below, theta, low_end)
        high_end = where(below, high_end, theta)
        step = where(derivative != 0.0, -residual / derivative, np.inf * -residual * sign)
        reach = 4 + 0.5 * abs(theta)
        step = maximum(minimum(step, reach), -reach)
        new = theta + step
        inside = (low_end < new) & (new < high_end)
        running = running & (inside | (high_end - low_end != np.inf))
        new = where(inside, new, 0.5 * (low_end + high_end))
        moved = abs(new - theta)
        theta = where(running, new, theta)
        finishing = moved <= accuracy * maximum(1.0, abs(theta))
        if not holds(running):
            break
    return theta, residual, side


@jit
def observe(nodes, offset, side):
    """Write the observables into the row of the nodes; see `subordination.observe`."""
    z, q, v, eps, s, omega, row = nodes.z, nodes.q, nodes.v, nodes.eps, nodes.s, nodes.omega, nodes.row
    exponent, by_log_x = side[0], side[6]
    zero = spread(0.0)
    trace, lock, mixed, a, b, D_Z, by_nodes = zero, zero, zero, zero, zero, zero, zero
    for j in range(len(z)):
        zeta = s[j] / (4 * v[j])
        gap = where(nodes.bounded[j] != 0.0, z[j] * (eps[j] + omega[j]) / (1 + eps[j]), z[j] - zeta)
        trace = trace + q[j] * zeta
        lock = lock + q[j] * zeta * gap
        mixed = mixed + q[j] * zeta * omega[j]
        a = a + q[j] * z[j] * z[j]
        b = b + q[j] * z[j] * zeta
        D_Z = D_Z - q[j] * z[j] * gap
        by_nodes = by_nodes + q[j] * s[j] * omega[j]
    xi = where(mixed > 0.0, 4 * mixed / (by_log_x - by_nodes), 0.0)
    spread_out = -0.25 * xi * mixed
    kappa = D_Z / a
    distance, across, square, size = spread_out, spread_out, spread_out, zero
    for j in range(len(z)):
        zeta = s[j] / (4 * v[j])
        gap = where(nodes.bounded[j] != 0.0, z[j] * (eps[j] + omega[j]) / (1 + eps[j]), z[j] - zeta)
        sideways = gap + kappa * z[j]
        distance = distance + q[j] * gap * gap
        across = across + q[j] * (sideways * sideways)
        square = square + q[j] * zeta * zeta
        size = size + 4 * q[j] * zeta * abs(gap)
    norm = np.sqrt(a * square)
    row[RISK] = distance
    row[MISALIGNMENT] = a * across / (norm * (norm + b))
    row[OVERLAP] = b / norm
    row[TRACE] = trace
    row[VELOCITY] = (4 * lock + xi * mixed) / (2 * trace)
    row[SIZE] = (size - xi * mixed) / (2 * trace)
    row[EXPONENT] = exponent
    row[LOG_X] = exponent - offset


@jit
def report(kind, nodes, gamma, psi, theta, active):
    """Write the observables of the states `e`; return theta.  The column of psi is left to the caller."""
    offset = 4 * nodes.given[REFERENCE] * gamma - 2 * psi
    unpack(nodes, gamma)
    theta, _r, side = solve_theta(kind, nodes, offset, theta, spread(1e-15), active)
    observe(nodes, offset, side)
    return theta
