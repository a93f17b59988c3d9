"""Margin flow to given losses: by the integrators for smooth models, by explicit steps for the others."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results
from . import equations_smooth, explicit
from .physics import MarginFlowPhysics
from .state import BudgetError, NoMarginError, State, Trajectory, checked_clock

if TYPE_CHECKING:
    import xarray as xr

_FIRST = ode.RightHandSide(equations_smooth.first_phase)
_DIRECTION = ode.RightHandSide(equations_smooth.direction, equations_smooth.direction_jacobian)
#: The norm is eliminated once the loss is this many e-folds below the value that guarantees positive margins.
LEAD = 0.1
#: Multiples of the weights at which the loss is to fall along their ray.
RAY = 2.0 ** np.arange(-1.0, 6.5, 0.5)
#: A first phase that takes more steps than this approaches a stationary point, where the clock of the loss stands still.
STALLED = 20_000


def follow_smooth(
    state: State,
    clock: np.ndarray,
    rtol: float,
    atol: float,
    budget: int,
    progress: bool | None,
    *,
    looser: bool = False,
) -> Trajectory:
    """Return the weights at the losses of `clock` (see `MarginFlow.solve`); `looser` changes nothing but the tolerances given."""
    theta, numbers, ell = state.start, np.zeros(2), state.clock
    sentence, first = "The loss of the start is below one: there was no first phase.", None
    early = np.zeros((0, theta.size + 2))
    switch = max(ell, state.threshold + LEAD)
    while ell < switch or not (switch >= clock[-1] or _increases(state, theta)):
        switch = switch if ell < switch else min(2.0 * switch + 1.0, float(clock[-1]))
        early, final, first = _first_phase(state, clock[clock <= switch], switch, rtol, atol, budget)
        theta, numbers, ell = final[:-2], final[-2:], switch
        sentence = f"The loss of the start was {state.start_loss}: the flow was first followed in the weights, to the loss {math.exp(-ell):.4g}."
    later = clock[early.shape[0] :]
    report = {"first_phase": first.provenance() if first else None}
    rows = [early]
    if later.size:
        states, second = _second_phase(state, theta, numbers, ell, later, rtol, atol, budget, progress)
        rows.append(states)
        report |= second.provenance()
    joined = np.concatenate(rows)
    return Trajectory(joined[:, :-2], joined[:, -2], joined[:, -1], report, sentence)


def _increases(state: State, theta: np.ndarray) -> bool:
    """Return whether the loss falls along the ray from half these weights on, so that it fixes the norm.

    It does for homogeneous models with positive margins.  With biases in disguise, as softplus has, large weights of this direction may
    still have negative margins; then the flow is followed in the weights until they do not.
    """
    if state.model.homogeneous:
        return True
    for scale in RAY:
        _, _, _, p, gradients = state.evaluate(scale * theta)
        if not float(p @ (gradients @ theta)) > 0.0:
            return False
    return True


def _parameters(state: State, norm: float) -> np.ndarray:
    data = state.X, state.y, state.extra
    return equations_smooth.parameters(state.kind, state.loss, *data, state.order, state.model.homogeneous, norm)


def _first_phase(state: State, targets: np.ndarray, switch: float, rtol: float, atol: float, budget: int):
    """Return the states (theta, T, path) at the targets and at the switch, with the report."""
    start = np.concatenate([state.start, np.zeros(2)])
    wanted = np.unique(np.concatenate([np.linspace(state.clock, switch, 33)[1:], targets])) - state.clock
    try:
        times, states, report = ode.integrate(
            _FIRST, start, wanted, _parameters(state, 1.0), rtol=rtol, atol=atol * max(1.0, np.abs(state.start).max()),
            max_steps=min(budget, STALLED), work_size=equations_smooth.work_size(state.y.size, state.start.size),
        )  # fmt: skip
    except ode.IntegrationError as error:
        seen = [state.start, *error.states[:, :-2]]
        log_loss = -(state.clock + error.report.reached)
        exhausted = error.report.status is ode.Status.TOO_MANY_STEPS
        if exhausted and budget < STALLED:
            raise state.out_of_steps(seen, log_loss, budget) from error
        why = "stalls" if exhausted else "stops" if math.isfinite(log_loss) else "fails"
        raise state.no_margin(seen, log_loss, why) from error
    return states[np.searchsorted(times, targets - state.clock)], states[-1], report


def _second_phase(
    state: State,
    theta: np.ndarray,
    numbers: np.ndarray,
    ell: float,
    clock: np.ndarray,
    rtol: float,
    atol: float,
    budget: int,
    progress: bool | None,
):
    """Return the states (theta, T, path) at the losses of `clock`, all below that of the start, with the report."""
    norm = float(np.linalg.norm(theta))
    power = 2 * state.order - 2
    begin = math.log1p(ell)
    wanted = np.log1p(clock)
    rtol, atol = _above_noise(state, theta, float(clock[-1]), rtol, atol)
    start = np.concatenate([theta / norm, [numbers[0] * norm**power, numbers[1]]])
    try:
        _, states, report = ode.integrate(
            _DIRECTION, start, wanted, _parameters(state, norm), start=begin, rtol=rtol, atol=atol, max_steps=budget,
            method="radau", work_size=equations_smooth.work_size(state.y.size, theta.size), progress=bool(progress),
        )  # fmt: skip
    except ode.IntegrationError as error:
        reached = math.expm1(error.report.reached)
        raise BudgetError(
            f"The flow stopped at minus log loss {reached:.4g} ({error.report.status.value}): raise `max_steps`, loosen `rtol`, or ask for "
            "larger losses.",
            error,
        ) from error
    for row, value in zip(states, clock):
        row[:-2] /= np.linalg.norm(row[:-2])
        scale = _norm_at(state, row[:-2], value, norm)
        row[:-2] *= scale
        row[-2] /= scale**power
    return states, report


#: The largest relative tolerance of the direction.
COARSEST = 0.1


def _above_noise(state: State, theta: np.ndarray, ell: float, rtol: float, atol: float) -> tuple[float, float]:
    """Return tolerances that the rounding of the direction allows at minus log loss `ell`.

    The probabilities see the direction times kappa = norm^H: its last digit moves the velocity by kappa times as much.
    Below that the integrator would chase noise with ever smaller steps.
    """
    _, _, q, p, _ = state.evaluate(theta)
    norm = float(np.linalg.norm(theta))
    rounding, seen = sys.float_info.epsilon * ell * norm**state.order, float(p @ q)
    if not 50 * rounding <= COARSEST * seen:
        raise ValueError(
            f"At minus log loss {ell:.3g} rounding decides on the direction of the weights, of norm {norm:.3g} at first: ask for larger losses, or "
            "start from smaller weights."
        )
    return max(rtol, 50 * rounding / seen), max(atol, rounding / seen)


def _norm_at(state: State, direction: np.ndarray, ell: float, guess: float) -> float:
    """Return the norm at which weights of this direction have minus log loss `ell`."""
    log_norm = math.log(guess) if not state.model.homogeneous else 0.0
    for _ in range(200):
        theta = math.exp(log_norm) * direction
        value, B, _, p, gradients = state.evaluate(theta)
        step = (ell - value) / (B * float(p @ (gradients @ theta)))
        log_norm += max(-1.0, min(1.0, step))
        if abs(step) <= 4 * sys.float_info.epsilon:
            break
    return math.exp(log_norm)


#: Tolerances of the solution whose differences estimate the errors, in multiples of those asked for.
LOOSER = 4.0


def solve(
    physics: MarginFlowPhysics, log_losses: Any, *, rtol: float, atol: float, method: str, kkt: bool, max_steps: int | None,
    progress: bool | None,
) -> xr.Dataset:  # fmt: skip
    """Return the flow; see `MarginFlow.solve`."""
    clock = checked_clock(log_losses)
    checks.tolerances(rtol, atol)
    checks.choice("method", method, ("auto", "implicit", "explicit"))
    chosen = method_of(physics, method)
    default = 100_000 if chosen == "implicit" else 50_000_000
    budget = default if max_steps is None else checks.integer("max_steps", max_steps, minimum=1)
    kkt, progress = checks.boolean("kkt", kkt), checks.progress(progress)
    state = physics.state
    state.check_clock(clock)
    began = time.perf_counter()
    follow = follow_smooth if chosen == "implicit" else explicit.follow
    trajectory = follow(state, clock, float(rtol), float(atol), budget, progress)
    details = trajectory.report | _errors(state, clock, trajectory, follow, float(rtol), float(atol), budget)
    details |= {"wall_time": time.perf_counter() - began, "method": chosen}
    call = {"verb": "solve", "rtol": rtol, "atol": atol, "method": method, "kkt": kkt}
    return results.build(
        physics,
        kind=physics.kind,
        times=clock,
        variables=state.observe(clock, trajectory, kkt),
        call=call | {"max_steps": max_steps},
        provenance=details,
        attrs={"first_phase": trajectory.sentence},
    )


def _errors(
    state: State, clock: np.ndarray, trajectory: Trajectory, follow: Any, rtol: float, atol: float, budget: int
) -> dict[str, float]:
    """Return estimated errors of direction and path length: the largest differences to a looser solution."""
    try:
        looser = follow(state, clock, min(LOOSER * rtol, 0.1), LOOSER * atol, budget, False, looser=True)
    except (BudgetError, NoMarginError):
        return {}
    directions = [
        one.weights / np.array([[max(state.norm(w), 1e-300)] for w in one.weights]) for one in (trajectory, looser)
    ]
    direction = float(2 * np.abs(directions[0] - directions[1]).max())
    path = float(2 * np.abs(trajectory.path_lengths - looser.path_lengths).max())
    # A path is not known better than its end.
    return {"direction_error": direction, "path_length_error": max(path, direction)}


def method_of(physics: MarginFlowPhysics, method: str) -> str:
    """Return the method that `method` means for this problem, or refuse one that does not apply."""
    smooth = physics.model.smooth and physics.geometry == "l2"
    if method == "implicit" and not smooth:
        reason = (
            "its gradient jumps" if not physics.model.smooth else f"the {physics.geometry} geometry has no smooth flow"
        )
        raise ValueError(f'Argument `method` must not be "implicit" for {type(physics.model).__name__}: {reason}.')
    return method if method != "auto" else ("implicit" if smooth else "explicit")
