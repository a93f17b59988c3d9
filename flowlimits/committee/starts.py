"""Weights with exactly given overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from .feasibility import SLACK

if TYPE_CHECKING:
    from .committee import Committee


def check_dimension(problem: Committee, dimension: int) -> int:
    """Return the dimension if weights with the problem's overlaps exist there: it must reach their rank."""
    size = problem.student_width + problem.teacher_width
    dimension = checks.integer("dimension", dimension, minimum=1)
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
    return np.block([[T, R.T], [R, Q]])


def coordinates(Q: np.ndarray, R: np.ndarray, T: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, m), (k, m), with W W^T = Q, W W_star^T = R, W_star W_star^T = T.

    In p + k dimensions or more m = p + k and both are lower triangular, the teacher's in the first k columns; below m = dimension.
    Eigenvectors and a QR decomposition rather than Cholesky, because overlaps may be singular.
    """
    k = R.shape[1]
    values, vectors = np.linalg.eigh(_gram(Q, R, T))
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    if dimension < len(values):
        # The rest is round-off of overlaps whose rank is at most the dimension.
        rows = rows[:, -dimension:]
    else:
        rows = np.linalg.qr(rows.T)[1].T
    return np.ascontiguousarray(rows[k:]), np.ascontiguousarray(rows[:k])


def weights(problem: Committee, dimension: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, W_star), shapes (p, d), (k, d), of exactly the problem's overlaps along random orthonormal directions."""
    dimension = check_dimension(problem, dimension)
    student, teacher = coordinates(problem.Q, problem.R, problem.T, dimension)
    frame, triangle = np.linalg.qr(generator.standard_normal((dimension, student.shape[1])))
    # The signs make the frame uniformly distributed.
    frame *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
    frame = np.sqrt(dimension) * frame.T
    return student @ frame, teacher @ frame
