r"""Covariance of the outputs of wide random ReLU networks.

A network of `depth` hidden layers, no biases, weights of mean zero and variance 1/fan-in, is a Gaussian process in the
limit of infinite widths, with the covariance

.. math::
    K_0(x, x') = \frac{x\cdot x'}{d}, \qquad
    K_{l+1}(x, x') = \frac{\sqrt{K_l(x,x)\,K_l(x',x')}}{2\pi}\bigl(\sin\vartheta + (\pi - \vartheta)\cos\vartheta\bigr),

:math:`\vartheta` the angle that :math:`K_l` gives to the pair (Cho and Saul, 2009).  Signs of outputs do not see the scale, so
that the factor two of each layer is dropped: :math:`K_l(x, x)` is the same for all l.
"""

from __future__ import annotations

import numpy as np


def cosines(X: np.ndarray) -> np.ndarray:
    """Return the cosines of the angles between the rows of `X`, shape (n, n), with ones on the diagonal."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    result = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(result, 1.0)
    return result


def arc_cosine(C: np.ndarray) -> np.ndarray:
    """Return the correlations after one more hidden layer, from those before it."""
    angle = np.arccos(np.clip(C, -1.0, 1.0))
    result = (np.sin(angle) + (np.pi - angle) * C) / np.pi
    np.fill_diagonal(result, 1.0)
    return result


def correlations(X: np.ndarray, depth: int) -> np.ndarray:
    """Return the correlations of the outputs at the rows of `X`, for networks of `depth` hidden layers.

    The scale of each row is irrelevant: without biases the output is homogeneous in x.
    """
    C = cosines(X)
    for _ in range(depth):
        C = arc_cosine(C)
    return C
