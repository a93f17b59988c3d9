"""Checks of ranges: steps and elements that a machine can hold, data that floats can multiply, labels of classes."""

from __future__ import annotations

import numpy as np

#: Steps that a float counts without gaps, and elements of the largest array (64 GB).
MOST_STEPS = 2**53
MOST_ELEMENTS = 2**33
#: Numbers whose third powers, and the products of those, are floats with all their digits.
LARGEST = 1e50


def steps_at(times: np.ndarray, step: float, name: str = "times") -> np.ndarray:
    """Return the whole numbers of steps nearest to `times`."""
    with np.errstate(over="ignore", divide="ignore"):
        counts = np.round(times / step)
    if not counts.max(initial=0.0) <= MOST_STEPS:
        raise ValueError(
            f"Argument `{name}` must lie within {MOST_STEPS:.3g} steps, but reaches {times.max():g}, which takes {counts.max():.3g} steps of {step:g}."
        )
    return counts.astype(np.int64)


def check_elements(name: str, value: int, elements: float) -> None:
    """Refuse an argument that makes an array of more elements than a machine holds."""
    if elements > MOST_ELEMENTS:
        raise ValueError(
            f"Argument `{name}` must leave arrays below {MOST_ELEMENTS:.2g} numbers, but at {value:.6g} one has {elements:.2g}."
        )


def check_classes(X: np.ndarray, y: np.ndarray, suffix: str = "") -> None:
    """Refuse labels other than 1 and -1, and inputs that are zero."""
    wrong = np.abs(y) != 1
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"Argument `y{suffix}` must hold the labels 1 and -1, but holds {y[i]:g} at index {i}.")
    zero = ~X.any(axis=1)
    if zero.any():
        raise ValueError(
            f"Argument `X{suffix}` must not hold zero vectors: no homogeneous model classifies row {int(np.argmax(zero))}."
        )
    check_scale(f"X{suffix}", X)


def check_scale(name: str, values: np.ndarray) -> None:
    """Refuse data whose rows are so long or so short that products of them leave the range of floats."""
    rows = np.abs(values).max(axis=tuple(range(1, values.ndim)), initial=0.0) if values.ndim > 1 else np.abs(values)
    wrong = (rows > LARGEST) | ((rows > 0) & (rows < 1 / LARGEST))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"Argument `{name}` must hold numbers between {1 / LARGEST:g} and {LARGEST:g} in size, but reaches {rows[i]:g} in row {i}: rescale it."
        )
