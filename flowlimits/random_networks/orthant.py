"""The infinite-width limit of guess and check: Gaussian orthant probabilities with error bars."""

from __future__ import annotations

import numpy as np

from .kernel import correlations

#: Independent random shifts of the lattice rule, from which the error bars come.
SHIFTS = 16
#: Training points whose cosine is this close to one count as one point.
SAME = 1e-12
#: A conditional variance below this is mostly rounding.
DEPENDENT = 1e-11


def distinct(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the rows of `X` of distinct directions; refuse equal directions with opposite labels.

    Without biases the outputs at two inputs of the same direction have the same sign.
    """
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    kept: list[int] = []
    for i in range(len(y)):
        same = [j for j in kept if unit[i] @ unit[j] > 1 - SAME]
        if same and y[same[0]] != y[i]:
            raise ValueError(
                f"Rows {same[0]} and {i} of `X` have the same direction but opposite labels: no network without biases classifies both."
            )
        if not same:
            kept.append(i)
    return np.array(kept)


def conditional(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L, A and spread of `equations_orthant.orthant` for a task (rows of `X` of distinct directions)."""
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
