r"""Moments of polynomials of Gaussian fields as SymPy expressions, by Wick's theorem.

For derivations, documentation and checks: the compiled equations sum the same pairings numerically (`flowlimits.gaussian.hermite`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def covariance(count: int) -> Any:
    """Return the symmetric matrix of the symbols C11, C12, ..., shape (count, count)."""
    import sympy

    return sympy.Matrix(count, count, lambda i, j: sympy.Symbol(f"C{min(i, j) + 1}{max(i, j) + 1}"))


def moment(*polynomials: Sequence[Any]) -> Any:
    r"""Return :math:`\mathbb E\, s_1(\lambda_1) \cdots s_n(\lambda_n)` as a polynomial in the entries of the covariance.

    Parameters
    ----------
    *polynomials : sequence
        Coefficients of each polynomial in ascending powers: numbers or SymPy expressions.

    Returns
    -------
    sympy.Expr
        In the symbols of `covariance`.

    Examples
    --------
    >>> moment([0, 0, 1], [0, 0, 1])
    C11*C22 + 2*C12**2
    """
    import sympy

    C = covariance(len(polynomials))

    @cache
    def power(exponents: tuple[int, ...]) -> Any:
        """E of a product of powers, by Stein's lemma on its first field."""
        first = next((i for i, exponent in enumerate(exponents) if exponent), None)
        if first is None:
            return sympy.Integer(1)
        if sum(exponents) % 2:
            return sympy.Integer(0)
        lowered = [e - (i == first) for i, e in enumerate(exponents)]
        total = sympy.Integer(0)
        for j, exponent in enumerate(lowered):
            if exponent:
                rest = tuple(e - (i == j) for i, e in enumerate(lowered))
                total += exponent * C[first, j] * power(rest)
        return sympy.expand(total)

    def product(index: int, exponents: tuple[int, ...], factor: Any) -> Any:
        if index == len(polynomials):
            return factor * power(exponents)
        return sum(
            (product(index + 1, (*exponents, e), factor * c) for e, c in enumerate(polynomials[index]) if c != 0),
            sympy.Integer(0),
        )

    return sympy.expand(product(0, (), sympy.Integer(1)))
