"""The steps of the locked flow of many problems, one in each lane: `extensive_steps` in the words of wide numbers.

All lanes attempt a step at the same time, each one of its own length from its own time; a lane whose problem ends takes
the next one that waits.  Lanes share nothing but the instructions, and the order of operations is that of
`extensive_steps.advance`, so that every problem has the bits that it has alone (compiled part).
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, FLOAT, jit
from ..compiled.simd import LANES, each, holds, maximum, minimum, where
from ..compiled.simd_arrays import address_of_numbers, line_of, numbers_at
from .extensive.steps import AMPLIFIED as FIRST_AMPLIFIED
from .extensive.steps import DONE, FLOOR, STEP_TOO_SMALL, TOO_MANY_STEPS
from .extensive.subordination import EXPONENT, OVERLAP, RISK, TRACE
from .extensive.subordination import PSI as PSI_COLUMN
from .extensive.subordination import SIZE as SIZE_COLUMN
from .extensive.subordination import VELOCITY as VELOCITY_COLUMN
from .extensive.tableau import STAGES, extrapolate
from .extensive_lanes_board import (
    ACCEPTED,
    AMPLIFIED,
    BUSY,
    END,
    EVALUATIONS,
    EXTENT,
    FACTOR,
    GAMMA,
    GAMMA_0,
    GAUSSIAN,
    GIVEN,
    IDENTITY,
    LAST_ERROR,
    LEFT,
    LOSS,
    PACE,
    POINTS,
    PSI,
    RATE,
    REFERENCE,
    REJECTED,
    SIZE,
    STEPS,
    TABLES,
    VELOCITY,
    H,
    nodes_in,
    work_in,
)
from .extensive_lanes_collocation import newton, prepare, unit
from .extensive_lanes_output import emit, flush
from .extensive_lanes_roots import report

# place: int64 array (LANES, 2), the problem of every lane (-1: none) and how many requested times are done
PROBLEM, DONE_TIMES = range(2)
OUTCOMES = 4


@jit
def load(l, problem, kind, z, q, low, ell, nu, given, nodes, work, place):
    """Put a problem into a lane."""
    lane = work.lane
    place[l, PROBLEM], place[l, DONE_TIMES] = problem, 0
    largest = 0.0
    for j in range(z.shape[1]):
        nodes.z[j, l], nodes.q[j, l], nodes.low[j, l] = z[problem, j], q[problem, j], low[problem, j]
        largest = max(largest, z[problem, j])
        e, bounded = 0.25 if kind == IDENTITY else 0.0, 0.0
        if 4 * z[problem, j] * e > 0.5:
            e, bounded = 4 * z[problem, j] * e - 1, 1.0
        work.states[j, l], nodes.bounded[j, l] = e, bounded
    for k in range(ell.shape[1]):
        nodes.ell[k, l], nodes.nu[k, l] = ell[problem, k], nu[problem, k]
    for k in range(GIVEN):
        nodes.given[k, l] = given[problem, k]
    for k in range(len(lane)):
        lane[k, l] = 0.0
    lane[BUSY, l], lane[H, l], lane[GAMMA_0, l] = 1.0, 0.15, 1 / largest
    lane[VELOCITY, l] = lane[PACE, l] = given[problem, RATE]
    lane[EXTENT, l] = lane[LOSS, l] = given[problem, SIZE]
    lane[LAST_ERROR, l], lane[AMPLIFIED, l] = np.inf, FIRST_AMPLIFIED


@jit
def ended(l, times, max_steps, lane, place, rows, outcome):
    """Free the lane if its problem ended, and note how."""
    problem, done = place[l, PROBLEM], place[l, DONE_TIMES]
    status = -1
    if done == times.size:
        status = DONE
    elif lane[LOSS, l] < FLOOR:
        status = DONE
        for k in range(done, times.size):
            for column in range(rows.shape[2]):
                rows[problem, k, column] = 0.0
            rows[problem, k, OVERLAP] = rows[problem, k, TRACE] = 1.0
            rows[problem, k, PSI_COLUMN] = lane[PSI, l]
            rows[problem, k, EXPONENT] = np.nan
    elif lane[STEPS, l] + lane[REJECTED, l] >= max_steps:
        status = TOO_MANY_STEPS
    elif lane[H, l] < 1e-10:
        status = STEP_TOO_SMALL
    if status < 0:
        return False
    outcome[problem, 0], outcome[problem, 1] = status, int(lane[STEPS, l])
    outcome[problem, 2], outcome[problem, 3] = int(lane[REJECTED, l]), int(lane[EVALUATIONS, l])
    place[l, PROBLEM] = -1
    lane[BUSY, l] = 0.0
    return True


@jit
def begin(kind, nodes, work, table):
    """Choose the stages of the next step, and guess Q and theta there."""
    lane, m = work.lane, STAGES
    gamma, gamma_0, h, rate, reference = lane[GAMMA], lane[GAMMA_0], lane[H], lane[PACE], nodes.given[REFERENCE]
    first = lane[STEPS] == 0.0
    u = each(math.log1p, gamma / gamma_0)
    work.gammas[m] = 1.0 * gamma
    for i in range(m):
        at = h * table[POINTS, i]
        later = gamma + (gamma + gamma_0) * each(math.expm1, at)
        speed = (gamma + gamma_0) * each(math.exp, at)
        work.gammas[i], work.speed[i] = later, speed
        guess = speed * (extrapolate(work.u, work.rate, u + at) - rate)
        angle = extrapolate(work.u, work.angle, u + at)
        if holds(first):
            offset = 4 * reference * later
            early = offset if kind == GAUSSIAN else each(math.log, 4 * later) - offset
            guess, angle = where(first, 0.0, guess), where(first, early, angle)
        work.Q[i], work.theta[i] = guess, angle


@jit
def excess(error, size, pace, noise, tolerance):
    """Return an error of the velocity beyond its noise, in its unit."""
    return maximum(abs(error) - 2e-13 * size - noise / pace, 0.0) / unit(size, pace, tolerance)


@jit
def attempt(kind, nodes, work, table, tolerance):
    """Attempt a step in all lanes, judge it, and choose the next length where it is rejected."""
    lane, row, m = work.lane, nodes.row, STAGES
    h, gamma, gamma_0, rate, size = lane[H], lane[GAMMA], lane[GAMMA_0], lane[PACE], lane[EXTENT]
    begin(kind, nodes, work, table)
    busy = lane[BUSY] != 0.0
    active = busy & prepare(nodes, work, work.jacobian, table)
    found, noise = newton(kind, nodes, work, table, tolerance, active)
    lane[EVALUATIONS] = lane[EVALUATIONS] + abs(found)
    solved = busy & (found > 0.0)
    for j in range(len(nodes.z)):
        nodes.e[j] = 1.0 * work.stages[j * m + m - 1]
    last = 1.0 * work.theta[m - 1]
    work.theta[m - 1] = report(kind, nodes, work.gammas[m - 1], lane[END], last, solved)

    at_left = rate
    for k in range(m):
        at_left = at_left + table[LEFT, k] * work.Q[k] / (gamma + gamma_0)
    new_rate = rate + work.Q[m - 1] / work.speed[m - 1]
    # Where everything is learnt the velocity is far smaller than the terms of the lock: their round-off is its noise.
    noise = noise * (lane[AMPLIFIED] * maximum(work.sizes[0], work.sizes[m - 1]))
    error = maximum(
        excess(at_left - lane[VELOCITY], size, h * (gamma + gamma_0), noise, tolerance),
        excess(new_rate - row[VELOCITY_COLUMN], row[SIZE_COLUMN], h * work.speed[m - 1], noise, tolerance),
    )
    factor = 0.85 * each(pow, tolerance / maximum(error, 1e-30), 1 / m)
    accepted = solved & (error <= tolerance)
    rejected = solved & ~(error <= tolerance)
    # What a shorter step does not reduce is noise.
    noisy = rejected & (error > 0.5 * lane[LAST_ERROR])
    lane[AMPLIFIED] = where(noisy, minimum(10 * lane[AMPLIFIED], 1e6), lane[AMPLIFIED])
    lane[LAST_ERROR] = where(rejected, error, lane[LAST_ERROR])
    shrink = where(rejected, where(error < np.inf, maximum(0.2, minimum(0.9, factor)), 0.2), 0.4)
    lane[REJECTED] = lane[REJECTED] + where(busy & ~accepted, 1.0, 0.0)
    lane[ACCEPTED] = where(accepted, 1.0, 0.0)
    lane[FACTOR] = factor
    # The length of a step that was accepted is needed for its outputs.
    lane[H] = where(busy & ~accepted, h * shrink, h)
    return new_rate


@jit
def take(nodes, work, table, new_rate):
    """Move the lanes whose step was accepted to its end."""
    lane, row, m = work.lane, nodes.row, STAGES
    accepted, h, rate = lane[ACCEPTED] != 0.0, lane[H], lane[PACE]
    u = each(math.log1p, lane[GAMMA] / lane[GAMMA_0])
    for k in range(3):
        i = m - 3 + k
        work.u[k] = where(accepted, u + h * table[POINTS, i], work.u[k])
        work.rate[k] = where(accepted, rate + work.Q[i] / work.speed[i], work.rate[k])
        work.angle[k] = where(accepted, work.theta[i], work.angle[k])
    for j in range(len(nodes.z)):
        z, e = nodes.z[j], where(accepted, work.stages[j * m + m - 1], work.states[j])
        turned = accepted & (nodes.bounded[j] == 0.0) & (4 * z * e > 0.5)
        work.states[j] = where(turned, 4 * z * e - 1, e)
        nodes.bounded[j] = where(turned, 1.0, nodes.bounded[j])
    lane[GAMMA] = where(accepted, work.gammas[m - 1], lane[GAMMA])
    lane[PSI] = where(accepted, lane[END], lane[PSI])
    lane[PACE] = where(accepted, new_rate, rate)
    lane[VELOCITY] = where(accepted, row[VELOCITY_COLUMN], lane[VELOCITY])
    lane[EXTENT] = where(accepted, row[SIZE_COLUMN], lane[EXTENT])
    lane[LOSS] = where(accepted, row[RISK], lane[LOSS])
    lane[STEPS] = lane[STEPS] + where(accepted, 1.0, 0.0)
    lane[LAST_ERROR] = where(accepted, np.inf, lane[LAST_ERROR])
    lane[AMPLIFIED] = where(accepted, FIRST_AMPLIFIED, lane[AMPLIFIED])
    lane[H] = where(accepted, minimum(h * minimum(4.0, maximum(0.5, lane[FACTOR])), 6.0), h)


INTEGERS = types.int64[:, ::1]
SIGNATURE = types.void(
    types.int64, A1, A1, A1, A2, FLOAT, types.int64, A2, A2, A2, A2, A2, A2, types.float64[:, :, ::1], INTEGERS,
    types.UniTuple(A2, 4), types.UniTuple(INTEGERS, 2),
)  # fmt: skip


@jit(SIGNATURE)
def advance(
    kind,
    times,
    points,
    barycentric,
    tables,
    tolerance,
    max_steps,
    z,
    q,
    low,
    ell,
    nu,
    given,
    rows,
    outcome,
    boards,
    places,
):
    """Integrate all problems from 0+ over all `times` (on the clock gamma, positive, increasing).

    Parameters
    ----------
    kind : int
        Kind of all starts.
    points, barycentric, tables : ndarray
        Radau points, weights of the interpolation, and all tables of the collocation, see `extensive_lanes_board`.
    z, q, low : ndarray, shape (problems, n)
    ell, nu : ndarray, shape (problems, k)
    given : ndarray, shape (problems, GIVEN)
        Teachers, starts and constants, see `extensive_steps.advance`.
    rows : ndarray, shape (problems, len(times), COLUMNS)
        Filled with the observables.
    outcome : ndarray, shape (problems, OUTCOMES)
        Status, accepted steps, rejected steps, evaluations of the lock on all points.
    boards : tuple of ndarray
        Nodes and work of the lanes; nodes and roots of the outputs.
    places : tuple of ndarray
        Problems of the lanes, and of the outputs.
    """
    n, k = z.shape[1], ell.shape[1]
    place, job = places
    table = numbers_at(address_of_numbers(tables), TABLES, STAGES)
    nodes, work = nodes_in(line_of(boards[0]), n, k), work_in(line_of(boards[1]), n)
    slots, root = nodes_in(line_of(boards[2]), n, k), line_of(boards[3])
    lane, weights = work.lane, np.empty(STAGES + 1)
    following, taken = 0, 0
    while True:
        for l in range(LANES):
            if place[l, PROBLEM] >= 0 and ended(l, times, max_steps, lane, place, rows, outcome):
                taken -= 1
            while place[l, PROBLEM] < 0 and following < z.shape[0]:
                load(l, following, kind, z, q, low, ell, nu, given, nodes, work, place)
                following += 1
                taken += 0 if ended(l, times, max_steps, lane, place, rows, outcome) else 1
        if taken == 0:
            break
        new_rate = attempt(kind, nodes, work, table, tolerance)
        for l in range(LANES):
            if lane[ACCEPTED, l] != 0.0:
                place[l, DONE_TIMES] = emit(
                    kind, l, place[l, PROBLEM], place[l, DONE_TIMES], times, nodes, slots, work, root, job, points, barycentric,
                    weights, rows,
                )  # fmt: skip
        take(nodes, work, table, new_rate)
    flush(kind, slots, root, job, rows)
