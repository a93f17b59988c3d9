r"""Steady states at given sample ratios, and what is observed there, eqs. (E3)-(E14): the functions that Python calls."""

import math

import numba
import numpy as np

from ..compiled.jit import jit
from .equations_curve import (
    DECAY,
    DECAYING,
    FAILED,
    LOCKED,
    MEAN_SQUARE,
    NOISE,
    VANISHING,
    direction_at,
    evaluate,
    follow,
    polish,
    read,
    system,
)

MOST_POINTS = 6000
#: Columns of what `observe` writes.
OBSERVED = (
    "risk", "train_risk", "in_sample_risk", "overlap", "misalignment", "trace", "rank", "response", "effective_noise",
    "threshold", "limited", "edge", "second_moment",
)  # fmt: skip

_A1, _A2, _I1, _F, _I = numba.float64[::1], numba.float64[:, ::1], numba.int64[::1], numba.float64, numba.int64


@jit
def _curve(mode, setting, teacher, memory, x, y, asked, found, solutions):
    tx, ty, _, slope, _ = direction_at(mode, setting, teacher, memory, x, y, 1.0, 0.0)
    if slope > 0:
        tx, ty = -tx, -ty
    points = np.empty((MOST_POINTS, 4))
    count = follow(mode, setting, teacher, memory, x, y, tx, ty, 0.1 * asked.min(), points)
    if count > 0:
        read(mode, setting, teacher, memory, points, count, asked, found, solutions)
    return count


@jit(_I(_A1, _A2, _F, _F, _A1, _A2, _I1))
def steady_decaying(setting, teacher, plateau, start, asked, found, solutions):
    """Write (xi, q) at every asked sample ratio, and the number of solutions; return the points of the curve, or -1.

    `plateau` is the risk on infinitely many samples, and `start` a large sample ratio at which the curve begins.
    """
    memory = np.zeros(2, dtype=np.complex128)
    decay, half_noise = setting[DECAY], 0.5 * setting[NOISE]
    xi, q = (plateau + half_noise) / (2 * start), decay
    for _ in range(200):
        state = system(setting, teacher, memory, xi, q)
        new_xi, new_q = (state[6] + half_noise) / (2 * start), decay / (1 - state[3] / start)
        change = abs(new_xi / xi - 1) + abs(new_q / q - 1)
        xi, q = new_xi, new_q
        if change < 1e-6:
            break
    good, x, y = polish(DECAYING, setting, teacher, memory, math.log(xi), math.log(q), start)
    if not good:
        return FAILED
    return _curve(DECAYING, setting, teacher, memory, x, y, asked, found, solutions)


@jit
def _below(setting, teacher, memory, x, y, first, asked, found, solutions):
    """Go on below the interpolation threshold, in the direction of positive q."""
    tx, ty, _, _, _ = direction_at(VANISHING, setting, teacher, memory, x, y, 0.0, 1.0)
    if y > 0:
        # The curve begins at xi = 0.
        tx, ty, _, _, _ = direction_at(VANISHING, setting, teacher, memory, x, y, 1.0, 0.0)
    points = np.empty((MOST_POINTS, 4))
    count = follow(VANISHING, setting, teacher, memory, x, y, tx, ty, min(0.1 * asked.min(), 0.5 * first), points)
    if count > 0:
        read(VANISHING, setting, teacher, memory, points, count, asked, found, solutions)
        for i in range(asked.size):
            # Between the first point and the threshold that it stands for.
            if solutions[i] == 0 and asked[i] >= first:
                found[i, 0], found[i, 1], solutions[i] = math.exp(x), y * math.exp(0.5 * x), 1
    return count


@jit
def _interpolate(setting, teacher, memory, low, high):
    """Return log xi where J = alpha on the line q = 0."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        if evaluate(VANISHING, setting, teacher, memory, middle, 0.0)[3] > 0:
            low = middle
        else:
            high = middle
        if high - low < 1e-15 * abs(high) + 1e-16:
            break
    return 0.5 * (low + high)


@jit
def _noise_root(setting, teacher, memory, low, high, asked):
    """Return log xi at the asked sample ratio on the line q = 0, by Newton's method in a bracket."""
    falls = evaluate(VANISHING, setting, teacher, memory, low, 0.0)[0] > asked
    x = 0.5 * (low + high)
    for _ in range(80):
        alpha, alpha_x, _, _, _, _, _ = evaluate(VANISHING, setting, teacher, memory, x, 0.0)
        if (alpha > asked) == falls:
            low = x
        else:
            high = x
        new = x - (alpha - asked) / alpha_x
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) < 2e-16 * (1 + abs(x)):
            return new
        x = new
    return x


@jit(_I(_A1, _A2, _F, _F, _F, _A1, _A2, _I1, _A1))
def steady_vanishing(setting, teacher, plateau, start, recovery, asked, found, solutions, interpolation):
    """Write (xi, q) in the limit of small decay; `interpolation` receives the threshold, xi and risk there.

    Sample ratios above the interpolation threshold have q = 0, and only the noise equation is left.  Without noise, and with a
    student as wide as the teacher, `plateau` and noise are zero: then the curve begins where xi vanishes, at the sample ratio
    `recovery`, above which the teacher is found.
    """
    memory = np.zeros(2, dtype=np.complex128)
    half_noise = 0.5 * setting[NOISE]
    if plateau + half_noise == 0:
        x = math.log(1e-11)
        low, high = 0.0, 4.0
        for _ in range(200):
            y = 0.5 * (low + high)
            if evaluate(VANISHING, setting, teacher, memory, x, y)[3] > 0:
                high = y
            else:
                low = y
            if high - low < 1e-15:
                break
        interpolation[:] = math.nan
        for i in range(asked.size):
            if asked[i] >= recovery:
                found[i, 0], found[i, 1], solutions[i] = 0.0, 0.0, 1
        first = evaluate(VANISHING, setting, teacher, memory, x, y)[0]
        return _below(setting, teacher, memory, x, y, first, asked, found, solutions)
    x = math.log((plateau + half_noise) / (2 * start))
    step, count = 0.1, 0
    alpha = evaluate(VANISHING, setting, teacher, memory, x, 0.0)[0]
    while count < 4000:
        new_x = x + step
        new_alpha, _, _, new_gap, _, _, _ = evaluate(VANISHING, setting, teacher, memory, new_x, 0.0)
        if new_gap <= 0:
            new_x = _interpolate(setting, teacher, memory, x, new_x)
            new_alpha = evaluate(VANISHING, setting, teacher, memory, new_x, 0.0)[0]
        for i in range(asked.size):
            if (alpha - asked[i]) * (new_alpha - asked[i]) <= 0 and new_alpha != asked[i] and alpha != new_alpha:
                if solutions[i] == 0:
                    found[i, 0], found[i, 1] = math.exp(_noise_root(setting, teacher, memory, x, new_x, asked[i])), 0.0
                solutions[i] += 1
        x, alpha, count = new_x, new_alpha, count + 1
        if new_gap <= 0:
            interpolation[0], interpolation[1], interpolation[2] = (
                alpha,
                math.exp(x),
                2 * alpha * math.exp(x) - half_noise,
            )
            return _below(setting, teacher, memory, x, 0.0, alpha, asked, found, solutions)
    return FAILED


@jit
def _locked_end(setting, teacher, memory, points, count, end):
    """Find J = alpha between the last two points of the curve of the square activation."""
    a, b = points[count - 2], points[count - 1]
    cx, cy = b[0] - a[0], b[1] - a[1]
    low, high = 0.0, 1.0
    x, y, alpha = b[0], b[1], b[2]
    for _ in range(60):
        middle = 0.5 * (low + high)
        x, y = a[0] + middle * cx, a[1] + middle * cy
        for _ in range(20):
            # The trace falls in q, so that its root at this xi is found by Newton's method.
            _, _, _, F, F_x, F_y, _ = evaluate(LOCKED, setting, teacher, memory, x, y)
            norm = F_x * cy - F_y * cx
            dx, dy = -F * cy / norm, F * cx / norm
            x += dx
            y += dy
            if abs(dx) + abs(dy) < 1e-15 * (1 + abs(y)):
                break
        alpha, _, _, _, _, _, ratio = evaluate(LOCKED, setting, teacher, memory, x, y)
        if ratio < 1:
            low = middle
        else:
            high = middle
        if high - low < 1e-15:
            break
    end[0], end[1], end[2] = alpha, math.exp(x), y * math.exp(0.5 * x)


@jit(_I(_A1, _A2, _F, _F, _A1, _A2, _I1, _A1))
def steady_locked(setting, teacher, plateau, start, asked, found, solutions, end):
    """Write (xi, q) of the square activation, whose trace is that of the teacher; `end` receives where samples are interpolated.

    `end` holds the sample ratio, xi and q of the threshold below which nothing is found.
    """
    memory = np.zeros(2, dtype=np.complex128)
    half_noise = 0.5 * setting[NOISE]
    x, y = math.log((plateau + half_noise) / (2 * start)), 0.0
    for _ in range(200):
        low, high = -1.0, 1.0
        while evaluate(LOCKED, setting, teacher, memory, x, low)[3] < 0 and low > -1e12:
            low *= 4
        while evaluate(LOCKED, setting, teacher, memory, x, high)[3] > 0 and high < 1e12:
            high *= 4
        for _ in range(100):
            y = 0.5 * (low + high)
            if evaluate(LOCKED, setting, teacher, memory, x, y)[3] > 0:
                low = y
            else:
                high = y
            if high - low < 1e-14 * (1 + abs(y)):
                break
        alpha = evaluate(LOCKED, setting, teacher, memory, x, y)[0]
        x += math.log(alpha / start)
        if abs(alpha / start - 1) < 1e-4:
            break
    good, x, y = polish(LOCKED, setting, teacher, memory, x, y, start)
    if not good:
        return FAILED
    tx, ty, _, slope, _ = direction_at(LOCKED, setting, teacher, memory, x, y, 1.0, 0.0)
    if slope > 0:
        tx, ty = -tx, -ty
    points = np.empty((MOST_POINTS, 4))
    count = follow(LOCKED, setting, teacher, memory, x, y, tx, ty, 1e-6, points)
    if count < 2:
        return FAILED
    _locked_end(setting, teacher, memory, points, count, end)
    points[count - 1, 0], points[count - 1, 1], points[count - 1, 2] = (
        math.log(end[1]),
        end[2] / math.sqrt(end[1]),
        end[0],
    )
    read(LOCKED, setting, teacher, memory, points, count, asked, found, solutions)
    return count


@jit(numba.void(_I, _A1, _A2, _A1, _A2, _A2))
def observe(mode, setting, teacher, asked, found, out):
    """Write the observables of `OBSERVED` at every (xi, q); xi = 0 means that the teacher is found."""
    memory = np.zeros(2, dtype=np.complex128)
    noise, mean_square = setting[NOISE], setting[MEAN_SQUARE]
    for i in range(asked.size):
        xi, q, a = found[i, 0], found[i, 1], asked[i]
        if not xi > 0:
            out[i] = math.nan
            continue
        limited, b, N, J, _, _, _, _, _, trace, _, _, M1, M2 = system(setting, teacher, memory, xi, q)
        r = setting[DECAY] / q if mode == DECAYING else (0.0 if mode == VANISHING and q > 0 else 1 - J / a)
        risk = 2 * a * xi - 0.5 * noise
        excess = xi - M2 - 2 * q * M1 + q * q * N
        second = mean_square + excess
        root = math.sqrt(max(second, 0.0) * mean_square)
        cross = 0.5 * (second + mean_square - risk)
        overlap = cross / root if root > 0 else math.nan
        difference = excess / (math.sqrt(max(second, 0.0)) + math.sqrt(mean_square))
        out[i, 0], out[i, 1], out[i, 2] = risk, 2 * r * r * a * xi, 2 * (r * r * a * xi + 0.25 * noise * (1 - 2 * r))
        out[i, 3], out[i, 4] = overlap, (risk - difference**2) / (2 * root) if root > 0 else math.nan
        out[i, 5], out[i, 6], out[i, 7], out[i, 8], out[i, 9] = trace, N, r, xi, q
        out[i, 10], out[i, 11], out[i, 12] = 1.0 if limited else 0.0, b, second
