"""Overlaps in three eigenvalue groups, of a reference problem."""

import numpy as np

from flowlimits.spectrum.groups import CovarianceGroups

SHARES = np.array([0.5, 0.3, 0.2])
Q = SHARES[:, None, None] * np.array([[0.6, 0.1], [0.1, 0.5]])
T = SHARES[:, None, None] * np.array([[1.0, 0.2], [0.2, 1.0]])
R = np.array([[[0.1, 0.05], [0.02, 0.12]], [[0.03, -0.02], [0.01, 0.05]], [[0.0, 0.02], [0.02, 0.01]]])
GROUPS = CovarianceGroups([1.6, 0.5, 0.25], SHARES)


def risk_of(W, W_star, S, activation):
    """Return the population risk of weights, by the closed forms of two fields."""
    units, d = np.vstack([W, W_star]), W.shape[1]
    C = units @ S @ units.T / d
    norms = np.diag(C)
    if activation == "erf":
        K = 2 / np.pi * np.arcsin(C / np.sqrt(np.outer(1 + norms, 1 + norms)))
    elif activation == "relu":
        angle = np.arccos(np.clip(C / np.sqrt(np.outer(norms, norms)), -1, 1))
        K = np.sqrt(np.outer(norms, norms)) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    else:
        K = np.outer(norms, norms) + 2 * C**2
    signs = np.concatenate([np.full(len(W), 1 / len(W)), np.full(len(W_star), -1 / len(W_star))])
    return 0.5 * signs @ K @ signs
