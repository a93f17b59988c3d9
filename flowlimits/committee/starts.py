"""Weights with exactly given overlaps, and the overlaps of weights drawn at random."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from .physics import SLACK

if TYPE_CHECKING:
    from .physics import Physics


#: Beyond this dimension random weights are not drawn themselves: four units each would take gigabytes at 10^8.
LARGEST_DRAWN = 10**6


def check_dimension(problem: Physics, dimension: int) -> int:
    """Return the dimension if weights with the problem's overlaps exist there: it must reach their rank."""
    size = problem.student_width + problem.teacher_width
    dimension = checks.integer("dimension", dimension, minimum=1)
    if problem.covariance is not None:
        problem.covariance.check_dimension(_gram(problem.Q, problem.R, problem.T), dimension)
        return dimension
    if dimension < size:
        values = np.linalg.eigvalsh(_gram(problem.Q, problem.R, problem.T))
        rank = int((values > SLACK * values[-1]).sum())
        if dimension < rank:
            reason = "student_width + teacher_width" if rank == size else "the rank of [[Q, R], [R.T, T]]"
            raise ValueError(
                f"Argument `dimension` must be at least {reason} = {rank} to realise these overlaps, but is {dimension}."
            )
    return dimension


def _gram(Q: np.ndarray, R: np.ndarray, T: np.ndarray) -> np.ndarray:
    return np.block([[T, R.swapaxes(-1, -2)], [R, Q]])


def coordinates(problem: Physics, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, m), (k, m), with W W^T = Q, W W_star^T = R, W_star W_star^T = T.

    In p + k dimensions or more m = p + k and both are lower triangular, the teacher's in the first k columns; below m = dimension.
    Eigenvectors and a QR decomposition rather than Cholesky, because overlaps may be singular.
    """
    p, k = problem.R.shape
    if problem.coordinates is not None:
        rows = np.vstack([problem.coordinates[p:], problem.coordinates[:p]])
        if rows.shape[1] > dimension:
            rows = np.linalg.qr(rows.T)[1].T[:, :dimension]
        elif dimension >= len(rows):
            rows = np.linalg.qr(np.pad(rows, ((0, 0), (0, len(rows) - rows.shape[1]))).T)[1].T
        return np.ascontiguousarray(rows[k:]), np.ascontiguousarray(rows[:k])
    return _rows(_gram(problem.Q, problem.R, problem.T), k, dimension)


def group_coordinates(problem: Physics, dimension: int) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return the directions of each group, and its (W, W_star) as in `coordinates`."""
    assert problem.covariance is not None
    counts = problem.covariance.multiplicities(dimension)
    grams = _gram(problem.Q, problem.R, problem.T)
    return counts, [_rows(gram, problem.teacher_width, int(count)) for gram, count in zip(grams, counts)]


def _rows(gram: np.ndarray, k: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(gram)
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    if dimension == 0:
        rows = rows[:, :0]
    elif dimension < len(values):
        # The rest is round-off of overlaps whose rank is at most the dimension.
        rows = rows[:, -dimension:]
    else:
        rows = np.linalg.qr(rows.T)[1].T
    return np.ascontiguousarray(rows[k:]), np.ascontiguousarray(rows[:k])


def weights(problem: Physics, dimension: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, d), (k, d), of exactly the problem's overlaps along random orthonormal directions."""
    dimension = check_dimension(problem, dimension)
    checks.check_elements("dimension", dimension, float(sum(problem.R.shape[-2:])) * dimension)
    length = float(np.sqrt(dimension))
    if problem.covariance is None:
        return _turned(*coordinates(problem, dimension), dimension, length, generator)
    counts, blocks = group_coordinates(problem, dimension)
    turned = [_turned(*block, int(count), length, generator) for block, count in zip(blocks, counts)]
    return np.hstack([W for W, _ in turned]), np.hstack([W for _, W in turned])


def _turned(
    student: np.ndarray, teacher: np.ndarray, dimension: int, length: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    frame, triangle = np.linalg.qr(generator.standard_normal((dimension, student.shape[1])))
    # The signs make the frame uniformly distributed.
    frame *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
    frame = length * frame.T
    return student @ frame, teacher @ frame


def gaussian_weights(
    p: int, k: int, dimension: int, scale: float, spherical: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (W, W_star), shapes (p, d), (k, d), with entries N(0, scale^2) and N(0, 1); of norm sqrt(d) if spherical."""
    W, W_star = scale * generator.standard_normal((p, dimension)), generator.standard_normal((k, dimension))
    if spherical:
        W *= np.sqrt(dimension) / np.linalg.norm(W, axis=1, keepdims=True)
        W_star *= np.sqrt(dimension) / np.linalg.norm(W_star, axis=1, keepdims=True)
    return W, W_star


def wishart_overlaps(
    p: int, k: int, dimension: int, scale: float, spherical: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return overlaps (Q, R, T) with the law of those of `gaussian_weights`, in a dimension of at least p + k.

    The Gram matrix of p + k Gaussian rows has Wishart's law with d degrees of freedom.  By Bartlett's decomposition it is A A^T with A
    lower triangular, standard normal entries below the diagonal, and squares of chi2(d), chi2(d - 1), ... on it.
    """
    n = p + k
    A = np.tril(generator.standard_normal((n, n)), -1)
    A[np.diag_indices(n)] = np.sqrt(generator.chisquare(dimension - np.arange(n)))
    lengths = np.concatenate([np.full(p, scale), np.ones(k)])
    rows = A / np.linalg.norm(A, axis=1, keepdims=True) if spherical else lengths[:, None] * A / np.sqrt(dimension)
    C = rows @ rows.T
    return C[:p, :p], C[:p, p:], C[p:, p:]


def physics_of(problem: Physics) -> dict[str, Any]:
    """Return the fields of a problem beside its overlaps."""
    return {
        field.name: getattr(problem, field.name)
        for field in dataclasses.fields(problem)
        if field.name not in ("Q", "R", "T", "coordinates")
    }


def check_redrawn(problem: Physics, dimension: int, weights: Any, start: str) -> None:
    """Refuse arguments beside a random start that do not go with it."""
    size = problem.student_width + problem.teacher_width
    if weights is not None:
        raise ValueError("Arguments `weights` and `start` exclude each other: both say where runs start.")
    if problem.covariance is not None:
        raise ValueError(f'Argument `start` must be None with a covariance, but is "{start}".')
    if dimension < size:
        raise ValueError(
            f'Argument `dimension` must be at least student_width + teacher_width = {size} for start="{start}", but is {dimension}.'
        )


def redrawn(problem: Physics, dimension: int, generator: np.random.Generator, start: str) -> Physics:
    """Return the same physics with another student of Gaussian rows.

    They are independent with the variances diag(Q) for the start "random", and have the mean overlaps Q and R for "gaussian"; in either case
    they are rescaled to the norms diag(Q) if spherical.  In coordinates of which the first k span the teacher, the components of
    independent rows there are normal, and the rest has the law of Bartlett's triangle in d - k dimensions.
    """
    p, k = problem.R.shape
    teacher = coordinates(problem, dimension)[1][:, :k]
    beside = np.tril(generator.standard_normal((p, p)), -1)
    beside[np.diag_indices(p)] = np.sqrt(generator.chisquare(dimension - k - np.arange(p)))
    rows = np.hstack([generator.standard_normal((p, k)), beside])
    norms = np.sqrt(np.diag(problem.Q))
    if start == "gaussian":
        along = problem.R @ np.linalg.pinv(teacher).T
        values, vectors = np.linalg.eigh(problem.Q - along @ along.T)
        rows = (vectors * np.sqrt(np.maximum(values, 0.0) / dimension)) @ rows
        rows[:, :k] += along
    if problem.spherical:
        rows *= (norms / np.linalg.norm(rows, axis=1))[:, None]
    elif start == "random":
        rows *= norms[:, None] / np.sqrt(dimension)
    overlaps = rows @ rows.T, rows[:, :k] @ teacher.T, problem.T
    return type(problem)(*overlaps, **physics_of(problem))
