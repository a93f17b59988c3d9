"""The Marchenko-Pastur law of mean one: its positive part, in Gauss nodes, in an angle without edges, in quantiles.

`ratio` is width over dimension; below one the rest of the weight is an atom at zero.
"""

from __future__ import annotations

import math

import numpy as np


def gauss_nodes(ratio: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss quadrature of the positive part, normalised to one.

    The orthogonal polynomials of the law have the constant recurrence coefficients 1 + c and c after the first
    row (free Poisson law of parameter c = 1/ratio; below ratio one, that of c = ratio scaled by 1/ratio).
    """
    parameter, scale = (ratio, 1 / ratio) if ratio < 1 else (1 / ratio, 1.0)
    diagonal = np.full(count, 1 + parameter)
    diagonal[0] = 1
    beside = np.full(count - 1, math.sqrt(parameter))
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    weights = vectors[0] ** 2
    return np.maximum(values, 0) * scale, weights / weights.sum()


def edges(ratio: float) -> tuple[float, float]:
    """Return the edges of the positive part of the law of mean one."""
    root = 1 / math.sqrt(ratio)
    return (1 - root) ** 2, (1 + root) ** 2


def middle_of(ratio: float, scale: float) -> tuple[float, float]:
    """Return the middle and half the length of the support of the positive part, scaled."""
    low, high = edges(ratio)
    return scale * (low + high) / 2, scale * (high - low) / 2


def in_angle(ratio: float, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and the density of the law with respect to the angle, increasing from the lower edge.

    Parameters
    ----------
    ratio : float
        Width over dimension.
    theta : ndarray
        Angles in [0, pi], or complex ones nearby: the eigenvalue is the middle of the support minus half its length
        times cos(theta).
    """
    low, high = edges(ratio)
    half = (high - low) / 2
    # low + 2 half sin^2: no cancellation at a lower edge near zero.
    values = low + 2 * half * np.sin(theta / 2) ** 2
    sine = np.sin(theta)
    with np.errstate(invalid="ignore", divide="ignore"):
        density = ratio * half**2 * sine**2 / (2 * math.pi * values)
    limit = ratio * half / math.pi * np.cos(theta / 2) ** 2
    return values, np.where(values != 0, density, limit)


def quantiles(ratio: float, count: int) -> np.ndarray:
    """Return the quantiles (i + 1/2)/count of the positive part."""
    # The angle is stretched towards the lower edge, where the law is singular near ratio one.
    theta = math.pi * np.linspace(0, 1, 20_001) ** 2
    middle = (theta[1:] + theta[:-1]) / 2
    mass = np.append(0, np.cumsum(in_angle(ratio, middle)[1] * np.diff(theta)))
    at = np.interp((np.arange(count) + 0.5) / count, mass / mass[-1], theta)
    return in_angle(ratio, at)[0]
