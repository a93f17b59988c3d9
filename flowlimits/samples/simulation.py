"""Plain gradient descent on the sample, on the clock of the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from ..core.ranges import steps_at
from . import equations
from .limit import parameters
from .observables import end_state_of, observe, shown_of
from .physics import SampleFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


def simulate(physics: SampleFlowPhysics, times: Any, *, step: float, observables: Any) -> xr.Dataset:
    """Return gradient descent; see `SampleFlow.simulate`."""
    wanted = checks.times(times)
    step = checks.number("step", step, positive=True)
    shown = shown_of(physics, observables)
    counts = steps_at(wanted, step)
    if (np.diff(counts) == 0).any():
        raise ValueError("Argument `times` asks for two times within one step of the descent: take them further apart.")
    m = len(physics.second_layer)
    y, dy = np.concatenate([physics.W.T.ravel(), physics.second_layer]), np.empty(physics.W.size + m)
    params, work = parameters(physics, m), np.zeros(3 * m)
    rows, done = [], 0
    for count in counts:
        while done < count:
            equations.evaluate(equations.sample_flow.address, 0.0, y, dy, params, work)
            y += step * dy
            done += 1
        if not np.isfinite(y).all():
            raise FloatingPointError(
                f"Gradient descent left the finite range within {done} steps of {step:g}: lower `step`."
            )
        rows.append(y.copy())
    variables = observe(physics, np.array(rows), m, shown)
    call = {"verb": "simulate", "step": step, "observables": list(shown)}
    return results.build(
        physics,
        kind="simulation",
        times=counts * step,
        variables=variables,
        call=call,
        provenance={"method": "gd", "steps": int(done)},
        attrs=end_state_of(physics, rows[-1], m),
    )
