"""Networks of fixed width in high dimension: the public class, with its verbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, streams
from ..spectrum.covariance import decompose
from .physics import Physics, coordinates_of, nearly_singular

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Committee(Physics):
    r"""A two-layer network of fixed width learning from a teacher by gradient flow or one-pass SGD.

    The student :math:`f(x) = \frac1p\sum_i a_i s(w_i\cdot x/\sqrt d)` learns :math:`y = \frac1k\sum_r b_r s_\star(w^\star_r\cdot x/\sqrt d)`
    plus label noise from standard normal inputs, on the risk :math:`\frac12\mathbb E(f - f_\star)^2`.  The overlaps :math:`Q = WW^\top/d`,
    :math:`R = WW_\star^\top/d`, :math:`T = W_\star W_\star^\top/d` obey a closed system (Saad & Solla, 1995; ``docs/committee.md``).
    With learning_rate = 0 it is the population gradient flow and *exact* at every dimension.  With a positive one it is one-pass SGD
    :math:`W \leftarrow W - \text{learning\_rate}\,\nabla_W \frac12 (f - y)^2` as the dimension grows, *asymptotic*: single runs deviate by
    :math:`O(d^{-1/2})`, their mean by :math:`O(1/d)`, both amplified while a plateau is left.

    Parameters
    ----------
    Q, R, T : array_like, shapes (p, p), (p, k), (k, k)
        Overlaps of the start.
    activation, teacher_activation : str, sequence of float, or SymPy expression
        "square", "centred" (lambda^2 minus its own mean \|w\|^2/d), "hermite2", "hermite3", "hermite4", "linear", "erf" (erf(lambda/sqrt 2)),
        "relu"; or a polynomial: coefficients in ascending powers, text such as "x**3 - 3*x" (read, never evaluated), or SymPy.
        The teacher's is the student's if not given.  They may differ if both are polynomials.
    learning_rate : float or Schedule
        Of SGD; 0 is gradient flow.  A `Schedule` changes it in time.
    noise : float
        Variance of the label noise.
    second_layer, teacher_second_layer : array_like, shapes (p,), (k,), optional
        a and b; ones if not given.
    second_layer_rate : float
        Rate of a relative to W; 0 keeps it fixed.
    weight_decay : float
        The term -weight_decay W in dW/dt.  The second layer does not decay.
    spherical : bool
        Keep the norm of every row of W by projection after each step.
    coordinates : array_like, shape (p + k, m), optional
        Rows, students before teachers, whose products are the overlaps.  `from_weights` sets them for units
        that nearly coincide, whose difference no overlap holds; gradient flow then evolves them, and simulations begin at them.
    covariance : Spectrum, CovarianceGroups, or array_like of shape (d,) or (d, d), optional
        Of the inputs, in the place of the identity.  Q, R and T then have one matrix for each of its L groups of equal eigenvalues,
        shapes (L, p, p), (L, p, k), (L, k, k): products of the weights there, over d.  Plain ones mean isotropic weights.
    unexplained : array_like, shape (k, k), optional
        Covariance of Gaussian parts of the teacher's fields of which the inputs know nothing: features that the student does not see, or a
        hidden manifold.  The risk then keeps a floor.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, overlaps are not feasible, a rate is negative, or an activation is not known.

    Notes
    -----
    The clock is t = steps * learning_rate / (p d), the sum over the steps if the learning rate changes.

    Examples
    --------
    >>> import flowlimits as fl
    >>> problem = fl.Committee([[0.5]], [[0.1]], [[1.0]], learning_rate=0.05)
    >>> float(problem.solve([0.0, 50.0])["risk"][-1]) < 1e-10
    True
    """

    @classmethod
    @checks.named_arguments()
    def from_weights(cls, W: Any, W_star: Any, **physics: Any) -> Committee:
        """Return the problem that starts from the weights W, shape (p, d), with the teacher W_star, shape (k, d).

        Raises
        ------
        ValueError
            If the two have different dimensions.
        """
        for name in ("Q", "R", "T", "coordinates"):
            if name in physics:
                raise TypeError(f"Argument `{name}` is not taken here: the overlaps are those of the weights.")
        first, second = checks.weights(W, W_star)
        d = first.shape[1]
        if physics.get("covariance") is not None:
            covariance = decompose(physics["covariance"], d)
            groups = covariance.overlaps(first), covariance.overlaps(first, second), covariance.overlaps(second)
            return cls(*groups, **physics | {"covariance": covariance.groups})
        overlaps = first @ first.T / d, first @ second.T / d, second @ second.T / d
        if physics.get("unexplained") is None and nearly_singular(overlaps[0]):
            physics["coordinates"] = coordinates_of(first, second)
        return cls(*overlaps, **physics)

    @classmethod
    @checks.named_arguments()
    def random(
        cls,
        student_width: int,
        teacher_width: int,
        *,
        dimension: int,
        rng: Any = None,
        scale: float = 1.0,
        **physics: Any,
    ) -> Committee:
        """Return the problem of weights drawn at a dimension: student N(0, scale^2), teacher N(0, 1) entries.

        Their overlaps R are of order dimension^(-1/2), which sets the time at which a plateau is left.  With
        spherical=True all rows are rescaled to the norm sqrt(dimension).  Beyond dimension 10^6 no weights are drawn but
        their overlaps, from the law that they have, at no cost in the dimension.
        """
        p = checks.integer("student_width", student_width, minimum=1)
        k = checks.integer("teacher_width", teacher_width, minimum=1)
        d = checks.integer("dimension", dimension, minimum=1)
        size = checks.number("scale", scale, positive=True, largest=checks.LARGEST_WEIGHT)
        spherical = checks.boolean("spherical", physics.get("spherical", False))
        from .starts import LARGEST_DRAWN, gaussian_weights, wishart_overlaps

        checks.check_elements("student_width", p, float(p + k) * max(min(d, LARGEST_DRAWN), p + k))
        generator = np.random.default_rng(streams.root(rng))
        if d <= LARGEST_DRAWN:
            return cls.from_weights(*gaussian_weights(p, k, d, size, spherical, generator), **physics)
        if physics.get("covariance") is not None:
            raise ValueError(
                f"Argument `dimension` must be at most {LARGEST_DRAWN} with a covariance, whose groups are drawn as weights, but is {d}."
            )
        return cls(*wishart_overlaps(p, k, d, size, spherical, generator), **physics)

    @checks.named_arguments()
    def weights(self, dimension: int, rng: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (W, W_star), shapes (p, d) and (k, d), with exactly the problem's overlaps, in random directions.

        Raises
        ------
        ValueError
            If `dimension` is below p + k, or below the rank of the overlaps if that is smaller.
        """
        from .starts import weights

        return weights(self, dimension, np.random.default_rng(streams.root(rng)))

    @checks.named_arguments(keep_state="the overlaps at the last time are the whole state of a limit.")
    def solve(
        self,
        times: Any,
        *,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        observables: Any = None,
        events: Any = (),
        fluctuations: bool | str = False,
        sensitivities: Any = (),
        max_steps: int = 1_000_000,
        progress: bool | None = False,
    ) -> xr.Dataset:
        """Return the overlaps in time.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the problem's clock.
        rtol, atol : float
            Tolerances of the integrator.
        method : str
            "auto", or a method of `flowlimits.ode.integrate`.
        observables : sequence of str, optional
            Further variables: "overlap", "specialisation", "subspace_share".
        events : sequence of fl.Event, optional
            On "risk" or one of these; `event_time` holds the first time of each.
        fluctuations : bool or "start", optional
            Of SGD, also predict how runs of finite dimension d deviate, asymptotically for large d: `std_*`, the standard
            deviation of one run times sqrt(d), and `bias_*`, the mean of runs minus the limit times d, of every variable; and
            `needs_dimension`, below which they are not to be used from that time on.  With "start" runs of SGD, or gradient flows, also
            begin at random: at Gaussian weights whose mean overlaps are the problem's, as ``simulate(start="gaussian")`` draws them.
        sensitivities : sequence of str, optional
            Of "learning_rate", "noise", "weight_decay", "second_layer_rate": also the derivatives of every variable with respect to
            these numbers, such as `risk_by_noise`, at equal times on the clock.

        Returns
        -------
        xarray.Dataset
            With `risk`, `Q`, `R`, and `second_layer` if it is trained.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the flow diverges; `partial` holds the finished part.
        """
        from ..core.solve import solve
        from . import limit

        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, observables=observables, events=events,
            fluctuations=fluctuations, sensitivities=sensitivities, max_steps=max_steps, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def fixed_points(self, starts: Any = None, *, rng: Any = None) -> xr.Dataset:
        r"""Return fixed points of the overlaps' equations, plateaus and minima, and their stability.

        Parameters
        ----------
        starts : int or tuple of array_like, optional
            Where Newton steps begin: a number of random starts; arrays (Q, R), and the second layer if it is trained, of the problem's shapes
            or with a leading axis, such as those of a solution; by default the problem's own start.
        rng
            Of random starts.

        Returns
        -------
        xarray.Dataset
            By `point`, in the order of the `risk`: `Q`, `R`, a trained `second_layer`, `Q_groups` and `R_groups` with a covariance; the
            `eigenvalues` (real parts) and `frequencies` (imaginary parts) of the Jacobian :math:`\partial F/\partial(Q,R)` on the problem's
            clock, the largest first; how many of them are positive, `unstable`, and zero, `flat`.  Points that differ by a permutation of students
            are one.  By `start`: `converged`, and the point that was `reached`.

        Raises
        ------
        ArithmeticError
            If no start leads to a fixed point.
        """
        from .fluctuations.fixed_points import fixed_points

        return fixed_points(self, starts, rng)

    @checks.named_arguments()
    def simulate(
        self,
        times: Any,
        *,
        dimension: int,
        weights: Any = None,
        start: str | None = None,
        runs: int = 1,
        rng: Any = None,
        method: str | None = None,
        step: float | None = None,
        observables: Any = None,
        keep_state: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return a simulation at finite dimension, from exactly the problem's overlaps, on the same clock.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the problem's clock; the result states the times of the nearest steps.
        dimension : int
            At least p + k, or the rank of the overlaps.
        weights : tuple of array_like, shapes (p, d), (k, d), optional
            Own starting weights (W, W_star) in place of the problem's overlaps.
        start : {"random", "gaussian"}, optional
            Draw the student's rows anew in every run; the teacher stays.  "random": as independent Gaussian vectors with the variances diag(Q), or
            in random directions with exactly these norms if spherical.  "gaussian": as Gaussian vectors with the mean overlaps Q and R, rescaled to
            the norms of Q if spherical.  By default every run starts from the overlaps.
        runs, rng
            Number of runs, and the root of their random streams.
        method : {"overlaps", "samples", "gd"}, optional
            "overlaps" (default for SGD): the SGD of the weights in coordinates that follow them, exact in law at a cost per step that
            does not depend on the dimension.  "samples": fresh Gaussian inputs on real weights.  "gd" (default at learning_rate = 0):
            population gradient descent, deterministic, so one run from one start.
        step : float, optional
            Of "gd", on the clock; default 0.01.
        keep_state : bool
            Keep what `fl.extend` needs to carry every run on, its random stream included.
        threads, progress
            Number of threads (does not change the result), and whether to show a bar.

        Returns
        -------
        xarray.Dataset
            With the leading dimension `run`.

        Raises
        ------
        FloatingPointError
            If a run leaves the finite range; the message says when.
        """
        from .simulation import simulate

        return simulate(
            self, times, dimension=dimension, weights=weights, start=start, runs=runs, rng=rng, method=method, step=step,
            observables=observables, keep_state=keep_state, threads=threads, progress=progress,
        )  # fmt: skip

    def extend(self, result: xr.Dataset, times: np.ndarray) -> xr.Dataset | None:
        """Return a simulation with a kept state at `times`, which hold all its own, carried on from its last time."""
        from .simulation import extend

        return extend(self, result, times)
