"""Step-size control that the explicit and the implicit methods share, and that of explicit steps alone (compiled part).

Errors are measured in the maximum norm, in units of ``atol + rtol |y|``: no component is diluted by the others.
Stiffness is detected after Hairer & Wanner, *Solving Ordinary Differential Equations II*, section IV.2: in 15 explicit steps, with
fewer than 6 others between two of them, stability seems to limit the step.
"""

import numpy as np

from ..compiled.jit import call_rhs, jit
from ..compiled.views import maximum, minimum, where
from .dense import copy, evaluate
from .dop853 import STABLE
from .layout import DENSE_FROM, DENSE_MODE, DENSE_WHILE, END, MAX_STEP, NEXT, H, T

SPACING = 2.220446049250313e-16


@jit
def all_finite(values):
    """Whether all entries are finite."""
    total = 0.0
    for i in range(values.size):
        total += 0.0 * values[i]
    return total == 0.0


@jit
def eighth_root(x):
    """Return x^(1/8): roots have the same bits everywhere, also where they are taken for many problems at once."""
    return np.sqrt(np.sqrt(np.sqrt(x)))


@jit
def scaled(values, y, rtol, atol):
    """Return the largest |values| in units of the tolerance; components without any scale do not count."""
    worst = 0.0
    for i in range(y.size):
        scale = atol[i] + rtol * abs(y[i])
        if scale > 0.0:
            worst = max(worst, abs(values[i]) / scale)
    return worst


@jit
def trial_step(y, slope, span, rtol, atol, point):
    """Return a short first step, and write where it leads to `point`."""
    size, speed = scaled(y, y, rtol, atol), scaled(slope, y, rtol, atol)
    trial = min(0.01 * size / speed, span) if size > 1e-5 and speed > 0.0 else 1e-6 * span
    if not trial > 0.0:
        trial = 1e-6 * span
    for i in range(y.size):
        point[i] = y[i] + trial * slope[i]
    return trial


@jit
def guess_step(trial, y, slope, other, order, span, rtol, atol):
    """Guess the first step from the slope at the end of a trial step, which is overwritten.

    As in Hairer, Norsett & Wanner, section II.4, but the root is taken in units of the time in which the state
    changes by its own size, so that the guess does not depend on the unit of time.
    """
    if not all_finite(other):
        return 1e-3 * trial
    for i in range(y.size):
        other[i] -= slope[i]
    largest = max(100.0 * trial * scaled(slope, y, rtol, atol), 1e4 * trial * scaled(other, y, rtol, atol))
    factor = (0.01 / largest) ** (1.0 / order) if largest > 1e-15 else 1.0
    guess = min(100.0 * trial * min(factor, 1.0), span)
    return guess if guess > 0.0 else 1e-6 * span


@jit
def first_step(rhs, t, y, slope, order, span, rtol, atol, point, other, params, work):
    """Guess the first step; costs one evaluation."""
    trial = trial_step(y, slope, span, rtol, atol, point)
    call_rhs(rhs, t + trial, point, other, params, work)
    return guess_step(trial, y, slope, other, order, span, rtol, atol)


@jit
def target(real, count, times):
    """Return the time that the next step must not pass: the next requested one, or the last if it interpolates."""
    needed = count[DENSE_WHILE] if count[DENSE_MODE] == 1 else count[DENSE_FROM]
    following = count[NEXT]
    count[DENSE_MODE] = 0
    if needed > 0:
        last = following + needed - 1
        if last < times.size and times[last] <= real[T] + min(real[H], real[MAX_STEP]):
            count[DENSE_MODE] = 1
            return real[END]
    return times[following]


@jit
def fit(t, natural, goal):
    """Return a step of at most about `natural` so that no sliver is left before `goal`, and whether it ends there."""
    left = goal - t
    ends = 1.01 * natural >= left
    return where(ends, left, where(2.0 * natural > left, 0.5 * left, natural)), ends


@jit
def between(t, end, h, natural):
    """Return the length of a step from t to `end`, and the natural one: the difference of the times where h is not near it.

    Times far from zero are rounded by a part of the step that adds up; then the step is what the times say.
    """
    exact = end - t
    differs = abs(exact - h) > 1e-11 * h
    return where(differs, exact, h), where(differs, minimum(natural, exact), natural)


@jit
def too_small(t, h):
    """Whether a step no longer moves the time."""
    return (h <= 8.0 * SPACING * abs(t)) | (h < 1e-300)


@jit
def emit(count, times, states, dense, rows, t, h, until):
    """Write the states at the requested times before `until`, inside a step, from the continuous extension."""
    while count[NEXT] < times.size and times[count[NEXT]] < until:
        evaluate(dense, rows, (times[count[NEXT]] - t) / h, states[count[NEXT]])
        count[NEXT] += 1


@jit
def emit_end(count, times, states, t, y):
    """Write the state at the end of a step if it was asked for."""
    if count[NEXT] < times.size and times[count[NEXT]] <= t:
        copy(y, states[count[NEXT]])
        count[NEXT] += 1


#: Order of the explicit method; rows of slopes, of which that at the end of the step is `LAST`; rows of the continuous extension.
ORDER, STAGES, LAST, ROWS = 8.0, 16, 12, 8


@jit
def factors(error):
    """Return by which factor a rejected step shrinks, and by which an accepted one grows."""
    root = eighth_root(error)
    return maximum(1.0 / 3.0, 0.9 / root), 1.0 / minimum(maximum(root / 0.9, 1.0 / 6.0), 3.0)


@jit
def following(h, natural, growth, after_rejection, quickness):
    """Return the natural length of the step after an accepted one; `quickness` is h |J|, 0 if it is not known."""
    longer = h * where(after_rejection, minimum(growth, 1.0), growth)
    # A step cut short by a requested time says little about the natural one.
    longer = where(h < natural, maximum(longer, natural), longer)
    stable = minimum(longer, h * maximum(1.0 / 3.0, STABLE / quickness))
    return where(quickness > 0.0, stable, longer)


@jit
def at_limit(h, K, ynew, point, weights):
    """Whether the step seems to be limited by stability, not by accuracy.

    The last two slopes belong to two states at the same time, so their differences give the Jacobian in one direction:
    h |J| beyond 3.5, or a decay, h Re J below -1.5.  Decaying modes of that speed are gone after 15 steps unless the
    step follows them for its stability only; oscillations are followed with h |J| up to about 3 for their accuracy.
    """
    slopes = distances = product = 0.0 * h
    for i in range(len(ynew)):
        # Components without any tolerance do not count.
        weight = where(weights[i] < np.inf, weights[i], 0.0)
        slope, distance = (K[LAST, i] - K[LAST - 1, i]) * weight, (ynew[i] - point[i]) * weight
        slopes = slopes + slope * slope
        distances = distances + distance * distance
        product = product + slope * distance
    quick = h * np.sqrt(slopes / distances) > 3.5
    decaying = h * product / distances < -1.5
    return (distances > 0.0) & (quick | decaying)
