"""Solve the flow on a sample: directly, or by aligning and merging units first."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from ..core.events import check_events, locate
from . import equations, stepping
from .end_state import classify, distinct_directions, end_point
from .equations import ACTIVATIONS, LOSSES
from .merging import align_and_merge
from .physics import SampleFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


FLOW = ode.right_hand_side(equations.sample_flow)
METHODS = ("auto", "kinks", "merged", "tsit5", "dop853", "radau")
#: Further solutions, whose differences estimate the error: multiples of the tolerance, and of the step at kinks.
LOOSER = ((4.0, 2.0), (16.0, 4.0))


def parameters(physics: SampleFlowPhysics, width: int) -> np.ndarray:
    """Return the parameter vector of the right-hand side."""
    X = physics.inputs()
    head = [*X.shape, width, ACTIVATIONS.index(physics.activation), LOSSES.index(physics.loss)]
    return np.concatenate([head, X.ravel(), physics.y])


def solve(
    physics: SampleFlowPhysics, times: Any, *, rtol: Any, atol: Any, method: str, kink_step: Any, observables: Any, events: Any,
    max_steps: int, keep_state: bool, progress: bool | None,
) -> xr.Dataset:  # fmt: skip
    """Return the solution; see `SampleFlow.solve`."""
    asked = wanted = checks.times(times)
    shown = shown_of(physics, observables)
    listed = check_events(events, ["risk"] + (["test_risk"] if physics.X_test is not None else []))
    keep_state, progress = checks.boolean("keep_state", keep_state), checks.progress(progress)
    began = time.perf_counter()
    integrator = _Integrator(physics, method, rtol, atol, kink_step, max_steps, progress)
    W, a, at = physics.W, physics.second_layer, 0.0
    detail: dict[str, Any] = {}
    if method == "merged":
        W, a, at, detail = align_and_merge(physics, float(wanted[-1]))
    start, m = np.concatenate([W.T.ravel(), a]), len(a)
    later = wanted[wanted > at] if at > 0 else wanted
    early = wanted.size - later.size
    states, report, forced = integrator.run(start, at, later)
    # Before the merging time the outputs are below a hundredth of the labels: the merged start stands for them.
    states = np.vstack([np.repeat(start[None], early, axis=0), states])
    found = np.zeros(0)
    if listed:
        found = _locate(physics, listed, wanted, states, start, at, integrator)
        stops = [t for event, t in zip(listed, found) if event.stop and np.isfinite(t)]
        if stops:
            kept = wanted <= min(stops)
            wanted, states, later = wanted[kept], states[kept], later[later <= min(stops)]
    variables = observe(physics, states, m, shown)
    provenance: dict[str, Any] = (
        {"method": method if method == "merged" else integrator.method, **integrator.stated()} | detail | forced
    )
    if report is not None:
        provenance |= {"steps": report.steps, "rejected": report.rejected, "evaluations": report.evaluations}
    if integrator.kinked and later.size:
        fine = variables["risk"][wanted.size - later.size :]
        others = [integrator.looser(*factors).run(start, at, later)[0] for factors in LOOSER]
        gap = np.max([np.abs(observe(physics, other, m, ["risk"])["risk"] - fine) for other in others], axis=0)
        provenance["risk_error"] = float(gap.max())
        provenance["relative_risk_error"] = float(np.max(gap / np.maximum(fine, np.finfo(float).tiny)))
    provenance["wall_time"] = time.perf_counter() - began
    attributes = end_state_of(physics, states[-1], m) if len(states) else {}
    if method == "merged" and len(states):
        W, a = _weights(physics, states[-1], m)
        attributes["end_point_risk"], consistent = end_point(physics.inputs(), np.array(physics.y), W, a)
        attributes["end_point_consistent"] = int(consistent)
    extra: dict[str, Any] = {}
    if keep_state and len(states):
        extra["state"] = (("state_component",), states[-1], {"long_name": "state at the last time"})
    if listed:
        names = "; ".join(f"{event.variable} = {event.value:g}" for event in listed)
        extra["event_time"] = (("event",), found, {"long_name": "time of the event", "events": names})
    call = {
        "verb": "solve", "rtol": rtol, "atol": atol, "method": method, "kink_step": kink_step, "observables": shown, "max_steps": max_steps,
        "keep_state": keep_state, "events": list(listed),
    }  # fmt: skip
    if wanted.size < asked.size:
        # A result that stopped at an event does not show the times that led to it.
        call["times"] = asked.tolist()
    return results.build(
        physics,
        kind="exact" if method != "merged" else "limit",
        times=wanted,
        variables=variables,
        call=call,
        provenance=provenance,
        attrs=attributes,
        extra=extra,
    )


class _Integrator:
    """A method with its tolerances, and the same with looser ones."""

    def __init__(
        self,
        physics: SampleFlowPhysics,
        method: str,
        rtol: Any,
        atol: Any,
        kink_step: Any,
        max_steps: int,
        progress: bool | None,
    ) -> None:
        checks.choice("method", method, METHODS)
        self.kinked = physics.activation == "relu"
        if method == "merged" and not (self.kinked and physics.loss == "squared"):
            raise ValueError(
                f'Method "merged" needs ReLU units and the squared loss, but they are "{physics.activation}" and "{physics.loss}".'
            )
        if method == "kinks" and not self.kinked:
            raise ValueError(f'Method "kinks" is for ReLU units, but the activation is "{physics.activation}".')
        self.method = ("kinks" if self.kinked else "auto") if method in ("auto", "merged") else method
        stepping_kinks = self.method == "kinks"
        if kink_step is not None and not stepping_kinks:
            raise ValueError(f'Argument `kink_step` belongs to the method "kinks", not to "{self.method}".')
        default = (1e-5, 0.0) if stepping_kinks else (1e-8, 1e-12)
        self.rtol, self.atol = checks.tolerances(
            default[0] if rtol is None else rtol, default[1] if atol is None else atol
        )
        if stepping_kinks and kink_step is None:
            kink_step = stepping.default_kink_step(physics.inputs(), np.array(physics.y), physics.loss)
        self.kink_step = checks.number("kink_step", kink_step, positive=True) if stepping_kinks else None
        self.max_steps = checks.integer("max_steps", max_steps, minimum=1)
        self.physics, self.progress = physics, progress

    def stated(self) -> dict[str, Any]:
        """Return the tolerances, for the provenance."""
        return {"rtol": self.rtol, "atol": self.atol} | ({"kink_step": self.kink_step} if self.kink_step else {})

    def looser(self, tolerance: float, step: float) -> _Integrator:
        """Return the same method with multiples of the tolerances and of the step at kinks."""
        longer = self.kink_step * step if self.kink_step else None
        return _Integrator(
            self.physics,
            self.method,
            min(self.rtol * tolerance, 0.1),
            self.atol * tolerance,
            longer,
            self.max_steps,
            self.progress,
        )

    def run(self, start: np.ndarray, at: float, times: np.ndarray) -> tuple[np.ndarray, Any, dict[str, Any]]:
        """Return the states at `times` from `start` at the time `at`, the report, and what is known of forced steps."""
        if times.size == 0:
            return np.zeros((0, start.size)), None, {}
        m = start.size // (self.physics.W.shape[1] + 1)
        params = parameters(self.physics, m)
        options: dict[str, Any] = {
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "progress": self.progress,
        }
        if self.kink_step:
            return stepping.follow(start, times, params, at=at, shortest=self.kink_step, **options)
        _, states, report = ode.integrate(
            FLOW, start, times, params, start=at, method=self.method, work_size=3 * m, **options
        )
        return states, report, {}


def _locate(
    physics: SampleFlowPhysics,
    listed: Any,
    wanted: np.ndarray,
    states: np.ndarray,
    start: np.ndarray,
    at: float,
    integrator: _Integrator,
) -> np.ndarray:
    m = start.size // (physics.W.shape[1] + 1)
    names = [event.variable for event in listed]
    grid = wanted if wanted[0] <= at else np.append(at, wanted)
    rows = states if wanted[0] <= at else np.vstack([start, states])

    def evaluate(i: int, t: float) -> dict[str, float]:
        from_time = max(grid[i], at)
        state = integrator.run(rows[i], from_time, np.array([t]))[0] if t > from_time else rows[i : i + 1]
        return {name: float(values[0]) for name, values in observe(physics, state, m, names).items()}

    return locate(listed, grid, observe(physics, rows, m, names), evaluate)


def shown_of(physics: SampleFlowPhysics, observables: Any) -> list[str]:
    if observables is None:
        return ["risk", *(["test_risk"] if physics.X_test is not None else []), "second_layer"]
    named = checks.items("observables", observables, str)
    shown = ["risk", *[checks.choice("observables", name, list(physics.variables)) for name in named]]
    if "test_risk" in shown and physics.X_test is None:
        raise ValueError("The observable `test_risk` needs test data: give `X_test` and `y_test`.")
    return list(dict.fromkeys(shown))


def observe(physics: SampleFlowPhysics, states: np.ndarray, m: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return the variables of the result at every state."""
    d = physics.W.shape[1]
    loss = LOSSES.index(physics.loss)
    Wt = states[:, : d * m].reshape(-1, d, m)
    a = states[:, d * m :]
    full: dict[str, np.ndarray] = {"second_layer": a}
    output = np.array([physics.predict(w.T, b, physics.X) for w, b in zip(Wt, a)]).reshape(len(states), -1)
    full["output"] = output
    full["risk"] = np.array([equations.mean_loss(row, np.array(physics.y), loss) for row in output])
    if "test_risk" in names:
        labels = np.array(physics.y_test)
        full["test_risk"] = np.array(
            [equations.mean_loss(physics.predict(w.T, b, physics.X_test), labels, loss) for w, b in zip(Wt, a)]
        )
    full["hidden"] = np.swapaxes(Wt, 1, 2)
    if "directions" in names:
        lengths = np.linalg.norm(full["hidden"], axis=2, keepdims=True)
        full["directions"] = np.divide(full["hidden"], lengths, out=np.zeros_like(full["hidden"]), where=lengths > 0)
    return {name: full[name] for name in physics.variables if name in names}


def _weights(physics: SampleFlowPhysics, state: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    d = physics.W.shape[1]
    return state[: d * m].reshape(d, m).T, state[d * m :]


def end_state_of(physics: SampleFlowPhysics, state: np.ndarray, m: int) -> dict[str, Any]:
    W, a = _weights(physics, state, m)
    attributes: dict[str, Any] = {"distinct_directions": distinct_directions(W, a)}
    if physics.loss == "squared":
        name, seen = classify(physics.inputs(), np.array(physics.y), physics.predict(W, a, physics.X))
        attributes |= {"end_state": name, "end_state_distances": json.dumps(seen)}
    return attributes
