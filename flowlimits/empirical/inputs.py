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


def check_ratios(value: Any) -> np.ndarray:
    """Return sample ratios, positive, perhaps infinite, shape (n,)."""
    ratios = np.atleast_1d(np.asarray(value, dtype=float))
    if ratios.ndim != 1 or ratios.size == 0:
        raise ValueError(f"Argument `sample_ratios` must have shape (n,), but has shape {ratios.shape}.")
    for i, one in enumerate(ratios):
        if not one > 0:
            raise ValueError(f"Argument `sample_ratios` must be positive, but is {one:g} at index [{i}].")
    return ratios


def check_decays(value: Any) -> list[Any]:
    """Return weight decays, not negative, shape (n,)."""
    decays = checks.array("weight_decays", np.atleast_1d(value), ("n",))
    for i, one in enumerate(decays):
        if one < 0:
            raise ValueError(f"Argument `weight_decays` must not be negative, but is {one:g} at index [{i}].")
    return [check_decay(float(one)) for one in decays]


def check_energies(value: Any) -> np.ndarray:
    """Return positive eigenvalues, shape (m,)."""
    energies = checks.array("spectrum", np.atleast_1d(value), ("m",))
    if (energies <= 0).any():
        i = int(np.argmax(energies <= 0))
        raise ValueError(f"Argument `spectrum` must be positive, but is {energies[i]:g} at index [{i}].")
    return energies
