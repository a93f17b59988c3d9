"""Plain gradient descent on the sample on the clock of the flow, and the flow of a whole network seen as early alignment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from ..core.checks import steps_at
from . import equations
from .limit import default_kink_step, parameters
from .observables import end_state_of, observe, shown_of
from .physics import EarlyAlignmentPhysics, SampleFlowPhysics, distinct_kinks, residual_at

if TYPE_CHECKING:
    import xarray as xr


def simulate_alignment(
    physics: EarlyAlignmentPhysics, network: type, times: Any, *, scale: float, rtol: float, kink_step: float | None, max_steps: int, progress: bool | None
) -> xr.Dataset:  # fmt: skip
    """Return the flow of the problem `network`, which is SampleFlow; see `EarlyAlignment.simulate`."""
    if physics.X.shape[0] == 0:
        raise ValueError("The population limit has no sample to simulate on: give `X` and `y`.")
    if np.any(physics.drift != 0):
        raise ValueError("A problem with `drift` cannot be simulated: the drift has no sample.")
    scale = checks.number("scale", scale, positive=True)
    rtol = checks.number("rtol", rtol, positive=True)
    m = len(physics.directions)
    W = scale / math.sqrt(m) * physics.directions
    flow = network(physics.X, physics.y, weights=(W, scale / math.sqrt(m) * physics.balance))
    shortest = (
        0.003 * default_kink_step(np.array(physics.X), np.array(physics.y), "squared")
        if kink_step is None
        else kink_step
    )
    shown = ["risk", "hidden", "second_layer", "output"]
    run = flow.solve(times, rtol=rtol, kink_step=shortest, max_steps=max_steps, observables=shown, progress=progress)
    hidden = run["hidden"].values
    norms = np.linalg.norm(hidden, axis=2)
    largest = float(np.abs(run["output"].values).max())
    if largest > 0.1 * np.abs(physics.y).max():
        checks.warn(
            f"At scale {scale:g} the norm of the network, sqrt(sum_j |w_j|^2), reaches {float(np.sqrt((norms**2).sum(axis=1)).max()):.3g} and its "
            f"output {largest:.3g} by t = {float(run.time[-1]):g}, above a tenth of the largest label: the alignment limit needs a smaller scale or "
            "an earlier time."
        )
    direction = hidden / norms[:, :, None]
    X, y, drift = distinct_kinks(np.array(physics.X), np.array(physics.y), np.array(physics.drift))
    variables = {
        "direction": direction,
        "balance": run["second_layer"].values / norms,
        "log_norm": np.log(norms * math.sqrt(m) / scale),
        "residual": np.array([[residual_at(u, X, y, drift, 1e-6) for u in row] for row in direction]),
    }
    call = {"verb": "simulate", "scale": scale, "rtol": rtol, "kink_step": kink_step, "max_steps": max_steps}
    provenance = dict(results.provenance(run), call=call)
    return results.build(
        physics,
        kind="simulation",
        times=run.time.values,
        variables=variables,
        call=call,
        provenance=provenance,
        attrs={"scale": scale},
    )


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
    params, work = parameters(physics, m), np.zeros(equations.work_size(physics.W.shape[1], m))
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
