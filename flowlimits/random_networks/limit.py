"""The limit of infinite width: a quadrature that is refined until its error bars are small enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.threads import run_threads
from . import equations_orthant, orthant
from .physics import GuessAndCheckPhysics

if TYPE_CHECKING:
    import xarray as xr

#: Points per shift from which on the error is judged, and a power of the points that its fall does not exceed.
SETTLED = 2048
FASTEST = 1.5


def integrate_orthant(
    pieces: tuple[np.ndarray, np.ndarray, np.ndarray],
    accuracy: float,
    max_points: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> tuple[dict[str, float], int]:
    """Return the numbers of the limit and the points used; double the points until the accuracy is reached.

    The shifts stay those of the first round: what the accuracy asks for does not change the random streams.
    """
    L, A, spread = pieces
    n = L.shape[0]
    steps = orthant.lattice_steps(n)
    shifts = [generator.random(n) for generator in streams.generators(root, orthant.SHIFTS)]
    points = 256
    while True:
        number = points
        pairs = np.array(
            run_threads(
                lambda i: equations_orthant.orthant(L, A, spread, steps, shifts[i], number),  # noqa: B023
                orthant.SHIFTS,
                threads=threads,
                progress=progress,
                description="shifts of the quadrature",
            )
        )
        if (pairs[:, 0] > 0).all():
            values = orthant.summarise(pairs[:, 0], pairs[:, 1])
            reached = values["test_error_standard_error"] / max(values["test_error"], np.finfo(float).tiny)
            reached = max(reached, 0.1 * values["acceptance_standard_error"] / values["acceptance"])
            if reached <= accuracy:
                return values, points * orthant.SHIFTS
        else:
            reached = np.inf
        used = points * orthant.SHIFTS
        hopeless = (
            points >= SETTLED and np.isfinite(reached) and reached * (used / max_points) ** FASTEST > 3 * accuracy
        )
        if 2 * used > max_points or hopeless:
            raise RuntimeError(
                f"The quadrature reached a relative error of {reached:.2g} of the test error, not {accuracy:g}, with {used} points"
                + (f", and will not get there with max_points={max_points}" if 2 * used <= max_points else "")
                + ": raise `max_points` or `accuracy`."
            )
        points *= 2


def solve(
    physics: GuessAndCheckPhysics, *, accuracy: float, max_points: int, rng: Any, threads: int | None, progress: bool | None
) -> xr.Dataset:  # fmt: skip
    """Return the limit; see `GuessAndCheck.solve`."""
    target = checks.number("accuracy", accuracy, positive=True)
    most = checks.integer("max_points", max_points, minimum=256 * orthant.SHIFTS)
    root = streams.root(rng)
    began = time.perf_counter()
    kept = orthant.distinct(physics.X, physics.y)
    pieces = orthant.conditional(physics.X[kept], physics.y[kept], physics.X_test, physics.y_test, physics.depth)
    values, points = integrate_orthant(pieces, target, most, root, threads, progress)
    return results.build(
        physics,
        kind="limit",
        times=None,
        variables={name: np.array(value) for name, value in values.items()},
        call={"verb": "solve", "accuracy": target, "max_points": most},
        provenance={
            "method": "separation of variables",
            "points": points,
            "wall_time": time.perf_counter() - began,
        },
        root=root,
    )
