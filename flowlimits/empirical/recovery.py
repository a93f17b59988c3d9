"""Closed forms: steady states on infinitely many samples, eq. (E14), and thresholds without noise, eq. (E12)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..spectrum.free_convolution import ATOMS
from .equations_bayes import moments_below
from .physics import EmpiricalPhysics


@dataclass(frozen=True)
class Population:
    """Zt = (Zt* - q)^+ kept to the width: moments of the kept eigenvalues, from which all follows."""

    threshold: float
    edge: float
    rank: float
    trace: float
    second_moment: float
    risk: float
    limited: bool


def population(physics: EmpiricalPhysics, decay: float) -> Population:
    """Return the steady state at infinite sample ratio; `decay` is that of the centred activation."""
    law, kappa = physics.law, physics.width
    cut, rank, first, second = above(physics, kappa)
    limited = rank >= kappa - 1e-12 and kappa < law.rank - 1e-12
    if physics.activation == "square":
        # The trace is that of the teacher: what the width cuts off is spread over the eigenvalues that are kept.
        q = (first - law.mean) / rank if limited else 0.0
    else:
        q = decay / 4
        if not limited or q >= cut:
            limited = False
            cut, rank, first, second = above(physics, kappa, q)
    trace = first - q * rank
    moment = second - 2 * q * first + q * q * rank
    risk = law.mean_square - second + q * q * rank
    return Population(q, max(cut, q), rank, trace, moment, max(risk, 0.0), limited)


def above(physics: EmpiricalPhysics, width: float, threshold: float = 0.0) -> tuple[float, float, float, float]:
    """Return the eigenvalue at which `width` or `threshold` cuts, and of those above it mass, first and second moment."""
    law = physics.law
    if law.kind == ATOMS:
        z, q = law.table[0], law.table[1]
        order = np.argsort(-z)
        z, q = z[order], q[order]
        kept = np.clip(width - np.concatenate([[0.0], np.cumsum(q)[:-1]]), 0.0, q)
        kept[z <= threshold] = 0.0
        cut = z[kept > 0][-1] if (kept > 0).any() else threshold
        return float(cut), math.fsum(kept), math.fsum(kept * z), math.fsum(kept * z * z)
    cut = threshold
    if law.rank > width:
        low, high = max(law.low, 0.0), law.high
        for _ in range(200):
            middle = 0.5 * (low + high)
            if _below(physics, middle)[0] < 1 - width:
                low = middle
            else:
                high = middle
        cut = max(0.5 * (low + high), threshold)
    if cut <= law.low or cut == 0:
        return cut, law.rank, law.mean, law.mean_square
    if cut >= law.high:
        return cut, 0.0, 0.0, 0.0
    below = _below(physics, cut)
    return cut, 1 - below[0], law.mean - below[1], law.mean_square - below[2]


def _below(physics: EmpiricalPhysics, b: float) -> np.ndarray:
    found = np.empty(3)
    moments_below(physics.law.kind, physics.law.table, b, found)
    return found


@dataclass(frozen=True)
class Thresholds:
    """Sample ratios of noiseless problems; all are NaN if the student cannot be the teacher.

    Attributes
    ----------
    interpolation : float
        Below it the samples are interpolated.
    small_decay : float
        From it on vanishing decay, or the square activation, finds the teacher.
    no_decay : float
        From it on the flow without decay finds the teacher.
    """

    interpolation: float
    small_decay: float
    no_decay: float


def noiseless_thresholds(physics: EmpiricalPhysics) -> Thresholds:
    """Return the thresholds without noise."""
    k, kappa = physics.law.rank, physics.width
    if kappa < k - 1e-12 or physics.teacher.indefinite:
        return Thresholds(math.nan, math.nan, math.nan)
    if k >= 1 - 1e-12:
        return Thresholds(0.5, 0.5, 0.5)
    base = k - 0.5 * k * k
    share = (kappa - k) / (1 - k)
    if share <= 1e-12:
        return Thresholds(base, base, base)
    edge = -2.0 if share >= 1 else root(lambda c: semicircle(c)[0] - share, -2.0, 2.0)
    half = 0.5 * (1 - k) ** 2
    interpolation = base + half * semicircle(max(0.0, edge))[2]

    def excess(h: float) -> float:
        mass, first, _ = semicircle(max(h, edge))
        return first - h * mass - h * k / (1 - k)

    h = root(excess, 0.0, 2.0)
    _, first, second = semicircle(max(h, edge))
    small = base + half * (second - h * first)
    return Thresholds(interpolation, small, min(kappa - 0.5 * kappa * kappa, interpolation))


def bayes_threshold(physics: EmpiricalPhysics) -> float:
    """Return the sample ratio from which the best estimate without noise is the teacher, eq. (E17)."""
    law = physics.law
    if physics.teacher.kind == "marchenko_pastur":
        return law.rank - 0.5 * law.rank**2
    return 0.5 * (1 - math.fsum(law.table[1] ** 2))


def semicircle(c: float) -> tuple[float, float, float]:
    """Return the integrals of 1, x and x^2 over (c, 2) under the semicircle law of variance one."""
    R = math.sqrt(max(4 - c * c, 0.0))
    F = c * R / (4 * math.pi) + math.asin(max(-1.0, min(1.0, c / 2))) / math.pi
    return 0.5 - F, R**3 / (6 * math.pi), 0.5 - F + c * R**3 / (8 * math.pi)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a decreasing function by bisection."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
