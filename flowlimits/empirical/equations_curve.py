r"""Curves of steady states over the sample ratio, by pseudo-arclength in the plane of two scaled unknowns.

The sample ratio :math:`\alpha = (\mathrm{risk} + \mathrm{noise}/2)/(2\xi)` is explicit in :math:`(\xi, q)`, so that a curve of steady states is the zero set of one
function F of two variables, eq. (E10), on which several points may have the same sample ratio.

=========  ==========================  =========================================
mode       coordinates                 F
=========  ==========================  =========================================
DECAYING   log xi, log q               1 - J/alpha - decay/q
VANISHING  log xi, q / sqrt(xi)        1 - J/alpha
LOCKED     log xi, q / sqrt(xi)        (trace - trace of the teacher) / sqrt(xi)
=========  ==========================  =========================================

`setting` holds the numbers of one problem, `teacher` the table of its law (see `flowlimits.spectrum.free_convolution`), and `memory` the subordinates of
the last point, from which the next is found; compiled functions write to it and nothing else depends on it.
"""

import math

from ..compiled.jit import jit
from ..spectrum.free_convolution import integrals_below, quantile, subordinate

#: Places in `setting`.
KIND, STUDENT, MEAN, MEAN_SQUARE, LOW, HIGH, NOISE, DECAY = range(8)


@jit
def system(setting, teacher, memory, xi, q):
    """Return width-limited or not, b, and with derivatives by xi and q: response integral J, risk, trace; and the rank N.

    The value is the tuple (limited, b, N, J, J_xi, J_q, risk, risk_xi, risk_q, trace, trace_xi, trace_q, M1, M2).
    """
    kind, kappa = int(setting[KIND]), setting[STUDENT]
    limited = False
    b = q
    w = memory[0]
    if kappa < 1:
        w, b = quantile(kind, teacher, xi, 1 - kappa, setting[LOW], setting[HIGH], memory[1])
        memory[1] = w
        limited = b > q
    if not limited:
        b = q
        w = subordinate(kind, teacher, xi, q, memory[0])
        memory[0] = w
    N_, M1, M2, H0, H1, T, m = integrals_below(kind, teacher, xi, w)
    N = kappa if limited else 1 - N_
    J = 0.5 - H1 + q * H0
    risk = xi + q * q * N + M2 - 4 * xi * (H1 - q * H0)
    if limited:
        h, density = m.real, -m.imag / math.pi
        m3 = (m * m * m).imag
        dH0 = -m3 / (3 * math.pi) - h * h * density
        dH1 = -(b * m3 + T) / (3 * math.pi) - b * h * h * density
        J_xi = dH1 - q * dH0
        risk_xi = -2 * (0.5 - H1) + 4 * J + 4 * xi * J_xi
    else:
        J_xi = -T / (3 * math.pi)
        risk_xi = 2 * (0.5 - H1) + 4 * q * H0 + 4 * xi * J_xi
    J_q = H0
    risk_q = 2 * q * N + 4 * xi * H0
    M1 = setting[MEAN] - M1
    trace = M1 - q * N
    return limited, b, N, J, J_xi, J_q, risk, risk_xi, risk_q, trace, -H0, -N, M1, M2


DECAYING, VANISHING, LOCKED = range(3)
LARGEST_STEP, SMALLEST_STEP = 0.8, 1e-9
FAILED = -1


@jit
def threshold_of(mode, x, y):
    """Return q at a point of the plane."""
    return math.exp(y) if mode == DECAYING else y * math.exp(0.5 * x)


@jit
def evaluate(mode, setting, teacher, memory, x, y):
    """Return the sample ratio and F with their derivatives: alpha, alpha_x, alpha_y, F, F_x, F_y, and J/alpha."""
    xi, q = math.exp(x), threshold_of(mode, x, y)
    found = system(setting, teacher, memory, xi, q)
    J, J_xi, J_q, risk, risk_xi, risk_q, trace, trace_xi, trace_q = found[3:12]
    alpha = (risk + 0.5 * setting[NOISE]) / (2 * xi)
    alpha_x, J_x, trace_x = 0.5 * risk_xi - alpha, xi * J_xi, xi * trace_xi
    if mode == DECAYING:
        q_x, q_y = 0.0, q
    else:
        q_x, q_y = 0.5 * q, math.sqrt(xi)
    alpha_q = risk_q / (2 * xi)
    alpha_x += alpha_q * q_x
    alpha_y = alpha_q * q_y
    J_x += J_q * q_x
    ratio = J / alpha
    if mode == LOCKED:
        root = math.sqrt(xi)
        F = (trace - setting[MEAN]) / root
        return alpha, alpha_x, alpha_y, F, (trace_x + trace_q * q_x) / root - 0.5 * F, trace_q * q_y / root, ratio
    F, F_x, F_y = 1 - ratio, -(J_x - ratio * alpha_x) / alpha, -(J_q * q_y - ratio * alpha_y) / alpha
    if mode == DECAYING:
        F -= setting[DECAY] / q
        F_y += setting[DECAY] / q
    return alpha, alpha_x, alpha_y, F, F_x, F_y, ratio


@jit
def correct(mode, setting, teacher, memory, x, y, tx, ty):
    """Move along the normal of the direction (tx, ty) onto the curve; return converged or not, the point, iterations."""
    x0, y0 = x, y
    for iteration in range(8):
        _, _, _, F, F_x, F_y, _ = evaluate(mode, setting, teacher, memory, x, y)
        G = tx * (x - x0) + ty * (y - y0)
        determinant = F_x * ty - F_y * tx
        dx, dy = -(F * ty - F_y * G) / determinant, -(F_x * G - F * tx) / determinant
        if not abs(dx) + abs(dy) < 2:
            break
        x += dx
        y += dy
        if abs(dx) + abs(dy) < 1e-10:
            return True, x, y, iteration
    return False, x, y, 8


@jit
def direction_at(mode, setting, teacher, memory, x, y, tx, ty):
    """Return the tangent of the curve that agrees with (tx, ty), alpha, its derivative along it, and J/alpha."""
    alpha, alpha_x, alpha_y, _, F_x, F_y, ratio = evaluate(mode, setting, teacher, memory, x, y)
    length = math.hypot(F_x, F_y)
    ux, uy = -F_y / length, F_x / length
    if ux * tx + uy * ty < 0:
        ux, uy = -ux, -uy
    return ux, uy, alpha, alpha_x * ux + alpha_y * uy, ratio


@jit
def fold(mode, setting, teacher, memory, x, y, tx, ty, step, slope):
    """Return the extremum of alpha between two points of a curve: x, y, alpha, J/alpha; alpha is -1 if it is not found."""
    low, high = 0.0, step
    fx, fy, alpha, ratio = x, y, -1.0, 0.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        good, fx, fy, _ = correct(mode, setting, teacher, memory, x + middle * tx, y + middle * ty, tx, ty)
        if not good:
            return fx, fy, -1.0, 0.0
        _, _, alpha, here, ratio = direction_at(mode, setting, teacher, memory, fx, fy, tx, ty)
        if here * slope > 0:
            low = middle
        else:
            high = middle
        if high - low < 1e-7:
            break
    return fx, fy, alpha, ratio


@jit
def follow(mode, setting, teacher, memory, x, y, tx, ty, stop, points):
    """Follow a curve from a point on it in the direction (tx, ty) until alpha < stop; return the number of points.

    Rows of `points` receive x, y, alpha, J/alpha.  Extrema of alpha are points of their own.  VANISHING ends where q
    would become negative, LOCKED where the samples are interpolated.
    """
    tx, ty, alpha, slope, ratio = direction_at(mode, setting, teacher, memory, x, y, tx, ty)
    points[0] = x, y, alpha, ratio
    count, step = 1, 0.05
    while count < points.shape[0] - 2:
        good, nx, ny, iterations = correct(mode, setting, teacher, memory, x + step * tx, y + step * ty, tx, ty)
        if good:
            ux, uy, nalpha, nslope, nratio = direction_at(mode, setting, teacher, memory, nx, ny, tx, ty)
            good = ux * tx + uy * ty > 0.9 and nalpha > 0
        if not good:
            step *= 0.5
            if step < SMALLEST_STEP:
                return FAILED
            continue
        if slope * nslope < 0:
            fx, fy, falpha, fratio = fold(mode, setting, teacher, memory, x, y, tx, ty, step, slope)
            if falpha > 0:
                points[count] = fx, fy, falpha, fratio
                count += 1
        points[count] = nx, ny, nalpha, nratio
        count += 1
        turn = ux * tx + uy * ty
        x, y, tx, ty, slope = nx, ny, ux, uy, nslope
        if nalpha < stop or (mode == VANISHING and y < 0) or (mode == LOCKED and nratio > 1):
            return count
        if iterations <= 3 and turn > 0.97:
            step = min(1.6 * step, LARGEST_STEP)
    return FAILED


@jit
def polish(mode, setting, teacher, memory, x, y, asked):
    """Solve alpha = asked and F = 0 by Newton's method; return converged or not, and the point."""
    last = math.inf
    for _ in range(25):
        alpha, alpha_x, alpha_y, F, F_x, F_y, _ = evaluate(mode, setting, teacher, memory, x, y)
        G, G_x, G_y = math.log(alpha / asked), alpha_x / alpha, alpha_y / alpha
        determinant = G_x * F_y - G_y * F_x
        dx, dy = -(G * F_y - G_y * F) / determinant, -(G_x * F - G * F_x) / determinant
        size = abs(dx) + abs(dy)
        if not size < 3:
            return False, x, y
        x += dx
        y += dy
        if size < 1e-14 * (1 + abs(x) + abs(y)) or (size < 1e-9 and size >= 0.5 * last):
            return True, x, y
        last = size
    return last < 1e-9, x, y


@jit
def crossing(mode, setting, teacher, memory, first, second, asked):
    """Return the point with the asked sample ratio between two neighbouring points of a curve, and found or not."""
    share = math.log(first[2] / asked) / math.log(first[2] / second[2])
    cx, cy = second[0] - first[0], second[1] - first[1]
    length = math.hypot(cx, cy)
    x0, y0 = first[0] + share * cx, first[1] + share * cy
    good, x, y = polish(mode, setting, teacher, memory, x0, y0, asked)
    if good and math.hypot(x - x0, y - y0) <= 0.6 * length + 1e-6:
        return True, x, y
    # Neighbouring solutions attract Newton's method: bisect along the curve first.
    tx, ty = cx / length, cy / length
    low, high = 0.0, 1.0
    falls = first[2] > second[2]
    x, y = x0, y0
    for _ in range(50):
        middle = 0.5 * (low + high)
        good, px, py, _ = correct(
            mode, setting, teacher, memory, first[0] + middle * cx, first[1] + middle * cy, tx, ty
        )
        if not good:
            return False, x, y
        x, y = px, py
        alpha = evaluate(mode, setting, teacher, memory, x, y)[0]
        if (alpha > asked) == falls:
            low = middle
        else:
            high = middle
        if high - low < 1e-12:
            break
    good, px, py = polish(mode, setting, teacher, memory, x, y, asked)
    if good and math.hypot(px - x, py - y) <= 1e-3 * length + 1e-9:
        x, y = px, py
    return True, x, y


@jit
def read(mode, setting, teacher, memory, points, count, asked, found, solutions):
    """For every asked sample ratio write (xi, q) of the first solution along the curve to `found`, and how many there are."""
    for i in range(asked.size):
        for k in range(count - 1):
            a, b = points[k, 2], points[k + 1, 2]
            if (a - asked[i]) * (b - asked[i]) > 0 or b == asked[i] or a == b:
                continue
            if solutions[i] == 0:
                good, x, y = crossing(mode, setting, teacher, memory, points[k], points[k + 1], asked[i])
                if not good:
                    found[i, 0] = math.nan
                else:
                    found[i, 0], found[i, 1] = math.exp(x), threshold_of(mode, x, y)
            solutions[i] += 1
