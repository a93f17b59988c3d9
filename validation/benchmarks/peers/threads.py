"""The gain of a second thread; it says something only where two processors were free."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import integrators
from .clock import in_turn
from .integrators import MANY, OURS
from .subject import make
from .throughput import EQUAL


def run(quick: bool) -> dict[str, Any]:
    """Return the gain on the wall, the processors that two threads got, and what they took in all against one."""
    problems, repeats = (1000, 3) if quick else (10_000, 11)
    built, skipped = integrators.build_all(make(problems), (MANY, OURS))
    rows = {}
    for name, prepare in built.items():
        runs = {threads: prepare(problems, EQUAL, threads=threads) for threads in (1, 2)}
        same = np.array_equal(runs[1](), runs[2]())
        taken = in_turn(runs, repeats)
        gains = np.array(taken[1].wall) / np.array(taken[2].wall)
        got = np.array(taken[2].processor) / np.array(taken[2].wall)
        rows[name] = {
            "median": float(np.median(gains)), "best": float(gains.max()), "processors": float(np.median(got)),
            "work": taken[2].median() / taken[1].median(), "same_bits": same,
        }  # fmt: skip
    return {"rows": rows, "skipped": skipped}
