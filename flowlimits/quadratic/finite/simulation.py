"""Gradient descent with a finite step on the population risk of quadratic networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks, results
from .equations_reduced import OBSERVABLES
from .matrix_path import form_of, observe_matrix
from .reduced_path import Outcome, Request, Tolerances, padded
from .start import Flow

if TYPE_CHECKING:
    import xarray as xr

    from .physics import Physics


def descend(flow: Flow, times: np.ndarray, step: float, request: Request) -> Outcome:
    """Return the observables after ``round(t / step)`` steps for each time t; NaN where the descent has diverged.

    One step is W <- W - step (p d grad risk + weight_decay W), in the teacher's eigenbasis, where it is the same.
    """
    form = form_of(flow)
    V, values = form.V.copy(), form.values
    observables = np.full((times.size, len(OBSERVABLES)), math.nan)
    eigenvalues = np.full((times.size, form.teacher.dimension), math.nan) if request.eigenvalues else None
    multiplier, taken = 0.0, 0
    with np.errstate(all="ignore"):
        for i, count in enumerate(checks.steps_at(times, step)):
            for _ in range(count - taken):
                velocity, theta = form.velocity(V)
                V += (2 * step) * velocity
                multiplier += 2 * step * theta
            taken = count
            if not np.isfinite(V).all() or np.abs(V).max() > 1e70:
                break
            seen = form.seen(V)
            observables[i] = observe_matrix(seen, values, flow.square, multiplier)
            if eigenvalues is not None:
                eigenvalues[i] = padded(np.linalg.svd(seen, compute_uv=False) ** 2, form.teacher.dimension)
    return Outcome(observables, None, eigenvalues)  # type: ignore[arg-type]


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
    if (np.diff(checks.steps_at(grid, checked)) == 0).any():
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
