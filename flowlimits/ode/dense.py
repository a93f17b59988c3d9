r"""Continuous extensions in nested form, and zeros of event functions on them (compiled part).

Every method writes its polynomial on a step as rows :math:`r_0, r_1, \dots` of

.. math:: u(\theta) = r_0 + \theta (r_1 + (1 - \theta)(r_2 + \theta (r_3 + (1 - \theta)(r_4 + \dots)))),

so that the first two rows give the chord and the first four the cubic Hermite polynomial (Hairer, Norsett & Wanner,
*Solving Ordinary Differential Equations I*, section II.6).  Arrays are assigned in loops: an assignment of a whole array takes as long to compile as some twenty lines of arithmetic.
"""

import numpy as np

from ..compiled.jit import call_event, jit
from .layout import LOGGED, PIECES


@jit
def copy(source, target):
    """Copy the numbers of one array to another of its length."""
    for i in range(target.size):
        target[i] = source[i]


@jit
def fill(target, number):
    """Write one number everywhere."""
    for i in range(target.size):
        target[i] = number


@jit
def clear(matrix):
    """Write zeros everywhere."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            matrix[i, j] = 0.0


@jit
def evaluate(dense, rows, theta, out):
    """Write the polynomial of the first `rows` rows of `dense`, shape (rows, n), at theta in [0, 1] to `out`."""
    for i in range(out.size):
        value = dense[rows - 1, i]
        for j in range(rows - 2, -1, -1):
            factor = theta if j % 2 == 0 else 1 - theta
            value = dense[j, i] + factor * value
        out[i] = value


@jit
def defect(dense, rows, theta, slope, y, ynew, h, rtol, atol):
    """Return the largest |u' - h f| at theta in units of the tolerance; `slope` holds f there."""
    worst = 0.0
    for i in range(y.size):
        value, derivative = dense[rows - 1, i], 0.0
        for j in range(rows - 2, -1, -1):
            factor, sign = (theta, 1.0) if j % 2 == 0 else (1 - theta, -1.0)
            derivative = sign * value + factor * derivative
            value = dense[j, i] + factor * value
        difference = abs(derivative - h * slope[i])
        if not np.isfinite(difference):
            return np.inf
        if difference > 0.0:
            worst = max(worst, difference / (atol[i] + rtol * max(abs(y[i]), abs(ynew[i]))))
    return worst


@jit
def hermite(h, y, slope, ynew, slope_new, dense):
    """Write the cubic Hermite polynomial of a step to the first four rows of `dense`."""
    for i in range(y.size):
        rise = ynew[i] - y[i]
        dense[0, i] = y[i]
        dense[1, i] = rise
        dense[2, i] = h * slope[i] - rise
        dense[3, i] = 2 * rise - h * (slope_new[i] + slope[i])


@jit
def event_on_polynomial(address, dense, rows, theta, t, h, out, params, work):
    """Return the event function on the continuous extension."""
    evaluate(dense, rows, theta, out)
    return call_event(address, t + theta * h, out, params, work)


@jit
def crosses(before, after, direction):
    """Whether an event function crosses zero, in the wanted direction, in the interval open at its beginning."""
    if before == 0.0 or not (np.isfinite(before) and np.isfinite(after)):
        return False
    if before < 0.0:
        return after >= 0.0 and direction >= 0
    return after <= 0.0 and direction <= 0


@jit
def suspect(addresses, info, values, new_values, dense, rows, t, h, out, params, work):
    """Whether any event seems to cross zero in the step, by a polynomial of `rows` rows at a few points."""
    for e in range(addresses.size):
        before = values[e]
        for j in range(1, PIECES + 1):
            if j < PIECES:
                after = event_on_polynomial(addresses[e], dense, rows, j / PIECES, t, h, out, params, work)
            else:
                after = new_values[e]
            if crosses(before, after, info[e, 1]):
                return True
            before = after
    return False


@jit
def find(addresses, info, values, new_values, dense, rows, t, h, out, found, params, work):
    """Write the crossings on the continuous extension to `found`, rows (theta, event, slope); return their number."""
    count = 0
    for e in range(addresses.size):
        before = values[e]
        for j in range(1, PIECES + 1):
            left, right = (j - 1) / PIECES, j / PIECES
            if j < PIECES:
                after = event_on_polynomial(addresses[e], dense, rows, right, t, h, out, params, work)
            else:
                after = new_values[e]
            if crosses(before, after, info[e, 1]):
                found[count, 0] = root(addresses[e], dense, rows, left, right, before, after, t, h, out, params, work)
                found[count, 1] = e
                found[count, 2] = slope(addresses[e], dense, rows, found[count, 0], t, h, out, params, work)
                count += 1
            before = after
    return count


@jit
def root(address, dense, rows, left, right, at_left, at_right, t, h, out, params, work):
    """Return the root in the bracket by the Illinois variant of false position, with bisection as a guard."""
    for i in range(100):
        if right - left <= 1e-15 or at_right == 0.0:
            break
        theta = (left * at_right - right * at_left) / (at_right - at_left)
        if i % 8 == 7 or not left < theta < right:
            theta = 0.5 * (left + right)
        value = event_on_polynomial(address, dense, rows, theta, t, h, out, params, work)
        if value == 0.0:
            return theta
        if (value < 0.0) == (at_left < 0.0):
            left, at_left = theta, value
            at_right *= 0.5
        else:
            right, at_right = theta, value
            at_left *= 0.5
    return right


@jit
def slope(address, dense, rows, theta, t, h, out, params, work):
    """Return the derivative of the event function with respect to theta."""
    low, high = max(theta - 1e-4, 0.0), min(theta + 1e-4, 1.0)
    upper = event_on_polynomial(address, dense, rows, high, t, h, out, params, work)
    lower = event_on_polynomial(address, dense, rows, low, t, h, out, params, work)
    return (upper - lower) / (high - low)


@jit
def evaluate_all(addresses, t, y, values, params, work):
    """Write the values of all event functions."""
    for e in range(addresses.size):
        values[e] = call_event(addresses[e], t, y, params, work)


@jit
def forget_later(log, logged, count, first, until):
    """Drop the events of the last step after `until`; the terminal event at `until` stays."""
    kept = first
    for row in range(first, count[LOGGED]):
        if log[row, 0] <= until:
            if kept != row:
                copy(log[row], log[kept])
                logged[kept] = logged[row]
            kept += 1
    count[LOGGED] = kept


@jit
def first_intervals(address, direction, start, times, y0s, states, params, work, found):
    """Write to `found` the first requested time at whose interval's ends an event function differs in sign, -1 without one."""
    for p in range(states.shape[0]):
        row = params[min(p, params.shape[0] - 1)]
        work[:] = 0.0
        found[p] = -1
        before = call_event(address, start, y0s[p], row, work)
        for i in range(times.size):
            after = call_event(address, times[i], states[p, i], row, work)
            if crosses(before, after, direction):
                found[p] = i
                break
            before = after
