r"""Steady states on infinitely many samples, eq. (E14): the teacher's largest eigenvalues, lowered by the decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..spectrum.free_convolution import ATOMS
from .equations_density import moments_below
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
