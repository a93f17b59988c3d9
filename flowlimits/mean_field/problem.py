"""The public class of the mean-field limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core import checks
from . import observables as named
from .physics import MeanFieldPhysics

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MeanField(MeanFieldPhysics):
    r"""Gradient flow of a two-layer network of infinite width, p -> infinity, with any activation.

    The student :math:`f(x) = \frac1p\sum_i a_i s(w_i\cdot x/\sqrt d)` learns a teacher of fixed width, or any function of a few directions,
    from standard normal inputs, on the risk :math:`\frac12\mathbb E(f - f_\star)^2`, by the flow of `Committee` on its clock.
    *Asymptotic* in the width: single runs deviate by :math:`O(p^{-1/2})`, their mean by :math:`O(1/p)`.  The dimension is that of the
    start: exact at a finite one, where units of one law meet at random angles outside the span of the teacher; at "infinity" they are
    orthogonal there, an error of O(1/d) more (docs/mean_field.md).

    Parameters
    ----------
    teacher : array_like, shape (k, k) or (k, m)
        A symmetric matrix is taken for the overlaps T = W* W*^T/d, as in `Committee`, and the coordinates of the start are along the
        orthonormal basis made of the teacher's rows one after the other; any other is taken for the rows U = W*/sqrt d in the coordinates of
        the start.  With a `target`: None, or the number of its directions.
    start : Ensemble
        The law of the units.
    activation, teacher_activation : str, sequence of float, or SymPy expression
        As in `Committee`.  A polynomial student may have any teacher; erf and ReLU their own, and any smooth one at infinite dimension.
    target : callable, optional
        In place of a teacher: a function of points of the span, shape (n, m), that returns n numbers; infinite dimension, m up to 3.
    teacher_second_layer : array_like, shape (k,), optional
        b; ones if not given.
    second_layer_rate : float
        Rate of a relative to W; 0 keeps it fixed.
    weight_decay : float
        The term -weight_decay W in dW/dt.
    temperature : float
        Theta of the noise sqrt(2 Theta) dB in dW; infinite dimension only.
    spherical : bool
        Keep the norm of every unit.
    covariance : Spectrum, CovarianceGroups, or array_like of shape (d,) or (d, d), optional
        Of the inputs, as its L groups of eigenvalues c_l, a share q_l of the dimensions each; infinite dimension, no target.  `teacher` holds
        overlaps by group then, shape (L, k, k), or (k, k) for q_l times those; the projections of own atoms are along the teacher's span in one
        group after the other, their norms by group, shape (P, L), or (P,) for sqrt(q_l) times those (docs/mean_field.md, F10).

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, moments of the activations are not here, or an argument needs infinite dimension and the start has none.

    Examples
    --------
    >>> import flowlimits as fl
    >>> start = fl.Ensemble.gaussian(30, second_layer=([1.0, -1.0], [0.6, 0.4]))
    >>> problem = fl.MeanField([[1.0]], start, activation="erf", second_layer_rate=1.0)
    >>> round(float(problem.solve([2.0], particles=64)["risk"][0]), 4)
    0.0443
    """

    clock: ClassVar[str] = "t, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "student_width"
    papers: ClassVar[tuple[str, ...]] = ("mei2018", "chizat2018", "abbe2022", "berthier2024", "arnaboldi2023")
    variables: ClassVar[dict[str, Any]] = named.VARIABLES

    @checks.named_arguments()
    def solve(
        self,
        times: Any,
        *,
        particles: Any = "auto",
        accuracy: float = 1e-6,
        form: str = "auto",
        observables: Any = None,
        points: Any = None,
        degree: int = 4,
        events: Any = (),
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        max_steps: int = 1_000_000,
        progress: bool | None = False,
    ) -> xr.Dataset:
        """Return the limit at the given times.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t, increasing.
        particles : "auto" or int
            "auto" doubles the rule for the law of the start, and the grid or the angles, until two agree.  A number gives the largest
            Gauss rule of at most so many particles.  Own atoms are taken as they are.
        accuracy : float
            How far two rules may differ, relative to the risk at each time; `attrs["accuracy"]` states the largest difference of the
            last two, 0 where nothing was approximated, and NaN for a number of particles.
        form : {"auto", "pairs", "function", "low rank"}
            Of the equations; "auto" takes the one that serves.
        observables : sequence of str, optional
            "second_layer", "projections", "norms" of the particles, with a covariance "group_norms"; "function", the learnt function at `points` of the span;
            "components", its orthonormal Hermite components up to `degree`.
        points : array_like, shape (n, m), optional
            By default 61 points from -3 to 3 along the first direction.
        degree : int
            Of the components.
        events : sequence of fl.Event, optional
            On "risk"; `event_time` holds the first time of each.
        rtol, atol, method, max_steps, progress
            As in `Committee.solve`.

        Returns
        -------
        xarray.Dataset
            With `risk`, and what was asked for.

        Warns
        -----
        UserWarning
            If the projections start at zero at infinite dimension and nothing moves them, or if the rules do not settle.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the flow diverges; `partial` holds the finished part.
        """
        from ..core.solve import solve
        from . import limit

        return solve(
            self, limit, times, particles=particles, accuracy=accuracy, form=form, observables=observables, points=points, degree=degree,
            events=events, rtol=rtol, atol=atol, method=method, max_steps=max_steps, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def simulate(
        self,
        times: Any,
        *,
        student_width: int,
        dimension: int | None = None,
        weights: Any = None,
        second_layer: Any = None,
        runs: int = 1,
        rng: Any = None,
        step: float | None = None,
        observables: Any = None,
        points: Any = None,
        degree: int = 4,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return runs of finite width: units drawn from the law of the start, and the exact flow of their weights.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t, increasing.
        student_width : int
            p.
        dimension : int, optional
            d; that of the start if it is finite, needed if it is not.
        weights : array_like, shape (p, d) or (runs, p, d), optional
            Own starting weights in place of draws; the first m coordinates are those of the teacher's span.
        second_layer : array_like, shape (p,), optional
            Own second layer in place of draws.
        runs : int, optional
            Number of independent runs.
        rng : None, int, SeedSequence or Generator, optional
            Every run has its own stream, spawned from this root.
        step : float, optional
            Of the Euler steps at a positive temperature, on the clock; 0.01 by default.
        observables : sequence of str, optional
            "function", "components", as in `solve`.
        points, degree
            As in `solve`.
        rtol, atol : float
            Tolerances of the integrator.
        threads : int, optional
            By default all processors.
        progress : bool, optional
            Show a bar; by default when it will take more than about two seconds.

        Returns
        -------
        xarray.Dataset
            With the leading dimension `run` and the attribute `student_width`.

        Raises
        ------
        ValueError, TypeError
            If an argument is not valid.
        flowlimits.core.threads.Interrupted
            On Ctrl-C, with the finished runs in its attribute `partial`.
        """
        from .simulation import simulate

        return simulate(
            self, times, student_width=student_width, dimension=dimension, weights=weights, second_layer=second_layer, runs=runs, rng=rng,
            step=step, observables_=observables, points=points, degree=degree, rtol=rtol, atol=atol, threads=threads, progress=progress,
        )  # fmt: skip
