"""Times of competitors that run in turn, and the interpolation to a common error."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Times:
    """Seconds of one competitor, one entry per repeat: of the processor (all threads), and on the wall."""

    processor: list[float]
    wall: list[float]

    def median(self, clock: str = "processor") -> float:
        return float(np.median(getattr(self, clock)))


def in_turn(competitors: Mapping[Any, Callable[[], Any]], repeats: int, patience: float = np.inf) -> dict[Any, Times]:
    """Call all competitors in turn, several times, so that a change of the machine hits all alike.

    Each round has an order of its own: caches and memory are left to the next one as the last one used them, and nobody
    is to follow the same one every time.  A competitor that has taken more than `patience` seconds in all is left out of
    the rounds after the second.
    """
    rng = np.random.default_rng(0)
    taken: dict[Any, Times] = {name: Times([], []) for name in competitors}
    for turn in range(repeats):
        for index in rng.permutation(len(competitors)):
            name, function = list(competitors.items())[index]
            if turn >= 2 and sum(taken[name].wall) > patience:
                continue
            wall, processor = time.perf_counter(), time.process_time()
            function()
            taken[name].processor.append(time.process_time() - processor)
            taken[name].wall.append(time.perf_counter() - wall)
    return taken


def on_one_processor() -> Callable[[], None]:
    """Keep this process, and threads it starts later, on one processor where the system can; return what undoes it."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    return lambda: os.sched_setaffinity(0, before)


def at_error(errors: Sequence[float], values: Sequence[float], wanted: float) -> float:
    """Interpolate values (times, tolerances) to an error, all in logarithms; NaN if the errors do not enclose it."""
    order = np.argsort(errors)
    x, y = np.log(np.asarray(errors, dtype=float)[order]), np.log(np.asarray(values, dtype=float)[order])
    if not x[0] <= np.log(wanted) <= x[-1]:
        return float("nan")
    return float(np.exp(np.interp(np.log(wanted), x, y)))


def error_of(states: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return the largest absolute error over times and components: its median over the problems, and its worst."""
    each = np.abs(states - reference[: len(states)]).max(axis=(1, 2))
    return {"median": float(np.median(each)), "worst": float(each.max())}
