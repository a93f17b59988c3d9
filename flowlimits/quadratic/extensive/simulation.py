"""Simulation of extensive widths at finite dimension: draws of the stated ensemble, and the exact flow of each.

Teacher and start are rotation invariant with respect to each other, so only one of them needs random vectors: the teacher is taken
diagonal, and the student is drawn in its eigenbasis.  Orthonormal weights of both need the principal angles only, (Q23).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiled.beside import beside
from ...core import checks, results, streams
from ...core.threads import check_threads, run_threads
from ...spectrum.covariance import Covariance
from ...spectrum.spectrum import Spectrum
from ..finite.equations_reduced import OBSERVABLES
from ..finite.limit import check_observables, diagonal_scalars, make_path
from ..finite.reduced_path import Outcome, ReducedPath, Request, Tolerances, padded
from ..finite.simulation import call_of, check_step, descend, gather
from ..finite.start import Flow, Teacher, check_size, orthonormal_rows

if TYPE_CHECKING:
    import xarray as xr

    from .physics import Physics

METHODS = ("flow", "gd")
#: Exponent of one exact step: the matrix that it inverts is well conditioned.
LONGEST = 6.0


def simulate(
    problem: Physics,
    times: Any,
    *,
    dimension: int,
    weights: Any,
    runs: int,
    rng: Any,
    method: str,
    step: float | None,
    observables: Any,
    rtol: float,
    atol: float,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return runs of the flow at finite dimension; see `ExtensiveQuadratic.simulate`."""
    times = checks.times(times)
    d = checks.integer("dimension", dimension, minimum=1)
    count = streams.runs(runs)
    limits = Tolerances(*checks.tolerances(rtol, atol))
    indefinite = problem.indefinite
    if checks.choice("method", method, METHODS) != "flow" and indefinite:
        raise ValueError(
            f'Argument `method` must be "flow" for a teacher with negative eigenvalues, but is "{method}".'
        )
    length = check_step(method, step, d * times)
    names = check_observables(observables)
    own = check_weights(weights, problem, d, count)
    p, k = widths(problem, d) if own is None else (own.shape[-2], teacher_width(problem, d))
    checks.check_elements("dimension", d, float(d) * max(p, k))
    root = streams.root(rng)
    generators = streams.generators(root, count)
    request = Request(eigenvalues="eigenvalues" in names)
    draw = drawer(problem, d, p, k, own)
    target = problem.teacher.eigenvalues(d) if isinstance(problem.teacher, Spectrum) and indefinite else np.empty(0)

    def run(index: int) -> Outcome:
        if indefinite:
            W = own if own is None or own.ndim == 2 else own[index]
            V = starting_factor(problem.start, generators[index], p, d) if W is None else W.T / math.sqrt(p * d)
            return riccati(math.sqrt(d) * V, target, problem.weight_decay, times, request)
        drawn = draw(generators[index], index, length is not None)
        if length is not None:
            assert isinstance(drawn, Flow)
            return descend(drawn, d * times, length, request)
        if isinstance(drawn, Flow):
            return make_path(drawn, "auto", d * float(times[-1]), limits, try_blocks=False).run(2 * d * times, request)
        return drawn(limits).run(2 * d * times, request)

    def assemble(outcomes: list[Outcome]) -> xr.Dataset:
        call = call_of(
            {"dimension": d}, len(outcomes), method, limits, length, own, names if names != OBSERVABLES else None
        )
        ratios = {"realised_student_ratio": p / d, "realised_teacher_ratio": k / d}
        return results.build(
            problem, kind="simulation", times=times, variables=gather(outcomes, names, d * times, length, d), call=call, provenance=cost(outcomes, length),
            run=True, dimension=d, root=root, attrs={"student_width": p, "teacher_width": k} | ratios,
        )  # fmt: skip

    with beside(compiled(problem) if method == "flow" else (), check_threads(threads)):
        return run_threads(run, count, threads=threads, progress=progress, description="runs", assemble=assemble)


def cost(outcomes: list[Outcome], step: float | None) -> dict[str, Any]:
    """Return what the runs cost together."""
    if outcomes[0].report is None and step is None:
        return {"method": "exact steps of a Riccati equation"}
    if step is not None:
        return {"method": "gradient descent", "step": step}
    reports = [outcome.report for outcome in outcomes]
    summed = {name: sum(getattr(report, name) for report in reports) for name in ("steps", "rejected", "evaluations")}
    return {"method": reports[0].method, "seconds_in_runs": sum(report.wall_time for report in reports)} | summed


def riccati(V: np.ndarray, target: np.ndarray, decay: float, times: np.ndarray, request: Request) -> Outcome:
    """Return the flow of V V' = d Z towards diag(target), dV/du = (A - V V') V with u = 4 tau, in exact steps."""
    d = target.size
    if V.shape[1] > d:
        U, s, _ = np.linalg.svd(V, full_matrices=False)
        V = U * s
    rates = target - decay / 4
    longest = LONGEST / max(np.abs(rates).max(), 1e-300)
    observables, eigenvalues, reached = np.zeros((times.size, len(OBSERVABLES))), np.zeros((times.size, d)), 0.0
    for i, time in enumerate(times):
        count = math.ceil((4 * time - reached) / longest)
        for _ in range(count):
            u = (4 * time - reached) / count
            with np.errstate(divide="ignore", invalid="ignore"):
                grown = np.where(rates == 0, 2 * u, np.expm1(2 * u * rates) / rates)
            factor = np.linalg.cholesky(np.eye(V.shape[1]) + V.T @ (grown[:, None] * V))
            V = np.linalg.solve(factor, (np.exp(u * rates)[:, None] * V).T).T
        reached = 4 * time
        risk, *others = overlaps(target, V)
        observables[i] = [risk / d, *others, 0.0]
        eigenvalues[i] = padded(np.linalg.svd(V, compute_uv=False) ** 2 / d, d)
    return Outcome(observables, None, eigenvalues if request.eigenvalues else None)  # type: ignore[arg-type]


def overlaps(teacher: np.ndarray, V: np.ndarray) -> list[float]:
    """Return risk, overlap, misalignment and trace of Zt = V V' against diag(teacher), all per dimension."""
    d = teacher.size
    Z = V @ V.conj().T
    diagonal = Z.diagonal().real
    square = float(teacher @ teacher)
    second = float(np.vdot(Z, Z).real)
    cross = float(diagonal @ teacher)
    E = -Z
    E[np.arange(d), np.arange(d)] += teacher
    risk = float(np.vdot(E, E).real)
    root = math.sqrt(second * square)
    if root == 0:
        return [risk / d, math.nan, math.nan, 0.0]
    # 1 - overlap as a sum of squares.
    unit = Z / math.sqrt(second)
    unit[np.arange(d), np.arange(d)] -= teacher / math.sqrt(square)
    return [risk / d, cross / root, 0.5 * float(np.vdot(unit, unit).real), float(diagonal.sum()) / d]


def teacher_width(problem: Physics, d: int) -> int:
    """Return the number of units of the teacher in dimension d."""
    if problem.covariance is not None:
        groups = problem._realised_groups(d)[0]
        return int(groups.multiplicities(d)[groups.eigenvalues > 0].sum())
    return problem._law.width(d)


def widths(problem: Physics, d: int) -> tuple[int, int]:
    """Return the widths (p, k) that realise the ratios in dimension d.

    Raises
    ------
    ValueError
        If one of them would be zero.
    """
    p = round(problem.student_ratio * d)
    if p < 1:
        raise ValueError(
            f"Argument `dimension` must be at least {math.floor(0.5 / problem.student_ratio) + 1} to realise the student_ratio "
            f"{problem.student_ratio:g}, but is {d}."
        )
    return p, teacher_width(problem, d)


def check_weights(weights: Any, problem: Physics, d: int, runs: int) -> np.ndarray | None:
    """Return own starting weights, shape (p, d) or (runs, p, d)."""
    if weights is None:
        return None
    checked = checks.starting_weights(weights, runs, "p", d)
    return check_size("weights", checked)


def drawer(
    problem: Physics, d: int, p: int, k: int, own: np.ndarray | None
) -> Callable[[np.random.Generator, int, bool], Flow | Callable[[Tolerances], ReducedPath]]:
    """Return the function that draws one run: a flow, or directly its scalars where they suffice."""
    square, decay = problem.activation == "square", problem.weight_decay / d  # from the clock tau to t
    if problem.covariance is not None:
        structured = structured_flow(problem, d, square, decay)
        return lambda rng, index, need_weights: structured if own is None else replace(
            structured, V0=(own if own.ndim == 2 else own[index]).T / math.sqrt(p * d)
        )  # fmt: skip
    gaussian_teacher = problem._law.kind == "marchenko_pastur"
    fixed = None if gaussian_teacher else diagonal_teacher(problem._law.eigenvalues(d) / d)

    def teacher(rng: np.random.Generator) -> Teacher:
        if fixed is not None:
            return fixed
        W_star = rng.standard_normal((k, d)) * math.sqrt(problem._law.scale)
        return diagonal_teacher(np.linalg.svd(W_star, compute_uv=False) ** 2 / (k * d), d)

    def draw(rng: np.random.Generator, index: int, need_weights: bool) -> Flow | Callable[[Tolerances], ReducedPath]:
        drawn = teacher(rng)
        if own is not None:
            W = own if own.ndim == 2 else own[index]
            vectors = orthonormal_rows(rng, drawn.values.size, d).T / math.sqrt(d)
            return Flow(W.T / math.sqrt(p * d), Teacher(drawn.values, vectors, d), square, decay)
        angles = problem.start == "orthonormal" and problem._law.kind == "orthonormal" and p <= d and not need_weights
        if angles:
            system = principal_angles(rng, drawn, p, square, decay / 2)
            return lambda limits: ReducedPath(system, drawn, limits)
        return Flow(starting_factor(problem.start, rng, p, d), drawn, square, decay)

    return draw


def structured_flow(problem: Physics, d: int, square: bool, decay: float) -> Flow:
    """Return the flow of inputs with a covariance, in the eigenbasis that it shares with the teacher."""
    teacher, covariance = problem._realised_groups(d)
    sizes, z = covariance.multiplicities(d), problem._isotropic_start()
    values = np.repeat(teacher.eigenvalues, sizes) / d
    assert z is not None
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 0]
    basis = np.eye(d)
    seen = Teacher(values[order], basis[:, order], d)
    V_star = basis[:, order] * np.sqrt(seen.values)
    return Flow(math.sqrt(z / d) * basis, seen, square, decay, Covariance(covariance, sizes), V_star)


def diagonal_teacher(values: np.ndarray, dimension: int | None = None) -> Teacher:
    """Return the teacher with these eigenvalues of Z* on the first coordinates, zero on the others."""
    d = values.size if dimension is None else dimension
    positive = np.sort(values[values > 1e-14 * values.max(initial=0.0)])[::-1]
    return Teacher(positive, None, d)


def principal_angles(rng: np.random.Generator, teacher: Teacher, p: int, square: bool, decay: float):
    """Return the scalars of a Haar student against an orthonormal teacher, from the singular values of one block, (Q23)."""
    d, k = teacher.dimension, teacher.values.size
    # The angles are those of a random frame of the smaller width with fixed coordinates of the larger.
    frame = orthonormal_rows(rng, min(p, k), d) / math.sqrt(d)
    cosines = np.clip(np.linalg.svd(frame[:, : max(p, k)], compute_uv=False), 0.0, 1.0) ** 2
    a = np.ones(p)
    a[: cosines.size] = 1 - cosines
    # More directions than fit outside the teacher's space: these lie inside exactly.
    a[: max(p + k - d, 0)] = 0.0
    return diagonal_scalars(teacher, 1 / p, cosines / p, a / p, square=square, decay=decay)


def starting_factor(start: str | Spectrum, rng: np.random.Generator, p: int, d: int) -> np.ndarray:
    """Return V0, shape (d, p): W^T / sqrt(p d) of a draw of the start."""
    if isinstance(start, Spectrum):
        if start.kind == "marchenko_pastur":
            width = start.width(d)
            return rng.standard_normal((d, width)) * math.sqrt(start.scale / (width * d))
        values = start.eigenvalues(d)
        values = values[values > 0]
        return orthonormal_rows(rng, values.size, d).T * np.sqrt(values) / d
    if start == "orthonormal":
        return orthonormal_rows(rng, p, d).T / math.sqrt(p * d)
    return rng.standard_normal((d, p)) / math.sqrt(p * d)


def compiled(problem: Physics) -> tuple[Any, ...]:
    """Return the compiled functions that runs of the flow by its scalars need, in the order in which they are needed."""
    if problem.covariance is not None or problem.indefinite:
        return ()
    from ...ode.implicit import jacobian, loop
    from ..finite import equations_blocks, equations_general

    orthonormal = problem.start == "orthonormal" and problem._law.kind == "orthonormal" and problem.student_ratio <= 1
    equations: Any = equations_blocks if orthonormal else equations_general
    systems = (
        jacobian.factor_structured,
        jacobian.solve_structured,
        jacobian.factor_structured_complex,
        jacobian.solve_structured_complex,
    )
    return equations.flow, equations.jacobian, *systems, loop.advance, equations.observe
