"""What is learnt: a teacher given by overlaps or rows, by groups of a covariance, or a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import checks
from ..spectrum.covariance import groups_of
from ..spectrum.groups import CovarianceGroups
from .ensemble import Ensemble


@dataclass(frozen=True)
class LostTarget:
    """Stands for the target of a problem that was read from a file, which knows its name only."""

    __qualname__: str

    def __call__(self, points: np.ndarray) -> np.ndarray:
        raise ValueError(
            f"The target `{self.__qualname__}` is a function of your own and cannot be rebuilt from a file."
        )


def is_overlap(teacher: np.ndarray) -> bool:
    """Whether the teacher is given by its overlaps T, a symmetric matrix, and not by its rows U."""
    return bool(teacher.shape[0] == teacher.shape[1] and np.array_equal(teacher, teacher.T))


def check_teacher(value: Any) -> np.ndarray:
    if value is None:
        raise ValueError("Argument `teacher` is missing: give overlaps T (k, k) or rows U (k, m), or a `target`.")
    teacher = checks.array("teacher", value, ("k", "m"))
    if is_overlap(teacher):
        lowest = float(np.linalg.eigvalsh(teacher)[0])
        if lowest < -1e-12 * abs(teacher).max():
            raise ValueError(
                f"Argument `teacher` is symmetric, hence taken for overlaps T = W* W*^T/d, and must be positive semidefinite, but has the eigenvalue {lowest:.3g}."
            )
    if not (np.abs(teacher).sum(1) > 0).all():
        raise ValueError(
            f"Argument `teacher` must not hold a unit of norm zero, but unit {int(np.abs(teacher).sum(1).argmin())} is one: leave it out."
        )
    return teacher


def check_groups(value: Any, groups: CovarianceGroups) -> np.ndarray:
    """Return the overlaps of the teacher by group of the covariance, shape (L, k, k)."""
    T = checks.array("teacher", value)
    if T.ndim == 2 and is_overlap(T):
        T = groups.weights[:, None, None] * T
    if T.ndim != 3 or len(T) != groups.count or not all(is_overlap(one) for one in T):
        raise ValueError(
            f"Argument `teacher` must hold overlaps by group of the covariance, shape ({groups.count}, k, k), or (k, k) for a teacher that is alike in all, "
            f"but has shape {np.shape(value)}."
        )
    for one in T:
        if np.linalg.eigvalsh(one)[0] < -1e-12 * abs(T).max():
            raise ValueError(
                "Argument `teacher` must be positive semidefinite in each group of the covariance, but is not."
            )
    check_teacher(T.sum(0))
    return T


def check_covariance(covariance: Any, start: Ensemble, target: Any) -> CovarianceGroups:
    """Return the groups of a covariance."""
    if start.dimension is not None:
        raise ValueError(
            f"Argument `covariance` needs infinite dimension, where remainders of different units are orthogonal, but `start` has the dimension {start.dimension}."
        )
    if target is not None:
        raise ValueError("Arguments `covariance` and `target` exclude each other: give a teacher.")
    groups = groups_of(covariance)
    if (groups.eigenvalues <= 0).any():
        raise ValueError(
            "Argument `covariance` must have positive eigenvalues: weights along the others neither move nor count."
        )
    return groups


def target_values(target: Callable[[np.ndarray], Any], points: np.ndarray) -> np.ndarray:
    values = checks.array("target(points)", target(points))
    if values.shape != (len(points),):
        raise ValueError(
            f"Argument `target` must return one number for each point, shape ({len(points)},), but returns the shape {values.shape}."
        )
    return values
