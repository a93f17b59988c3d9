"""The exact quadratic flow by its scalars; it and `matrix_path` have one door: `run` at given times, `restart` from one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ...core.threads import Unfinished
from ...ode.driver import Integration, Jacobian
from ...ode.report import Report, Status, message_of
from . import equations_reduced as layout
from .equations_reduced import OBSERVABLES
from .start import Scalars, Split, Teacher, scalars

ADVICE = {
    Status.TOO_MANY_STEPS: 'Late times are stiff: use method="reduced", or raise `max_steps`.',
    Status.STEP_TOO_SMALL: "Loosen `rtol` and `atol`, which are below round-off here.",
    Status.NOT_FINITE: "The weights or the teacher are too large for floating-point numbers: rescale them.",
}
#: Largest entry of V below which ratios are formed from a scaled V.
FAINT = 1e-50
#: Largest entry of V below which it has lost digits to underflow.
LOST = 1e-290
#: Exponent of the complement from which on it must be a group of rows of its own.
STEEP = 25.0
#: 4 (largest eigenvalue) (last time) from which on the implicit method pays.
STIFF = 8.0


@dataclass
class Request:
    """What is asked for beyond the observables."""

    eigenvalues: bool = False
    matrices: bool = False


@dataclass
class Outcome:
    """Observables at the times reached, shape (n, 5), and what else was asked for."""

    observables: np.ndarray
    report: Report
    eigenvalues: np.ndarray | None = None
    matrices: np.ndarray | None = None

    def first(self, count: int) -> Outcome:
        """Return the first `count` times only."""
        eigenvalues = None if self.eigenvalues is None else self.eigenvalues[:count]
        matrices = None if self.matrices is None else self.matrices[:count]
        return Outcome(self.observables[:count], self.report, eigenvalues, matrices)

    def variables(self) -> dict[str, np.ndarray]:
        """Return the observables by name."""
        return dict(zip(OBSERVABLES, np.ascontiguousarray(self.observables.T)))


@dataclass
class Tolerances:
    rtol: float = 1e-8
    atol: float = 1e-10
    max_steps: int = 1_000_000
    progress: bool | None = False


class ReducedPath:
    """The flow by scalars, `equations_reduced`.

    Parameters
    ----------
    system : Scalars
        Parameters and start.
    teacher : Teacher
    limits : Tolerances
    start : Split, optional
        Where `system` comes from: needed to treat the complement as rows if its exponent grows large.
    """

    name = "reduced"

    def __init__(self, system: Scalars, teacher: Teacher, limits: Tolerances, start: Split | None = None):
        self.system, self.teacher, self.limits, self.start = system, teacher, limits, start
        self.begin, self.state = 0.0, system.y0
        self.finished: Outcome | None = None
        self.states = np.zeros((0, system.y0.size))

    @property
    def square(self) -> bool:
        return bool(self.system.params[layout.SQUARE] == 1)

    def restart(self, s: float, i: int) -> ReducedPath:
        """Return the path that continues from time i of the last run, at `s`; i = -1 is the start."""
        if i < 0:
            return ReducedPath(self.system, self.teacher, self.limits, self.start)
        path = ReducedPath(self.system, self.teacher, self.limits)
        path.begin, path.state = s, self.states[i]
        return path

    def run(self, s: np.ndarray, request: Request) -> Outcome:
        """Return the observables at the times `s` (clock s = 2 t); what an integration that stops has reached is in `finished`."""
        self.finished = None
        try:
            return self._run(s, request)
        except Unfinished as error:
            self.states = error.states
            if len(error.times):
                self.finished = self._observe(s[: len(error.times)], error.report, request)
            raise

    def _run(self, s: np.ndarray, request: Request) -> Outcome:
        self.states, report = self._integrate(s)
        if self.start is not None and self.system.graded and self._steepest(s[: len(self.states)]) > STEEP:
            self.system = scalars(
                self.start, square=self.square, decay=self.system.params[layout.DECAY], grouped=True,
                keep_basis=request.matrices,
            )  # fmt: skip
            self.state = self.system.y0
            self.states, report = self._integrate(s)
        return self._observe(s[: len(self.states)], report, request)

    def _integrate(self, s: np.ndarray) -> tuple[np.ndarray, Report]:
        params = self.system.params
        if not self.square:
            return closed_states(self.system, s), instant(s[-1])
        largest = max(self.teacher.values.max(initial=0.0), 0.0)
        n = self.state.size
        atol = np.full(n, self.limits.rtol)
        # g vanishes at late times, and the risk with its square.
        atol[2:] = 1e-4 * self.limits.atol * (largest or 1.0)
        if params[layout.LOGARITHMIC] == 1:
            atol[2:] = self.limits.rtol
        span = s[-1] - self.begin
        scale = max(largest, 0.125 / params[layout.UNIT]) if self.begin == 0 else largest
        equations = equations_of(self.system)
        run = Integration(
            equations.flow.address, self.state, s, params, start=self.begin, rtol=self.limits.rtol, atol=atol,
            method="radau" if 4 * scale * span > STIFF else "dop853", jacobian=Jacobian(1, equations.jacobian.address, 1),
            max_steps=self.limits.max_steps, work_size=self.system.work_size,
        )  # fmt: skip
        _, states, report = run.run(self.limits.progress, ADVICE)
        return states, report

    def _steepest(self, s: np.ndarray) -> float:
        params = self.system.params
        m, _, r, q = self.system.sizes
        loga = params[layout.HEADER + q + 2 * r :][:m]
        exponent = -2 * (self.states[:, 0] + min(params[layout.DRIFT], 0.0) * s) - self.states[:, 1]
        return float(exponent.max(initial=-math.inf) + loga.max(initial=-math.inf))

    def _observe(self, s: np.ndarray, report: Report, request: Request) -> Outcome:
        system, equations = self.system, equations_of(self.system)
        params, work = system.params, np.zeros(system.work_size)
        times, states = np.ascontiguousarray(s), np.ascontiguousarray(self.states)
        values = np.empty((s.size, len(OBSERVABLES)))
        m, _, r, _ = system.sizes
        diagonal = params[layout.DIAGONAL] == 1
        if diagonal:
            equations.observe(times, states, params, work, values)
        else:
            equations.observe(times, states, params, work, values, np.empty((0, 0)))
        outcome = Outcome(values, report)
        if diagonal and request.eigenvalues:
            found = np.empty((s.size, m))
            equations.modes(times, states, params, work, found)
            outcome.eigenvalues = np.array([padded(row, self.teacher.dimension) for row in found])
        elif request.eigenvalues or request.matrices:
            spectra, matrices = [], []
            block, unused = np.empty((r + m, r + m)), np.empty((1, len(OBSERVABLES)))
            for i in range(s.size):
                equations.observe(times[i : i + 1], states[i : i + 1], params, work, unused, block)
                if request.eigenvalues:
                    spectra.append(padded(np.linalg.eigvalsh(block)[r:], self.teacher.dimension))
                if request.matrices:
                    matrices.append(self._matrix(block))
            outcome.eigenvalues = np.array(spectra) if request.eigenvalues else None
            outcome.matrices = np.array(matrices) if request.matrices else None
        return outcome

    def _matrix(self, block: np.ndarray) -> np.ndarray:
        basis = self.system.basis
        if basis is None:
            raise ValueError("This path does not keep its basis.")
        return basis @ block @ basis.T


def equations_of(system: Scalars) -> ModuleType:
    """Return the compiled equations; they load (and at first compile) in a second for blocks, in several for general starts."""
    if system.params[layout.DIAGONAL] == 1:
        from . import equations_blocks

        return equations_blocks
    from . import equations_general

    return equations_general


def padded(values: np.ndarray, dimension: int) -> np.ndarray:
    """Return all `dimension` eigenvalues, increasing: those given and zeros."""
    full = np.zeros(dimension)
    full[dimension - values.size :] = np.sort(np.maximum(values, 0.0))
    return full


def closed_states(system: Scalars, s: np.ndarray) -> np.ndarray:
    """Return the states of the centred activation, whose flow needs no integration: phi = 0, (Q6)."""
    params = system.params
    _, _, _, q = system.sizes
    decay, unit = params[layout.DECAY], params[layout.UNIT]
    l = params[layout.HEADER : layout.HEADER + q]
    states = np.zeros((s.size, 2 + q))
    states[:, 1] = -math.log(4) - log_h(-2 * decay, unit, s)
    for k in range(q):
        rate = 4 * l[k] - 2 * decay
        if params[layout.LOGARITHMIC] == 1:
            states[:, 2 + k] = -math.log(4) - log_h(rate, unit, s)
        elif rate > 0:
            # Neither term of the denominator is a difference: a start far above the teacher keeps its digits.
            fading = np.exp(-rate * s)
            above = l[k] * (1 - rate * unit) * fading / (rate * unit * fading - np.expm1(-rate * s))
            states[:, 2 + k] = (1 + s / unit) * above
        else:
            states[:, 2 + k] = (1 + s / unit) / (4 * (unit + s))
    return states


def log_h(rate: float, start: float, s: np.ndarray) -> np.ndarray:
    """Return log h for h' = 1 - rate h, h(0) = start; for a negative rate less the steady growth, - rate s."""
    x = np.abs(rate) * s
    with np.errstate(divide="ignore"):
        grown = np.log(s) if rate == 0 else np.log(-np.expm1(-x)) - math.log(abs(rate))
    if rate < 0:
        return np.logaddexp(math.log(start), grown)
    return np.logaddexp(math.log(start) - x, grown)


def instant(reached: float) -> Report:
    return Report(
        status=Status.SUCCESS, method="closed form", switches=((0.0, "closed form"),), steps=0, rejected=0, evaluations=0,
        jacobians=0, factorisations=0, reached=float(reached), wall_time=0.0, rtol=0.0, atol=0.0, event_times=np.zeros(0),
        crossings=(), event_states=(), message=message_of(Status.SUCCESS, float(reached), None),
    )  # fmt: skip


def observe_matrix(V: np.ndarray, values: np.ndarray, square: bool, multiplier: float) -> list[float]:
    """Return risk, overlap, misalignment, trace and multiplier of V V^T against diag(values), (Q4) and (Q9)."""
    Z = V @ V.T
    diagonal = np.diag_indices(V.shape[0])
    own = Z[diagonal].copy()
    trace = float(own.sum())
    a, b, c = float((values**2).sum()), float(own @ values), float((Z**2).sum())
    Z[diagonal] = own - values
    theta = math.fsum(Z[diagonal])
    risk = float((Z**2).sum()) + (0.5 * theta**2 if square else 0.0)
    top = float(np.abs(V).max())
    if a == 0 or top < LOST or not math.isfinite(c):
        return [risk, math.nan, math.nan, trace, multiplier]
    if top < FAINT:
        return [risk, *observe_matrix(V / top, values, square, multiplier)[1:3], trace, multiplier]
    # The part of Z orthogonal to Z*: for a small student from Z, near the teacher from Z - Z*.
    Z[diagonal] = own - b / a * values if b < 0.5 * a else Z[diagonal] - float(Z[diagonal] @ values) / a * values
    geometric = math.sqrt(a * c)
    return [risk, b / geometric, a * float((Z**2).sum()) / (geometric * (geometric + b)), trace, multiplier]
