"""Speed of flows on samples and of big simulations: ``python -m validation.benchmarks.rooms [PART ...]``.

Beside them stand full-batch descent with NumPy, with the error on both sides, and one decomposition of a matrix.  Processor time counts.
"""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np

import flowlimits as fl
from flowlimits.core.results import provenance

from .. import boursier2025
from ..timing import machine, once


def descent(X: np.ndarray, y: np.ndarray, W: np.ndarray, a: np.ndarray, end: float, step: float) -> float:
    """Return the training loss after full-batch descent of a ReLU network with matrices of NumPy, as is usual."""
    W, a = W.copy(), a.copy()
    for _ in range(round(end / step)):
        fields = X @ W.T
        value = np.maximum(fields, 0.0)
        pull = (y - value @ a) / len(y)
        W, a = W + step * a[:, None] * ((fields > 0.0) * pull[:, None]).T @ X, a + step * value.T @ pull
    return float(0.5 * np.mean((y - np.maximum(X @ W.T, 0.0) @ a) ** 2))


def samples() -> None:
    """Full-batch flow, n = 1,000, d = 20, width 100, to t = 25, beside descent with NumPy at the error of ours, or below it."""
    X, y, _ = boursier2025.data(1000, 20, np.random.default_rng(1))
    problem = fl.SampleFlow(X, y, width=100, rng=0)
    end = 25.0
    exact = float(problem.solve([end], rtol=1e-6).risk[0])
    problem.solve([0.1])
    taken, flow = once(lambda: problem.solve([end]))
    error = abs(float(flow.risk[0]) / exact - 1)
    evaluations = provenance(flow)["evaluations"]
    print(
        f"sample flow, n = 1,000, d = 20, width 100, to t = 25: {taken:.2f} s with its estimate of the error, {evaluations} evaluations; error {error:.1e}"
    )
    for step in (0.04, 0.01, 0.0025):
        used, loss = once(lambda step=step: descent(X, y, problem.W, problem.second_layer, end, step))
        print(
            f"  NumPy, steps of {step:g}: {used:.2f} s, {used / taken:.2f} times ours; error {abs(loss / exact - 1):.1e}"
        )


def extensive() -> None:
    """Simulations of extensive width by dimension, in units of one decomposition of a symmetric matrix."""
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.05))
    times = np.geomspace(1e-2, 5, 30)
    for d in (500, 1000, 2000):
        problem.simulate(times, dimension=40, runs=1, rng=0, progress=False)
        S = np.random.default_rng(0).standard_normal((d, d))
        decomposition, _ = once(lambda S=S: np.linalg.eigh(S + S.T))
        taken, _ = once(lambda d=d: problem.simulate(times, dimension=d, runs=1, rng=0, progress=False))
        tracemalloc.start()
        problem.simulate(times, dimension=d, runs=1, rng=0, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(
            f"extensive simulation, Gaussian teacher of rank d/20, d = {d}, 30 times to tau = 5: {taken:.2f} s a run, {taken / decomposition:.2f} times one "
            f"decomposition; {peak / 8 / d**2:.1f} times d^2 doubles a run"
        )


PARTS = {"samples": samples, "extensive": extensive}


def main() -> None:
    """Print the timings of the parts named, or of all."""
    print(machine())
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
