"""The quadratic flow of infinite width at fixed dimension, and its simulation at finite width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core import checks
from ...core.solve import solve
from . import limit
from .physics import Physics
from .simulation import simulate

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MeanFieldQuadratic(Physics):
    r"""Gradient flow of a quadratic network of infinite width, p -> infinity at fixed dimension.

    Asymptotic in the width, exact in the dimension: the velocity is linear in each weight vector, so the second moment
    :math:`Z_0 = \mathbb E[ww^\top]/d` of their law closes the flow (docs/theory.md, "Infinite width at fixed dimension", (Q24)).  At
    width p runs deviate by :math:`O(p^{-1/2})` and their mean by :math:`O(1/p)`.

    Parameters
    ----------
    teacher_eigenvalues : array_like, shape (d,)
        Eigenvalues of the teacher's matrix Z*, not negative; zeros included, they fix the dimension.
    start : float or array_like, shape (d, d)
        Z_0, in the teacher's eigenbasis: a number c stands for c I.
    activation : {"square", "centred"}, optional
        The square, or the square minus its mean.
    weight_decay : float, optional
        On the clock t.
    covariance : array_like of shape (d,) or (d, d), or Spectrum, optional
        Of the inputs, in the teacher's eigenbasis.  The limit is exact for all of them, (Q26); where covariance and start are
        diagonal it costs one scalar for each eigenvalue, (Q28).  `trace`, `overlap` and `eigenvalues` are those of
        :math:`S^{1/2} Z S^{1/2}`.

    Raises
    ------
    ValueError
        If an eigenvalue is negative, or all are zero, `start` is not a symmetric positive semidefinite matrix of that size, or a value is
        not finite.
    TypeError
        If an argument is of the wrong kind or not here.

    Examples
    --------
    >>> import flowlimits as fl
    >>> problem = fl.MeanFieldQuadratic([0.5, 0.5, 0.0], start=0.1)
    >>> round(float(problem.solve([1e3])["trace"][0]), 3)
    1.001
    """

    @checks.named_arguments()
    def solve(
        self,
        times: Any,
        *,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        observables: Any = None,
        events: Any = (),
        max_steps: int = 1_000_000,
        keep_state: bool = False,
        progress: bool | None = False,
    ) -> xr.Dataset:
        """Return the limit at the given times; arguments as in `QuadraticFlow.solve`, the eigenvalues are there by default.

        Parameters
        ----------
        times : array_like, shape (n,)
            Times on the clock t, increasing.

        Returns
        -------
        xarray.Dataset
            `risk`, `overlap`, `misalignment`, `trace`, `multiplier`, shape (n,), and `eigenvalues`, shape (n, d).

        Raises
        ------
        ValueError, TypeError
            If an argument is not valid.
        flowlimits.ode.IntegrationError
            If the integrator stops early; the finished part is in its attribute `partial`.
        """
        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, observables=observables, events=events, max_steps=max_steps,
            keep_state=keep_state, progress=progress,
        )  # fmt: skip

    @checks.named_arguments(
        dimension="it is the number of teacher_eigenvalues; the size of a simulation is student_width."
    )
    def simulate(
        self,
        times: Any,
        *,
        student_width: int,
        weights: Any = None,
        runs: int = 1,
        rng: Any = None,
        method: str = "flow",
        step: float | None = None,
        observables: Any = None,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return runs of finite width: weights drawn from the Gaussian law of that second moment, and their exact flow.

        Parameters
        ----------
        times : array_like, shape (n,)
            Times on the clock t, increasing.
        student_width : int
            p.
        weights : array_like, shape (p, d) or (runs, p, d), optional
            Own starting weights, in the teacher's eigenbasis, instead of draws.
        runs : int, optional
            Number of independent runs.
        rng : None, int, SeedSequence or Generator, optional
            Every run has its own stream, spawned from this root.
        method : {"flow", "gd"}, optional
            The exact flow, or gradient descent with a finite step.
        step : float, optional
            For "gd": time per step.
        observables, rtol, atol
            As in `solve`.
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
        return simulate(
            self, times, student_width=student_width, weights=weights, runs=runs, rng=rng, method=method, step=step,
            observables=observables, rtol=rtol, atol=atol, threads=threads, progress=progress,
        )  # fmt: skip
