"""The XOR mixture: what is learnt, by which network, from which start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.problem import Problem
from ..core.results import Variable
from .losses import LOSSES

if TYPE_CHECKING:
    import xarray as xr

_ABSENT = checks.SEED | {
    "covariance": "the noise within a cluster is isotropic here.",
    "bias": "hidden units without biases only.",
    "activation": "ReLU units only.",
    "samples": "the flow is that of the population; a finite sample is simulated by `simulate(..., samples=n)`.",
}
_NAMES = (
    "Q", "R", "second_layer", "separation", "noise_scale", "label_noise", "loss", "learning_rate", "second_layer_rate",
    "scale", "dimension", "rng",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False, init=False)
class XorMixture(Problem):
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

    Q: np.ndarray
    R: np.ndarray
    second_layer: np.ndarray
    separation: float
    noise_scale: float
    label_noise: float
    loss: str
    learning_rate: float
    second_layer_rate: float

    clock: ClassVar[str] = (
        "t (steps times step of gradient descent; steps times learning_rate / dimension of one-pass SGD)"
    )
    kind: ClassVar[str] = "exact"
    papers: ClassVar[tuple[str, ...]] = ("refinetti2021", "frei2022")
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("population risk, label noise included", r"$\mathcal{R}$"),
        "error": Variable("classification error against noisy labels, ties one half", r"$\epsilon$"),
        "clean_error": Variable("classification error against clean labels, ties one half", r"$\epsilon_{\rm clean}$"),
        "Q": Variable("overlaps of hidden units", "$Q$", ("student", "student_2")),
        "R": Variable("fields at the centres", "$R$", ("student", "centre")),
        "second_layer": Variable("second layer", "$a$", ("student",)),
        "relevant_share": Variable("share of units whose larger field is that of their own label", r"$\rho_{\rm rel}$"),
    }

    def __init__(
        self,
        width: int | None = None,
        *,
        Q: Any = None,
        R: Any = None,
        second_layer: Any = None,
        separation: float = 1.0,
        noise_scale: float = 0.0,
        label_noise: float = 0.0,
        loss: str = "squared",
        learning_rate: float = 0.0,
        second_layer_rate: float = 0.0,
        scale: float | None = None,
        dimension: int | None = None,
        rng: Any = None,
        **other: Any,
    ) -> None:
        checks.unknown_arguments("XorMixture", other, _NAMES, _ABSENT)
        put = object.__setattr__
        put(self, "separation", checks.number("separation", separation, positive=True))
        put(self, "noise_scale", checks.number("noise_scale", noise_scale, nonnegative=True))
        if 0 < self.noise_scale < 1e-150:
            raise ValueError(
                f"Argument `noise_scale` must be 0 or at least 1e-150, where its square has digits, but is {self.noise_scale:g}."
            )
        noise = checks.number("label_noise", label_noise)
        if not 0 <= noise < 0.5:
            raise ValueError(f"Argument `label_noise` must lie in [0, 1/2), but is {noise:g}.")
        put(self, "label_noise", noise)
        put(self, "loss", checks.choice("loss", loss, LOSSES))
        put(self, "learning_rate", checks.number("learning_rate", learning_rate, nonnegative=True))
        put(self, "second_layer_rate", checks.number("second_layer_rate", second_layer_rate, nonnegative=True))
        if width is not None:
            if Q is not None or R is not None:
                raise ValueError("Arguments `width` and `Q`, `R` exclude each other: `width` draws the overlaps.")
            Q, R = self._draw(width, 1.0 if scale is None else scale, dimension, rng)
        elif Q is None or R is None:
            raise ValueError("Either argument `width` or both of `Q` and `R` must be given.")
        else:
            _refuse_draw({"scale": scale, "dimension": dimension, "rng": rng})
        Q = checks.array("Q", Q, ("K", "K"))
        R = checks.array("R", R, (Q.shape[0], 2))
        _check_feasible(Q, R, self.separation)
        self._freeze("Q", Q)
        self._freeze("R", R)
        K = Q.shape[0]
        if second_layer is None:
            second_layer = np.where(np.arange(K) % 2 == 0, 1.0, -1.0) / math.sqrt(K)
        self._freeze("second_layer", checks.array("second_layer", second_layer, (K,)))

    def _draw(self, width: Any, scale: Any, dimension: Any, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        width = checks.integer("width", width, minimum=1)
        if dimension is None:
            raise ValueError(
                "Argument `dimension` must be given together with `width`: the overlaps of random weights depend on it."
            )
        dimension = checks.integer("dimension", dimension, minimum=2)
        scale = checks.number("scale", scale, positive=True)
        generator = np.random.default_rng(streams.root(rng))
        along = scale * generator.standard_normal((width, 2))
        across = scale * generator.standard_normal((width, dimension - 2))
        return along @ along.T + across @ across.T, along * self.separation

    @property
    def width(self) -> int:
        """The number of hidden units."""
        return int(self.second_layer.size)

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
            With `risk`, `error`, `clean_error`, `Q`, `R`, `second_layer`, `relevant_share`.  The estimated error of the velocity at the
            start, for "points", stands in the provenance as `velocity_error`.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the integration cannot go on.
        """
        from .limit import solve

        return solve(
            self, times, rtol=rtol, atol=atol, method=method, points=points, error_points=error_points, observables=observables,
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

    def weights(self, dimension: int) -> np.ndarray:
        """Return weights (K, d) with exactly the problem's overlaps; the centres lie along the first two axes.

        Raises
        ------
        ValueError
            If `dimension` is below width + 2.
        """
        from .sampled import factor

        K = self.width
        dimension = checks.integer("dimension", dimension)
        if dimension < K + 2:
            raise ValueError(
                f"Argument `dimension` must be at least width + 2 = {K + 2} to realise these overlaps, but is {dimension}."
            )
        W = np.zeros((K, dimension))
        B = np.empty((K, K + 2))
        factor(np.array(self.Q), np.array(self.R), self.separation, B)
        W[:, : K + 2] = B
        return W


def _refuse_draw(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"Argument `{name}` belongs to a drawn start, with `width`: the overlaps `Q` and `R` are given here."
            )


def _check_feasible(Q: np.ndarray, R: np.ndarray, separation: float) -> None:
    scale = float(np.trace(Q)) + 1e-300
    if np.abs(Q - Q.T).max() > 1e-12 * scale:
        raise ValueError(
            f"Argument `Q` must be symmetric, but differs from its transpose by {np.abs(Q - Q.T).max():.3g}."
        )
    smallest = float(np.linalg.eigvalsh(Q - R @ R.T / separation**2)[0])
    if smallest < -1e-9 * scale:
        raise ValueError(
            f"Overlaps are not feasible: Q - R R^T / separation^2 has the eigenvalue {smallest:.3g}. "
            "Overlaps of weight vectors are positive semidefinite."
        )
