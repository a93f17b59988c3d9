"""From a problem of extensive widths to arrays, through the compiled steps: nodes, constants, failures."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks
from ...spectrum import marchenko_pastur
from ...spectrum.spectrum import Spectrum
from . import steps, subordination
from .collocation import radau_tables
from .quadrature import Panels, critical_angle, refined_panels

if TYPE_CHECKING:
    from ...core.threads import Unfinished
    from ...ode.report import Report, Status
    from .physics import Physics

#: The steps are taken at a tenth of the tolerance: measured errors of risk and misalignment are then far below it.
SHARPENING = 0.1
#: Below this the steps would follow round-off.
SHARPEST = 1e-11
#: Ratios closer than this count as equal: their difference is round-off.
EQUAL = 1e-14
#: The panels of a continuous teacher are halved at most so often.
HALVINGS = 3


@dataclass
class Teacher:
    """Nodes of the teacher with mean one, and the constants of the subordination equation.

    The panels of a refined teacher hold its positive nodes, after that at zero if there is one.
    """

    z: np.ndarray
    q: np.ndarray
    low: np.ndarray
    delta: float
    reference: float
    panels: Panels | None = None


@dataclass
class Start:
    """Law of the start scaled to mean one, its mean, its rank per dimension and its relative variance.

    A start proportional to the identity has no nodes.
    """

    gaussian: bool
    rank: float
    ell: np.ndarray
    nu: np.ndarray
    mean: float
    variance: float


@dataclass
class Solution:
    """Rows of observables (columns of `subordination`) at positive times gamma, and how they were computed."""

    rows: np.ndarray
    kept: np.ndarray
    teacher: Teacher
    start: Start
    provenance: dict[str, Any]

    def reached(self) -> int:
        """Return how many times were reached."""
        return (
            int(np.isfinite(self.rows[:, subordination.RISK]).sum())
            if self.provenance.get("status", 0)
            else len(self.rows)
        )

    def first(self, count: int) -> Solution:
        """Return the first `count` times only."""
        return self if count == len(self.rows) else replace(self, rows=self.rows[:count], kept=self.kept[:count])


def start_of(problem: Physics) -> Start:
    """Return the start: Gaussian ones through their equation (Q14), all others through positive nodes."""
    ratio, start = problem.student_ratio, problem.start
    nothing = np.zeros(0)
    if start == "gaussian":
        return Start(True, ratio, nothing, nothing, 1.0, 1 / ratio)
    if isinstance(start, Spectrum):
        if start.kind == "marchenko_pastur" and start.refine:
            return Start(True, float(start.ratio or 1.0), nothing, nothing, start.scale, 1 / float(start.ratio or 1.0))
        if start.nodes.size == 1:
            return Start(False, 1.0, nothing, nothing, start.mean, 0.0)
        positive = start.nodes > 0
        ell, nu = start.nodes[positive] / start.mean, start.weights[positive]
        rank = 1.0 if start.zero_weight == 0 else start.rank
        return Start(False, rank, ell.copy(), nu.copy(), start.mean, max(math.fsum(nu * ell**2) - 1, 0.0))
    if ratio >= 1:
        return Start(False, 1.0, nothing, nothing, 1.0, 0.0)
    rank = ratio
    return Start(False, rank, np.array([1 / rank]), np.array([rank]), 1.0, 1 / rank - 1)


def teacher_of(
    teacher: Spectrum, start: Start, threshold: float, gamma: float, tolerance: float, halvings: int
) -> Teacher:
    """Return the teacher's nodes, refined where the spectrum allows it, for solutions up to `gamma`."""
    student_rank = min(start.rank, 1.0)
    panels = None
    if teacher.refine:
        panels = refined_panels(teacher, student_rank, threshold, gamma, tolerance, halvings)
        z, q = panels.nodes()
        if teacher.zero_weight > 0:
            z, q = np.append(0.0, z), np.append(teacher.zero_weight, q)
    else:
        z, q = teacher.nodes.copy(), teacher.weights.copy()
    if not teacher.indefinite:
        z = z / math.fsum(q * z)

    # An eigenvalue too small to act until the last time counts as zero.
    low = 4 * z * gamma < 0.1
    high_weight = teacher.rank if np.array_equal(low, z == 0) else math.fsum(q[~low])
    delta = start.rank - high_weight
    reference = 0.0
    if student_rank < high_weight - EQUAL:
        angle = critical_angle(float(teacher.ratio or 1.0), student_rank) if teacher.refine else 0.0
        if angle > 0:
            reference = (
                float(marchenko_pastur.in_angle(float(teacher.ratio or 1.0), np.array([angle]))[0][0]) * teacher.scale
            )
        else:
            above = np.cumsum(q[::-1])[::-1]
            reference = float(z[np.flatnonzero(above >= student_rank * (1 - 1e-12))[-1]])
    return Teacher(z, q, low, 0.0 if abs(delta) < EQUAL else delta, reference, panels)


def accuracy_of(rtol: float) -> float:
    """Return the accuracy asked of the nodes of a continuous teacher."""
    return max(1e-2 * rtol, 1e-13)


def tolerance_of(rtol: float) -> float:
    """Return the tolerance of the steps."""
    return min(max(SHARPENING * rtol, SHARPEST), 1e-4)


def first_velocity(start: Start, teacher: Teacher) -> tuple[float, float]:
    """Return the velocity of the multiplier at 0+, and the sum of the absolute values of its terms."""
    return -2 * start.variance, 2 * math.fsum(teacher.q * np.abs(teacher.z - 1)) + 2 * start.variance


def integrate(
    problem: Physics,
    gammas: np.ndarray,
    rtol: float,
    max_steps: int,
    keep: bool,
    teacher: Teacher | None = None,
) -> Solution:
    """Solve at positive times `gammas` (on the clock gamma = 2 tau); a continuous teacher is refined to `rtol`.

    The quadrature error is measured by a second solution with three nodes fewer on each panel, unless the nodes are
    given by `teacher`; panels are halved until it is below the tolerance.
    """
    began = time.perf_counter()
    asked = accuracy_of(rtol)
    options = (gammas, rtol, max_steps)
    solution = _integrate(problem, *options, keep, asked, 0, teacher)
    if problem._law.refine and gammas.size and teacher is None and solution.provenance.get("status", 0) == 0:
        error = _difference(_integrate(problem, *options, False, 1e3 * asked, 0, None).rows, solution.rows)
        for halvings in range(1, HALVINGS + 1):
            if error <= rtol:
                break
            finer = _integrate(problem, *options, keep, asked, halvings, None)
            error, solution = _difference(solution.rows, finer.rows), finer
        solution.provenance["quadrature_error"] = error
        if error > 10 * rtol:
            checks.warn(
                f"The nodes of the teacher resolve risk and misalignment to {error:.1e}, and rtol={rtol:g} was asked."
            )
    solution.provenance["wall_time"] = time.perf_counter() - began
    return solution


def _difference(rows: np.ndarray, others: np.ndarray) -> float:
    columns = [subordination.RISK, subordination.MISALIGNMENT]
    size = np.maximum(np.abs(others[:, columns]), steps.FLOOR)
    with np.errstate(invalid="ignore"):
        return float(np.nanmax(np.abs(rows[:, columns] - others[:, columns]) / size, initial=0.0))


def _integrate(
    problem: Physics,
    gammas: np.ndarray,
    rtol: float,
    max_steps: int,
    keep: bool,
    accuracy: float,
    halvings: int,
    teacher: Teacher | None,
) -> Solution:
    start = start_of(problem)
    if teacher is None:
        threshold = problem.weight_decay / 4 if problem.activation == "centred" else 0.0
        last = float(gammas[-1]) if gammas.size else 1.0
        teacher = teacher_of(problem._law, start, threshold, last, accuracy, halvings)
    rows = np.full((gammas.size, subordination.COLUMNS), np.nan)
    kept = np.full((gammas.size, 2, teacher.z.size if keep else 0), np.nan)
    common: tuple[Any, ...] = (teacher.z, teacher.q, teacher.low, teacher.delta, teacher.reference)
    common += (start.gaussian, start.rank, start.ell, start.nu)
    provenance: dict[str, Any] = {"rtol": rtol, "nodes": teacher.z.size}
    solution = Solution(rows, kept, teacher, start, provenance)
    if problem.activation == "centred":
        provenance["method"] = "explicit"
        provenance["evaluations"] = 0
        if gammas.size:
            provenance["evaluations"] = subordination.evaluate(
                gammas, *common, math.log(start.mean), problem.weight_decay, rows, kept
            )
        return solution
    tolerance = tolerance_of(rtol)
    rate, size = first_velocity(start, teacher)
    status, taken, rejected, evaluations = steps.advance(
        gammas, *common, *radau_tables(), tolerance, max_steps, rate, size, rows, kept
    )
    provenance.update(method="collocation", steps=taken, rejected=rejected, evaluations=evaluations)
    provenance["status"] = status
    return solution


def failure(times: np.ndarray, solution: Solution) -> Unfinished:
    """Return the error of a solution that stopped early, after the requested `times`."""
    from ...ode.report import IntegrationError, Status

    out_of_steps = solution.provenance["status"] == steps.TOO_MANY_STEPS
    report = _report(times, solution, Status.TOO_MANY_STEPS if out_of_steps else Status.STEP_TOO_SMALL)
    return IntegrationError(report.message, times, solution.rows[: times.size], report)


def interruption(times: np.ndarray, solution: Solution) -> Unfinished:
    """Return the error of a solution whose spectra Ctrl-C ended after the requested `times`."""
    from ...ode.report import IntegrationInterrupted, Status

    report = _report(times, solution, Status.INTERRUPTED)
    return IntegrationInterrupted(report.message, times, solution.rows, report)


def _report(times: np.ndarray, solution: Solution, reason: Status) -> Report:
    from ...ode.report import Report, Status, message_of

    reached = float(times[-1]) if times.size else 0.0
    advice = {Status.TOO_MANY_STEPS: "Raise `max_steps` or loosen `rtol`.", Status.STEP_TOO_SMALL: "Loosen `rtol`."}
    details = solution.provenance
    evaluations = details["evaluations"]
    return Report(
        status=reason, method=str(details["method"]), switches=(), steps=details.get("steps", 0), rejected=details.get("rejected", 0),
        evaluations=evaluations, jacobians=evaluations, factorisations=evaluations, reached=reached, wall_time=details["wall_time"],
        rtol=details["rtol"], atol=0.0, event_times=np.empty(0), crossings=(), event_states=(),
        message=message_of(reason, reached, advice),
    )  # fmt: skip
