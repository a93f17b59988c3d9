"""Checks of sample ratios, decays and energies, and the coordinates that they become."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks
from .physics import check_decay

Coordinate = tuple[str, np.ndarray, dict[str, str]]


def ratio_coordinate(ratios: np.ndarray) -> Coordinate:
    """Return sample ratios as a coordinate."""
    return "sample_ratio", ratios, {"long_name": "samples over the square of the dimension", "symbol": r"\alpha"}


def decay_coordinate(decays: list[float]) -> Coordinate:
    """Return weight decays as a coordinate."""
    return "weight_decay", np.array(decays), {"long_name": "weight decay on the clock tau", "symbol": r"\lambda"}


def _vector(name: str, value: Any, length: str) -> np.ndarray:
    return checks.array(name, [value] if checks.is_single(value) else value, (length,))


def check_ratios(value: Any) -> np.ndarray:
    """Return sample ratios, positive, perhaps infinite, shape (n,)."""
    try:
        infinite = np.isposinf(np.atleast_1d(np.asarray(value, dtype=float)))
    except (ValueError, TypeError, OverflowError):
        infinite = np.zeros(0, dtype=bool)
    if infinite.any() and infinite.ndim == 1:
        finite = np.where(infinite, 1.0, np.atleast_1d(np.asarray(value, dtype=float)))
        ratios = np.where(infinite, np.inf, _vector("sample_ratios", finite, "n"))
    else:
        ratios = _vector("sample_ratios", value, "n")
    for i, one in enumerate(ratios):
        if not one > 0:
            raise ValueError(f"Argument `sample_ratios` must be positive, but is {one:g} at index [{i}].")
    return ratios


def check_decays(value: Any) -> list[Any]:
    """Return weight decays, not negative, shape (n,)."""
    decays = _vector("weight_decays", value, "n")
    for i, one in enumerate(decays):
        if one < 0:
            raise ValueError(f"Argument `weight_decays` must not be negative, but is {one:g} at index [{i}].")
    return [check_decay(float(one)) for one in decays]


def check_energies(value: Any) -> np.ndarray:
    """Return positive eigenvalues, shape (m,)."""
    energies = _vector("spectrum", value, "m")
    if (energies <= 0).any():
        i = int(np.argmax(energies <= 0))
        raise ValueError(f"Argument `spectrum` must be positive, but is {energies[i]:g} at index [{i}].")
    return energies
