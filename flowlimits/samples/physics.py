"""The physics of a finite sample, of a network on it, and of the early alignment of its units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.checks import check_elements, check_scale
from ..core.problem import Problem
from ..core.results import Variable
from . import TABLES, equations
from .equations import ACTIVATIONS


def distinct_kinks(X: np.ndarray, y: np.ndarray, drift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return inputs, labels and drift of the same flow without collinear inputs, whose kinks coincide.

    With :math:`x_i = c_ie` the inputs of one line act as one input e with the label :math:`\sum_i|c_i|y_i`, up to a constant: an input with
    :math:`c_i < 0` is on where e is off, and :math:`1(u\cdot e<0)\,c_iy_ie = (1 - 1(u\cdot e>0))\,c_iy_ie`.
    """
    if len(X) == 0:
        return X, y, drift
    lengths = np.linalg.norm(X, axis=1)
    units = X / lengths[:, None]
    first = np.argmax(np.abs(units) > 1e-9, axis=1)
    side = np.sign(units[np.arange(len(X)), first])
    # Adding zero turns -0 into +0, which are different rows otherwise.
    lines, line_of = np.unique(np.round(units * side[:, None], 12) + 0.0, axis=0, return_inverse=True)
    line_of = line_of.ravel()
    if len(lines) == len(X):
        return X, y, drift
    kept = np.array([np.flatnonzero(line_of == line)[0] for line in range(len(lines))])
    axes = units[kept] * side[kept][:, None]
    labels = np.bincount(line_of, weights=lengths * y, minlength=len(lines))
    opposite = np.where(side < 0, -lengths * y, 0.0)
    return axes, labels * len(lines) / len(X), drift + opposite @ axes[line_of] / len(X)


def residual_at(u: np.ndarray, X: np.ndarray, y: np.ndarray, drift: np.ndarray, width: float = 1e-9) -> float:
    """Return the distance of a direction from being extremal, with the best gates in [0, 1] for inputs on its kinks.

    Inputs with ``abs(u.x) <= width abs(x)`` count as on a kink.  Zero: s u is parallel to an element of Clarke's set.
    """
    fields = X @ u
    on = np.abs(fields) <= width * np.linalg.norm(X, axis=1)
    n = max(len(y), 1)
    base = drift + ((fields > 0) & ~on) @ (y[:, None] * X) / n

    def tangent(v: np.ndarray) -> np.ndarray:
        return v - np.outer(v @ u, u).reshape(v.shape) if v.ndim == 2 else v - (v @ u) * u

    if not on.any():
        return float(np.linalg.norm(tangent(base)))
    from scipy.optimize import lsq_linear

    columns = tangent(y[on, None] * X[on] / n).T
    best = lsq_linear(columns, -tangent(base), bounds=(0, 1))
    return float(np.linalg.norm(columns @ best.x + tangent(base)))


def check_sample(
    X: Any, y: Any, *, allow_none: bool = False, allow_zero: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (n, d) and labels (n,) of equal length, without zero inputs unless a bias follows; repeated inputs only warn."""
    X = checks.array("X", X, ("n", "d"), allow_empty=allow_none)
    y = checks.array("y", y, ("n",), allow_empty=allow_none)
    if len(X) != len(y):
        raise ValueError(f"Arguments `X` and `y` must have the same number of rows, but have {len(X)} and {len(y)}.")
    lengths = np.abs(X).max(axis=1, initial=0.0)
    check_scale("X", X)
    check_scale("y", y)
    if not allow_zero and (lengths == 0).any():
        raise ValueError(
            f"Argument `X` must not hold the zero vector, but does in row {int(np.argmin(lengths))}: it pulls on nothing."
        )
    repeated = len(X) - len(np.unique(X, axis=0))
    if repeated:
        checks.warn(
            f"Argument `X` holds {repeated} inputs more than once: they act as one with the sum of their labels."
        )
    return X, y


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EarlyAlignmentPhysics(Problem):
    """Fields and checks of `EarlyAlignment`."""

    X: np.ndarray
    y: np.ndarray
    directions: np.ndarray
    balance: np.ndarray
    drift: np.ndarray

    clock: ClassVar[str] = "t"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = ""
    papers: ClassVar[tuple[str, ...]] = ("boursier2024",)
    variables: ClassVar[dict[str, Any]] = {
        "direction": Variable("directions of the units", "$u$", ("unit", "input")),
        "balance": Variable("second layer over norm", "$s$", ("unit",)),
        "log_norm": Variable("growth of the norm", r"$\log|w(t)|/|w(0)|$", ("unit",)),
        "residual": Variable(
            "distance to an extremal direction", r"$\min_\theta|D_\theta - \langle D_\theta,u\rangle u|$", ("unit",)
        ),
    }

    def __init__(
        self,
        X: Any,
        y: Any,
        directions: Any = None,
        *,
        width: int | None = None,
        balance: Any = None,
        drift: Any = None,
        rng: Any = None,
        **other: Any,
    ) -> None:
        TABLES["EarlyAlignment"].refuse("EarlyAlignment", other)
        X, y = check_sample(X, y, allow_none=drift is not None)
        d = X.shape[1]
        self._freeze("X", X)
        self._freeze("y", y)
        self._freeze("drift", np.zeros(d) if drift is None else checks.array("drift", drift, (d,)))
        if (directions is None) == (width is None):
            raise ValueError("Either argument `directions` or `width` must be given, and not both.")
        if directions is None:
            count = checks.integer("width", width, minimum=1)
            check_elements("width", count, float(count) * d)
            directions = np.random.default_rng(streams.root(rng)).standard_normal((count, d))
        directions = checks.array("directions", directions, (None, d))
        lengths = np.linalg.norm(directions, axis=1)
        if (lengths == 0).any():
            raise ValueError(
                f"Argument `directions` must not hold the zero vector, but does at index [{int(np.argmin(lengths))}]."
            )
        # Directions that are normalised already stay the same bits: a stored problem is rebuilt as it was.
        rounded = np.abs(lengths - 1) < 1e-15
        self._freeze("directions", directions / np.where(rounded, 1.0, lengths)[:, None])
        m = len(directions)
        if balance is None:
            balance = np.where(np.arange(m) % 2 == 0, 1.0, -1.0)
        values = (
            np.broadcast_to(checks.array("balance", balance), (m,))
            if checks.is_single(balance)
            else checks.array("balance", balance, (m,))
        )
        if (np.abs(values) > 1).any():
            raise ValueError(f"Argument `balance` must lie in [-1, 1], but is {values[np.abs(values) > 1][0]:g}.")
        self._freeze("balance", values)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SampleFlowPhysics(Problem):
    """Fields and checks of `SampleFlow`."""

    X: np.ndarray
    y: np.ndarray
    W: np.ndarray
    second_layer: np.ndarray
    activation: str
    bias: bool
    loss: str
    X_test: np.ndarray | None
    y_test: np.ndarray | None

    clock: ClassVar[str] = "t"
    kind: ClassVar[str] = "exact"
    size_name: ClassVar[str] = ""
    papers: ClassVar[tuple[str, ...]] = ("boursier2024", "boursier2025")
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("training loss", r"$L$"),
        "test_risk": Variable("test loss", r"$L_{\rm test}$"),
        "output": Variable("output on the sample", "$h(x_i)$", ("sample",)),
        "directions": Variable("directions of the units", r"$w_j/|w_j|$", ("unit", "input")),
        "hidden": Variable("hidden weights", "$w_j$", ("unit", "input")),
        "second_layer": Variable("second layer", "$a_j$", ("unit",)),
    }

    def __init__(
        self, X: Any, y: Any, *, width: int | None = None, weights: Any = None, scale: float = 1e-3, start: str = "balanced",
        activation: str = "relu", bias: bool = False, loss: str = "squared", X_test: Any = None, y_test: Any = None, rng: Any = None, **other: Any,
    ) -> None:  # fmt: skip
        if {"W", "second_layer"} <= set(other):
            weights = (other.pop("W"), other.pop("second_layer"))
        given = TABLES["SampleFlow"].check("SampleFlow", other, activation=activation, bias=bias, loss=loss)
        put = object.__setattr__
        for name, value in given.items():
            put(self, name, value)
        X, y = check_sample(X, y, allow_zero=self.bias)
        self._freeze("X", X)
        if self.loss != "squared" and not np.isin(y, (-1.0, 1.0)).all():
            raise ValueError(
                f"Argument `y` must hold +1 and -1 for the {self.loss} loss, but holds {y[~np.isin(y, (-1.0, 1.0))][0]:g}."
            )
        self._freeze("y", y)
        d = X.shape[1] + self.bias
        if (width is None) == (weights is None):
            raise ValueError("Either argument `width` or `weights` must be given, and not both.")
        if weights is None:
            drawn = TABLES["SampleFlow"].check("SampleFlow", width=width, scale=scale, start=start)
            weights = _draw(drawn["width"], d, drawn["scale"], drawn["start"], rng)
        if not isinstance(weights, tuple | list) or len(weights) != 2:
            raise ValueError(
                f"Argument `weights` must be a pair (W, a) of hidden weights and second layer, but is {checks.show(weights)}."
            )
        W = checks.array("weights", weights[0], ("m", d))
        self._freeze("W", W)
        self._freeze("second_layer", checks.array("weights", weights[1], (len(W),)))
        if (X_test is None) != (y_test is None):
            raise ValueError("Arguments `X_test` and `y_test` must be given together.")
        if X_test is None:
            put(self, "X_test", None)
            put(self, "y_test", None)
        else:
            X_test = checks.array("X_test", X_test, ("n", X.shape[1]))
            self._freeze("X_test", X_test)
            self._freeze("y_test", checks.array("y_test", y_test, (len(X_test),)))

    def inputs(self, X: Any = None) -> np.ndarray:
        """Return the inputs that the units see, shape (n, d) or with `bias` (n, d + 1)."""
        X = np.array(self.X) if X is None else checks.array("X", X, ("n", self.X.shape[1]))
        return np.hstack([X, np.ones((len(X), 1))]) if self.bias else X

    def predict(self, W: Any, a: Any, X: Any) -> np.ndarray:
        """Return the outputs of given weights at inputs X, shape (n,)."""
        inputs = self.inputs(X)
        # Of any size: the merging time is looked for among times at which weights are far too large.
        W = checks.array("W", W, ("m", inputs.shape[1]), largest=math.inf)
        values = np.empty(len(inputs))
        equations.outputs(
            inputs,
            np.ascontiguousarray(W.T),
            checks.array("a", a, (len(W),), largest=math.inf),
            ACTIVATIONS.index(self.activation),
            values,
        )
        return values


def _draw(width: int, d: int, scale: float, start: str, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    check_elements("width", width, float(width) * d)
    generator = np.random.default_rng(streams.root(rng))
    W = scale / math.sqrt(width) * generator.standard_normal((width, d))
    sign = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    if start == "unbalanced":
        return W, scale / math.sqrt(width) * generator.standard_normal(width)
    return W, (2.0 if start == "dominated" else 1.0) * sign * np.linalg.norm(W, axis=1)
