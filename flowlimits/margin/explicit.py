"""Margin flow by explicit steps: models with kinks, and the geometries of steepest descent."""

from __future__ import annotations

import math
import sys
import time

import numpy as np

from ..core.progress import Progress
from ..core.threads import TURN
from .equations_explicit import EDGE, NOT_FINITE, REACHED, RUNNING, STATIONARY, advance, steepest
from .state import BudgetError, State, Trajectory

#: No logit moves by more than this in a step; gradient flow and the others, whose zigzag is as wide as a step.
LOGIT_STEPS = {"l2": 0.25, "linf": 0.1, "l1": 0.1}
#: Tolerance below which the logits move less per step, with its square root.
USUAL = 1e-8
#: Steps between two looks at the clock of the wall.
SLICE = 100_000
#: The cost of the horizon is estimated once the flow is this far below the threshold, where the direction has settled.
SETTLED = 3.0
#: Steps before a first phase may be said to stall: plateaus on the way to a margin are left much sooner.
PATIENCE = 1_600_000


def follow(
    state: State,
    clock: np.ndarray,
    rtol: float,
    atol: float,
    budget: int,
    progress: bool | None,
    *,
    looser: bool = False,
) -> Trajectory:
    """Return the weights at the losses of `clock` (see `MarginFlow.solve`); `atol` has no meaning here.

    `looser` doubles the change of a logit per step, for an estimate of errors.
    """
    run = _Run(state, clock, rtol, budget, 2.0 if looser else 1.0)
    settled = max(state.clock, state.threshold) + SETTLED
    run.until(min(settled, clock[-1]), None)
    sentence = "The loss of the start is below one: there was no first phase."
    if state.clock < state.threshold:
        sentence = f"The loss of the start was {state.start_loss}: the first phase, until every sample was classified, took the same steps."
    report = {}
    if clock[-1] > settled:
        report["predicted_steps"] = run.announce(progress)
        bar = Progress(1000, "margin flow", progress)
        try:
            run.until(clock[-1], bar)
        finally:
            bar.close()
    report["steps"] = int(run.numbers[2])
    return Trajectory(run.outputs, run.extras[:, 0], run.extras[:, 1], report, sentence)


class _Run:
    """A flow under way: the arrays that a slice of compiled steps continues."""

    def __init__(self, state: State, clock: np.ndarray, rtol: float, budget: int, longer: float) -> None:
        self.state, self.clock, self.fraction, self.budget = state, clock, 10 * math.sqrt(rtol), budget
        self.step = longer * LOGIT_STEPS[state.norm_name] * min(1.0, math.sqrt(rtol / USUAL / longer**2))
        self.theta = state.start.copy()
        self.numbers = np.array([0.0, 0.0, 0.0, state.clock, EDGE])
        self.vertex = np.full(self.theta.size, np.inf)
        self.outputs, self.extras = np.zeros((clock.size, self.theta.size)), np.zeros((clock.size, 2))
        self.done = int(np.searchsorted(clock, state.clock, side="right"))
        self.outputs[: self.done] = state.start
        self.best = [state.start]
        self.speed, self.turn = 0.0, 16
        self.doublings: list[float] = []

    def until(self, ell: float, bar: Progress | None) -> None:
        """Advance to minus log loss `ell`."""
        state = self.state
        start = self.numbers[3]
        # The targets of this stretch, and its end, whose row is dropped unless it was asked for.
        targets = np.union1d(self.clock[self.clock <= ell], [ell])
        outputs, extras = np.zeros((targets.size, self.theta.size)), np.zeros((targets.size, 2))
        done = begin = int(np.searchsorted(targets, start, side="right"))
        shown, taken = 0, 0.0
        while True:
            before = time.perf_counter(), self.numbers[2]
            # In turns that let an interrupt through, whatever a step costs.
            left = int(min(self.turn, SLICE - taken, self.budget - self.numbers[2]))
            status, done = advance(
                state.kind, state.loss, state.geometry, self.theta, state.X, state.y, state.extra, targets, done, self.numbers,
                self.vertex, outputs, extras, self.fraction, self.step, left,
            )  # fmt: skip
            steps, seconds = self.numbers[2] - before[1], max(time.perf_counter() - before[0], 1e-9)
            self.speed, taken = steps / seconds, taken + steps
            self.turn = int(min(max(self.turn * min(TURN / seconds, 8.0), 1.0), SLICE))
            if status == RUNNING and taken < SLICE and self.numbers[2] < self.budget:
                continue
            self.best.append(self.theta.copy())
            taken = 0.0
            if bar is not None:
                reached = int(1000 * (self.numbers[3] - start) / (ell - start))
                bar.update(max(0, min(reached, 1000) - shown))
                shown = max(shown, reached)
            if status != RUNNING:
                break
            if self.numbers[2] >= self.budget:
                self._give_up(done)
            if self._stalls():
                raise state.no_margin(self.best, -self.numbers[3], "stalls")
        if status in (STATIONARY, NOT_FINITE):
            raise state.no_margin(self.best, -self.numbers[3], "stops" if status == STATIONARY else "diverges")
        assert status == REACHED
        for row in range(begin, targets.size):
            at = np.searchsorted(self.clock, targets[row])
            if at < self.clock.size and self.clock[at] == targets[row]:
                self.outputs[at], self.extras[at] = outputs[row], extras[row]

    def _stalls(self) -> bool:
        """Return whether minus log loss tends to a limit below the threshold.

        Its gains are compared at doublings of the steps: where each is at most 3/4 of the one before, all to come add up to
        three times the last.  The zigzag of the geometries of steepest descent can make a gain negative.
        """
        ell, slices = self.numbers[3], self.numbers[2] / SLICE
        if ell > self.state.threshold:
            return False
        if slices < 2 ** len(self.doublings):
            return False
        self.doublings.append(ell)
        if self.numbers[2] < PATIENCE:
            return False
        before, last = np.diff(self.doublings[-3:])
        missing = self.state.threshold - ell
        return bool(last <= max(0.75 * before, 1e-9 * missing) and 30 * last < missing)

    def _give_up(self, done: int) -> None:
        if self.numbers[3] <= self.state.threshold:
            raise self.state.out_of_steps(self.best, -self.numbers[3], self.budget)
        raise BudgetError(
            f"The flow reached minus log loss {self.numbers[3]:.4g} in max_steps={self.budget} steps: raise `max_steps` or ask for larger losses."
        )

    def predict(self) -> float:
        """Return the steps to the last loss: stiffness over squared speed, both nearly constant from here on."""
        state = self.state
        _, B, _, p, gradients = state.evaluate(self.theta)
        v = np.empty(self.theta.size)
        dual = steepest.py_func(state.geometry, p @ gradients, v)
        h = self.step / np.abs(gradients @ v).max()
        if state.norm_name == "l2":
            h = min(h, self.step * dual / (p @ (gradients**2).sum(axis=1)))
        return float((self.clock[-1] - self.numbers[3]) / (B * dual * h))

    def announce(self, progress: bool | None) -> float:
        """Predict the cost of the rest; refuse it if beyond the budget, say it if it is long."""
        steps = self.predict()
        seconds = steps / max(self.speed, 1.0)
        if steps + self.numbers[2] > self.budget:
            raise BudgetError(
                f"The horizon of minus log loss {self.clock[-1]:.4g} will take about {steps:.2g} steps ({_duration(seconds)}), beyond "
                f"max_steps={self.budget}: raise `max_steps` or ask for larger losses (the cost is proportional to minus log loss)."
            )
        if progress or (progress is None and seconds > 2):
            sys.stderr.write(
                f"margin flow: about {steps:.2g} steps, {_duration(seconds)}, to minus log loss {self.clock[-1]:.4g}\n"
            )
        return steps


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
