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
