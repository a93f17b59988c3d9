"""Step-size control of all SIMD lanes at once, in the words of `control` and `explicit.step_control` (compiled part).

Free lanes take part with steps of length zero.
"""

from ...compiled.jit import jit
from ...compiled.numbers import minimum, where
from ...compiled.simd import holds
from ...compiled.simd_arrays import tail
from ..control import between, fit, too_small
from ..explicit.step_control import LAST, at_limit, factors, following
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
    """Accept or reject the steps, and choose the natural lengths of the next ones; see `explicit.advance`."""
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
    """Count signs of stiffness, see `explicit.is_stiff`; return whether a lane is to leave for the implicit method."""
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
