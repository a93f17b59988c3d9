"""The two ways to compute the exact quadratic flow, behind one door: `run` at given times, `restart` from one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ..ode.driver import Integration, Jacobian
from ..ode.solution import Report, Status, message_of
from . import flow_reduced as layout
from .flow_march import ADVICE
from .flow_matrix import integrate_matrix
from .flow_reduced import OBSERVABLES
from .flow_start import Scalars, Split, Teacher, scalars

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
    """The flow by scalars, `flow_reduced`.

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
        """Return the observables at the times `s` (clock s = 2 t)."""
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
            return closed_states(self.system, s), _instant(s[-1])
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
        exponent = -2 * (self.states[:, 0] + params[layout.DECAY] * s) - self.states[:, 1]
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
        from . import flow_blocks_equations

        return flow_blocks_equations
    from . import flow_dense_equations

    return flow_dense_equations


class MatrixPath:
    """The flow of V in the teacher's eigenbasis, `flow_matrix`."""

    name = "matrix"

    def __init__(self, start: Split, *, square: bool, decay: float, limits: Tolerances):
        self.split, self.square, self.decay, self.limits = start, square, decay, limits
        self.V = np.vstack([start.C, start.R])
        self.values = np.zeros(self.V.shape[0])
        self.values[: start.teacher.values.size] = start.teacher.values
        self.begin = self.multiplier = 0.0

    def restart(self, s: float, i: int) -> MatrixPath:
        """Return the path that continues from the requested time `s`; i = -1 is the start."""
        path = MatrixPath(self.split, square=self.square, decay=self.decay, limits=self.limits)
        if i < 0 or s == 0:
            return path

        def keep(_: int, V: np.ndarray, multiplier: float) -> None:
            path.V, path.multiplier = V.copy(), multiplier

        path._march(np.array([s]), keep)
        path.begin = s
        return path

    def _march(self, s, visit) -> Report:
        # A small start keeps its digits while it grows.
        sizes = [size for size in (math.sqrt(self.values.max(initial=0.0)), float(np.abs(self.V).max())) if size > 0]
        return integrate_matrix(
            self.V, self.values, self.split.teacher.trace, s - self.begin, square=self.square, decay=self.decay,
            rtol=self.limits.rtol, atol=1e-2 * self.limits.atol * min(sizes, default=1.0),
            max_steps=self.limits.max_steps, progress=self.limits.progress, visit=visit,
        )  # fmt: skip

    def run(self, s: np.ndarray, request: Request) -> Outcome:
        """Return the observables at the times `s` (clock s = 2 t)."""
        values = np.empty((s.size, len(OBSERVABLES)))
        eigenvalues: list[np.ndarray] = []
        matrices: list[np.ndarray] = []
        basis = self._basis() if request.matrices else None

        def visit(i: int, V: np.ndarray, multiplier: float) -> None:
            values[i] = observe_matrix(V, self.values, self.square, self.multiplier + multiplier)
            if request.eigenvalues:
                eigenvalues.append(padded(np.linalg.svd(V, compute_uv=False) ** 2, self.split.teacher.dimension))
            if basis is not None:
                full = basis @ V
                matrices.append(full @ full.T)

        report = self._march(s, visit)
        return Outcome(
            values, report, np.array(eigenvalues) if request.eigenvalues else None,
            np.array(matrices) if request.matrices else None,
        )  # fmt: skip

    def _basis(self) -> np.ndarray:
        teacher, R, outside = self.split.teacher, self.split.R, self.split.outside
        if teacher.vectors is None or outside is None:
            raise ValueError("This start does not keep its part outside the teacher's space.")
        return np.hstack([teacher.vectors, outside @ np.linalg.pinv(R, rcond=1e-14) if R.size else np.zeros((len(outside), 0))])


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
    if a == 0 or c == 0:
        return [risk, math.nan, math.nan, trace, multiplier]
    # The part of Z orthogonal to Z*: for a small student from Z, near the teacher from Z - Z*.
    Z[diagonal] = own - b / a * values if b < 0.5 * a else Z[diagonal] - float(Z[diagonal] @ values) / a * values
    geometric = math.sqrt(a * c)
    return [risk, b / geometric, a * float((Z**2).sum()) / (geometric * (geometric + b)), trace, multiplier]


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
    states[:, 1] = -math.log(4) - _log_h(-2 * decay, unit, s)
    for k in range(q):
        rate = 4 * l[k] - 2 * decay
        if params[layout.LOGARITHMIC] == 1:
            states[:, 2 + k] = -math.log(4) - _log_h(rate, unit, s)
        elif rate > 0:
            ratio = (rate * unit - 1) * np.exp(-rate * s)
            states[:, 2 + k] = (1 + s / unit) * -l[k] * ratio / (1 + ratio)
        else:
            states[:, 2 + k] = (1 + s / unit) / (4 * (unit + s))
    return states


def _log_h(rate: float, start: float, s: np.ndarray) -> np.ndarray:
    """Return log h for h' = 1 - rate h, h(0) = start."""
    x = np.abs(rate) * s
    with np.errstate(divide="ignore"):
        grown = np.log(s) if rate == 0 else np.log(-np.expm1(-x)) - math.log(abs(rate))
    if rate < 0:
        return x + np.logaddexp(math.log(start), grown)
    return np.logaddexp(math.log(start) - x, grown)


def _instant(reached: float) -> Report:
    return Report(
        status=Status.SUCCESS, method="closed form", switches=((0.0, "closed form"),), steps=0, rejected=0, evaluations=0,
        jacobians=0, factorisations=0, reached=float(reached), wall_time=0.0, rtol=0.0, atol=0.0, event_times=np.zeros(0),
        crossings=(), event_states=(), message=message_of(Status.SUCCESS, float(reached), None),
    )  # fmt: skip
