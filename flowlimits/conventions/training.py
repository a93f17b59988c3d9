"""The habits of a training loop, turned into a `Committee`, its clock and its risk, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from .units import Convention

if TYPE_CHECKING:
    from ..committee import Committee

LOSSES = {"half": 1.0, "mse": 2.0}  # squared error in units of (f - y)^2/2
SCALINGS = ("mean", "sqrt", "sum")
ROWS = ("sqrt(d)", "unit")


@dataclass(frozen=True, kw_only=True)
class Training(Convention):
    r"""A one-pass training loop of a two-layer network, W <- W - learning_rate * gradient, a fresh Gaussian input per step.

    The loop has the output :math:`c_p\sum_i a_i s(g\,w_i\cdot x)` and the first layer is trained.  Time counts steps,
    risk is the loss of the loop.

    Parameters
    ----------
    loss : {"mse", "half"}
        (f - y)^2, or (f - y)^2/2.
    scaling : {"mean", "sqrt", "sum"}
        The factor in front of the sum over units: c_p = 1/p, 1/sqrt(p), or 1; that of the teacher alike, with its width.
    learning_rate : float
        Of the loop.
    dimension, student_width : int
        d and p.
    teacher_width : int, optional
        k; by default that of the student.
    rows : {"sqrt(d)", "unit"}
        The norm of typical rows of W: "sqrt(d)" means preactivations w.x/sqrt(d), "unit" means w.x.
    noise : float
        Variance of the label noise.
    activation : str or sequence of float
        As in `Committee`.

    Examples
    --------
    >>> loop = fl.conventions.Training(loss="mse", scaling="sqrt", learning_rate=0.1, dimension=500, student_width=4)
    >>> problem = loop.problem(W, W_star)  # doctest: +SKIP
    >>> mine = fl.wrap(loop.to_time(steps), risk=loop.to_risk(losses), dimension=500, like=problem)  # doctest: +SKIP
    """

    loss: str
    scaling: str
    learning_rate: float
    dimension: int
    student_width: int
    teacher_width: int | None = None
    rows: str = "sqrt(d)"
    noise: float = 0.0
    activation: Any = "erf"

    def __post_init__(self) -> None:
        checks.choice("loss", self.loss, tuple(LOSSES))
        checks.choice("scaling", self.scaling, SCALINGS)
        checks.number("learning_rate", self.learning_rate, positive=True)
        for name in ("dimension", "student_width"):
            checks.integer(name, getattr(self, name), minimum=1)
        if self.teacher_width is None:
            object.__setattr__(self, "teacher_width", self.student_width)
        checks.integer("teacher_width", self.teacher_width, minimum=1)
        checks.choice("rows", self.rows, ROWS)
        checks.number("noise", self.noise, nonnegative=True)

    @property
    def time_unit(self) -> float:
        """The package's time in one step."""
        return self.rate / (self.student_width * self.dimension)

    @property
    def risk_unit(self) -> float:
        return 1.0 / LOSSES[self.loss]

    @property
    def rate(self) -> float:
        """The learning rate of the `Committee` that takes the same steps."""
        return self.learning_rate * LOSSES[self.loss] * (self.dimension if self.rows == "unit" else 1.0)

    def from_rate(self, ours: float) -> float:
        """Return the learning rate of the loop that takes the steps of a `Committee` with that learning rate."""
        return checks.number("ours", ours, positive=True) * self.learning_rate / self.rate

    def to_risk(self, theirs: Any, *, noisy: bool = False) -> Any:
        """Return the package's risk; `noisy` losses were measured on labels with noise, which is subtracted."""
        return super().to_risk(theirs) - (0.5 * self.noise if noisy else 0.0)

    def from_risk(self, ours: Any, *, noisy: bool = False) -> Any:
        """Return the loss of the loop, on labels without or with noise."""
        return super().from_risk(np.asarray(ours, dtype=float) + (0.5 * self.noise if noisy else 0.0))

    def to_second_layer(self, theirs: Any) -> np.ndarray:
        """Return the second layer of the package, in which the scaling of the output is contained."""
        return np.asarray(theirs, dtype=float) * self._factor(np.size(theirs))

    def from_second_layer(self, ours: Any) -> np.ndarray:
        """Return the second layer of the loop."""
        return np.asarray(ours, dtype=float) / self._factor(np.size(ours))

    def overlaps(self, W: Any, W_star: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the package's (Q, R, T) of weights of the loop."""
        W = checks.array("W", W, (self.student_width, self.dimension), largest=checks.LARGEST_WEIGHT)
        W_star = checks.array("W_star", W_star, (self._teacher_width, self.dimension), largest=checks.LARGEST_WEIGHT)
        size = 1.0 if self.rows == "unit" else float(self.dimension)
        return W @ W.T / size, W @ W_star.T / size, W_star @ W_star.T / size

    def problem(  # type: ignore[override]
        self, W: Any, W_star: Any, *, second_layer: Any = None, teacher_second_layer: Any = None, **physics: Any
    ) -> Committee:
        """Return the `Committee` of the weights of the loop; second layers are ones by default, `physics` is the package's."""
        from ..committee import Committee

        p, k = self.student_width, self._teacher_width
        ours = np.ones(p) if second_layer is None else checks.array("second_layer", second_layer, (p,))
        theirs = (
            np.ones(k)
            if teacher_second_layer is None
            else checks.array("teacher_second_layer", teacher_second_layer, (k,))
        )
        stated = {
            "activation": self.activation,
            "learning_rate": self.rate,
            "noise": self.noise,
            "second_layer": self.to_second_layer(ours),
            "teacher_second_layer": self.to_second_layer(theirs),
        }
        return Committee(*self.overlaps(W, W_star), **(stated | physics))

    @property
    def _teacher_width(self) -> int:
        return int(self.teacher_width or self.student_width)

    def _factor(self, width: int) -> float:
        return {"mean": 1.0, "sqrt": math.sqrt(width), "sum": float(width)}[self.scaling]
