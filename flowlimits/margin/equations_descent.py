"""Gradient descent with a constant step on the loss of a classifier, on all samples or on random batches."""

import math

import numpy as np

from ..compiled.jit import jit
from .equations import EXPONENTIAL, log_weight_logistic, margins, probabilities
from .equations_explicit import _extend_path

VERSION = 1


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
