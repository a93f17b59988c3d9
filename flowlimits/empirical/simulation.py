"""Simulation of the flow on samples at finite dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.threads import check_threads, run_threads
from ..ode.stabilised import Counts, Stabilised
from ..quadratic.extensive.simulation import overlaps
from .data import KINDS, Data, Inputs, Sizes, Surrogate, check_memory, check_weights, start_of
from .limit import population_problem
from .physics import NO_CLOCK, EmpiricalPhysics

if TYPE_CHECKING:
    import xarray as xr

OBSERVABLES = ("risk", "train_risk", "in_sample_risk", "overlap", "misalignment", "trace")


@dataclass(frozen=True)
class Settings:
    """What a run is asked for."""

    times: np.ndarray | None
    data: str
    rtol: float
    tolerance: float
    eigenvalues: bool
    most: int


@dataclass(frozen=True)
class Outcome:
    """What a run returns: observables by time, eigenvalues, the times reached, and the cost."""

    observables: np.ndarray
    eigenvalues: np.ndarray | None
    ended: float
    counts: Counts


def simulate(
    physics: EmpiricalPhysics,
    times: Any,
    *,
    dimension: Any,
    runs: Any,
    rng: Any,
    data: str,
    end: Any,
    weights: Any,
    observables: Any,
    rtol: float,
    gradient_tolerance: float,
    max_evaluations: int,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return the result of `EmpiricalQuadratic.simulate`."""
    checks.choice("data", data, KINDS)
    until_end = checks.boolean("end", end)
    if until_end == (times is not None):
        raise ValueError(
            "Argument `times` is missing: give times, or end=True for the end of the flow."
            if times is None
            else "Argument `end` must be False where `times` are given: the end of the flow has no time."
        )
    grid = None if until_end else checks.times(times)
    d = checks.integer("dimension", dimension, minimum=1)
    count = streams.runs(runs)
    names = _names(observables)
    if physics.infinite:
        return _infinite(physics, grid, d, count, rng, threads, progress)
    sizes = Sizes.of(physics, d, data)
    settings = Settings(
        grid,
        data,
        checks.number("rtol", rtol, positive=True),
        checks.number("gradient_tolerance", gradient_tolerance, positive=True),
        "eigenvalues" in names,
        checks.integer("max_evaluations", max_evaluations, minimum=1),
    )
    check_memory(sizes, data, min(check_threads(threads), count))
    own = check_weights(weights, sizes, count, data)
    teacher = physics.teacher.eigenvalues(d)
    root = streams.root(rng)
    generators = streams.generators(root, count)

    def run(index: int) -> Outcome:
        W = None if own is None else (own if own.ndim == 2 else own[index])
        return run_flow(physics, sizes, teacher, generators[index], settings, W)

    def assemble(outcomes: list[Outcome]) -> xr.Dataset:
        return build(physics, sizes, outcomes, settings, names, own, root)

    return run_threads(run, count, threads=threads, progress=progress, description="runs", assemble=assemble)


def run_flow(
    physics: EmpiricalPhysics,
    sizes: Sizes,
    teacher: np.ndarray,
    rng: np.random.Generator,
    settings: Settings,
    W: np.ndarray | None,
) -> Outcome:
    """Return one run of the flow (E2)."""
    d, n = sizes.d, sizes.n
    hermitian = settings.data == "hermitian"
    centred = physics.activation == "centred"
    source: Data
    noise = rng.standard_normal(n)
    noise *= math.sqrt(physics.noise * n / float(noise @ noise))
    V = start_of(physics.start, rng, d, sizes.p, hermitian) if W is None else W.T / math.sqrt(W.shape[0])
    if settings.data == "inputs":
        source = Inputs(rng, n, d, centred)
    else:
        source = Surrogate(rng, n, d, centred, hermitian, min(1e-8, 1e-4 * settings.rtol))
    decay = physics.weight_decay if isinstance(physics.weight_decay, float) else 0.0
    rate = 2 * d / n

    def velocity(_: float, V: np.ndarray) -> np.ndarray:
        pulled = source.pull(source.errors(teacher, V) + noise, V)
        pulled *= rate
        pulled -= decay * V
        return pulled

    def observe(V: np.ndarray) -> list[float]:
        clean = source.errors(teacher, V)
        noisy = clean + noise
        return [*overlaps(teacher, V), float(noisy @ noisy) / (2 * n), float(clean @ clean) / (2 * n)]

    flow = Stabilised(velocity, V, settings.rtol, most=settings.most)
    rows, spectra = [], []
    if settings.times is None:
        while _norm(flow.slope) > settings.tolerance * _norm(flow.y):
            flow.step(math.inf)
        rows.append(observe(flow.y))
        spectra.append(_eigenvalues(flow.y, settings))
    else:
        for time in settings.times:
            rows.append(observe(flow.advance(float(time))))
            spectra.append(_eigenvalues(flow.y, settings))
    values = np.array(rows)[:, [0, 4, 5, 1, 2, 3]]
    return Outcome(values, np.array(spectra) if settings.eigenvalues else None, flow.t, flow.counts)


def _norm(V: np.ndarray) -> float:
    return float(np.linalg.norm(V))


def _eigenvalues(V: np.ndarray, settings: Settings) -> np.ndarray:
    if not settings.eigenvalues:
        return np.empty(0)
    d, p = V.shape
    values = np.zeros(d)
    singular = np.linalg.svd(V, compute_uv=False)
    values[: singular.size] = singular**2
    return np.sort(values)


def build(
    physics: EmpiricalPhysics,
    sizes: Sizes,
    outcomes: list[Outcome],
    settings: Settings,
    names: list[str],
    own: np.ndarray | None,
    root: np.random.SeedSequence,
) -> xr.Dataset:
    """Return the runs as a result."""
    stacked = np.stack([one.observables for one in outcomes])
    timed = settings.times is not None
    if not timed:
        stacked = stacked[:, 0]
    variables = {name: np.ascontiguousarray(stacked[..., i]) for i, name in enumerate(OBSERVABLES) if name in names}
    if settings.eigenvalues:
        spectra = np.stack([np.asarray(one.eigenvalues) for one in outcomes])
        variables["eigenvalues"] = spectra if timed else spectra[:, 0]
    call: dict[str, Any] = {"verb": "simulate", "dimension": sizes.d, "runs": len(outcomes), "data": settings.data}
    call |= {"rtol": settings.rtol, "gradient_tolerance": settings.tolerance, "max_evaluations": settings.most}
    call |= {"observables": names} if names != list(OBSERVABLES) else {}
    call |= {} if timed else {"end": True}
    call |= {"weights": own.tolist()} if own is not None else {}
    counts = [one.counts for one in outcomes]
    cost: dict[str, Any] = {
        name: sum(getattr(one, name) for one in counts) for name in ("steps", "rejected", "evaluations")
    }
    extra = {}
    if not timed:
        ended = np.array([one.ended for one in outcomes])
        extra["end_time"] = (("run",), ended, {"long_name": "time tau at which the flow ended"})
    attrs = {
        "student_width": sizes.p,
        "teacher_width": sizes.k,
        "samples": sizes.n,
        "data": settings.data,
        "order": 2 if settings.data == "hermitian" else 1,
        "realised_student_ratio": sizes.p / sizes.d,
        "realised_teacher_ratio": sizes.k / sizes.d,
        "realised_sample_ratio": sizes.n / sizes.samples_per_ratio,
    }
    return results.build(
        physics,
        kind="simulation",
        times=settings.times,
        variables=variables,
        call=call,
        provenance={"method": "Runge-Kutta-Chebyshev, order 2"} | cost,
        run=True,
        extra=extra,
        dimension=sizes.d,
        root=root,
        attrs=attrs | ({} if timed else NO_CLOCK),
    )


def _names(observables: Any) -> list[str]:
    if observables is None:
        return list(OBSERVABLES)
    chosen = checks.items("observables", observables, str)
    for name in chosen:
        checks.choice("observables", name, (*OBSERVABLES, "eigenvalues"))
    return [name for name in (*OBSERVABLES, "eigenvalues") if name in chosen or name == "risk"]


def _infinite(
    physics: EmpiricalPhysics,
    times: np.ndarray | None,
    d: int,
    runs: int,
    rng: Any,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return runs on the population risk."""
    if times is None:
        raise ValueError(
            "Argument `times` is missing: infinitely many samples are simulated at times, as ExtensiveQuadratic does."
        )
    root = streams.root(rng)
    found = population_problem(physics).simulate(
        times, dimension=d, runs=runs, rng=root, threads=threads, progress=progress
    )
    variables = {name: found[name].values for name in ("risk", "overlap", "misalignment", "trace")}
    variables["train_risk"] = variables["risk"] + 0.5 * physics.noise
    kept = ("student_width", "teacher_width", "realised_student_ratio", "realised_teacher_ratio")
    return results.build(
        physics,
        kind="simulation",
        times=times,
        variables=variables,
        call={"verb": "simulate", "dimension": d, "runs": found.sizes["run"]},
        provenance={"method": "flow on the population risk"},
        run=True,
        dimension=d,
        root=root,
        attrs={name: found.attrs[name] for name in kept} | {"order": 1},
    )
