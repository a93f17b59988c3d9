"""Outputs inside the steps: states at requested times wait in slots until there is one for every lane (compiled part).

Which outputs share a set of slots does not matter: lanes share nothing but the instructions.
"""

import math

from ..compiled.jit import jit
from ..compiled.simd import LANES, spread
from .extensive.subordination import PSI as PSI_COLUMN
from .extensive.tableau import STAGES, interpolation
from .extensive_lanes_board import GAMMA, GAMMA_0, GIVEN, PACE, PSI, H
from .extensive_lanes_roots import report

# job: int64 array (LANES + 1, 2), the problem and the requested time of every slot; the last row counts the slots taken
PROBLEM, OUTPUT = range(2)
# root: float64 array (ROOTS, LANES), what is known of the outputs beside the states
ROOTS = 3
TIME, MULTIPLIER, THETA = range(ROOTS)


@jit
def put(l, slot, at, time, nodes, slots, work, root, points, weights):
    """Put the state of lane `l` at a time inside its step, at the fraction `at` of it, into a slot."""
    m = STAGES
    lane = work.lane
    moved = 0.0
    for k in range(m):
        moved += weights[k + 1] * work.drift[k, l]
    for j in range(len(nodes.z)):
        total = weights[0] * work.states[j, l]
        for k in range(m):
            total += weights[k + 1] * work.stages[j * m + k, l]
        slots.e[j, slot] = total
        slots.z[j, slot], slots.q[j, slot] = nodes.z[j, l], nodes.q[j, l]
        slots.low[j, slot], slots.bounded[j, slot] = nodes.low[j, l], nodes.bounded[j, l]
    for k in range(len(nodes.ell)):
        slots.ell[k, slot], slots.nu[k, slot] = nodes.ell[k, l], nodes.nu[k, l]
    for k in range(GIVEN):
        slots.given[k, slot] = nodes.given[k, l]
    near = 0
    while near < m - 1 and points[near] < at:
        near += 1
    root[TIME, slot] = time
    root[MULTIPLIER, slot] = lane[PSI, l] + lane[PACE, l] * (time - lane[GAMMA, l]) + moved
    root[THETA, slot] = work.theta[near, l]


@jit
def flush(kind, slots, root, job, rows):
    """Write the observables of all outputs that wait."""
    taken = job[LANES, PROBLEM]
    if taken == 0:
        return
    report(kind, slots, root[TIME], root[MULTIPLIER], root[THETA], spread(1.0) > 0.0)
    for slot in range(taken):
        problem, output = job[slot, PROBLEM], job[slot, OUTPUT]
        for column in range(rows.shape[2]):
            rows[problem, output, column] = slots.row[column, slot]
        rows[problem, output, PSI_COLUMN] = root[MULTIPLIER, slot]
    job[LANES, PROBLEM] = 0


@jit
def emit(kind, l, problem, done, times, nodes, slots, work, root, job, points, barycentric, weights, rows):
    """Put the outputs of lane `l` inside its step into slots; return how many requested times are done."""
    lane = work.lane
    gamma, gamma_0, end = lane[GAMMA, l], lane[GAMMA_0, l], work.gammas[STAGES - 1, l]
    while done < times.size and times[done] <= end * (1 + 1e-15):
        at = math.log1p((times[done] - gamma) / (gamma + gamma_0)) / lane[H, l]
        interpolation(at, points, barycentric, weights)
        slot = job[LANES, PROBLEM]
        put(l, slot, at, times[done], nodes, slots, work, root, points, weights)
        job[slot, PROBLEM], job[slot, OUTPUT] = problem, done
        job[LANES, PROBLEM] = slot + 1
        if slot + 1 == LANES:
            flush(kind, slots, root, job, rows)
        done += 1
    return done
