"""Sources of the Jacobian of the implicit method, structures of their own among them, and the arrays that it works with."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .functions import address_of


@dataclass(frozen=True, eq=False)
class Structure:
    r"""How to evaluate a Jacobian, and how to solve linear systems with it; all five are compiled callbacks.

    The implicit method needs solutions of :math:`(\lambda - h J) x = a` for one real and up to three complex
    :math:`\lambda`, and knows J through these functions only.  `arrow` makes one.

    Parameters
    ----------
    jacobian : callback of `compiled.jit.STRUCTURE_SIGNATURE`
        ``jacobian(t, y, data, params, work)`` writes J, in whatever form, to `data`.
    factor, factor_complex : callback of `FACTOR` and of `FACTOR_COMPLEX`
        ``factor(shift, h, data, factors, pivots)`` decomposes shift - h J; returns 1, or 0 if that is singular.
    solve, solve_complex : callback of `SOLVE` and of `SOLVE_COMPLEX`
        ``solve(h, data, factors, pivots, x)`` overwrites the right-hand side x by the solution.
    data_size, factors_size, pivots_size : int
        Lengths of these arrays; `factors` has the type of the shift, `pivots` is of integers.
    """

    jacobian: Any
    factor: Any
    solve: Any
    factor_complex: Any
    solve_complex: Any
    data_size: int
    factors_size: int
    pivots_size: int


def arrow(jacobian: Any, groups: int, block: int, border: int = 0, picks: int = 0) -> Structure:
    """Return the structure of an arrow Jacobian, see `ode.implicit.arrow`.

    Parameters
    ----------
    jacobian : callback
        ``jacobian(t, y, data, params, work)`` writes every number of `implicit.arrow.parts`.
    groups, block, border, picks : int
        L, b, e and s.
    """
    from .implicit import arrow as algebra

    rank = block + picks + border
    numbers = algebra.HEADER + groups + 2 * block * block + block * picks + (groups * block + border) * rank
    factors = groups * block * (block + rank) + border * rank + rank * rank + rank + 1
    return Structure(
        jacobian, algebra.factor_real, algebra.solve_real, algebra.factor_complex, algebra.solve_complex, numbers, factors,
        groups * block + rank,
    )  # fmt: skip


@dataclass(frozen=True)
class Jacobian:
    """How the implicit method gets its Jacobian: kind (see `implicit.jacobian`), address, rank, pattern of non-zeros."""

    kind: int = 2
    address: int = 0
    rank: int = 0
    sparsity: np.ndarray | None = None
    structure: Structure | None = None


def groups_of(pattern: np.ndarray) -> np.ndarray:
    """Return a group for each column such that no two columns of a group share a row (greedily, densest first)."""
    n = pattern.shape[1]
    groups = np.full(n, -1, dtype=np.int64)
    occupied: list[np.ndarray] = []
    for column in np.argsort(-pattern.sum(axis=0), kind="stable"):
        rows = pattern[:, column]
        for number, used in enumerate(occupied):
            if not (used & rows).any():
                used |= rows
                groups[column] = number
                break
        else:
            groups[column] = len(occupied)
            occupied.append(rows.copy())
    return groups


def implicit_arrays(n: int, given: Jacobian, watched: bool) -> tuple[ModuleType, tuple, tuple, tuple, tuple]:
    """Load the implicit loop and make its arrays; `watched`: whether there are events."""
    from .implicit import jacobian, newton, radau
    from .implicit import loop as stiff

    algebra = given.structure or _algebra(n, given)
    functions = (algebra.factor, algebra.solve, algebra.factor_complex, algebra.solve_complex)
    matrices = (
        np.zeros(algebra.data_size),
        np.zeros(algebra.factors_size),
        np.zeros((3, algebra.factors_size), dtype=np.complex128),
        np.zeros((4, algebra.pivots_size), dtype=np.int64),
        np.array([address_of(function) for function in functions], dtype=np.int64),
    )
    workspace = (
        np.zeros((radau.VECTORS, n)),
        np.zeros((3, newton.WIDTH, n)),
        np.zeros(n, dtype=np.complex128),
        np.zeros((newton.WIDTH + 1, n)),
    )
    pattern = np.zeros((0, 0), dtype=np.bool_)
    groups = np.arange(n, dtype=np.int64)
    if given.kind == jacobian.COLOURED:
        assert given.sparsity is not None
        pattern = np.ascontiguousarray(given.sparsity, dtype=np.bool_)
        groups = groups_of(pattern)
    differences = given.kind in (jacobian.DIFFERENCES, jacobian.COLOURED)
    address = address_of(jacobian.differences) if differences else given.address
    model = (given.kind, address, given.rank, groups, pattern, address_of(radau.watch) if watched else 0)
    return stiff, model, workspace, matrices, newton.tables()


def _algebra(n: int, given: Jacobian) -> Structure:
    """Return how to solve with a Jacobian that is dense, or diagonal but for a low rank."""
    from .implicit import jacobian as own

    m = given.rank
    if given.kind == own.STRUCTURED:
        return Structure(
            None, own.factor_structured, own.solve_structured, own.factor_structured_complex, own.solve_structured_complex,
            n + 2 * n * m, n + m * m + m, m,
        )  # fmt: skip
    return Structure(
        None, own.factor_dense, own.solve_dense, own.factor_dense_complex, own.solve_dense_complex, n * n, n * n, n
    )
