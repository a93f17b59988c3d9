"""The limit chooses the method by its cost and puts the flow behind the door of `core.solve`."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core import checks
from ...core.problem import Problem
from ...core.solve import Options, Path
from ...core.threads import Unfinished
from ...ode.report import message_of
from ..commuting import CommutingPath
from .equations_reduced import OBSERVABLES
from .matrix_path import FADING, LARGE, IsotropicForm, MatrixPath, form_of
from .reduced_path import ADVICE, ReducedPath, Request, Tolerances
from .start import BLIND, Flow, Scalars, Split, Teacher, choose_offset, initial, pack, scalars, split
from .start_rows import groups_of


def diagonal_scalars(
    teacher: Teacher, level: float, c: np.ndarray, a: np.ndarray, *, square: bool, decay: float
) -> Scalars:
    r"""Return the scalar system of a start whose rows and complement decouple, (Q23).

    Either all nonzero eigenvalues of Z* are equal and :math:`V_0^\top V_0 = v I` (principal angles), or :math:`V_0 V_0^\top = v I`.

    Parameters
    ----------
    level : float
        v.
    c : ndarray, shape (r,)
        Squared overlap of column j with teacher direction j; beyond the columns there is none.
    a : ndarray, shape (m,)
        Squared part of column j outside the teacher's space.
    """
    r, m = c.size, a.size
    offset = choose_offset(level * m, teacher)
    gain = 1 / (1 - 4 * offset * level)
    kept = c > BLIND**2 * level * m
    starts = groups_of(teacher.values)
    values = np.array([teacher.values[i:j].mean() for i, j in starts])
    group = np.repeat(np.arange(len(starts)), [j - i for i, j in starts])
    # Columns that meet a row come first.
    order = np.concatenate([np.flatnonzero(kept), np.setdiff1d(np.arange(m), np.flatnonzero(kept))])
    lost = values[group[: teacher.values.size]].sum() - values[group[:r][kept]].sum()
    lost_squares = (values[group] ** 2).sum() - (values[group[:r][kept]] ** 2).sum()
    if kept.all() and r == teacher.values.size:
        lost = lost_squares = 0.0
    params = pack(
        teacher, values, group[:r][kept], np.log(c[kept] * gain), np.sqrt(a[order] * gain), c=np.zeros(0),
        T=np.zeros((0, 0)), square=square, decay=decay, unseen=(lost, lost_squares), unit=offset, diagonal=True,
    )  # fmt: skip
    return Scalars(params, initial(values, offset, decay))


def decouple(V0: np.ndarray, teacher: Teacher, *, square: bool, decay: float) -> Scalars | None:
    """Return the scalar system of a start that decouples into blocks of rank one, or None if it does not."""
    d, p = V0.shape
    level = float((V0**2).sum()) / min(d, p)
    rows, columns = is_scaled_identity(V0.T, level), is_scaled_identity(V0, level)
    if level == 0 or not (rows or columns):
        return None
    r = teacher.values.size
    if rows:
        a = np.where(np.arange(d) < r, 0.0, level)
        return diagonal_scalars(teacher, level, np.full(r, level), a, square=square, decay=decay)
    if len(groups_of(teacher.values)) > 1 or teacher.vectors is None:
        return None
    _, singular, right = np.linalg.svd(teacher.vectors.T @ V0)
    outside = V0 - teacher.vectors @ (teacher.vectors.T @ V0)
    a = ((outside @ right.T) ** 2).sum(axis=0)
    a[: max(p - (d - r), 0)] = 0.0
    return diagonal_scalars(teacher, level, singular**2, a, square=square, decay=decay)


def is_scaled_identity(V: np.ndarray, level: float) -> bool:
    """Whether the columns of V are orthogonal and of equal length, up to round-off."""
    d, p = V.shape
    if p > d or np.abs((V**2).sum(axis=0) - level).max() > 1e-13 * level:
        return False
    gram = V.T @ V
    gram[np.diag_indices(p)] -= level
    return bool(np.abs(gram).max() <= 1e-13 * level)


METHODS = ("auto", "reduced", "matrix")
#: 8 (largest eigenvalue) (last time) beyond which the risk may be too small for the matrix form.
LATE = 10.0
#: Points between which events are looked for, besides the requested times.
EVENT_GRID = 400


UNDEFINED = "overlap and misalignment are NaN where the student is zero, or too small for floating-point numbers"


def choose_method(flow: Flow, last: float) -> str:
    """Return "reduced" or "matrix", whichever should cost less to the time `last` on the clock t.

    The constants were measured: operations per second of the compiled loops of both forms, of NumPy's products and
    decompositions; evaluations by the implicit method of the reduced form, which hardly depend on the last time, and by
    the explicit one of the matrix form, whose steps are limited by stability.
    """
    d, p = flow.V0.shape
    m, r = min(d, p), flow.teacher.values.size
    rows, rank = r + min(d - r, m), min(m, r)
    stiffness = 8 * flow.teacher.values.max(initial=0.0) * last
    if stiffness > LATE or 2 * flow.decay * last > FADING:
        return "reduced"
    evaluations = 350 + 150 * math.log10(1 + stiffness) if flow.square else 0
    once = 1e-3 + (20.0 * m**3 + 4.0 * d * m * m) / 1e10
    reduced = once + evaluations * (2e-6 + (2.0 * rank * rank * (rank + m) + 200.0 * (m + r)) / 1e10)
    products = 4.0 * rows * m * m
    speed, other = (5e9, 5e-7) if products < LARGE else (2e10, 2e-5 + 60.0 * rows * m / 1e10)
    matrix = 2e-4 + 12 * (60 + stiffness / 2) * (products / speed + other)
    return "reduced" if reduced <= matrix else "matrix"


def make_path(
    flow: Flow, method: str, last: float, limits: Tolerances, *, keep_basis: bool = False, try_blocks: bool = True
) -> ReducedPath | MatrixPath:
    """Return the path of the chosen method; `last` is the last time on the clock t."""
    if flow.covariance is not None:
        return MatrixPath(form_of(flow), limits)
    blocks: Scalars | None = None
    if method != "matrix" and not keep_basis and try_blocks:
        blocks = decouple(flow.V0, flow.teacher, square=flow.square, decay=flow.decay)
        if blocks is not None:
            return ReducedPath(blocks, flow.teacher, limits)
    start: Split = split(flow.V0, flow.teacher)
    chosen = choose_method(flow, last) if method == "auto" else method
    if chosen == "matrix":
        return MatrixPath(IsotropicForm(start, flow.square, flow.decay), limits)
    system = scalars(start, square=flow.square, decay=flow.decay, keep_basis=keep_basis)
    if system.blurred:
        if method == "auto":
            return MatrixPath(IsotropicForm(start, flow.square, flow.decay), limits)
        checks.warn(
            'The reduced form drops a direction of the start that is smaller than others by ten digits, and which may grow; method="matrix" keeps it.'
        )
    return ReducedPath(system, flow.teacher, limits, start)


def check_observables(observables: Any) -> tuple[str, ...]:
    """Return the names of the variables to return; `risk` is always among them."""
    if observables is None:
        return OBSERVABLES
    listed = checks.items("observables", observables, str)
    for name in listed:
        checks.choice("observables", name, (*OBSERVABLES, "eigenvalues"))
    return tuple(name for name in (*OBSERVABLES, "eigenvalues") if name in ("risk", *listed))


def tolerances(problem: Problem, method: str) -> None:
    """Tolerances have to be numbers."""


def observables(problem: Problem, given: Any) -> tuple[str, ...]:
    """Return the names of the variables to return."""
    return check_observables(given)


def event_variables(problem: Problem) -> Sequence[str]:
    """Return the variables that events may name."""
    return OBSERVABLES


def call(problem: Problem, options: Options, times: np.ndarray) -> dict[str, Any]:
    """Return the arguments that repeat the call."""
    found: dict[str, Any] = {"verb": "solve", "rtol": options.rtol, "atol": options.atol, "method": options.method}
    found |= {"max_steps": options.max_steps, "keep_state": options.keep_state}
    if options.observables != OBSERVABLES:
        found["observables"] = list(options.observables)
    if options.events:
        found |= {"events": list(options.events), "times": times}
    return found


def path(problem: Any, options: Options, last: float) -> FlowPath:
    """Return the path of the problem to the time `last`."""
    checks.choice("method", options.method, METHODS)
    flow = problem._flow()
    if flow.covariance is not None and options.method == "reduced":
        raise ValueError(
            'Argument `method` must be "auto" or "matrix" for inputs with a covariance: no reduction to scalars is known for them.'
        )
    limits = Tolerances(options.rtol, options.atol, options.max_steps, options.progress)
    engine = make_path(flow, options.method, last, limits, keep_basis=options.keep_state)
    return FlowPath(engine, options, problem.dimension if problem.kind == "exact" else None)


class FlowPath(Path):
    """The flow on the clock t, by either of the paths on the clock s = 2 t."""

    def __init__(self, engine: ReducedPath | MatrixPath | CommutingPath, options: Options, dimension: int | None):
        self.engine, self.options, self.dimension = engine, options, dimension
        self.request = Request("eigenvalues" in options.observables, options.keep_state)
        self.times = np.empty(0)
        self.outcome: Any = None

    def run(self, times: np.ndarray) -> None:
        self.times, self.outcome = times[:0], None
        if not times.size:
            return
        try:
            # Weights beyond 1e75 overflow in the risk; the integrator then says so.
            with np.errstate(over="ignore", invalid="ignore"):
                self.outcome = self.engine.run(2 * times, self.request)
        except Unfinished as error:
            self.times, self.outcome = times[: len(error.times)], self.engine.finished
            raise
        self.times = times

    def restart(self, i: int) -> FlowPath:
        later = copy.copy(self)
        later.request = Request()
        later.begin = float(self.times[i]) if i >= 0 else 0.0
        later.engine = self.engine.restart(2 * later.begin, i)
        return later

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return self.outcome.variables()

    def keep(self, count: int) -> None:
        self.times, self.outcome = self.times[:count], self.outcome.first(count)

    def watched(self, times: np.ndarray) -> FlowPath:
        """Look for events between all requested times, the start and, as scalars are cheap, a grid between distant times."""
        last = float(times[-1])
        grid = np.append(0.0, times[times > 0])
        if not isinstance(self.engine, MatrixPath) and last > 0:
            grid = np.unique(np.concatenate([grid, np.geomspace(1e-6 * last, last, EVENT_GRID)]))
        seen = self.restart(-1)
        seen.run(grid)
        return seen

    def contents(self) -> dict[str, Any]:
        known = self.outcome.variables()
        variables = {name: known[name] for name in OBSERVABLES if name in self.options.observables}
        if self.outcome.eigenvalues is not None:
            variables["eigenvalues"] = self.outcome.eigenvalues
        if self.outcome.matrices is not None:
            variables["Z"] = self.outcome.matrices
        found = {"variables": variables, "dimension": self.dimension}
        if np.isnan(known["overlap"]).any():
            found["attrs"] = {"note": UNDEFINED}
        return found

    def provenance(self, seconds: float) -> dict[str, Any]:
        report = self.outcome.report
        return on_clock(report.provenance()) | {"method": f"{self.engine.name}, {report.method}"}

    def failed(self, error: Unfinished) -> Unfinished:
        """Return the error with its time on the problem's clock."""
        report = error.report
        reached = report.reached / 2
        advice = self.engine.form.advice if isinstance(self.engine, MatrixPath) else ADVICE
        told = replace(report, message=message_of(report.status, reached, advice), reached=reached)
        return type(error)(told.message, error.times / 2, error.states, told)


def on_clock(details: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of an integration on the clock s = 2 t with its times on the clock t."""
    details["reached"] /= 2
    details["switches"] = [[time / 2, name] for time, name in details["switches"]]
    details["message"] = f"Integration reached t={details['reached']:.6g}."
    del details["event_times"]
    return details
