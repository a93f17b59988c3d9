r"""Exact conversion between `flowlimits.EmpiricalQuadratic` and the paper on finitely many samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
