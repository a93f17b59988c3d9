"""Losses by name or as text, and their compiled derivatives."""

from __future__ import annotations

import functools
from typing import Any

from ..core import checks
from . import expressions

#: Losses with equations of their own.
NAMED = ("squared", "intensity", "logistic")
#: Losses that are only abbreviations.
TEXTS = {
    "erf": "(erf(u/sqrt(2)) - y)**2/2",
    "tanh": "(tanh(u) - y)**2/2",
    "exponential": "exp(-y*u)",
    "logcosh": "log(cosh(u - y))",
}
#: Losses that know the labels 1 and -1 only.
BINARY = ("logistic",)


def check(loss: Any) -> str:
    """Return the name of a loss, or its text in the symbols u and y."""
    text = _text("loss", loss)
    if text in NAMED or text in TEXTS:
        return text
    if text.isidentifier():
        return checks.choice("loss", text, (*NAMED, *TEXTS))
    expressions.read("loss", text, ("u", "y"), rough=False)
    return text


def _text(name: str, value: Any) -> str:
    """Return text, or that of a SymPy expression."""
    if isinstance(value, str):
        return value
    if hasattr(value, "free_symbols"):
        return str(value)
    raise TypeError(f"Argument `{name}` must be a name, a text or a SymPy expression, but is {checks.show(value)}.")


@functools.lru_cache(maxsize=16)
def compiled(loss: str) -> Any:
    """Return the callback of a loss that has no equations of its own, None for one that has.

    It writes the loss and its first two derivatives by u.
    """
    if loss in NAMED:
        return None
    from ..compiled.jit import callback
    from .equations import LOSS_SIGNATURE

    tree = expressions.read("loss", TEXTS.get(loss, loss), ("u", "y"), rough=False)
    value, first, second = expressions.derivatives(tree)
    # The source was printed by SymPy from a tree of numbers, symbols and known functions.
    lines = ["def loss(u, y, out):", f"    out[0] = {value}", f"    out[1] = {first}", f"    out[2] = {second}"]
    scope: dict[str, Any] = {"math": __import__("math")}
    exec("\n".join(lines), scope)
    return callback(LOSS_SIGNATURE, at_once=True)(scope["loss"])
