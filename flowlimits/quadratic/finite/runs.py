"""What simulations of the exact flow share: the variables of their runs, and the call that repeats them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .equations_reduced import OBSERVABLES
from .reduced_path import Outcome, Tolerances
from .simulation import warn_diverged


def gather(
    outcomes: list[Outcome], names: Sequence[str], times: np.ndarray, step: float | None, scale: float = 1.0
) -> dict[str, np.ndarray]:
    """Return the named variables with the runs first, risk and eigenvalues times `scale`; warn if descent diverged."""
    stacked = np.stack([outcome.observables for outcome in outcomes])
    if step is not None:
        warn_diverged(times, np.isfinite(stacked[:, :, 0]).all(axis=0))
    variables = {name: np.ascontiguousarray(stacked[:, :, i]) for i, name in enumerate(OBSERVABLES) if name in names}
    variables["risk"] = scale * variables["risk"]
    if "eigenvalues" in names:
        variables["eigenvalues"] = scale * np.stack([np.asarray(outcome.eigenvalues) for outcome in outcomes])
    return variables


def call_of(
    size: dict[str, int], runs: int, method: str, limits: Tolerances, step: float | None, weights: np.ndarray | None,
    names: Sequence[str] | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the call of `simulate` as a result states it, without what was left to its default."""
    call = {"verb": "simulate", **size, "runs": runs, "method": method, "rtol": limits.rtol, "atol": limits.atol}
    call |= {"step": step} if step is not None else {}
    call |= {"weights": weights.tolist()} if weights is not None else {}
    return call | ({"observables": list(names)} if names is not None else {})
