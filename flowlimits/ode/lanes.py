"""The loop of the explicit methods over many problems at once, one in each lane (compiled part).

Every lane has its own time and step and takes the decisions of `explicit.advance` with steps that end on the requested
times; a lane whose problem ends takes the next one that waits.  Lanes share nothing but the instructions, so what
happens to a problem does not depend on its neighbours, and its bits are those of `explicit.advance`.
"""

import numpy as np
from numba import types

from .._jit import A1, A2, ADDRESS, call_rhs, jit
from . import lanes_dop853, lanes_tsit5
from .control import all_finite, first_step
from .explicit import DOP853
from .lanes_control import choose_steps, count_calls, count_signs, judge, look_for_limits, set_absolute, take, total
from .lanes_layout import (
    ACCEPTED,
    BUSY,
    CALLS,
    END,
    ENDS,
    ERROR,
    EVALUATIONS,
    FAILING,
    FIFTH,
    FINISHED,
    FIRST_STEP,
    FOLLOWING,
    FOURTH,
    GOAL,
    K0,
    K5,
    K6,
    K11,
    K12,
    LANES,
    LAST,
    LEAVES,
    MAX_STEPS,
    MEMORY,
    NEW,
    NEXT,
    OPEN,
    OUTPUTS,
    PATIENCE,
    PROBLEM,
    REJECTED,
    RTOL,
    START,
    STATUS,
    STEPS,
    STEPS_MADE,
    STEPS_REJECTED,
    STUCK,
    TAKEN,
    TARGET,
    H,
    T,
    Y,
)
from .lanes_velocity import velocity
from .layout import NOT_FINITE, RUNNING, STEP_TOO_SMALL, STIFF, SUCCESS, TOO_MANY_STEPS

INTEGERS = types.int64[:, ::1]
QUEUE = types.int64[::1]
A3 = types.float64[:, :, ::1]


@jit
def retire(l, status, lane, place, queue, outcome, reached):
    """Note how the problem of a lane ended, and free the lane."""
    problem = place[PROBLEM, l]
    outcome[problem, STATUS] = status
    outcome[problem, OUTPUTS] = place[NEXT, l]
    outcome[problem, STEPS_MADE] = int(lane[STEPS + l])
    outcome[problem, STEPS_REJECTED] = int(lane[REJECTED + l])
    outcome[problem, CALLS] = int(lane[EVALUATIONS + l])
    reached[problem] = lane[T + l]
    place[PROBLEM, l] = -1
    queue[TAKEN] -= 1
    lane[l::LANES] = 0.0
    if status != STIFF:
        queue[FINISHED] += 1


@jit
def load(
    l, model, settings, lane, place, queue, board, inputs, own, y0s, wide_inputs, params, times, states, atol, scratch, work
):  # fmt: skip
    """Put the next waiting problem into a lane, with its first slope and step; return a status."""
    problem = queue[FOLLOWING]
    queue[FOLLOWING] += 1
    y, slope = scratch[2], scratch[3]
    y[:] = y0s[problem]
    # A right-hand side that forgets a component leaves NaN there, and is found out.
    slope[:] = np.nan
    place[PROBLEM, l] = problem
    queue[TAKEN] += 1
    place[NEXT, l] = 0
    lane[l::LANES] = 0.0
    lane[BUSY + l] = 1.0
    lane[T + l] = settings[START]
    lane[MEMORY + l] = 1e-4
    work[l, :] = 0.0
    own[l, :] = params[min(problem, params.shape[0] - 1)]
    call_rhs(model[0], settings[START], y, slope, own[l], work[l])
    lane[EVALUATIONS + l] = 1.0
    if not all_finite(slope):
        return NOT_FINITE
    lane[H + l] = settings[FIRST_STEP]
    if settings[FIRST_STEP] <= 0.0:
        span = settings[END] - settings[START]
        lane[H + l] = first_step(
            model[0], settings[START], y, slope, float(model[2]), span, settings[RTOL], atol, scratch[0], scratch[1], own[l],
            work[l],
        )  # fmt: skip
        lane[EVALUATIONS + l] += 1.0
    if times[0] <= settings[START]:
        states[problem, 0, :] = y
        place[NEXT, l] = 1
        if times.size == 1:
            return SUCCESS
    lane[GOAL + l] = times[place[NEXT, l]]
    for i in range(y.size):
        board[Y, i * LANES + l] = y[i]
        board[K0, i * LANES + l] = slope[i]
    source = min(problem, wide_inputs.shape[0] - 1)
    for i in range(wide_inputs.shape[1]):
        inputs[i * LANES + l] = wide_inputs[source, i]
    return RUNNING


@jit
def fill(
    model, settings, lane, place, queue, board, inputs, own, y0s, wide_inputs, params, times, states, outcome, reached, atol,
    scratch, work,
):  # fmt: skip
    """Put waiting problems into free lanes."""
    for l in range(LANES):
        while place[PROBLEM, l] < 0 and queue[FOLLOWING] < queue[LAST]:
            status = load(
                l, model, settings, lane, place, queue, board, inputs, own, y0s, wide_inputs, params, times, states, atol,
                scratch, work,
            )  # fmt: skip
            if status != RUNNING:
                retire(l, status, lane, place, queue, outcome, reached)


@jit
def give_up(settings, lane, place, queue, outcome, reached):
    """Retire the lanes that cannot take another step."""
    for l in range(LANES):
        if place[PROBLEM, l] >= 0 and lane[STUCK + l] != 0.0:
            status = NOT_FINITE if lane[FAILING + l] > 0.0 else STEP_TOO_SMALL
            if lane[STEPS + l] + lane[REJECTED + l] >= settings[MAX_STEPS]:
                status = TOO_MANY_STEPS
            retire(l, status, lane, place, queue, outcome, reached)


@jit
def emit(lane, place, queue, board, times, states, outcome, reached):
    """Write the states of the lanes that reached a requested time; retire those that reached the last one."""
    n = states.shape[2]
    for l in range(LANES):
        if place[PROBLEM, l] < 0 or lane[ACCEPTED + l] * lane[ENDS + l] == 0.0:
            continue
        problem, following = place[PROBLEM, l], place[NEXT, l]
        for i in range(n):
            states[problem, following, i] = board[Y, i * LANES + l]
        place[NEXT, l] = following + 1
        if following + 1 == times.size:
            retire(l, SUCCESS, lane, place, queue, outcome, reached)
        else:
            lane[GOAL + l] = times[following + 1]


@jit
def attempt(model, settings, lane, place, board, inputs, own, scratch, work):
    """Take one step in all lanes, with its error and the slope at its end."""
    method, rtol = model[2], settings[RTOL]
    last = K12 if method == DOP853 else K6
    if method == DOP853:
        lanes_dop853.step(model, lane, board, place[PROBLEM], inputs, own, work, scratch)
        # Before the slope at the end, whose row the error does not need.
        lanes_dop853.error(lane, board, rtol)
        velocity(model, lane, TARGET, board[NEW], board[last], place[PROBLEM], inputs, own, work, scratch)
    else:
        lanes_tsit5.step(model, lane, board, place[PROBLEM], inputs, own, work, scratch)
        velocity(model, lane, TARGET, board[NEW], board[last], place[PROBLEM], inputs, own, work, scratch)
        lanes_tsit5.error(lane, board, rtol)
    count_calls(method, lane)
    end, bad = board[last], board[FOURTH]
    for m in range(end.size):
        bad[m] = 0.0 * end[m]
    total(bad)
    for l in range(LANES):
        lane[ERROR + l] = np.inf if bad[l] != 0.0 and lane[ERROR + l] <= 1.0 else lane[ERROR + l]


@jit(
    types.int64(
        types.UniTuple(ADDRESS, 3), A1, A1, INTEGERS, QUEUE, A2, A1, A2, A2, A2, A2, A1, A3, INTEGERS, A1, A1, A2, A2, ADDRESS
    )
)
def advance(
    model, settings, lane, place, queue, board, inputs, own, y0s, wide_inputs, params, times, states, outcome, reached, atol,
    scratch, work, budget,
):  # fmt: skip
    """Run at most `budget` steps of all lanes; return SUCCESS when no problem waits and every lane is free.

    It also returns when the queue is empty and may get more.

    Parameters
    ----------
    model : tuple of int
        Addresses of the right-hand sides of one problem and of all lanes (0: there is none), and the method.
    settings, queue : ndarray
        Bounds and tolerances, and which problems wait; see `lanes_layout`.
    lane, place, board, inputs, own, work : ndarray
        State of the lanes between two slices of work; `own`, shape (lanes, m), holds their parameters.
    y0s, wide_inputs, params : ndarray, shapes (problems, n), (problems or 1, inputs), (problems or 1, m)
        Starts, and what the two right-hand sides read.
    times, states : ndarray, shapes (times,), (problems, times, n)
        Requested times, and the place for the states there.
    outcome, reached : ndarray, shapes (problems, OUTCOMES), (problems,)
        How each problem ended, and at which time.
    atol, scratch : ndarray, shapes (n,), (4, n)
    """
    last, before = (K12, K11) if model[2] == DOP853 else (K6, K5)
    set_absolute(board, atol)
    for _ in range(budget):
        if queue[OPEN] == 1 and queue[FOLLOWING] >= queue[LAST]:
            return RUNNING
        if queue[TAKEN] < LANES and queue[FOLLOWING] < queue[LAST]:
            fill(
                model, settings, lane, place, queue, board, inputs, own, y0s, wide_inputs, params, times, states, outcome,
                reached, atol, scratch, work,
            )  # fmt: skip
        if queue[TAKEN] == 0:
            return RUNNING if queue[OPEN] == 1 else SUCCESS
        if choose_steps(lane, settings) > 0.0:
            give_up(settings, lane, place, queue, outcome, reached)
            continue
        attempt(model, settings, lane, place, board, inputs, own, scratch, work)
        judge(model[2], lane)
        leaving = 0.0
        if settings[PATIENCE] >= 0.0:
            look_for_limits(lane, board, before, last, board[FIFTH])
            leaving = count_signs(lane, settings)
        if take(lane, board, last) > 0.0:
            emit(lane, place, queue, board, times, states, outcome, reached)
        if leaving > 0.0:
            for l in range(LANES):
                if place[PROBLEM, l] >= 0 and lane[LEAVES + l] != 0.0:
                    retire(l, STIFF, lane, place, queue, outcome, reached)
    return RUNNING
