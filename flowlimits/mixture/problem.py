"""The XOR mixture as a problem: what it is, its flow, its simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import checks
from ..core.solve import solve
from .physics import XorMixturePhysics

if TYPE_CHECKING:
    import xarray as xr


class XorMixture(XorMixturePhysics):
    r"""A two-layer ReLU network on four Gaussian clusters with XOR labels.

    Inputs are :math:`x = e\,\mu_c + s z` with :math:`e=\pm1`, :math:`c = 1, 2` equally likely, :math:`z\sim N(0, I)`,
    :math:`\mu_1\perp\mu_2`, :math:`|\mu_c|` = `separation` and s = `noise_scale`; the label is +1 for c = 1, -1 for c = 2, and flipped
    with probability `label_noise`.  The network is :math:`f(x) = \sum_k a_k (w_k\cdot x)_+`.  The overlaps :math:`Q = WW^\top` and
    :math:`R = W(\mu_1,\mu_2)` close: with `learning_rate` = 0 the flow is *exact* at every dimension; with a positive one it is the
    limit of one-pass SGD with step learning_rate/d, *asymptotic* in the dimension (``docs/mixture.md``, eqs. (X1)-(X13)).

    Parameters
    ----------
    width : int, optional
        Draw the start: hidden weights ``N(0, scale^2)`` in `dimension` dimensions, second layer +-1/sqrt(width), half and
        half.  Either `width` or the overlaps are given.
    Q, R : array_like, shapes (K, K), (K, 2)
        Overlaps of the start.
    second_layer : array_like, shape (K,), optional
        Second layer of the start; with overlaps it is +-1/sqrt(K) unless given.
    separation : float
        Distance of the centres from the origin.
    noise_scale : float
        Standard deviation of each coordinate within a cluster; 0 is the flow on four atoms.
    label_noise : float
        Probability of a flipped label, in [0, 1/2).
    loss : {"squared", "logistic", "exponential"}
    learning_rate : float
        Of one-pass SGD; 0 is gradient flow.
    second_layer_rate : float
        Rate of the second layer relative to the first; 0 keeps it fixed.
    scale, dimension, rng : float, int, optional
        Of the drawn start, with `width`; `scale` is 1 unless given.

    Raises
    ------
    ValueError, TypeError
        If a value is out of its range, or the overlaps are not feasible.

    Examples
    --------
    >>> import flowlimits as fl
    >>> problem = fl.XorMixture(8, noise_scale=0.5, second_layer_rate=1.0, scale=0.1, dimension=100, rng=0)
    >>> problem.R.shape
    (8, 2)
    """

    @checks.named_arguments()
    def solve(
        self,
        times: Any,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        method: str = "auto",
        points: int = 2048,
        error_points: int = 4096,
        observables: Any = None,
        events: Any = (),
        max_steps: int = 200_000,
        keep_state: bool = False,
        progress: bool = False,
    ) -> xr.Dataset:
        """Return the flow of the overlaps.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the problem's clock.
        rtol, atol : float, optional
            Tolerances of the integrator.  Default 1e-8 and 1e-10 where moments are in closed form, 1e-4 and 1e-6 where fixed points
            enter: the velocity then jumps by O(1/points) whenever a unit switches on at a point, and tighter tolerances
            make the integrator resolve these jumps.
        method : {"auto", "atoms", "closed", "points"}
            "atoms" needs noise_scale = 0, "closed" the squared loss and learning_rate = 0; "points" averages over `points`
            quasi-Monte Carlo points, of both signs.  "auto" takes the first that applies.
        points, error_points : int
            Powers of two: points behind the velocity and behind the classification error.
        observables : sequence of str, optional
            Leave out the others (the error costs more than the flow when many times are asked).
        events : sequence of fl.Event
        keep_state : bool
            Keep what `fl.extend` needs.

        Returns
        -------
        xarray.Dataset
            With `risk`, `error`, `clean_error`, `Q`, `R`, `second_layer`, `relevant_share`.  The provenance states estimated errors, the
            largest over times: `velocity_error` for "points", relative, at the start and at the last time; `clean_error_error`,
            two standard errors of the average over `error_points`; `risk_error`, the same of the risk where it is no closed form.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the integration cannot go on.
        """
        from . import limit

        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, points=points, error_points=error_points, observables=observables,
            events=events, max_steps=max_steps, keep_state=keep_state, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def simulate(
        self,
        times: Any,
        *,
        dimension: int,
        weights: Any = None,
        runs: int = 1,
        rng: Any = None,
        method: str | None = None,
        step: float | None = None,
        samples: int | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return a simulation at finite dimension, on the same clock, with the same variables.

        Parameters
        ----------
        dimension : int
            At least width + 2, to realise the overlaps exactly.
        weights : array_like, shape (K, d), optional
            Own start, in place of exact weights of the problem's overlaps; the centres are the first two axes.
        method : {"overlaps", "samples", "descent", "fresh"}, optional
            "overlaps": one-pass SGD as a Markov chain of the overlaps, exact in law, at a cost that does not grow with the dimension;
            "samples": one-pass SGD on real weights; both need learning_rate > 0, and "overlaps" is then the default.
            "descent": full-batch gradient descent on `samples` fixed inputs; "fresh": descent on `samples` new inputs at each step.
            Both need `samples`; "descent" is the default at learning_rate = 0.
        step : float, optional
            Of "descent" and "fresh", on the clock t; default 0.1.
        samples : int, optional
            Inputs per step of "descent" and "fresh".

        Returns
        -------
        xarray.Dataset
            Population values of the trained weights, and for "descent" also `train_error` and `train_risk`.
        """
        from .simulation import simulate

        return simulate(
            self, times, dimension=dimension, weights=weights, runs=runs, rng=rng, method=method, step=step, samples=samples,
            threads=threads, progress=progress,
        )  # fmt: skip
