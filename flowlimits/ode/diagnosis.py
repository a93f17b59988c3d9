"""Diagnosis of short steps: does the right-hand side jump there?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .report import Status

#: After these, steps had become short, or too many.
SHORT_STEPS = (Status.STEP_TOO_SMALL, Status.TOO_MANY_STEPS, Status.NEWTON_FAILED)
ADVICE = (
    "The right-hand side jumps here, and both sides point to the jump, so that steps become short without end: smooth the "
    "jump, or write down the motion along it."
)


def slides(velocity: Callable[[float, np.ndarray], np.ndarray], t: float, y: np.ndarray, step: float) -> bool:
    """Whether the velocity jumps within some steps of the state, and points to the jump from both sides.

    Parameters
    ----------
    velocity : callable
        The right-hand side ``velocity(t, y)``.
    step : float
        Length of the steps.
    """
    here = velocity(t, y)
    size = float(np.linalg.norm(here))
    if not np.isfinite(size) or size == 0.0:
        return False
    for reach in (1.0, 10.0, 100.0, 1000.0):
        low, high = y - reach * step * here, y + reach * step * here
        before, after = velocity(t, low), velocity(t, high)
        for _ in range(60):
            middle = 0.5 * (low + high)
            if (middle == low).all() or (middle == high).all():
                break
            between = velocity(t, middle)
            if np.linalg.norm(between - before) >= np.linalg.norm(after - between):
                high, after = middle, between
            else:
                low, before = middle, between
        jump = after - before
        if np.isfinite(jump).all() and np.linalg.norm(jump) > 0.1 * size and before @ jump < 0.0 < after @ jump:
            return True
    return False
