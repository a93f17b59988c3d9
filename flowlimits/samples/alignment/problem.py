"""Early alignment of the hidden units of a ReLU network with a small start, as a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks
from ..problem import SampleFlow
from .physics import EarlyAlignmentPhysics

if TYPE_CHECKING:
    import xarray as xr


class EarlyAlignment(EarlyAlignmentPhysics):
    r"""The flow of single units on the sphere while the output of the network is small.

    With :math:`u = w/|w|` and the balance :math:`s = a/|w|`, each unit follows on its own (``docs/samples.md``, eq. (S2); Boursier and
    Flammarion, arXiv 2401.10791)

    .. math:: \dot u = s\,(D(u) - \langle D(u), u\rangle u), \quad \dot s = (1 - s^2)\langle D(u), u\rangle, \quad
              D(u) = D_0 + \frac1n\sum_i 1(u\cdot x_i>0)\,y_i\,x_i .

    *Asymptotic* in the scale of the start, with corrections of the order of its square; given the limit, `solve` is *exact*: between two
    kinks the flow is integrated in closed form, and units slide along kinks that attract from both sides.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs.
    y : array_like, shape (n,)
        Labels.
    directions : array_like, shape (m, d), optional
        Start of the units, normalised here.  Either `directions` or `width` is given.
    width : int, optional
        Number of units with uniformly random directions.
    balance : float or array_like, shape (m,), optional
        a/abs(w) at the start, in [-1, 1]; +-1 (default +1 and -1 in turn) is the balanced start, which stays so.
    drift : array_like, shape (d,), optional
        Part of D that does not depend on the unit.  `population` uses it alone.
    rng : None, int or Generator
        For `width`.

    Raises
    ------
    ValueError
        If shapes do not fit, an input or a direction is zero, or nothing is given to align with.
    """

    @classmethod
    def population(
        cls, drift: Any, directions: Any = None, *, width: int | None = None, balance: Any = None, rng: Any = None
    ) -> EarlyAlignment:
        r"""Return the flow in the population, for inputs of symmetric law and labels :math:`\beta\cdot x` plus noise, eq. (S4).

        Parameters
        ----------
        drift : array_like, shape (d,)
            :math:`D = \Sigma\beta/2`, the same for every direction, since
            :math:`\mathbb E[1(w\cdot x>0)xx^\top] = \Sigma/2` for every w.
        """
        drift = checks.array("drift", drift, ("d",))
        return cls(
            np.zeros((0, drift.size)), np.zeros(0), directions, width=width, balance=balance, drift=drift, rng=rng
        )

    @checks.named_arguments()
    def solve(
        self, times: Any, *, max_kinks: int = 1_000_000, threads: int | None = None, progress: bool | None = None
    ) -> xr.Dataset:
        """Return the directions, balances and norms, exact up to round-off.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t of the gradient flow.
        max_kinks : int
            Largest number of pieces per unit.
        threads : int, optional
            Units are independent; their number of threads changes no bit.
        progress : bool or None
            A bar over units; None shows it after two seconds.

        Returns
        -------
        xarray.Dataset
            `direction`, `balance`, `log_norm` and `residual`.  The residual vanishes at extremal directions, those on kinks included.

        Raises
        ------
        RuntimeError
            If a unit needs more pieces than `max_kinks`.
        """
        from .limit import solve

        return solve(self, times, max_kinks=max_kinks, threads=threads, progress=progress)

    @checks.named_arguments()
    def simulate(
        self, times: Any, *, scale: float, rtol: float = 1e-8, kink_step: float | None = None, max_steps: int = 10_000_000, progress: bool | None = False
    ) -> xr.Dataset:  # fmt: skip
        """Return the gradient flow of the whole network, started at norms ``scale / sqrt(m)`` in the same directions.

        Parameters
        ----------
        scale : float
            Of the start.
        rtol, kink_step, max_steps, progress
            As in `SampleFlow.solve`; `kink_step` is by default 0.003 of the default there.

        Warns
        -----
        UserWarning
            If the largest output on the sample has left the regime of small outputs (above a tenth of the largest label).
        """
        from .simulation import simulate

        return simulate(
            self, SampleFlow, times, scale=scale, rtol=rtol, kink_step=kink_step, max_steps=max_steps, progress=progress
        )
