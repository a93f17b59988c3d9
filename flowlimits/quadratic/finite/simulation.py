"""Gradient descent with a finite step on the population risk of quadratic networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks, results
from .equations_reduced import OBSERVABLES
from .matrix_path import MatrixPath, observe_matrix
from .reduced_path import Outcome, Request, Tolerances, padded
from .start import Flow, split

if TYPE_CHECKING:
    import xarray as xr

    from .physics import Physics


def descend(flow: Flow, times: np.ndarray, step: float, request: Request) -> Outcome:
    """Return the observables after ``round(t / step)`` steps for each time t; NaN where the descent has diverged.

    One step is W <- W - step (p d grad risk + weight_decay W), in the teacher's eigenbasis, where it is the same.
    """
    path = MatrixPath(split(flow.V0, flow.teacher), square=flow.square, decay=flow.decay, limits=Tolerances())
    V, values, trace = path.V.copy(), path.values, flow.teacher.trace
    observables = np.full((times.size, len(OBSERVABLES)), math.nan)
    eigenvalues = np.full((times.size, flow.teacher.dimension), math.nan) if request.eigenvalues else None
    diagonal = (2 * values - flow.decay)[:, None]
    S, change = np.empty((V.shape[1], V.shape[1])), np.empty_like(V)
    multiplier, taken = 0.0, 0
    with np.errstate(all="ignore"):
        for i, count in enumerate(step_counts(times, step)):
            for _ in range(count - taken):
                np.matmul(V.T, V, out=S)
                theta = float(np.trace(S)) - trace if flow.square else 0.0
                np.matmul(V, S, out=change)
                V += (2 * step) * ((diagonal - theta) * V - 2 * change)
                multiplier += 2 * step * theta
            taken = count
            if not np.isfinite(V).all() or np.abs(V).max() > 1e70:
                break
            observables[i] = observe_matrix(V, values, flow.square, multiplier)
            if eigenvalues is not None:
                eigenvalues[i] = padded(np.linalg.svd(V, compute_uv=False) ** 2, flow.teacher.dimension)
    return Outcome(observables, None, eigenvalues)  # type: ignore[arg-type]


def step_counts(times: np.ndarray, step: float) -> np.ndarray:
    """Return the number of steps to each time."""
    return checks.counts(times / step, f"The times and `step` = {step:g} ask")


def check_step(method: str, step: Any, times: np.ndarray) -> float | None:
    """Return the step of gradient descent, None for the flow; refuse one without the other."""
    if method == "flow":
        if step is not None:
            raise ValueError('Argument `step` is for method="gd" only; the flow chooses its own steps.')
        return None
    if step is None:
        raise ValueError('Argument `step` is missing: method="gd" takes steps of that time, on the clock t.')
    checked = checks.number("step", step, positive=True)
    grid = np.append(0.0, times[times > 0])
    if (np.diff(step_counts(grid, checked)) == 0).any():
        least = float(np.diff(grid).min())
        raise ValueError(
            f"Argument `step` = {checked:g} is longer than half the smallest distance of two times, the start included, {least:g} on the clock t: "
            "they would show the same weights."
        )
    return checked


def warn_diverged(times: np.ndarray, finite: np.ndarray) -> None:
    """Warn if gradient descent has diverged before the last time."""
    if not finite.all():
        at = times[np.argmin(finite)]
        checks.warn(
            f"Gradient descent diverged before t={at:g}: its values are NaN from there on. Lower `step`.",
            RuntimeWarning,
        )


def simulate_flow(problem: Physics, times: Any, *, method: str, step: Any, progress: bool | None) -> xr.Dataset:
    """Return gradient descent from the weights of a problem; see `QuadraticFlow.simulate`."""
    from ...core.threads import run_threads

    times = checks.times(times)
    checks.choice("method", method, ("gd",))
    length = check_step(method, step, times)
    assert length is not None
    flow = problem._flow()
    work: Callable[[int], Outcome] = lambda _: descend(flow, times, length, Request())  # noqa: E731
    (outcome,) = run_threads(work, 1, threads=1, progress=progress)
    warn_diverged(times, np.isfinite(outcome.observables[:, 0]))
    return results.build(
        problem, kind="simulation", times=times, run=True, dimension=problem.dimension,
        variables={name: values[None] for name, values in outcome.variables().items()},
        call={"verb": "simulate", "method": method, "step": length}, provenance={"method": "gradient descent", "step": length},
    )  # fmt: skip
