"""Activations: their names, polynomials given by coefficients, text or SymPy, and the tables that compiled code reads.

Text is parsed by a small reader of its own (numbers, one symbol, + - * / and whole powers) and never evaluated as code.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import checks

#: Coefficients of the named polynomials in ascending powers; "centred" is lambda^2 minus its own mean |w|^2/d.
POLYNOMIALS: dict[str, tuple[float, ...]] = {
    "linear": (0.0, 1.0),
    "square": (0.0, 0.0, 1.0),
    "centred": (0.0, 0.0, 1.0),
    "hermite2": (-1.0, 0.0, 1.0),
    "hermite3": (0.0, -3.0, 0.0, 1.0),
    "hermite4": (3.0, 0.0, -6.0, 0.0, 1.0),
}
NAMES = (*POLYNOMIALS, "erf", "relu")
MAX_DEGREE = 24
MAX_TEXT = 300
_KNOWN = (
    ", ".join(f'"{name}"' for name in NAMES)
    + ', the coefficients of a polynomial in ascending powers, or a polynomial in one symbol such as "x**3 - 3*x"'
)

#: What SymPy calls the activations that are no polynomials.
_WORDS = {"erf": ("erf", "erf(lambda/sqrt 2)"), "Max": ("relu", "max(0, lambda)")}

Activation = str | tuple[float, ...]


def check(name: str, value: Any) -> Activation:
    """Return an activation as a known name or as the coefficients of a polynomial in ascending powers.

    Raises
    ------
    TypeError, ValueError
        If it is neither a known name nor a polynomial of degree 1 to 24 in one symbol.
    """
    if isinstance(value, str):
        if value in NAMES:
            return value
        return _trim(name, _read_text(name, value))
    if type(value).__module__.split(".")[0] == "sympy":
        return _trim(name, _read_sympy(name, value))
    if isinstance(value, Sequence | np.ndarray):
        return _trim(name, list(checks.array(name, value, ["n"])))
    raise TypeError(f"Argument `{name}` must be one of {_KNOWN}, but is {checks.show(value)}.")


def is_polynomial(activation: Activation) -> bool:
    """Whether the activation is a polynomial of the preactivation."""
    return activation not in ("erf", "relu")


def coefficients(activation: Activation) -> tuple[float, ...]:
    """Return the coefficients of a polynomial activation; those of lambda^2 for "centred"."""
    return POLYNOMIALS[activation] if isinstance(activation, str) else activation


def degree(activation: Activation) -> int:
    """Return the degree of a polynomial activation."""
    return len(coefficients(activation)) - 1


def quadratic_form(activation: Activation) -> tuple[float, float] | None:
    """Return (centred, offset) if the activation is lambda^2 - centred |w|^2/d - offset, else None."""
    if not is_polynomial(activation):
        return None
    powers = coefficients(activation)
    if len(powers) != 3 or powers[1] != 0.0 or powers[2] != 1.0:
        return None
    return (1.0, 0.0) if activation == "centred" else (0.0, -powers[0])


def name_of(student: Activation, teacher: Activation) -> str:
    """Return the family of a pair of activations, or an empty string."""
    if quadratic_form(student) and quadratic_form(teacher):
        return "square"
    if is_polynomial(student) and is_polynomial(teacher):
        return "polynomial"
    return str(student) if student == teacher else ""


def table(activation: Activation) -> np.ndarray:
    r"""Return the powers of q in :math:`c_n(q) = \mathbb E\,s^{(n)}(\sqrt q z)`, shape (degree + 1, degree // 2 + 1).

    A power lambda^j contributes j!/(j - n)! (j - n - 1)!! q^((j - n)/2) to c_n where j - n is even.  The centred
    activation has no c_0: it follows its own mean.
    """
    powers = coefficients(activation)
    top = len(powers) - 1
    result = np.zeros((top + 1, top // 2 + 1))
    for n in range(top + 1):
        for j in range(n, top + 1, 2):
            pairings = math.prod(range(j - n - 1, 0, -2))
            result[n, (j - n) // 2] += powers[j] * (math.factorial(j) // math.factorial(j - n)) * pairings
    if activation == "centred":
        result[0] = 0.0
    return result


def _trim(name: str, powers: Sequence[float]) -> tuple[float, ...]:
    values = [float(power) for power in powers]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"Argument `{name}` must have finite coefficients, but has {checks.show(values)}.")
    while values and values[-1] == 0.0:
        values.pop()
    if len(values) < 2:
        raise ValueError(f"Argument `{name}` must depend on its symbol, but is constant: nothing would be learnt.")
    if len(values) - 1 > MAX_DEGREE:
        raise ValueError(
            f"Argument `{name}` has degree {len(values) - 1}, but polynomials end at degree {MAX_DEGREE}: the moments of "
            "higher ones lose all digits to cancellation."
        )
    return tuple(values)


def _refuse(name: str, value: str, reason: str) -> ValueError:
    hint = checks.did_you_mean(value.lower(), NAMES) if value.isidentifier() else ""
    return ValueError(f"Argument `{name}` must be one of {_KNOWN}, but is {checks.show(value)}: {reason}{hint or '.'}")


def _read_text(name: str, text: str) -> list[float]:
    if len(text) > MAX_TEXT:
        raise _refuse(name, text, f"text may have {MAX_TEXT} characters and this has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refuse(name, text, "it cannot be read as a polynomial") from None
    symbols: set[str] = set()
    try:
        powers = _evaluate(tree, symbols)
    except _NotAPolynomialError as error:
        raise _refuse(name, text, str(error)) from None
    except OverflowError:
        raise _refuse(name, text, "a number in it is too large") from None
    if len(symbols) > 1:
        raise _refuse(name, text, f"it has the symbols {' and '.join(sorted(symbols))}, and one is allowed")
    return powers


class _NotAPolynomialError(Exception):
    pass


def _evaluate(node: ast.expr, symbols: set[str]) -> list[float]:
    """Return the coefficients of the polynomial that the syntax tree stands for."""
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            return [float(value)]
        case ast.Name(id=word) if len(word) == 1 or word == "lam":
            symbols.add(word)
            return [0.0, 1.0]
        case ast.Name(id=word):
            raise _NotAPolynomialError(f"`{word}` is not known (a symbol is one letter)")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return [-power for power in _evaluate(operand, symbols)]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand, symbols)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=exponent)) if type(exponent) is int:
            if exponent > MAX_DEGREE:
                raise _NotAPolynomialError(f"powers end at {MAX_DEGREE}")
            result = [1.0]
            base = _evaluate(left, symbols)
            for _ in range(exponent):
                result = _multiply(result, base)
            return result
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operation, right=right):
            first, second = _evaluate(left, symbols), _evaluate(right, symbols)
            sign = 1.0 if isinstance(operation, ast.Add) else -1.0
            size = max(len(first), len(second))
            return [
                (first[i] if i < len(first) else 0.0) + sign * (second[i] if i < len(second) else 0.0)
                for i in range(size)
            ]
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _multiply(_evaluate(left, symbols), _evaluate(right, symbols))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            divisor = _evaluate(right, symbols)
            if any(divisor[1:]) or divisor[0] == 0.0:
                raise _NotAPolynomialError("it divides by something that is not a number other than zero")
            return [power / divisor[0] for power in _evaluate(left, symbols)]
        case ast.BinOp(op=ast.BitXor()):
            raise _NotAPolynomialError("powers are written with **")
    raise _NotAPolynomialError("numbers, one symbol, + - * / and whole powers ** are allowed")


def _multiply(first: list[float], second: list[float]) -> list[float]:
    if len(first) + len(second) - 2 > 4 * MAX_DEGREE:
        raise _NotAPolynomialError(f"its degree exceeds {MAX_DEGREE}")
    return [float(power) for power in np.convolve(first, second)]


def _read_sympy(name: str, expression: Any) -> list[float]:
    import sympy

    # sympy.erf itself is a class, erf(x) an expression of that class.
    kind = expression if isinstance(expression, type) else getattr(expression, "func", type(expression))
    if kind.__name__ in _WORDS:
        word, meaning = _WORDS[kind.__name__]
        raise ValueError(
            f'Argument `{name}` must be written "{word}", which is {meaning}, but is {checks.show(expression)}.'
        )
    symbols: set[Any] = getattr(expression, "free_symbols", set())
    if len(symbols) != 1:
        raise ValueError(f"Argument `{name}` must have one symbol, but {checks.show(expression)} has {len(symbols)}.")
    try:
        polynomial = sympy.Poly(expression, *symbols)
        return [float(power) for power in reversed(polynomial.all_coeffs())]
    except (sympy.PolynomialError, TypeError, ValueError):
        raise ValueError(
            f"Argument `{name}` must be a polynomial with real coefficients, but is {checks.show(expression)}; "
            'the activations that are not polynomials are "erf" and "relu".'
        ) from None
