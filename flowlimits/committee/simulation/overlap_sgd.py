"""One-pass SGD as a Markov chain of p + k coordinates, exact in law (compiled part).

The weights of student and teacher span at most n = p + k directions.  A fresh input has independent standard normal coordinates z
along them, and what is left of it is a new direction, of a length whose square is chi-squared with d - n degrees of freedom.  A
step W <- W + g x^T/sqrt(d) adds that direction to the span, so that a step needs n normal numbers, one chi-squared number, and
O(n^2) operations whatever d.  After `spare` steps the coordinates are rotated back to n: their law is isotropic, so that any
orthonormal basis of the span will do.  Unlike the overlaps themselves, coordinates keep full precision when student and teacher nearly
coincide and Q, R, T are nearly singular.  With d <= n + spare the coordinates are all d of them, and student and teacher may
have more units than there are dimensions.

Under a covariance a fresh input has in the eigenspace of c_l independent N(0, c_l) coordinates along the weights there, and the rest
of it is a new direction whose square length is c_l times chi-squared with the directions left; groups are independent.  Each group is
a block of rows that grows and is rotated back in the same way (docs/committee.md, C15).
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, jit
from ..equations.moments import slope_at, value_at

RNG = types.npy_rng
I2 = types.int64[:, ::1]

#: Places in the settings of a run.
(
    DIMENSION, NOISE, SECOND_LAYER_RATE, WEIGHT_DECAY, SPHERICAL, STUDENT_KIND, TEACHER_KIND, STUDENT_CENTRED,
    TEACHER_CENTRED,
) = range(9)  # fmt: skip
SETTINGS = 9
#: Rows of the table of blocks: first row, rows in use, capacity, and directions of each group.
FIRST, USED, CAPACITY, DIRECTIONS = range(4)


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


@jit(types.int64(RNG, A2, A2, A1, A1, A1, A1, A1, I2, A1, A2, types.int64, A1, A1, A2))
def steps_by_group(
    rng, W, W_star, a, b, norms, student, teacher, blocks, roots, unexplained, count, pace, settings, scratch
):  # fmt: skip
    """Take `count` steps; return how many were taken before the error left the finite range.

    Parameters
    ----------
    W, W_star : ndarray, shapes (rows, p), (rows, k)
        Coordinates of all units, divided by sqrt(d), block after block; rows of a block that are not in use are zero.
    blocks : ndarray of int64, shape (4, L)
        Where the block of each group is; see the constants of this module.
    roots : ndarray, shape (L,)
        Roots of the eigenvalues.
    unexplained : ndarray, shape (k, k) or (0, 0)
        A root of the covariance of the parts of the teacher's fields that the inputs do not explain.
    scratch : ndarray, shape (2, rows or p, whichever is larger)
    The others are those of `steps`.
    """
    p, k, L = W.shape[1], W_star.shape[1], len(roots)
    n, d = p + k, settings[DIMENSION]
    noise = math.sqrt(settings[NOISE])
    student_kind, teacher_kind = int(settings[STUDENT_KIND]), int(settings[TEACHER_KIND])
    centred, spherical = settings[STUDENT_CENTRED] != 0.0, settings[SPHERICAL] != 0.0
    hidden = np.empty(len(unexplained))
    z, lam, g = scratch[0], np.empty(p), scratch[1]
    rate, factor = pace[0], pace[1]
    teacher_mean = 0.0
    if settings[TEACHER_CENTRED] != 0.0:
        for l in range(L):
            for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                for r in range(k):
                    teacher_mean += b[r] * (roots[l] * W_star[c, r]) ** 2 / k
        for r in range(hidden.size):
            for c in range(hidden.size):
                teacher_mean += b[r] * unexplained[r, c] ** 2 / k
    for step in range(count):
        error = -teacher_mean
        for i in range(p):
            lam[i] = 0.0
        for l in range(L):
            for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                z[c] = roots[l] * rng.standard_normal()
                for i in range(p):
                    lam[i] += z[c] * W[c, i]
        for c in range(hidden.size):
            hidden[c] = rng.standard_normal()
        for r in range(k):
            field = 0.0
            for l in range(L):
                for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                    field += z[c] * W_star[c, r]
            for c in range(hidden.size):
                field += unexplained[r, c] * hidden[c]
            error += b[r] * value_at(teacher_kind, teacher, field) / k
        if noise > 0.0:
            error += noise * rng.standard_normal()
        for i in range(p):
            g[i] = value_at(student_kind, student, lam[i])
            if centred:
                for l in range(L):
                    for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                        g[i] -= (roots[l] * W[c, i]) ** 2
            error -= a[i] * g[i] / p
        gain = rate / (p * d)
        shrink = 1.0 - gain * settings[WEIGHT_DECAY]
        for i in range(p):
            own, force = g[i], rate * a[i] * error / p
            for l in range(L):
                keep = shrink - 2.0 * force / d * roots[l] * roots[l] if centred else shrink
                for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                    W[c, i] *= keep
            a[i] += gain * settings[SECOND_LAYER_RATE] * error * own
            g[i] = force * slope_at(student_kind, student, lam[i]) / d
        for l in range(L):
            end = blocks[FIRST, l] + blocks[USED, l]
            for c in range(blocks[FIRST, l], end):
                for i in range(p):
                    W[c, i] += z[c] * g[i]
            left = blocks[DIRECTIONS, l] - blocks[USED, l]
            if left > 0:
                length = roots[l] * math.sqrt(2.0 * rng.standard_gamma(0.5 * left))
                for i in range(p):
                    W[end, i] = length * g[i]
                blocks[USED, l] += 1
        if spherical:
            for i in range(p):
                norm = 0.0
                for c in range(W.shape[0]):
                    norm += W[c, i] * W[c, i]
                keep = math.sqrt(norms[i] / norm)
                for c in range(W.shape[0]):
                    W[c, i] *= keep
        for l in range(L):
            if blocks[USED, l] >= blocks[CAPACITY, l] and blocks[CAPACITY, l] < blocks[DIRECTIONS, l]:
                first = blocks[FIRST, l]
                compress(W, first + k, first + blocks[USED, l], p)
                blocks[USED, l] = n
        if not np.isfinite(error):
            pace[0] = rate
            return step
        rate *= factor
    pace[0] = rate
    return count
