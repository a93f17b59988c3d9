r"""Quadratic networks of extensive width: the limit :math:`d\to\infty` with :math:`p/d` and :math:`k/d` fixed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import checks, results
from ..events import Event, check_events, locate
from ..problem import Problem
from .spectrum import Spectrum

if TYPE_CHECKING:
    import xarray as xr


STARTS = ("orthonormal", "gaussian")
ACTIVATIONS = ("square", "centred")
METHODS = ("auto", "collocation")
FIELDS = ("student_ratio", "teacher", "start", "activation", "weight_decay")
_ISOTROPIC = "the limit is known here for isotropic Gaussian inputs only."
ABSENT = {
    "covariance": _ISOTROPIC,
    "input_covariance": _ISOTROPIC,
    "noise": "label noise does not change the flow on the population risk.",
    "sample_ratio": "this is the flow on the population risk; a finite number of samples is not here.",
    "samples": "this is the flow on the population risk; a finite number of samples is not here.",
    "learning_rate": 'a flow has no learning rate; simulate(method="gd", step=...) takes finite steps.',
    "bias": "quadratic networks have no biases here.",
    "second_layer": "the second layer is fixed to 1/p here.",
    "dimension": "it is the limit of infinite dimension; simulate(times, dimension=...) takes one.",
}
#: Points of the grid on which events are first looked for.
EVENT_GRID = 400


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ExtensiveQuadratic(Problem):
    r"""Gradient flow of a quadratic network whose widths grow with the dimension: the limit of infinite dimension.

    Asymptotic: finite dimension corrects the variables by :math:`O(1/d)`.  Theory: docs/theory.md (Q12)-(Q21), for every
    spectrum of the teacher and every rotation-invariant start, after [1]_, who treat orthonormal weights; the
    Gaussian start with a Gaussian teacher, which [1]_ compare with simulations only, has here its exact limit.

    Parameters
    ----------
    student_ratio : float
        Student width over dimension.
    teacher : Spectrum
        Law of the eigenvalues of d times the teacher's matrix, of mean one.
    start : {"orthonormal", "gaussian"} or Spectrum, optional
        Student weights at the start: orthonormal rows (from ratio 1 on: columns) or Gaussian entries, both of unit
        variance per entry, or any rotation-invariant start by the law of the eigenvalues of d Z.
    activation : {"square", "centred"}, optional
        The square, or the square minus its mean.
    weight_decay : float, optional
        On the clock of the problem.

    Raises
    ------
    ValueError
        If a ratio is not positive and finite, the teacher's mean is not one, a name is unknown, or the start has a
        higher rank than `student_ratio` allows.
    TypeError
        If an argument is of the wrong kind or not here, such as `covariance`.

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

    clock: ClassVar[str] = "tau = t/d, dW/dt = -p d grad risk"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "dimension"
    papers: ClassVar[tuple[str, ...]] = ("martin2024", "martin2026")
    variables: ClassVar[dict[str, Any]] = {
        "risk": results.Variable("rescaled population risk", r"d\,\mathcal{R}", scale="d x risk"),
        "overlap": results.Variable("overlap", r"\chi"),
        "misalignment": results.Variable("misalignment, 1 - overlap", r"1 - \chi"),
        "trace": results.Variable("trace of Z", r"\mathrm{tr}\,Z"),
        "multiplier": results.Variable("multiplier of the trace", r"\varphi"),
        "eigenvalues": results.Variable("eigenvalues of d Z", r"d\,Z", dims=("eigenvalue",)),
    }

    student_ratio: float
    teacher: Spectrum
    start: str | Spectrum = "orthonormal"
    activation: str = "square"
    weight_decay: float = 0.0

    def __init__(
        self,
        student_ratio: float,
        teacher: Spectrum,
        start: str | Spectrum = "orthonormal",
        activation: str = "square",
        weight_decay: float = 0.0,
        **other: Any,
    ) -> None:
        checks.unknown_arguments("ExtensiveQuadratic", other, FIELDS, ABSENT)
        if not isinstance(teacher, Spectrum):
            raise TypeError(
                f"Argument `teacher` must be a Spectrum, but is {checks.show(teacher)}; "
                "Spectrum.orthonormal(ratio) is one."
            )
        if abs(teacher.mean - 1) > 1e-9:
            raise ValueError(
                f"Argument `teacher` must have the mean eigenvalue 1 (trace one per dimension of d Z), "
                f"but its mean is {teacher.mean:.6g}. Spectrum.normalised() divides by it."
            )
        if not isinstance(start, str | Spectrum):
            raise TypeError(f"Argument `start` must be a name or a Spectrum, but is {checks.show(start)}.")
        fields: dict[str, Any] = {
            "student_ratio": checks.number("student_ratio", student_ratio, positive=True),
            "teacher": teacher,
            "start": start if isinstance(start, Spectrum) else checks.choice("start", start, STARTS),
            "activation": checks.choice("activation", activation, ACTIVATIONS),
            "weight_decay": checks.number("weight_decay", weight_decay, nonnegative=True),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if isinstance(start, Spectrum):
            _check_start(start, fields["student_ratio"])

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
            Relative accuracy of risk and misalignment, down to a risk of 1e-30; below, they are returned as 0.
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
        from . import extensive_result, extensive_solve

        times = checks.times(times)
        rtol, atol = checks.tolerances(rtol, atol)
        checks.choice("method", method, METHODS)
        checks.progress(progress)
        names = _observables(observables)
        energies = None if spectrum is None else _energies(spectrum)
        listed = check_events(events, [name for name in self.variables if name != "eigenvalues"])
        steps = checks.integer("max_steps", max_steps, minimum=1)
        keep = checks.boolean("keep_state", keep_state)
        self._warn_about_trace()

        asked = times
        happened = None
        if listed:
            happened, times = self._events(listed, times, rtol, steps)
        positive = 2 * times[times > 0]
        solution = extensive_solve.integrate(self, positive, rtol, steps, keep or energies is not None)
        columns = extensive_result.columns(self, times, solution)
        coords, extra = extensive_result.extras(self, times, solution, energies, keep, listed, happened)
        call = {"verb": "solve", "rtol": rtol, "atol": atol, "method": method, "max_steps": steps}
        if observables is not None:
            call["observables"] = names
        if energies is not None:
            call["spectrum"] = {"array": "energy"}
        if listed:
            call |= {"events": list(listed), "times": asked.tolist()}
        if keep:
            call["keep_state"] = True
        attrs = {"note": "values at time 0 are those just after the start"} if times.size and times[0] == 0 else {}
        status = solution.provenance.pop("status", 0)
        dataset = results.build(
            self,
            kind=self.kind,
            times=times,
            variables={name: columns[name] for name in names},
            call=call,
            provenance=solution.provenance,
            coords=coords,
            extra=extra,
            attrs=attrs,
        )
        if status != 0:
            raise extensive_solve.failure(status, dataset, solution)
        return dataset

    def simulate(self, times: Any, *, dimension: int, **options: Any) -> xr.Dataset:
        """Simulate the flow at finite dimension on the same clock; see `flowlimits.quadratic.simulation`.

        Parameters
        ----------
        times : array_like, shape (n,)
            Increasing times tau = t/d.
        dimension : int
            The dimension; widths are rounded, and the realised ratios stored.
        **options
            weights, runs, rng, method, threads, progress, observables and step, as documented there.

        Returns
        -------
        xarray.Dataset
            The variables of `solve` with the leading dimension `run`.
        """
        from .simulation import simulate_extensive

        return simulate_extensive(self, times, dimension=dimension, **options)

    def relaxation_time(self, dimension: int) -> float:
        """Return the time tau after which a simulation of that dimension follows the limit.

        With the square activation the limit locks the trace at once; at finite dimension it relaxes at the rate
        4 d, so that after 3/d less than 1e-5 of its distance is left.  The centred activation has no such time.
        """
        dimension = checks.integer("dimension", dimension, minimum=1)
        return 3.0 / dimension if self.activation == "square" else 0.0

    def _warn_about_trace(self) -> None:
        if self.activation == "square" and isinstance(self.start, Spectrum) and abs(self.start.mean - 1) > 1e-9:
            warnings.warn(
                f"The start has the trace {self.start.mean:.6g} and the teacher 1: the limiting flow rescales the start "
                "at once (at finite dimension in a time O(1/d)), and values at time 0 are those just after.",
                UserWarning,
                stacklevel=3,
            )

    def _events(
        self, events: tuple[Event, ...], times: np.ndarray, rtol: float, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the times of the events, and those requested times that no stopping event cuts off."""
        from . import extensive_result, extensive_solve

        last = float(times[-1])
        if last == 0:
            return np.full(len(events), np.nan), times
        grid = np.unique(np.concatenate([[0.0], times, np.geomspace(1e-4 * min(last, 1.0), last, EVENT_GRID)]))
        solution = extensive_solve.integrate(self, 2 * grid[1:], rtol, steps, False)
        columns = extensive_result.columns(self, grid, solution)

        def evaluate(index: int, time: float) -> Mapping[str, float]:
            at = np.array([time])
            again = extensive_solve.integrate(self, 2 * at[at > 0], rtol, steps, False, solution.teacher)
            return {name: float(values[0]) for name, values in extensive_result.columns(self, at, again).items()}

        happened = locate(events, grid, columns, evaluate)
        stops = [time for event, time in zip(events, happened) if event.stop and np.isfinite(time)]
        return happened, times[times <= min(stops)] if stops else times


def _check_start(start: Spectrum, student_ratio: float) -> None:
    if start.mean == 0:
        raise ValueError("Argument `start` has only zero eigenvalues: zero weights do not move.")
    missing = max(1 - student_ratio, 0.0)
    if start.zero_weight < missing - 1e-9:
        raise ValueError(
            f"Argument `start` must have a weight of at least {missing:g} at the node 0, since a student of "
            f"student_ratio = {student_ratio:g} has at most that rank per dimension, but the weight is {start.zero_weight:g}."
        )


def _observables(observables: Sequence[str] | None) -> list[str]:
    known = ["risk", "overlap", "misalignment", "trace", "multiplier"]
    if observables is None:
        return known
    named = checks.items("observables", observables, str)
    return list(dict.fromkeys(["risk", *(checks.choice("observables", name, known) for name in named)]))


def _energies(energies: Any) -> np.ndarray:
    values = checks.array("spectrum", energies, ("m",))
    if (values <= 0).any() or (np.diff(values) <= 0).any():
        raise ValueError("Argument `spectrum` must hold positive, increasing eigenvalues: start at a small one; the atom at 0 is given apart.")
    return values
