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


def implicit_arrays(n: int, given: Jacobian) -> tuple[ModuleType, tuple, tuple, tuple, tuple]:
    """Load the implicit loop and make its arrays."""
    from .implicit import jacobian, radau
    from .implicit import loop as stiff
    from .implicit import newton as radau_tables

    structured = given.kind == jacobian.STRUCTURED
    order = given.rank if structured else 0 if given.structure is not None else n
    full, thin = (0, n) if structured else (order, 0)
    matrices = (
        np.zeros((full, full)), np.zeros(thin), np.zeros((thin, given.rank)), np.zeros((thin, given.rank)),
        np.zeros((order, order)), np.zeros((3, order, order), dtype=np.complex128),
        np.zeros((4, order), dtype=np.int64), np.zeros(thin), np.zeros((3, thin), dtype=np.complex128),
        np.zeros(given.rank), np.zeros(given.rank, dtype=np.complex128), np.zeros(0, dtype=np.int64),
    )  # fmt: skip
    if given.structure is not None:
        matrices = own_matrices(given.structure)
    workspace = (
        np.zeros((radau.VECTORS, n)),
        np.zeros((3, radau_tables.WIDTH, n)),
        np.zeros(n, dtype=np.complex128),
        np.zeros((radau_tables.WIDTH + 1, n)),
    )
    pattern = np.zeros((0, 0), dtype=np.bool_)
    groups = np.arange(n, dtype=np.int64)
    if given.kind == jacobian.COLOURED:
        assert given.sparsity is not None
        pattern = np.ascontiguousarray(given.sparsity, dtype=np.bool_)
        groups = groups_of(pattern)
    model = (given.kind, given.address, groups, pattern)
    return stiff, model, workspace, matrices, radau_tables.tables()


def own_matrices(structure: Structure) -> tuple:
    """Return the arrays of a Jacobian of a structure of its own, in the places of the others, see `implicit.loop`."""
    none, size = np.zeros((0, 0)), structure.factors_size
    functions = (structure.factor, structure.solve, structure.factor_complex, structure.solve_complex)
    return (
        none, np.zeros(structure.data_size), none, none, np.zeros((1, size)), np.zeros((3, 1, size), dtype=np.complex128),
        np.zeros((4, structure.pivots_size), dtype=np.int64), np.zeros(0), np.zeros((3, 0), dtype=np.complex128),
        np.zeros(0), np.zeros(0, dtype=np.complex128),
        np.array([address_of(function) for function in functions], dtype=np.int64),
    )  # fmt: skip
