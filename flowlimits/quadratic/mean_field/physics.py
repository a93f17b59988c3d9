"""Fields, checks and derived numbers of a `MeanFieldQuadratic`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks, results
from ...core.problem import Problem
from ..finite.equations_reduced import OBSERVABLES
from ..finite.physics import VARIABLES
from ..finite.start import Flow, Teacher
from .fields import TABLES

TABLE = TABLES["MeanFieldQuadratic"]
ALL = (*OBSERVABLES, "eigenvalues")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Physics(Problem):
    """The second moment of the weights, and the teacher; see `MeanFieldQuadratic`."""

    clock: ClassVar[str] = "t, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "student_width"
    variables: ClassVar[dict[str, results.Variable]] = {name: VARIABLES[name] for name in (*ALL, "Z")}
    papers: ClassVar[tuple[str, ...]] = ("chizat2018", "mei2018")

    teacher_eigenvalues: np.ndarray
    start: float | np.ndarray
    activation: str = "square"
    weight_decay: float = 0.0

    def __init__(
        self, teacher_eigenvalues: Any, start: Any, activation: str = "square", weight_decay: float = 0.0, **other: Any
    ) -> None:
        checked = TABLE.check(
            "MeanFieldQuadratic", other, teacher_eigenvalues=teacher_eigenvalues, start=start, activation=activation,
            weight_decay=weight_decay,
        )  # fmt: skip
        values = checked["teacher_eigenvalues"]
        if (values < 0).any():
            i = int(np.argmax(values < 0))
            raise ValueError(
                f"Argument `teacher_eigenvalues` must not be negative, but is {values[i]:g} at index [{i}]."
            )
        if not values.any():
            raise ValueError(
                "Argument `teacher_eigenvalues` must not be all zero: the overlap with a teacher that vanishes is not defined."
            )
        self._freeze("teacher_eigenvalues", values)
        if checks.is_single(start):
            object.__setattr__(self, "start", checks.number("start", start, nonnegative=True))
        else:
            self._freeze("start", check_moment(start, values.size))
        for name in ("activation", "weight_decay"):
            object.__setattr__(self, name, checked[name])

    @property
    def dimension(self) -> int:
        """The dimension d of the inputs."""
        return self.teacher_eigenvalues.size

    def _root(self) -> np.ndarray:
        """Return a square root V0 of Z_0, shape (d, d)."""
        if isinstance(self.start, float):
            return math.sqrt(self.start) * np.eye(self.dimension)
        values, vectors = np.linalg.eigh(self.start)
        return vectors * np.sqrt(np.maximum(values, 0.0))

    def _flow(self) -> Flow:
        return self._flow_from(self._root())

    def _flow_from(self, V0: np.ndarray) -> Flow:
        values = self.teacher_eigenvalues
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 1e-16 * values.max(initial=0.0)]
        teacher = Teacher(values[order], np.eye(self.dimension)[:, order], self.dimension)
        return Flow(V0, teacher, self.activation == "square", self.weight_decay)


def check_moment(start: Any, dimension: int) -> np.ndarray:
    """Return a second moment: a symmetric positive semidefinite matrix of that size."""
    checked = checks.array("start", start)
    if checked.shape != (dimension, dimension):
        raise ValueError(
            f"Argument `start` must be a number or have shape ({dimension}, {dimension}), but has shape {checked.shape}."
        )
    size = np.abs(checked).max()
    asymmetry = np.abs(checked - checked.T).max()
    if asymmetry > 1e-12 * size:
        raise ValueError(f"Argument `start` must be symmetric, but differs from its transpose by {asymmetry:.3g}.")
    lowest = float(np.linalg.eigvalsh(checked)[0])
    if lowest < -1e-12 * size * dimension:
        raise ValueError(
            f"Argument `start` must be positive semidefinite, a second moment, but has the eigenvalue {lowest:.3g}."
        )
    return (checked + checked.T) / 2
