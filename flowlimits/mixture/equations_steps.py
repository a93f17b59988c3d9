r"""One-pass SGD on the XOR mixture, step by step: on real weights, or as a Markov chain of the overlaps.

One step is :math:`w_k \leftarrow w_k + \frac{\eta}{d}\,a_k\,g\,1(w_k\cdot x > 0)\,x` with the pull g of the loss at a fresh input, and
:math:`a_k\leftarrow a_k + \frac{\eta}{d} r\, g\,(w_k\cdot x)_+`, eq. (X14).  A fresh Gaussian input enters the overlaps only through its
projections on the weights and the centres and through :math:`|x|^2`, which is the squared length of its projection plus
:math:`s^2\chi^2_{d-K-2}`: the chain is exact in law at every dimension d >= K + 2.
"""

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, jit
from .equations_atoms import single_pull
from .equations_sampled import factor

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
