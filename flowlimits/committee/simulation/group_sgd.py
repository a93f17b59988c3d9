r"""One-pass SGD under a covariance as a Markov chain of coordinates by group, exact in law (compiled part).

In the eigenspace of c_l a fresh input has independent N(0, c_l) coordinates along the weights there, and the rest of it is a new
direction whose square length is c_l times chi-squared with the directions left; groups are independent.  Each group is a
block of rows that grows and is rotated back like the one of `overlap_sgd` (docs/committee.md, C15).
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, jit
from .overlap_sgd import (
    DIMENSION,
    NOISE,
    RNG,
    SECOND_LAYER_RATE,
    SPHERICAL,
    STUDENT_CENTRED,
    STUDENT_KIND,
    TEACHER_CENTRED,
    TEACHER_KIND,
    WEIGHT_DECAY,
    compress,
    slope_at,
    value_at,
)

I2 = types.int64[:, ::1]
#: Rows of the table of blocks: first row, rows in use, capacity, and directions of each group.
FIRST, USED, CAPACITY, DIRECTIONS = range(4)


@jit(types.int64(RNG, A2, A2, A1, A1, A1, A1, A1, I2, A1, types.int64, A1, A1, A2))
def steps(rng, W, W_star, a, b, norms, student, teacher, blocks, roots, count, pace, settings, scratch):
    """Take `count` steps; return how many were taken before the error left the finite range.

    Parameters
    ----------
    W, W_star : ndarray, shapes (rows, p), (rows, k)
        Coordinates of all units, divided by sqrt(d), block after block; rows of a block that are not in use are zero.
    blocks : ndarray of int64, shape (4, L)
        Where the block of each group is; see the constants of this module.
    roots : ndarray, shape (L,)
        Roots of the eigenvalues.
    scratch : ndarray, shape (2, rows or p, whichever is larger)
    The others are those of `flowlimits.committee.simulation.overlap_sgd.steps`.
    """
    p, k, L = W.shape[1], W_star.shape[1], len(roots)
    n, d = p + k, settings[DIMENSION]
    noise = math.sqrt(settings[NOISE])
    student_kind, teacher_kind = int(settings[STUDENT_KIND]), int(settings[TEACHER_KIND])
    centred, spherical = settings[STUDENT_CENTRED] != 0.0, settings[SPHERICAL] != 0.0
    z, lam, g = scratch[0], np.empty(p), scratch[1]
    rate, factor = pace[0], pace[1]
    teacher_mean = 0.0
    if settings[TEACHER_CENTRED] != 0.0:
        for l in range(L):
            for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                for r in range(k):
                    teacher_mean += b[r] * (roots[l] * W_star[c, r]) ** 2 / k
    for step in range(count):
        error = -teacher_mean
        for i in range(p):
            lam[i] = 0.0
        for l in range(L):
            for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                z[c] = roots[l] * rng.standard_normal()
                for i in range(p):
                    lam[i] += z[c] * W[c, i]
        for r in range(k):
            field = 0.0
            for l in range(L):
                for c in range(blocks[FIRST, l], blocks[FIRST, l] + blocks[USED, l]):
                    field += z[c] * W_star[c, r]
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
