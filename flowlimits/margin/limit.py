"""Margin flow to given losses: implicit for smooth models, by explicit steps for the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..core import checks, results
from . import explicit, implicit
from .physics import MarginFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


def solve(
    physics: MarginFlowPhysics, log_losses: Any, *, rtol: float, atol: float, method: str, kkt: bool, max_steps: int | None,
    progress: bool | None,
) -> xr.Dataset:  # fmt: skip
    """Return the flow; see `MarginFlow.solve`."""
    clock = checks.times(log_losses, "log_losses")
    checks.tolerances(rtol, atol)
    checks.choice("method", method, ("auto", "implicit", "explicit"))
    chosen = method_of(physics, method)
    default = 100_000 if chosen == "implicit" else 50_000_000
    budget = default if max_steps is None else checks.integer("max_steps", max_steps, minimum=1)
    kkt, progress = checks.boolean("kkt", kkt), checks.progress(progress)
    state = physics.state
    state.check_clock(clock)
    began = time.perf_counter()
    follow = implicit.follow if chosen == "implicit" else explicit.follow
    trajectory = follow(state, clock, float(rtol), float(atol), budget, progress)
    details = trajectory.report | {"wall_time": time.perf_counter() - began, "method": chosen}
    call = {"verb": "solve", "rtol": rtol, "atol": atol, "method": method, "kkt": kkt}
    return results.build(
        physics,
        kind=physics.kind,
        times=clock,
        variables=state.observe(clock, trajectory, kkt),
        call=call | {"max_steps": max_steps},
        provenance=details,
        attrs={"first_phase": trajectory.sentence},
    )


def method_of(physics: MarginFlowPhysics, method: str) -> str:
    """Return the method that `method` means for this problem, or refuse one that does not apply."""
    smooth = physics.model.smooth and physics.geometry == "l2"
    if method == "implicit" and not smooth:
        reason = (
            "its gradient jumps" if not physics.model.smooth else f"the {physics.geometry} geometry has no smooth flow"
        )
        raise ValueError(f'Argument `method` must not be "implicit" for {type(physics.model).__name__}: {reason}.')
    return method if method != "auto" else ("implicit" if smooth else "explicit")
