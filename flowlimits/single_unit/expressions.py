"""Losses and links, by name or as text read by a small grammar and never evaluated as code; their derivatives and tables."""

from __future__ import annotations

import ast
import functools
import math
import operator
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


_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def evaluate(
    node: ast.expr,
    values: dict[str, Any],
    functions: dict[str, Callable[..., Any]],
    number: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Return the value of an expression that `read` returned, at arrays or symbols, of which `values` has `pi` too."""
    match node:
        case ast.Constant(value=value):
            return number(value)
        case ast.Name(id=word):
            return values[word]
        case ast.UnaryOp(op=operation, operand=operand):
            inner = evaluate(operand, values, functions, number)
            return -inner if isinstance(operation, ast.USub) else inner
        case ast.Call(func=ast.Name(id=word), args=[argument]):
            return functions[word](evaluate(argument, values, functions, number))
        case ast.BinOp(left=left, op=operation, right=right):
            sides = (evaluate(side, values, functions, number) for side in (left, right))
            return _OPERATIONS[type(operation)](*sides)
    raise AssertionError("checked before")


def derivatives(tree: ast.expr) -> tuple[str, str, str]:
    """Return Python source of a loss of u and y and of its first two derivatives by u."""
    import sympy

    u, y = sympy.symbols("u y", real=True)
    names: dict[str, Any] = {name: getattr(sympy, name) for name in SMOOTH if hasattr(sympy, name)}
    names["sigmoid"] = lambda x: (1 + sympy.tanh(x / 2)) / 2
    loss = evaluate(
        tree, {"u": u, "y": y, "pi": sympy.pi}, names,
        lambda value: sympy.Integer(value) if isinstance(value, int) else sympy.Float(value, 17),
    )  # fmt: skip
    first = sympy.diff(loss, u)
    return tuple(sympy.pycode(one, fully_qualified_modules=True) for one in (loss, first, sympy.diff(first, u)))


#: Losses with equations of their own.
LOSSES = ("squared", "intensity", "logistic")
#: Losses that are only abbreviations.
LOSS_TEXTS = {
    "erf": "(erf(u/sqrt(2)) - y)**2/2",
    "tanh": "(tanh(u) - y)**2/2",
    "exponential": "exp(-y*u)",
    "logcosh": "log(cosh(u - y))",
}
#: Losses that know the labels 1 and -1 only.
BINARY = ("logistic",)


def check_loss(loss: Any) -> str:
    """Return the name of a loss, or its text in the symbols u and y."""
    text = text_of("loss", loss)
    if text in LOSSES or text in LOSS_TEXTS:
        return text
    if text.isidentifier():
        return checks.choice("loss", text, (*LOSSES, *LOSS_TEXTS))
    read("loss", text, ("u", "y"), rough=False)
    return text


def text_of(name: str, value: Any) -> str:
    """Return text, or that of a SymPy expression."""
    if isinstance(value, str):
        return value
    if hasattr(value, "free_symbols"):
        return str(value)
    raise TypeError(f"Argument `{name}` must be a name, a text or a SymPy expression, but is {checks.show(value)}.")


@functools.lru_cache(maxsize=16)
def compiled_loss(loss: str) -> Any:
    """Return the callback of a loss that has no equations of its own, None for one that has.

    It writes the loss and its first two derivatives by u.
    """
    if loss in LOSSES:
        return None
    from ..compiled.jit import callback
    from .equations import LOSS_SIGNATURE

    tree = read("loss", LOSS_TEXTS.get(loss, loss), ("u", "y"), rough=False)
    value, first, second = derivatives(tree)
    # The source was printed by SymPy from a tree of numbers, symbols and known functions.
    lines = ["def loss(u, y, out):", f"    out[0] = {value}", f"    out[1] = {first}", f"    out[2] = {second}"]
    scope: dict[str, Any] = {"math": __import__("math")}
    exec("\n".join(lines), scope)
    return callback(LOSS_SIGNATURE, at_once=True)(scope["loss"])


#: Links that are functions of the teacher's field v.
LINKS = {
    "linear": "v", "square": "v**2", "abs": "abs(v)", "sign": "sign(v)", "relu": "relu(v)", "tanh": "tanh(v)",
    "erf": "erf(v/sqrt(2))",
}  # fmt: skip
#: Links that give the probability of the label 1, against -1.
PROBABILITIES = {"logistic": "sigmoid(v)", "probit": "(1 + erf(v/sqrt(2)))/2"}
#: Loss that belongs to a link, if none is given.
NATURAL = {"linear": "squared", "square": "intensity", "logistic": "logistic", "erf": "erf", "tanh": "tanh"}
#: Standard deviations up to which fields are integrated: even v^8 adds less than 1e-14 beyond.
REACH = 10.0
#: Nodes for the label noise: exact for squares of derivatives that are of degree 4 in the label.
NOISE_NODES = 5


def check_link(link: Any) -> str:
    """Return the name of a link, or its text in the symbol v."""
    text = text_of("link", link)
    if text in LINKS or text in PROBABILITIES:
        return text
    if text.isidentifier() and text != "v":
        return checks.choice("link", text, (*LINKS, *PROBABILITIES))
    read("link", text, ("v",), rough=True)
    return text


def is_binary(link: str) -> bool:
    """Whether all labels are 1 or -1."""
    return link in PROBABILITIES or link == "sign"


def _value(link: str, v: np.ndarray) -> np.ndarray:
    text = LINKS.get(link) or PROBABILITIES.get(link) or link
    tree = read("link", text, ("v",), rough=True)
    with np.errstate(all="ignore"):
        return np.broadcast_to(
            np.asarray(evaluate(tree, {"v": v, "pi": np.pi}, SMOOTH | ROUGH), dtype=np.float64), v.shape
        )


def draw_labels(link: str, v: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Return random labels for teacher fields v."""
    value = _value(link, v)
    if link in PROBABILITIES:
        return np.where(generator.random(v.shape) < value, 1.0, -1.0)
    return value + math.sqrt(noise) * generator.standard_normal(v.shape) if noise > 0 else np.array(value)


def label_table(link: str, variance: float, noise: float, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return teacher fields (J,), labels (J, K) and weights (J, K) that stand for their joint law.

    Gauss-Legendre nodes on either side of zero, where links may have kinks, times what is random about the label.

    Parameters
    ----------
    variance, noise : float
        Of the teacher's field, and of what is added to its label.
    nodes : int
        On each side of zero.
    """
    x, share = np.polynomial.legendre.leggauss(nodes)
    x, share = 0.5 * REACH * (x + 1), 0.5 * REACH * share
    x, share = np.concatenate([-x[::-1], x]), np.concatenate([share[::-1], share])
    share = share * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    v = math.sqrt(variance) * x
    value = _value(link, v)
    if not np.isfinite(value).all():
        where = v[~np.isfinite(value)][0]
        raise ValueError(f"Argument `link` must be finite for every field, but {link!r} is not at v = {where:.3g}.")
    if link in PROBABILITIES:
        labels = np.tile([1.0, -1.0], (v.size, 1))
        return v, labels, share[:, None] * np.stack([value, 1 - value], axis=1)
    if noise == 0:
        return v, value[:, None], share[:, None]
    xi, part = np.polynomial.hermite_e.hermegauss(NOISE_NODES)
    labels = value[:, None] + math.sqrt(noise) * xi
    return v, labels, share[:, None] * (part / part.sum())


def label_moments(v: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return E y, E y^2, E v y, E v^2 y, E v^2 y^2, E v^4 y of a table."""
    v = v[:, None]
    terms = (labels, labels**2, v * labels, v**2 * labels, (v * labels) ** 2, v**4 * labels)
    return np.array([math.fsum((weights * term).ravel()) for term in terms])
