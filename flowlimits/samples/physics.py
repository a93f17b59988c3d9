"""The physics of a finite sample: the data, the network, its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.problem import Problem
from ..core.ranges import LARGEST, check_elements
from ..core.results import Variable
from . import equations
from .equations import ACTIVATIONS
from .fields import TABLES
from .kinks import check_sample


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
        W = checks.array("W", W, ("m", inputs.shape[1]))
        values = np.empty(len(inputs))
        equations.outputs(
            inputs,
            np.ascontiguousarray(W.T),
            checks.array("a", a, (len(W),)),
            ACTIVATIONS.index(self.activation),
            values,
        )
        return values


def _draw(width: int, d: int, scale: float, start: str, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    check_elements("width", width, float(width) * d)
    if scale > LARGEST:
        raise ValueError(f"Argument `scale` must be at most {LARGEST:g}, but is {scale:g}.")
    generator = np.random.default_rng(streams.root(rng))
    W = scale / math.sqrt(width) * generator.standard_normal((width, d))
    sign = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    if start == "unbalanced":
        return W, scale / math.sqrt(width) * generator.standard_normal(width)
    return W, (2.0 if start == "dominated" else 1.0) * sign * np.linalg.norm(W, axis=1)
