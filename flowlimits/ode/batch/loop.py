"""The loop of the explicit method over many problems at once, one in each SIMD lane (compiled part).

Every lane has its own time and step and controls its steps as `explicit_loop.advance` does, with steps that end on the requested
times; a lane whose problem ends takes the next one that waits.  Lanes share nothing but the instructions, so what
happens to a problem does not depend on its neighbours, and its bits are those of `explicit_loop.advance`.
"""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, call_rhs, jit
from ...compiled.simd import LANES
from ...compiled.simd_arrays import A3, address_of_numbers, packed, table_of, tail
from ...compiled.views import where
from .. import dop853
from ..control import LAST as END_SLOPE
from ..control import ORDER, all_finite, guess_step, trial_step
from ..layout import NOT_FINITE, RUNNING, STEP_TOO_SMALL, STIFF, SUCCESS, TOO_MANY_STEPS
from .layout import (
    ACCEPTED,
    BUSY,
    CALLS,
    END,
    ENDS,
    ERROR,
    EVALUATIONS,
    FAILING,
    FINISHED,
    FIRST_STEP,
    FOLLOWING,
    GOAL,
    LAST,
    LEAVES,
    MAX_STEP,
    MAX_STEPS,
    NEW,
    NEXT,
    OPEN,
    OUTPUTS,
    PATIENCE,
    POINT,
    PROBLEM,
    QUICKNESS,
    REJECTED,
    RTOL,
    SHIFTED,
    START,
    STATUS,
    STEP,
    STEPS,
    STEPS_MADE,
    STEPS_REJECTED,
    STUCK,
    TAKEN,
    TARGET,
    WEIGHTS,
    H,
    K,
    T,
    Y,
)
from .steps import call_lanes, call_traced, choose_steps, count_calls, count_signs, judge, take

INTEGERS = types.int64[:, ::1]
QUEUE = types.int64[::1]


@jit(inline="always")  # else the arrays of `emit` are kept in memory, which costs every output a third more
def retire(l, status, lane, place, queue, outcome, reached):
    """Note how the problem of a lane ended, and free the lane."""
    problem = place[PROBLEM, l]
    outcome[problem, STATUS] = status
    outcome[problem, OUTPUTS] = place[NEXT, l]
    outcome[problem, STEPS_MADE] = int(lane[STEPS, l])
    outcome[problem, STEPS_REJECTED] = int(lane[REJECTED, l])
    outcome[problem, CALLS] = int(lane[EVALUATIONS, l])
    reached[problem] = lane[T, l]
    place[PROBLEM, l] = -1
    queue[TAKEN] -= 1
    for row in range(len(lane)):
        lane[row, l] = 0.0
    if status != STIFF:
        queue[FINISHED] += 1


@jit
def slope_in_lane(l, model, t, y, slope, lane, table, inputs, own, work):
    """Write the slope at state y of the problem in a lane, by the function for all lanes if there is one: it takes less time."""
    if model[1] == 0:
        # What it forgets is found out.
        for i in range(y.size):
            slope[i] = np.nan
        call_rhs(model[0], t, y, slope, own[l], work[l])
        return
    vectors, lanes = table_of(table), packed(lane)
    lane[SHIFTED, l] = t
    for i in range(y.size):
        table[i, NEW, l] = y[i]
    call_traced(model[1], tail(lanes, SHIFTED), vectors[NEW], vectors[POINT], packed(inputs))
    for i in range(y.size):
        slope[i] = table[i, POINT, l]


@jit
def load(
    l, model, settings, lane, place, queue, table, inputs, own, y0s, all_inputs, params, times, states, atol, scratch, work
):  # fmt: skip
    """Put the next waiting problem into a lane, with its first slope and step; return a status."""
    problem = queue[FOLLOWING]
    queue[FOLLOWING] += 1
    point, other, y, slope = scratch[0], scratch[1], scratch[2], scratch[3]
    for i in range(y.size):
        y[i] = y0s[problem, i]
    place[PROBLEM, l] = problem
    queue[TAKEN] += 1
    place[NEXT, l] = 0
    for row in range(len(lane)):
        lane[row, l] = 0.0
    lane[BUSY, l] = 1.0
    lane[T, l] = settings[START]
    for i in range(work.shape[1]):
        work[l, i] = 0.0
    for i in range(own.shape[1]):
        own[l, i] = params[min(problem, params.shape[0] - 1), i]
    source = min(problem, all_inputs.shape[0] - 1)
    for i in range(all_inputs.shape[1]):
        inputs[i, l] = all_inputs[source, i]
    slope_in_lane(l, model, settings[START], y, slope, lane, table, inputs, own, work)
    lane[EVALUATIONS, l] = 1.0
    if not all_finite(slope):
        return NOT_FINITE
    lane[H, l] = settings[FIRST_STEP]
    if settings[FIRST_STEP] <= 0.0:
        span, rtol = settings[END] - settings[START], settings[RTOL]
        trial = trial_step(y, slope, span, rtol, atol, point)
        slope_in_lane(l, model, settings[START] + trial, point, other, lane, table, inputs, own, work)
        lane[H, l] = guess_step(trial, y, slope, other, ORDER, span, rtol, atol)
        lane[EVALUATIONS, l] += 1.0
    if times[0] <= settings[START]:
        for i in range(y.size):
            states[problem, 0, i] = y[i]
        place[NEXT, l] = 1
        if times.size == 1:
            return SUCCESS
    lane[GOAL, l] = times[place[NEXT, l]]
    for i in range(y.size):
        table[i, Y, l] = y[i]
        table[i, K, l] = slope[i]
    return RUNNING


@jit
def fill(
    model, settings, lane, place, queue, table, inputs, own, y0s, all_inputs, params, times, states, outcome, reached, atol,
    scratch, work,
):  # fmt: skip
    """Put waiting problems into free lanes."""
    for l in range(LANES):
        while place[PROBLEM, l] < 0 and queue[FOLLOWING] < queue[LAST]:
            status = load(
                l, model, settings, lane, place, queue, table, inputs, own, y0s, all_inputs, params, times, states, atol,
                scratch, work,
            )  # fmt: skip
            if status != RUNNING:
                retire(l, status, lane, place, queue, outcome, reached)


@jit
def give_up(settings, lane, place, queue, outcome, reached):
    """Retire the lanes that cannot take another step."""
    for l in range(LANES):
        if place[PROBLEM, l] >= 0 and lane[STUCK, l] != 0.0:
            status = NOT_FINITE if lane[FAILING, l] > 0.0 else STEP_TOO_SMALL
            if lane[STEPS, l] + lane[REJECTED, l] >= settings[MAX_STEPS]:
                status = TOO_MANY_STEPS
            retire(l, status, lane, place, queue, outcome, reached)


@jit
def emit(lane, place, queue, table, times, states, outcome, reached):
    """Write the states of the lanes that reached a requested time; retire those that reached the last one."""
    n = states.shape[2]
    for l in range(LANES):
        if place[PROBLEM, l] < 0 or lane[ACCEPTED, l] * lane[ENDS, l] == 0.0:
            continue
        problem, following = place[PROBLEM, l], place[NEXT, l]
        for i in range(n):
            states[problem, following, i] = table[i, Y, l]
        place[NEXT, l] = following + 1
        if following + 1 == times.size:
            retire(l, SUCCESS, lane, place, queue, outcome, reached)
        else:
            lane[GOAL, l] = times[following + 1]


@jit
def attempt(rhs, lane, vectors, params, work, rtol, atol):
    """Take one step in all lanes, with its error and the slope at its end."""
    t, h, target = lane[T], lane[STEP], lane[TARGET]
    y, new, slopes = vectors[Y], vectors[NEW], tail(vectors, K)
    end = slopes[END_SLOPE]
    dop853.stages(rhs, t, h, y, slopes, vectors[POINT], params, work)
    error = dop853.end_and_error(h, y, slopes, new, rtol, atol, vectors[WEIGHTS])
    call_lanes(rhs, target, new, end, params, work)
    lane[ERROR] = error
    count_calls(lane)
    bad = 0.0 * h
    for i in range(len(end)):
        bad = bad + (end[i] - end[i])
    error = where((bad != 0.0) & (error <= 1.0), np.inf, error)
    fast, lane[QUICKNESS] = dop853.fast_motion(h, slopes, new, vectors[POINT], vectors[WEIGHTS])
    error = where((error <= 1.0) & (fast > error), fast, error)
    lane[ERROR] = error


@jit(
    types.int64(
        types.UniTuple(ADDRESS, 2),
        A1,
        A2,
        INTEGERS,
        QUEUE,
        A3,
        A2,
        A2,
        A2,
        A2,
        A2,
        A1,
        A3,
        INTEGERS,
        A1,
        A1,
        A2,
        A2,
        ADDRESS,
    )
)
def advance(
    model, settings, lane, place, queue, table, inputs, own, y0s, all_inputs, params, times, states, outcome, reached, atol,
    scratch, work, budget,
):  # fmt: skip
    """Run at most `budget` steps of all lanes; return SUCCESS when no problem waits and every lane is free.

    It also returns when the queue is empty and may get more.

    Parameters
    ----------
    model : tuple of int
        Addresses of the right-hand sides of one problem and of all lanes (0: there is none).
    settings, queue : ndarray
        Bounds and tolerances, and which problems wait; see `lanes_layout`.
    lane, place, table, inputs, own, work : ndarray
        State of the lanes between two slices of work; `own`, shape (lanes, m), holds their parameters.
    y0s, all_inputs, params : ndarray, shapes (problems, n), (problems or 1, inputs), (problems or 1, m)
        Starts, and what the two right-hand sides read.
    times, states : ndarray, shapes (times,), (problems, times, n)
        Requested times, and the place for the states there.
    outcome, reached : ndarray, shapes (problems, OUTCOMES), (problems,)
        How each problem ended, and at which time.
    atol, scratch : ndarray, shapes (n,), (4, n)
    """
    rtol, end, patience = settings[RTOL], settings[END], settings[PATIENCE]
    longest, most = settings[MAX_STEP], settings[MAX_STEPS]
    # None of these counts references, which in every call would take as long as the step itself.
    lanes, vectors, tolerances = packed(lane), table_of(table), address_of_numbers(atol)
    lanes_params = lanes, packed(inputs)
    lanes_work = (
        address_of_numbers(own),
        own.shape[1],
        address_of_numbers(work),
        work.shape[1],
        address_of_numbers(scratch),
    )
    for _ in range(budget):
        if queue[OPEN] == 1 and queue[FOLLOWING] >= queue[LAST]:
            return RUNNING
        if queue[TAKEN] < LANES and queue[FOLLOWING] < queue[LAST]:
            fill(
                model, settings, lane, place, queue, table, inputs, own, y0s, all_inputs, params, times, states, outcome,
                reached, atol, scratch, work,
            )  # fmt: skip
        if queue[TAKEN] == 0:
            return RUNNING if queue[OPEN] == 1 else SUCCESS
        if choose_steps(lanes, longest, most):
            give_up(settings, lane, place, queue, outcome, reached)
            continue
        attempt(model, lanes, vectors, lanes_params, lanes_work, rtol, tolerances)
        judge(lanes)
        leaving = patience >= 0.0 and count_signs(lanes, vectors, end, patience)
        if take(lanes, vectors):
            emit(lane, place, queue, table, times, states, outcome, reached)
        if leaving:
            for l in range(LANES):
                if place[PROBLEM, l] >= 0 and lane[LEAVES, l] != 0.0:
                    retire(l, STIFF, lane, place, queue, outcome, reached)
    return RUNNING
