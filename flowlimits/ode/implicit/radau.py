"""The pieces of a step of the implicit loop: start, first guess, error, order, events (compiled part); see `loop`."""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, FLOAT, call_event, call_rhs, callback, caller, jit
from ..control import all_finite, emit, emit_end, first_step
from ..dense import clear, copy, evaluate, evaluate_all, fill, find, forget_later, suspect
from ..layout import (
    BEGUN,
    END,
    EVALUATIONS,
    FACTORED_H,
    HIGHEST,
    LAST_H,
    LOGGED,
    LOWEST,
    MEMORY,
    METHOD,
    NOT_FINITE,
    PREVIOUS_ROWS,
    RATE,
    RTOL,
    RUNNING,
    SINCE_CHANGE,
    SLOWEST,
    STALE_JACOBIAN,
    H,
    T,
)
from .newton import CONVERGED, EIGENVALUES, INVERSE, NODES, START_SLOPE, iterate, prepare, solve_real

#: Rows of the vectors of the workspace.
SLOPE, YNEW, SLOPE_NEW, POINT, ERROR, OTHER, REAL, STATE, END_SLOPE = range(9)
VECTORS = 9


@jit
def begin(rhs, real, count, y, vectors, times, states, atol, addresses, values, params, work):
    """Evaluate at the start, choose the first step if there is none; return a status."""
    t = real[T]
    fill(vectors[SLOPE], np.nan)
    call_rhs(rhs, t, y, vectors[SLOPE], params, work)
    count[EVALUATIONS] += 1
    if not all_finite(vectors[SLOPE]):
        return NOT_FINITE
    if real[H] <= 0.0:
        order = 2.0 * count[METHOD] + 4.0
        span = real[END] - t
        real[H] = first_step(
            rhs, t, y, vectors[SLOPE], order, span, real[RTOL], atol, vectors[POINT], vectors[OTHER], params, work
        )
        count[EVALUATIONS] += 1
    copy(vectors[SLOPE], vectors[END_SLOPE])
    evaluate_all(addresses, t, y, values, params, work)
    emit_end(count, times, states, t, y)
    count[STALE_JACOBIAN] = 1
    count[PREVIOUS_ROWS] = 0
    count[SINCE_CHANGE] = 0
    real[FACTORED_H] = 0.0
    real[RATE] = 1.0
    real[SLOWEST] = 0.0
    real[LAST_H] = 0.0
    count[BEGUN] = 1
    return RUNNING


@jit
def guess(k, tables, h, last_h, rows, dense, y, Z, point):
    """Start the stages from the extrapolated polynomial of the last step."""
    s = 2 * k + 3
    if rows == 0:
        clear(Z)
        return
    for i in range(s):
        evaluate(dense, rows, 1.0 + tables[k, NODES, i] * h / last_h, point)
        for m in range(y.size):
            Z[i, m] = point[m] - y[m]


@jit
def moved(y, ynew, rtol, atol):
    """Return the largest change of the step in units of the tolerance."""
    worst = 0.0
    for m in range(y.size):
        scale = atol[m] + rtol * abs(y[m])
        if scale > 0.0:
            worst = max(worst, abs(ynew[m] - y[m]) / scale)
        elif ynew[m] != y[m]:
            return np.inf
    return worst


@jit
def largest(vector, y, ynew, rtol, atol):
    """Return the largest entry of `vector` in units of the tolerance, inf if anything is not finite."""
    worst = 0.0
    for m in range(y.size):
        scale = atol[m] + rtol * max(abs(y[m]), abs(ynew[m]))
        if not (np.isfinite(vector[m]) and np.isfinite(scale)):
            return np.inf
        if vector[m] != 0.0:
            worst = max(worst, abs(vector[m]) / scale)
    return worst


@jit
def estimate(h, k, tables, y, ynew, Z, slope, matrices, widen, rtol, atol, vector, other, spare):
    r"""Return the error of the step in units of the tolerance; write its vector of order s to `vector`.

    The vector :math:`e = (\lambda_0 - h J)^{-1} h (f(t_0, y_0) - u'(t_0))` is of order s in all components, but the
    step is of order 2 s - 1 where the problem is not stiff.  So e overestimates the error, except in stiff components.
    The vector :math:`(h J (\lambda_0 - h J)^{-1})^{s-1} e` has both orders.  For y' = z (y - g) + g' with g = t^{s+1}
    the error is at most s times that vector for all real z < 0 and imaginary z, and mostly below twice of it.  The
    error is taken as the larger one of twice that vector and of e / `widen`, which stands for the nonlinear terms.
    """
    s = 2 * k + 3
    real, complex_tables = tables
    for m in range(y.size):
        value = h * slope[m]
        for j in range(s):
            value -= real[k, START_SLOPE, j] * Z[j, m]
        vector[m] = value
    solve_real(h, matrices, vector)
    error = largest(vector, y, ynew, rtol, atol) / widen
    if widen > 1.0 and error < 1.0:
        shift = complex_tables[k, EIGENVALUES, 0].real
        copy(vector, other)
        for _ in range(s - 1):
            copy(other, spare)
            solve_real(h, matrices, spare)
            for m in range(y.size):
                other[m] = shift * spare[m] - other[m]
        error = max(error, 2.0 * largest(other, y, ynew, rtol, atol))
    return error


@jit
def polynomial_error(h, k, tables, y, ynew, Z, end_slope, factor, rtol, atol):
    """Return an estimate of the error of the collocation polynomial inside the step, in units of the tolerance.

    It is the jump of the slope against the polynomial of the last step.  The error estimate of the step is of no use
    here: it is damped in stiff components, in which the polynomial is as inaccurate as in the others.
    """
    s = 2 * k + 3
    worst = 0.0
    for m in range(y.size):
        jump = h * end_slope[m]
        for j in range(s):
            jump -= tables[k, START_SLOPE, j] * Z[j, m]
        if jump != 0.0:
            worst = max(worst, abs(factor * jump) / (atol[m] + rtol * max(abs(y[m]), abs(ynew[m]))))
    return worst if np.isfinite(worst) else np.inf


@jit
def keep_end_slope(h, k, tables, Z, end_slope):
    """Write the slope of the collocation polynomial at the end of the step to `end_slope`."""
    s = 2 * k + 3
    for m in range(end_slope.size):
        value = 0.0
        for j in range(s):
            value += tables[k, INVERSE + s - 1, j] * Z[j, m]
        end_slope[m] = value / h


@jit
def choose_order(real, count, contraction):
    """Lower the order when Newton's iteration is slow, raise it again when it has contracted fast for some steps."""
    count[SINCE_CHANGE] += 1
    k = count[METHOD]
    real[SLOWEST] = max(contraction, 0.5 * real[SLOWEST])
    if count[SINCE_CHANGE] > 10 and real[SLOWEST] <= 0.1:
        k = min(k + 1, count[HIGHEST])
    if real[SLOWEST] >= 0.8:
        k = max(k - 1, count[LOWEST])
    if k != count[METHOD]:
        count[METHOD] = k
        count[SINCE_CHANGE] = 0
        real[FACTORED_H] = 0.0
        real[MEMORY] = 0.0


@jit
def log_events(
    rhs, k, t, h, y, rows, number, real, count, atol, tables, matrices, workspace, events, goal, outcome,
    params, work,
):  # fmt: skip
    """Refine each crossing by real steps up to it, log it; return the row of the earliest terminal one, or -1."""
    addresses, info, found, log, logged = events[0], events[1], events[3], events[4], events[5]
    vectors, stages, complex_vector, dense = workspace
    Z, F, R = stages[0], stages[1], stages[2]
    s = 2 * k + 3
    stop = -1
    for c in range(number):
        theta, e = found[c, 0], int(found[c, 1])
        for i in range(5):
            for j in range(s):
                evaluate(dense, rows, tables[0][k, NODES, j] * theta, vectors[POINT])
                for m in range(y.size):
                    Z[j, m] = vectors[POINT, m] - y[m]
            evaluate(dense, rows, theta, vectors[STATE])
            real[FACTORED_H] = 0.0
            if not prepare(theta * h, k, tables[1], matrices, count):
                break
            if iterate(
                rhs, t, theta * h, k, y, tables[0], tables[1], matrices, Z, F, R, vectors[POINT], vectors[REAL],
                complex_vector, real[RTOL], atol, 0.1 * goal, count, outcome, params, work,
            ) != CONVERGED:  # fmt: skip
                break
            for m in range(y.size):
                vectors[STATE, m] = y[m] + Z[s - 1, m]
            value = call_event(addresses[e], t + theta * h, vectors[STATE], params, work)
            shift = -value / found[c, 2]
            if i == 4 or not abs(shift) < 0.1 or abs(shift) * h <= 1e-16 * abs(t) + 1e-17 * h:
                break
            theta = min(max(theta + shift, 1e-15), 1.0)
        row = count[LOGGED]
        log[row, 0] = t + theta * h
        copy(vectors[STATE], log[row, 1:])
        logged[row] = e
        count[LOGGED] += 1
        if info[e, 0] == 1 and (stop < 0 or log[row, 0] < log[stop, 0]):
            stop = row
    return stop


COUNT = types.int64[::1]
INFO = types.int64[:, ::1]
A3 = types.float64[:, :, ::1]
C1 = types.complex128[::1]
C2 = types.complex128[:, ::1]
C3 = types.complex128[:, :, ::1]
#: numbers of the Jacobian, real and complex factors, pivots, addresses of the functions that decompose and solve
MATRICES = types.Tuple([A1, A1, C2, INFO, COUNT])
#: real and complex coefficients
TABLES = types.Tuple([A3, C3])
#: vectors (9, n), stages (3, 7, n), complex vector, polynomial (8, n)
WORKSPACE = types.Tuple([A2, A3, C1, A2])
#: addresses, info, values, found, log, logged
EVENTS = types.Tuple([COUNT, INFO, A2, A2, A2, COUNT])
WATCH_SIGNATURE = types.int64(
    ADDRESS, types.int64, FLOAT, FLOAT, FLOAT, A1, A1, types.int64, A1, COUNT, A1, A2, A1, TABLES, MATRICES, WORKSPACE,
    EVENTS, FLOAT, A1, A1, A1,
)  # fmt: skip


#: Calls `watch` by its address.
call_watch = caller(WATCH_SIGNATURE)


@callback(WATCH_SIGNATURE)
def watch(
    rhs, k, t, tnew, h, y, ynew, rows, real, count, times, states, atol, tables, matrices, workspace, events, goal, outcome,
    params, work,
):  # fmt: skip
    """Look for events in a step, log them, and move to a terminal one; 1 if there is one, else 0."""
    addresses, info, values, found, log, logged = events
    dense, state = workspace[3], workspace[0][STATE]
    evaluate_all(addresses, tnew, ynew, values[1], params, work)
    if suspect(addresses, info, values[0], values[1], dense, rows, t, h, state, params, work):
        number = find(addresses, info, values[0], values[1], dense, rows, t, h, state, found, params, work)
        first = count[LOGGED]
        stop = log_events(
            rhs, k, t, h, y, rows, number, real, count, atol, tables, matrices, workspace, events, goal, outcome, params,
            work,
        )  # fmt: skip
        if stop >= 0:
            emit(count, times, states, dense, rows, t, h, log[stop, 0])
            forget_later(log, logged, count, first, log[stop, 0])
            real[T] = log[stop, 0]
            copy(log[stop, 1:], y)
            emit_end(count, times, states, real[T], y)
            return 1
    copy(values[1], values[0])
    return 0
