r"""Exact conversions between the convention of `flowlimits.Committee` and those of other papers and programs.

Each class holds the parameters of the other convention and converts time, risk, overlaps and second layers both ways: ``to_...``
leads into the package, ``from_...`` out of it.  The package: f is a mean over units, overlaps are scalar products over d, the risk is
half the mean squared error without label noise, noise is a variance, and t = steps * learning_rate / (p d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks

if TYPE_CHECKING:
    from ..committee import Committee
    from ..single_unit.problem import SingleUnit


class Units:
    """Clock and risk of another convention, in those of the package."""

    @property
    def time_unit(self) -> float:
        """The package's time in one unit of theirs."""
        return 1.0

    @property
    def risk_unit(self) -> float:
        """The package's risk at a risk or loss of one of theirs."""
        return 1.0

    def to_time(self, theirs: Any) -> Any:
        """Return times on the package's clock."""
        return np.asarray(theirs, dtype=float) * self.time_unit

    def from_time(self, ours: Any) -> Any:
        """Return times on their clock."""
        return np.asarray(ours, dtype=float) / self.time_unit

    def to_risk(self, theirs: Any) -> Any:
        """Return the package's risk."""
        return np.asarray(theirs, dtype=float) * self.risk_unit

    def from_risk(self, ours: Any) -> Any:
        """Return their risk or loss."""
        return np.asarray(ours, dtype=float) / self.risk_unit


class Convention(Units):
    """A convention for committees: their overlaps and parameters too."""

    def to_overlaps(self, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the package's (Q, R, T)."""
        return np.asarray(Q, dtype=float), np.asarray(R, dtype=float), np.asarray(T, dtype=float)

    def from_overlaps(self, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return their (Q, R, T)."""
        return np.asarray(Q, dtype=float), np.asarray(R, dtype=float), np.asarray(T, dtype=float)

    def _physics(self, student_width: int) -> dict[str, Any]:
        return {}

    def _widths(self) -> tuple[int | str, int | str]:
        """Return the widths of student and teacher, or letters where the convention does not state them."""
        return "p", "k"

    def problem(self, Q: Any, R: Any, T: Any, **physics: Any) -> Committee:
        """Return the `Committee` of overlaps in their convention; `physics` comes before what the convention states."""
        from ..committee import Committee

        p, k = self._widths()
        Q, R, T = checks.array("Q", Q, (p, p)), checks.array("R", R, (p, k)), checks.array("T", T, (k, k))
        return Committee(*self.to_overlaps(Q, R, T), **(self._physics(len(Q)) | physics))


@dataclass(frozen=True)
class Arnaboldi(Convention):
    """Arnaboldi, Stephan, Krzakala & Loureiro (arXiv 2302.05882) and Arnaboldi et al. (2305.18502): the package's own.

    Parameters
    ----------
    gamma : float
        Learning rate.
    noise : float
        Variance of the label noise.
    """

    gamma: float
    noise: float = 0.0

    def __post_init__(self) -> None:
        checks.number("gamma", self.gamma, nonnegative=True)
        checks.number("noise", self.noise, nonnegative=True)

    def _physics(self, student_width: int) -> dict[str, Any]:
        return {"activation": "square", "learning_rate": self.gamma, "noise": self.noise}


@dataclass(frozen=True)
class Veiga(Convention):
    """Veiga et al. (arXiv 2202.00293): p = p0 d^kappa units, learning rate gamma0 d^-delta, time steps/d^(1 + kappa + delta).

    `problem` has the learning rate of the limit (see `limit_rate`) and their activation, erf; at a finite dimension give
    ``learning_rate=convention.learning_rate(dimension)``.

    Raises
    ------
    ValueError
        If kappa + delta < 0: that regime has another clock, on which only the noise moves the overlaps.
    """

    p0: float
    gamma0: float
    kappa: float = 0.0
    delta: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        checks.number("p0", self.p0, positive=True)
        checks.number("gamma0", self.gamma0, positive=True)
        checks.number("noise", self.noise, nonnegative=True)
        total = checks.number("kappa", self.kappa) + checks.number("delta", self.delta)
        if total < 0 and not self._at_saad_solla:
            raise ValueError(
                f"Arguments `kappa` and `delta` must have a sum of at least 0, but it is {total:g}: that regime has another clock "
                "and only the noise term."
            )

    @property
    def _at_saad_solla(self) -> bool:
        # 0.1 + 0.2 - 0.3 is not zero in floating point.
        return abs(self.kappa + self.delta) < 1e-12

    @property
    def time_unit(self) -> float:
        return self.gamma0 / self.p0

    def _physics(self, student_width: int) -> dict[str, Any]:
        return {"activation": "erf", "learning_rate": self.limit_rate(student_width), "noise": self.noise}

    def student_width(self, dimension: int) -> int:
        """Return p at a dimension."""
        return max(1, round(self.p0 * dimension**self.kappa))

    def learning_rate(self, dimension: int) -> float:
        """Return the learning rate at a dimension."""
        return float(self.gamma0 * dimension**-self.delta)

    def limit_rate(self, student_width: int) -> float:
        """Return the learning rate whose noise survives as d grows: learning_rate/p = gamma0/p0 if kappa + delta = 0, else 0."""
        return student_width * self.gamma0 / self.p0 if self._at_saad_solla else 0.0


@dataclass(frozen=True)
class Martin(Convention):
    """Martin, Bach & Biroli (arXiv 2311.03794): V = W^T/sqrt(p d), loss L = E(f - f*)^2/4, gradient flow dV/ds = -grad L, s = 2 t.

    Parameters
    ----------
    student_width, teacher_width : int
        Their m and m*: columns of V and V*.  Overlaps are V^T V, V^T V*, V*^T V*.
    """

    student_width: int
    teacher_width: int

    def __post_init__(self) -> None:
        checks.integer("student_width", self.student_width, minimum=1)
        checks.integer("teacher_width", self.teacher_width, minimum=1)

    def _widths(self) -> tuple[int, int]:
        return self.student_width, self.teacher_width

    @property
    def time_unit(self) -> float:
        return 0.5

    @property
    def risk_unit(self) -> float:
        return 2.0

    def to_overlaps(self, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p, k = self.student_width, self.teacher_width
        return (
            np.asarray(Q, dtype=float) * p,
            np.asarray(R, dtype=float) * math.sqrt(p * k),
            np.asarray(T, dtype=float) * k,
        )

    def from_overlaps(self, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p, k = self.student_width, self.teacher_width
        return (
            np.asarray(Q, dtype=float) / p,
            np.asarray(R, dtype=float) / math.sqrt(p * k),
            np.asarray(T, dtype=float) / k,
        )

    def _physics(self, student_width: int) -> dict[str, Any]:
        return {"activation": "square"}


@dataclass(frozen=True)
class SaraoMannelli(Convention):
    """Sarao Mannelli, Vanden-Eijnden & Zdeborova (arXiv 2006.15459): A = (1/m) sum w w^T, dA/dt = -A grad E - grad E A.

    Their E is taken as tr(A - A*)^2/2 + (tr(A - A*))^2/4; this prefactor is remembered and not read off the paper.  Then
    t = t_theirs/4 and risk = 2 E; the overlaps w.w' are those of the package.
    """

    @property
    def time_unit(self) -> float:
        return 0.25

    @property
    def risk_unit(self) -> float:
        return 2.0

    def _physics(self, student_width: int) -> dict[str, Any]:
        return {"activation": "square"}


@dataclass(frozen=True)
class Paquette(Units):
    r"""Paquette, Paquette, Xiao & Pennington (arXiv 2405.15074, "4 + 3 phases"): regression over a power law, features not projected.

    Inputs have independent entries :math:`x_j = j^{-\alpha} z_j`, j up to v, the target is :math:`\langle x, b\rangle`,
    :math:`b_j = j^{-\beta}`, and a step of SGD is :math:`\theta \leftarrow \theta - \gamma\sum_{i\le B}
    x_i(\langle x_i, \theta\rangle - y_i)`, with the loss :math:`\mathbb E(\langle x,\theta\rangle - y)^2` and a clock of steps.
    With :math:`\theta = w/\sqrt v` their Hessian is that of `SingleUnit` with eigenvalues :math:`j^{-2\alpha}`, T_j = b_j^2, and
    learning_rate = gamma v.  Batches enter in first order of gamma only: :math:`t = \gamma B` per step.

    Parameters
    ----------
    alpha, beta : float
        Exponents of the inputs, positive, and of the target.
    gamma : float
        Learning rate; 0 is gradient flow, whose clock is then t itself.
    modes : int
        Their v.
    batch : int
        Their B.
    """

    alpha: float
    beta: float
    gamma: float
    modes: int
    batch: int = 1

    def __post_init__(self) -> None:
        checks.number("alpha", self.alpha, positive=True)
        checks.number("beta", self.beta)
        checks.number("gamma", self.gamma, nonnegative=True)
        checks.integer("modes", self.modes, minimum=1)
        checks.integer("batch", self.batch, minimum=1)

    @property
    def time_unit(self) -> float:
        return self.gamma * self.batch if self.gamma > 0 else 1.0

    @property
    def risk_unit(self) -> float:
        return 0.5

    @property
    def exponent(self) -> float:
        """The exponent of the loss in the number of steps: of the descent, or of its noise if that is smaller."""
        descent = (2 * self.alpha + 2 * self.beta - 1) / (2 * self.alpha)
        return min(descent, 2 - 1 / (2 * self.alpha)) if self.gamma > 0 else descent

    def problem(self, accuracy: float = 1e-6, **physics: Any) -> SingleUnit:
        """Return the `SingleUnit` that starts from theta = 0; `accuracy` is that of the groups which stand for the modes."""
        from ..single_unit.problem import SingleUnit
        from ..spectrum.spectrum import Spectrum

        law = Spectrum.power_law(2 * self.alpha, self.modes, accuracy=accuracy)
        c, q = law.groups
        bound = 2 / (self.modes * law.mean)
        if self.gamma >= bound:
            raise ValueError(
                f"Argument `gamma` must be below {bound:.6g}, two over the sum of j^(-2 alpha), where SGD diverges, but is {self.gamma:g}."
            )
        T = self.modes * q * c ** (self.beta / self.alpha)
        given: dict[str, Any] = {
            "Q": 0 * T,
            "R": 0 * T,
            "T": T,
            "covariance": law,
            "learning_rate": self.gamma * self.modes,
        }
        return SingleUnit("linear", **(given | physics))
