"""A model of one's own: a compiled function of the weights and one input."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from . import equations
from .models import MarginModel


@dataclass(frozen=True, eq=False, repr=False)
class UserModel(MarginModel):
    """A homogeneous model of your own, given by its output and the gradient of its output.

    Parameters
    ----------
    function : callable
        ``f(theta, x, gradient)``: writes the gradient with respect to the weights theta (size,) into `gradient`
        and returns the output for one input x.  Numba compiles it: numbers, arrays and loops, no allocation.
    weights_size : int
        Number of weights.
    order : float
        The order of homogeneity; checked at a random point when the flow is built, unless `homogeneous` is False.
    smooth : bool, optional
        False if the gradient jumps (ReLU, max): explicit steps are taken then.
    homogeneous : bool, optional
        False if the model is homogeneous only asymptotically.

    Notes
    -----
    A result of such a model is saved and loaded like any other, but the model cannot be rebuilt from the file.
    """

    function: Callable[..., float]
    weights_size: int
    order: float = 1.0
    smooth: bool = True
    homogeneous: bool = True
    compiled: Any = field(init=False, default=None)

    kind: ClassVar[int] = equations.USER

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights_size", checks.integer("weights_size", self.weights_size, minimum=1))
        object.__setattr__(self, "order", checks.number("order", self.order, positive=True))
        object.__setattr__(self, "smooth", checks.boolean("smooth", self.smooth))
        object.__setattr__(self, "homogeneous", checks.boolean("homogeneous", self.homogeneous))
        object.__setattr__(self, "compiled", _compile(self.function))

    def _fields(self) -> dict[str, Any]:
        return {name: value for name, value in super()._fields().items() if name != "compiled"}

    def to_plain(self, arrays: dict[str, np.ndarray], prefix: str = "problem_") -> dict[str, Any]:
        fields = self._fields() | {"function": getattr(self.function, "__qualname__", "function")}
        return {"class": "UserModel"} | fields

    @classmethod
    def from_plain(cls, fields: Any) -> UserModel:
        raise ValueError(
            f"The model `{fields['function']}` is a function of your own and cannot be rebuilt from a file."
        )

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        return {"theta": (self.weights_size,)}

    def extra(self) -> np.ndarray:
        # Addresses have 47 bits, a float holds 53.
        return np.array([float(self.compiled.address)])

    def check(self, X: np.ndarray) -> None:
        """Check order and gradient at one random point."""
        generator = np.random.default_rng(0)
        theta = generator.normal(size=self.weights_size)
        gradient = np.zeros_like(theta)
        value = float(self.function(theta, X[0], gradient))
        twice = float(self.function(2 * theta, X[0], np.zeros_like(theta)))
        size = max(abs(value), float(np.abs(gradient * theta).sum()), 1e-300)
        if self.homogeneous and abs(twice - 2**self.order * value) > 1e-8 * 2**self.order * size:
            raise ValueError(
                f"Argument `order` is {self.order:g}, but at twice the weights the output is {twice / value:.6g} times as large."
            )
        if self.homogeneous and abs(gradient @ theta - self.order * value) > 1e-8 * size:
            raise ValueError(
                f"The gradient of `{self.function.__name__}` contradicts its output: theta.gradient must be order * output = "
                f"{self.order * value:.6g}, but is {gradient @ theta:.6g}."
            )


def _compile(function: Any) -> Any:
    from ..compiled.jit import CompilationError, callback, reason

    if not callable(function):
        raise TypeError(f"Argument `function` must be a function (theta, x, gradient), but is {checks.show(function)}.")
    plain = getattr(function, "__wrapped__", getattr(function, "py_func", function))
    if not inspect.isfunction(plain):
        raise TypeError(
            f"Argument `function` must be a function written in Python, which Numba compiles, but is {checks.show(function)}."
        )
    try:
        return callback(equations.MODEL_SIGNATURE, at_once=True)(plain)
    except CompilationError as error:
        raise TypeError(
            f"The model `{plain.__name__}` cannot be compiled: {reason(error)} It must write its gradient, return a "
            "number, and use what Numba knows."
        ) from error
