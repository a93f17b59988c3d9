"""One step of SGD written out: increments of the overlaps from drawn fields, by group of a covariance, and none of the package's code."""

import math

import numpy as np
from scipy.special import erf

SLOPES = {
    "erf": (lambda x: erf(x / math.sqrt(2)), lambda x: math.sqrt(2 / math.pi) * np.exp(-x * x / 2)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "linear": (lambda x: x, lambda x: np.ones_like(x)),
    "hermite3": (lambda x: x**3 - 3 * x, lambda x: 3 * x * x - 3),
}


def root(C):
    values, vectors = np.linalg.eigh(C)
    return vectors * np.sqrt(np.maximum(values, 0))


def increments(problem, d, draws, rng):
    """Return the changes of one step times d, one row per draw: Q_l (upper triangle) and R_l group by group, then the second layer.

    The squared length of what is left of the input in each group is replaced by its mean.
    """
    p, k = problem.R.shape[-2:]
    grouped = problem.covariance is not None
    Q, R, T = (getattr(problem, one) if grouped else getattr(problem, one)[None] for one in "QRT")
    c, q = (problem.covariance.eigenvalues, problem.covariance.weights) if grouped else (np.ones(1), np.ones(1))
    C = np.concatenate([np.concatenate([Q, R], 2), np.concatenate([R.swapaxes(1, 2), T], 2)], 1)
    z = rng.normal(size=(len(c), draws, p + k))
    parts = np.stack([np.sqrt(one) * (x @ root(block).T) for one, x, block in zip(c, z, C)])
    lam = parts.sum(0)
    s, slope = SLOPES["square" if problem.activation == "centred" else problem.activation]
    own, other = s(lam[:, :p]), s(lam[:, p:])
    norms = np.einsum("l,lii->i", c, C)
    if problem.activation == "centred":
        own, other = own - norms[:p], other - norms[p:]
    a, b = problem.second_layer, problem.teacher_second_layer
    e = own @ a / p - other @ b / k + math.sqrt(problem.noise) * rng.normal(size=draws)
    rate = problem.learning_rate
    h = rate / (p * d)
    # W <- keep_l W + g x^T / sqrt(d) in group l.
    g = -rate / p * a * e[:, None] * slope(lam[:, :p])
    rows = []
    after = []
    for l in range(len(c)):
        keep = 1 - h * problem.weight_decay + np.zeros((draws, p))
        if problem.activation == "centred":
            keep = keep + 2 * c[l] * rate / p * a * e[:, None] / d
        field = parts[l]
        length = c[l] * (q[l] * d + (z[l] ** 2).sum(1) - (p + k)) / d
        new_Q = (
            keep[:, :, None] * keep[:, None] * Q[l]
            + (keep[:, :, None] * field[:, :p, None] * g[:, None] + keep[:, None] * field[:, None, :p] * g[:, :, None])
            / d
            + length[:, None, None] * g[:, :, None] * g[:, None] / d
        )
        new_R = keep[:, :, None] * R[l] + g[:, :, None] * field[:, None, p:] / d
        after.append((new_Q, new_R))
    if problem.spherical:
        old = np.einsum("lii->i", Q)
        scale = np.sqrt(old / sum(np.einsum("mii->mi", one) for one, _ in after))
        after = [(x * scale[:, :, None] * scale[:, None], y * scale[:, :, None]) for x, y in after]
    i, j = np.triu_indices(p)
    for l, (x, y) in enumerate(after):
        rows += [(x - Q[l])[:, i, j], (y - R[l]).reshape(draws, -1)]
    if problem.second_layer_rate > 0:
        rows.append(-h * problem.second_layer_rate * e[:, None] * own)
    return d * np.concatenate(rows, axis=1)
