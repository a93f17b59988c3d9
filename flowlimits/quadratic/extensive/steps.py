"""The steps of the locked flow: Newton's method, error control, output inside the steps."""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, FLOAT, jit
from .collocation import extrapolate, follow, interpolation, lock, prepare, solve_small, unpack
from .subordination import EXPONENT, OVERLAP, PSI, RISK, SIZE, TRACE, VELOCITY, observe, solve_theta

#: Newton's method gives up after so many iterations, and the step is shortened.
ITERATIONS = 12
#: Below this risk (times d) the flow has arrived, and what is exponentially small is returned as zero: with a teacher
#: of full rank the terms of the lock cancel more and more.
FLOOR = 1e-30
#: Growth of an error of the lock into one of the velocity at the ends of a step, in units of the step.
AMPLIFIED = 1000.0
#: Smallest relative residual of the lock that sums of positive terms allow.
ROUND_OFF = 4e-16
#: A step with requested times inside is shortened where the risk falls by more than this factor: interpolation keeps the digits
#: of what is large in the step, and not of what is small.
STEEP = 1e-2
#: Largest error of the multiplier over a step while it runs away.
RUNAWAY = 1e-5
DONE, TOO_MANY_STEPS, STEP_TOO_SMALL = range(3)


@jit
def unit(size, pace, tolerance):
    """Return the size relative to which an error of the velocity counts.

    While the multiplier runs away (size times pace large) an error of the multiplier over the step matters more
    than its size: squared it enters the values inside the step.
    """
    return min(size, max(1 / pace, min(1e-2 * size, RUNAWAY / (tolerance * pace))))


@jit
def excess(error, size, pace, noise, tolerance):
    """Return an error of the velocity beyond its noise, in its unit."""
    return max(abs(error) - 2e-13 * size - noise / pace, 0.0) / unit(size, pace, tolerance)


@jit
def newton(nodes, start, e, psi, h, gammas, speed, rate, scale, tables, tolerance, arrays, theta, sizes, work):
    """Solve the collocation equations of one step.

    Returns the number of evaluations, negative without success, and the relative residual of the lock.
    """
    A, row_sums = tables
    inverses, Q, drift, G, stages, jacobian, residuals, column = arrays
    m = Q.size
    reference = nodes[5]
    accept = max(1e-14, min(1e-12, 1e-2 * tolerance))
    last = False
    for iteration in range(ITERATIONS):
        if not follow(nodes, e, h, rate, speed, Q, A, row_sums, inverses, drift, G, stages):
            return -iteration - 1, np.inf
        worst = 0.0
        for i in range(m):
            for j in range(e.size):
                column[j] = stages[j, i]
            offset = 4 * reference * gammas[i] - 2 * (psi + rate * (gammas[i] - gammas[m]) + drift[i])
            accuracy = 1e-15 if last else 1e-5
            residuals[i], sizes[i], theta[i] = lock(
                nodes,
                inverses,
                i,
                column,
                gammas[i],
                offset,
                start,
                theta[i],
                accuracy,
                h,
                rate,
                speed,
                Q,
                G,
                A,
                jacobian,
                work,
            )
            worst = max(worst, abs(residuals[i]) / sizes[i])
        if not worst < np.inf:
            return -iteration - 1, np.inf
        if last and worst <= accept:
            return iteration + 1, max(worst, ROUND_OFF)
        if not solve_small(jacobian, residuals):
            return -iteration - 1, np.inf
        moved = 0.0
        for k in range(m):
            size = max(scale, abs(rate + Q[k] / speed[k]))
            moved = max(moved, abs(residuals[k]) / (speed[k] * unit(size, h * speed[k], tolerance)))
            Q[k] -= residuals[k]
        if not moved < np.inf:
            return -iteration - 1, np.inf
        last = moved < math.sqrt(1e-3 * tolerance) or worst <= 1e-14
    return -ITERATIONS, np.inf


@jit
def report(nodes, start, e, gamma, psi, theta, row, zeta, work):
    """Write the observables of the state `e`, and zeta if there is room for it; return theta."""
    z, q, low, bounded, delta, reference = nodes
    gaussian, rank, ell, nu = start
    v, eps, s, omega, base = work[0], work[1], work[2], work[3], work[4]
    offset = 4 * reference * gamma - 2 * psi
    unpack(nodes, e, gamma, reference, v, eps, base)
    theta, _r = solve_theta(base, q, low, delta, gaussian, rank, ell, nu, offset, theta, 1e-15, s, omega)
    observe(z, q, bounded, v, eps, s, omega, theta, gaussian, rank, ell, nu, offset, row)
    row[PSI] = psi
    for j in range(zeta.shape[1]):
        zeta[0, j] = s[j] / (4 * v[j])
        zeta[1, j] = v[j]
    return theta


FLAGS = types.boolean[::1]
SIGNATURE = types.UniTuple(types.int64, 4)(
    A1, A1, A1, FLAGS, FLOAT, FLOAT, types.boolean, FLOAT, A1, A1,
    A1, A2, A2, A1, A1, FLOAT, types.int64, FLOAT, FLOAT, A2, types.float64[:, :, ::1],
)  # fmt: skip


@jit(SIGNATURE)
def advance(
    times, z, q, low, delta, reference, gaussian, rank, ell, nu,
    points, A, B, left, barycentric, tolerance, max_steps, rate, size, rows, kept,
):  # fmt: skip
    """Integrate from 0+ over all `times` (on the clock gamma, positive, increasing).

    Parameters
    ----------
    z, q, low, delta, reference
        Teacher nodes and weights, the side of the subordination equation each stands on, and its constants.
    gaussian, rank, ell, nu
        The start, see `subordination`.
    rate, size : float
        Velocity of the multiplier at 0+, and the sum of the absolute values of its terms.
    rows : ndarray, shape (len(times), COLUMNS)
        Filled with the observables.
    kept : ndarray, shape (len(times), 2, n) or (len(times), 2, 0)
        Filled with zeta_j and v_j.

    Returns
    -------
    tuple of int
        Status, accepted steps, rejected steps, evaluations of the lock on all points.
    """
    n, m = z.size, points.size
    # A start proportional to the identity: v_j stands for 1/(4 zeta_j), see `subordination`.
    e = np.full(n, 0.25 if not gaussian and ell.size == 0 else 0.0)
    bounded = np.zeros(n, np.bool_)
    nodes = (z, q, low, bounded, delta, reference)
    start = (gaussian, rank, ell, nu)
    row_sums = np.zeros(m)
    for i in range(m):
        row_sums[i] = B[i].sum()
    inverses = np.empty((n, m, m))
    Q, drift, G = np.zeros(m), np.empty(m), np.empty(m)
    stages, jacobian = np.empty((n, m)), np.empty((m, m))
    residuals, column, work = np.empty(m), np.empty(n), np.empty((7, max(n, m)))
    arrays = (inverses, Q, drift, G, stages, jacobian, residuals, column)
    gammas, speed, theta, sizes = np.empty(m + 1), np.empty(m), np.empty(m), np.empty(m)
    row, nothing, weights = np.empty(rows.shape[1]), np.empty((2, 0)), np.empty(m + 1)
    before_u, before_rate, before_theta = np.empty(3), np.empty(3), np.empty(3)

    for j in range(n):
        if 4 * z[j] * e[j] > 0.5:
            e[j] = 4 * z[j] * e[j] - 1
            bounded[j] = True
    gamma = psi = 0.0
    gamma_0 = 1 / z.max()
    h = 0.15
    velocity = rate
    risk = size
    last_error = np.inf
    amplified = AMPLIFIED
    done = steps = rejected = evaluations = 0
    while done < times.size:
        if risk < FLOOR:
            for k in range(done, times.size):
                rows[k] = 0.0
                rows[k, OVERLAP] = rows[k, TRACE] = 1.0
                rows[k, PSI] = psi
                rows[k, EXPONENT] = np.nan
                for j in range(kept.shape[2]):
                    kept[k, 0, j] = z[j]
                    kept[k, 1, j] = np.nan
            break
        if steps + rejected >= max_steps:
            return TOO_MANY_STEPS, steps, rejected, evaluations
        if h < 1e-10:
            return STEP_TOO_SMALL, steps, rejected, evaluations
        u = math.log1p(gamma / gamma_0)
        gammas[m] = gamma
        for i in range(m):
            gammas[i] = gamma + (gamma + gamma_0) * math.expm1(h * points[i])
            speed[i] = (gamma + gamma_0) * math.exp(h * points[i])
            if steps == 0:
                Q[i] = 0.0
                offset = 4 * reference * gammas[i]
                theta[i] = offset if gaussian else math.log(4 * gammas[i]) - offset
            else:
                Q[i] = speed[i] * (extrapolate(before_u, before_rate, u + h * points[i]) - rate)
                theta[i] = extrapolate(before_u, before_theta, u + h * points[i])
        found, noise = -1, 0.0
        if prepare(z, rate, h, speed, B, inverses, jacobian):
            found, noise = newton(
                nodes, start, e, psi, h, gammas, speed, rate, size, (A, row_sums), tolerance, arrays, theta, sizes, work
            )
        evaluations += abs(found)
        if found < 0:
            rejected += 1
            h *= 0.4
            continue
        for j in range(n):
            column[j] = stages[j, m - 1]
        end = psi + rate * (gammas[m - 1] - gamma) + drift[m - 1]
        theta[m - 1] = report(nodes, start, column, gammas[m - 1], end, theta[m - 1], row, nothing, work)

        at_left = rate
        for k in range(m):
            at_left += left[k] * Q[k] / (gamma + gamma_0)
        new_rate = rate + Q[m - 1] / speed[m - 1]
        # Where everything is learnt the velocity is far smaller than the terms of the lock: their round-off is its noise.
        noise *= amplified * max(sizes[0], sizes[m - 1])
        error = max(
            excess(at_left - velocity, size, h * (gamma + gamma_0), noise, tolerance),
            excess(new_rate - row[VELOCITY], row[SIZE], h * speed[m - 1], noise, tolerance),
        )
        factor = 0.85 * (tolerance / max(error, 1e-30)) ** (1 / m)
        if not error <= tolerance:
            rejected += 1
            # What a shorter step does not reduce is noise.
            if error > 0.5 * last_error:
                amplified = min(10 * amplified, 1e6)
            last_error = error
            h *= max(0.2, min(0.9, factor)) if error < np.inf else 0.2
            continue

        inside = times[done] < gammas[m - 1] * (1 - 1e-12)
        # One where the risk falls by no more, and some room for growth.
        gentle = math.log(STEEP) / math.log(max(row[RISK], 1e-300) / risk) if row[RISK] < 0.5 * risk else 4.0
        if inside and gentle < 0.95 and h * gentle > 1e-6:
            rejected += 1
            h *= 0.9 * gentle
            continue

        while done < times.size and times[done] <= gammas[m - 1] * (1 + 1e-15):
            at = math.log1p((times[done] - gamma) / (gamma + gamma_0)) / h
            interpolation(at, points, barycentric, weights)
            moved = 0.0
            for k in range(m):
                moved += weights[k + 1] * drift[k]
            for j in range(n):
                total = weights[0] * e[j]
                for k in range(m):
                    total += weights[k + 1] * stages[j, k]
                column[j] = total
            near = 0
            while near < m - 1 and points[near] < at:
                near += 1
            report(
                nodes, start, column, times[done], psi + rate * (times[done] - gamma) + moved,
                theta[near], rows[done], kept[done], work,
            )  # fmt: skip
            done += 1

        for k in range(3):
            i = m - 3 + k
            before_u[k] = u + h * points[i]
            before_rate[k] = rate + Q[i] / speed[i]
            before_theta[k] = theta[i]
        for j in range(n):
            e[j] = stages[j, m - 1]
            if not bounded[j] and 4 * z[j] * e[j] > 0.5:
                e[j] = 4 * z[j] * e[j] - 1
                bounded[j] = True
        gamma, psi = gammas[m - 1], end
        rate, velocity, size, risk = new_rate, row[VELOCITY], row[SIZE], row[RISK]
        steps += 1
        last_error = np.inf
        amplified = AMPLIFIED
        h = min(h * min(4.0, max(0.5, factor), gentle if inside else 4.0), 6.0)
    return DONE, steps, rejected, evaluations
