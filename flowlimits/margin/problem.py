"""Margin flow of a homogeneous network on separable data, as a problem: from its start to losses far below the range of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import checks
from .physics import MarginFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


class MarginFlow(MarginFlowPhysics):
    r"""Gradient flow (or steepest descent) of a classifier, far beyond the point where it fits the data.

    The loss is the sum over the samples of exp(-q) or log(1 + exp(-q)), q = y f(x).  Once every sample is classified
    the loss falls for ever, the norm of the weights grows like a power of -log loss and their direction
    converges.  The flow is followed in the clock -log loss: the loss itself never appears, and a loss of 1e-10000 is as
    near as one of 1e-10.

    Parameters
    ----------
    model : margin model
        `fl.margin.LinearModel`, `QuadraticModel`, `ReLUModel`, `NormOnlyModel`, `SoftplusModel`,
        `SkipReLUModel` or `UserModel`.
    X : array_like, shape (n, d)
        Inputs, one per row.  A bias is a column of ones.
    y : array_like, shape (n,)
        Labels, each 1 or -1.
    weights : array_like, optional
        The start: a vector, or one array per layer, such as ``(W, a)``.  Drawn if not given.
    loss : {"exponential", "logistic"}, optional
        Loss of one sample.
    geometry : {"l2", "linf", "l1"}, optional
        The norm of steepest descent: l2 is gradient flow, linf sign descent, l1 coordinate descent.  Margins are
        normalised in the same norm.
    rng : None, int, SeedSequence or Generator, optional
        For a drawn start; the weights become part of the problem.
    scale : float, optional
        Standard deviation of a drawn start times the square root of a unit's number of inputs.

    Raises
    ------
    ValueError
        For labels other than 1 and -1, inputs that are zero, and starts from which the flow does not move.

    References
    ----------
    K. Lyu and J. Li, arXiv 1906.05890; Z. Ji and M. Telgarsky, 2006.06657; M. Telgarsky, 2208.02789; N. Tsilivis et al.,
    2410.22069; Y. Cai et al., 2502.16075; S. Schechtman and N. Schreuder, 2502.05668.

    Examples
    --------
    >>> import numpy as np, flowlimits as fl
    >>> problem = fl.MarginFlow(fl.margin.LinearModel(), [[2.0, 0.0], [0.0, 1.0]], [1, 1])
    >>> flow = problem.solve(np.log(10) * np.array([10, 100, 10000]))
    >>> round(float(flow["margin"][-1]), 3)
    0.894
    """

    @checks.named_arguments()
    def solve(
        self,
        log_losses: Any,
        *,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        kkt: bool = True,
        max_steps: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Follow the flow to the given losses.

        Parameters
        ----------
        log_losses : array_like, shape (times,)
            Values of minus the natural logarithm of the loss, increasing: ``np.log(10) * 10000`` is a loss of 1e-10000.
        rtol, atol : float, optional
            Tolerances of the implicit method, for the components of the unit direction; raised at extreme horizons to
            what the rounding of the direction allows (1e-6 at -log loss = 1e7; the provenance holds the ones used).
            Explicit steps move the weights by at most 10 sqrt(rtol) of their norm, and below rtol = 1e-8 each logit by
            less than the usual quarter, with the square root of rtol.
        method : {"auto", "implicit", "explicit"}, optional
            Implicit for smooth models in the l2 geometry, explicit steps limited by stability for the rest.
        kkt : bool, optional
            Compute `kkt_residual` (a small least-squares or linear program per output).
        max_steps : int, optional
            Budget: 100,000 implicit or 50,000,000 explicit steps if not given.
        progress : bool, optional
            Show a bar; None shows one if the flow will take more than about two seconds.

        Returns
        -------
        xarray.Dataset
            Over `time` = minus log loss; ``attrs["first_phase"]`` says in a sentence what happened before the loss was
            below one.  Exact up to the tolerances; the provenance states estimated errors, the largest over times, as
            `direction_error` and `path_length_error`: twice the differences to a looser solution.

        Raises
        ------
        fl.margin.NoMarginError
            If the flow does not separate the data; the message holds the best margin found.
        fl.margin.BudgetError
            If the horizon will cost more than `max_steps`, before the long run starts.
        """
        from .limit import solve

        return solve(
            self, log_losses, rtol=rtol, atol=atol, method=method, kkt=kkt, max_steps=max_steps, progress=progress
        )

    @checks.named_arguments()
    def simulate(
        self,
        log_losses: Any,
        *,
        learning_rate: float,
        batch: int | None = None,
        runs: int = 1,
        rng: Any = None,
        kkt: bool = False,
        max_steps: int = 10_000_000,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Train by (stochastic) gradient descent with a constant learning rate, as in practice.

        Parameters
        ----------
        log_losses : array_like, shape (times,)
            As in `solve`; outputs are taken at the first step that reaches each loss.  With a constant learning
            rate a loss of 1e-5 already takes millions of steps.
        learning_rate : float
            A step is learning_rate times the gradient of the loss, a sum over the samples.
        batch : int, optional
            Samples per step, drawn with replacement, their gradient scaled by n / batch; all of them if not given.
        runs : int, optional
            Independent runs; they differ in their batches.
        rng : None, int, SeedSequence or Generator, optional
            For the batches.
        kkt, threads, progress : optional
            As in `solve`; threads run the runs.
        max_steps : int, optional
            Steps per run.

        Returns
        -------
        xarray.Dataset
            As of `solve`, with the dimension `run` first.

        Raises
        ------
        fl.margin.BudgetError
            If a loss is not reached within `max_steps`.
        flowlimits.core.threads.Interrupted
            On Ctrl-C, with the finished runs in its attribute `partial`.
        """
        from .simulation import simulate

        return simulate(self, log_losses, learning_rate, batch, runs, rng, kkt, max_steps, threads, progress)
