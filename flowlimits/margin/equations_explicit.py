r"""Margin flow by explicit steps as long as stability and accuracy allow: for models with kinks, and for steepest descent.

In the clock :math:`\ell = -\log L` (see `equations` for B, G, p) the flow of steepest descent in the norm N moves along

===========  ==========================================  =========================
geometry     v, with N(v) = 1                            dual norm <v, G>
===========  ==========================================  =========================
l2           G / \|G\|                                   \|G\|
linf         sign G                                      :math:`|G|_1`
l1           the largest coordinate of G, with its sign  :math:`|G|_\infty`
===========  ==========================================  =========================

at the speed :math:`L B \langle v, G\rangle` in time t.  The probabilities p relax at rates up to
:math:`\sum_i p_i|\nabla q_i|^2` per unit of descent, so a step changes no logit by more than a fraction of one; what is
slow is then resolved far better than asked.  Where the logits are slow (large loss, small weights) a step is
bounded by a fraction of the norm and taken by Heun's method.  At kinks the flow slides: the steps straddle the kink
within their own length.

The state between two slices of work: theta; `numbers` = (T, path length, steps done, minus log loss, edge); the
direction at the last vertex of the path.  The path is measured as a polygon with edges of that length, usually `EDGE`, so that the
zigzag across a kink does not count.
"""

import math

import numpy as np

from ..compiled.jit import jit
from .equations import EXPONENTIAL, descent, log_weight_logistic, margins, probabilities

L2, LINF, L1 = range(3)
REACHED, RUNNING, STATIONARY, NOT_FINITE = range(4)
EDGE = 1e-3


@jit
def norm_of(geometry, theta):
    """Return the norm that the geometry names."""
    if geometry == L2:
        return math.sqrt((theta * theta).sum())
    if geometry == LINF:
        return np.abs(theta).max()
    return np.abs(theta).sum()


@jit
def steepest(geometry, G, v):
    """Write the direction of steepest descent and return the dual norm of G."""
    if geometry == L2:
        norm = 0.0
        for k in range(G.size):
            norm += G[k] * G[k]
        norm = math.sqrt(norm)
        for k in range(G.size):
            v[k] = G[k] / norm
        return norm
    if geometry == LINF:
        total = 0.0
        for k in range(G.size):
            v[k] = np.sign(G[k])
            total += abs(G[k])
        return total
    best = 0
    for k in range(G.size):
        v[k] = 0.0
        if abs(G[k]) > abs(G[best]):
            best = k
    v[best] = np.sign(G[best])
    return abs(G[best])


@jit
def _longest_step(geometry, gradients, p, v, dual, logit_step):
    """Return the longest stable step along v: no logit moves by more than `logit_step`."""
    fastest, stiffness = 0.0, 0.0
    for i in range(p.size):
        change, square = 0.0, 0.0
        for k in range(v.size):
            change += v[k] * gradients[i, k]
            square += gradients[i, k] * gradients[i, k]
        fastest = max(fastest, abs(change))
        stiffness += p[i] * square
    step = logit_step / fastest if fastest > 0 else math.inf
    if geometry == L2:
        step = min(step, logit_step * dual / stiffness)
    return step


@jit
def _extend_path(geometry, theta, vertex, numbers, shortest):
    """Add the edge from the last vertex of the path to the present direction, if it is long enough."""
    norm = norm_of(geometry, theta)
    if not norm > 0:
        return
    if vertex[0] == math.inf:
        # A start at the origin has no direction: the path begins with the first step.
        for k in range(theta.size):
            vertex[k] = theta[k] / norm
        return
    length = 0.0
    for k in range(theta.size):
        length += (theta[k] / norm - vertex[k]) ** 2
    length = math.sqrt(length)
    if length >= shortest:
        numbers[1] += length
        for k in range(theta.size):
            vertex[k] = theta[k] / norm


@jit
def scaled_time(scaled, duration, gain):
    """Return T = t exp(-ell) after a step that takes `duration` in units of 1/L and gains `gain` in ell."""
    mean = -math.expm1(-gain) / gain if abs(gain) > 1e-12 else 1.0
    return scaled * math.exp(-gain) + duration * mean


@jit
def _write_output(
    kind, loss, geometry, before, after, X, y, extra, start, end, duration, target, numbers, vertex, output, extras
):
    """Write the point of the last step whose loss is that of the target, by the secant method, and T and the path there."""
    n, size = X.shape[0], after.size
    gradients = np.empty((n, size))
    q, p, curvature = np.empty(n), np.empty(n), np.empty(n)
    low, high, low_value, high_value = 0.0, 1.0, start, end
    for _ in range(6):
        part = low + (target - low_value) / (high_value - low_value) * (high - low) if high_value > low_value else high
        part = min(max(part, 0.0), 1.0)
        for k in range(size):
            output[k] = before[k] + part * (after[k] - before[k])
        margins(kind, output, X, y, extra, q, gradients)
        value, _ = probabilities(loss, q, p, curvature)
        if abs(value - target) <= 1e-13 * (1.0 + abs(target)):
            break
        if value < target:
            low, low_value = part, value
        else:
            high, high_value = part, value
    extras[0] = scaled_time(numbers[0], part * duration, target - start)
    norm = norm_of(geometry, output)
    length = 0.0
    if norm > 0 and vertex[0] != math.inf:
        for k in range(size):
            length += (output[k] / norm - vertex[k]) ** 2
    extras[1] = numbers[1] + math.sqrt(length)


@jit(
    "UniTuple(int64, 2)(int64, int64, int64, float64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], int64,"
    " float64[::1], float64[::1], float64[:, ::1], float64[:, ::1], float64, float64, int64)"
)
def advance(
    kind,
    loss,
    geometry,
    theta,
    X,
    y,
    extra,
    targets,
    done,
    numbers,
    vertex,
    outputs,
    extras,
    fraction,
    logit_step,
    budget,
):
    """Take at most `budget` steps; return a status and the number of targets reached.

    At each target (minus log loss, increasing) the weights go to a row of `outputs`, and T and the path length to
    a row of `extras`.
    """
    n, size = X.shape[0], theta.size
    gradients = np.empty((n, size))
    q, p, curvature = np.empty(n), np.empty(n), np.empty(n)
    G, v, before, middle = np.empty(size), np.empty(size), np.empty(size), np.empty(size)

    margins(kind, theta, X, y, extra, q, gradients)
    ell, B = probabilities(loss, q, p, curvature)
    descent(p, gradients, G)
    dual = steepest(geometry, G, v)
    for _ in range(budget):
        if done == targets.size:
            return REACHED, done
        if not math.isfinite(ell):
            return NOT_FINITE, done
        scale = 0.0
        for i in range(n):
            square = 0.0
            for k in range(size):
                square += gradients[i, k] * gradients[i, k]
            scale += p[i] * math.sqrt(square)
        if not dual > 1e-13 * scale:
            return STATIONARY, done
        h = _longest_step(geometry, gradients, p, v, dual, logit_step)
        norm = norm_of(geometry, theta)
        limit = fraction * norm if norm > 0 else fraction * h
        if vertex[0] == math.inf and norm > 0:
            for k in range(size):
                vertex[k] = theta[k] / norm
        careful = limit < h
        h = min(h, limit)
        before[:] = theta
        start, slowness = ell, 1.0 / (B * dual)
        for k in range(size):
            theta[k] += h * v[k]
        if careful and geometry == L2:
            # Heun in the arc length: the second stage sees the direction at the end of the step.
            margins(kind, theta, X, y, extra, q, gradients)
            probabilities(loss, q, p, curvature)
            descent(p, gradients, G)
            middle[:] = v
            steepest(geometry, G, v)
            for k in range(size):
                theta[k] = before[k] + 0.5 * h * (middle[k] + v[k])
        margins(kind, theta, X, y, extra, q, gradients)
        ell, B = probabilities(loss, q, p, curvature)
        descent(p, gradients, G)
        dual = steepest(geometry, G, v)
        # Not from the gain in ell: where the flow slides on a kink it gains less than its speed says.
        duration = 0.5 * h * (slowness + 1.0 / (B * dual))
        numbers[2] += 1
        while done < targets.size and ell >= targets[done]:
            _write_output(
                kind,
                loss,
                geometry,
                before,
                theta,
                X,
                y,
                extra,
                start,
                ell,
                duration,
                targets[done],
                numbers,
                vertex,
                outputs[done],
                extras[done],
            )
            done += 1
        numbers[0] = scaled_time(numbers[0], duration, ell - start)
        numbers[3] = ell
        _extend_path(geometry, theta, vertex, numbers, numbers[4])
    return (REACHED if done == targets.size else RUNNING), done


@jit(
    "int64(int64, int64, int64, float64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], int64, float64[::1], float64[::1],"
    " float64[:, ::1], float64[:, ::1], float64, int64[:, ::1], int64)"
)
def descend(
    kind,
    loss,
    geometry,
    theta,
    X,
    y,
    extra,
    targets,
    done,
    numbers,
    vertex,
    outputs,
    extras,
    learning_rate,
    batches,
    budget,
):
    """Take at most `budget` steps; return the number of targets reached.

    A row of `batches` holds the samples of one step; without rows every step uses all of them.  `numbers` holds
    the time (learning rate times steps), the path length of the direction, the steps, and minus log loss.
    At the first step at or beyond each target the weights, and time and path length, are written.
    """
    n, size = X.shape[0], theta.size
    gradients = np.empty((n, size))
    q, p, curvature = np.empty(n), np.empty(n), np.empty(n)
    batch = batches.shape[1]
    for step in range(budget):
        margins(kind, theta, X, y, extra, q, gradients)
        ell, _ = probabilities(loss, q, p, curvature)
        numbers[3] = ell
        _extend_path(geometry, theta, vertex, numbers, 1e-3)
        while done < targets.size and ell >= targets[done]:
            outputs[done] = theta
            extras[done, 0], extras[done, 1] = numbers[0], numbers[1]
            done += 1
        if done == targets.size or not math.isfinite(ell):
            break
        for i in range(n):
            p[i] = math.exp(-q[i]) if loss == EXPONENTIAL else math.exp(log_weight_logistic(q[i]))
        if batches.shape[0] == 0:
            for i in range(n):
                for k in range(size):
                    theta[k] += learning_rate * p[i] * gradients[i, k]
        else:
            factor = learning_rate * n / batch
            for b in range(batch):
                i = batches[step, b]
                for k in range(size):
                    theta[k] += factor * p[i] * gradients[i, k]
        numbers[0] += learning_rate
        numbers[2] += 1
    return done
