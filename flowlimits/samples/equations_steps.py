r"""The stepping of a flow whose velocity jumps at kinks, with an error that is bounded, counted and never a reason to crawl.

At each kink :math:`w_j\cdot x_i = 0` the velocity of a ReLU unit jumps by :math:`O(1/n)`, and units that slide along a kink cross it at
every step.  A step of length h over a kink has an error of the order of h times the jump, at every order of the method, eq. (S8): error control
alone drives the step to (tolerance / jump) for as long as a unit slides.  Here a step of the length `shortest` is taken even where the
tolerance asks for less.  A sliding unit then stays within `shortest` times its velocity of the kink (it is pushed back at the next
step), so that the error is of first order in `shortest` and does not accumulate across the slide.

Steps are those of the explicit pair of order 5(4) of Tsitouras.  Errors are measured per unit, :math:`z_j = (w_j, a_j)`, against
:math:`\sqrt{|z_j|\max_k|z_k|}`: units that are small now, and may grow later, keep an accuracy of their own.

Coefficients of Ch. Tsitouras, *Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
assumption*, Computers and Mathematics with Applications 62 (2011) 770-775.  Row ``K[j]`` holds the slope of stage j,
``K[6]`` the slope at the end of the step.
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, call_rhs, jit

NODES = (0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0)
ROW_2 = (-0.008480655492356989, 0.335480655492357)
ROW_3 = (2.8971530571054935, -6.359448489975075, 4.3622954328695815)
ROW_4 = (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525)
ROW_5 = (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383)
END = (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774)
# fmt: off
ERROR = (
    -0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995, -0.1447110071732629,
    0.5823571654525552, -0.45808210592918697, 0.015151515151515152,
)
# fmt: on


@jit
def pair_step(rhs, t, h, y, K, ynew, point, params, work):
    """Write the state after a step of length h to `ynew`; `K[0]` must hold the slope at (t, y).

    `point` is left at the last stage, whose distance from `ynew` measures stiffness.
    """
    n = y.size
    for i in range(n):
        point[i] = y[i] + h * NODES[1] * K[0, i]
    call_rhs(rhs, t + NODES[1] * h, point, K[1], params, work)
    for i in range(n):
        point[i] = y[i] + h * (ROW_2[0] * K[0, i] + ROW_2[1] * K[1, i])
    call_rhs(rhs, t + NODES[2] * h, point, K[2], params, work)
    for i in range(n):
        point[i] = y[i] + h * (ROW_3[0] * K[0, i] + ROW_3[1] * K[1, i] + ROW_3[2] * K[2, i])
    call_rhs(rhs, t + NODES[3] * h, point, K[3], params, work)
    for i in range(n):
        point[i] = y[i] + h * (ROW_4[0] * K[0, i] + ROW_4[1] * K[1, i] + ROW_4[2] * K[2, i] + ROW_4[3] * K[3, i])
    call_rhs(rhs, t + NODES[4] * h, point, K[4], params, work)
    for i in range(n):
        slope = ROW_5[0] * K[0, i] + ROW_5[1] * K[1, i] + ROW_5[2] * K[2, i] + ROW_5[3] * K[3, i] + ROW_5[4] * K[4, i]
        point[i] = y[i] + h * slope
    call_rhs(rhs, t + h, point, K[5], params, work)
    for i in range(n):
        slope = END[0] * K[0, i] + END[1] * K[1, i] + END[2] * K[2, i]
        slope = slope + END[3] * K[3, i] + END[4] * K[4, i] + END[5] * K[5, i]
        ynew[i] = y[i] + h * slope


#: Places in the records of a run.
T, H, RTOL, ATOL, SHORTEST, FORCED_ERROR = range(6)
NEXT, STEPS, REJECTED, FORCED, EVALUATIONS, MAX_STEPS = range(6)
#: What a slice of the loop returns.
RUNNING, DONE, NOT_FINITE, TOO_MANY_STEPS, STEP_TOO_SMALL = range(5)
#: A step is taken for its length alone only while its error is below this share of a unit: larger ones are no kinks.
LARGEST_FORCED = 0.05
#: Largest product of step and rate; the method is stable up to 3.5.
STABLE = 2.0


@jit
def unit_error(h, y, K, d, m, rtol, atol):
    """Return the root-mean-square error of the units in units of the tolerance, and that of the worst unit."""
    largest = 0.0
    for j in range(m):
        size = y[d * m + j] ** 2
        for c in range(d):
            size += y[c * m + j] ** 2
        largest = max(largest, size)
    largest = math.sqrt(largest)
    total, worst = 0.0, 0.0
    for j in range(m):
        size, defects = 0.0, 0.0
        for c in range(d + 1):
            i = c * m + j
            defect = ERROR[0] * K[0, i] + ERROR[1] * K[1, i] + ERROR[2] * K[2, i] + ERROR[3] * K[3, i]
            defect += ERROR[4] * K[4, i] + ERROR[5] * K[5, i] + ERROR[6] * K[6, i]
            size += y[i] * y[i]
            defects += defect * defect
        scale = atol + rtol * math.sqrt(math.sqrt(size) * largest)
        if not math.isfinite(defects):
            return math.inf, math.inf
        if defects > 0.0:
            share = h * h * defects / (scale * scale) if scale > 0.0 else math.inf
            total += share
            worst = max(worst, share)
    return math.sqrt(total / m), math.sqrt(worst)


@jit
def stiffness(K, ynew, point):
    """Return the rate at which the flow contracts or turns, seen in the last two slopes: both belong to the end of the step."""
    slopes = distances = 0.0
    for i in range(ynew.size):
        slopes += (K[6, i] - K[5, i]) ** 2
        distances += (ynew[i] - point[i]) ** 2
    return math.sqrt(slopes / distances) if distances > 0.0 else 0.0


@jit((ADDRESS, A1, types.int64[::1], A1, A1, A2, ADDRESS, ADDRESS, A2, A1, A1, A1, A1, A1, ADDRESS))
def walk(rhs, real, count, y, times, states, d, m, K, ynew, point, rates, params, work, budget):
    """Advance by at most `budget` steps and write the states at the requested times; returns a status.

    Parameters
    ----------
    rhs : int
        Address of the right-hand side.
    real, count : ndarray, shapes (6,), (6,)
        Records, by the names above; a run goes on from what they hold.  `H` <= 0 begins a run.
    y : ndarray, shape ((d + 1) m,)
        State, overwritten.
    times, states : ndarray, shapes (N,), (N, (d + 1) m)
    rates : ndarray, shape (8,)
        The latest rates of `stiffness`.  Without their bound the step grows to the limit of stability, where the state
        trembles by the tolerance for ever; the smallest of several is taken, because each kink between the slopes raises one.
    K, ynew, point : ndarray, shapes (7, (d + 1) m), ((d + 1) m,), ((d + 1) m,)
        Work space; `K[0]` carries the velocity from call to call.
    """
    if real[H] <= 0.0:
        call_rhs(rhs, real[T], y, K[0], params, work)
        count[EVALUATIONS] += 1
        real[H] = real[SHORTEST]
        if not math.isfinite(np.sum(K[0])):
            return NOT_FINITE
    for _ in range(budget):
        while count[NEXT] < times.size and times[count[NEXT]] <= real[T]:
            states[count[NEXT]] = y
            count[NEXT] += 1
        if count[NEXT] == times.size:
            return DONE
        if count[STEPS] + count[REJECTED] >= count[MAX_STEPS]:
            return TOO_MANY_STEPS
        left = times[count[NEXT]] - real[T]
        # A step that would leave a sliver before the requested time is shared out evenly.
        h = left if real[H] >= left else (0.5 * left if real[H] > 0.5 * left else real[H])
        pair_step(rhs, real[T], h, y, K, ynew, point, params, work)
        call_rhs(rhs, real[T] + h, ynew, K[6], params, work)
        count[EVALUATIONS] += 6
        error, worst = unit_error(h, y, K, d, m, real[RTOL], real[ATOL])
        forced = error > 1.0 and h <= real[SHORTEST] * (1.0 + 1e-9) and worst * real[RTOL] <= LARGEST_FORCED
        if error <= 1.0 or forced:
            count[STEPS] += 1
            if forced:
                count[FORCED] += 1
                real[FORCED_ERROR] += error * real[RTOL]
            real[T] = times[count[NEXT]] if h == left else real[T] + h
            y[:] = ynew
            K[0] = K[6]
            growth = 0.9 * max(error, 1e-6) ** -0.2
            wanted = h * min(3.0, max(1.0 if forced else 0.5, growth))
            rates[count[STEPS] % rates.size] = stiffness(K, ynew, point)
            slowest = np.min(rates)
            if slowest > 0.0:
                wanted = min(wanted, max(STABLE / slowest, real[SHORTEST]))
            # A step cut short at a requested time says nothing against the length that was planned.
            real[H] = max(wanted, real[H]) if h < real[H] and error <= 1.0 else wanted
        else:
            count[REJECTED] += 1
            if h <= 1e-14 * max(1.0, real[T]):
                return NOT_FINITE if not math.isfinite(error) else STEP_TOO_SMALL
            # Over a kink the error is of first order in h.
            shrunk = h * max(0.2, 0.9 / error) if math.isfinite(error) else 0.1 * h
            real[H] = max(shrunk, real[SHORTEST]) if h > real[SHORTEST] * (1.0 + 1e-9) else shrunk
    return RUNNING
