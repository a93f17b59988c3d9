r"""Thresholds without noise, in closed form, eq. (E12): they depend on the rank of the teacher alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .physics import EmpiricalPhysics


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
