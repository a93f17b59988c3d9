"""Fields and checks of an `ExtensiveQuadratic`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks
from ...core.problem import Problem
from ...core.results import Variable
from ...spectrum.groups import CovarianceGroups
from ...spectrum.spectrum import Spectrum
from .. import STARTS, TABLES
from ..commuting import Atoms

TABLE = TABLES["ExtensiveQuadratic"]
#: Only runs of a finite step end that way.
DIVERGED = "nan where gradient descent with a finite step has diverged"


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Physics(Problem):
    """Ratios, the laws of teacher and start, and how the student learns; see `ExtensiveQuadratic`."""

    clock: ClassVar[str] = "tau = t/d, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "dimension"
    papers: ClassVar[tuple[str, ...]] = ("martin2024", "martin2026")
    _later: ClassVar[tuple[str, ...]] = ("covariance",)
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("rescaled population risk", r"d\,\mathcal{R}", scale="d x risk", undefined=DIVERGED),
        "overlap": Variable("overlap", r"\chi"),
        "misalignment": Variable("misalignment, 1 - overlap", r"1 - \chi"),
        "trace": Variable("trace of Z", r"\mathrm{tr}\,Z", undefined=DIVERGED),
        "multiplier": Variable("multiplier of the trace", r"\varphi", undefined=DIVERGED),
        "eigenvalues": Variable("eigenvalues of d Z", r"d\,Z", dims=("eigenvalue",), undefined=DIVERGED),
    }

    student_ratio: float
    teacher: Spectrum | CovarianceGroups
    start: str | Spectrum = "orthonormal"
    activation: str = "square"
    weight_decay: float = 0.0
    covariance: CovarianceGroups | None = None

    def __init__(
        self,
        student_ratio: float,
        teacher: Spectrum | CovarianceGroups,
        start: str | Spectrum = "orthonormal",
        activation: str = "square",
        weight_decay: float = 0.0,
        covariance: Any = None,
        **other: Any,
    ) -> None:
        TABLE.refuse("ExtensiveQuadratic", other)
        if not isinstance(teacher, Spectrum) and (covariance is None or not isinstance(teacher, CovarianceGroups)):
            raise TypeError(
                f"Argument `teacher` must be a Spectrum, but is {checks.show(teacher)}; "
                "Spectrum.orthonormal(ratio) is one."
            )
        if isinstance(teacher, Spectrum) and teacher.indefinite:
            _check_indefinite(activation, covariance)
        elif abs(teacher.mean - 1) > 1e-9:
            raise ValueError(
                f"Argument `teacher` must have the mean eigenvalue 1 (trace one per dimension of d Z), "
                f"but its mean is {teacher.mean:.12g}. Spectrum.normalised() divides by it."
            )
        if not isinstance(start, str | Spectrum):
            raise TypeError(f"Argument `start` must be a name or a Spectrum, but is {checks.show(start)}.")
        fields = TABLE.check(
            "ExtensiveQuadratic", student_ratio=student_ratio, teacher=teacher,
            start=start if isinstance(start, Spectrum) else checks.choice("start", start, STARTS), activation=activation,
            weight_decay=weight_decay,
        )  # fmt: skip
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if isinstance(start, Spectrum):
            _check_start(start, fields["student_ratio"])
        if covariance is not None:
            groups = teacher if isinstance(teacher, CovarianceGroups) else CovarianceGroups(*teacher.groups)
            object.__setattr__(self, "teacher", groups)
            object.__setattr__(self, "covariance", _check_covariance(covariance, teacher, groups))
            self._check_commuting()

    @property
    def indefinite(self) -> bool:
        """Whether the teacher has negative eigenvalues, which no weights realise."""
        return isinstance(self.teacher, Spectrum) and self.teacher.indefinite

    @property
    def _law(self) -> Spectrum:
        """The spectrum of the teacher, which is one of groups for inputs with a covariance only."""
        assert isinstance(self.teacher, Spectrum)
        return self.teacher

    def _check_commuting(self) -> None:
        if self._isotropic_start() is None:
            given = self.start if isinstance(self.start, Spectrum) else repr(self.start)
            raise ValueError(
                "Argument `start` must be proportional to the identity for inputs with a covariance, orthonormal with a "
                f"student_ratio of at least 1 or a Spectrum of one node, but is {given} with student_ratio = "
                f"{self.student_ratio:g}: {NO_LIMIT}"
            )
        assert self.covariance is not None
        if not (self.covariance.eigenvalues * self.teacher.weights * self._values()).any():
            raise ValueError("Argument `covariance` must not vanish on all of the teacher: its outputs would be zero.")

    def _isotropic_start(self) -> float | None:
        """Return z_0 of a start z_0 times the identity, None for others."""
        if isinstance(self.start, Spectrum):
            return (
                float(self.start.nodes[0])
                if self.start.nodes.size == 1 and self.start.kind != "marchenko_pastur"
                else None
            )
        return 1.0 if self.start == "orthonormal" and self.student_ratio >= 1 else None

    def _values(self) -> np.ndarray:
        """Return the teacher's eigenvalues by group, with a covariance."""
        assert isinstance(self.teacher, CovarianceGroups)
        return self.teacher.eigenvalues

    def _realised_groups(self, dimension: int) -> tuple[CovarianceGroups, CovarianceGroups]:
        """Return teacher and covariance on as many eigenvectors as largest remainders give each group, the teacher's mean kept."""
        assert self.covariance is not None
        counts = self.covariance.multiplicities(dimension)
        values = self._values() * counts
        if not values.any():
            raise ValueError(
                f"Argument `dimension` = {dimension} is too small to realise the teacher: no positive eigenvalue is left."
            )
        teacher = CovarianceGroups(self._values() * dimension / values.sum(), counts / dimension)
        return teacher, CovarianceGroups(self.covariance.eigenvalues, counts / dimension)

    def _atoms(self) -> Atoms:
        """Return the joint eigenvalues of covariance, teacher and start, (Q28)."""
        assert self.covariance is not None
        c, z = self.covariance.eigenvalues, self._isotropic_start()
        assert z is not None
        return Atoms(c, self._values(), self.teacher.weights, np.full(c.size, z))


#: What is known beyond the limit that is here.
NO_LIMIT = (
    "otherwise no closed limit is known, since the flows of different eigenvalues of the covariance do not commute. "
    "QuadraticFlow(W, W_star, covariance=...) is exact at every finite dimension."
)


def _check_covariance(covariance: Any, teacher: Any, groups: CovarianceGroups) -> CovarianceGroups:
    """Return the covariance on the groups of the teacher."""
    if isinstance(teacher, Spectrum) and teacher.kind == "marchenko_pastur" and teacher.refine:
        raise ValueError(
            "Argument `teacher` must have fixed nodes for inputs with a covariance, whose eigenvalues belong to them: "
            "Spectrum.marchenko_pastur(ratio, nodes=64) has."
        )
    if isinstance(covariance, Spectrum | CovarianceGroups):
        values, weights = (
            covariance.groups if isinstance(covariance, Spectrum) else (covariance.eigenvalues, covariance.weights)
        )
        if weights.shape != groups.weights.shape or np.abs(weights - groups.weights).max() > 1e-12:
            raise ValueError(
                f"Argument `covariance` must have the weights of the teacher, {_listed(groups.weights)}, as each of its groups is an eigenspace "
                f"of the teacher too, but has {_listed(weights)}."
            )
    else:
        values = checks.array("covariance", covariance)
        if values.shape != (groups.count,):
            raise ValueError(
                f"Argument `covariance` must have one eigenvalue for each of the {groups.count} groups of the teacher, shape ({groups.count},), but has "
                f"shape {values.shape}: a limit is here where covariance and teacher commute; {NO_LIMIT}"
            )
    return CovarianceGroups(values, groups.weights)


def _listed(weights: np.ndarray) -> str:
    return str(weights.tolist()) if weights.size <= 6 else f"{weights.size} numbers"


def _check_indefinite(activation: str, covariance: Any) -> None:
    """Refuse a teacher with negative eigenvalues where its equations are not known."""
    if covariance is not None:
        raise ValueError(
            f"Argument `covariance` must be None for a teacher with negative eigenvalues, but is {checks.show(covariance)}."
        )
    if activation != "centred":
        raise ValueError(
            f'Argument `activation` must be "centred" for a teacher with negative eigenvalues, which no weights realise, but is '
            f'"{activation}": the locked trace is known here for teachers of weights only.'
        )


def _check_start(start: Spectrum, student_ratio: float) -> None:
    if start.indefinite:
        raise ValueError(
            f"Argument `start` must have no negative eigenvalues, but is {start!r}: no weights realise them."
        )
    if start.mean == 0:
        raise ValueError("Argument `start` has only zero eigenvalues: zero weights do not move.")
    missing = max(1 - student_ratio, 0.0)
    if start.zero_weight < missing - 1e-9:
        raise ValueError(
            f"Argument `start` must have a weight of at least {missing:g} at the node 0, since a student of "
            f"student_ratio = {student_ratio:g} has at most that rank per dimension, but the weight is {start.zero_weight:g}."
        )
