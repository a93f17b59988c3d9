r"""Full-batch gradient flow of a two-layer network on a finite sample.

.. math::

    h(x) = \sum_j a_j\,\sigma(w_j\cdot x), \qquad L = \frac1n\sum_i \ell(h(x_i), y_i), \qquad
    \dot w_j = a_j\,\frac1n\sum_i g_i\,\sigma'(w_j\cdot x_i)\,x_i, \qquad \dot a_j = \frac1n\sum_i g_i\,\sigma(w_j\cdot x_i)

with :math:`g_i = -\partial_h\ell(h(x_i), y_i)`, eq. (S1).  Exact for the sample; nothing here is asymptotic.

The state is W transposed, shape (d, m), row by row, then a, shape (m,): the innermost loops run over units, which lie side by side.
Parameters are n, d, m, `activation`, `loss`, then X (n, d), row by row, then y (n,).
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, RHS_SIGNATURE, call_rhs, callback, jit
from ..compiled.simd import LANES, spread
from ..compiled.simd_arrays import packed
from ..compiled.views import matrix, vector

HEAD = 5
RELU, SQUARE, TANH, SOFTPLUS = range(4)
ACTIVATIONS = ("relu", "square", "tanh", "softplus")
SQUARED, LOGISTIC, EXPONENTIAL = range(3)
LOSSES = ("squared", "logistic", "exponential")

# Sums over units may be reordered: that lets them run side by side.  NaN stays NaN.
FAST = {"reassoc", "contract", "nsz", "arcp"}


@jit
def pull(loss, output, label):
    """Return minus the derivative of the loss with respect to the output."""
    if loss == SQUARED:
        return label - output
    z = label * output
    if loss == LOGISTIC:
        return label / (1.0 + math.exp(z)) if z < 700.0 else 0.0
    return label * math.exp(-z)


@jit
def point_loss(loss, output, label):
    """Return the loss of one output."""
    if loss == SQUARED:
        return 0.5 * (output - label) ** 2
    z = label * output
    if loss == LOGISTIC:
        return max(-z, 0.0) + math.log1p(math.exp(-abs(z)))
    return math.exp(-z)


@jit
def activate(activation, pre, value, slope):
    """Write the activation and its derivative at `pre`; ReLU has the derivative 0 at 0."""
    if activation == RELU:
        for j in range(pre.size):
            value[j] = max(pre[j], 0.0)
            slope[j] = 1.0 if pre[j] > 0.0 else 0.0
    elif activation == SQUARE:
        for j in range(pre.size):
            value[j] = pre[j] * pre[j]
            slope[j] = 2.0 * pre[j]
    elif activation == TANH:
        for j in range(pre.size):
            value[j] = math.tanh(pre[j])
            slope[j] = 1.0 - value[j] * value[j]
    else:
        for j in range(pre.size):
            e = math.exp(-abs(pre[j]))
            value[j] = max(pre[j], 0.0) + math.log1p(e)
            slope[j] = 1.0 / (1.0 + e) if pre[j] > 0.0 else e / (1.0 + e)


@jit(fastmath=FAST)
def preactivations(x, Wt, pre):
    """Write the fields of all units at one input."""
    pre[:] = 0.0
    for c in range(x.size):
        factor = x[c]
        for j in range(pre.size):
            pre[j] += factor * Wt[c, j]


@jit(fastmath=FAST)
def output_of(a, value):
    """Return the output from the activations."""
    total = 0.0
    for j in range(a.size):
        total += a[j] * value[j]
    return total


# Products may be joined to sums, in the order in which they stand: the bits are those of one input, and one unit, after the other.
JOINED = {"contract", "nsz"}
#: Inputs whose fields are kept at a time.
BLOCK = 16


def work_size(d, m):
    """Return how many numbers of work space the right-hand side takes."""
    tiles = -(-m // LANES)
    return tiles * LANES * (2 * d + 1 + 3 * BLOCK) + BLOCK


@jit(fastmath=JOINED)
def fields(X, first, count, d, tiles, weights, pre):
    """Write the fields of all units, eight of them side by side, at `count` inputs; of eight inputs at a time where there are as many."""
    zero = spread(0.0)
    for tile in range(tiles):
        b = 0
        while b + 8 <= count:
            at = (first + b) * d
            p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = zero
            for c in range(d):
                w = weights[tile * d + c]
                p0 = p0 + X[at + c] * w
                p1 = p1 + X[at + d + c] * w
                p2 = p2 + X[at + 2 * d + c] * w
                p3 = p3 + X[at + 3 * d + c] * w
                p4 = p4 + X[at + 4 * d + c] * w
                p5 = p5 + X[at + 5 * d + c] * w
                p6 = p6 + X[at + 6 * d + c] * w
                p7 = p7 + X[at + 7 * d + c] * w
            to = b * tiles + tile
            pre[to], pre[to + tiles], pre[to + 2 * tiles], pre[to + 3 * tiles] = p0, p1, p2, p3
            to += 4 * tiles
            pre[to], pre[to + tiles], pre[to + 2 * tiles], pre[to + 3 * tiles] = p4, p5, p6, p7
            b += 8
        while b < count:
            p0 = zero
            for c in range(d):
                p0 = p0 + X[(first + b) * d + c] * weights[tile * d + c]
            pre[b * tiles + tile] = p0
            b += 1


@jit(fastmath=JOINED)
def add_units(forces, count, tiles, value, slope, pulls):
    """Add inputs to the sums of the second layer, and multiply the derivatives by the forces; of 32 units at a time."""
    tile = 0
    while tile + 4 <= tiles:
        s0, s1, s2, s3 = pulls[tile], pulls[tile + 1], pulls[tile + 2], pulls[tile + 3]
        for b in range(count):
            at, force = b * tiles + tile, forces[b]
            s0 = s0 + force * value[at]
            s1 = s1 + force * value[at + 1]
            s2 = s2 + force * value[at + 2]
            s3 = s3 + force * value[at + 3]
            slope[at], slope[at + 1] = slope[at] * force, slope[at + 1] * force
            slope[at + 2], slope[at + 3] = slope[at + 2] * force, slope[at + 3] * force
        pulls[tile], pulls[tile + 1], pulls[tile + 2], pulls[tile + 3] = s0, s1, s2, s3
        tile += 4
    while tile < tiles:
        s0 = pulls[tile]
        for b in range(count):
            at = b * tiles + tile
            s0 = s0 + forces[b] * value[at]
            slope[at] = slope[at] * forces[b]
        pulls[tile] = s0
        tile += 1


@jit(fastmath=JOINED)
def add_coordinate(X, first, count, d, c, tiles, slope, slopes):
    """Add inputs to the sums of one coordinate, of 32 units at a time."""
    tile = 0
    while tile + 4 <= tiles:
        to = tile * d + c
        s0, s1, s2, s3 = slopes[to], slopes[to + d], slopes[to + 2 * d], slopes[to + 3 * d]
        for b in range(count):
            at, x = b * tiles + tile, X[(first + b) * d + c]
            s0 = s0 + x * slope[at]
            s1 = s1 + x * slope[at + 1]
            s2 = s2 + x * slope[at + 2]
            s3 = s3 + x * slope[at + 3]
        slopes[to], slopes[to + d], slopes[to + 2 * d], slopes[to + 3 * d] = s0, s1, s2, s3
        tile += 4
    while tile < tiles:
        s0 = slopes[tile * d + c]
        for b in range(count):
            s0 = s0 + X[(first + b) * d + c] * slope[b * tiles + tile]
        slopes[tile * d + c] = s0
        tile += 1


@jit(fastmath=JOINED)
def add_block(X, first, count, d, tiles, slope, slopes):
    """Add inputs to the sums of the first layer, of eight coordinates at a time; the factor a_j comes at the end."""
    c = 0
    while c + 8 <= d:
        for tile in range(tiles):
            to = tile * d + c
            s0, s1, s2, s3 = slopes[to], slopes[to + 1], slopes[to + 2], slopes[to + 3]
            s4, s5, s6, s7 = slopes[to + 4], slopes[to + 5], slopes[to + 6], slopes[to + 7]
            for b in range(count):
                at = (first + b) * d + c
                s = slope[b * tiles + tile]
                s0 = s0 + X[at] * s
                s1 = s1 + X[at + 1] * s
                s2 = s2 + X[at + 2] * s
                s3 = s3 + X[at + 3] * s
                s4 = s4 + X[at + 4] * s
                s5 = s5 + X[at + 5] * s
                s6 = s6 + X[at + 6] * s
                s7 = s7 + X[at + 7] * s
            slopes[to], slopes[to + 1], slopes[to + 2], slopes[to + 3] = s0, s1, s2, s3
            slopes[to + 4], slopes[to + 5], slopes[to + 6], slopes[to + 7] = s4, s5, s6, s7
        c += 8
    while c < d:
        add_coordinate(X, first, count, d, c, tiles, slope, slopes)
        c += 1


@callback(RHS_SIGNATURE)
def sample_flow(t, y, dy, params, work):
    """Gradient flow on the sample, eq. (S1); see the module's docstring for the layout.  `work` holds `work_size` numbers."""
    n, d, m = int(params[0]), int(params[1]), int(params[2])
    activation, loss = int(params[3]), int(params[4])
    X, labels = vector(params, HEAD, n * d), HEAD + n * d
    tiles = -(-m // LANES)
    wide = tiles * LANES
    second = vector(y, d * m, m)
    at_value = 2 * d * wide + wide
    at_slope = at_value + BLOCK * wide
    at_pre = at_slope + BLOCK * wide
    forces = vector(work, at_pre + BLOCK * wide, BLOCK)
    weights, slopes = packed(matrix(work, 0, d * tiles, LANES)), packed(matrix(work, d * wide, d * tiles, LANES))
    pulls = packed(matrix(work, 2 * d * wide, tiles, LANES))
    value = packed(matrix(work, at_value, BLOCK * tiles, LANES))
    slope = packed(matrix(work, at_slope, BLOCK * tiles, LANES))
    for i in range(at_value):
        work[i] = 0.0
    for c in range(d):
        for j in range(m):
            work[((j // LANES) * d + c) * LANES + j % LANES] = y[c * m + j]
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        fields(X, first, count, d, tiles, weights, packed(matrix(work, at_pre, BLOCK * tiles, LANES)))
        for b in range(count):
            row = vector(work, at_value + b * wide, wide)
            activate(activation, vector(work, at_pre + b * wide, wide), row, vector(work, at_slope + b * wide, wide))
            forces[b] = pull(loss, output_of(second, row), params[labels + first + b]) / n
        add_units(forces, count, tiles, value, slope, pulls)
        add_block(X, first, count, d, tiles, slope, slopes)
    for j in range(m):
        for c in range(d):
            dy[c * m + j] = work[d * wide + ((j // LANES) * d + c) * LANES + j % LANES] * y[d * m + j]
        dy[d * m + j] = work[2 * d * wide + j]


@jit((A2, A2, A1, ADDRESS, A1))
def outputs(X, Wt, a, activation, values):
    """Write the outputs at all inputs."""
    pre, value, slope = np.empty(a.size), np.empty(a.size), np.empty(a.size)
    for i in range(X.shape[0]):
        preactivations(X[i], Wt, pre)
        activate(activation, pre, value, slope)
        values[i] = output_of(a, value)


@jit(FLOAT(A1, A1, ADDRESS))
def mean_loss(values, labels, loss):
    """Return the mean loss of outputs."""
    total = 0.0
    for i in range(values.size):
        total += point_loss(loss, values[i], labels[i])
    return total / values.size


@jit((ADDRESS, FLOAT, A1, A1, A1, A1))
def evaluate(address, t, y, dy, params, work):
    """Evaluate a right-hand side once."""
    call_rhs(address, t, y, dy, params, work)
