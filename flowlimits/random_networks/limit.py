r"""The limit of infinite width: Gaussian orthant probabilities, by a quadrature that is refined until its error bars are small enough.

A network of `depth` hidden layers, no biases, weights of mean zero and variance 1/fan-in, is a Gaussian process in the
limit of infinite widths, with the covariance

.. math::
    K_0(x, x') = \frac{x\cdot x'}{d}, \qquad
    K_{l+1}(x, x') = \frac{\sqrt{K_l(x,x)\,K_l(x',x')}}{2\pi}\bigl(\sin\vartheta + (\pi - \vartheta)\cos\vartheta\bigr),

:math:`\vartheta` the angle that :math:`K_l` gives to the pair (Cho and Saul, 2009).  Signs of outputs do not see the scale, so
that the factor two of each layer is dropped: :math:`K_l(x, x)` is the same for all l.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.threads import run_threads
from . import equations
from .physics import GuessAndCheckPhysics, distinct

if TYPE_CHECKING:
    import xarray as xr


def cosines(X: np.ndarray) -> np.ndarray:
    """Return the cosines of the angles between the rows of `X`, shape (n, n), with ones on the diagonal."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    result = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(result, 1.0)
    return result


def arc_cosine(C: np.ndarray) -> np.ndarray:
    """Return the correlations after one more hidden layer, from those before it."""
    angle = np.arccos(np.clip(C, -1.0, 1.0))
    result = (np.sin(angle) + (np.pi - angle) * C) / np.pi
    np.fill_diagonal(result, 1.0)
    return result


def correlations(X: np.ndarray, depth: int) -> np.ndarray:
    """Return the correlations of the outputs at the rows of `X`, for networks of `depth` hidden layers.

    The scale of each row is irrelevant: without biases the output is homogeneous in x.
    """
    C = cosines(X)
    for _ in range(depth):
        C = arc_cosine(C)
    return C


#: Independent random shifts of the lattice rule, from which the error bars come.
SHIFTS = 16
#: A conditional variance below this is mostly rounding.
DEPENDENT = 1e-11


def conditional(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L, A and spread of `equations.orthant` for a task (rows of `X` of distinct directions)."""
    n = len(y)
    C = correlations(np.vstack([X, X_test]), depth)
    train = C[:n, :n] * np.outer(y, y)
    cross = C[n:, :n] * np.outer(y_test, y)
    try:
        L = np.linalg.cholesky(train)
        dependent = L.diagonal().min() ** 2 < DEPENDENT
    except np.linalg.LinAlgError:
        dependent = True
    if dependent:
        raise ValueError(
            f"The outputs at the training points are linearly dependent to rounding at depth {depth}: remove near duplicates or lower `depth`."
        )
    half = np.linalg.solve(L, cross.T)
    A = np.linalg.solve(L.T, half).T
    variance = 1.0 - np.einsum("it,it->t", half, half)
    # A test point on a training point has no spread; rounding leaves about 1e-15.
    spread = np.sqrt(np.where(variance > 1e-13, variance, 0.0))
    return np.ascontiguousarray(L), np.ascontiguousarray(A), spread


def lattice_steps(n: int) -> np.ndarray:
    """Return the square roots of the first n primes, modulo one (Richtmyer's rule)."""
    primes: list[int] = []
    candidate = 2
    while len(primes) < n:
        if all(candidate % p for p in primes if p * p <= candidate):
            primes.append(candidate)
        candidate += 1
    return np.sqrt(np.array(primes, dtype=float)) % 1.0


def summarise(probability: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return acceptance and test error with standard errors, from one value of both integrals per shift.

    The test error is a ratio; its standard error is that of the linearised ratio.
    """
    count = probability.size
    acceptance = probability.mean()
    error = wrong.mean() / acceptance
    deviations = (wrong - error * probability) / acceptance
    return {
        "acceptance": float(acceptance),
        "acceptance_standard_error": float(probability.std(ddof=1) / np.sqrt(count)),
        "test_error": float(error),
        "test_error_standard_error": float(deviations.std(ddof=1) / np.sqrt(count)),
    }


def share_of_a_point(pairs: np.ndarray, points: int) -> float:
    """Return the inverse of the effective number of points: a smaller share of the networks may lie between them, unlike all that were seen."""
    acceptance = pairs[:, 0].mean()
    return float(pairs[:, 2].mean() / acceptance / acceptance / (len(pairs) * points))


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
    steps = lattice_steps(n)
    shifts = [generator.random(n) for generator in streams.generators(root, SHIFTS)]
    points = 256
    while True:
        number = points
        pairs = np.array(
            run_threads(
                lambda i: equations.orthant(L, A, spread, steps, shifts[i], number),  # noqa: B023
                SHIFTS,
                threads=threads,
                progress=progress,
                description="shifts of the quadrature",
            )
        )
        if (pairs[:, 0] > 0).all():
            values = summarise(pairs[:, 0], pairs[:, 1])
            reached = values["test_error_standard_error"] / max(values["test_error"], np.finfo(float).tiny)
            reached = max(reached, 0.1 * values["acceptance_standard_error"] / values["acceptance"])
            if reached <= accuracy:
                # Where nearly all networks are wrong, or right, the few others may not have been met.
                unmet = share_of_a_point(pairs, points) if spread.any() else 0.0
                values["test_error_standard_error"] = float(np.hypot(values["test_error_standard_error"], unmet))
                return values, points * SHIFTS
        else:
            reached = np.inf
        used = points * SHIFTS
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
    most = checks.integer("max_points", max_points, minimum=256 * SHIFTS)
    root = streams.root(rng)
    began = time.perf_counter()
    kept = distinct(physics.X, physics.y)
    pieces = conditional(physics.X[kept], physics.y[kept], physics.X_test, physics.y_test, physics.depth)
    values, points = integrate_orthant(pieces, target, most, root, threads, progress)
    return results.build(
        physics,
        kind="limit",
        times=None,
        variables={name: np.array(value) for name, value in values.items()},
        call={"verb": "solve", "accuracy": target, "max_points": most},
        provenance={"method": "separation of variables", "points": points, "wall_time": time.perf_counter() - began},
        root=root,
    )
