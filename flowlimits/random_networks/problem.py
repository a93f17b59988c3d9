"""Guess and check: random networks conditioned on classifying the training set, against networks that learnt to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core import checks, results, streams
from ..core.problem import Problem
from ..core.results import Variable
from ..margin.problem import check_data

if TYPE_CHECKING:
    import xarray as xr

LAWS = {"gaussian": 0, "uniform": 1}
TRAINED = ("gd", "flow")


@dataclass(frozen=True, eq=False, repr=False)
class GuessAndCheck(Problem):
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

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    depth: int = field(default=1, kw_only=True)
    law: str = field(default="gaussian", kw_only=True)

    clock: ClassVar[str] = ""
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "width"
    papers: ClassVar[tuple[str, ...]] = ("peleg2024",)
    variables: ClassVar[dict[str, Variable]] = {
        "acceptance": Variable("probability of zero training error", "P"),
        "acceptance_standard_error": Variable("standard error of the acceptance", r"\delta P"),
        "test_error": Variable("mean test error at zero training error", r"\varepsilon"),
        "test_error_standard_error": Variable("standard error of the test error", r"\delta\varepsilon"),
        "network_test_error": Variable("test error of each network", r"\varepsilon"),
        "network_loss": Variable("mean logistic loss of each network", "L"),
    }

    def __post_init__(self) -> None:
        for first, second, suffix in (("X", "y", ""), ("X_test", "y_test", "_test")):
            X = checks.array(first, getattr(self, first), ("n", "d"))
            y = checks.array(second, getattr(self, second), (X.shape[0],))
            check_data(X, y, suffix)
            self._freeze(first, X)
            self._freeze(second, y)
        if self.X_test.shape[1] != self.X.shape[1]:
            raise ValueError(
                f"Argument `X_test` must have the {self.X.shape[1]} columns of `X`, but has {self.X_test.shape[1]}."
            )
        object.__setattr__(self, "depth", checks.integer("depth", self.depth, minimum=1))
        checks.choice("law", self.law, tuple(LAWS))
        from .orthant import distinct

        distinct(self.X, self.y)

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
            Relative standard error of the test error to reach; ten times as much is allowed for the acceptance.
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
        from . import orthant
        from .integrate import integrate_orthant

        target = checks.number("accuracy", accuracy, positive=True)
        most = checks.integer("max_points", max_points, minimum=256 * orthant.SHIFTS)
        root = streams.root(rng)
        began = time.perf_counter()
        kept = orthant.distinct(self.X, self.y)
        pieces = orthant.conditional(self.X[kept], self.y[kept], self.X_test, self.y_test, self.depth)
        values, points = integrate_orthant(pieces, target, most, root, threads, progress)
        return results.build(
            self,
            kind="limit",
            times=None,
            variables={name: np.array(value) for name, value in values.items()},
            call={"verb": "solve", "accuracy": target, "max_points": most},
            provenance={
                "method": "separation of variables",
                "points": points,
                "wall_time": time.perf_counter() - began,
            },
            root=root,
        )

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
