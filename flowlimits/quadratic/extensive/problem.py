r"""Quadratic networks of extensive width: the limit :math:`d\to\infty` with :math:`p/d` and :math:`k/d` fixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks
from ...core.solve import solve
from ...spectrum.spectrum import Spectrum
from .physics import Physics

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ExtensiveQuadratic(Physics):
    r"""Gradient flow of a quadratic network whose widths grow with the dimension: the limit of infinite dimension.

    Asymptotic: finite dimension corrects the variables by :math:`O(1/d)`.  Theory: docs/theory.md (Q12)-(Q21), for every
    spectrum of the teacher and every rotation-invariant start, after [1]_, who treat orthonormal weights; the
    Gaussian start with a Gaussian teacher, which [1]_ compare with simulations only, has here its exact limit.

    Parameters
    ----------
    student_ratio : float
        Student width over dimension.
    teacher : Spectrum
        Law of the eigenvalues of d times the teacher's matrix, of mean one; with the centred activation also any with
        negative eigenvalues, `Spectrum.symmetric`: the flow is Oja's towards a symmetric matrix.
    start : {"orthonormal", "gaussian"} or Spectrum, optional
        Student weights at the start: orthonormal rows (from ratio 1 on: columns) or Gaussian entries, both of unit
        variance per entry, or any rotation-invariant start by the law of the eigenvalues of d Z.
    activation : {"square", "centred"}, optional
        The square, or the square minus its mean.
    weight_decay : float, optional
        On the clock of the problem.
    covariance : array_like of shape (n,), or Spectrum, optional
        Of the inputs: its eigenvalue on each of the n nodes of the teacher, in the order in which these were given, so that both
        commute.  Equal nodes of the teacher stay apart, as `Spectrum.groups`.  The start is then to be proportional to the identity:
        orthonormal with a student_ratio of at least 1, or a Spectrum of one node; docs/theory.md (Q28), (Q29).  No limit is known for
        others.  `trace` and `overlap` are those of :math:`S^{1/2} Z S^{1/2}`.

    Raises
    ------
    ValueError
        If a ratio is not positive and finite, the teacher's mean is not one, a name is unknown, or the start has a
        higher rank than `student_ratio` allows.
    TypeError
        If an argument is of the wrong kind or not here, such as `noise`.

    References
    ----------
    .. [1] S. Martin, F. Bach, G. Biroli, arXiv 2311.03794.

    Examples
    --------
    >>> import flowlimits as fl
    >>> problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    >>> round(float(problem.solve([0.5])["overlap"][0]), 6)
    0.999311
    """

    @checks.named_arguments()
    def solve(
        self,
        times: Any,
        *,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        observables: Sequence[str] | None = None,
        spectrum: Any = None,
        events: Any = (),
        max_steps: int = 100_000,
        keep_state: bool = False,
        progress: bool = False,
    ) -> xr.Dataset:
        r"""Return the limit at `times`.

        Parameters
        ----------
        times : array_like, shape (n,)
            Increasing times :math:`\tau = t/d`.  At time 0 the values are those just after the start, with the trace locked.
        rtol : float, optional
            Relative accuracy of risk and misalignment, down to a risk of 1e-22.  From there to 1e-30, where a teacher of full rank
            is learnt exponentially, round-off leaves three digits; below, they are returned as 0.
        atol : float, optional
            Accepted for uniformity; nothing here needs an absolute tolerance.
        method : {"auto", "collocation"}, optional
            One method serves all times; for the centred activation every time is explicit.
        observables : sequence of str, optional
            Variables wanted besides `risk`; by default all.
        spectrum : array_like, shape (m,), optional
            Positive eigenvalues of d Z at which to add its `density (time, energy)`, with `atom_position` and
            `atom_weight (time, atom)` apart.
        events : Event or sequence of Event, optional
            Adds `event_time (event)`, NaN where an event does not happen before the last time.
        max_steps : int, optional
            Largest number of steps.
        keep_state : bool, optional
            Add `state (time, node)`, the student's mean on the teacher's eigenspaces.
        progress : bool, optional
            Accepted for uniformity; a solution takes milliseconds.

        Returns
        -------
        xarray.Dataset
            `risk` (d x risk), `overlap`, `misalignment`, `trace`, `multiplier`, each of shape (n,).

        Raises
        ------
        ValueError
            If an argument is out of range.
        flowlimits.ode.IntegrationError
            If the steps run out; the attribute `partial` holds the finished part.

        Warns
        -----
        UserWarning
            If the start has another trace than the teacher (square activation): the flow rescales it at once.
        """
        from . import limit

        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, observables=observables, spectrum=spectrum, events=events,
            max_steps=max_steps, keep_state=keep_state, progress=progress,
        )  # fmt: skip

    @checks.named_arguments(
        student_width="it follows from student_ratio and dimension.",
        teacher_width="it follows from the ratio of the teacher and dimension.",
    )
    def simulate(
        self,
        times: Any,
        *,
        dimension: int,
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
        r"""Return runs of the flow at finite dimension, each with its own draw of teacher and start.

        Exact at every dimension, in the sense of `QuadraticFlow`; on the clock tau = t/d and in the scaling of the limit, so that
        the difference from ``solve(times)`` is :math:`O(1/d)`.

        Parameters
        ----------
        times : array_like, shape (n,)
            Times tau, increasing.
        dimension : int
            d.  Widths are rounded to whole units; the realised ratios are stored, and comparisons are made at them.
        weights : array_like, shape (p, d) or (runs, p, d), optional
            Own starting weights instead of draws; the teacher is drawn, with Haar eigenvectors.
        runs : int, optional
            Number of independent runs.
        rng : None, int, SeedSequence or Generator, optional
            Every run has its own stream, spawned from this root: the number of threads changes no bit.
        method : {"flow", "gd"}, optional
            The exact flow, or gradient descent with a finite step.
        step : float, optional
            For "gd": W <- W - step (p d grad risk + ...), time per step on the clock t = d tau.
        observables : sequence of str, optional
            As in `solve`; "eigenvalues" adds all d eigenvalues of d Z.
        rtol, atol : float, optional
            Tolerances of each flow.
        threads : int, optional
            By default all processors.
        progress : bool, optional
            Show a bar; by default when it will take more than about two seconds.

        Returns
        -------
        xarray.Dataset
            With the leading dimension `run`; attributes `dimension`, `student_width`, `teacher_width`, `realised_student_ratio` and
            `realised_teacher_ratio`.

        Raises
        ------
        ValueError
            If `dimension` is too small for the ratios, or an argument is not valid.
        flowlimits.core.threads.Interrupted
            On Ctrl-C, with the finished runs in its attribute `partial`.
        """
        from .simulation import simulate

        return simulate(
            self, times, dimension=dimension, weights=weights, runs=runs, rng=rng, method=method, step=step, observables=observables,
            rtol=rtol, atol=atol, threads=threads, progress=progress,
        )  # fmt: skip

    def _compiled(self) -> Sequence[Any]:
        from .simulation import compiled

        return compiled(self)

    def realised(self, dimension: int, student_width: int | None = None) -> ExtensiveQuadratic:
        """Return the problem at the ratios and multiplicities of simulations of that dimension, and of that width if one is given."""
        d = checks.integer("dimension", dimension, minimum=1)
        width = round(self.student_ratio * d) if student_width is None else student_width
        start = self.start.realised(d) if isinstance(self.start, Spectrum) else self.start
        if self.covariance is not None:
            teacher, covariance = self._realised_groups(d)
            return dataclasses.replace(
                self, student_ratio=width / d, teacher=teacher, start=start, covariance=covariance
            )
        return dataclasses.replace(self, student_ratio=width / d, teacher=self._law.realised(d), start=start)

    def relaxation_time(self, dimension: int) -> float:
        """Return the time tau after which a simulation of that dimension follows the limit.

        With the square activation the limit locks the trace at once; at finite dimension it relaxes at the rate
        4 d, so that after 3/d less than 1e-5 of its distance is left.  The centred activation has no such time.
        """
        dimension = checks.integer("dimension", dimension, minimum=1)
        if self.activation != "square":
            return 0.0
        if self.covariance is None:
            return 3.0 / dimension
        # The rate is that of sum q c^2 z, on the way from the start to the lock.
        atoms = self._atoms()
        jumped = atoms.z * np.exp(-2 * atoms.c * atoms.jump())
        return 3.0 / (dimension * min(float(atoms.q @ (atoms.c**2 * z)) for z in (atoms.z, jumped)))
