"""Losses and links written as text: read by a small grammar, never evaluated as code."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from ..core import checks

LONGEST = 200
_ERF = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


#: Functions of a loss, smooth, and further ones of a link, where nothing is differentiated.
SMOOTH: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "cosh": np.cosh,
    "erf": _ERF, "sigmoid": _sigmoid,
}  # fmt: skip
ROUGH: dict[str, Callable[..., Any]] = {"abs": np.abs, "sign": np.sign, "relu": lambda x: np.maximum(x, 0.0)}


class _RefusedError(Exception):
    pass


def read(name: str, text: Any, symbols: Collection[str], rough: bool) -> ast.expr:
    """Return the syntax tree of an expression of these symbols, of numbers, operations and known functions.

    Parameters
    ----------
    rough : bool
        Whether functions with kinks are allowed.

    Raises
    ------
    ValueError
        If it is anything else; the message says what.
    """
    wanted = " and ".join(f"`{symbol}`" for symbol in symbols)

    def refuse(reason: str) -> ValueError:
        return ValueError(
            f"Argument `{name}` must be a known name or an expression of {wanted}, but is {text!r}: {reason}."
        )

    if len(text) > LONGEST:
        raise ValueError(f"Argument `{name}` may have {LONGEST} characters, but has {len(text)}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise refuse("it cannot be read") from None
    known = SMOOTH | (ROUGH if rough else {})
    try:
        _check(tree, symbols, known)
    except _RefusedError as error:
        raise refuse(str(error)) from None
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    missing = [symbol for symbol in symbols if symbol not in used]
    if missing:
        raise refuse(f"it does not depend on `{missing[0]}`")
    return tree


def _check(node: ast.expr, symbols: Collection[str], known: Collection[str]) -> None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return
        case ast.Name(id=word) if word in symbols or word == "pi":
            return
        case ast.Name(id=word):
            raise _RefusedError(f"`{word}` is not known")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _check(operand, symbols, known)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow(), right=right):
            _check(left, symbols, known)
            return _check(right, symbols, known)
        case ast.Call(func=ast.Name(id=word), args=[argument], keywords=[]):
            if word not in known:
                kink = " has a kink, and a loss must be smooth" if word in ROUGH else " is not known"
                raise _RefusedError(f"the function `{word}`{kink}{checks.did_you_mean(word, known)}")
            return _check(argument, symbols, known)
    raise _RefusedError("numbers, + - * / **, and functions of one argument are allowed")


def evaluate(node: ast.expr, values: dict[str, np.ndarray]) -> Any:
    """Return the value of an expression at arrays."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=word):
            return np.pi if word == "pi" else values[word]
        case ast.UnaryOp(op=operation, operand=operand):
            inner = evaluate(operand, values)
            return -inner if isinstance(operation, ast.USub) else inner
        case ast.Call(func=ast.Name(id=word), args=[argument]):
            return (SMOOTH | ROUGH)[word](evaluate(argument, values))
        case ast.BinOp(left=left, op=operation, right=right):
            a, b = evaluate(left, values), evaluate(right, values)
            match operation:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
            return a**b
    raise AssertionError("checked before")


def derivatives(tree: ast.expr) -> tuple[str, str, str]:
    """Return Python source of a loss of u and y and of its first two derivatives by u."""
    import sympy

    u, y = sympy.symbols("u y", real=True)
    names: dict[str, Any] = {name: getattr(sympy, name) for name in SMOOTH if hasattr(sympy, name)}
    names["sigmoid"] = lambda x: (1 + sympy.tanh(x / 2)) / 2

    def build(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value, 17)
            case ast.Name(id=word):
                return {"u": u, "y": y, "pi": sympy.pi}[word]
            case ast.UnaryOp(op=operation, operand=operand):
                return -build(operand) if isinstance(operation, ast.USub) else build(operand)
            case ast.Call(func=ast.Name(id=word), args=[argument]):
                return names[word](build(argument))
            case ast.BinOp(left=left, op=operation, right=right):
                a, b = build(left), build(right)
                kinds = {ast.Add: a.__add__, ast.Sub: a.__sub__, ast.Mult: a.__mul__, ast.Div: a.__truediv__}
                return kinds.get(type(operation), a.__pow__)(b)
        raise AssertionError("checked before")

    loss = build(tree)
    first = sympy.diff(loss, u)
    return tuple(sympy.pycode(one, fully_qualified_modules=True) for one in (loss, first, sympy.diff(first, u)))
