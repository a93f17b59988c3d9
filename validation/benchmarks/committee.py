"""Speed of fixed widths, as ratios within one run: ``python -m validation.benchmarks.committee``.

Competitors run in turn with ours, several times; medians are compared, for our own absolute numbers the best of the repeats, which
other work on the machine disturbs least.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import flowlimits as fl
from flowlimits.committee import simulation
from flowlimits.committee.simulation.run import Run
from flowlimits.core.results import provenance

from ..timing import machine

REPEATS = 7


def seconds(function: Callable[[], Any]) -> float:
    """Return the wall time of a call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turn(*functions: Callable[[], Any], repeats: int = REPEATS) -> np.ndarray:
    """Return the times of each function, run in turn, shape (functions, repeats)."""
    return np.array([[seconds(function) for function in functions] for _ in range(repeats)]).T


@numba.njit
def euler_erf(Q, R, T, A, v, lr, sigma, dt, steps):
    """Integrate the equations of Saad & Solla with Euler steps and four nested sums, as nn2pp does."""
    K, M = R.shape
    n = K + M
    C = np.zeros((n, n))
    w = np.concatenate((v, -A))
    for _ in range(steps):
        C[:K, :K] = Q
        C[:K, K:] = R
        C[K:, :K] = R.T
        C[K:, K:] = T
        for i in range(K):
            for r in range(M):
                total = 0.0
                for m in range(n):
                    det = (1 + C[i, i]) * (1 + C[m, m]) - C[i, m] ** 2
                    total += (
                        w[m]
                        * 2
                        / math.pi
                        / math.sqrt(det)
                        * (C[K + r, m] * (1 + C[i, i]) - C[i, K + r] * C[i, m])
                        / (1 + C[i, i])
                    )
                R[i, r] -= dt * lr * v[i] * total
        for i in range(K):
            for j in range(i, K):
                total = 0.0
                for m in range(n):
                    first = (1 + C[i, i]) * (1 + C[m, m]) - C[i, m] ** 2
                    second = (1 + C[j, j]) * (1 + C[m, m]) - C[j, m] ** 2
                    total -= (
                        lr
                        * v[i]
                        * w[m]
                        * 2
                        / math.pi
                        / math.sqrt(first)
                        * (C[j, m] * (1 + C[i, i]) - C[i, j] * C[i, m])
                        / (1 + C[i, i])
                    )
                    total -= (
                        lr
                        * v[j]
                        * w[m]
                        * 2
                        / math.pi
                        / math.sqrt(second)
                        * (C[i, m] * (1 + C[j, j]) - C[i, j] * C[j, m])
                        / (1 + C[j, j])
                    )
                det = (1 + C[i, i]) * (1 + C[j, j]) - C[i, j] ** 2
                for m in range(n):
                    for r in range(n):
                        l0 = det * C[m, r] - C[j, m] * C[j, r] * (1 + C[i, i]) - C[i, m] * C[i, r] * (1 + C[j, j])
                        l0 += C[i, j] * (C[i, m] * C[j, r] + C[i, r] * C[j, m])
                        l1 = (
                            det * (1 + C[m, m])
                            - C[j, m] ** 2 * (1 + C[i, i])
                            - C[i, m] ** 2 * (1 + C[j, j])
                            + 2 * C[i, j] * C[i, m] * C[j, m]
                        )
                        l2 = (
                            det * (1 + C[r, r])
                            - C[j, r] ** 2 * (1 + C[i, i])
                            - C[i, r] ** 2 * (1 + C[j, j])
                            + 2 * C[i, j] * C[i, r] * C[j, r]
                        )
                        total += (
                            lr**2
                            * v[i]
                            * v[j]
                            * w[m]
                            * w[r]
                            * 4
                            / math.pi**2
                            / math.sqrt(det)
                            * math.asin(l0 / math.sqrt(l1 * l2))
                        )
                total += lr**2 * sigma**2 * v[i] * v[j] * 2 / math.pi / math.sqrt(det)
                Q[i, j] += dt * total
                Q[j, i] = Q[i, j]


def erf_flow() -> None:
    """erf, p = k = 4, learning rate 0.1 of nn2pp, to 1,000 steps/N, noise term included."""
    convention = fl.conventions.Nn2pp(4, 4, 0.1)
    W, W_star = (np.random.default_rng(seed).normal(size=(4, 1000)) for seed in (0, 1))
    Q, R, T = (first @ second.T / 1000 for first, second in ((W, W), (W, W_star), (W_star, W_star)))
    problem = convention.problem(Q, R, T, v=np.ones(4), A=np.ones(4))
    end = convention.to_time(np.geomspace(1, 1000, 11))
    tight = problem.solve(end, rtol=1e-12, atol=1e-14)

    def ours() -> Any:
        return problem.solve(end, rtol=3e-8, atol=1e-9)

    euler_q, euler_r = Q.copy(), R.copy()

    def euler() -> None:
        euler_q[:], euler_r[:] = Q, R
        euler_erf(euler_q, euler_r, T, np.ones(4), np.ones(4), 0.1, 0.0, 0.01, 100_000)

    euler_erf(Q.copy(), R.copy(), T, np.ones(4), np.ones(4), 0.1, 0.0, 0.01, 1)
    seen = ours()
    error = max(float(np.abs(seen[name] - tight[name]).max()) for name in ("Q", "R"))
    taken = in_turn(ours, euler, repeats=3)
    off = max(
        float(np.abs(euler_q - tight["Q"][-1].values).max()), float(np.abs(euler_r - tight["R"][-1].values).max())
    )
    core = provenance(seen)["wall_time"]
    fast = min(provenance(ours())["wall_time"] for _ in range(REPEATS))
    print(
        f"erf, 1,000 steps/N: {1e3 * min(fast, core):.2f} ms in the solver, {1e3 * np.median(taken[0]):.1f} ms the call (target 10), error {error:.1e} (target 1e-7)"
    )
    print(
        f"  Euler step 0.01, compiled: {np.median(taken[1]):.2f} s, {np.median(taken[1]) / np.median(taken[0]):.0f} times longer, error {off:.1e}"
    )


def square_evaluations() -> None:
    """Nanoseconds per evaluation, integrator included, and wide networks against their matrix products."""
    for rate in (0.0, 0.05):
        problem = fl.Committee.random(4, 4, dimension=1000, rng=0, learning_rate=rate)
        details = [provenance(problem.solve([20.0, 50.0, 100.0])) for _ in range(30)]
        best = min(one["wall_time"] / one["evaluations"] for one in details)
        print(f"square, p = k = 4, learning rate {rate:g}: {1e9 * best:.0f} ns per evaluation (target 250)")
    for rate in (0.0, 0.002):
        problem = fl.Committee.random(200, 200, dimension=4000, rng=0, learning_rate=rate)
        share = []
        for _ in range(REPEATS):
            took = product_time(200, 200, rate > 0)
            one = provenance(problem.solve([0.5]))
            share.append(one["wall_time"] / one["evaluations"] / took)
        print(
            f"square, p = k = 200, learning rate {rate:g}: {np.median(share):.2f} times its matrix products (target 2)"
        )


def product_time(p: int, k: int, noisy: bool, repeats: int = 50) -> float:
    """Return the time of the matrix products of one evaluation."""
    rng = np.random.default_rng(0)
    first, C = rng.normal(size=(p, p + k)), rng.normal(size=(p + k, p + k))
    out, square = np.empty((p, p + k)), np.empty((p, p))

    def products() -> None:
        for _ in range(repeats):
            np.matmul(first, C, out=out)
            if noisy:
                np.matmul(out, first.T, out=square)

    return seconds(products) / repeats


def steps_per_second(problem: fl.Committee, dimension: int, method: str, count: int) -> float:
    """Return steps per second on one thread, best of several."""
    state = simulation.state_at_start(problem, method, dimension, np.random.default_rng(0), None)
    run = Run(problem, state, dimension, method)
    pace = np.array([problem.learning_rate, 1.0])
    return count / min(seconds(lambda: run.take(count, pace)) for _ in range(REPEATS))


def numpy_sgd(W: np.ndarray, W_star: np.ndarray, rate: float, steps: int, rng: np.random.Generator) -> None:
    """One-pass SGD for the square activation, the way it is written in NumPy."""
    p, d = W.shape
    for _ in range(steps):
        x = rng.standard_normal(d)
        lam, lam_star = W @ x / math.sqrt(d), W_star @ x / math.sqrt(d)
        error = np.mean(lam_star**2) - np.mean(lam**2)
        W += np.outer(rate / p * error * 2 * lam, x / math.sqrt(d))


def simulations() -> None:
    """Steps per second, and the ratio to NumPy."""
    for activation, rate in (("square", 0.01), ("erf", 0.1), ("relu", 0.1)):
        problem = fl.Committee.random(4, 4, dimension=1000, rng=0, learning_rate=rate, activation=activation)
        print(
            f"overlaps, {activation}, p = k = 4, d = 1e6: {steps_per_second(problem, 10**6, 'overlaps', 200_000) / 1e6:.2f} million steps per second and core (target 3)"
        )
    problem = fl.Committee.random(4, 4, dimension=1000, rng=0, learning_rate=0.01)
    W, W_star = (np.array(one) for one in problem.weights(1000, rng=0))
    rng, count = np.random.default_rng(0), 5000
    ratios = []
    for _ in range(REPEATS):
        compiled = steps_per_second(problem, 1000, "samples", count)
        ratios.append(compiled * seconds(lambda: numpy_sgd(W, W_star, 0.01, count, rng)) / count)
    print(
        f"samples, d = 1000: {compiled / 1e6:.3f} million steps per second, {np.median(ratios):.1f} times NumPy (target 4)"
    )


def plateau_escape() -> None:
    """Theory and simulation of an escape from mediocrity at d = 1e5."""
    d, times = 10**5, np.linspace(0.0, 3.0, 40)
    problem = fl.Committee([[1.0]], [[1 / math.sqrt(d)]], [[1.0]], learning_rate=0.05, spherical=True)
    began = time.perf_counter()
    theory = problem.solve(times)
    runs = problem.simulate(times, dimension=d, runs=4, rng=0, progress=False)
    taken = time.perf_counter() - began
    print(
        f"phase retrieval at d = 1e5, 4 runs of {provenance(runs)['steps']:,} steps through the escape, and the theory: {taken:.1f} s (target 10); "
        f"final m: {float(theory['R'][-1, 0, 0]):.4f}, runs {np.round(np.abs(runs['R'][:, -1, 0, 0].values), 4).tolist()}"
    )


def polynomials() -> None:
    """Degree 4: nothing is derived or compiled per activation, so that the first solve costs what the second one does."""
    for p, k, activation in ((2, 1, "hermite4"), (4, 4, "hermite4"), (4, 4, "x**4 - 5*x**2 + x")):
        problem = fl.Committee.random(p, k, dimension=1000, rng=0, learning_rate=1e-4, activation=activation)
        first, second = (
            seconds(lambda problem=problem: problem.solve([0.01])),
            seconds(lambda problem=problem: problem.solve([0.01])),
        )
        one = provenance(problem.solve([0.01]))
        print(
            f"{activation}, p = {p}, k = {k}: first solve {first:.3f} s, second {second:.3f} s, {1e6 * one['wall_time'] / one['evaluations']:.1f} us per evaluation"
        )


def main() -> None:
    """Print all comparisons, with the machine and the load on it."""
    print(machine())
    for part in (square_evaluations, erf_flow, polynomials, simulations, plateau_escape):
        part()


if __name__ == "__main__":
    main()
