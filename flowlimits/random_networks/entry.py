"""Compiled blocks of work on random networks that Python calls: one signature each."""

import numba
import numpy as np

from ..compiled.jit import jit
from .equations_networks import count_weights, descend, draw, flow, guess, test_error

_GENERATOR = numba.typeof(np.random.default_rng(0))
_A1, _A2, _I, _F = numba.float64[::1], numba.float64[:, ::1], numba.int64, numba.float64


@jit(_I(_GENERATOR, _I, _I, _I, _A2, _A1, _A2, _A1, _I, _A1))
def guess_block(generator, law, width, depth, X, y, X_test, y_test, networks, errors):
    """Guess `networks` networks; write the test errors of those accepted and return their number."""
    return guess(generator, law, width, depth, X, y, X_test, y_test, networks, errors)


@jit(numba.void(_GENERATOR, _I, _I, _I, _A2, _A1, _A2, _A1, _I, _F, _I, _F, _A1))
def train(generator, law, width, depth, X, y, X_test, y_test, follow, rate, steps, target, outcome):
    """Train one network; `outcome` receives loss, misclassified training points, steps and test error.

    `rate` is the learning rate of gradient descent, or the tolerance of gradient flow if `follow`.
    """
    theta = np.empty(count_weights(X.shape[1], width, depth))
    draw(generator, law, X.shape[1], width, depth, theta)
    if follow == 1:
        loss, wrong, done = flow(theta, X, y, width, depth, rate, steps, target)
    else:
        loss, wrong, done = descend(theta, X, y, width, depth, rate, steps, target)
    outcome[0], outcome[1], outcome[2] = loss, wrong, done
    outcome[3] = test_error(theta, X_test, y_test, width, depth, np.empty((depth, width)))
