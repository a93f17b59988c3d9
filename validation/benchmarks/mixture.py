"""Speed of the XOR mixture and of flows on a sample: ``python -m validation.benchmarks.mixture``.

Each problem is solved once to compile; the medians of the repeats are printed beside the targets, with the errors reached.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits.core.results import provenance

from .. import boursier2025, refinetti2021
from ..timing import machine, wall_time


def closed_form() -> None:
    """The squared loss in closed form, K = 4, to t = 60, against 10,000 Monte-Carlo samples per Euler step."""
    problem = refinetti2021.start(4, 1, dimension=200)
    taken, flow = wall_time(lambda: problem.solve([60.0], observables=["R"]))
    tight = problem.solve([60.0], observables=["R"], rtol=1e-12, atol=1e-14)
    error = float(np.abs(flow.R - tight.R).max())
    until = 0.5
    sampled, off = refinetti2021.monte_carlo(problem, step=0.01, until=until)
    print(f"closed form, K = 4, to t = 60: {1e3 * taken:.1f} ms, error of R {error:.1e}")
    print(
        f"  10,000 samples per Euler step of 0.01: {sampled / until:.3f} s per unit of time, {60 * sampled / until / taken:.0f} times longer (target 100), "
        f"error of R {off:.1e} at t = {until}"
    )


def four_atoms() -> None:
    """Forty units on four atoms, logistic loss, with all zeros of their fields, to t = 200."""
    problem = fl.XorMixture(40, label_noise=0.1, loss="logistic", scale=0.01, dimension=100, rng=0)
    times = np.geomspace(0.1, 200.0, 40)
    taken, flow = wall_time(lambda: problem.solve(times))
    tight = problem.solve(times, rtol=1e-12, atol=1e-14)
    print(
        f"four atoms, 40 units, 40 times to t = 200: {1e3 * taken:.1f} ms (target 50), error of R {float(np.abs(flow.R - tight.R).max()):.1e}"
    )


def sample_flow() -> None:
    """Full-batch flow, n = 1,000, d = 20, width 100, to t = 50; the fall of the loss over the second half says how far it has converged."""
    X, y, _ = boursier2025.data(1000, 20, np.random.default_rng(1))
    problem = fl.SampleFlow(X, y, width=100, rng=0)
    taken, flow = wall_time(lambda: problem.solve([25.0, 50.0]), repeats=1)
    change = float(1 - flow.risk[1] / flow.risk[0])
    stated = provenance(flow)["relative_risk_error"]
    print(
        f"sample flow, n = 1,000, d = 20, width 100, to t = 50: {taken:.1f} s (target 10), training loss {float(flow.risk[1]):.6f}, its fall from "
        f"t = 25: {change:.1e} of it, stated relative error {stated:.1e}"
    )


def main() -> None:
    """Print all timings, with the machine and the load on it."""
    print(machine())
    for part in (closed_form, four_atoms, sample_flow):
        part()


if __name__ == "__main__":
    main()
