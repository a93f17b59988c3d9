"""Fields, checks and derived numbers of a `MeanFieldQuadratic`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks, results
from ...core.problem import Description, Problem
from ...spectrum.covariance import decompose
from .. import TABLES
from ..commuting import Atoms
from ..finite.equations_reduced import OBSERVABLES
from ..finite.physics import VARIABLES
from ..finite.start import Flow, Teacher

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
    _later: ClassVar[tuple[str, ...]] = ("covariance",)

    teacher_eigenvalues: np.ndarray
    start: float | np.ndarray
    activation: str = "square"
    weight_decay: float = 0.0
    covariance: Any = None

    def __init__(
        self,
        teacher_eigenvalues: Any,
        start: Any,
        activation: str = "square",
        weight_decay: float = 0.0,
        covariance: Any = None,
        **other: Any,
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
            object.__setattr__(
                self, "start", checks.number("start", start, nonnegative=True, largest=checks.LARGEST**2)
            )
        else:
            self._freeze("start", check_moment(start, values.size))
        for name in ("activation", "weight_decay"):
            object.__setattr__(self, name, checked[name])
        if covariance is not None:
            decompose(covariance, values.size, weights="teacher_eigenvalues", entries="entries")
            if isinstance(covariance, Description):
                object.__setattr__(self, "covariance", covariance)
            else:
                self._freeze("covariance", np.asarray(covariance, dtype=np.float64))

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
        if self.covariance is None:
            return Flow(V0, teacher, self.activation == "square", self.weight_decay)
        covariance = decompose(self.covariance, self.dimension)
        V_star = np.eye(self.dimension)[:, order] * np.sqrt(teacher.values)
        return Flow(V0, teacher, self.activation == "square", self.weight_decay, covariance, V_star)

    def _atoms(self) -> Atoms | None:
        """Return the joint eigenvalues if the covariance is diagonal and so is the start, and positive; (Q28)."""
        start = self.start if isinstance(self.start, float) else np.diag(self.start)
        if (isinstance(self.start, np.ndarray) and (self.start != np.diag(start)).any()) or np.min(start) <= 0:
            return None
        given = self.covariance
        if isinstance(given, np.ndarray) and given.ndim == 2:
            if (given != np.diag(np.diag(given))).any():
                return None
            given = np.diag(given)
        covariance = decompose(given, self.dimension)
        c = covariance.rotate_back(covariance.eigenvalues[None])[0]
        return Atoms.of_eigenvalues(c, self.teacher_eigenvalues, np.broadcast_to(start, c.shape))


def check_moment(start: Any, dimension: int) -> np.ndarray:
    """Return a second moment: a symmetric positive semidefinite matrix of that size."""
    checked = checks.array("start", start, largest=checks.LARGEST**2)
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
