"""Speed of the quadratic rooms, as ratios within one run: ``python -m validation.benchmarks.quadratic``.

Competitors run in turn with ours, several times; medians are compared.  The accuracy of both sides is measured against a much
tighter solution, and stated.
"""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import flowlimits as fl
from flowlimits.core.results import provenance

REPEATS = 5
BARE = "import numba, scipy, xarray"
FIRST_CURVE = (
    "import numpy as np, flowlimits as fl; "
    "fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve(np.geomspace(0.01, 5, 200))"
)


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the wall time and the value of a call."""
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def in_turn(*functions: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Return the median time of each function, run in turn so that a drift of the machine hits all alike."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for index, function in enumerate(functions):
            taken[index].append(seconds(function)[0])
    return [statistics.median(times) for times in taken]


def extensive() -> None:
    """Time the limit, and state its accuracy against tighter runs."""
    short, late = np.geomspace(1e-2, 5, 200), np.geomspace(1e-2, 1e6, 200)
    cases = [
        ("two-atom teacher, 200 times to tau = 5", fl.Spectrum.orthonormal(0.25), None, short, 2.0),
        (
            "Marchenko-Pastur teacher, 64 nodes, to tau = 5",
            fl.Spectrum.marchenko_pastur(0.25, nodes=64),
            fl.Spectrum.marchenko_pastur(0.25, nodes=256),
            short,
            30.0,
        ),
        ("two-atom teacher, 200 geometric times to tau = 1e6", fl.Spectrum.orthonormal(0.25), None, late, 100.0),
    ]
    for name, teacher, finer, times, target in cases:
        problem = fl.ExtensiveQuadratic(0.5, teacher)
        seen = problem.solve(times)
        tight = fl.ExtensiveQuadratic(0.5, finer or teacher).solve(times, rtol=1e-12)
        [median] = in_turn(lambda problem=problem, times=times: problem.solve(times), repeats=15)
        errors = {
            variable: float(np.abs(seen[variable] / tight[variable] - 1).max()) for variable in ("risk", "misalignment")
        }
        shown = ", ".join(f"{variable} {error:.1e}" for variable, error in errors.items())
        print(f"{name}: {1e3 * median:.2f} ms (target {target:g}); relative error {shown}")


def numpy_flow(flow: fl.QuadraticFlow, end: float, rtol: float, atol: float) -> np.ndarray:
    """Integrate dW/dt with NumPy and SciPy's RK45, the habit of the field; return Z at the end."""
    from scipy.integrate import solve_ivp

    W, W_star = np.array(flow.W), np.array(flow.W_star)
    p, d = W.shape
    Z_star = W_star.T @ W_star / (len(W_star) * d)

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        w = y.reshape(p, d)
        trace = np.einsum("ij,ij", w, w) / (p * d) - np.trace(Z_star)
        return (-2 * (trace * w + 2 / (p * d) * (w @ w.T) @ w - 2 * w @ Z_star)).ravel()

    last = solve_ivp(velocity, (0, end), W.ravel(), method="RK45", rtol=rtol, atol=atol).y[:, -1].reshape(p, d)
    return last.T @ last / (p * d)


def finite_dimension() -> None:
    """Compare the exact flow with SciPy at equal error."""
    for d, p, k, end, target, repeats in (
        (500, 250, 25, 20.0, 12.0, 3),
        (200, 100, 10, 3000.0, 30.0, 3),
        (50, 25, 10, 20.0, 1.0, 9),
    ):
        flow = fl.QuadraticFlow.gaussian(d, p, k, rng=0)
        exact = float(flow.solve([end], rtol=1e-12, atol=1e-14).risk[0])
        Z_star = np.array(flow.W_star).T @ np.array(flow.W_star) / (k * d)

        def risk_of(Z: np.ndarray, Z_star: np.ndarray = Z_star) -> float:
            D = Z - Z_star
            return float(np.sum(D * D) + 0.5 * np.trace(D) ** 2)

        rtol = 1e-6
        ours, theirs = in_turn(
            lambda flow=flow, end=end, rtol=rtol: flow.solve([end], rtol=rtol, atol=1e-10),
            lambda flow=flow, end=end, rtol=rtol: numpy_flow(flow, end, rtol, 1e-9),
            repeats=repeats,
        )
        error = abs(float(flow.solve([end], rtol=rtol, atol=1e-10).risk[0]) - exact) / exact
        other = abs(risk_of(numpy_flow(flow, end, rtol, 1e-9)) - exact) / exact
        method = provenance(flow.solve([end], rtol=rtol))["method"]
        print(
            f"d = {d}, p = {p}, rank {k}, t = {end:g}: {theirs / ours:.1f} times SciPy RK45 with NumPy (target {target:g}); "
            f"{1e3 * ours:.1f} ms against {1e3 * theirs:.1f} ms; relative error of the risk {error:.1e} against {other:.1e} {method}"
        )


def latency() -> None:
    """Compare fresh processes with a warm cache."""

    def process(code: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    process(FIRST_CURVE)()
    curve, bare = in_turn(process(FIRST_CURVE), process(BARE), repeats=9)
    print(
        f"import to first curve, warm cache: {curve / bare:.2f} times `{BARE}` (target 1.5); {curve:.2f} s against {bare:.2f} s"
    )
    [answer] = in_turn(
        lambda: subprocess.run([sys.executable, "-m", "flowlimits", "--help"], check=True, capture_output=True),
        repeats=9,
    )
    print(f"flowlimits --help: {answer:.2f} s (target 0.25)")


def memory() -> None:
    """Measure the peak of one large solve in a fresh process, less what imports and the problem itself take (Linux only)."""
    code = (
        "import numpy as np, flowlimits as fl; "
        "peak = lambda: next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "fl.QuadraticFlow.gaussian(20, 10, 2, rng=0).solve([0.1, 0.2], method='{method}'); "
        "flow = fl.QuadraticFlow.gaussian(2000, 1000, {k}, rng=0); base = peak(); r = flow.solve([0.01], method='{method}'); "
        "print((peak() - base) * 1024 / (8 * 2000 * 2000))"
    )
    for method, k in (("reduced", 20), ("matrix", 1000)):
        run = subprocess.run(
            [sys.executable, "-c", code.format(method=method, k=k)], check=True, capture_output=True, text=True
        )
        print(f"memory at d = 2000, p = 1000, method {method}: {float(run.stdout):.1f} times d^2 doubles (target 16)")


def main() -> None:
    """Run everything."""
    print(
        f"Python {platform.python_version()}, {platform.machine()}, flowlimits {fl.__version__}, NumPy {np.__version__}"
    )
    extensive()
    finite_dimension()
    latency()
    memory()
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
