r"""Classification error, with the direction to the centre integrated exactly.

Along one direction of the noise the output is piecewise linear, so the probability of the wrong sign is a sum of
differences of the normal distribution function; the other directions are averaged over fixed points.  An output of
exactly zero, as dead ReLU networks give it, counts one half.
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, FLOAT, jit
from ..gaussian.bivariate import normal_cdf
from .equations_sampled import factor


@jit
def _interval(low, high):
    """Return P(low < z < high), taken in the smaller tail."""
    if high <= low:
        return 0.0
    return normal_cdf(-low) - normal_cdf(-high) if low > 0.0 else normal_cdf(high) - normal_cdf(low)


@jit
def _segment(low, high, offset, slope, label):
    """Return the mass of the wrong sign of ``label * (offset + slope z)`` on an interval, ties at one half."""
    offset *= label
    slope *= label
    if slope == 0.0:
        mass = _interval(low, high)
        return mass if offset < 0.0 else (0.5 * mass if offset == 0.0 else 0.0)
    root = -offset / slope
    if slope > 0.0:
        return _interval(low, min(high, root))
    return _interval(max(low, root), high)


@jit
def line_error(offsets, slopes, a, label):
    """Return P(wrong sign) of sum_k a_k (offsets_k + slopes_k z)_+ for standard normal z."""
    K = a.size
    kinks = np.empty(K)
    count = 0
    for k in range(K):
        if slopes[k] != 0.0:
            kinks[count] = -offsets[k] / slopes[k]
            count += 1
    edges = np.sort(kinks[:count])
    total = 0.0
    for piece in range(count + 1):
        low = edges[piece - 1] if piece > 0 else -math.inf
        high = edges[piece] if piece < count else math.inf
        if high <= low:
            continue
        if piece == 0:
            inside = high - 1.0 if count > 0 else 0.0
        elif piece == count:
            inside = low + 1.0
        else:
            inside = 0.5 * (low + high)
        offset, slope = 0.0, 0.0
        for k in range(K):
            if offsets[k] + slopes[k] * inside > 0.0:
                offset += a[k] * offsets[k]
                slope += a[k] * slopes[k]
        total += _segment(low, high, offset, slope, label)
    return total


@jit(FLOAT(A2, A2, A1, FLOAT, FLOAT, A2, A1))
def clean_error(Q, R, a, separation, s, points, blocks):
    """Return the probability of the wrong sign against the clean label.

    Parameters
    ----------
    points : ndarray, shape (n, K + 2)
        Standard normal points; the first two coordinates lie along the centres.
    blocks : ndarray, shape (b,)
        Receives the means over as many blocks of consecutive points; without noise all are equal.
    """
    K = a.size
    B = np.empty((K, K + 2))
    factor(Q, R, separation, B)
    offsets = np.empty(K)
    slopes = np.empty(K)
    total = 0.0
    count = points.shape[0] if s > 0.0 else 1
    blocks[:] = 0.0
    for c in range(2):
        label = 1.0 if c == 0 else -1.0
        for i in range(count):
            for sign in (1.0, -1.0):
                for k in range(K):
                    rest = 0.0
                    for m in range(K + 2):
                        if m != c:
                            rest += B[k, m] * points[i, m]
                    offsets[k] = sign * (R[k, c] + s * rest)
                    slopes[k] = s * B[k, c]
                wrong = line_error(offsets, slopes, a, label)
                total += wrong
                blocks[i * blocks.size // count] += wrong
    if count == 1:
        blocks[:] = blocks[0] / 4.0
    else:
        for b in range(blocks.size):
            blocks[b] *= blocks.size / (4.0 * count)
    return total / (4.0 * count)
