"""Laws of eigenvalues at a finite dimension, and the form in which nodes and weights are kept."""

from __future__ import annotations

import math

import numpy as np

from ..core import checks


def largest_remainders(weights: np.ndarray, dimension: int) -> np.ndarray:
    """Return whole numbers near weights * dimension that sum to `dimension`, shape (n,)."""
    checks.counts(dimension, "Argument `dimension` asks")
    exact = weights * dimension
    counts = np.floor(exact + 1e-9).astype(np.int64)
    missing = dimension - int(counts.sum())
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[:missing]] += 1
    return counts


def width(ratio: float, dimension: int) -> int:
    """Return the width nearest to ratio * dimension, at least one."""
    result = int(checks.counts(ratio * float(dimension), "The ratio and the argument `dimension` ask"))
    if result < 1:
        raise ValueError(
            f"Argument `dimension` must be at least {math.floor(0.5 / ratio) + 1} to realise the ratio {ratio:g}, but is {dimension}."
        )
    return result


def check_not_negative(name: str, values: np.ndarray, reason: str) -> None:
    """Refuse values below zero; `reason` ends the sentence."""
    if (values < 0).any():
        i = int(np.argmax(values < 0))
        raise ValueError(f"Argument `{name}` must not be negative, but is {values[i]:g} at index [{i}]. {reason}")


def merge(nodes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes of positive weight, increasing, equal ones as one, and their weights."""
    kept = weights > 0
    distinct, inverse = np.unique(nodes[kept], return_inverse=True)
    if distinct.size == nodes.size:
        return distinct, weights[np.argsort(nodes)]
    return distinct, np.bincount(inverse, weights[kept], minlength=distinct.size)


def shares(nodes: np.ndarray, weights: np.ndarray, power: float) -> np.ndarray:
    """Return weights * nodes^power divided by their sum."""
    if power < 0 and (nodes == 0).any():
        raise ValueError(f"Argument `power` must not be negative for eigenvalues that are zero, but is {power:g}.")
    if not (nodes * weights > 0).any():
        raise ValueError("A spectrum whose eigenvalues are all zero has no shares.")
    parts = weights * (nodes / nodes.max()) ** power
    return parts / parts.sum()
