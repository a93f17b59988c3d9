"""Runs of finite width: weights drawn from the Gaussian law of the second moment, and their exact flow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...core import checks, results, streams
from ...core.threads import run_threads
from ..finite.limit import check_observables, make_path
from ..finite.reduced_path import Outcome, Request, Tolerances
from ..finite.simulation import call_of, check_step, descend, gather
from ..finite.start import check_size
from .physics import ALL, Physics

if TYPE_CHECKING:
    import xarray as xr


def simulate(
    problem: Physics,
    times: Any,
    *,
    student_width: int,
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
    """Return runs of finite width; see `MeanFieldQuadratic.simulate`."""
    times = checks.times(times)
    p = checks.integer("student_width", student_width, minimum=1)
    count = streams.runs(runs)
    checks.check_elements("student_width", p, float(p) * problem.dimension)
    tolerances = Tolerances(*checks.tolerances(rtol, atol))
    length = check_step(checks.choice("method", method, ("flow", "gd")), step, times)
    names = check_observables(ALL if observables is None else observables)
    own = None
    if weights is not None:
        own = check_size("weights", checks.starting_weights(weights, count, p, problem.dimension))
    root = streams.root(rng)
    generators = streams.generators(root, count)
    factor = problem._root()
    request = Request(eigenvalues="eigenvalues" in names)

    def run(index: int) -> Outcome:
        if own is None:
            V0 = factor @ generators[index].standard_normal((problem.dimension, p)) / math.sqrt(p)
        else:
            V0 = (own if own.ndim == 2 else own[index]).T / math.sqrt(p * problem.dimension)
        flow = problem._flow_from(V0)
        if length is not None:
            return descend(flow, times, length, request)
        return make_path(flow, "auto", float(times[-1]), tolerances).run(2 * times, request)

    def assemble(outcomes: list[Outcome]) -> xr.Dataset:
        call = call_of(
            {"student_width": p}, len(outcomes), method, tolerances, length, own, names if names != ALL else None
        )
        return results.build(
            problem, kind="simulation", times=times, variables=gather(outcomes, names, times, length), call=call, run=True, root=root,
            provenance={"method": "exact flow" if length is None else "gradient descent"}, attrs={"student_width": p},
        )  # fmt: skip

    return run_threads(run, count, threads=threads, progress=progress, description="runs", assemble=assemble)
