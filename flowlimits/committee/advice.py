"""What is known about a flow that fails: lost feasibility, or a learning rate at which the risk grows."""

from __future__ import annotations

import numpy as np

from .. import ode
from .equations import evaluate, system
from .physics import Physics

UNFEASIBLE = (
    "A negative eigenvalue of [[Q, R], [R.T, T]] of the size of round-off has grown: near this saddle the "
    "overlaps do not hold what decides the solution. Start from weights, Committee.from_weights(W, W_star), or farther from it."
)


def diverged(problem: Physics) -> dict[ode.Status, str]:
    """Return what a failure means: a gradient flow has a finite length in a finite time, so that it only fails off its domain."""
    flow = problem.kind == "exact" and problem.coordinates is None
    text = UNFEASIBLE if flow else "The flow diverged."
    return {ode.Status.NOT_FINITE: text, ode.Status.STEP_TOO_SMALL: text, ode.Status.INFEASIBLE: UNFEASIBLE}


def advice(problem: Physics, family: system.Family, rate: float) -> str:
    """Return what is known about the learning rate at which the risk starts to grow, given the one that failed."""
    if rate == 0.0:
        return ""
    bound = descent_bound(problem, family)
    if not np.isfinite(bound):
        known = "at this start its noise cannot raise the risk"
    elif rate < bound:
        known = f"it is below {bound:.3g}, so that the risk decreases at this start, but its noise grew later"
    else:
        known = f"at this start the risk decreases only for learning rates below {bound:.3g}"
    text = f"Lower the learning rate, {rate:g}: {known}."
    if problem.spherical and problem.student_width == 1 and family.name == "square":
        text += f" A single unit on the sphere leaves the plateau only below 2/(12 + noise) = {2 / (12 + problem.noise):.3g}."
    return text


def descent_bound(problem: Physics, family: system.Family) -> float:
    """Return the learning rate above which the noise of SGD raises the risk at the start; infinity if none does."""
    state = system.start(problem)
    work = np.zeros(family.work_size)
    slopes = []
    for rate in (0.0, 1.0):
        velocity = velocity_at(problem, family, state, rate, work)
        step = 1e-6 * max(np.abs(state).max(), 1e-300) / max(np.abs(velocity).max(), 1e-300)
        pair = np.array([state + step * velocity, state - step * velocity])
        out = np.empty(2)
        evaluate.evaluate(family.risk.address, pair, system.parameters(problem, 0.0), work, out)
        slopes.append((out[0] - out[1]) / (2 * step))
    return -slopes[0] / (slopes[1] - slopes[0]) if slopes[1] > slopes[0] else np.inf


def velocity_at(
    problem: Physics, family: system.Family, state: np.ndarray, rate: float, work: np.ndarray
) -> np.ndarray:
    """Return dy/dt at a state and a learning rate."""
    out = np.empty((1, state.size))
    evaluate.velocities(family.rhs.address, state[None, :], system.parameters(problem, rate), work, out)
    return out[0]
