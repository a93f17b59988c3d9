"""Losses of the label, averaged over label noise, as functions of the output.

`loss` is 0 for squared, 1 for logistic, 2 for exponential; `label` is the clean label, +1 or -1.
"""

import math

from ..compiled.jit import jit

SQUARED, LOGISTIC, EXPONENTIAL = range(3)
LOSSES = ("squared", "logistic", "exponential")


@jit
def sigmoid(z):
    """Return 1 / (1 + exp(-z)) without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


@jit
def softplus(z):
    """Return log(1 + exp(z)) without overflow."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@jit
def mean_loss(loss, output, label, label_noise):
    """Return the loss of an output, averaged over a label flip of probability `label_noise`."""
    z = label * output
    if loss == SQUARED:
        return 0.5 * (1.0 - 2.0 * (1.0 - 2.0 * label_noise) * z + z * z)
    if loss == LOGISTIC:
        return (1.0 - label_noise) * softplus(-z) + label_noise * softplus(z)
    return (1.0 - label_noise) * math.exp(-z) + label_noise * math.exp(z)


@jit
def pull(loss, output, label, label_noise):
    """Return minus the derivative of `mean_loss` with respect to the output."""
    z = label * output
    if loss == SQUARED:
        return (1.0 - 2.0 * label_noise) * label - output
    if loss == LOGISTIC:
        return label * ((1.0 - label_noise) * sigmoid(-z) - label_noise * sigmoid(z))
    return label * ((1.0 - label_noise) * math.exp(-z) - label_noise * math.exp(z))


@jit
def linear_pull(loss, label_noise):
    """Return (b, c) such that the pull is close to b * label - c * output at small outputs, and equal to it for SQUARED."""
    if loss == LOGISTIC:
        return 0.5 * (1.0 - 2.0 * label_noise), 0.25
    return 1.0 - 2.0 * label_noise, 1.0


@jit
def mean_square_pull(loss, output, label, label_noise):
    """Return the mean over label flips of the squared derivative: the strength of the noise of one-pass SGD."""
    z = label * output
    if loss == SQUARED:
        return 1.0 - 2.0 * (1.0 - 2.0 * label_noise) * z + z * z
    if loss == LOGISTIC:
        return (1.0 - label_noise) * sigmoid(-z) ** 2 + label_noise * sigmoid(z) ** 2
    return (1.0 - label_noise) * math.exp(-2.0 * z) + label_noise * math.exp(2.0 * z)


@jit
def single_pull(loss, output, label):
    """Return minus the derivative of the loss of one sample with the label it carries."""
    return pull(loss, output, label, 0.0)
