"""The exact flow of a quadratic network at finite dimension, against SciPy with NumPy on the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..quadratic import numpy_flow
from .clock import in_turn, on_one_processor

CASES = ((50, 25, 10, 20.0), (200, 100, 10, 20.0), (500, 250, 25, 20.0), (200, 100, 10, 3000.0))
RTOL = 1e-6


def run(quick: bool) -> dict[str, Any]:
    """Return times and errors of the risk at the end for both."""
    import flowlimits as fl

    rows = []
    undo = on_one_processor()
    try:
        for d, p, k, end in CASES[:2] if quick else CASES:
            flow = fl.QuadraticFlow.gaussian(d, p, k, rng=0)
            exact = float(flow.solve([end], rtol=1e-12, atol=1e-14).risk[0])
            Z_star = np.array(flow.W_star).T @ np.array(flow.W_star) / (k * d)

            def ours(flow: Any = flow, end: float = end) -> float:
                return float(flow.solve([end], rtol=RTOL, atol=1e-10).risk[0])

            def theirs(flow: Any = flow, end: float = end, Z_star: np.ndarray = Z_star) -> float:
                D = numpy_flow(flow, end, RTOL, 1e-9) - Z_star
                return float(np.sum(D * D) + 0.5 * np.trace(D) ** 2)

            errors = [abs(function() / exact - 1) for function in (ours, theirs)]
            taken = in_turn({"ours": ours, "scipy": theirs}, 2 if quick else 5, patience=20.0)
            rows.append(
                {"d": d, "p": p, "rank": k, "end": end, "errors": errors, "processor": [taken[name].median() for name in ("ours", "scipy")],
                 "wall": [taken[name].median("wall") for name in ("ours", "scipy")]}
            )  # fmt: skip
    finally:
        undo()
    return {"rows": rows, "skipped": {}}
