"""Step-size control and velocities of all SIMD lanes at once, in the words of `control` and `dop853` (compiled part).

Free lanes take part with steps of length zero.  The right-hand side is a traced one, or that of one problem, called lane by lane.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ...compiled.jit import call_rhs, caller, jit
from ...compiled.simd import LANES, holds
from ...compiled.simd_arrays import PACKED, STRIDED, numbers_at, tail
from ...compiled.views import minimum, where
from ..control import LAST, at_limit, between, factors, fit, following, too_small
from ..dop853 import velocity
from .layout import (
    ACCEPTED,
    AFTER_REJECTION,
    BUSY,
    CALM,
    ENDS,
    ERROR,
    EVALUATIONS,
    FAILING,
    GOAL,
    LEAVES,
    NATURAL,
    NEW,
    POINT,
    QUICKNESS,
    REJECTED,
    SHIFTED,
    SIGNS,
    STEP,
    STEPS,
    STUCK,
    TARGET,
    WEIGHTS,
    H,
    K,
    T,
    Y,
)


@jit
def choose_steps(lane, longest, most):
    """Choose the next step of every lane; return whether a lane cannot take one."""
    t, goal = lane[T], lane[GOAL]
    natural = minimum(lane[H], longest)
    h, ends = fit(t, natural, goal)
    busy = lane[BUSY] != 0.0
    stuck = (lane[AFTER_REJECTION] != 0.0) & too_small(t, natural)
    target = where(ends, goal, t + h)
    stuck = stuck | ~(target > t)
    h, natural = between(t, target, h, natural)
    stuck = busy & (stuck | (lane[FAILING] > 40.0) | (lane[STEPS] + lane[REJECTED] >= most))
    lane[NATURAL] = natural
    lane[STEP] = where(busy, h, 0.0)
    lane[TARGET] = target
    lane[ENDS] = where(ends & busy, 1.0, 0.0)
    lane[STUCK] = where(stuck, 1.0, 0.0)
    return holds(stuck)


@jit
def judge(lane):
    """Accept or reject the steps, and choose the natural lengths of the next ones; see `explicit_loop.advance`."""
    error, h, natural = lane[ERROR], lane[STEP], lane[NATURAL]
    accepted, finite = error <= 1.0, 0.0 * error == 0.0
    shrink, growth = factors(error)
    longer = following(h, natural, growth, lane[AFTER_REJECTION] != 0.0, lane[QUICKNESS])
    shorter = where(finite, h * shrink, 0.1 * h)
    lane[H] = where(accepted, longer, shorter)
    lane[FAILING] = where(accepted, 0.0, lane[FAILING] + where(finite, 0.0, 1.0))
    lane[AFTER_REJECTION] = where(accepted, 0.0, 1.0)
    lane[STEPS] = lane[STEPS] + where(accepted, 1.0, 0.0)
    lane[REJECTED] = lane[REJECTED] + where(accepted, 0.0, 1.0)
    lane[ACCEPTED] = where(accepted, 1.0, 0.0)


@jit
def count_signs(lane, vectors, end, patience):
    """Count signs of stiffness, see `explicit_loop.is_stiff`; return whether a lane is to leave for the implicit method."""
    h = lane[STEP]
    judged = (lane[ACCEPTED] != 0.0) & (h >= lane[NATURAL]) & ((end - lane[T]) / h > patience)
    if not holds(judged):
        return False
    limited = at_limit(h, tail(vectors, K), vectors[NEW], vectors[POINT], vectors[WEIGHTS])
    signs = where(limited, lane[SIGNS] + 1.0, lane[SIGNS])
    calm = where(limited, 0.0, lane[CALM] + 1.0)
    many = limited & (signs >= 15.0)
    signs = where(many | (calm >= 6.0), 0.0, signs)
    leaves = judged & many
    lane[SIGNS] = where(judged, signs, lane[SIGNS])
    lane[CALM] = where(judged, calm, lane[CALM])
    lane[LEAVES] = where(leaves, 1.0, 0.0)
    return holds(leaves)


@jit
def take(lane, vectors):
    """Move the lanes whose step was accepted to their new time, state and slope; return whether a requested time was reached."""
    y, new, slope, end = vectors[Y], vectors[NEW], vectors[K], vectors[K + LAST]
    accepted = lane[ACCEPTED] != 0.0
    for i in range(len(y)):
        y[i] = where(accepted, new[i], y[i])
        slope[i] = where(accepted, end[i], slope[i])
    lane[T] = where(accepted, lane[TARGET], lane[T])
    return holds(accepted & (lane[ENDS] != 0.0))


@jit
def count_calls(lane):
    """Count evaluations as the loop over one problem does: the slope of the end is looked at only if the error is accepted."""
    lane[EVALUATIONS] = lane[EVALUATIONS] + where(lane[ERROR] <= 1.0, 12.0, 11.0)


#: f(t, y, dy, inputs) is a right-hand side for all lanes at once: ``t[0]`` are the times
LANES_SIGNATURE = types.void(PACKED, STRIDED, STRIDED, PACKED)


#: Calls the traced right-hand side of all lanes by its address.
call_traced = caller(LANES_SIGNATURE)


@velocity.register(tuple)
def _in_lanes(rhs, t, y, dy, params, work):
    call_lanes(rhs, t, y, dy, params, work)


@overload(velocity, inline="always")
def _velocity(rhs, t, y, dy, params, work):
    if isinstance(rhs, types.BaseTuple):
        return lambda rhs, t, y, dy, params, work: call_lanes(rhs, t, y, dy, params, work)
    return None


@jit
def call_lanes(rhs, t, y, dy, params, work):
    """Write the velocities of all lanes: by a right-hand side made for them, or lane by lane.

    Parameters
    ----------
    rhs : tuple of int
        Addresses of the right-hand side of one problem, and of that of all lanes, 0 if there is none.
    t, y, dy : vector, row, row
    params : tuple
        The vectors of `lane`, and what the right-hand side of all lanes reads besides the state.
    work : tuple
        Addresses of the parameters, scratch and of two states of one problem, with the numbers of the first two in a lane.
    """
    lane, inputs = params
    lane[SHIFTED] = t
    if rhs[1] != 0:
        call_traced(rhs[1], tail(lane, SHIFTED), y, dy, inputs)
    else:
        lane_by_lane(rhs[0], lane, y, dy, work)


@jit
def lane_by_lane(rhs, lane, states, velocities, work):
    """Call the right-hand side of one problem for every lane that is taken."""
    n = len(states)
    params, scratch = numbers_at(work[0], LANES, work[1]), numbers_at(work[2], LANES, work[3])
    pair = numbers_at(work[4], 2, n)
    y, dy = pair[0], pair[1]
    for l in range(LANES):
        if lane[BUSY, l] == 0.0:
            continue
        for i in range(n):
            y[i] = states[i, l]
            # What the right-hand side does not write must not be that of another lane.
            dy[i] = np.nan
        call_rhs(rhs, lane[SHIFTED, l], y, dy, params[l], scratch[l])
        for i in range(n):
            velocities[i, l] = dy[i]
            # A right-hand side that changes the state changes it here as it does for one problem.
            states[i, l] = y[i]
