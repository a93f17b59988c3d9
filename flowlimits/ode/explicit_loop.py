"""The loop of the explicit method, compiled once for all models (compiled part); see `dop853`."""

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, call_event, call_rhs, callback, caller, jit
from . import dop853
from .control import (
    LAST,
    ORDER,
    ROWS,
    all_finite,
    at_limit,
    between,
    emit,
    emit_end,
    factors,
    first_step,
    fit,
    following,
    target,
    too_small,
)
from .dense import copy, evaluate_all, fill, find, forget_later, hermite, suspect
from .layout import (
    AFTER_REJECTION,
    BEGUN,
    DENSE_MODE,
    END,
    EVALUATIONS,
    EVENT,
    LOG_FULL,
    LOGGED,
    MAX_STEP,
    MAX_STEPS,
    NEXT,
    NONSTIFF_SIGNS,
    NOT_FINITE,
    NOT_FINITE_RUN,
    PATIENCE,
    PIECES,
    REJECTED,
    RTOL,
    RUNNING,
    STEP_TOO_SMALL,
    STEPS,
    STIFF,
    STIFF_SIGNS,
    SUCCESS,
    TOO_MANY_STEPS,
    H,
    T,
)

COUNT = types.int64[::1]
INFO = types.int64[:, ::1]


@jit
def extend(rhs, t, h, y, K, ynew, point, dense, count, params, work):
    """Build the continuous extension; return its number of rows."""
    dop853.extension(rhs, t, h, y, K, ynew, point, dense, params, work)
    count[EVALUATIONS] += 3
    return ROWS


@jit
def begin(rhs, real, count, y, K, scratch, times, states, atol, addresses, values, params, work):
    """Evaluate at the start, choose the first step; return a status."""
    t = real[T]
    # A right-hand side that forgets a component leaves NaN there, and is found out.
    fill(K[0], np.nan)
    call_rhs(rhs, t, y, K[0], params, work)
    count[EVALUATIONS] += 1
    if not all_finite(K[0]):
        return NOT_FINITE
    if real[H] <= 0.0:
        span = real[END] - t
        real[H] = first_step(rhs, t, y, K[0], ORDER, span, real[RTOL], atol, scratch[0], scratch[1], params, work)
        count[EVALUATIONS] += 1
    evaluate_all(addresses, t, y, values, params, work)
    emit_end(count, times, states, t, y)
    count[BEGUN] = 1
    return RUNNING


@jit
def is_stiff(h, K, ynew, point, weights, count):
    """Count signs of stiffness; whether there are enough to leave for the implicit method."""
    if at_limit(h, K, ynew, point, weights):
        count[NONSTIFF_SIGNS] = 0
        count[STIFF_SIGNS] += 1
        if count[STIFF_SIGNS] >= 15:
            count[STIFF_SIGNS] = 0
            return True
    else:
        count[NONSTIFF_SIGNS] += 1
        if count[NONSTIFF_SIGNS] >= 6:
            count[STIFF_SIGNS] = 0
    return False


@jit
def log_events(rhs, t, h, y, K, scratch, found, number, real, count, addresses, info, log, logged, params, work):
    """Refine each crossing by real steps up to it, log it; return the row of the earliest terminal one, or -1."""
    point, state = scratch[1], scratch[2]
    stop = -1
    for c in range(number):
        theta, e = found[c, 0], int(found[c, 1])
        for i in range(5):
            dop853.stages(rhs, t, theta * h, y, K, point, params, work)
            dop853.end(theta * h, y, K, state)
            count[EVALUATIONS] += 11
            value = call_event(addresses[e], t + theta * h, state, params, work)
            shift = -value / found[c, 2]
            # Beyond the last correction only round-off of the event function is left.
            if i == 4 or not abs(shift) < 0.1 or abs(shift) * h <= 1e-16 * abs(t) + 1e-17 * h:
                break
            theta = min(max(theta + shift, 1e-15), 1.0)
        row = count[LOGGED]
        log[row, 0] = t + theta * h
        copy(state, log[row, 1:])
        logged[row] = e
        count[LOGGED] += 1
        if info[e, 0] == 1 and (stop < 0 or log[row, 0] < log[stop, 0]):
            stop = row
    return stop


WATCH_SIGNATURE = types.int64(
    ADDRESS, FLOAT, FLOAT, FLOAT, A1, A2, A2, A2, types.int64, A1, COUNT, A1, A2, COUNT, INFO, A2, A2, A2, COUNT, A1, A1
)


#: Calls `watch` by its address.
call_watch = caller(WATCH_SIGNATURE)


@callback(WATCH_SIGNATURE)
def watch(
    rhs, t, tnew, h, y, K, scratch, dense, rows, real, count, times, states, addresses, info, values, found, log, logged,
    params, work,
):  # fmt: skip
    """Look for events in a step, log them, and move to a terminal one; return the rows of the extension, -1 after such an event."""
    ynew, point = scratch[0], scratch[2]
    evaluate_all(addresses, tnew, ynew, values[1], params, work)
    if rows == 0:
        hermite(h, y, K[0], ynew, K[LAST], dense)
    if suspect(addresses, info, values[0], values[1], dense, max(rows, 4), t, h, point, params, work):
        if rows == 0:
            rows = extend(rhs, t, h, y, K, ynew, point, dense, count, params, work)
        number = find(addresses, info, values[0], values[1], dense, rows, t, h, point, found, params, work)
        first = count[LOGGED]
        stop = log_events(
            rhs, t, h, y, K, scratch, found, number, real, count, addresses, info, log, logged, params, work
        )
        if stop >= 0:
            emit(count, times, states, dense, rows, t, h, log[stop, 0])
            forget_later(log, logged, count, first, log[stop, 0])
            real[T] = log[stop, 0]
            copy(log[stop, 1:], y)
            emit_end(count, times, states, real[T], y)
            return -1
    copy(values[1], values[0])
    return rows


@jit(
    types.int64(
        ADDRESS, A1, COUNT, A1, A2, A2, A2, A1, A2, A1, A1, A1, COUNT, INFO, A2, A2, A2, COUNT, ADDRESS, ADDRESS
    )
)
def advance(
    rhs, real, count, y, K, scratch, dense, times, states, atol, params, work,
    addresses, info, values, found, log, logged, watch, budget,
):  # fmt: skip
    """Run at most `budget` steps; return a status of `layout`.

    Parameters
    ----------
    rhs : int
        Address of the right-hand side.
    real, count : ndarray
        State of the integrator, see `layout`.
    y : ndarray, shape (n,)
        State at `real[T]`, overwritten.
    K, scratch, dense : ndarray, shapes (stages, n), (4, n), (8, n)
        Slopes, four vectors of scratch, rows of the continuous extension.
    times, states : ndarray, shapes (times,), (times, n)
        Requested times, increasing, and the place for the states there.
    atol, params, work : ndarray
        Absolute tolerances (n,), parameters and scratch of the right-hand side.
    addresses, info, values, found, log, logged : ndarray
        Event functions: addresses (e,), rows (terminal, direction), values before and after the step (2, e),
        crossings of one step (4 e, 3), log of times and states (rows, 1 + n), events logged (rows,).
    watch : int
        Address of `watch`, 0 without events.
    """
    if count[BEGUN] == 0:
        status = begin(rhs, real, count, y, K, scratch, times, states, atol, addresses, values[0], params, work)
        if status != RUNNING:
            return status
    ynew, point, weights = scratch[0], scratch[1], scratch[3]
    for _ in range(budget):
        if count[NEXT] >= times.size:
            return SUCCESS
        if count[STEPS] + count[REJECTED] >= count[MAX_STEPS]:
            return TOO_MANY_STEPS
        if count[LOGGED] + PIECES * addresses.size > logged.size:
            return LOG_FULL
        t = real[T]
        natural = min(real[H], real[MAX_STEP])
        goal = target(real, count, times)
        h, ends = fit(t, natural, goal)
        if (count[AFTER_REJECTION] == 1 and too_small(t, natural)) or count[NOT_FINITE_RUN] > 40:
            return NOT_FINITE if count[NOT_FINITE_RUN] > 0 else STEP_TOO_SMALL
        tnew = goal if ends else t + h
        if not tnew > t:
            return STEP_TOO_SMALL
        h, natural = between(t, tnew, h, natural)
        dop853.stages(rhs, t, h, y, K, point, params, work)
        error = dop853.end_and_error(h, y, K, ynew, real[RTOL], atol, weights)
        count[EVALUATIONS] += 11
        if error <= 1.0:
            call_rhs(rhs, tnew, ynew, K[LAST], params, work)
            count[EVALUATIONS] += 1
            if not all_finite(K[LAST]):
                error = np.inf
        quickness = 0.0 * h
        if error <= 1.0:
            fast, quickness = dop853.fast_motion(h, K, ynew, point, weights)
            error = fast if fast > error else error
        rows = 0
        if error <= 1.0 and count[DENSE_MODE] == 1 and times[count[NEXT]] < tnew:
            rows = extend(rhs, t, h, y, K, ynew, scratch[2], dense, count, params, work)
            accuracy = dop853.extension_error(rhs, t, h, y, K, ynew, scratch[2], dense, real[RTOL], atol, params, work)
            error = max(error, accuracy)
            count[EVALUATIONS] += 1
        shrink, growth = factors(error)
        if not error <= 1.0:
            count[REJECTED] += 1
            count[AFTER_REJECTION] = 1
            if np.isfinite(error):
                real[H] = h * shrink
            else:
                count[NOT_FINITE_RUN] += 1
                real[H] = 0.1 * h
            continue
        real[H] = following(h, natural, growth, count[AFTER_REJECTION] == 1, quickness)
        count[STEPS] += 1
        count[NOT_FINITE_RUN] = 0
        count[AFTER_REJECTION] = 0
        # Where few steps are left, another method is not worth its beginning.
        leave = count[PATIENCE] >= 0 and h >= natural and (real[END] - t) / h > count[PATIENCE]
        leave = leave and is_stiff(h, K, ynew, point, weights, count)

        if addresses.size > 0:
            rows = call_watch(
                watch, rhs, t, tnew, h, y, K, scratch, dense, rows, real, count, times, states, addresses, info, values, found, log,
                logged, params, work,
            )  # fmt: skip
            if rows < 0:
                return EVENT
        if rows > 0:
            emit(count, times, states, dense, rows, t, h, tnew)
        real[T] = tnew
        copy(ynew, y)
        copy(K[LAST], K[0])
        emit_end(count, times, states, tnew, y)
        if leave:
            return STIFF
    return SUCCESS if count[NEXT] >= times.size else RUNNING
