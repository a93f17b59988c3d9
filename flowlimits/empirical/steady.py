"""Steady states of a problem along its sample ratios, for each kind of decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import equations_curve as modes
from . import equations_steady as equations
from .physics import VANISHING, EmpiricalPhysics
from .recovery import noiseless_thresholds, population

#: A sample ratio at which curves begin, if larger ones are not asked for.
START = 20.0
INTERPOLATES = (
    "at sample_ratio = {a:.6g}, below the {what} {threshold:.6g} of this problem, the samples are interpolated and the end "
    "of training depends on the start, for which no theory is known. {advice}"
)


@dataclass(frozen=True)
class Steady:
    """Steady states at sample ratios.

    Attributes
    ----------
    values : dict
        Arrays of the observables of `equations_steady.OBSERVED`, of the shape of the sample ratios.
    solutions : ndarray of int
        How many solutions there are.
    status : ndarray of str
        "proven", "claimed" or "conjectured".
    points : int
        Points of the curve that was followed.
    """

    values: dict[str, np.ndarray]
    solutions: np.ndarray
    status: np.ndarray
    points: int


def steady(physics: EmpiricalPhysics, ratios: np.ndarray, decay: float | str, name: str = "weight_decay") -> Steady:
    """Return the steady states at sample ratios, shape (n,), with the decay.

    Raises
    ------
    ValueError
        If a sample ratio is one at which the end depends on the start.
    """
    finite = np.isfinite(ratios)
    out = np.empty((ratios.size, len(equations.OBSERVED)))
    solutions = np.ones(ratios.size, dtype=np.int64)
    status = np.full(ratios.size, "proven", dtype="<U11")
    if not finite.all():
        out[~finite] = _at_infinity(physics, decay)
    points = 0
    if finite.any():
        asked = np.ascontiguousarray(ratios[finite])
        out[finite], solutions[finite], status[finite], points = _finite(physics, asked, decay, name)
    return Steady(dict(zip(equations.OBSERVED, out.T)), solutions, status, points)


def _finite(
    physics: EmpiricalPhysics, asked: np.ndarray, decay: float | str, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    law = physics.law
    strength = float(decay) if isinstance(decay, float) else 0.0
    setting = physics.setting(strength)
    found, solutions = np.full((asked.size, 2), np.nan), np.zeros(asked.size, dtype=np.int64)
    start = max(START, 2 * asked.max())
    plateau = population(physics, strength).risk
    status = "conjectured" if physics.teacher.indefinite else "claimed"
    if physics.activation == "square":
        mode, status = modes.LOCKED, "conjectured"
        count = _locked(physics, setting, plateau, start, asked, found, solutions)
    elif strength > 0:
        mode = modes.DECAYING
        count = equations.steady_decaying(setting, law.table, plateau, start, asked, found, solutions)
    else:
        mode = modes.VANISHING
        if decay != VANISHING:
            status = "conjectured"
        count = _vanishing(physics, setting, plateau, start, asked, found, solutions, decay, name)
    if count < 0 or not np.isfinite(found).all():
        raise RuntimeError(
            f"The curve of steady states of {physics!r} was lost. This should not happen: please report it."
        )
    out = np.empty((asked.size, len(equations.OBSERVED)))
    equations.observe(mode, setting, law.table, asked, found, out)
    recovered = found[:, 0] == 0
    if recovered.any():
        out[recovered] = _recovered(physics, asked[recovered])
    return out, solutions, np.full(asked.size, status), count


def _vanishing(
    physics: EmpiricalPhysics,
    setting: np.ndarray,
    plateau: float,
    start: float,
    asked: np.ndarray,
    found: np.ndarray,
    solutions: np.ndarray,
    decay: float | str,
    name: str,
) -> int:
    exact = noiseless_thresholds(physics)
    threshold = np.full(3, np.nan)
    recovery = exact.small_decay if physics.recovers else math.nan
    count = equations.steady_vanishing(
        setting,
        physics.law.table,
        plateau if not physics.recovers else 0.0,
        start,
        recovery,
        asked,
        found,
        solutions,
        threshold,
    )
    interpolation = exact.interpolation if physics.recovers else threshold[0]
    if decay != VANISHING and count > 0 and (asked < interpolation).any():
        raise ValueError(
            f'Argument `{name}` must be positive or "vanishing" here, but is 0.0: '
            + INTERPOLATES.format(
                a=asked[asked < interpolation][0],
                what="interpolation threshold",
                threshold=interpolation,
                advice="simulate(end=True) trains from a start.",
            )
        )
    return count


def _locked(
    physics: EmpiricalPhysics,
    setting: np.ndarray,
    plateau: float,
    start: float,
    asked: np.ndarray,
    found: np.ndarray,
    solutions: np.ndarray,
) -> int:
    end = np.zeros(3)
    if physics.recovers:
        end[0], count = noiseless_thresholds(physics).small_decay, 1
        found[:], solutions[:] = 0.0, 1
    else:
        count = equations.steady_locked(setting, physics.law.table, plateau, start, asked, found, solutions, end)
    if count > 0 and (asked < end[0]).any():
        raise ValueError(
            'Argument `activation` must be "centred" here, but is "square": '
            + INTERPOLATES.format(
                a=asked[asked < end[0]][0],
                what="threshold of the square activation",
                threshold=end[0],
                advice="simulate(end=True) trains from a start.",
            )
        )
    return count


def interpolation_threshold(physics: EmpiricalPhysics) -> float:
    """Return the sample ratio below which samples are interpolated at vanishing decay, noise included."""
    if physics.recovers:
        return noiseless_thresholds(physics).interpolation
    asked, found, solutions, threshold = np.array([START]), np.empty((1, 2)), np.zeros(1, dtype=np.int64), np.empty(3)
    centred = type(physics)(**(dict(physics.fields()) | {"activation": "centred"}))
    plateau = population(centred, 0.0).risk
    equations.steady_vanishing(
        physics.setting(), physics.law.table, plateau, 2 * START, np.nan, asked, found, solutions, threshold
    )
    return float(threshold[0])


def square_threshold(physics: EmpiricalPhysics) -> float:
    """Return the sample ratio below which the square activation interpolates."""
    if physics.teacher.indefinite:
        return math.nan
    if physics.recovers:
        return noiseless_thresholds(physics).small_decay
    square = type(physics)(**(dict(physics.fields()) | {"activation": "square"}))
    end, asked = np.zeros(3), np.array([START])
    found, solutions = np.empty((1, 2)), np.zeros(1, dtype=np.int64)
    plateau = population(square, 0.0).risk
    equations.steady_locked(physics.setting(), physics.law.table, plateau, 2 * START, asked, found, solutions, end)
    return float(end[0])


def _at_infinity(physics: EmpiricalPhysics, decay: float | str) -> list[float]:
    found = population(physics, float(decay) if isinstance(decay, float) else 0.0)
    square = physics.law.mean_square
    root = math.sqrt(found.second_moment * square)
    cross = 0.5 * (found.second_moment + square - found.risk)
    difference = (found.second_moment - square) / (math.sqrt(found.second_moment) + math.sqrt(square))
    misalignment = (found.risk - difference**2) / (2 * root) if root > 0 else math.nan
    values = {
        "risk": found.risk, "train_risk": found.risk + physics.noise / 2, "in_sample_risk": found.risk,
        "overlap": cross / root if root > 0 else math.nan, "misalignment": max(misalignment, 0.0), "trace": found.trace,
        "rank": found.rank, "response": 1.0, "effective_noise": 0.0, "threshold": found.threshold,
        "limited": float(found.limited), "edge": found.edge, "second_moment": found.second_moment,
    }  # fmt: skip
    return [values[name] for name in equations.OBSERVED]


def _recovered(physics: EmpiricalPhysics, asked: np.ndarray) -> np.ndarray:
    """Return the observables where the teacher is found: no error, and the noise is zero."""
    law = physics.law
    full = physics.width >= 0.5 * (1 + law.rank)
    response = np.maximum(1 - noiseless_thresholds(physics).interpolation / asked, 0.0)
    zero, one = np.zeros(asked.size), np.ones(asked.size)
    values = {
        "risk": zero, "train_risk": zero, "in_sample_risk": zero, "overlap": one, "misalignment": zero, "trace": law.mean * one,
        "rank": law.rank * one, "response": response, "effective_noise": zero, "threshold": zero,
        "limited": zero if full else one, "edge": zero, "second_moment": law.mean_square * one,
    }  # fmt: skip
    return np.array([values[name] for name in equations.OBSERVED]).T
