"""How many steps a simulation takes to each requested time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core import checks
from ..schedule import Schedule

#: The beginning of a refusal.
ASKS = "Argument `times` asks, at the length of a step,"


@dataclass(frozen=True)
class Stretch:
    """Steps at a learning rate that grows by a constant factor from step to step: linear in time. `record`: a requested time ends it."""

    steps: int
    rate: float
    factor: float
    record: bool


def plan(
    rate: float | Schedule, times: np.ndarray, gain: float, start: float = 0.0
) -> tuple[list[Stretch], np.ndarray]:
    """Return the stretches to the steps nearest to `times`, and the times of these steps.

    Parameters
    ----------
    rate : float or Schedule
        Learning rate; a step advances the clock by rate * gain, gain = 1/(p d).
    start : float
        The time at which the steps begin.

    Raises
    ------
    ValueError
        If two times fall on one step.
    """
    if not isinstance(rate, Schedule):
        counts = checks.counts((times - start) / (rate * gain), ASKS)
        _check(counts, times, rate * gain)
        return [Stretch(int(n), rate, 1.0, True) for n in np.diff(counts, prepend=0)], start + counts * (rate * gain)
    stretches: list[Stretch] = []
    realised: list[float] = []
    now = start
    total, counts_at = 0, []
    knots = rate.times
    for wanted in times:
        while True:
            following = knots[knots > now * (1 + 1e-12)]
            end = min(wanted, following[0]) if following.size else wanted
            value = rate(now)
            slope = (rate(end) - value) / (end - now) if end > now else 0.0
            steps, factor, now = _advance(now, end, value, slope, gain, up=end < wanted)
            done = end == wanted
            stretches.append(Stretch(steps, value, factor, done))
            total += steps
            if done:
                break
        realised.append(now)
        counts_at.append(total)
    _check(np.array(counts_at), times, float(rate.values.max()) * gain)
    return stretches, np.array(realised)


def total_rate(rate: float, factor: float, steps: int) -> float:
    """Return the sum of the learning rates of `steps` steps that begin at `rate`."""
    return rate * steps if factor == 1.0 else rate * math.expm1(steps * math.log(factor)) / (factor - 1.0)


def _advance(now: float, end: float, value: float, slope: float, gain: float, up: bool) -> tuple[int, float, float]:
    """Return steps, growth factor and the new time; `up` goes past `end` to the next step, else to the nearest."""
    if end <= now:
        return 0, 1.0, now
    growth = slope * gain
    if abs(growth) < 1e-14:
        exact = (end - now) / (value * gain)
    else:
        exact = math.log1p(slope * (end - now) / value) / math.log1p(growth)
    checks.counts(exact, ASKS)
    steps = math.ceil(exact) if up else round(exact)
    if abs(growth) < 1e-14:
        return steps, 1.0, now + steps * value * gain
    return steps, 1.0 + growth, now + value * math.expm1(steps * math.log1p(growth)) / slope


def _check(counts: np.ndarray, times: np.ndarray, step: float) -> None:
    same = np.flatnonzero(np.diff(counts) == 0)
    if same.size:
        i = int(same[0])
        raise ValueError(
            f"Argument `times` asks for {times[i]:g} and {times[i + 1]:g}, which fall on one step of length {step:.3g}: take times further apart."
        )
