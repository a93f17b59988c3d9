"""One-pass SGD on real weights, with a fresh Gaussian input in every step (compiled part)."""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, jit
from ..equations.moments import slope_at, value_at
from .overlap_sgd import (
    NOISE,
    RNG,
    SECOND_LAYER_RATE,
    SPHERICAL,
    STUDENT_CENTRED,
    STUDENT_KIND,
    TEACHER_CENTRED,
    TEACHER_KIND,
    WEIGHT_DECAY,
)


# Sums over the dimension may be taken in any order, so that they compile to vector instructions.
@jit(fastmath={"reassoc", "contract", "nsz"})
def dot(first, second):
    """Return the scalar product."""
    total = 0.0
    for c in range(first.size):
        total += first[c] * second[c]
    return total


@jit
def variance(row, roots):
    """Return the variance of the field of a row."""
    if roots.size == 0:
        return dot(row, row)
    total = 0.0
    for c in range(row.size):
        total += (roots[c] * row[c]) * (roots[c] * row[c])
    return total


@jit(types.int64(RNG, A2, A2, A1, A1, A1, A1, A1, types.int64, A1, A1, A1, A2, A1, A2))
def steps(rng, W, W_star, a, b, norms, student, teacher, count, pace, settings, roots, unexplained, x, scratch):
    """Take `count` steps; return how many were taken before the error left the finite range.

    Parameters
    ----------
    W, W_star : ndarray, shapes (p, d), (k, d)
        Weights divided by sqrt(d).
    roots : ndarray, shape (d,) or (0,)
        Standard deviations of the inputs; none for standard normal ones.
    unexplained : ndarray, shape (k, k) or (0, 0)
        A root of the covariance of the parts of the teacher's fields that the inputs do not explain.
    x, scratch : ndarray, shapes (d,), (2, p)
    The others are those of `flowlimits.committee.simulation.overlap_sgd.steps`.
    """
    p, d = W.shape
    k = W_star.shape[0]
    noise = math.sqrt(settings[NOISE])
    student_kind, teacher_kind = int(settings[STUDENT_KIND]), int(settings[TEACHER_KIND])
    centred, spherical = settings[STUDENT_CENTRED] != 0.0, settings[SPHERICAL] != 0.0
    lam, own = scratch[0], scratch[1]
    structured, hidden = roots.size > 0, np.empty(len(unexplained))
    rate, factor = pace[0], pace[1]
    teacher_mean = 0.0
    if settings[TEACHER_CENTRED] != 0.0:
        for r in range(k):
            teacher_mean += b[r] * variance(W_star[r], roots) / k
        for r in range(hidden.size):
            teacher_mean += b[r] * dot(unexplained[r], unexplained[r]) / k
    for done in range(count):
        for c in range(d):
            x[c] = rng.standard_normal()
        if structured:
            for c in range(d):
                x[c] *= roots[c]
        error = -teacher_mean
        for c in range(hidden.size):
            hidden[c] = rng.standard_normal()
        for r in range(k):
            field = dot(W_star[r], x)
            if hidden.size > 0:
                field += dot(unexplained[r], hidden)
            error += b[r] * value_at(teacher_kind, teacher, field) / k
        if noise > 0.0:
            error += noise * rng.standard_normal()
        for i in range(p):
            lam[i] = dot(W[i], x)
            own[i] = value_at(student_kind, student, lam[i]) - (variance(W[i], roots) if centred else 0.0)
            error -= a[i] * own[i] / p
        gain = rate / (p * d)
        for i in range(p):
            force = rate * a[i] * error / p
            keep = 1.0 - gain * settings[WEIGHT_DECAY] - (2.0 * force / d if centred and not structured else 0.0)
            push = force * slope_at(student_kind, student, lam[i]) / d
            row = W[i]
            if centred and structured:
                for c in range(d):
                    row[c] = (keep - 2.0 * force / d * roots[c] * roots[c]) * row[c] + push * x[c]
            elif keep == 1.0:
                for c in range(d):
                    row[c] += push * x[c]
            else:
                for c in range(d):
                    row[c] = keep * row[c] + push * x[c]
            if spherical:
                scale = math.sqrt(norms[i] / dot(row, row))
                for c in range(d):
                    row[c] *= scale
            a[i] += gain * settings[SECOND_LAYER_RATE] * error * own[i]
        if not np.isfinite(error):
            pace[0] = rate
            return done
        rate *= factor
    pace[0] = rate
    return count
