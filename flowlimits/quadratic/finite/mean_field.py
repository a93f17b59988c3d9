"""The quadratic flow of infinite width at fixed dimension, and its simulation at finite width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core import checks, results, streams
from ...core.problem import Problem
from ...core.threads import run_threads
from .equations_reduced import OBSERVABLES
from .limit import VARIABLES, Flow, Options, check_observables, make_path, solve_problem
from .problem import ABSENT, ACTIVATIONS
from .reduced_path import Outcome, Request, Tolerances
from .runs import call_of, gather
from .simulation import check_step, descend
from .start import Teacher, check_size

if TYPE_CHECKING:
    import xarray as xr

FIELDS = ("teacher_eigenvalues", "start", "activation", "weight_decay")
ALL = (*OBSERVABLES, "eigenvalues")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MeanFieldQuadratic(Problem):
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

    clock: ClassVar[str] = "t, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "student_width"
    variables: ClassVar[dict[str, results.Variable]] = {name: VARIABLES[name] for name in (*ALL, "Z")}
    papers: ClassVar[tuple[str, ...]] = ("chizat2018", "mei2018")

    teacher_eigenvalues: np.ndarray
    start: float | np.ndarray
    activation: str = "square"
    weight_decay: float = 0.0

    def __init__(
        self, teacher_eigenvalues: Any, start: Any, activation: str = "square", weight_decay: float = 0.0, **other: Any
    ) -> None:
        checks.unknown_arguments("MeanFieldQuadratic", other, FIELDS, ABSENT)
        values = checks.array("teacher_eigenvalues", teacher_eigenvalues, ("d",))
        if (values < 0).any():
            i = int(np.argmax(values < 0))
            raise ValueError(
                f"Argument `teacher_eigenvalues` must not be negative, but is {values[i]:g} at index [{i}]."
            )
        if not values.any():
            raise ValueError(
                "Argument `teacher_eigenvalues` must not be all zero: the overlap with a teacher that vanishes is not defined."
            )
        self._freeze("teacher_eigenvalues", values)
        if checks.is_single(start):
            object.__setattr__(self, "start", checks.number("start", start, nonnegative=True))
        else:
            self._freeze("start", check_moment(start, values.size))
        object.__setattr__(self, "activation", checks.choice("activation", activation, ACTIVATIONS))
        object.__setattr__(self, "weight_decay", checks.number("weight_decay", weight_decay, nonnegative=True))

    @property
    def dimension(self) -> int:
        """The dimension d of the inputs."""
        return self.teacher_eigenvalues.size

    def _root(self) -> np.ndarray:
        """Return a square root V0 of Z_0, shape (d, d)."""
        if isinstance(self.start, float):
            return math.sqrt(self.start) * np.eye(self.dimension)
        values, vectors = np.linalg.eigh(self.start)
        return vectors * np.sqrt(np.maximum(values, 0.0))

    def _flow(self, V0: np.ndarray) -> Flow:
        values = self.teacher_eigenvalues
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 1e-16 * values.max(initial=0.0)]
        teacher = Teacher(values[order], np.eye(self.dimension)[:, order], self.dimension)
        return Flow(V0, teacher, self.activation == "square", self.weight_decay)

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
        options = Options.checked(
            rtol=rtol, atol=atol, method=method, observables=ALL if observables is None else observables, events=events,
            max_steps=max_steps, keep_state=keep_state, progress=progress,
        )  # fmt: skip
        return solve_problem(self, self._flow(self._root()), times, options, kind="limit", dimension=None)

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
        times = checks.times(times)
        p = checks.integer("student_width", student_width, minimum=1)
        count = checks.integer("runs", runs, minimum=1)
        tolerances = Tolerances(*checks.tolerances(rtol, atol))
        length = check_step(checks.choice("method", method, ("flow", "gd")), step, times)
        names = check_observables(ALL if observables is None else observables)
        own = None if weights is None else self._check_weights(weights, p, count)
        root = streams.root(rng)
        generators = streams.generators(root, count)
        factor = self._root()
        request = Request(eigenvalues="eigenvalues" in names)

        def run(index: int) -> Outcome:
            if own is None:
                V0 = factor @ generators[index].standard_normal((self.dimension, p)) / math.sqrt(p)
            else:
                V0 = (own if own.ndim == 2 else own[index]).T / math.sqrt(p * self.dimension)
            flow = self._flow(V0)
            if length is not None:
                return descend(flow, times, length, request)
            return make_path(flow, "auto", float(times[-1]), tolerances).run(2 * times, request)

        def assemble(outcomes: list[Outcome]) -> xr.Dataset:
            call = call_of(
                {"student_width": p}, len(outcomes), method, tolerances, length, own, names if names != ALL else None
            )
            return results.build(
                self, kind="simulation", times=times, variables=gather(outcomes, names, times, length), call=call, run=True, root=root,
                provenance={"method": "exact flow" if length is None else "gradient descent"}, attrs={"student_width": p},
            )  # fmt: skip

        return run_threads(run, count, threads=threads, progress=progress, description="runs", assemble=assemble)

    def _check_weights(self, weights: Any, p: int, runs: int) -> np.ndarray:
        checked = checks.array("weights", weights)
        if checked.shape not in ((p, self.dimension), (runs, p, self.dimension)):
            raise ValueError(
                f"Argument `weights` must have shape ({p}, {self.dimension}) or ({runs}, {p}, {self.dimension}), "
                f"but has shape {checked.shape}."
            )
        return check_size("weights", checked)


def check_moment(start: Any, dimension: int) -> np.ndarray:
    """Return a second moment: a symmetric positive semidefinite matrix of that size."""
    checked = checks.array("start", start)
    if checked.shape != (dimension, dimension):
        raise ValueError(
            f"Argument `start` must be a number or have shape ({dimension}, {dimension}), but has shape {checked.shape}."
        )
    size = np.abs(checked).max()
    asymmetry = np.abs(checked - checked.T).max()
    if asymmetry > 1e-12 * size:
        raise ValueError(f"Argument `start` must be symmetric, but differs from its transpose by {asymmetry:.3g}.")
    lowest = float(np.linalg.eigvalsh(checked)[0])
    if lowest < -1e-12 * size * dimension:
        raise ValueError(
            f"Argument `start` must be positive semidefinite, a second moment, but has the eigenvalue {lowest:.3g}."
        )
    return (checked + checked.T) / 2
