r"""Exact conversions between `flowlimits.EmpiricalQuadratic` and the papers on quadratically many samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from .units import Convention

if TYPE_CHECKING:
    from ..empirical.problem import EmpiricalQuadratic
    from ..spectrum.spectrum import Spectrum


@dataclass(frozen=True)
class MartinSamples(Convention):
    r"""S. Martin, G. Biroli, F. Bach, JMLR 27(136), 2026: time :math:`T = 2\tau`, MSE the package's `risk`, weight decay :math:`\lambda`.

    Examples
    --------
    >>> import flowlimits as fl
    >>> theirs = fl.conventions.MartinSamples()
    >>> problem = theirs.samples(kappa=1.0, teacher=fl.Spectrum.marchenko_pastur(0.5), alpha=0.4, Delta=0.25, lam=0.1)
    >>> problem.weight_decay
    0.4
    """

    @property
    def time_unit(self) -> float:
        """tau at T = 1."""
        return 0.5

    def to_train_risk(self, loss: Any) -> Any:
        """Return the package's `train_risk` at their loss; `in_sample_risk` at their in-sample error alike."""
        return 2 * np.asarray(loss, dtype=float)

    def from_train_risk(self, ours: Any) -> Any:
        """Return their loss, or in-sample error."""
        return np.asarray(ours, dtype=float) / 2

    def to_weight_decay(self, lam: Any) -> Any:
        """Return the package's weight decay."""
        return 4 * np.asarray(lam, dtype=float)

    def from_weight_decay(self, ours: Any) -> Any:
        """Return their weight decay."""
        return np.asarray(ours, dtype=float) / 4

    def samples(
        self, kappa: float, teacher: Spectrum, alpha: float, Delta: float = 0.0, lam: float = 0.0, **physics: Any
    ) -> EmpiricalQuadratic:
        """Return the problem of their parameters; `physics` are further ones of `EmpiricalQuadratic`."""
        from ..empirical.problem import EmpiricalQuadratic

        return EmpiricalQuadratic(
            kappa, teacher, alpha, noise=Delta, weight_decay=float(self.to_weight_decay(lam)), **physics
        )


@dataclass(frozen=True)
class Maillard(Convention):
    r"""A. Maillard et al. (arXiv 2408.03733) and their programs: noise :math:`\sigma` in each preactivation of a Gaussian teacher.

    Labels are the mean over :math:`\kappa d` units of :math:`(w\cdot x/\sqrt d + \sigma z)^2`, so that a label has the variance
    :math:`2\sigma^2(2+\sigma^2)/(\kappa d)`.  The error of their programs is the package's `risk`.

    Parameters
    ----------
    kappa : float
        Teacher width over dimension.
    sigma : float
        Standard deviation of the noise.

    Examples
    --------
    >>> import flowlimits as fl
    >>> line = fl.conventions.Maillard(kappa=0.5, sigma=0.5).samples(alpha=0.3).bayes()
    >>> round(float(line["risk"]), 6)
    1.114738
    """

    kappa: float
    sigma: float = 0.0

    def __post_init__(self) -> None:
        checks.number("kappa", self.kappa, positive=True)
        checks.number("sigma", self.sigma, nonnegative=True)

    @property
    def noise(self) -> float:
        """The package's noise."""
        return 2 * self.sigma**2 * (2 + self.sigma**2) / self.kappa

    def samples(self, alpha: float, student_ratio: float = 1.0, **physics: Any) -> EmpiricalQuadratic:
        """Return the problem of their parameters, whose `bayes` is their theory; `physics` are further ones."""
        from ..empirical.problem import EmpiricalQuadratic
        from ..spectrum.spectrum import Spectrum

        return EmpiricalQuadratic(
            student_ratio, Spectrum.marchenko_pastur(self.kappa), alpha, **({"noise": self.noise} | physics)
        )


@dataclass(frozen=True)
class Girardin(Convention):
    r"""J. Girardin et al. (arXiv 2606.28242) and their programs: power laws at finite dimension.

    Their teacher S has d eigenvalues proportional to :math:`j^{-\gamma}` with :math:`\mathrm{tr}\,S^2 = d`, labels are
    :math:`(x^\top Sx-\mathrm{tr}\,S)/\sqrt d` with noise of variance `noise`, and the loss is the sum of squared errors over
    :math:`d^2` plus `lregtilde` times the trace of the student's matrix over d.

    Parameters
    ----------
    d : int
        Dimension.
    gamma : float
        Exponent.
    noise : float
        Variance of the noise of their labels.
    lregtilde : float
        Regularisation.

    Examples
    --------
    >>> import flowlimits as fl
    >>> theirs = fl.conventions.Girardin(d=400, gamma=1.25, noise=0.1, lregtilde=0.1)
    >>> risk = theirs.samples(n=160_000, rank=400).solve()["risk"]
    >>> round(float(theirs.from_risk(risk)), 5)  # 0.01442 in their table
    0.01439
    """

    d: int
    gamma: float
    noise: float = 0.0
    lregtilde: float = 0.0

    def __post_init__(self) -> None:
        checks.integer("d", self.d, minimum=1)
        for name in ("gamma", "noise", "lregtilde"):
            checks.number(name, getattr(self, name), nonnegative=True)

    @property
    def scale(self) -> float:
        """The package's eigenvalues over theirs: the mean of those of the package is one, the mean square of theirs."""
        values = self._values()
        return float(np.sqrt(np.mean(values**2)) / np.mean(values))

    @property
    def risk_unit(self) -> float:
        return self.scale**2

    def _values(self) -> np.ndarray:
        return np.arange(1.0, self.d + 1) ** -self.gamma

    def samples(self, n: int, rank: int, **physics: Any) -> EmpiricalQuadratic:
        """Return the problem of their parameters; `physics` are further ones of `EmpiricalQuadratic`."""
        from ..empirical.problem import EmpiricalQuadratic
        from ..spectrum.spectrum import Spectrum

        ratio = checks.integer("n", n, minimum=1) / self.d**2
        teacher = Spectrum.from_eigenvalues(self._values()).normalised()
        stated = {"noise": self.scale**2 * self.noise, "weight_decay": self.scale * self.lregtilde / ratio}
        return EmpiricalQuadratic(
            checks.integer("rank", rank, minimum=1) / self.d, teacher, ratio, **(stated | physics)
        )
