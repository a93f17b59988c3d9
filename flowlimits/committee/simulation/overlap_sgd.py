r"""One-pass SGD as a Markov chain of p + k coordinates, exact in law (compiled part).

The weights of student and teacher span at most n = p + k directions.  A fresh input has independent standard normal coordinates z
along them, and what is left of it is a new direction, of a length whose square is chi-squared with d - n degrees of freedom.  A
step W <- W + g x^T/sqrt(d) adds that direction to the span, so that a step needs n normal numbers, one chi-squared number, and
O(n^2) operations whatever d.  After `spare` steps the coordinates are rotated back to n: their law is isotropic, so that any
orthonormal basis of the span will do.  Unlike the overlaps themselves, coordinates keep full precision when student and teacher nearly
coincide and Q, R, T are nearly singular.  With d <= n + spare the coordinates are all d of them, and student and teacher may
have more units than there are dimensions.
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, jit
from ..equations.moments import ERF, POLYNOMIAL

RNG = types.npy_rng
ROOT_HALF, ROOT_TWO_OVER_PI = math.sqrt(0.5), math.sqrt(2.0 / math.pi)

#: Places in the settings of a run.
(
    DIMENSION, NOISE, SECOND_LAYER_RATE, WEIGHT_DECAY, SPHERICAL, STUDENT_KIND, TEACHER_KIND, STUDENT_CENTRED,
    TEACHER_CENTRED,
) = range(9)  # fmt: skip
SETTINGS = 9


@jit(inline="always")
def value_at(kind, powers, x):
    """Return s(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, -1, -1):
            value = value * x + powers[j]
        return value
    if kind == ERF:
        return math.erf(ROOT_HALF * x)
    return 0.5 * (x + abs(x))


@jit(inline="always")
def slope_at(kind, powers, x):
    """Return s'(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, 0, -1):
            value = value * x + j * powers[j]
        return value
    if kind == ERF:
        return ROOT_TWO_OVER_PI * math.exp(-0.5 * x * x)
    return 1.0 if x > 0.0 else 0.0


@jit
def compress(W, first, used, size):
    """Rotate the coordinates first..used of the students (columns of W) to the next `size`, lower triangular, by reflections."""
    p = W.shape[1]
    for i in range(size):
        row = first + i
        norm = 0.0
        for c in range(row, used):
            norm += W[c, i] * W[c, i]
        norm = math.sqrt(norm)
        if norm == 0.0:
            continue
        head = W[row, i]
        shift = head + math.copysign(norm, head)
        scale = 1.0 / (norm * (norm + abs(head)))
        for j in range(i + 1, p):
            dot = shift * W[row, j]
            for c in range(row + 1, used):
                dot += W[c, i] * W[c, j]
            dot *= scale
            W[row, j] -= dot * shift
            for c in range(row + 1, used):
                W[c, j] -= dot * W[c, i]
        W[row, i] = -math.copysign(norm, head)
        for c in range(row + 1, used):
            W[c, i] = 0.0
    for c in range(first + size, used):
        for j in range(p):
            W[c, j] = 0.0


@jit(types.int64(RNG, A2, A2, A1, A1, A1, A1, A1, types.int64, types.int64, A1, A1, A2))
def steps(rng, W, W_star, a, b, norms, student, teacher, used, count, pace, settings, scratch):
    """Take `count` steps; return the number of coordinates in use, or -1 - (steps done) if a weight left the finite range.

    Parameters
    ----------
    rng : numpy.random.Generator
    W : ndarray, shape (n + spare, p)
        Coordinates of the students, divided by sqrt(d), one column per student; those from `used` on are zero.
    W_star : ndarray, shape (m, k)
        Coordinates of the teacher, one column per unit: the first k directions, or all of them where d < n.
    a, b, norms : ndarray, shapes (p,), (k,), (p,)
        Second layers, and the squared norms that the spherical constraint keeps.
    student, teacher : ndarray
        Coefficients of polynomial activations.
    pace : ndarray, shape (2,)
        Learning rate of the first step, replaced by that of the step after the last, and its growth from step to step.
    settings : ndarray, see the constants of this module.
    scratch : ndarray, shape (3, number of coordinates or p, whichever is larger)
    """
    p, k = W.shape[1], W_star.shape[1]
    n, span = p + k, W_star.shape[0]
    d = settings[DIMENSION]
    full = int(min(d, W.shape[0]))
    noise = math.sqrt(settings[NOISE])
    student_kind, teacher_kind = int(settings[STUDENT_KIND]), int(settings[TEACHER_KIND])
    centred, spherical = settings[STUDENT_CENTRED] != 0.0, settings[SPHERICAL] != 0.0
    z, lam, g = scratch[0], scratch[1], scratch[2]
    rate, factor = pace[0], pace[1]
    teacher_mean = 0.0
    if settings[TEACHER_CENTRED] != 0.0:
        for r in range(k):
            for c in range(span):
                teacher_mean += b[r] * W_star[c, r] * W_star[c, r] / k
    for step in range(count):
        for c in range(used):
            z[c] = rng.standard_normal()
        for i in range(p):
            lam[i] = 0.0
        for c in range(used):
            for i in range(p):
                lam[i] += z[c] * W[c, i]
        error = -teacher_mean
        for r in range(k):
            field = 0.0
            for c in range(span):
                field += z[c] * W_star[c, r]
            error += b[r] * value_at(teacher_kind, teacher, field) / k
        if noise > 0.0:
            error += noise * rng.standard_normal()
        for i in range(p):
            own = value_at(student_kind, student, lam[i])
            if centred:
                for c in range(used):
                    own -= W[c, i] * W[c, i]
            g[i] = own
            error -= a[i] * own / p
        gain = rate / (p * d)
        shrink = 1.0 - gain * settings[WEIGHT_DECAY]
        for i in range(p):
            own = g[i]
            g[i] = rate * a[i] * error / p
            if centred:
                keep = shrink - 2.0 * g[i] / d
                for c in range(used):
                    W[c, i] *= keep
            a[i] += gain * settings[SECOND_LAYER_RATE] * error * own
            g[i] *= slope_at(student_kind, student, lam[i]) / d
        if shrink != 1.0 and not centred:
            for c in range(used):
                for i in range(p):
                    W[c, i] *= shrink
        for c in range(used):
            for i in range(p):
                W[c, i] += z[c] * g[i]
        if used < d:
            length = math.sqrt(2.0 * rng.standard_gamma(0.5 * (d - used)))
            for i in range(p):
                W[used, i] = length * g[i]
            used += 1
        if spherical:
            for i in range(p):
                norm = 0.0
                for c in range(used):
                    norm += W[c, i] * W[c, i]
                keep = math.sqrt(norms[i] / norm)
                for c in range(used):
                    W[c, i] *= keep
        if used >= full and full < d:
            compress(W, k, used, p)
            used = n
        if not np.isfinite(error):
            pace[0] = rate
            return -1 - step
        rate *= factor
    pace[0] = rate
    return used
