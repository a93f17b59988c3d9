"""Counts that follow from numbers of a caller: steps to a time, elements of an array; refused where no machine can hold them."""

from __future__ import annotations

import numpy as np

#: Steps that a float counts without gaps, and elements of the largest array (64 GB).
MOST_STEPS = 2**53
MOST_ELEMENTS = 2**33


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
