"""Checks of classification data: labels of one and minus one, inputs that are not zero."""

from __future__ import annotations

import numpy as np


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


#: Numbers whose third powers, and the products of those, are floats with all their digits.
LARGEST = 1e50


def check_scale(name: str, values: np.ndarray) -> None:
    """Refuse data whose rows are so long or so short that products of them leave the range of floats."""
    rows = np.abs(values).max(axis=tuple(range(1, values.ndim)), initial=0.0) if values.ndim > 1 else np.abs(values)
    wrong = (rows > LARGEST) | ((rows > 0) & (rows < 1 / LARGEST))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"Argument `{name}` must hold numbers between {1 / LARGEST:g} and {LARGEST:g} in size, but reaches {rows[i]:g} in row {i}: rescale it."
        )
