"""Speed of margin flows and of guess and check: ``python -m validation.benchmarks.margin``.

Each problem is solved once to compile; the medians of the repeats are printed beside the targets, with what was reached.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits import margin, random_networks

from ..margin_common import DECADE, read
from ..timing import machine, wall_time


def linear() -> None:
    """Linear, n = 12, d = 4, to a loss of 1e-10000."""
    X, y = read("linear")
    best = margin.support_vectors(X, y)
    problem = fl.MarginFlow(margin.LinearModel(), X, y, rng=0)
    taken, flow = wall_time(lambda: problem.solve(DECADE * np.geomspace(0.1, 10_000, 60)))
    off = best.lower - float(flow["margin"][-1])
    print(f"linear, loss 1e-10000, 60 outputs: {1e3 * taken:.1f} ms (target 50), margin off by {off:.1e} (target 5e-6)")


def quadratic() -> None:
    """Quadratic, 8 units, to a loss of 1e-75000."""
    X, y = read("quadratic")
    problem = fl.MarginFlow(margin.QuadraticModel(8), X, y, rng=0, scale=0.5)
    taken, flow = wall_time(lambda: problem.solve(DECADE * np.geomspace(0.1, 75_000, 60)))
    best = margin.trace_norm(X, y).upper
    print(
        f"quadratic, loss 1e-75000, 60 outputs: {1e3 * taken:.0f} ms (target 200), margin {float(flow['margin'][-1]) / best:.6f} of the optimum"
    )


def relu() -> None:
    """ReLU, 16 units, to a loss of 1e-1000, on data of margin at least 0.05."""
    for number in (1, 3):
        X, y = read(f"relu_{number}")
        best = margin.relu_plane(X, y).upper
        problem = fl.MarginFlow(margin.ReLUModel(16), X, y, rng=1, scale=0.5)
        taken, flow = wall_time(
            lambda problem=problem: problem.solve(DECADE * np.geomspace(0.1, 1000, 30), progress=False), repeats=1
        )
        print(
            f"ReLU, data {number} (largest margin {best:.4f}), loss 1e-1000: {taken:.2f} s (target 10), margin "
            f"{float(flow['margin'][-1]) / best:.5f} of the optimum"
        )


def orthant() -> None:
    """The limit of guess and check, n = 8, to a relative error of 1 % of the test error."""
    problem = fl.GuessAndCheck(*random_networks.gaussian_task(8, rng=1))
    for accuracy in (1e-2, 2e-3):
        taken, limit = wall_time(
            lambda accuracy=accuracy: problem.solve(accuracy=accuracy, rng=0, threads=1, progress=False), repeats=3
        )
        relative = float(limit["test_error_standard_error"] / limit["test_error"])
        print(
            f"guess and check, infinite width, n = 8, relative error {relative:.1e} (asked {accuracy:g}): {taken:.2f} s (target 5 at 1e-2)"
        )


def main() -> None:
    """Print all timings, with the machine and the load on it."""
    print(machine())
    for part in (linear, quadratic, relu, orthant):
        part()


if __name__ == "__main__":
    main()
