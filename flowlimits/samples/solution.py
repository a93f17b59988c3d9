"""Solve the flow on a sample: directly, or by aligning and merging units first."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks, ode, results
from . import equations
from .end_state import classify, distinct_directions
from .equations import ACTIVATIONS, LOSSES
from .merging import align_and_merge

if TYPE_CHECKING:
    import xarray as xr

    from .flow import SampleFlow

FLOW = ode.right_hand_side(equations.sample_flow)
METHODS = ("auto", "merged", "tsit5", "dop853", "radau")


def parameters(problem: SampleFlow, width: int) -> np.ndarray:
    """Return the parameter vector of the right-hand side."""
    X = problem.inputs()
    head = [*X.shape, width, ACTIVATIONS.index(problem.activation), LOSSES.index(problem.loss)]
    return np.concatenate([head, X.ravel(), problem.y])


def solve(
    problem: SampleFlow, times: Any, *, rtol: Any, atol: Any, method: str, observables: Any, max_steps: int, keep_state: bool, progress: bool
) -> xr.Dataset:
    """Return the solution; see `SampleFlow.solve`."""
    wanted = checks.times(times)
    checks.choice("method", method, METHODS)
    kinked = problem.activation == "relu"
    if method == "merged" and not (kinked and problem.loss == "squared"):
        raise ValueError(f'Method "merged" needs ReLU units and the squared loss, but they are "{problem.activation}" and "{problem.loss}".')
    shown = _shown(problem, observables)
    largest = float(np.abs(problem.W).max())
    tight, floor = checks.tolerances(rtol if rtol is not None else (1e-3 if kinked else 1e-8), atol if atol is not None else (1e-3 * largest if kinked else 1e-12))
    began = time.perf_counter()
    W, a, at, detail = problem.W, problem.second_layer, 0.0, {}
    if method == "merged":
        W, a, at, detail = align_and_merge(problem, float(wanted[-1]))
    chosen = ("tsit5" if kinked else "auto") if method in ("auto", "merged") else method
    start = np.concatenate([W.T.ravel(), a])
    params = parameters(problem, len(a))
    later = wanted[wanted > at] if at > 0 else wanted

    def run(loosening: float) -> tuple[np.ndarray, Any]:
        options = {"rtol": min(tight * loosening, 0.1), "atol": floor * loosening, "max_steps": max_steps, "work_size": 3 * len(a)}
        _, states, report = ode.integrate(FLOW, start, later, params, start=at, method=chosen, progress=progress, **options)
        return states, report

    states, report = run(1.0) if later.size else (np.zeros((0, start.size)), None)
    early = wanted.size - later.size
    # Before the merging time the outputs are below a hundredth of the labels: the merged start stands for them.
    states = np.vstack([np.repeat(start[None], early, axis=0), states])
    variables = observe(problem, states, len(a), shown)
    provenance: dict[str, Any] = {"method": method if method == "merged" else chosen, "rtol": tight, "atol": floor} | detail
    if report is not None:
        provenance |= {"steps": report.steps, "rejected": report.rejected, "evaluations": report.evaluations}
        if kinked:
            rough = observe(problem, run(4.0)[0], len(a), ["risk"])["risk"]
            fine = variables["risk"][early:]
            provenance["risk_error"] = float(np.max(np.abs(rough - fine) / np.maximum(np.abs(fine), 1e-300)))
    provenance["wall_time"] = time.perf_counter() - began
    attributes = _end_state(problem, states[-1], len(a))
    extra = {"state": (("state_component",), states[-1], {"long_name": "state at the last time"})} if keep_state else {}
    call = {"verb": "solve", "rtol": rtol, "atol": atol, "method": method, "observables": list(shown), "max_steps": max_steps, "keep_state": keep_state}
    return results.build(problem, kind="exact" if method != "merged" else "limit", times=wanted, variables=variables, call=call, provenance=provenance, attrs=attributes, extra=extra)


def _shown(problem: SampleFlow, observables: Any) -> list[str]:
    if observables is None:
        return ["risk", *(["test_risk"] if problem.X_test is not None else []), "second_layer"]
    shown = ["risk", *[checks.choice("observables", name, list(problem.variables)) for name in observables]]
    if "test_risk" in shown and problem.X_test is None:
        raise ValueError("The observable `test_risk` needs test data: give `X_test` and `y_test`.")
    return list(dict.fromkeys(shown))


def observe(problem: SampleFlow, states: np.ndarray, m: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return the variables of the result at every state."""
    d = problem.W.shape[1]
    loss = LOSSES.index(problem.loss)
    Wt = states[:, : d * m].reshape(-1, d, m)
    a = states[:, d * m :]
    full: dict[str, np.ndarray] = {"second_layer": a}
    output = np.array([problem.predict(w.T, b, problem.X) for w, b in zip(Wt, a)]).reshape(len(states), -1)
    full["output"] = output
    full["risk"] = np.array([equations.mean_loss(row, np.array(problem.y), loss) for row in output])
    if "test_risk" in names:
        labels = np.array(problem.y_test)
        full["test_risk"] = np.array([equations.mean_loss(problem.predict(w.T, b, problem.X_test), labels, loss) for w, b in zip(Wt, a)])
    full["hidden"] = np.swapaxes(Wt, 1, 2)
    if "directions" in names:
        full["directions"] = full["hidden"] / np.linalg.norm(full["hidden"], axis=2, keepdims=True)
    return {name: full[name] for name in problem.variables if name in names}


def _end_state(problem: SampleFlow, state: np.ndarray, m: int) -> dict[str, Any]:
    d = problem.W.shape[1]
    W, a = state[: d * m].reshape(d, m).T, state[d * m :]
    attributes: dict[str, Any] = {"distinct_directions": distinct_directions(W, a)}
    if problem.loss == "squared":
        name, seen = classify(problem.inputs(), np.array(problem.y), problem.predict(W, a, problem.X))
        attributes |= {"end_state": name, "end_state_distances": json.dumps(seen)}
    return attributes


def descend(problem: SampleFlow, times: Any, *, step: float, observables: Any) -> xr.Dataset:
    """Return gradient descent; see `SampleFlow.simulate`."""
    wanted = checks.times(times)
    step = checks.number("step", step, positive=True)
    shown = _shown(problem, observables)
    counts = np.round(wanted / step).astype(np.int64)
    if (np.diff(counts) == 0).any():
        raise ValueError("Argument `times` asks for two times within one step of the descent: take them further apart.")
    m = len(problem.second_layer)
    y, dy = np.concatenate([problem.W.T.ravel(), problem.second_layer]), np.empty(problem.W.size + m)
    params, work = parameters(problem, m), np.zeros(3 * m)
    rows, done = [], 0
    for count in counts:
        while done < count:
            equations.evaluate(equations.sample_flow.address, 0.0, y, dy, params, work)
            y += step * dy
            done += 1
        if not np.isfinite(y).all():
            raise FloatingPointError(f"Gradient descent left the finite range within {done} steps of {step:g}: lower `step`.")
        rows.append(y.copy())
    variables = observe(problem, np.array(rows), m, shown)
    call = {"verb": "simulate", "step": step, "observables": list(shown)}
    return results.build(problem, kind="simulation", times=counts * step, variables=variables, call=call, provenance={"method": "gd", "steps": int(done)}, attrs=_end_state(problem, rows[-1], m))
