"""Rows of a start in the teacher's space: groups of equal eigenvalues, what has no part there, what depends on what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

#: Rows of unit length whose remainder is below this depend on the others.
DEPENDENT = 1e-10
#: A remainder between these two is a direction of its own, which the reduced form would drop, and which may grow.
ROUNDING = 1e-14


@dataclass(frozen=True)
class Seen:
    """Rows of the start in the teacher's space, orthogonal within groups; `left` has the vectors, columns over the eigenvectors."""

    rows: np.ndarray
    values: np.ndarray
    group: np.ndarray
    left: np.ndarray
    unseen: tuple[float, float]


def teacher_rows(c: np.ndarray, eigenvalues: np.ndarray, blind: float) -> Seen:
    """Return the rows with a part in the teacher's space, one group per distinct eigenvalue."""
    r, m = c.shape
    rows, left = [np.zeros((0, m))], [np.zeros((r, 0))]
    values: list[float] = []
    group: list[int] = []
    lost = lost_squares = 0.0
    for first, last in groups_of(eigenvalues):
        l = float(eigenvalues[first:last].mean())
        block, turn = c[first:last], np.eye(last - first)
        if last - first > 1:
            turn, singular, right = np.linalg.svd(block, full_matrices=False)
            block = singular[:, None] * right
        kept = np.sqrt((block**2).sum(axis=1)) > blind
        unseen = last - first - int(kept.sum())
        lost += unseen * l
        lost_squares += unseen * l * l
        if kept.any():
            rows.append(block[kept])
            vectors = np.zeros((r, int(kept.sum())))
            vectors[first:last] = turn[:, kept]
            left.append(vectors)
            group += [len(values)] * vectors.shape[1]
            values.append(l)
    return Seen(
        np.vstack(rows), np.array(values), np.array(group, dtype=np.int64), np.hstack(left), (lost, lost_squares)
    )


def groups_of(values: np.ndarray) -> list[tuple[int, int]]:
    """Return the ranges of eigenvalues (decreasing) that are equal up to round-off."""
    if values.size == 0:
        return []
    cuts = np.flatnonzero(-np.diff(values) > 1e-13 * values[0]) + 1
    edges = [0, *cuts.tolist(), values.size]
    return list(pairwise(edges))


def drop_null_columns(rows, singular, columns, norm):
    """Turn the columns without a part outside so that those without any part can go.

    Returns rows, singular values, columns' basis and the number of columns that have a part in the teacher's space only.
    """
    empty = singular == 0
    if not empty.any():
        return rows, singular, columns, 0
    block, turn = rows[:, empty], np.zeros((int(empty.sum()), 0))
    if block.shape[0]:
        left, values, right = np.linalg.svd(block, full_matrices=False)
        kept = values > 1e-14 * norm
        block, turn = (left * values)[:, kept], right[kept].T
    else:
        block = block[:, :0]
    null = block.shape[1]
    columns = np.hstack([columns[:, ~empty], columns[:, empty] @ turn])
    return np.hstack([rows[:, ~empty], block]), np.append(singular[~empty], np.zeros(null)), columns, null


def rank_of(unit: np.ndarray) -> int:
    if min(unit.shape) == 0:
        return 0
    return int(np.count_nonzero(np.linalg.svd(unit, compute_uv=False) > DEPENDENT))


def is_blurred(unit: np.ndarray) -> bool:
    """Whether rows depend on each other but for a remainder that is more than rounding."""
    if min(unit.shape) == 0:
        return False
    singular = np.linalg.svd(unit, compute_uv=False)
    return bool(((singular > ROUNDING) & (singular <= DEPENDENT)).any())


def choose_rows(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an order of the rows, independent ones first, and the coefficients of the others, shape (dep, rho)."""
    r = unit.shape[0]
    if rank_of(unit) == r:
        return np.arange(r), np.zeros((0, r))
    left = unit.copy()
    basis: list[int] = []
    while True:
        length = np.sqrt((left**2).sum(axis=1))
        length[basis] = 0.0
        best = int(np.argmax(length))
        if length[best] <= DEPENDENT:
            break
        direction = left[best] / length[best]
        for _ in range(2):
            left -= np.outer(left @ direction, direction)
        basis.append(best)
    others = [i for i in range(r) if i not in set(basis)]
    basis.sort()
    T = np.linalg.lstsq(unit[basis].T, unit[others].T, rcond=None)[0].T
    T[np.abs(T) < 1e-15] = 0.0
    return np.array(basis + others), np.ascontiguousarray(T)
