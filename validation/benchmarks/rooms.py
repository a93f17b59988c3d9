"""Speed of rooms beside what a user would write: ``python -m validation.benchmarks.rooms [PART ...]``.

Beside flows on samples stands full-batch descent with NumPy, beside big simulations one decomposition of a matrix, beside groups of eigenvalues
and the mean field SciPy's integrators with NumPy at the same error, beside steady states SciPy's root finder.  Processor time counts.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Callable

import numba
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve

import flowlimits as fl
from flowlimits.core.results import provenance

from .. import boursier2025
from ..timing import machine, once, seconds_of


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
    for d in (500, 1000, 2000, 4000):
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


def as_good_as(error: float, run: Callable[[float], np.ndarray], exact: np.ndarray) -> tuple[float, float, float]:
    """Return processor time, error and rtol of the loosest of the tolerances 1e-3, 1e-4, ... with at most this error."""
    for rtol in 10.0 ** -np.arange(3.0, 13.0):
        found = float(np.abs(run(rtol) - exact).max())
        if found <= error:
            return seconds_of(lambda rtol=rtol: run(rtol))[0], found, rtol
    return math.nan, found, rtol


def beside_scipy(
    name: str,
    ours: Callable[[float], np.ndarray],
    run: Callable[[str, float], np.ndarray],
    methods: tuple[str, ...] = ("DOP853", "LSODA", "Radau"),
) -> None:
    """Print our time and error at rtol = 1e-8, and those of SciPy's methods at that error; errors are absolute, of the risk."""
    exact = ours(1e-12)
    taken, found = seconds_of(lambda: ours(1e-8))
    error = float(np.abs(found - exact).max())
    print(
        f"{name}: {1e3 * taken:.2f} ms, error {error:.1e}; SciPy at 1e-10 differs by {np.abs(run('LSODA', 1e-10) - exact).max():.0e}"
    )
    for method in methods:
        used, worse, rtol = as_good_as(max(error, 1e-10), lambda rtol, method=method: run(method, rtol), exact)
        how = "" if "compiled" in method else ", NumPy"
        print(
            f"  SciPy {method}{how}, rtol {rtol:.0e}: {1e3 * used:.1f} ms, {used / taken:.1f} times ours; error {worse:.1e}"
        )


def erf_pull(C: np.ndarray, w: np.ndarray, q: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return E[s_i s_u] of erf units with overlaps C and squared norms q, r, and the two pulls of (C3) of the units, from weights w."""
    size = np.outer(1.0 + q, 1.0 + r)
    B = 2 / np.pi / np.sqrt(size - C * C)
    return 2 / np.pi * np.arcsin(C / np.sqrt(size)), -(B * C) @ w / (1.0 + q), B * w


def groups() -> None:
    """Gradient flow of two erf units under a covariance of 20 groups, by order parameters, as (C14) for NumPy."""
    p = k = 2
    values = np.geomspace(1.0, 1e-2, 20)
    W = np.random.default_rng(0).standard_normal((20, p + k, 10)) / math.sqrt(200)
    W[:, :p] *= 0.3
    start, w = W @ W.transpose(0, 2, 1), np.repeat([1 / p, -1 / k], [p, k])
    times = np.geomspace(0.1, 2000, 20)
    covariance = np.repeat(values, 10)
    problem = fl.Committee(
        start[:, :p, :p], start[:, :p, p:], start[:, p:, p:], activation="erf", covariance=covariance
    )

    def parts(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        groups = start.copy()
        groups[:, :p] = y.reshape(20, p, p + k)
        groups[:, p:, :p] = groups[:, :p, p:].transpose(0, 2, 1)
        return groups, np.tensordot(values, groups, 1)

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        groups, C = parts(y)
        q = np.diagonal(C)
        _, own, pull = erf_pull(C[:p], w, q[:p], q)
        pull[:, :p] += np.diag(own)
        change = -values[:, None, None] * (pull @ groups)
        change[:, :, :p] += change[:, :, :p].transpose(0, 2, 1)
        return np.asarray(change.ravel())

    @numba.njit(error_model="numpy")
    def compiled(_: float, y: np.ndarray) -> np.ndarray:
        rows, change = y.reshape(20, p, p + k), np.zeros((20, p, p + k))
        groups = start.copy()
        groups[:, :p] = rows
        for i in range(p):
            groups[:, p:, i] = rows[:, i, p:]
        C = np.zeros((p + k, p + k))
        for c in range(20):
            C += values[c] * groups[c]
        for i in range(p):
            for u in range(p + k):
                B = 2 / np.pi / np.sqrt((1 + C[i, i]) * (1 + C[u, u]) - C[i, u] ** 2)
                own = B * C[i, u] / (1 + C[i, i])
                for c in range(20):
                    for v in range(p + k):
                        change[c, i, v] -= values[c] * w[u] * (B * groups[c, u, v] - own * groups[c, i, v])
        for c in range(20):
            for i in range(p):
                for j in range(i + 1):
                    change[c, i, j] = change[c, j, i] = change[c, i, j] + change[c, j, i]
        return change.ravel()

    def run(method: str, rtol: float) -> np.ndarray:
        equations = compiled if "compiled" in method else velocity
        found = solve_ivp(
            equations, (0, times[-1]), start[:, :p].ravel(), method.partition(",")[0], times, rtol=rtol, atol=rtol / 100
        )
        risks = []
        for y in found.y.T:
            C = parts(y)[1]
            K, _, _ = erf_pull(C, w, np.diagonal(C), np.diagonal(C))
            risks.append(float(0.5 * w @ K @ w))
        return np.array(risks)

    beside_scipy(
        "erf, p = k = 2, 20 groups of eigenvalues 0.01 to 1, 20 times to t = 2,000",
        lambda rtol: np.asarray(problem.solve(times, rtol=rtol, atol=rtol / 100).risk),
        run,
        ("DOP853", "LSODA", "Radau", "LSODA, equations compiled by Numba"),
    )


def mean_field() -> None:
    """Flow of 200 atoms of erf units of infinite width at infinite dimension, both layers, by pairs of atoms for NumPy."""
    P = 200
    rng = np.random.default_rng(0)
    u, a, T = 0.3 * rng.standard_normal((P, 2)), rng.standard_normal(P), np.array([[1.0, 0.0], [0.3, 0.9]])
    problem = fl.MeanField(T @ np.eye(2), fl.Ensemble(None, a, u, 1.0), activation="erf", second_layer_rate=1.0)
    times = np.geomspace(0.1, 100, 20)

    def pulls(y: np.ndarray) -> tuple[np.ndarray, ...]:
        u, s, a = y[: 2 * P].reshape(P, 2), y[2 * P : 3 * P], y[3 * P :]
        rows, w = np.vstack([u, T]), np.append(a / P, [-0.5, -0.5])
        q = np.append((u**2).sum(1) + s**2, (T**2).sum(1))
        return (u, s, a, rows, w, q, *erf_pull(u @ rows.T, w, q[:P], q))

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        u, s, a, rows, w, _, K, own, pull = pulls(y)
        change = -a[:, None] * (own[:, None] * u + pull @ rows)
        return np.concatenate([change.ravel(), -a * own * s, -K @ w])

    def run(method: str, rtol: float) -> np.ndarray:
        start = np.concatenate([u.ravel(), np.ones(P), a])
        found = solve_ivp(velocity, (0, times[-1]), start, method, times, rtol=rtol, atol=rtol / 100)
        risks = []
        for y in found.y.T:
            *_, rows, w, q, _, _, _ = pulls(y)
            K, _, _ = erf_pull(rows @ rows.T, w, q, q)
            risks.append(float(0.5 * w @ K @ w))
        return np.array(risks)

    beside_scipy(
        "mean field of erf units, 200 atoms, both layers, 20 times to t = 100",
        lambda rtol: np.asarray(problem.solve(times, rtol=rtol, atol=rtol / 100).risk),
        run,
    )


def empirical() -> None:
    """A hundred steady states, (E3) and (E4), beside SciPy's root finder over quadrature of the law of (E5) by companion matrices."""
    ratio, noise, decay, ratios = 0.5, 0.25, 0.4, np.linspace(0.3, 1.0, 100)
    problem = fl.EmpiricalQuadratic(1.0, fl.Spectrum.marchenko_pastur(ratio), 0.4, noise=noise, weight_decay=decay)

    def law(xi: float, x: np.ndarray) -> np.ndarray:
        """Return m of (E5) at x: the root with the least imaginary part of a cubic equation."""
        companion = np.zeros((x.size, 3, 3))
        companion[:, 1, 0] = companion[:, 2, 1] = 1.0
        companion[:, 0, 2], companion[:, 1, 2] = ratio / xi, -(1 - ratio + ratio * x) / xi
        companion[:, 2, 2] = (x + ratio * xi) / xi
        roots = np.linalg.eigvals(companion)
        return np.take_along_axis(roots, roots.imag.argmin(axis=1)[:, None], 1)[:, 0]

    def curve(nodes: int) -> np.ndarray:
        points, weights = np.polynomial.legendre.leggauss(nodes)
        points, weights = 0.5 * (1 + points), 0.5 * weights
        Q = 1 + 1 / ratio
        found, guess = [], np.array([0.5, 0.3])

        def integrals(xi: float, q: float) -> tuple[float, float]:
            low, high = q, (1 + ratio**-0.5) ** 2 + 2.2 * math.sqrt(xi)
            for _ in range(50):  # the upper edge
                middle = 0.5 * (low + high)
                low, high = (middle, high) if law(xi, np.array([middle]))[0].imag < -1e-9 else (low, middle)
            x = high - (high - q) * points**2
            m, dx = law(xi, x), 2 * (high - q) * points * weights
            density = -m.imag / np.pi * dx
            J = density @ ((x - q) * m.real)
            return Q + density @ (q * q - x * x) + 4 * xi * J, J

        for alpha in ratios:

            def equations(pair: np.ndarray, alpha: float = alpha) -> list[float]:
                risk, J = integrals(*np.abs(pair))
                return [risk + noise / 2 - 2 * alpha * abs(pair[0]), decay / 4 + (J / alpha - 1) * abs(pair[1])]

            guess = np.abs(fsolve(equations, guess, xtol=1e-10))
            found.append(integrals(*guess)[0])
        return np.array(found)

    ours, found = seconds_of(lambda: np.asarray(problem.solve(sample_ratios=ratios).risk))
    print(f"steady states at 100 sample ratios, Gaussian teacher: {1e3 * ours:.2f} ms")
    exact = curve(200)
    for nodes in (20, 40, 80):
        used, curved = once(lambda nodes=nodes: curve(nodes))
        print(
            f"  SciPy fsolve, {nodes} nodes: {1e3 * used:.0f} ms, {used / ours:.0f} times ours; "
            f"error {np.abs(curved - exact).max():.1e}, ours from the same reference {np.abs(found - exact).max():.1e}"
        )


PARTS = {
    "samples": samples, "extensive": extensive, "groups": groups, "mean_field": mean_field, "empirical": empirical,
}  # fmt: skip


def main() -> None:
    """Print the timings of the parts named, or of all."""
    print(machine())
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
