"""Decisions about the steps of all lanes at once, in the words of `control` and `explicit` (compiled part).

Without branches, so that they compile to vector instructions; free lanes take part with steps of length zero.
"""

import numpy as np

from .._jit import jit
from .._views import vector
from .control import SPACING
from .explicit import DOP853
from .lanes_layout import (
    ABSOLUTE,
    ACCEPTED,
    AFTER_REJECTION,
    AT_LIMIT,
    BUSY,
    CALM,
    END,
    ENDS,
    ERROR,
    EVALUATIONS,
    FAILING,
    FIRST,
    FOURTH,
    GOAL,
    K0,
    LANES,
    LEAVES,
    MAX_STEP,
    MAX_STEPS,
    MEMORY,
    NATURAL,
    NEW,
    PATIENCE,
    POINT,
    REJECTED,
    SECOND,
    SIGNS,
    STEP,
    STEPS,
    STUCK,
    TARGET,
    THIRD,
    H,
    T,
    Y,
)


@jit
def choose_steps(lane, settings):
    """Choose the next step of every lane, see `control.fit`; return how many lanes cannot take one."""
    longest, most = settings[MAX_STEP], settings[MAX_STEPS]
    for l in range(LANES):
        t, goal = lane[T + l], lane[GOAL + l]
        natural = min(lane[H + l], longest)
        left = goal - t
        busy = lane[BUSY + l] != 0.0
        ends = 1.01 * natural >= left
        h = left if ends else (0.5 * left if 2.0 * natural > left else natural)
        small = natural <= 8.0 * SPACING * abs(t) or natural < 1e-300
        stuck = (lane[AFTER_REJECTION + l] != 0.0 and small) or lane[FAILING + l] > 40.0
        stuck = stuck or lane[STEPS + l] + lane[REJECTED + l] >= most
        lane[NATURAL + l] = natural
        lane[STEP + l] = h if busy else 0.0
        lane[TARGET + l] = goal if ends else t + h
        lane[ENDS + l] = 1.0 if ends and busy else 0.0
        lane[STUCK + l] = 1.0 if stuck and busy else 0.0
    total = 0.0
    for l in range(LANES):
        total += lane[STUCK + l]
    return total


@jit
def largest(row):
    """Write the largest value of every lane to the beginning of a row of the board."""
    rows = row.size // LANES
    while rows > 1:
        half = rows // 2
        upper = vector(row, (rows - half) * LANES, half * LANES)
        for m in range(upper.size):
            row[m] = upper[m] if upper[m] > row[m] else row[m]
        rows -= half


@jit
def total(row):
    """Write the sum of every lane to the beginning of a row of the board."""
    rows = row.size // LANES
    while rows > 1:
        half = rows // 2
        upper = vector(row, (rows - half) * LANES, half * LANES)
        for m in range(upper.size):
            row[m] += upper[m]
        rows -= half


@jit
def look_for_limits(lane, board, before, last, inverse):
    """Note whether stability seems to limit the step of each lane, see `explicit.at_limit`; `inverse` holds 1 / scale."""
    new, point, end, stage = board[NEW], board[POINT], board[last], board[before]
    slopes, distances, products = board[FIRST], board[SECOND], board[THIRD]
    for m in range(new.size):
        # Components without any scale do not count.
        factor = inverse[m] if np.isfinite(inverse[m]) else 0.0
        slope, distance = (end[m] - stage[m]) * factor, (new[m] - point[m]) * factor
        slopes[m] = slope * slope
        distances[m] = distance * distance
        products[m] = slope * distance
    total(slopes)
    total(distances)
    total(products)
    for l in range(LANES):
        quick = lane[STEP + l] * np.sqrt(slopes[l] / distances[l]) > 3.5
        decaying = lane[STEP + l] * products[l] / distances[l] < -1.5
        lane[AT_LIMIT + l] = 1.0 if distances[l] > 0.0 and (quick or decaying) else 0.0


@jit
def judge(method, lane):
    """Accept or reject the steps, and choose the natural lengths of the next ones; see `explicit.advance`."""
    if method == DOP853:
        for l in range(LANES):
            root = np.sqrt(np.sqrt(np.sqrt(lane[ERROR + l])))
            shrink = max(1.0 / 3.0, 0.9 / root)
            growth = 1.0 / min(max(root / 0.9, 1.0 / 6.0), 3.0)
            judge_lane(lane, l, shrink, growth)
    else:
        for l in range(LANES):
            error = lane[ERROR + l]
            shrink = max(0.2, 0.9 / error**0.2)
            slow_down = error ** (0.2 - 0.75 * 0.04) / lane[MEMORY + l] ** 0.04 / 0.9
            growth = 1.0 / min(max(slow_down, 1.0 / 10.0), 1.0 / 0.2)
            judge_lane(lane, l, shrink, growth)


@jit(inline="always")
def judge_lane(lane, l, shrink, growth):
    """Take the decision of one lane; `shrink` and `growth` are the factors of a rejected and of an accepted step."""
    error, h, natural = lane[ERROR + l], lane[STEP + l], lane[NATURAL + l]
    accepted, finite = error <= 1.0, np.isfinite(error)
    careful = min(growth, 1.0) if lane[AFTER_REJECTION + l] != 0.0 else growth
    longer = h * careful
    longer = max(longer, natural) if h < natural else longer
    shorter = h * shrink if finite else 0.1 * h
    lane[H + l] = longer if accepted else shorter
    lane[MEMORY + l] = max(error, 1e-4) if accepted else lane[MEMORY + l]
    lane[FAILING + l] = 0.0 if accepted else lane[FAILING + l] + (0.0 if finite else 1.0)
    lane[AFTER_REJECTION + l] = 0.0 if accepted else 1.0
    lane[STEPS + l] += 1.0 if accepted else 0.0
    lane[REJECTED + l] += 0.0 if accepted else 1.0
    lane[ACCEPTED + l] = 1.0 if accepted else 0.0


@jit
def count_signs(lane, settings):
    """Count signs of stiffness, see `explicit.is_stiff`, and note the lanes that leave for the implicit method; return how many."""
    end, patience = settings[END], settings[PATIENCE]
    for l in range(LANES):
        judged = lane[ACCEPTED + l] != 0.0 and lane[STEP + l] >= lane[NATURAL + l]
        limited = lane[AT_LIMIT + l] != 0.0
        signs = lane[SIGNS + l] + 1.0 if limited else lane[SIGNS + l]
        calm = 0.0 if limited else lane[CALM + l] + 1.0
        many = limited and signs >= 15.0
        signs = 0.0 if many or calm >= 6.0 else signs
        leaves = judged and many and (end - lane[T + l]) / lane[STEP + l] > patience
        lane[SIGNS + l] = signs if judged else lane[SIGNS + l]
        lane[CALM + l] = calm if judged else lane[CALM + l]
        lane[LEAVES + l] = 1.0 if leaves else 0.0
    number = 0.0
    for l in range(LANES):
        number += lane[LEAVES + l]
    return number


@jit
def take(lane, board, last):
    """Move the lanes whose step was accepted to their new time, state and slope; return how many reached a requested time."""
    y, new, slope, end = board[Y], board[NEW], board[K0], board[last]
    accepted = 0.0
    for l in range(LANES):
        accepted += lane[ACCEPTED + l]
    if accepted == LANES:
        for m in range(y.size):
            y[m] = new[m]
            slope[m] = end[m]
    else:
        mask = board[FOURTH]
        for i in range(0, y.size, LANES):
            for l in range(LANES):
                mask[i + l] = lane[ACCEPTED + l]
        for m in range(y.size):
            y[m] = new[m] if mask[m] != 0.0 else y[m]
            slope[m] = end[m] if mask[m] != 0.0 else slope[m]
    reached = 0.0
    for l in range(LANES):
        moved = lane[ACCEPTED + l] != 0.0
        lane[T + l] = lane[TARGET + l] if moved else lane[T + l]
        reached += lane[ENDS + l] * lane[ACCEPTED + l]
    return reached


@jit
def count_calls(method, lane):
    """Count evaluations as the loop over one problem does: order 8 looks at the slope of the end only if the error is accepted."""
    for l in range(LANES):
        rejected = 11.0 if method == DOP853 else 6.0
        lane[EVALUATIONS + l] += rejected + (1.0 if method == DOP853 and lane[ERROR + l] <= 1.0 else 0.0)


@jit
def set_absolute(board, atol):
    """Write the absolute tolerances of all lanes."""
    for i in range(atol.size):
        board[ABSOLUTE, i * LANES : (i + 1) * LANES] = atol[i]
