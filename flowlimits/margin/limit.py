"""Margin flow to given losses: implicit for smooth models, by explicit steps for the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from . import explicit, implicit
from .physics import MarginFlowPhysics
from .state import BudgetError, NoMarginError, State, Trajectory, checked_clock

if TYPE_CHECKING:
    import xarray as xr

#: Tolerances of the solution whose differences estimate the errors, in multiples of those asked for.
LOOSER = 4.0


def solve(
    physics: MarginFlowPhysics, log_losses: Any, *, rtol: float, atol: float, method: str, kkt: bool, max_steps: int | None,
    progress: bool | None,
) -> xr.Dataset:  # fmt: skip
    """Return the flow; see `MarginFlow.solve`."""
    clock = checked_clock(log_losses)
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
    details = (
        trajectory.report
        | _errors(state, clock, trajectory, follow, float(rtol), float(atol), budget)
        | {"wall_time": time.perf_counter() - began, "method": chosen}
    )
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


def _errors(
    state: State, clock: np.ndarray, trajectory: Trajectory, follow: Any, rtol: float, atol: float, budget: int
) -> dict[str, float]:
    """Return estimated errors of direction and path length: the largest differences to a looser solution."""
    try:
        looser = follow(state, clock, min(LOOSER * rtol, 0.1), LOOSER * atol, budget, False, looser=True)
    except (BudgetError, NoMarginError):
        return {}
    directions = [
        one.weights / np.array([[max(state.norm(w), 1e-300)] for w in one.weights]) for one in (trajectory, looser)
    ]
    direction = float(2 * np.abs(directions[0] - directions[1]).max())
    path = float(2 * np.abs(trajectory.path_lengths - looser.path_lengths).max())
    # A path is not known better than its end.
    return {"direction_error": direction, "path_length_error": max(path, direction)}


def method_of(physics: MarginFlowPhysics, method: str) -> str:
    """Return the method that `method` means for this problem, or refuse one that does not apply."""
    smooth = physics.model.smooth and physics.geometry == "l2"
    if method == "implicit" and not smooth:
        reason = (
            "its gradient jumps" if not physics.model.smooth else f"the {physics.geometry} geometry has no smooth flow"
        )
        raise ValueError(f'Argument `method` must not be "implicit" for {type(physics.model).__name__}: {reason}.')
    return method if method != "auto" else ("implicit" if smooth else "explicit")
