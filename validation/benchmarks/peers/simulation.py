"""Steps of one-pass SGD per second, against NumPy and torch: square activations, p = k = 4."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..committee import numpy_sgd
from .clock import in_turn, on_one_processor

DIMENSION, RATE = 1000, 0.01


def torch_sgd(W: np.ndarray, W_star: np.ndarray, steps: int) -> Callable[[], None]:
    """The same step with torch: gradients by hand, in place, double precision; autograd would take longer."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    weights, teacher = torch.tensor(W), torch.tensor(W_star)
    p, d = W.shape

    def run() -> None:
        for _ in range(steps):
            x = torch.randn(d, dtype=torch.float64) / math.sqrt(d)
            lam, lam_star = weights @ x, teacher @ x
            error = float((lam_star**2).mean() - (lam**2).mean())
            weights.addr_(lam, x, alpha=2 * RATE / p * error)

    return run


def torch_autograd(W: np.ndarray, W_star: np.ndarray, steps: int) -> Callable[[], None]:
    """The same step as it is usually written: autograd and `torch.optim.SGD`."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    weights, teacher = torch.tensor(W, requires_grad=True), torch.tensor(W_star)
    d = W.shape[1]
    optimizer = torch.optim.SGD([weights], lr=RATE * 1.0)

    def run() -> None:
        for _ in range(steps):
            x = torch.randn(d, dtype=torch.float64) / math.sqrt(d)
            loss = 0.5 * (((weights @ x) ** 2).mean() - ((teacher @ x) ** 2).mean()) ** 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def run(quick: bool) -> dict[str, Any]:
    """Return steps per second, on one thread."""
    import flowlimits as fl
    from flowlimits.committee import simulation
    from flowlimits.committee.simulation.run import Run

    problem = fl.Committee.random(4, 4, dimension=DIMENSION, rng=0, learning_rate=RATE)
    W, W_star = (np.array(one) for one in problem.weights(DIMENSION, rng=0))
    pace = np.array([RATE, 1.0])

    def compiled(method: str, dimension: int, steps: int) -> Callable[[], None]:
        state = simulation.state_at_start(problem, method, dimension, np.random.default_rng(0), None)
        chain = Run(problem, state, dimension, method)
        return lambda: chain.take(steps, pace)

    skipped = {}
    undo = on_one_processor()
    try:
        cases: dict[str, tuple[int, Any]] = {
            "flowlimits, overlaps, any d": (200_000, compiled("overlaps", 10**6, 200_000)),
            f"flowlimits, samples, d = {DIMENSION}": (20_000, compiled("samples", DIMENSION, 20_000)),
            f"NumPy loop, d = {DIMENSION}": (
                2000,
                lambda: numpy_sgd(W.copy(), W_star, RATE, 2000, np.random.default_rng(0)),
            ),
        }
        for name, make in (
            (f"torch, gradient by hand, d = {DIMENSION}", torch_sgd),
            (f"torch, autograd, d = {DIMENSION}", torch_autograd),
        ):
            try:
                cases[name] = (1000, make(W, W_star, 1000))
            except Exception as error:  # a broken installation raises whatever it likes
                skipped[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        for _, function in cases.values():
            function()
        taken = in_turn({name: function for name, (_, function) in cases.items()}, 2 if quick else 9)
    finally:
        undo()
    rows = {
        name: {"processor": cases[name][0] / times.median(), "wall": cases[name][0] / times.median("wall")}
        for name, times in taken.items()
    }  # fmt: skip
    return {"rows": rows, "skipped": skipped}
