"""Limit of the XOR mixture: the flow of the overlaps on atoms, in closed form, or on fixed points; and its observables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.solve import Options, Path
from ..core.threads import Unfinished, interruptible, plainly
from . import LOSSES, equations, equations_atoms, equations_sampled, sliding
from .physics import XorMixturePhysics

#: Blocks of points whose spread tells the error of an average, and standard errors that are stated.
BLOCKS = 16
STATED = 2.0
#: Width from which on the average over points at one time may take a tenth of a second.
WIDE = 8


def check_points(name: str, value: Any, width: int) -> int:
    """Return a number of points: a power of two, which quasi-Monte Carlo wants, and enough of them for their covariance."""
    count = checks.integer(name, value, minimum=2)
    if count & (count - 1):
        raise ValueError(f"Argument `{name}` must be a power of two, but is {count}.")
    if count < 2 * (width + 2):
        raise ValueError(
            f"Argument `{name}` must be at least twice the {width + 2} directions of {width} units and two centres, but is {count}."
        )
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


def observe(
    physics: XorMixturePhysics,
    states: np.ndarray,
    error_points: int,
    names: set[str],
    errors: dict[str, float] | None = None,
) -> dict[str, np.ndarray]:
    """Return the variables of the result at every state, shape (n, state).

    `errors` receives the largest stated errors of those that are averages over points, as `risk_error` and `clean_error_error`.
    """
    K = physics.width
    Q = np.ascontiguousarray(states[:, : K * K]).reshape(-1, K, K)
    R = np.ascontiguousarray(states[:, K * K : K * K + 2 * K]).reshape(-1, K, 2)
    a = np.ascontiguousarray(states[:, K * K + 2 * K :])
    full: dict[str, np.ndarray] = {"Q": Q, "R": R, "second_layer": a}
    count = states.shape[0]
    call = interruptible if K >= WIDE and physics.noise_scale > 0.0 else plainly  # on atoms there is nothing to average
    found: dict[str, float] = {}
    if "risk" in names:
        blocks = np.zeros((count, BLOCKS))
        full["risk"] = np.array([call(risk, physics, Q[i], R[i], a[i], error_points, blocks[i]) for i in range(count)])
        if blocks.any():
            found["risk_error"] = _largest_error(blocks)
    if names & {"error", "clean_error"}:
        grid = normal_points(error_points, K + 2)
        blocks = np.zeros((count, BLOCKS))
        clean = np.array([
            call(
                equations_sampled.clean_error, Q[i], R[i], a[i], physics.separation, physics.noise_scale, grid, blocks[i]
            )
            for i in range(count)
        ])  # fmt: skip
        full["clean_error"] = clean
        full["error"] = physics.label_noise + (1 - 2 * physics.label_noise) * clean
        found["clean_error_error"] = _largest_error(blocks)
    size = np.abs(R)
    right = np.where(a > 0, size[..., 0] > size[..., 1], size[..., 1] > size[..., 0])
    full["relevant_share"] = right.mean(axis=-1)
    if errors is not None:
        errors.update(found)
    return {name: full[name] for name in physics.variables if name in names}


def _largest_error(blocks: np.ndarray) -> float:
    """Return `STATED` standard errors of the mean over blocks, the largest over times.

    Blocks of a scrambled net are each as well spread as the whole, so that the mean is better than independent blocks would make it.
    """
    return float(STATED * ((blocks - blocks[:, :1]).std(axis=1, ddof=1) / np.sqrt(BLOCKS)).max(initial=0.0))


def risk(
    physics: XorMixturePhysics, Q: np.ndarray, R: np.ndarray, a: np.ndarray, points: int, blocks: np.ndarray
) -> float:
    """Return the population risk of given overlaps: closed form, or an average over fixed points, whose blocks are written."""
    if physics.loss == "squared":
        return equations.squared_risk(Q, R, a, physics.noise_scale, physics.label_noise)
    loss = LOSSES.index(physics.loss)
    if physics.noise_scale == 0:
        return equations_atoms.atom_risk(R, a, loss, physics.label_noise)
    grid = normal_points(points, physics.width + 2)
    return equations_sampled.sampled_risk(
        Q, R, a, physics.separation, physics.noise_scale, physics.label_noise, loss, grid, blocks
    )


METHODS = ("auto", "atoms", "closed", "points")
CLOSED = ode.right_hand_side(equations.squared_flow)
POINTS = ode.right_hand_side(equations_sampled.sampled_flow)


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


def tolerances(physics: XorMixturePhysics, method: str) -> tuple[float, float]:
    """Return the tolerances that None stands for: looser at points, where the velocity jumps."""
    return (1e-4, 1e-6) if method_of(physics, method) == "points" else (1e-8, 1e-10)


def observables(physics: XorMixturePhysics, given: Any) -> tuple[str, ...]:
    """Return the checked names of the variables to return."""
    asked = physics.variables if given is None else checks.items("observables", given, str)
    return tuple(checks.choice("observables", name, list(physics.variables)) for name in asked)


def event_variables(physics: XorMixturePhysics) -> list[str]:
    """Return the variables that events may name."""
    return ["risk", "error", "clean_error", "relevant_share"]


def call(physics: XorMixturePhysics, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    given = options.given
    return {
        "verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method, "points": given["points"],
        "error_points": given["error_points"], "observables": list(options.observables), "max_steps": options.max_steps,
        "keep_state": options.keep_state, "events": list(options.events),
    }  # fmt: skip


def path(physics: XorMixturePhysics, options: Options, last: float) -> XorPath:
    """Return the path of the problem."""
    return XorPath(physics, options)


class XorPath(Path):
    """The equations of the overlaps, integrated from any state and time."""

    def __init__(self, physics: XorMixturePhysics, options: Options) -> None:
        self.physics, self.asked = physics, options
        self.method = method_of(physics, options.method)
        self.points = check_points("points", options.given["points"], physics.width)
        self.error_points = check_points("error_points", options.given["error_points"], physics.width)
        self.start = pack(physics.Q, physics.R, physics.second_layer)
        self.params = parameters(physics, self.method, self.points)
        self.options: dict[str, Any] = {
            "rtol": options.rtol, "atol": options.atol, "max_steps": options.max_steps,
        }  # fmt: skip
        self.reports: list[ode.Report] = []
        self.errors: dict[str, float] = {}
        self.times, self.states = np.empty(0), np.empty((0, self.start.size))

    def run(self, times: np.ndarray) -> None:
        try:
            states, reports = self._integrate(times) if times.size else (np.empty((0, self.start.size)), [])
        except Unfinished as error:
            self.times, self.states = error.times, error.states
            raise
        self.times, self.states = times, states
        self.reports += reports

    def _integrate(self, times: np.ndarray) -> tuple[np.ndarray, list[ode.Report]]:
        if self.method == "atoms":
            return sliding.follow(self.physics, self.start, self.begin, times, self.params, self.options)
        flow = CLOSED if self.method == "closed" else POINTS
        _, states, report = ode.integrate(
            flow, self.start, times, self.params, start=self.begin, progress=bool(self.asked.progress), **self.options
        )
        return states, [report]

    def restart(self, i: int) -> XorPath:
        later = super().restart(i)
        later.reports = []
        return later

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return observe(self.physics, self.states, self.error_points, set(names))

    def contents(self) -> dict[str, Any]:
        names = set(self.asked.observables) | {"risk"}
        parts: dict[str, Any] = {
            "variables": observe(self.physics, self.states, self.error_points, names, self.errors),
            "kind": "exact" if self.physics.learning_rate == 0 else "limit",
        }
        if self.asked.keep_state and len(self.states):
            described = {"long_name": "state of the integrator at the last time"}
            parts["extra"] = {"state": (("state_component",), self.states[-1], described)}
        return parts

    def provenance(self, seconds: float) -> dict[str, Any]:
        plain: dict[str, Any] = {"method": self.method, "rtol": self.asked.rtol, "atol": self.asked.atol}
        for name in ("steps", "rejected", "evaluations"):
            plain[name] = sum(getattr(report, name) for report in self.reports)
        plain["wall_time"] = seconds
        if self.method == "points":
            ends = [self.start, *self.states[-1:]]
            plain |= {
                "points": self.points,
                "velocity_error": max(_velocity_error(self.physics, state, self.points) for state in ends),
            }
        return plain | self.errors


def _velocity_error(physics: XorMixturePhysics, state: np.ndarray, points: int) -> float:
    """Return the largest difference of the velocity between two scramblings of the points, in units of its norm."""
    velocities = []
    for seed in (0, 1):
        head = parameters(physics, "points", points)[: equations_sampled.HEAD]
        params = np.concatenate([head, normal_points(points, physics.width + 2, seed).ravel()])
        dy = np.empty_like(state)
        interruptible(equations.evaluate, equations_sampled.sampled_flow.address, 0.0, state, dy, params, np.zeros(0))
        velocities.append(dy)
    return float(np.abs(velocities[0] - velocities[1]).max() / max(np.abs(velocities[0]).max(), 1e-300))
