r"""Any loss at finite variance within the clusters, by fixed quasi-Monte Carlo points, and the classification error.

Within a cluster the fields are :math:`u = e R_{\cdot c} + s B z` with :math:`z\sim N(0, I_{K+2})`,
:math:`B = (R/\mu, L)` and :math:`LL^\top = Q - RR^\top/\mu^2`; the points stay fixed, so the right-hand side is a deterministic
function of the state, eq. (X12).  Every point is used with both signs together with both signs of the centre, which
makes odd moments vanish exactly.  The part of the pull that is linear in label and output is taken in closed form, so that
the points carry only the remainder, which vanishes at small outputs, and the noise of one-pass SGD.

State as in `equations`; parameters are `width`, `separation`, `noise_scale`, `label_noise`, `second_layer_rate`, `loss`,
`learning_rate`, the number of points, then the points, row by row.

The classification error is integrated exactly along the direction to the centre.

Along one direction of the noise the output is piecewise linear, so the probability of the wrong sign is a sum of
differences of the normal distribution function; the other directions are averaged over fixed points.  An output of
exactly zero, as dead ReLU networks give it, counts one half.

One-pass SGD on the XOR mixture, step by step: on real weights, or as a Markov chain of the overlaps.

One step is :math:`w_k \leftarrow w_k + \frac{\eta}{d}\,a_k\,g\,1(w_k\cdot x > 0)\,x` with the pull g of the loss at a fresh input, and
:math:`a_k\leftarrow a_k + \frac{\eta}{d} r\, g\,(w_k\cdot x)_+`, eq. (X14).  A fresh Gaussian input enters the overlaps only through its
projections on the weights and the centres and through :math:`|x|^2`, which is the squared length of its projection plus
:math:`s^2\chi^2_{d-K-2}`: the chain is exact in law at every dimension d >= K + 2.
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, RHS_SIGNATURE, callback, jit
from ..gaussian.bivariate import normal_cdf
from .equations import factor, unpack, velocity
from .equations_atoms import SQUARED, linear_pull, mean_loss, mean_square_pull, pull, single_pull

GENERATOR = types.npy_rng


@jit
def _draw_cluster(generator, label_noise):
    """Return the axis of the centre, its sign, and the label that the sample carries."""
    c = 0 if generator.random() < 0.5 else 1
    sign = 1.0 if generator.random() < 0.5 else -1.0
    label = 1.0 if c == 0 else -1.0
    if label_noise > 0.0 and generator.random() < label_noise:
        label = -label
    return c, sign, label


@jit(types.void(GENERATOR, A2, A2, A1, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, ADDRESS, ADDRESS, ADDRESS))
def overlap_steps(generator, Q, R, a, separation, s, label_noise, learning_rate, rate, loss, dimension, steps):
    """Take steps of the chain of the overlaps, in place; a cost of O(K^3) per step whatever the dimension."""
    K = a.size
    B = np.empty((K, K + 2))
    z = np.empty(K + 2)
    u = np.empty(K)
    push = np.empty(K)
    gain = learning_rate / dimension
    for _ in range(steps):
        c, sign, label = _draw_cluster(generator, label_noise)
        factor(Q, R, separation, B)
        for m in range(K + 2):
            z[m] = s * generator.standard_normal()
        z[c] += sign * separation
        # chi-squared of n degrees of freedom is twice a Gamma variable of shape n / 2.
        free = dimension - K - 2
        square = s * s * 2.0 * generator.standard_gamma(0.5 * free) if free > 0 else 0.0
        for m in range(K + 2):
            square += z[m] * z[m]
        output = 0.0
        for k in range(K):
            total = 0.0
            for m in range(K + 2):
                total += B[k, m] * z[m]
            u[k] = total
            if total > 0.0:
                output += a[k] * total
        force = gain * single_pull(loss, output, label)
        for k in range(K):
            push[k] = force * a[k] if u[k] > 0.0 else 0.0
        for k in range(K):
            for l in range(k + 1):
                Q[k, l] += push[k] * u[l] + push[l] * u[k] + push[k] * push[l] * square
                Q[l, k] = Q[k, l]
            R[k, 0] += push[k] * separation * z[0]
            R[k, 1] += push[k] * separation * z[1]
            if u[k] > 0.0:
                a[k] += rate * force * u[k]


@jit(types.void(GENERATOR, A2, A1, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, ADDRESS, ADDRESS))
def sample_steps(generator, W, a, separation, s, label_noise, learning_rate, rate, loss, steps):
    """Take steps of one-pass SGD on real weights, in place; the centres lie along the first two axes."""
    K, dimension = W.shape
    x = np.empty(dimension)
    u = np.empty(K)
    gain = learning_rate / dimension
    for _ in range(steps):
        c, sign, label = _draw_cluster(generator, label_noise)
        for m in range(dimension):
            x[m] = s * generator.standard_normal()
        x[c] += sign * separation
        output = 0.0
        for k in range(K):
            total = 0.0
            for m in range(dimension):
                total += W[k, m] * x[m]
            u[k] = total
            if total > 0.0:
                output += a[k] * total
        force = gain * single_pull(loss, output, label)
        for k in range(K):
            if u[k] > 0.0:
                push = force * a[k]
                for m in range(dimension):
                    W[k, m] += push * x[m]
                a[k] += rate * force * u[k]


HEAD = 8


@jit
def add_sample(u, projections, a, label, label_noise, loss, weight, noise_weight, half, dR, da):
    """Add one weighted input: what its pull has beyond the linear part, and the noise of one-pass SGD."""
    K = a.size
    output = 0.0
    for k in range(K):
        if u[k] > 0.0:
            output += a[k] * u[k]
    slope, curvature = linear_pull(loss, label_noise)
    force = weight * (pull(loss, output, label, label_noise) - slope * label + curvature * output)
    noise = noise_weight * mean_square_pull(loss, output, label, label_noise) if noise_weight > 0.0 else 0.0
    for k in range(K):
        if u[k] > 0.0:
            da[k] += force * u[k]
            push = force * a[k]
            dR[k, 0] += push * projections[0]
            dR[k, 1] += push * projections[1]
            for l in range(K):
                half[k, l] += push * u[l]
                if noise > 0.0 and u[l] > 0.0:
                    half[k, l] += 0.5 * noise * a[k] * a[l]


@jit
def _add_points(R, a, B, separation, s, label_noise, loss, learning_rate, points, half, dR, da):
    K = a.size
    u = np.empty(K)
    projections = np.empty(2)
    weight = 0.25 / points.shape[0]
    noise_weight = weight * learning_rate * s * s
    for i in range(points.shape[0]):
        for c in range(2):
            label = 1.0 if c == 0 else -1.0
            for k in range(K):
                total = R[k, c]
                for m in range(K + 2):
                    total += s * B[k, m] * points[i, m]
                u[k] = total
            projections[0] = s * separation * points[i, 0]
            projections[1] = s * separation * points[i, 1]
            projections[c] += separation * separation
            for sign in range(2):
                add_sample(u, projections, a, label, label_noise, loss, weight, noise_weight, half, dR, da)
                if sign == 0:
                    for k in range(K):
                        u[k] = -u[k]
                    projections[0] = -projections[0]
                    projections[1] = -projections[1]


@callback(RHS_SIGNATURE)
def sampled_flow(t, y, dy, params, work):
    """Gradient flow or one-pass SGD of any loss, eqs. (X12), (X13); see the module's docstring for the layout."""
    K = int(params[0])
    separation, s, label_noise = params[1], params[2], params[3]
    loss, learning_rate, count = int(params[5]), params[6], int(params[7])
    points = params[HEAD : HEAD + count * (K + 2)].reshape(count, K + 2)
    Q, R, a = unpack(y, K)
    dQ, dR, da = unpack(dy, K)
    slope, curvature = linear_pull(loss, label_noise)
    velocity(Q, R, a, separation, s, slope / curvature, dQ, dR, da)
    for i in range(dy.size):
        dy[i] *= curvature
    if loss != SQUARED or learning_rate > 0.0:
        B = np.empty((K, K + 2))
        factor(Q, R, separation, B)
        half = np.zeros((K, K))
        _add_points(R, a, B, separation, s, label_noise, loss, learning_rate, points, half, dR, da)
        for k in range(K):
            for l in range(K):
                dQ[k, l] += half[k, l] + half[l, k]
    for k in range(K):
        da[k] *= params[4]


@jit(FLOAT(A2, A2, A1, FLOAT, FLOAT, FLOAT, ADDRESS, A2, A1))
def sampled_risk(Q, R, a, separation, s, label_noise, loss, points, blocks):
    """Return the mean loss over fixed points, and write those over blocks of consecutive points."""
    K = a.size
    B = np.empty((K, K + 2))
    factor(Q, R, separation, B)
    total = 0.0
    blocks[:] = 0.0
    for i in range(points.shape[0]):
        for c in range(2):
            for sign in (1.0, -1.0):
                output = 0.0
                for k in range(K):
                    u = R[k, c]
                    for m in range(K + 2):
                        u += s * B[k, m] * points[i, m]
                    if sign * u > 0.0:
                        output += a[k] * sign * u
                value = mean_loss(loss, output, 1.0 if c == 0 else -1.0, label_noise)
                total += value
                blocks[i * blocks.size // points.shape[0]] += value
    for b in range(blocks.size):
        blocks[b] *= blocks.size / (4.0 * points.shape[0])
    return total / (4.0 * points.shape[0])


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
