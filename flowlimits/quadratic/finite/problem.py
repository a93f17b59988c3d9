"""The exact population gradient flow of a quadratic two-layer network at finite dimension and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core import checks, streams
from ...core.solve import solve
from . import limit
from .physics import Physics
from .simulation import simulate_flow
from .start import gaussian_rows, orthonormal_rows

if TYPE_CHECKING:
    import xarray as xr

_GIVEN = "the flow is that of the given weights; QuadraticFlow.orthonormal and .gaussian draw others."


@dataclass(frozen=True, eq=False, repr=False, init=False)
class QuadraticFlow(Physics):
    r"""Gradient flow on the population risk of a network of squares that learns another, exact at any dimension.

    Student :math:`f(x) = \frac1p\sum_i (w_i\cdot x)^2/d`, teacher :math:`f_\star` alike, Gaussian inputs, risk
    :math:`\frac12\mathbb E(f-f_\star)^2`, flow :math:`\dot W = -p\,d\,\nabla_W\,\text{risk} - \text{weight\_decay}\,W` on the clock t:
    equations (Q1) to (Q9) of `docs/theory.md`.  Nothing here is asymptotic.

    Parameters
    ----------
    W : array_like, shape (p, d)
        Weights of the student at the start.
    W_star : array_like, shape (k, d)
        Weights of the teacher.
    activation : {"square", "centred"}, optional
        "centred" subtracts from each unit its mean over the inputs, ``w S w/d``.
    weight_decay : float, optional
        Not negative.
    covariance : array_like of shape (d,) or (d, d), or Spectrum, optional
        Of the inputs, :math:`x \sim N(0, S)`.  The flow is then integrated in the eigenbasis of S, (Q26); `trace`, `overlap`
        and `eigenvalues` are those of :math:`S^{1/2} Z S^{1/2}`.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is not finite or its fourth power out of range, `W_star` is zero, `activation` is
        unknown or `weight_decay` is negative.
    TypeError
        If an argument is of the wrong kind, or a feature is asked for that is not here.

    Notes
    -----
    W = 0 is allowed, and stationary: the risk stays at its value, the multiplier falls by the trace of Z* per time 1/2, and
    `overlap` and `misalignment`, which are 0/0, are NaN.  Only the products W^T W and W_star^T W_star matter: rotations of
    the units change nothing.
    """

    @classmethod
    @checks.named_arguments()
    def orthonormal(
        cls, dimension: int, student_width: int, teacher_width: int, *, rng: Any = None, **physics: Any
    ) -> QuadraticFlow:
        r"""Return the flow of random weights with orthogonal rows, :math:`W W^\top = d\,I` (Haar); columns if there are more rows.

        Parameters
        ----------
        dimension, student_width, teacher_width : int
            d, p and k.
        rng : None, int, SeedSequence or Generator, optional
            Source of the random numbers.
        **physics
            `activation`, `weight_decay` and `covariance`.
        """
        return cls._drawn(orthonormal_rows, dimension, student_width, teacher_width, rng, physics)

    @classmethod
    @checks.named_arguments()
    def gaussian(
        cls, dimension: int, student_width: int, teacher_width: int, *, rng: Any = None, **physics: Any
    ) -> QuadraticFlow:
        """Return the flow of random weights with independent standard Gaussian entries; arguments as in `orthonormal`."""
        return cls._drawn(gaussian_rows, dimension, student_width, teacher_width, rng, physics)

    @classmethod
    def _drawn(cls, draw, dimension, student_width, teacher_width, rng, physics) -> QuadraticFlow:
        d = checks.integer("dimension", dimension, minimum=1)
        p = checks.integer("student_width", student_width, minimum=1)
        k = checks.integer("teacher_width", teacher_width, minimum=1)
        generator = streams.generators(streams.root(rng), 1)[0]
        return cls(draw(generator, p, d), draw(generator, k, d), **physics)

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
        """Return the exact flow at the given times.

        Parameters
        ----------
        times : array_like, shape (n,)
            Times on the clock t, increasing, from 0 on.
        rtol : float, optional
            Relative tolerance, also of the risk and the misalignment at late times with the method "reduced".
        atol : float, optional
            Absolute tolerance of the scalars, or of V.  Below about its square the risk is not resolved by "matrix";
            by "reduced" it is followed to 1e-30 of its first value and below.
        method : {"auto", "reduced", "matrix"}, optional
            "reduced": one scalar per distinct teacher eigenvalue (Q8), with an implicit method at late times;
            "matrix": direct integration of the weights.  Both are exact; "auto" takes the one that should cost less.
            Where a symmetry holds the flow at a saddle point for ever, "reduced" stays and round-off frees "matrix".
            To "reduced", overlaps of the start with a teacher direction below 1e-15 of the start's norm count as zero:
            the direction is then never learnt.  "matrix" keeps them.
        observables : sequence of str, optional
            Variables to return, of risk (always), overlap, misalignment, trace, multiplier, and on request
            "eigenvalues": all d eigenvalues of Z, increasing.  By default all but the eigenvalues.
        events : fl.Event or sequence of them, optional
            Adds `event_time (event)`: the first times at which variables cross values, NaN where they do not before the
            last time.  A crossing is seen when it separates two neighbours among the requested times and, with the
            method "reduced", 400 more.  With ``stop=True`` later times are left out.
        max_steps : int, optional
            Most steps of the integrator.
        keep_state : bool, optional
            Add the matrix `Z (time, input, input_2)`.
        progress : bool or None, optional
            Show a bar; None shows it when it takes more than about two seconds.

        Returns
        -------
        xarray.Dataset
            On the clock t; see `flowlimits.core.results`.

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

    @checks.named_arguments(dimension=_GIVEN, student_width=_GIVEN, runs=_GIVEN, rng=_GIVEN)
    def simulate(self, times: Any, *, method: str = "gd", step: float, progress: bool | None = None) -> xr.Dataset:
        """Return plain gradient descent with a finite step on the population risk, which `solve` is the limit of.

        Parameters
        ----------
        times : array_like, shape (n,)
            Times on the clock t; the values are those after ``round(t / step)`` steps.
        method : {"gd"}, optional
            The flow itself is deterministic: see `solve`.
        step : float
            Time per step: W <- W - step (p d grad risk + weight_decay W).
        progress : bool or None, optional
            Show a bar.

        Returns
        -------
        xarray.Dataset
            With the dimension `run` of length one.
        """
        return simulate_flow(self, times, method=method, step=step, progress=progress)
