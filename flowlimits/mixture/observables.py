"""Observables of the XOR mixture at given overlaps, with the errors of those that are averages over points."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..core import checks
from . import equations, equations_atoms, equations_error, equations_sampled
from .equations_losses import LOSSES
from .physics import XorMixturePhysics

#: Blocks of points whose spread tells the error of an average, and standard errors that are stated.
BLOCKS = 16
STATED = 2.0


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
    found: dict[str, float] = {}
    if "risk" in names:
        blocks = np.zeros((count, BLOCKS))
        full["risk"] = np.array([risk(physics, Q[i], R[i], a[i], error_points, blocks[i]) for i in range(count)])
        if blocks.any():
            found["risk_error"] = _largest_error(blocks)
    if names & {"error", "clean_error"}:
        grid = normal_points(error_points, K + 2)
        blocks = np.zeros((count, BLOCKS))
        clean = np.array([
            equations_error.clean_error(Q[i], R[i], a[i], physics.separation, physics.noise_scale, grid, blocks[i])
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
