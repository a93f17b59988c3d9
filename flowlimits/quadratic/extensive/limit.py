"""The limit of infinite dimension as a result: what is asked of the solution, events, and the spectrum of the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks, results
from ...core.events import Event, check_events, locate
from ...spectrum.spectrum import Spectrum
from . import prepare as extensive_solve
from . import variables as extensive_result

if TYPE_CHECKING:
    import xarray as xr

    from .problem import ExtensiveQuadratic

METHODS = ("auto", "collocation")
#: Points of the grid on which events are first looked for.
EVENT_GRID = 400


def solve(
    problem: ExtensiveQuadratic,
    times: Any,
    *,
    rtol: float,
    atol: float,
    method: str,
    observables: Sequence[str] | None,
    spectrum: Any,
    events: Any,
    max_steps: int,
    keep_state: bool,
    progress: bool,
) -> xr.Dataset:
    """Return the limit; see `ExtensiveQuadratic.solve`."""
    times = checks.times(times)
    rtol, atol = checks.tolerances(rtol, atol)
    checks.choice("method", method, METHODS)
    checks.progress(progress)
    names = check_observables(observables)
    energies = None if spectrum is None else _energies(spectrum)
    listed = check_events(events, [name for name in problem.variables if name != "eigenvalues"])
    steps = checks.integer("max_steps", max_steps, minimum=1)
    keep = checks.boolean("keep_state", keep_state)
    _warn_about_trace(problem)

    asked = times
    happened = None
    if listed:
        happened, times = _locate(problem, listed, times, rtol, steps)
    positive = 2 * times[times > 0]
    solution = extensive_solve.integrate(problem, positive, rtol, steps, keep or energies is not None)
    columns = extensive_result.columns(problem, times, solution)
    coords, extra = extensive_result.extras(problem, times, solution, energies, keep, listed, happened)
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
        problem,
        kind=problem.kind,
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


def _warn_about_trace(problem: ExtensiveQuadratic) -> None:
    if problem.activation == "square" and isinstance(problem.start, Spectrum) and abs(problem.start.mean - 1) > 1e-9:
        checks.warn(
            f"The start has the trace {problem.start.mean:.6g} and the teacher 1: the limiting flow rescales the start "
            "at once (at finite dimension in a time O(1/d)), and values at time 0 are those just after."
        )


def _locate(
    problem: ExtensiveQuadratic, events: tuple[Event, ...], times: np.ndarray, rtol: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of the events, and those requested times that no stopping event cuts off."""
    last = float(times[-1])
    if last == 0:
        return np.full(len(events), np.nan), times
    grid = np.unique(np.concatenate([[0.0], times, np.geomspace(1e-4 * min(last, 1.0), last, EVENT_GRID)]))
    solution = extensive_solve.integrate(problem, 2 * grid[1:], rtol, steps, False)
    columns = extensive_result.columns(problem, grid, solution)

    def evaluate(index: int, time: float) -> Mapping[str, float]:
        at = np.array([time])
        again = extensive_solve.integrate(problem, 2 * at[at > 0], rtol, steps, False, solution.teacher)
        return {name: float(values[0]) for name, values in extensive_result.columns(problem, at, again).items()}

    happened = locate(events, grid, columns, evaluate)
    stops = [time for event, time in zip(events, happened) if event.stop and np.isfinite(time)]
    return happened, times[times <= min(stops)] if stops else times


def check_observables(observables: Sequence[str] | None) -> list[str]:
    """Return the names of the variables to return; `risk` is always among them."""
    known = ["risk", "overlap", "misalignment", "trace", "multiplier"]
    if observables is None:
        return known
    named = checks.items("observables", observables, str)
    return list(dict.fromkeys(["risk", *(checks.choice("observables", name, known) for name in named)]))


def _energies(energies: Any) -> np.ndarray:
    values = checks.array("spectrum", energies, ("m",))
    if (values <= 0).any() or (np.diff(values) <= 0).any():
        raise ValueError(
            "Argument `spectrum` must hold positive, increasing eigenvalues: start at a small one; the atom at 0 is given apart."
        )
    return values
