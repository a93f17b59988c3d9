"""Training with a constant learning rate, recorded on the clock of the flow."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.threads import run_threads
from .physics import MarginFlowPhysics
from .state import BudgetError, State, Trajectory, checked_clock

if TYPE_CHECKING:
    import xarray as xr


#: Steps whose batches are drawn at once.
BLOCK = 20_000


def simulate(
    physics: MarginFlowPhysics,
    log_losses: Any,
    learning_rate: float,
    batch: int | None,
    runs: int,
    rng: Any,
    kkt: bool,
    max_steps: int,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return the result of `MarginFlow.simulate`."""
    clock = checked_clock(log_losses)
    rate = checks.number("learning_rate", learning_rate, positive=True)
    size = 0 if batch is None else checks.integer("batch", batch, minimum=1)
    count, limit = streams.runs(runs), checks.integer("max_steps", max_steps, minimum=1)
    kkt = checks.boolean("kkt", kkt)
    if physics.geometry != "l2":
        raise ValueError(
            f'Gradient descent belongs to geometry="l2", but the problem has geometry="{physics.geometry}".'
        )
    state = physics.state
    state.check_clock(clock)
    root = streams.root(rng)
    generators = streams.generators(root, count)
    began = time.perf_counter()

    def assemble(trajectories: list[Trajectory]) -> xr.Dataset:
        observed = [state.observe(clock, trajectory, kkt) for trajectory in trajectories]
        call = {"verb": "simulate", "learning_rate": rate, "batch": batch, "runs": len(observed), "kkt": kkt}
        return results.build(
            physics,
            kind="simulation",
            times=clock,
            variables={name: np.stack([one[name] for one in observed]) for name in observed[0]},
            call=call | {"max_steps": limit},
            run=True,
            dimension=physics.X.shape[1],
            root=root,
            provenance={
                "method": "gd" if size == 0 else "sgd",
                "steps": [trajectory.report["steps"] for trajectory in trajectories],
                "wall_time": time.perf_counter() - began,
            },
        )

    return run_threads(
        lambda run: _train(state, clock, rate, size, limit, generators[run]),
        count, threads=threads, progress=progress, description="training runs", assemble=assemble,
    )  # fmt: skip


def _train(
    state: State, clock: np.ndarray, rate: float, batch: int, limit: int, generator: np.random.Generator
) -> Trajectory:
    from .equations_explicit import descend

    theta = state.start.copy()
    numbers = np.array([0.0, 0.0, 0.0, state.clock])
    vertex = np.full(theta.size, np.inf)
    outputs, extras = np.zeros((clock.size, theta.size)), np.zeros((clock.size, 2))
    done = 0
    none = np.zeros((0, 1), dtype=np.int64)
    while done < clock.size:
        steps = min(BLOCK, limit - int(numbers[2]) + 1)
        chosen = generator.integers(state.y.size, size=(steps, batch)) if batch else none
        done = descend(
            state.kind, state.loss, state.geometry, theta, state.X, state.y, state.extra, clock, done, numbers, vertex, outputs,
            extras, rate, chosen, steps,
        )  # fmt: skip
        if not math.isfinite(numbers[3]):
            raise ValueError(
                f"Gradient descent diverged after {int(numbers[2])} steps: lower `learning_rate`, which is {rate:g}."
            )
        if done < clock.size and numbers[2] >= limit:
            raise BudgetError(
                f"Gradient descent reached minus log loss {numbers[3]:.4g} of {clock[-1]:.4g} in max_steps={limit} steps: raise `max_steps` or "
                "`learning_rate`, or ask for larger losses."
            )
    # A step overshoots the loss it was asked for; the observables belong to the loss that was reached.
    return Trajectory(outputs, extras[:, 0] * np.exp(-clock), extras[:, 1], {"steps": int(numbers[2])})
