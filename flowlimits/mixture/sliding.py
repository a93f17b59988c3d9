"""The flow on four atoms from event to event: fields that reach zero, rest there, and leave it again."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ode
from ..core.threads import Unfinished
from . import equations, equations_atoms
from .equations_atoms import HEAD
from .physics import XorMixturePhysics

ATOMS = ode.right_hand_side(equations_atoms.atom_flow)
ZERO = ode.event(equations_atoms.first_zero, direction=-1)
RELEASE = ode.event(equations_atoms.first_release, direction=-1)
#: Fields and pulls within this share of the largest one of an event belong to it; released fields start this far from zero.
TOGETHER = 1e-14
#: Time step of a look ahead, relative to the time in which a pull changes by itself.
AHEAD = 1e-6
#: Events after which the flow counts as stuck.
LARGEST_COUNT = 10_000


def follow(
    physics: XorMixturePhysics, state: np.ndarray, at: float, grid: np.ndarray, params: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, list[Any]]:  # fmt: skip
    """Return the states (Q, R, a) at the times `grid` and the reports of all pieces.

    Parameters
    ----------
    state : ndarray
        Q, R and a at the time `at`.
    """
    K = physics.width
    times = grid
    Q, first = state[: K * K].reshape(K, K), state[K * K : K * K + 2 * K].reshape(K, 2)
    flow = _Flow(K, np.array(state[K * K :]), np.array(params))

    def joined(rows: list[np.ndarray]) -> np.ndarray:
        R = np.array(rows).reshape(-1, 3 * K)[:, : 2 * K].reshape(-1, K, 2)
        change = (R @ R.transpose(0, 2, 1) - first @ first.T) / physics.separation**2
        return np.hstack([(Q + change).reshape(len(R), -1), np.array(rows).reshape(-1, 3 * K)])

    rows: list[np.ndarray] = []
    reports: list[Any] = []
    flow.settle()
    while grid.size:
        # Half the time to the next zero: the automatic first step would overshoot it and be rejected many times.
        first_step = 0.5 * flow.time_to_zero(grid[-1] - at) or None
        try:
            reached, states, report = ode.integrate(
                ATOMS, flow.y, grid, flow.params, start=at, events=[ZERO, RELEASE], first_step=first_step, **options
            )
        except Unfinished as error:
            states = joined([*rows, *error.states])
            raise type(error)(str(error), times[: len(states)], states, error.report) from None
        reports.append(report)
        stopped = report.status is ode.Status.EVENT
        done = int(np.searchsorted(grid, reached[-1], side="right")) if stopped else grid.size
        rows.extend(states[: min(done, len(states))])
        if not stopped:
            break
        at = report.reached
        flow.y = np.array(states[-1])
        flow.meet(report.event_times[1] == at)
        grid = grid[grid > at]
        if len(reports) > LARGEST_COUNT:
            raise RuntimeError(
                f"The flow on atoms met {LARGEST_COUNT} events by t = {at:g}: its fields come to no rest."
            )
    return joined(rows), reports


class _Flow:
    """Fields and second layer, with the sides of the fields."""

    def __init__(self, width: int, y: np.ndarray, params: np.ndarray) -> None:
        self.width, self.y, self.params = width, y, params
        self.params[HEAD : HEAD + 2 * width] = np.sign(y[: 2 * width])

    @property
    def fields(self) -> np.ndarray:
        return self.y[: 2 * self.width]

    @property
    def sides(self) -> np.ndarray:
        return self.params[HEAD : HEAD + 2 * self.width]

    @property
    def watched(self) -> np.ndarray:
        return self.params[HEAD + 2 * self.width :]

    def settle(self) -> None:
        """Let every field at zero rest or leave, and say which of those that rest are watched."""
        for i in np.flatnonzero(self.sides == 0):
            self._decide(int(i))

    def meet(self, released: bool) -> None:
        """Change the sides of the fields that an event concerns, which is a release or an arrival at zero."""
        if released:
            margin = np.where(self.watched != 0, -self._pushes(self.y).max(axis=1), np.inf)
            scale = np.abs(self._pushes(self.y)).max()
            for i in np.flatnonzero(margin <= margin.min() + TOGETHER * scale):
                self._release(int(i))
            return
        distances = np.where(self.sides != 0, self.sides * self.fields, np.inf)
        approaching = self.sides * self._velocity(self.y)[: self.sides.size] < 0
        tie = max(distances.min(), 0.0) + TOGETHER * np.abs(self.fields).max()
        arrived = np.flatnonzero((distances <= 0) | (distances <= tie) & approaching)
        if not arrived.size:
            # The root of an event is exact to rounding: the nearest field is the one that arrived.
            arrived = np.array([int(np.argmin(distances))])
        came_from = self.sides[arrived].copy()
        self.fields[arrived], self.sides[arrived] = 0.0, 0.0
        for i, side in zip(arrived, came_from):
            self._decide(int(i), float(side))

    def time_to_zero(self, longest: float) -> float:
        """Return the time after which the first field would reach zero at its present velocity, at most `longest`."""
        approach = -self.sides * self._velocity(self.y)[: self.sides.size]
        distances = self.sides * self.fields
        near = (approach > 0) & (distances > 0)
        gaps = distances[near] / approach[near]
        return min(longest, float(gaps.min())) if gaps.size else longest

    def _decide(self, i: int, came_from: float = 0.0) -> None:
        """Let a field at zero rest if both sides push it there, and otherwise leave; it does not go back to where it came from."""
        right, left = self._pushes(self.y)[i]
        rests = right <= 0 and left <= 0
        if came_from:
            # The side it came from pushed it here, whatever rounding says of it now.
            rests = (left if came_from > 0 else right) <= 0
        self.watched[i] = float(rests and self._may_change(i))
        if rests:
            return
        if right > 0 and left > 0 and not came_from:
            # Both sides push away: zero is a solution, though no stable one, and the only one that favours no side.
            return
        self._leave(i, -came_from if came_from else (1.0 if right > 0 else -1.0))

    def _release(self, i: int) -> None:
        """Let a resting field go to the side that pushes it off.

        Where both do at once (its output weight changes sign), the place it would take within a narrow smooth kink,
        s = g- / (g+ + g-), turns from stable to unstable, and the field leaves against the motion of s.
        """
        right, left = self._pushes(self.y)[i]
        if min(right, left) < -1e-9 * np.abs(self._pulls(self.y)).max() * np.abs(self.y[2 * self.width :]).max():
            self._leave(i, 1.0 if right > left else -1.0)
            return
        c = i % 2
        velocity = self._velocity(self.y)
        h = AHEAD * float(np.abs(self.y).max() / max(np.abs(velocity).max(), 1e-300))
        now, later = self._pulls(self.y)[2 * c : 2 * c + 2], self._pulls(self.y + h * velocity)[2 * c : 2 * c + 2]
        motion = later[1] / later.sum() - now[1] / now.sum() if now.sum() * later.sum() > 0 else 0.0
        if abs(motion) <= 1e-12:
            # The two sides are each other's mirror image: the field stays.
            self.watched[i] = 0.0
            return
        self._leave(i, -float(np.sign(motion)))

    def _leave(self, i: int, side: float) -> None:
        self.sides[i], self.watched[i] = side, 0.0
        self.fields[i] = side * TOGETHER * np.abs(self.fields).max()

    def _may_change(self, i: int) -> bool:
        """Return whether the pushes on a field at zero are not both exactly nothing, now and a little later."""
        if self._pushes(self.y)[i].max() != 0:
            return True
        velocity = self._velocity(self.y)
        h = AHEAD * float(np.abs(self.y).max() / max(np.abs(velocity).max(), 1e-300))
        return bool(self._pushes(self.y + h * velocity)[i].max() < 0)

    def _pulls(self, y: np.ndarray) -> np.ndarray:
        values, K = np.empty(4), self.width
        equations_atoms.pulls(y[: 2 * K].reshape(K, 2), y[2 * K :], self.params, values)
        return values

    def _pushes(self, y: np.ndarray) -> np.ndarray:
        """Return a_k g+ and a_k g- of every field, shape (2 K, 2): positive where that side pushes away from zero."""
        pulls = self._pulls(y).reshape(2, 2)
        return (y[2 * self.width :, None, None] * pulls).reshape(-1, 2)

    def _velocity(self, y: np.ndarray) -> np.ndarray:
        dy = np.empty_like(y)
        equations.evaluate(equations_atoms.atom_flow.address, 0.0, y, dy, self.params, np.zeros(0))
        return dy
