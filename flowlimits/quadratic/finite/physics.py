"""Fields, checks and derived numbers of a `QuadraticFlow`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks
from ...core.problem import Problem
from ...core.results import Variable
from .fields import TABLES
from .start import Flow, check_size, teacher_of

TABLE = TABLES["QuadraticFlow"]

VARIABLES = {
    "risk": Variable("population risk", r"\mathcal{R}"),
    "overlap": Variable("overlap", r"\chi"),
    "misalignment": Variable("misalignment", r"1 - \chi"),
    "trace": Variable("trace of the student", r"\mathrm{tr}\,Z"),
    "multiplier": Variable("multiplier", r"\varphi"),
    "eigenvalues": Variable("eigenvalues of the student", r"\mathrm{spec}\,Z", ("eigenvalue",)),
    "Z": Variable("matrix of the student", "Z", ("input", "input_2")),
}


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Physics(Problem):
    """Weights of a student and its teacher, and how the student learns; see `QuadraticFlow`."""

    clock: ClassVar[str] = "t, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "exact"
    size_name: ClassVar[str] = ""
    variables: ClassVar[dict[str, Variable]] = VARIABLES
    papers: ClassVar[tuple[str, ...]] = ("martin2024", "sarao2020", "gamarnik2019")

    W: np.ndarray
    W_star: np.ndarray
    activation: str = "square"
    weight_decay: float = 0.0

    def __init__(
        self, W: Any, W_star: Any, activation: str = "square", weight_decay: float = 0.0, **other: Any
    ) -> None:
        values = TABLE.check(
            "QuadraticFlow", other, W=W, W_star=W_star, activation=activation, weight_decay=weight_decay
        )
        checks.same_dimension(values["W"], values["W_star"])
        self._freeze("W", check_size("W", values["W"]))
        if not values["W_star"].any():
            raise ValueError(
                "Argument `W_star` must not be zero: the overlap with a teacher that vanishes is not defined."
            )
        self._freeze("W_star", check_size("W_star", values["W_star"]))
        for name in ("activation", "weight_decay"):
            object.__setattr__(self, name, values[name])

    @property
    def dimension(self) -> int:
        """The dimension d of the inputs."""
        return self.W.shape[1]

    def _flow(self) -> Flow:
        p, d = self.W.shape
        teacher = teacher_of(self.W_star.T / np.sqrt(self.W_star.size))
        return Flow(self.W.T / np.sqrt(p * d), teacher, self.activation == "square", self.weight_decay)
