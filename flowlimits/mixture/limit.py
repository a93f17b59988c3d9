"""Solve the flow of the XOR mixture: on atoms, in closed form, or on fixed points."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from ..core.events import check_events, locate
from . import equations, equations_atoms, equations_error, equations_sampled, sliding
from .equations_losses import LOSSES
from .physics import XorMixturePhysics

if TYPE_CHECKING:
    import xarray as xr

METHODS = ("auto", "atoms", "closed", "points")
CLOSED = ode.right_hand_side(equations.squared_flow)
POINTS = ode.right_hand_side(equations_sampled.sampled_flow)


def power_of_two(name: str, value: Any) -> int:
    """Return a number of points, which quasi-Monte Carlo wants to be a power of two."""
    count = checks.integer(name, value, minimum=2)
    if count & (count - 1):
        raise ValueError(f"Argument `{name}` must be a power of two, but is {count}.")
    return count


@cache
def normal_points(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    """Return fixed standard normal points with mean zero and exactly unit covariance when used with both signs.

    Scrambled Sobol points of a fixed seed: deterministic, and better spread than unscrambled ones, whose first point lies at
    the corner of the cube.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    raw = ndtri(qmc.Sobol(dimensions, rng=seed).random(count))
    # Used with both signs the points have mean zero; whitening makes second moments exact as well.
    root = np.linalg.cholesky(raw.T @ raw / count)
    return np.ascontiguousarray(np.linalg.solve(root, raw.T).T)


def pack(Q: np.ndarray, R: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the state vector of overlaps and second layer."""
    return np.concatenate([Q.ravel(), R.ravel(), a])


def method_of(physics: XorMixturePhysics, method: str) -> str:
    """Return the method that `method` means for this problem, or refuse one that does not apply."""
    checks.choice("method", method, METHODS)
    if physics.noise_scale == 0:
        if physics.learning_rate > 0:
            raise ValueError(
                "Argument `learning_rate` must be 0 with noise_scale = 0: the noise of SGD vanishes with the cluster's variance."
            )
        if method in ("auto", "atoms"):
            return "atoms"
        raise ValueError(f'Argument `method` must be "auto" or "atoms" with noise_scale = 0, but is {method!r}.')
    if method == "atoms":
        raise ValueError(f'Method "atoms" needs noise_scale = 0, but it is {physics.noise_scale:g}.')
    closed = physics.loss == "squared" and physics.learning_rate == 0
    if method == "closed" and not closed:
        raise ValueError(
            f'Method "closed" needs the squared loss and learning_rate = 0, but they are "{physics.loss}" and {physics.learning_rate:g}.'
        )
    return ("closed" if closed else "points") if method == "auto" else method


def parameters(physics: XorMixturePhysics, method: str, points: int) -> np.ndarray:
    """Return the parameter vector of the right-hand side."""
    K, loss = physics.width, float(LOSSES.index(physics.loss))
    if method == "atoms":
        head = [K, physics.separation, physics.label_noise, physics.second_layer_rate, loss]
        return np.concatenate([head, np.sign(physics.R).ravel(), np.zeros(2 * K)])
    head = [K, physics.separation, physics.noise_scale, physics.label_noise, physics.second_layer_rate]
    if method == "closed":
        return np.array(head)
    grid = normal_points(points, K + 2)
    return np.concatenate([head, [loss, physics.learning_rate, points], grid.ravel()])


def solve(
    physics: XorMixturePhysics,
    times: Any,
    *,
    rtol: float | None,
    atol: float | None,
    method: str,
    points: int,
    error_points: int,
    observables: Any,
    events: Any,
    max_steps: int,
    keep_state: bool,
    progress: bool,
) -> xr.Dataset:
    """Return the solution; see `XorMixture.solve`."""
    asked = wanted = checks.times(times)
    chosen = method_of(physics, method)
    points, error_points = power_of_two("points", points), power_of_two("error_points", error_points)
    keep_state, progress = checks.boolean("keep_state", keep_state), bool(checks.progress(progress))
    loose = chosen == "points"
    rtol, atol = checks.tolerances(
        rtol if rtol is not None else (1e-4 if loose else 1e-8),
        atol if atol is not None else (1e-6 if loose else 1e-10),
    )
    listed = check_events(events, ["risk", "error", "clean_error", "relevant_share"])
    asked_for = physics.variables if observables is None else checks.items("observables", observables, str)
    shown = [checks.choice("observables", name, list(physics.variables)) for name in asked_for]
    began = time.perf_counter()
    start = pack(physics.Q, physics.R, physics.second_layer)
    params = parameters(physics, chosen, points)
    options: dict[str, Any] = {"rtol": rtol, "atol": atol, "max_steps": max_steps}

    def advance(state: np.ndarray, at: float, grid: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        if chosen == "atoms":
            return sliding.follow(physics, state, at, grid, params, options)
        _, states, report = ode.integrate(
            CLOSED if chosen == "closed" else POINTS, state, grid, params, start=at, progress=progress, **options
        )
        return states, [report]

    states, reports = advance(start, 0.0, wanted)
    found = np.zeros(0)
    if listed:
        found = _events(physics, listed, start, wanted, states, advance, error_points)
        stops = [t for event, t in zip(listed, found) if event.stop and np.isfinite(t)]
        if stops:
            kept = wanted <= min(stops)
            wanted, states = wanted[kept], states[kept]
    variables = observe(physics, states, error_points, set(shown) | {"risk"})
    provenance = {
        "method": chosen,
        "rtol": rtol,
        "atol": atol,
        "steps": sum(report.steps for report in reports),
        "rejected": sum(report.rejected for report in reports),
        "evaluations": sum(report.evaluations for report in reports),
        "wall_time": time.perf_counter() - began,
    }
    if chosen == "points":
        provenance |= {"points": points, "velocity_error": _velocity_error(physics, start, points)}
    extra: dict[str, Any] = {}
    if listed:
        names = np.array([f"{event.variable} = {event.value:g}" for event in listed], dtype=object)
        extra["event_time"] = (("event",), found, {"long_name": "time of the event", "events": "; ".join(names)})
    if keep_state and wanted.size:
        extra["state"] = (("state_component",), states[-1], {"long_name": "state of the integrator at the last time"})
    call = {
        "verb": "solve",
        "rtol": rtol,
        "atol": atol,
        "method": method,
        "points": points,
        "error_points": error_points,
        "observables": shown,
        "max_steps": max_steps,
        "keep_state": keep_state,
    }
    call["events"] = list(listed)
    if wanted.size < asked.size:
        # A result that stopped at an event does not show the times that led to it.
        call["times"] = asked.tolist()
    return results.build(
        physics, kind="exact" if physics.learning_rate == 0 else "limit", times=wanted, variables=variables, call=call, provenance=provenance, extra=extra,
    )  # fmt: skip


def observe(
    physics: XorMixturePhysics, states: np.ndarray, error_points: int, names: set[str]
) -> dict[str, np.ndarray]:
    """Return the variables of the result at every state, shape (n, state)."""
    K = physics.width
    Q = np.ascontiguousarray(states[:, : K * K]).reshape(-1, K, K)
    R = np.ascontiguousarray(states[:, K * K : K * K + 2 * K]).reshape(-1, K, 2)
    a = np.ascontiguousarray(states[:, K * K + 2 * K :])
    full: dict[str, np.ndarray] = {"Q": Q, "R": R, "second_layer": a}
    count = states.shape[0]
    if "risk" in names:
        full["risk"] = np.array([risk(physics, Q[i], R[i], a[i], error_points) for i in range(count)])
    if names & {"error", "clean_error"}:
        grid = normal_points(error_points, K + 2)
        clean = np.array(
            [
                equations_error.clean_error(Q[i], R[i], a[i], physics.separation, physics.noise_scale, grid)
                for i in range(count)
            ]
        )
        full["clean_error"] = clean
        full["error"] = physics.label_noise + (1 - 2 * physics.label_noise) * clean
    size = np.abs(R)
    right = np.where(a > 0, size[..., 0] > size[..., 1], size[..., 1] > size[..., 0])
    full["relevant_share"] = right.mean(axis=-1)
    return {name: full[name] for name in physics.variables if name in names}


def risk(physics: XorMixturePhysics, Q: np.ndarray, R: np.ndarray, a: np.ndarray, points: int) -> float:
    """Return the population risk of given overlaps: closed form, or an average over fixed points."""
    if physics.loss == "squared":
        return equations.squared_risk(Q, R, a, physics.noise_scale, physics.label_noise)
    loss = LOSSES.index(physics.loss)
    if physics.noise_scale == 0:
        return equations_atoms.atom_risk(R, a, loss, physics.label_noise)
    grid = normal_points(points, physics.width + 2)
    return equations_sampled.sampled_risk(
        Q, R, a, physics.separation, physics.noise_scale, physics.label_noise, loss, grid
    )


def _events(physics, listed, start, wanted, states, advance, error_points) -> np.ndarray:
    names = {event.variable for event in listed}
    grid = wanted if wanted[0] == 0 else np.append(0.0, wanted)
    rows = states if wanted[0] == 0 else np.vstack([start, states])
    values = observe(physics, rows, error_points, names)

    def evaluate(i: int, t: float) -> dict[str, float]:
        state = advance(rows[i], grid[i], np.array([t]))[0] if t > grid[i] else rows[i : i + 1]
        return {name: float(v[0]) for name, v in observe(physics, state, error_points, names).items() if v.ndim == 1}

    return locate(listed, grid, values, evaluate)


def _velocity_error(physics: XorMixturePhysics, state: np.ndarray, points: int) -> float:
    """Return the largest difference of the velocity between two scramblings of the points, in units of its norm."""
    velocities = []
    for seed in (0, 1):
        params = np.concatenate(
            [
                parameters(physics, "points", points)[: equations_sampled.HEAD],
                normal_points(points, physics.width + 2, seed).ravel(),
            ]
        )
        dy = np.empty_like(state)
        _evaluate(equations_sampled.sampled_flow.address, state, dy, params)
        velocities.append(dy)
    return float(np.abs(velocities[0] - velocities[1]).max() / max(np.abs(velocities[0]).max(), 1e-300))


def _evaluate(address: int, state: np.ndarray, dy: np.ndarray, params: np.ndarray) -> None:
    equations.evaluate(address, 0.0, state, dy, params, np.zeros(0))
