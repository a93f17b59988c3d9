"""Fields and checks of an `ExtensiveQuadratic`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...core import checks
from ...core.problem import Problem
from ...core.results import Variable
from ...spectrum.spectrum import Spectrum
from .fields import STARTS, TABLES

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
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("rescaled population risk", r"d\,\mathcal{R}", scale="d x risk", undefined=DIVERGED),
        "overlap": Variable("overlap", r"\chi"),
        "misalignment": Variable("misalignment, 1 - overlap", r"1 - \chi"),
        "trace": Variable("trace of Z", r"\mathrm{tr}\,Z", undefined=DIVERGED),
        "multiplier": Variable("multiplier of the trace", r"\varphi", undefined=DIVERGED),
        "eigenvalues": Variable("eigenvalues of d Z", r"d\,Z", dims=("eigenvalue",), undefined=DIVERGED),
    }

    student_ratio: float
    teacher: Spectrum
    start: str | Spectrum = "orthonormal"
    activation: str = "square"
    weight_decay: float = 0.0

    def __init__(
        self,
        student_ratio: float,
        teacher: Spectrum,
        start: str | Spectrum = "orthonormal",
        activation: str = "square",
        weight_decay: float = 0.0,
        **other: Any,
    ) -> None:
        TABLE.refuse("ExtensiveQuadratic", other)
        if not isinstance(teacher, Spectrum):
            raise TypeError(
                f"Argument `teacher` must be a Spectrum, but is {checks.show(teacher)}; "
                "Spectrum.orthonormal(ratio) is one."
            )
        if abs(teacher.mean - 1) > 1e-9:
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


def _check_start(start: Spectrum, student_ratio: float) -> None:
    if start.mean == 0:
        raise ValueError("Argument `start` has only zero eigenvalues: zero weights do not move.")
    missing = max(1 - student_ratio, 0.0)
    if start.zero_weight < missing - 1e-9:
        raise ValueError(
            f"Argument `start` must have a weight of at least {missing:g} at the node 0, since a student of "
            f"student_ratio = {student_ratio:g} has at most that rank per dimension, but the weight is {start.zero_weight:g}."
        )
