"""Gradient flow of a two-layer network on a finite sample, and early alignment of its units, as problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from ..core.solve import solve
from .physics import EarlyAlignmentPhysics, SampleFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


class SampleFlow(SampleFlowPhysics):
    r"""Full-batch gradient flow of :math:`h(x) = \sum_j a_j\sigma(w_j\cdot x)` on :math:`L = \frac1n\sum_i\ell(h(x_i), y_i)`.

    *Exact* for the sample, up to the integrator (``docs/samples.md``, eq. (S1)).  The squared loss is :math:`\frac12(h - y)^2`.

    Parameters
    ----------
    X, y : array_like, shapes (n, d), (n,)
        The sample; labels are +-1 for the logistic and exponential losses.
    width : int, optional
        Draw the start: ``w_j ~ N(0, scale^2/m)`` and a second layer by `start`.  Either `width` or `weights` is given.
    weights : tuple of array_like, shapes (m, d), (m,), optional
        Own start (W, a); with `bias` W has d + 1 columns.
    scale : float
        Of the drawn start.
    start : {"balanced", "unbalanced", "dominated"}
        ``a_j = +-abs(w_j)``, half and half; ``a_j ~ N(0, scale^2/m)``; ``a_j = +-2 abs(w_j)``.
    activation : {"relu", "square", "tanh", "softplus"}
    bias : bool
        Append the coordinate 1 to every input.
    loss : {"squared", "logistic", "exponential"}
    X_test, y_test : array_like, optional
        Adds `test_risk`.
    rng : None, int or Generator

    Raises
    ------
    ValueError
        If shapes do not fit, labels are not +-1 where needed, or the sample is empty or holds a zero input.
    """

    @checks.named_arguments()
    def solve(
        self, times: Any, *, rtol: float | None = None, atol: float | None = None, method: str = "auto", kink_step: float | None = None,
        observables: Any = None, events: Any = (), max_steps: int = 10_000_000, keep_state: bool = False, progress: bool | None = False,
    ) -> xr.Dataset:  # fmt: skip
        r"""Return the flow of the training loss.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t; take them geometric.
        rtol, atol : float, optional
            Default 1e-5 and 0 for "kinks", where they bound the error of a step in the root mean square over units, each relative to
            :math:`\sqrt{|z_j|\max_k|z_k|}` with :math:`z_j = (w_j, a_j)`; otherwise 1e-8 and 1e-12.
        method : {"auto", "kinks", "merged"} or a method of `fl.ode.integrate`
            "auto" takes "kinks" for ReLU and the automatic choice otherwise.  "kinks" never takes steps below `kink_step` because of a
            kink.  "merged" (ReLU, squared loss) aligns the units in closed form until the outputs reach a hundredth of the labels,
            merges units of equal sign and equal pattern on the sample, and follows the few that are left: asymptotic in the scale of
            the start.
        kink_step : float, optional
            Units that slide along a kink stay within this time's travel of it.  Default: a hundredth of the shortest time in which a unit
            may align, :math:`0.01\,/\,\frac1n\sum_i|y_i||x_i|`.
        observables : sequence of str, optional
            Default: `risk`, `test_risk` if there are test data, `second_layer`.  Also `output`, `directions`, `hidden`.
        events : sequence of fl.Event
            On `risk` and `test_risk`.
        max_steps : int
        keep_state : bool
            Add the variable `state` of the last time: W transposed, row by row, then a.
        progress : bool or None
            A bar over time; None shows it after two seconds.

        Returns
        -------
        xarray.Dataset
            With the attributes `end_state` ("interpolating", "OLS", "split OLS", "other"), `end_state_distances` and
            `distinct_directions` of the last time; "merged" adds `end_point_risk`, the loss at the end in closed form if the patterns
            of the last time stay, and whether they can (`end_point_consistent`).  For ReLU the flow is solved twice more, with 4 and 16 times `rtol`
            and 2 and 4 times `kink_step`: three times the larger difference of the loss stands in the provenance as `risk_error`, absolute, and
            `relative_risk_error`.  Errors are of first order in `kink_step`; in `rtol` they scatter where many small kinks are crossed
            per step, with a mean that falls roughly as its square root.  So the estimate is one, and no bound; a unit that
            passes close to the corner of two kinks may part two solutions, which it then shows.  `forced_steps` and `forced_error` count the steps taken at `kink_step` against `rtol`, and add up their errors.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the integration cannot go on; the error carries the finished part.
        """
        from . import limit

        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, kink_step=kink_step, observables=observables, events=events,
            max_steps=max_steps, keep_state=keep_state, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def simulate(self, times: Any, *, step: float = 0.01, observables: Any = None) -> xr.Dataset:
        """Return plain gradient descent ``w <- w - step grad`` from the same start, on the same clock."""
        from .simulation import simulate

        return simulate(self, times, step=step, observables=observables)


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
        from .alignment import solve_alignment

        return solve_alignment(self, times, max_kinks=max_kinks, threads=threads, progress=progress)

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
        from .simulation import simulate_alignment

        return simulate_alignment(
            self, SampleFlow, times, scale=scale, rtol=rtol, kink_step=kink_step, max_steps=max_steps, progress=progress
        )
