"""Activations and their derivatives at a number (compiled part)."""

import math

from ...compiled.jit import jit

POLYNOMIAL, ERF, RELU = range(3)
ROOT_HALF, ROOT_TWO_OVER_PI = math.sqrt(0.5), math.sqrt(2.0 / math.pi)


@jit(inline="always")
def value_at(kind, powers, x):
    """Return s(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, -1, -1):
            value = value * x + powers[j]
        return value
    if kind == ERF:
        return math.erf(ROOT_HALF * x)
    return 0.5 * (x + abs(x))


@jit(inline="always")
def slope_at(kind, powers, x):
    """Return s'(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, 0, -1):
            value = value * x + j * powers[j]
        return value
    if kind == ERF:
        return ROOT_TWO_OVER_PI * math.exp(-0.5 * x * x)
    return 1.0 if x > 0.0 else 0.0
