"""What a mean-field problem is: teacher or target, law of the start, activations, rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..committee import activations
from ..core import checks
from ..core.problem import Problem
from ..spectrum.groups import CovarianceGroups
from . import TABLES
from .ensemble import (
    Ensemble,
    LostTarget,
    check_covariance,
    check_groups,
    check_teacher,
    coordinates,
    is_overlap,
    target_values,
)

#: Directions beyond which no grid over the span is made, and the points per direction that it starts with.
GRID = {1: 40, 2: 20, 3: 12}


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MeanFieldPhysics(Problem):
    """Fields, checks and derived quantities of `MeanField`."""

    teacher: np.ndarray | int | None
    start: Ensemble
    activation: activations.Activation
    teacher_activation: activations.Activation
    target: Callable[[np.ndarray], np.ndarray] | None
    teacher_second_layer: np.ndarray | None
    second_layer_rate: float
    weight_decay: float
    temperature: float
    spherical: bool
    covariance: CovarianceGroups | None

    def __init__(
        self,
        teacher: Any,
        start: Ensemble,
        *,
        activation: Any = "erf",
        teacher_activation: Any = None,
        target: Any = None,
        teacher_second_layer: Any = None,
        second_layer_rate: float = 0.0,
        weight_decay: float = 0.0,
        temperature: float = 0.0,
        spherical: bool = False,
        covariance: Any = None,
        **other: Any,
    ) -> None:
        put = object.__setattr__
        checks.unknown_arguments(
            "MeanField", other, [field.name for field in fields(self)], dict(TABLES["MeanField"].absent)
        )
        if not isinstance(start, Ensemble):
            hint = "Ensemble.gaussian(dimension) is one."
            raise TypeError(f"Argument `start` must be an Ensemble, but is {checks.show(start)}; {hint}")
        put(self, "start", start)
        put(self, "activation", activations.check("activation", activation))
        given = activation if teacher_activation is None else teacher_activation
        put(self, "teacher_activation", activations.check("teacher_activation", given))
        put(self, "target", target)
        rates = (("second_layer_rate", second_layer_rate), ("weight_decay", weight_decay), ("temperature", temperature))
        for name, value in rates:
            put(self, name, checks.number(name, value, nonnegative=True))
        put(self, "spherical", checks.boolean("spherical", spherical))
        put(self, "covariance", None if covariance is None else check_covariance(covariance, start, target))
        if target is None:
            groups = self.covariance
            self._freeze("teacher", check_teacher(teacher) if groups is None else check_groups(teacher, groups))
            k = len(self.teacher_rows)
            b = np.ones(k) if teacher_second_layer is None else teacher_second_layer
            self._freeze("teacher_second_layer", checks.array("teacher_second_layer", b, (k,)))
        else:
            self._check_target(teacher, teacher_activation, teacher_second_layer)
        self._check_start()
        self._check_activations()

    def _check_target(self, directions: Any, teacher_activation: Any, b: Any) -> None:
        """Check what replaces the teacher."""
        if not callable(self.target):
            raise TypeError(
                f"Argument `target` must be a function of an array of points, shape (n, directions), but is {checks.show(self.target)}."
            )
        for name, value in (("teacher_activation", teacher_activation), ("teacher_second_layer", b)):
            if value is not None:
                raise ValueError(
                    f"Arguments `target` and `{name}` exclude each other: the target is the whole function."
                )
        if directions is not None and not isinstance(directions, int | np.integer):
            raise ValueError(
                "Arguments `teacher` and `target` exclude each other: with a target, `teacher` is None or the number of directions."
            )
        if directions is None and self.start.projections is None:
            raise ValueError(
                "Argument `teacher` must be the number of directions that the target depends on, since the start does not tell it, but is None."
            )
        object.__setattr__(
            self, "teacher", None if directions is None else checks.integer("teacher", directions, minimum=1)
        )
        object.__setattr__(self, "teacher_second_layer", None)
        object.__setattr__(self, "teacher_activation", self.activation)
        if self.start.dimension is not None:
            raise ValueError(
                f"Argument `target` needs infinite dimension, where the student is a function of the span alone, but `start` has the dimension {self.start.dimension}."
            )
        if self.directions not in GRID:
            raise ValueError(self._too_many())
        if not isinstance(self.target, LostTarget):
            target_values(self.target, np.random.default_rng(0).standard_normal((3, self.directions)))

    def _too_many(self) -> str:
        return (
            f"A grid over the span holds at most {max(GRID)} directions, but there are {self.directions}: use a teacher of the student's own "
            "activation, or a polynomial activation, which need none, or Committee at finite width."
        )

    def _check_start(self) -> None:
        start, m = self.start, self.directions
        if start.norms is not None and start.norms.ndim == 2:
            count = 1 if self.covariance is None else self.covariance.count
            if start.norms.shape[1] != count:
                raise ValueError(
                    f"Argument `start` must have norms for the {count} groups of the covariance, shape (P, {count}), but their shape is {start.norms.shape}."
                )
        if start.projections is not None and start.projections.shape[1] != m:
            raise ValueError(
                f"Argument `start` must have projections on the {m} directions of the teacher, shape (P, {m}), but their shape is {start.projections.shape}."
            )
        if start.dimension is not None and start.dimension < m:
            raise ValueError(
                f"Argument `start` must have a dimension of at least {m}, the directions of the teacher, but has {start.dimension}."
            )
        if self.temperature > 0 and start.dimension is not None:
            raise ValueError(
                f"Argument `temperature` needs infinite dimension, where the noise only lengthens the remainders, but `start` has the dimension {start.dimension}: "
                "at a finite one the particles diffuse."
            )
        if start.norms is None or start.projections is None:
            return
        if self.temperature > 0 and (start.norms == 0).any():
            raise ValueError(
                f"Argument `start` must have positive norms at a positive temperature, but norms[{int(start.norms.argmin())}] is 0."
            )
        size = (start.norms.reshape(start.size, -1) ** 2).sum(1) + (start.projections**2).sum(1)
        if (size <= 0).any() and (self.spherical or self.activation == "relu"):
            reason = "a unit of length zero has no direction" if self.spherical else "ReLU has no derivative at 0"
            raise ValueError(
                f"Argument `start` must hold no unit of length zero, but atom {int(size.argmin())} is one: {reason}."
            )

    def _check_activations(self) -> None:
        """Refuse pairs of activations whose moments are not here."""
        if self.target is not None or self.closed or activations.is_polynomial(self.activation):
            return
        names = f'"{self.activation}"', _name(self.teacher_activation)
        if self.teacher_activation == "relu":
            raise ValueError(
                f"Arguments `activation` and `teacher_activation` are {names[0]} and {names[1]}: a grid over the span loses its digits at the kink of a ReLU teacher, "
                "and the moments of the two have no closed form. Give the function as `target` to take the grid as it is."
            )
        if self.start.dimension is not None:
            raise ValueError(
                f"Arguments `activation` and `teacher_activation` are {names[0]} and {names[1]}, whose moments are here at infinite dimension only, "
                f"but `start` has the dimension {self.start.dimension}."
            )
        if self.directions not in GRID:
            raise ValueError(self._too_many())

    @property
    def closed(self) -> bool:
        """Whether moments of student and teacher have a closed form at every dimension."""
        if activations.is_polynomial(self.activation):
            return activations.is_polynomial(self.teacher_activation)
        return self.activation == self.teacher_activation

    @property
    def teacher_rows(self) -> np.ndarray:
        """The rows U of the teacher in an orthonormal basis of its span, shape (k, m); with a covariance those of U S^(1/2)."""
        teacher = self.teacher
        assert isinstance(teacher, np.ndarray)
        if self.covariance is not None:
            scaled = [np.sqrt(c) * U for c, U in zip(self.covariance.eigenvalues, self.group_rows, strict=True)]
            return np.concatenate(scaled, axis=1)
        return coordinates(teacher) if is_overlap(teacher) else teacher

    @property
    def group_rows(self) -> list[np.ndarray]:
        """The rows of the teacher in each group of the covariance, shapes (k, m_l), not scaled."""
        assert isinstance(self.teacher, np.ndarray)
        return [coordinates(T) for T in self.teacher]

    @property
    def row_groups(self) -> np.ndarray:
        """The group of the covariance of each direction, and then of each remainder."""
        if self.covariance is None:
            return np.zeros(self.directions + 1, dtype=int)
        sizes = [U.shape[1] for U in self.group_rows]
        groups = np.arange(len(sizes))
        return np.concatenate([np.repeat(groups, sizes), groups])

    @property
    def teacher_shares(self) -> np.ndarray:
        """The second layer of the teacher over its width, shape (k,)."""
        b = self.teacher_second_layer
        assert b is not None
        return b / len(b)

    @property
    def directions(self) -> int:
        """The number m of directions of the span."""
        if self.target is None:
            return int(self.teacher_rows.shape[1])
        if self.start.projections is not None and self.teacher is None:
            return int(self.start.projections.shape[1])
        assert isinstance(self.teacher, int)
        return self.teacher

    @property
    def dimension(self) -> int | None:
        """The dimension of the inputs; None if it is infinite."""
        return self.start.dimension

    def target_values(self, points: np.ndarray) -> np.ndarray:
        """Return the target at points of the span, shape (n, m)."""
        if self.target is not None:
            return target_values(self.target, points)
        U = self.teacher_rows
        fields_ = points @ U.T
        if self.teacher_activation == "erf":
            from scipy.special import erf

            values = erf(fields_ / np.sqrt(2.0))
        elif self.teacher_activation == "relu":
            values = np.maximum(fields_, 0.0)
        else:
            values = np.polynomial.polynomial.polyval(fields_, activations.coefficients(self.teacher_activation))
            if self.teacher_activation == "centred":
                values = values - (U**2).sum(1)
        return values @ self.teacher_shares

    @classmethod
    def from_plain(cls, fields: Mapping[str, Any]) -> MeanFieldPhysics:
        """Return the problem that `to_plain` described."""
        given = dict(fields)
        if given["target"] is None:
            return cls(**given)
        given |= {"target": LostTarget(str(given["target"])), "teacher_activation": None, "teacher_second_layer": None}
        return cls(**given)


def _name(activation: activations.Activation) -> str:
    return f'"{activation}"' if isinstance(activation, str) else "a polynomial"
