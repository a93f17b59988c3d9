"""Links: how labels come from the teacher's field, as tables for averages and as draws for runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import checks
from . import expressions
from .losses import _text

#: Links that are functions of the teacher's field v.
FUNCTIONS = {
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


def check(link: Any) -> str:
    """Return the name of a link, or its text in the symbol v."""
    text = _text("link", link)
    if text in FUNCTIONS or text in PROBABILITIES:
        return text
    if text.isidentifier() and text != "v":
        return checks.choice("link", text, (*FUNCTIONS, *PROBABILITIES))
    expressions.read("link", text, ("v",), rough=True)
    return text


def is_binary(link: str) -> bool:
    """Whether all labels are 1 or -1."""
    return link in PROBABILITIES or link == "sign"


def _value(link: str, v: np.ndarray) -> np.ndarray:
    text = FUNCTIONS.get(link) or PROBABILITIES.get(link) or link
    tree = expressions.read("link", text, ("v",), rough=True)
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(expressions.evaluate(tree, {"v": v}), dtype=np.float64), v.shape)


def draw(link: str, v: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Return random labels for teacher fields v."""
    value = _value(link, v)
    if link in PROBABILITIES:
        return np.where(generator.random(v.shape) < value, 1.0, -1.0)
    return value + math.sqrt(noise) * generator.standard_normal(v.shape) if noise > 0 else np.array(value)


def table(link: str, variance: float, noise: float, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def moments(v: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return E y, E y^2, E v y, E v^2 y, E v^2 y^2, E v^4 y of a table."""
    v = v[:, None]
    terms = (labels, labels**2, v * labels, v**2 * labels, (v * labels) ** 2, v**4 * labels)
    return np.array([math.fsum((weights * term).ravel()) for term in terms])
