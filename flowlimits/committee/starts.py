"""Weights with exactly given overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import checks

if TYPE_CHECKING:
    from .committee import Committee


def check_dimension(problem: Committee, dimension: int) -> int:
    """Return the dimension if weights with the problem's overlaps exist there."""
    size = problem.student_width + problem.teacher_width
    dimension = checks.integer("dimension", dimension)
    if dimension < size:
        raise ValueError(
            f"Argument `dimension` must be at least student_width + teacher_width = {size} to realise these overlaps, but is {dimension}."
        )
    return dimension


def coordinates(Q: np.ndarray, R: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, p + k) and (k, k), with W W^T = Q, W[:, :k] W_star^T = R, W_star W_star^T = T.

    Both are lower triangular, W in the columns from k on.  Eigenvectors and a QR decomposition rather than Cholesky, because
    overlaps may be singular.
    """
    k = R.shape[1]
    values, vectors = np.linalg.eigh(np.block([[T, R.T], [R, Q]]))
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    triangle = np.linalg.qr(rows.T)[1].T
    return np.ascontiguousarray(triangle[k:]), np.ascontiguousarray(triangle[:k, :k])


def weights(problem: Committee, dimension: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, d), (k, d), of exactly the problem's overlaps along random orthonormal directions."""
    dimension = check_dimension(problem, dimension)
    student, teacher = coordinates(problem.Q, problem.R, problem.T)
    frame, triangle = np.linalg.qr(generator.standard_normal((dimension, student.shape[1])))
    # The signs make the frame uniformly distributed.
    frame *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
    frame = np.sqrt(dimension) * frame.T
    return student @ frame, teacher @ frame[: teacher.shape[1]]
