"""Fields, checks and derived numbers of a `QuadraticFlow`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks
from ...core.problem import Description, Problem
from ...core.results import Variable
from ...spectrum.covariance import decompose
from .. import TABLES
from .start import Flow, check_size, teacher_of

TABLE = TABLES["QuadraticFlow"]

#: Only runs of a finite step end that way; the integrator refuses.
DIVERGED = "nan where gradient descent with a finite step has diverged"
VARIABLES = {
    "risk": Variable("population risk", r"\mathcal{R}", undefined=DIVERGED),
    "overlap": Variable("overlap", r"\chi"),
    "misalignment": Variable("misalignment", r"1 - \chi"),
    "trace": Variable("trace of the student", r"\mathrm{tr}\,Z", undefined=DIVERGED),
    "multiplier": Variable("multiplier", r"\varphi", undefined=DIVERGED),
    "eigenvalues": Variable("eigenvalues of the student", r"\mathrm{spec}\,Z", ("eigenvalue",), undefined=DIVERGED),
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
    _later: ClassVar[tuple[str, ...]] = ("covariance",)

    W: np.ndarray
    W_star: np.ndarray
    activation: str = "square"
    weight_decay: float = 0.0
    covariance: Any = None

    def __init__(
        self,
        W: Any,
        W_star: Any,
        activation: str = "square",
        weight_decay: float = 0.0,
        covariance: Any = None,
        **other: Any,
    ) -> None:
        values = TABLE.check(
            "QuadraticFlow", other, W=W, W_star=W_star, activation=activation, weight_decay=weight_decay
        )
        checks.weights(values["W"], values["W_star"], checks.LARGEST)
        self._freeze("W", check_size("W", values["W"]))
        if not values["W_star"].any():
            raise ValueError(
                "Argument `W_star` must not be zero: the overlap with a teacher that vanishes is not defined."
            )
        self._freeze("W_star", check_size("W_star", values["W_star"]))
        for name in ("activation", "weight_decay"):
            object.__setattr__(self, name, values[name])
        if covariance is not None:
            decompose(covariance, self.dimension)
            if isinstance(covariance, Description):
                object.__setattr__(self, "covariance", covariance)
            else:
                self._freeze("covariance", np.asarray(covariance, dtype=np.float64))

    @property
    def dimension(self) -> int:
        """The dimension d of the inputs."""
        return self.W.shape[1]

    def _flow(self) -> Flow:
        p, d = self.W.shape
        V0, V_star = self.W.T / np.sqrt(p * d), self.W_star.T / np.sqrt(self.W_star.size)
        square, decay = self.activation == "square", self.weight_decay
        if self.covariance is None:
            return Flow(V0, teacher_of(V_star), square, decay)
        return Flow(V0, teacher_of(V_star), square, decay, decompose(self.covariance, d), V_star)
