"""Jacobians of a structure of their own, for the implicit method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Structure:
    r"""How to evaluate a Jacobian, and how to solve linear systems with it; all five are compiled callbacks.

    The implicit method needs solutions of :math:`(\lambda - h J) x = a` for one real and up to three complex
    :math:`\lambda`, and knows J through these functions only.  `arrow` makes one.

    Parameters
    ----------
    jacobian : callback of `compiled.structures.STRUCTURE_SIGNATURE`
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
