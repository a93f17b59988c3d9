r"""Margins of homogeneous networks, their gradients, and the softmax that drives every margin flow.

A network :math:`f(\theta; x)` classifies the samples :math:`(x_i, y_i)`, :math:`y_i = \pm 1`, with margins
:math:`q_i(\theta) = y_i f(\theta; x_i)`.  It is homogeneous of order H: :math:`q(\rho u) = \rho^H q(u)`.  The loss is a sum,

===========  ==============================================  ===================================
exponential  :math:`L = \sum_i e^{-q_i}`                     :math:`p_i \propto e^{-q_i}`
logistic     :math:`L = \sum_i \log(1 + e^{-q_i})`           :math:`p_i \propto \sigma(-q_i)`
===========  ==============================================  ===================================

and its flow in the direction :math:`G = \sum_i p_i \nabla q_i` never sees the loss itself, only :math:`\ell = -\log L` and the
probabilities p: with :math:`B = \sum_i |L'(q_i)| / L` (one for the exponential loss), :math:`\nabla L = -L B G`.

Sizes: `X` (n, d), `y` and `q` and `p` (n,), `theta` (size,), `gradients` (n, size).
"""

import math

import numpy as np

from ..compiled.jit import A1, FLOAT, caller, jit

LINEAR, QUADRATIC, QUADRATIC_TRAINED, RELU, NORM_ONLY, SOFTPLUS, RELU_SKIP, USER = range(8)
EXPONENTIAL, LOGISTIC = range(2)

#: f(theta, x, gradient) writes the gradient of the output and returns the output
MODEL_SIGNATURE = FLOAT(A1, A1, A1)
call_model = caller(MODEL_SIGNATURE)


@jit
def margins(kind, theta, X, y, extra, q, gradients):
    """Write the margins of all samples and their gradients.

    `extra` holds the signs of the second layer (quadratic), or the address of a user's model.  A ReLU has
    the gate 0 at its kink.  For the norm-only model the columns of `X` are the outputs of the frozen units.
    """
    n, d = X.shape
    if kind == LINEAR:
        for i in range(n):
            total = 0.0
            for k in range(d):
                gradients[i, k] = y[i] * X[i, k]
                total += X[i, k] * theta[k]
            q[i] = y[i] * total
    elif kind == NORM_ONLY:
        for i in range(n):
            total = 0.0
            for k in range(d):
                slope = y[i] * X[i, k] * theta[k]
                gradients[i, k] = 2.0 * slope
                total += slope * theta[k]
            q[i] = total
    elif kind == USER:
        address = np.int64(extra[0])
        for i in range(n):
            q[i] = y[i] * call_model(address, theta, X[i], gradients[i])
            for k in range(theta.size):
                gradients[i, k] *= y[i]
    else:
        _two_layers(kind, theta, X, y, extra, q, gradients)


@jit
def _two_layers(kind, theta, X, y, signs, q, gradients):
    """Write margins and gradients of sum_j a_j s(w_j.x); theta holds the rows w_j, then a, then the weights of the skip."""
    n, d = X.shape
    fixed = kind == QUADRATIC
    skip = d if kind == RELU_SKIP else 0
    width = theta.size // d if fixed else (theta.size - skip) // (d + 1)
    second = width * d
    for i in range(n):
        total = 0.0
        for j in range(width):
            at = j * d
            z = 0.0
            for k in range(d):
                z += theta[at + k] * X[i, k]
            if kind in (QUADRATIC, QUADRATIC_TRAINED):
                value, slope = z * z, 2.0 * z
            elif kind == SOFTPLUS:
                decay = math.exp(-abs(z))
                value = max(z, 0.0) + math.log1p(decay)
                slope = 1.0 / (1.0 + decay) if z > 0 else decay / (1.0 + decay)
            else:
                value, slope = (z, 1.0) if z > 0 else (0.0, 0.0)
            a = signs[j] if fixed else theta[second + j]
            total += a * value
            factor = y[i] * a * slope
            for k in range(d):
                gradients[i, at + k] = factor * X[i, k]
            if not fixed:
                gradients[i, second + j] = y[i] * value
        for k in range(skip):
            total += theta[second + width + k] * X[i, k]
            gradients[i, second + width + k] = y[i] * X[i, k]
        q[i] = y[i] * total


@jit
def log_loss_logistic(q):
    """Return log log(1 + e^-q), the logarithm of one sample's logistic loss, for every q."""
    if q > 36.0:
        return -q - 0.5 * math.exp(-q)
    if q > -36.0:
        return math.log(math.log1p(math.exp(-q)))
    return math.log(-q)


@jit
def log_weight_logistic(q):
    """Return log sigma(-q)."""
    return -q - math.log1p(math.exp(-q)) if q > 0 else -math.log1p(math.exp(q))


@jit
def probabilities(loss, q, p, curvature):
    """Write p and the curvatures -d log p_i / d q_i; return minus the log loss, and B.

    Everything is formed from differences of margins: neither large margins nor tiny losses overflow.
    """
    n = q.size
    if loss == EXPONENTIAL:
        lowest = q.min()
        total = 0.0
        for i in range(n):
            p[i] = math.exp(lowest - q[i])
            curvature[i] = 1.0
            total += p[i]
        for i in range(n):
            p[i] /= total
        return lowest - math.log(total), 1.0
    highest = -math.inf
    top = -math.inf
    for i in range(n):
        p[i] = log_weight_logistic(q[i])
        curvature[i] = log_loss_logistic(q[i])
        highest = max(highest, p[i])
        top = max(top, curvature[i])
    weight = 0.0
    total = 0.0
    for i in range(n):
        p[i] = math.exp(p[i] - highest)
        weight += p[i]
        total += math.exp(curvature[i] - top)
        curvature[i] = 1.0 / (1.0 + math.exp(-q[i]))
    for i in range(n):
        p[i] /= weight
    log_loss = top + math.log(total)
    return -log_loss, math.exp(highest + math.log(weight) - log_loss)


@jit
def descent(p, gradients, G):
    """Write G = sum_i p_i grad q_i and return its squared norm."""
    G[:] = 0.0
    for i in range(p.size):
        if p[i] > 0.0:
            for k in range(G.size):
                G[k] += p[i] * gradients[i, k]
    total = 0.0
    for k in range(G.size):
        total += G[k] * G[k]
    return total


@jit
def inverse_loss(loss, ell):
    """Return the margin of a single sample with minus log loss `ell`: the numerator of the smoothed margin."""
    if loss == EXPONENTIAL or ell > 36.0:
        return ell
    value = math.exp(-ell)
    if value > 700.0:
        return -value
    return -math.log(math.expm1(value))


@jit
def scale_at(loss, ell, q, p, curvature, scaled):
    """Return the factor kappa > 0 at which the margins kappa q have minus log loss `ell`; NaN if a margin is not positive.

    Newton's method inside a bracket; `ell` increases with kappa because all margins are positive.
    """
    lowest = q.min()
    if not lowest > 0.0:
        return math.nan
    low = max(inverse_loss(loss, ell) / lowest, 0.0)
    high = max((ell + math.log(q.size)) / lowest, low)
    kappa = low
    for _ in range(100):
        for i in range(q.size):
            scaled[i] = kappa * q[i]
        value, B = probabilities(loss, scaled, p, curvature)
        slope = 0.0
        for i in range(q.size):
            slope += p[i] * q[i]
        slope *= B
        if value < ell:
            low = kappa
        else:
            high = kappa
        following = kappa + (ell - value) / slope
        if not (low <= following <= high):
            following = 0.5 * (low + high)
        if abs(following - kappa) <= 1e-11 * kappa:
            return following
        kappa = following
    return kappa


@jit(
    "UniTuple(float64, 2)(int64, int64, float64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1])"
)
def evaluate(kind, loss, theta, X, y, extra, q, p, gradients):
    """Write margins, probabilities and gradients; return minus log loss and B."""
    margins(kind, theta, X, y, extra, q, gradients)
    return probabilities(loss, q, p, q.copy())
