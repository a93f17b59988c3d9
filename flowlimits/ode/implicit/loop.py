r"""The loop of the implicit methods: Radau IIA of orders 5, 9 and 13, compiled once for all models (compiled part).

Method, error estimate, step size and change of order follow E. Hairer and G. Wanner, *Solving Ordinary Differential
Equations II* (Springer, 1996), section IV.8, and *Stiff differential equations solved by Radau methods*, J. Comput.
Appl. Math. 111 (1999) 93-111.  The error estimate is
:math:`(\lambda_0 - h J)^{-1} h (f(t_0, y_0) - u'(t_0))` with the collocation polynomial u, of order s.
"""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, call_rhs, jit
from ..control import SPACING, all_finite, between, emit, emit_end, fit, target, too_small
from ..dense import copy
from ..layout import (
    AFTER_REJECTION,
    BEGUN,
    CAUTION,
    CURRENT_JACOBIAN,
    DENSE_MODE,
    DISTRUST,
    EVALUATIONS,
    EVENT,
    FACTORED_H,
    FAILURES,
    JACOBIAN_NOT_FINITE,
    JACOBIAN_SINGULAR,
    LAST_H,
    LOG_FULL,
    LOGGED,
    LOWEST,
    MAX_STEP,
    MAX_STEPS,
    MEMORY,
    METHOD,
    NEWTON_FAILED,
    NEXT,
    NONSTIFF,
    NONSTIFF_SIGNS,
    NOT_FINITE,
    NOT_FINITE_RUN,
    PATIENCE,
    PIECES,
    PREVIOUS_ROWS,
    RATE,
    REJECTED,
    RTOL,
    RUNNING,
    SINCE_CHANGE,
    STALE_JACOBIAN,
    STEP_TOO_SMALL,
    STEPS,
    SUCCESS,
    TOO_MANY_STEPS,
    WIDEN,
    H,
    T,
)
from .jacobian import OWN, STRUCTURED, bound, jacobian
from .newton import BROKEN, CONVERGED, EIGENVALUES, iterate, polynomial, prepare
from .radau import (
    COUNT,
    END_SLOPE,
    ERROR,
    EVENTS,
    MATRICES,
    OTHER,
    POINT,
    REAL,
    SLOPE,
    SLOPE_NEW,
    STATE,
    TABLES,
    WORKSPACE,
    YNEW,
    begin,
    call_watch,
    choose_order,
    estimate,
    guess,
    keep_end_slope,
    moved,
    polynomial_error,
)

#: kind, address and rank of the Jacobian, groups of columns, pattern, and the address of `watch`, 0 without events
MODEL = types.Tuple([types.int64, ADDRESS, types.int64, COUNT, types.boolean[:, ::1], ADDRESS])


@jit(types.int64(ADDRESS, MODEL, A1, COUNT, A1, WORKSPACE, MATRICES, TABLES, A1, A2, A1, A1, A1, EVENTS, ADDRESS))
def advance(rhs, model, real, count, y, workspace, matrices, tables, times, states, atol, params, work, events, budget):
    """Run at most `budget` steps; return a status of `layout`.

    Parameters
    ----------
    rhs : int
        Address of the right-hand side.
    model, workspace, matrices, tables, events : tuple
        See `MODEL`, and `WORKSPACE`, `MATRICES`, `TABLES`, `EVENTS` of `radau`.
    real, count : ndarray
        State of the integrator, see `layout`.
    y : ndarray, shape (n,)
        State at `real[T]`, overwritten.
    times, states : ndarray, shapes (times,), (times, n)
        Requested times, increasing, and the place for the states there.
    atol, params, work : ndarray
        Absolute tolerances (n,), parameters and scratch of the right-hand side.
    """
    kind, address, rank, groups, pattern, watch = model
    data = matrices[0]
    vectors, stages, complex_vector, dense = workspace
    Z, F, R = stages[0], stages[1], stages[2]
    addresses, values, logged = events[0], events[2], events[5]
    if count[BEGUN] == 0:
        status = begin(rhs, real, count, y, vectors, times, states, atol, addresses, values[0], params, work)
        if status != RUNNING:
            return status
    rtol = real[RTOL]
    goal = 0.03
    if rtol > 0.0:
        goal = max(goal, 10.0 * SPACING / rtol)
    outcome = np.empty(3)
    slope, ynew, slope_new = vectors[SLOPE], vectors[YNEW], vectors[SLOPE_NEW]
    for _ in range(budget):
        if count[NEXT] >= times.size:
            return SUCCESS
        if count[STEPS] + count[REJECTED] >= count[MAX_STEPS]:
            return TOO_MANY_STEPS
        if count[LOGGED] + PIECES * addresses.size > logged.size:
            return LOG_FULL
        t = real[T]
        natural = min(real[H], real[MAX_STEP])
        end = target(real, count, times)
        h, ends = fit(t, natural, end)
        if (count[AFTER_REJECTION] == 1 and too_small(t, natural)) or count[NOT_FINITE_RUN] > 40:
            if count[NOT_FINITE_RUN] > 0:
                return NOT_FINITE
            return NEWTON_FAILED if count[FAILURES] > 0 else STEP_TOO_SMALL
        tnew = end if ends else t + h
        if not tnew > t:
            return STEP_TOO_SMALL
        h, natural = between(t, tnew, h, natural)
        k = count[METHOD]
        s = 2 * k + 3
        if (kind <= STRUCTURED or kind == OWN) and real[FACTORED_H] != h and count[CURRENT_JACOBIAN] == 0:
            # Where the Jacobian is given it costs little beside the decomposition, which is due anyway.
            count[STALE_JACOBIAN] = 1
        if count[STALE_JACOBIAN] == 1:
            finite = jacobian(
                kind, address, rank, rhs, t, y, slope, h, rtol, atol, groups, pattern, data, vectors[POINT], vectors[OTHER],
                count, params, work,
            )  # fmt: skip
            if not finite:
                return JACOBIAN_NOT_FINITE
            count[STALE_JACOBIAN] = 0
            count[CURRENT_JACOBIAN] = 1
            real[FACTORED_H] = 0.0
        if real[FACTORED_H] != h:
            if not prepare(h, k, tables[1], matrices, count):
                count[FAILURES] += 1
                count[REJECTED] += 1
                count[AFTER_REJECTION] = 1
                real[FACTORED_H] = 0.0
                if count[FAILURES] > 20:
                    return JACOBIAN_SINGULAR
                real[H] = 0.5 * h
                continue
            real[FACTORED_H] = h
        guess(k, tables[0], h, real[LAST_H], count[PREVIOUS_ROWS], dense, y, Z, vectors[POINT])
        outcome[2] = real[RATE]
        ended = iterate(
            rhs, t, h, k, y, tables[0], tables[1], matrices, Z, F, R, vectors[POINT], vectors[REAL],
            complex_vector, rtol, atol, goal, count, outcome, params, work,
        )  # fmt: skip
        iterations = int(outcome[1])
        if ended != CONVERGED:
            count[REJECTED] += 1
            real[RATE] = 1.0
            count[DISTRUST] = 10
            if ended == BROKEN:
                count[AFTER_REJECTION] = 1
                count[NOT_FINITE_RUN] += 1
                count[PREVIOUS_ROWS] = 0
                real[H] = 0.1 * h
            elif count[CURRENT_JACOBIAN] == 1:
                count[AFTER_REJECTION] = 1
                count[FAILURES] += 1
                count[PREVIOUS_ROWS] = 0
                real[H] = 0.5 * h
                if count[FAILURES] >= 3 and k > count[LOWEST]:
                    count[METHOD] = k - 1
                    count[SINCE_CHANGE] = 0
                    real[FACTORED_H] = 0.0
            count[STALE_JACOBIAN] = 1 - count[CURRENT_JACOBIAN]
            continue
        real[RATE] = outcome[2]
        count[FAILURES] = 0
        for m in range(y.size):
            ynew[m] = y[m] + Z[s - 1, m]
        # The estimate measures the polynomial, which is less accurate than the end of the step.
        widen = 1.0 if count[DENSE_MODE] == 1 else real[WIDEN + k]
        error = estimate(
            h, k, tables, y, ynew, Z, slope, matrices, widen, rtol, atol, vectors[ERROR], vectors[OTHER],
            vectors[REAL],
        )  # fmt: skip
        if error >= 1.0 and np.isfinite(error) and (count[AFTER_REJECTION] == 1 or count[PREVIOUS_ROWS] == 0):
            # A second application of the filter removes the stiff part of the estimate (section IV.8).
            for m in range(y.size):
                vectors[POINT, m] = y[m] + vectors[ERROR, m]
            call_rhs(rhs, t, vectors[POINT], vectors[STATE], params, work)
            count[EVALUATIONS] += 1
            error = estimate(
                h, k, tables, y, ynew, Z, vectors[STATE], matrices, widen, rtol, atol, vectors[ERROR],
                vectors[OTHER], vectors[REAL],
            )  # fmt: skip
        if error < 1.0 and count[DENSE_MODE] == 1:
            factor = 1.0 / tables[1][k, EIGENVALUES, 0].real
            error = max(
                error, polynomial_error(h, k, tables[0], y, ynew, Z, vectors[END_SLOPE], factor, rtol, atol)
            )  # fmt: skip
        if error < 1.0:
            call_rhs(rhs, tnew, ynew, slope_new, params, work)
            count[EVALUATIONS] += 1
            if not all_finite(slope_new):
                error = np.inf
        most = 7 + 5 * k
        safety = 0.9 * (2.0 * most + 1.0) / (2.0 * most + iterations)
        exponent = 1.0 / (s + 1.0)
        if not error < 1.0:
            count[REJECTED] += 1
            if np.isfinite(error):
                real[H] = h * max(0.1, safety / error**exponent)
            else:
                count[NOT_FINITE_RUN] += 1
                real[H] = 0.1 * h
            count[AFTER_REJECTION] = 1
            count[STALE_JACOBIAN] = 1 - count[CURRENT_JACOBIAN]
            continue
        count[STEPS] += 1
        count[NOT_FINITE_RUN] = 0
        # Where the step is of its full order, growing by the order of the estimate would overshoot.
        slow = 1.0 / (1.5 * s)
        growth = min(8.0, max(0.2, safety / max(error, 1e-30) ** slow))
        if real[LAST_H] > 0.0 and real[MEMORY] > 0.0:
            predicted = 0.9 * h / real[LAST_H] * (real[MEMORY] / max(error, 1e-30) ** 2) ** slow
            growth = min(growth, max(0.2, predicted))
        if count[AFTER_REJECTION] == 1:
            growth = min(growth, 1.0)
            count[CAUTION] = 4
        elif count[CAUTION] > 0:
            # The estimate oscillates around its limit: do not run into the next rejection.
            growth = min(growth, 1.1)
            count[CAUTION] -= 1
        real[MEMORY] = max(error, 1e-2)
        count[AFTER_REJECTION] = 0
        count[CURRENT_JACOBIAN] = 0
        contraction = outcome[0]
        if iterations > 3:
            # The rate of Newton's iteration grows with the step: keep it below about 0.4.
            growth = min(growth, max(0.5, 0.4 / contraction))
        count[DISTRUST] = max(count[DISTRUST] - 1, 0)
        count[STALE_JACOBIAN] = 1 if contraction > 1e-3 or count[DISTRUST] > 0 else 0
        if count[STALE_JACOBIAN] == 0 and 1.0 <= growth <= 1.2:
            growth = 1.0
        real[H] = h * growth
        if h < natural:
            real[H] = max(real[H], natural)
        if count[PATIENCE] >= 0:
            count[NONSTIFF_SIGNS] = count[NONSTIFF_SIGNS] + 1 if h * bound(kind, rank, y.size, data) < 2.0 else 0
        polynomial(k, tables[0], y, Z, dense)
        keep_end_slope(h, k, tables[0], Z, vectors[END_SLOPE])
        rows = s + 1
        # A state that stands still is a better guess than an extrapolation of noise.
        count[PREVIOUS_ROWS] = rows if moved(y, ynew, rtol, atol) > 1.0 else 0
        real[LAST_H] = h
        if addresses.size > 0 and call_watch(
            watch, rhs, k, t, tnew, h, y, ynew, rows, real, count, times, states, atol, tables, matrices, workspace, events,
            goal, outcome, params, work,
        ) == 1:  # fmt: skip
            return EVENT
        emit(count, times, states, dense, rows, t, h, tnew)
        real[T] = tnew
        copy(ynew, y)
        copy(slope_new, slope)
        emit_end(count, times, states, tnew, y)
        choose_order(real, count, contraction)
        if count[PATIENCE] >= 0 and count[NONSTIFF_SIGNS] >= 20 and count[NEXT] < times.size:
            return NONSTIFF
    return SUCCESS if count[NEXT] >= times.size else RUNNING
