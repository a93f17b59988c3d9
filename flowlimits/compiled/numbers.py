"""Choices between numbers in words that serve one problem and all SIMD lanes alike (compiled part).

`simd` defines the same functions for vectors of one number per lane; only batches load it.
"""

import numpy as np
from numba import types
from numba.extending import overload


def maximum(first, second):
    """Return ``max(first, second)`` in every lane."""
    return np.where(second > first, second, first)[()]


def minimum(first, second):
    """Return ``min(first, second)`` in every lane."""
    return np.where(second < first, second, first)[()]


def where(condition, this, other):
    """Return `this` in the lanes where the condition holds, `other` elsewhere; also of single numbers."""
    return np.where(condition, this, other)[()]


@overload(maximum)
def _maximum(first, second):
    if isinstance(first, types.Float) and isinstance(second, types.Float):
        return lambda first, second: second if second > first else first
    return None


@overload(minimum)
def _minimum(first, second):
    if isinstance(first, types.Float) and isinstance(second, types.Float):
        return lambda first, second: second if second < first else first
    return None


@overload(where)
def _where(condition, this, other):
    if isinstance(condition, types.Boolean):
        return lambda condition, this, other: this if condition else other
    return None
