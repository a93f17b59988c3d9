"""Starts that decouple into blocks of rank one: principal angles, and starts proportional to the identity."""

from __future__ import annotations

import numpy as np

from .start import BLIND, Scalars, Teacher, choose_offset, initial, pack
from .start_rows import groups_of


def diagonal_scalars(
    teacher: Teacher, level: float, c: np.ndarray, a: np.ndarray, *, square: bool, decay: float
) -> Scalars:
    r"""Return the scalar system of a start whose rows and complement decouple, (Q23).

    Either all nonzero eigenvalues of Z* are equal and :math:`V_0^\top V_0 = v I` (principal angles), or :math:`V_0 V_0^\top = v I`.

    Parameters
    ----------
    level : float
        v.
    c : ndarray, shape (r,)
        Squared overlap of column j with teacher direction j; beyond the columns there is none.
    a : ndarray, shape (m,)
        Squared part of column j outside the teacher's space.
    """
    r, m = c.size, a.size
    offset = choose_offset(level * m, teacher)
    gain = 1 / (1 - 4 * offset * level)
    kept = c > BLIND**2 * level * m
    starts = groups_of(teacher.values)
    values = np.array([teacher.values[i:j].mean() for i, j in starts])
    group = np.repeat(np.arange(len(starts)), [j - i for i, j in starts])
    # Columns that meet a row come first.
    order = np.concatenate([np.flatnonzero(kept), np.setdiff1d(np.arange(m), np.flatnonzero(kept))])
    lost = values[group[: teacher.values.size]].sum() - values[group[:r][kept]].sum()
    lost_squares = (values[group] ** 2).sum() - (values[group[:r][kept]] ** 2).sum()
    if kept.all() and r == teacher.values.size:
        lost = lost_squares = 0.0
    params = pack(
        teacher, values, group[:r][kept], np.log(c[kept] * gain), np.sqrt(a[order] * gain), c=np.zeros(0),
        T=np.zeros((0, 0)), square=square, decay=decay, unseen=(lost, lost_squares), unit=offset, diagonal=True,
    )  # fmt: skip
    return Scalars(params, initial(values, offset, decay))


def decouple(V0: np.ndarray, teacher: Teacher, *, square: bool, decay: float) -> Scalars | None:
    """Return the scalar system of a start that decouples into blocks of rank one, or None if it does not."""
    d, p = V0.shape
    level = float((V0**2).sum()) / min(d, p)
    rows, columns = is_scaled_identity(V0.T, level), is_scaled_identity(V0, level)
    if level == 0 or not (rows or columns):
        return None
    r = teacher.values.size
    if rows:
        a = np.where(np.arange(d) < r, 0.0, level)
        return diagonal_scalars(teacher, level, np.full(r, level), a, square=square, decay=decay)
    if len(groups_of(teacher.values)) > 1 or teacher.vectors is None:
        return None
    _, singular, right = np.linalg.svd(teacher.vectors.T @ V0)
    outside = V0 - teacher.vectors @ (teacher.vectors.T @ V0)
    a = ((outside @ right.T) ** 2).sum(axis=0)
    a[: max(p - (d - r), 0)] = 0.0
    return diagonal_scalars(teacher, level, singular**2, a, square=square, decay=decay)


def is_scaled_identity(V: np.ndarray, level: float) -> bool:
    """Whether the columns of V are orthogonal and of equal length, up to round-off."""
    d, p = V.shape
    if p > d or np.abs((V**2).sum(axis=0) - level).max() > 1e-13 * level:
        return False
    gram = V.T @ V
    gram[np.diag_indices(p)] -= level
    return bool(np.abs(gram).max() <= 1e-13 * level)
