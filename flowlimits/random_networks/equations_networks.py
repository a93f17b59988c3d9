r"""Random ReLU networks of any depth without biases: outputs, guess and check, gradient of the logistic loss.

All weights of a network lie in one vector, layer by layer, each layer a matrix of shape (outputs, inputs) by rows:
(width, d), then depth - 1 times (width, width), then (1, width).  Drawn weights have variance 1/inputs.
"""

import math

import numpy as np

from ..compiled.jit import jit

GAUSSIAN, UNIFORM = range(2)


@jit
def count_weights(features, width, depth):
    """Return the number of weights."""
    return width * features + (depth - 1) * width * width + width


@jit
def draw(generator, law, features, width, depth, theta):
    """Write random weights of variance 1/inputs, Gaussian or uniform."""
    at = 0
    for layer in range(depth + 1):
        inputs = features if layer == 0 else width
        outputs = width if layer < depth else 1
        scale = math.sqrt(1.0 / inputs)
        if law == UNIFORM:
            bound = scale * math.sqrt(3.0)
            for k in range(at, at + inputs * outputs):
                theta[k] = bound * (2.0 * generator.random() - 1.0)
        else:
            for k in range(at, at + inputs * outputs):
                theta[k] = scale * generator.standard_normal()
        at += inputs * outputs


@jit
def output(theta, x, width, depth, hidden):
    """Return the output at x; `hidden` (depth, width) receives the activities."""
    at = 0
    inputs = x.size
    for layer in range(depth):
        for j in range(width):
            total = 0.0
            if layer == 0:
                for k in range(inputs):
                    total += theta[at + k] * x[k]
            else:
                for k in range(inputs):
                    total += theta[at + k] * hidden[layer - 1, k]
            hidden[layer, j] = max(total, 0.0)
            at += inputs
        inputs = width
    total = 0.0
    for k in range(width):
        total += theta[at + k] * hidden[depth - 1, k]
    return total


@jit
def test_error(theta, X, y, width, depth, hidden):
    """Return the share of misclassified rows; an output of exactly zero (dead units) counts one half."""
    wrong = 0.0
    for i in range(y.size):
        value = y[i] * output(theta, X[i], width, depth, hidden)
        if value < 0.0:
            wrong += 1.0
        elif value == 0.0:
            wrong += 0.5
    return wrong / y.size


@jit
def guess(generator, law, width, depth, X, y, X_test, y_test, networks, errors):
    """Draw `networks` networks, write the test errors of those that classify every training point, return their number."""
    theta = np.empty(count_weights(X.shape[1], width, depth))
    hidden = np.empty((depth, width))
    accepted = 0
    for _ in range(networks):
        draw(generator, law, X.shape[1], width, depth, theta)
        fits = True
        for i in range(y.size):
            if not y[i] * output(theta, X[i], width, depth, hidden) > 0.0:
                fits = False
                break
        if fits:
            errors[accepted] = test_error(theta, X_test, y_test, width, depth, hidden)
            accepted += 1
    return accepted


@jit
def loss_gradient(theta, X, y, width, depth, gradient, hidden, back):
    """Write minus the gradient of the mean logistic loss; return the loss and the number of misclassified rows.

    `hidden` and `back` are scratch of shape (depth, width).
    """
    gradient[:] = 0.0
    loss, wrong = 0.0, 0
    n, d = X.shape
    last = theta.size - width
    for i in range(n):
        q = y[i] * output(theta, X[i], width, depth, hidden)
        decay = math.exp(-abs(q))
        loss += math.log1p(decay) + max(-q, 0.0)
        weight = y[i] * (decay / (1.0 + decay) if q > 0 else 1.0 / (1.0 + decay)) / n
        if not q > 0.0:
            wrong += 1
        for k in range(width):
            gradient[last + k] += weight * hidden[depth - 1, k]
            back[depth - 1, k] = weight * theta[last + k] if hidden[depth - 1, k] > 0.0 else 0.0
        at = last
        for layer in range(depth - 1, -1, -1):
            inputs = d if layer == 0 else width
            at -= width * inputs
            if layer > 0:
                for k in range(width):
                    back[layer - 1, k] = 0.0
            for j in range(width):
                slope = back[layer, j]
                if slope == 0.0:
                    continue
                row = at + j * inputs
                if layer == 0:
                    for k in range(d):
                        gradient[row + k] += slope * X[i, k]
                else:
                    for k in range(width):
                        gradient[row + k] += slope * hidden[layer - 1, k]
                        back[layer - 1, k] += slope * theta[row + k]
            if layer > 0:
                for k in range(width):
                    if not hidden[layer - 1, k] > 0.0:
                        back[layer - 1, k] = 0.0
    return loss / n, wrong


@jit
def descend(theta, X, y, width, depth, learning_rate, steps, target):
    """Descend until the loss is at most `target` or `steps` are done; return loss, misclassified rows, steps."""
    gradient = np.empty(theta.size)
    hidden, back = np.empty((depth, width)), np.empty((depth, width))
    for step in range(steps):
        loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
        if loss <= target:
            return loss, wrong, step
        for k in range(theta.size):
            theta[k] += learning_rate * gradient[k]
    loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
    return loss, wrong, steps


@jit
def flow(theta, X, y, width, depth, tolerance, steps, target):
    """Follow gradient flow until the loss is at most `target`, by Heun's method with Euler's as error estimate.

    `tolerance` bounds the estimated error of a step relative to the norm of the weights.
    """
    size = theta.size
    gradient, ahead, moved = np.empty(size), np.empty(size), np.empty(size)
    hidden, back = np.empty((depth, width)), np.empty((depth, width))
    loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
    h = 0.0
    for step in range(steps):
        if loss <= target:
            return loss, wrong, step
        norm, speed = 0.0, 0.0
        for k in range(size):
            norm += theta[k] * theta[k]
            speed += gradient[k] * gradient[k]
        if speed == 0.0:
            return loss, wrong, step
        if h == 0.0:
            h = 1e-3 * math.sqrt(norm / speed)
        for k in range(size):
            moved[k] = theta[k] + h * gradient[k]
        loss_gradient(moved, X, y, width, depth, ahead, hidden, back)
        error = 0.0
        for k in range(size):
            error += (ahead[k] - gradient[k]) ** 2
        error = 0.5 * h * math.sqrt(error / norm) / tolerance
        factor = min(max(0.9 / math.sqrt(max(error, 1e-10)), 0.2), 2.0)
        if error <= 1.0:
            for k in range(size):
                theta[k] += 0.5 * h * (gradient[k] + ahead[k])
            loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
        h *= factor
    return loss, wrong, steps
