"""Guess and check as a problem: random networks conditioned on classifying the training set, against networks that learnt to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import checks
from .physics import TRAINED, GuessAndCheckPhysics

if TYPE_CHECKING:
    import xarray as xr


class GuessAndCheck(GuessAndCheckPhysics):
    r"""Random ReLU networks that classify every training point, and how they do on test points.

    Guess and check draws all weights at random and keeps the networks with zero training error.  In the limit of
    infinite widths their outputs are a Gaussian process, and acceptance and mean test error become Gaussian orthant
    probabilities: exact but for a quadrature error that is reported.

    Networks have `depth` hidden layers, no biases, and weights of variance 1/inputs.  A test output of exactly zero
    counts one half: narrow networks have many dead units.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Training inputs.
    y : array_like, shape (n,)
        Training labels, 1 and -1.
    X_test : array_like, shape (t, d)
        Test inputs.
    y_test : array_like, shape (t,)
        Test labels.
    depth : int, optional
        Number of hidden layers.
    law : {"gaussian", "uniform"}, optional
        Law of the weights at finite width; the limit is the same, and so are signs under any common scale.

    Raises
    ------
    ValueError
        For labels other than 1 and -1, inputs that are zero, equal directions with opposite labels.

    References
    ----------
    A. Peleg and M. Hein, arXiv 2407.03848.  Their figures use networks on image data, which are not part of this package: see
    `fl.random_networks.read_arrays` for your own.

    Examples
    --------
    >>> import flowlimits as fl
    >>> task = fl.random_networks.gaussian_task(8, rng=0)
    >>> problem = fl.GuessAndCheck(*task)
    >>> limit = problem.solve(rng=0)
    """

    @checks.named_arguments()
    def solve(
        self,
        *,
        accuracy: float = 2e-3,
        max_points: int = 2**24,
        rng: Any = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return the limit of infinite width.

        Parameters
        ----------
        accuracy : float, optional
            Relative standard error of the test error to reach, by the scatter of the shifts; ten times as much is allowed for the acceptance.
            The error that is stated holds the share of one effective point as well, which the quadrature may have missed.
        max_points : int, optional
            Quadrature points at most, over all random shifts.
        rng : None, int, SeedSequence or Generator, optional
            For the random shifts of the quadrature, which give the error bars.
        threads, progress : optional
            Threads over the shifts, and a bar.

        Returns
        -------
        xarray.Dataset
            `acceptance`, `test_error` and their standard errors (16 random shifts of a lattice rule): numbers.

        Raises
        ------
        RuntimeError
            If `max_points` do not give the accuracy, or, at the rate of the quadrature, are sure not to.
        """
        from .limit import solve

        return solve(self, accuracy=accuracy, max_points=max_points, rng=rng, threads=threads, progress=progress)

    @checks.named_arguments()
    def simulate(
        self,
        widths: Any,
        *,
        runs: int = 1000,
        method: str = "guess",
        rng: Any = None,
        max_networks: int = 10_000_000,
        learning_rate: float = 0.5,
        steps: int = 400,
        loss: float = 0.0,
        tolerance: float = 1e-4,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Sample networks of finite width.

        Parameters
        ----------
        widths : int or array_like of int
            Widths of all hidden layers.
        runs : int, optional
            Networks to accept ("guess"), or to train ("gd", "flow"), per width.
        method : {"guess", "gd", "flow"}, optional
            Guess and check, gradient descent, or gradient flow; see `descend` for the last two.
        rng : None, int, SeedSequence or Generator, optional
            For the weights.
        max_networks : int, optional
            Guesses per width.
        learning_rate, steps, loss, tolerance : optional
            See `descend`.
        threads, progress : optional
            Threads over blocks of networks, and a bar.

        Returns
        -------
        xarray.Dataset
            Over `width`: `acceptance`, `test_error` and their standard errors over networks; `network_test_error`
            (run, width), and for trained networks `network_loss`.  NaN marks trained networks that misclassify a training
            point: they do not count in `test_error`, which is NaN where none is left.

        Raises
        ------
        RuntimeError
            If no guess of some width classifies the training points.
        flowlimits.core.threads.Interrupted
            On Ctrl-C; its attribute `partial` holds the widths that were finished ("guess"), or the runs that were at all widths.
        """
        from .simulation import simulate

        settings = {"learning_rate": learning_rate, "steps": steps, "loss": loss, "tolerance": tolerance}
        return simulate(self, widths, runs, method, rng, max_networks, settings, threads, progress)

    @checks.named_arguments()
    def descend(self, widths: Any, *, method: str = "gd", runs: int = 50, **settings: Any) -> xr.Dataset:
        """Train networks from random starts on the mean logistic loss, all layers, and keep those with zero training error.

        Parameters
        ----------
        widths : int or array_like of int
            Widths of all hidden layers.
        method : {"gd", "flow"}, optional
            Full-batch gradient descent, or gradient flow (Heun's method with an error estimate).
        runs : int, optional
            Networks per width.
        learning_rate : float, optional
            0.5.  At equal learning rate wider networks train faster: compare at equal `loss` as well.
        steps : int, optional
            Steps at most, 400.
        loss : float, optional
            Mean loss at which to stop; 0 takes all steps.
        tolerance : float, optional
            Of gradient flow: error of a step relative to the norm of the weights.
        rng, threads, progress : optional
            As in `simulate`.

        Returns
        -------
        xarray.Dataset
            As of `simulate`.
        """
        return self.simulate(widths, method=checks.choice("method", method, TRAINED), runs=runs, **settings)
