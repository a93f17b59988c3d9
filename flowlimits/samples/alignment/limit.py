"""The limit of a vanishing start: every unit on its own, exact from kink to kink."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks, results
from ...core.threads import run_threads
from ..kinks import distinct_kinks, residual_at
from .equations import align
from .physics import EarlyAlignmentPhysics

if TYPE_CHECKING:
    import xarray as xr


def solve(
    physics: EarlyAlignmentPhysics, times: Any, *, max_kinks: int, threads: int | None, progress: bool | None
) -> xr.Dataset:
    """Return the alignment; see `EarlyAlignment.solve`."""
    wanted = checks.times(times)
    max_kinks = checks.integer("max_kinks", max_kinks, minimum=1)
    m, d = physics.directions.shape
    began = time.perf_counter()
    direction, balance, log_norm = (
        np.empty((m, wanted.size, d)),
        np.empty((m, wanted.size)),
        np.empty((m, wanted.size)),
    )
    kinks = np.zeros((m, 2))
    X, y, drift = distinct_kinks(np.array(physics.X), np.array(physics.y), np.array(physics.drift))
    start, balances = np.array(physics.directions), np.array(physics.balance)

    def follow(j: int) -> list[float]:
        status = align(
            start[j], balances[j], drift, X, y, wanted, max_kinks, direction[j], balance[j], log_norm[j], kinks[j]
        )  # fmt: skip
        if status != 0:
            raise RuntimeError(f"Unit {j} met more than max_kinks = {max_kinks} kinks: raise `max_kinks`.")
        return [residual_at(u, X, y, drift) for u in direction[j]]

    found = run_threads(follow, m, threads=threads, progress=progress, description="units")
    residual = np.array(found).T
    variables = {
        "direction": np.swapaxes(direction, 0, 1), "balance": balance.T, "log_norm": log_norm.T, "residual": residual,
    }  # fmt: skip
    provenance: dict[str, Any] = {
        "method": "exact, kink by kink",
        "kinks": int(kinks[:, 0].sum()),
        "sliding": int(kinks[:, 1].sum()),
    }
    provenance["wall_time"] = time.perf_counter() - began
    call = {"verb": "solve", "max_kinks": max_kinks}
    return results.build(physics, kind="limit", times=wanted, variables=variables, call=call, provenance=provenance)
