r"""Quadratic networks of extensive width on :math:`n = \alpha d^2` samples: where training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import checks
from .physics import EmpiricalPhysics

if TYPE_CHECKING:
    import xarray as xr


class EmpiricalQuadratic(EmpiricalPhysics):
    r"""Gradient flow of a quadratic network on finitely many samples, with widths that grow with the dimension.

    Asymptotic: :math:`d\to\infty` with :math:`p/d`, :math:`k/d` and :math:`n/d^2` fixed.  `solve` returns where training ends;
    finite dimension corrects it by :math:`O(1/d)`.  Theory and status: docs/empirical.md.

    Parameters
    ----------
    student_ratio : float
        Student width over dimension.
    teacher : Spectrum
        Law of the eigenvalues of d times the teacher's matrix, of mean one; with the centred activation also any with
        negative eigenvalues, `Spectrum.symmetric`.
    sample_ratio : float
        Number of samples over the square of the dimension; ``math.inf`` is the flow on the population risk.
    noise : float, optional
        d times the variance of the noise of a label, on the scale of `risk`.
    weight_decay : float or "vanishing", optional
        On the clock of the problem; "vanishing" is the limit of small decay, taken after that of long times.
    activation : {"centred", "square"}, optional
        The square minus its mean, or the square, for which the samples fix the trace and the decay drops out.
    start : {"gaussian", "orthonormal"} or Spectrum, optional
        Student weights at the start, as in `ExtensiveQuadratic`; only `simulate` knows it.

    Raises
    ------
    ValueError
        If a ratio is not positive, noise or decay is negative, the teacher's mean is not one, or a name is unknown.
    TypeError
        If an argument is of the wrong kind or not here, such as `covariance`.

    References
    ----------
    S. Martin, G. Biroli, F. Bach, Journal of Machine Learning Research 27(136), 2026, arXiv 2601.10483: where training ends;
    V. Erba, E. Troiani, L. Zdeborova, F. Krzakala, arXiv 2505.17958;
    A. Maillard, E. Troiani, S. Martin, F. Krzakala, L. Zdeborova, arXiv 2408.03733.

    Examples
    --------
    >>> import flowlimits as fl
    >>> problem = fl.EmpiricalQuadratic(1.0, fl.Spectrum.marchenko_pastur(0.5), 0.4, noise=0.25, weight_decay=0.4)
    >>> round(float(problem.solve()["risk"]), 9)
    0.34622576
    """

    @checks.named_arguments()
    def solve(
        self, times: Any = None, *, sample_ratios: Any = None, weight_decays: Any = None, spectrum: Any = None
    ) -> xr.Dataset:
        r"""Return where training ends.

        Parameters
        ----------
        times : array_like, optional
            Taken for an infinite sample ratio only: elsewhere the limit in time is not known.
        sample_ratios : array_like, shape (n,), optional
            Sample ratios in the place of the problem's own; they become the dimension `sample_ratio`.
        weight_decays : array_like, shape (m,), optional
            Weight decays in the place of the problem's own; they become the dimension `weight_decay`, the first one.
        spectrum : array_like, optional
            Positive eigenvalues of d Z at which to add its `density (energy)`, with `atom_position` and `atom_weight` apart.

        Returns
        -------
        xarray.Dataset
            Over the dimensions asked for, none by default: `risk`, `train_risk` and `in_sample_risk` (d x risk), `overlap`, `misalignment`, `trace`,
            `rank`, `response`, `effective_noise`, `threshold`, eqs. (E3)-(E9); `regime`, "full" or "width" if the student's width bounds the
            rank; `status`, "proven", "claimed" or "conjectured"; and the number of `solutions` of the equations.

        Raises
        ------
        ValueError
            Where the end depends on the start: without decay below the interpolation threshold, and for the square
            activation below its own.

        Warns
        -----
        UserWarning
            Where the equations of the literature are wrong (they violate the counting bound), or have several solutions.
        """
        from .limit import solve

        return solve(self, times, sample_ratios=sample_ratios, weight_decays=weight_decays, spectrum=spectrum)

    @checks.named_arguments(
        student_width="it follows from student_ratio and dimension.",
        samples="their number follows from sample_ratio and dimension.",
        spectrum='simulations return eigenvalues, by observables=["eigenvalues"].',
    )
    def simulate(
        self,
        times: Any = None,
        *,
        dimension: int,
        runs: int = 1,
        rng: Any = None,
        data: str = "inputs",
        end: bool = False,
        weights: Any = None,
        observables: Any = None,
        rtol: float = 1e-4,
        gradient_tolerance: float = 1e-4,
        max_evaluations: int = 1_000_000,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        r"""Simulate the flow (E2) on samples drawn at finite dimension.

        Parameters
        ----------
        times : array_like, shape (n,), optional
            Times tau, increasing; without them, `end` must be true.
        dimension : int
            d.  Widths and the number of samples are rounded to whole numbers; the realised ratios are stored.
        runs : int, optional
            Number of independent runs.
        rng : None, int, SeedSequence or Generator, optional
            Every run has its own stream, spawned from this root: the number of threads changes no bit.
        data : {"inputs", "symmetric", "hermitian"}, optional
            The network itself on Gaussian inputs; symmetric Gaussian matrices in the place of :math:`(xx^\top-1)/\sqrt d`; or complex Hermitian
            ones, whose limit is the same and whose corrections are of order 1/d^2.  The matrices are never stored, (E18), (E19).
        end : bool, optional
            Follow the flow to its end instead.
        weights : array_like, shape (p, d) or (runs, p, d), optional
            Own starting weights instead of draws.
        observables : sequence of str, optional
            Variables wanted besides `risk`; "eigenvalues" adds all d eigenvalues of d Z.
        rtol : float, optional
            Tolerance of each flow, in the norm of the weights.
        gradient_tolerance : float, optional
            With `end`: the flow ends where the weights move by less than this share of their norm per unit of tau.
        max_evaluations : int, optional
            Largest number of gradients of one run.
        threads : int, optional
            By default all processors.
        progress : bool, optional
            Show a bar; by default when it will take more than about two seconds.

        Returns
        -------
        xarray.Dataset
            With the leading dimension `run`: `risk`, `train_risk`, `in_sample_risk`, `overlap`, `misalignment`, `trace`, in time, or at the end with
            `end_time`.  The eigenvalues of the teacher are the quantiles of its law, and the noise has the norm of its law.

        Raises
        ------
        ValueError
            If `dimension` is too small for the ratios, an argument is not valid, or memory cannot hold the inputs.
        flowlimits.ode.stabilised.StabilisedError
            If the evaluations run out.
        """
        from .simulation import simulate

        return simulate(
            self, times, dimension=dimension, runs=runs, rng=rng, data=data, end=end, weights=weights, observables=observables, rtol=rtol,
            gradient_tolerance=gradient_tolerance, max_evaluations=max_evaluations, threads=threads, progress=progress,
        )  # fmt: skip

    def realised(self, dimension: int, student_width: int | None = None) -> EmpiricalQuadratic:
        """Return the problem with the ratios that simulations of that dimension have, of the given student width if it is given."""
        d = checks.integer("dimension", dimension, minimum=1)
        p = round(self.student_ratio * d) if student_width is None else student_width
        rounded = {"student_ratio": p / d, "teacher": self.teacher.realised(d)}
        if not self.infinite:
            rounded["sample_ratio"] = max(round(self.sample_ratio * d * d), 1) / (d * d)
        return type(self)(**(dict(self.fields()) | rounded))

    def relaxation_time(self, dimension: int) -> float:
        """Return the time tau after which a simulation of that dimension follows the limit: with the square activation, 3/d."""
        d = checks.integer("dimension", dimension, minimum=1)
        return 3.0 / d if self.activation == "square" else 0.0

    @checks.named_arguments()
    def bayes(self, sample_ratios: Any = None) -> xr.Dataset:
        """Return the least risk of any estimate from the samples, eq. (E16), for a teacher of known law with Haar eigenvectors.

        Parameters
        ----------
        sample_ratios : array_like, shape (n,), optional
            By default the problem's own.

        Returns
        -------
        xarray.Dataset
            `risk` and `effective_noise`, over `sample_ratio` if it was given.
        """
        from .limit import bayes

        return bayes(self, sample_ratios)

    def thresholds(self) -> xr.Dataset:
        """Return the sample ratios at which something changes, eqs. (E10)-(E13), and the least student ratio that suffices.

        Returns
        -------
        xarray.Dataset
            `interpolation` and `square`, with the problem's noise; `recovery_small_decay`, `recovery_no_decay`, `recovery_square` and
            `recovery_bayes`, without noise, NaN for a student narrower than the teacher; `counting_bound`; `minimal_student_ratio`, at the
            problem's own sample ratio and decay, NaN where its end is not known.
        """
        from .limit import thresholds

        return thresholds(self)

    def best_weight_decay(self) -> float:
        """Return the weight decay with which training ends at the least risk; 0 if that is the limit of small decay.

        Raises
        ------
        ValueError
            For the square activation, which does not know the decay.
        """
        from .limit import best_weight_decay

        return best_weight_decay(self)
