"""Models of margin flows: what is trained, how its weights are laid out, and of which order it is homogeneous.

Convention: plain sums, f(x) = sum_j a_j s(w_j.x), no factor 1/width.  A bias is a column of ones in the inputs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from ..core.checks import check_elements
from ..core.problem import Description
from . import equations


class MarginModel(Description):
    """Base of the models.

    Attributes
    ----------
    kind : int
        Code of the model in the compiled equations.
    order : float
        H in f(rho theta) = rho^H f(theta), of the model or of what it tends to at large norms.
    smooth : bool
        Whether its gradient is Lipschitz: decides between implicit and explicit steps.
    homogeneous : bool
        Whether it is exactly homogeneous.
    """

    kind: ClassVar[int] = -1
    order: float = 1.0
    smooth: bool = True
    homogeneous: bool = True

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the trained arrays by name, in the order of the weight vector."""
        raise NotImplementedError

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs that the compiled equations see."""
        return X

    def extra(self) -> np.ndarray:
        """Return the further numbers that the compiled equations see."""
        return np.zeros(1)

    def draw(self, generator: np.random.Generator, features: int, scale: float) -> np.ndarray:
        """Return Gaussian starting weights: each of variance scale^2 over the length of its last axis."""
        if not isinstance(generator, np.random.Generator):
            raise TypeError(f"Argument `generator` must be a NumPy Generator, but is {checks.show(generator)}.")
        checks.number("scale", scale, positive=True)
        check_elements("width", self.size(features), self.size(features))
        drawn = [generator.normal(size=s) * (scale / np.sqrt(s[-1])) for s in self.blocks(features).values()]
        return np.concatenate([block.ravel() for block in drawn])

    def size(self, features: int) -> int:
        """Return the number of trained weights."""
        features = checks.integer("features", features, minimum=1)
        return sum(math.prod(shape) for shape in self.blocks(features).values())

    def pack(self, weights: Any, features: int) -> np.ndarray:
        """Return the weight vector from a vector, or from one array per block."""
        shapes = self.blocks(checks.integer("features", features, minimum=1))
        if isinstance(weights, list | tuple) and len(weights) == len(shapes) and not checks.is_single(weights[0]):
            return np.concatenate(
                [checks.array(name, w, shape).ravel() for (name, shape), w in zip(shapes.items(), weights)]
            )
        return checks.array("weights", weights, (self.size(features),))

    def unpack(self, weights: np.ndarray, features: int) -> dict[str, np.ndarray]:
        """Return the trained arrays by name, from weights of shape (..., size)."""
        weights = checks.array("weights", weights)
        if weights.ndim == 0 or weights.shape[-1] != self.size(features):
            raise ValueError(
                f"Argument `weights` must have {self.size(features)} numbers along its last axis, but has shape {weights.shape}."
            )
        arrays, at = {}, 0
        for name, shape in self.blocks(features).items():
            count = int(np.prod(shape))
            arrays[name] = weights[..., at : at + count].reshape(weights.shape[:-1] + shape)
            at += count
        return arrays


@dataclass(frozen=True, eq=False, repr=False)
class LinearModel(MarginModel):
    """f(x) = w.x, homogeneous of order 1; its flow finds the hard-margin support vector machine."""

    kind: ClassVar[int] = equations.LINEAR

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        return {"w": (features,)}


@dataclass(frozen=True, eq=False, repr=False)
class QuadraticModel(MarginModel):
    """f(x) = sum_j a_j (w_j.x)^2: order 2 with fixed a_j, order 3 with a trained second layer.

    Parameters
    ----------
    width : int
        Number of hidden units.
    second_layer : {"fixed", "trained"}, optional
        Whether the a_j are constants or trained.
    signs : array_like, shape (width,), optional
        The fixed a_j, each 1 or -1; alternating if not given.
    """

    width: int
    second_layer: str = "fixed"
    signs: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", checks.integer("width", self.width, minimum=1))
        checks.choice("second_layer", self.second_layer, ("fixed", "trained"))
        if self.second_layer == "trained":
            if self.signs is not None:
                raise ValueError(
                    'Argument `signs` goes with second_layer="fixed" only; a trained one starts from `weights`.'
                )
            return
        default = np.where(np.arange(self.width) % 2 == 0, 1.0, -1.0)
        self._freeze("signs", _check_signs(default if self.signs is None else self.signs, self.width))

    @property
    def kind(self) -> int:  # type: ignore[override]
        return equations.QUADRATIC if self.second_layer == "fixed" else equations.QUADRATIC_TRAINED

    @property
    def order(self) -> float:  # type: ignore[override]
        return 2.0 if self.second_layer == "fixed" else 3.0

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        first: dict[str, tuple[int, ...]] = {"W": (self.width, features)}
        return first if self.second_layer == "fixed" else first | {"a": (self.width,)}

    def extra(self) -> np.ndarray:
        return np.zeros(1) if self.signs is None else np.array(self.signs)


@dataclass(frozen=True, eq=False, repr=False)
class _TwoLayers(MarginModel):
    width: int

    order: ClassVar[float] = 2.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", checks.integer("width", self.width, minimum=1))

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        return {"W": (self.width, features), "a": (self.width,)}


@dataclass(frozen=True, eq=False, repr=False)
class ReLUModel(_TwoLayers):
    """f(x) = sum_j a_j relu(w_j.x) with both layers trained, homogeneous of order 2; it has kinks."""

    kind: ClassVar[int] = equations.RELU
    smooth: ClassVar[bool] = False  # type: ignore[misc]


@dataclass(frozen=True, eq=False, repr=False)
class SoftplusModel(_TwoLayers):
    """f(x) = sum_j a_j log(1 + exp(w_j.x)): tends to the ReLU network (order 2) at large norms."""

    kind: ClassVar[int] = equations.SOFTPLUS
    homogeneous: ClassVar[bool] = False  # type: ignore[misc]


@dataclass(frozen=True, eq=False, repr=False)
class SkipReLUModel(_TwoLayers):
    """f(x) = sum_j a_j relu(w_j.x) + b.x: the linear skip is of lower order, the network tends to order 2."""

    kind: ClassVar[int] = equations.RELU_SKIP
    smooth: ClassVar[bool] = False  # type: ignore[misc]
    homogeneous: ClassVar[bool] = False  # type: ignore[misc]

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        return super().blocks(features) | {"b": (features,)}


@dataclass(frozen=True, eq=False, repr=False)
class NormOnlyModel(MarginModel):
    """f(x) = sum_j s_j^2 a_j relu(v_j.x) with frozen directions v_j and signs a_j; the s_j are trained (order 2).

    Parameters
    ----------
    directions : array_like, shape (width, d)
        The v_j.
    signs : array_like, shape (width,)
        The a_j, each 1 or -1.
    """

    directions: np.ndarray
    signs: np.ndarray

    kind: ClassVar[int] = equations.NORM_ONLY
    order: ClassVar[float] = 2.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        directions = checks.array("directions", self.directions, ("width", "d"))
        self._freeze("directions", directions)
        self._freeze("signs", _check_signs(self.signs, len(directions)))

    def blocks(self, features: int) -> dict[str, tuple[int, ...]]:
        return {"s": (self.directions.shape[0],)}

    def prepare(self, X: np.ndarray) -> np.ndarray:
        if X.shape[1] != self.directions.shape[1]:
            raise ValueError(
                f"Argument `directions` must have the {X.shape[1]} columns of `X`, but has {self.directions.shape[1]}."
            )
        return np.ascontiguousarray(np.maximum(X @ self.directions.T, 0.0) * self.signs)

    def draw(self, generator: np.random.Generator, features: int, scale: float) -> np.ndarray:
        width = self.directions.shape[0]
        return scale / np.sqrt(width) * np.exp(0.1 * generator.normal(size=width))


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


def _check_signs(value: Any, width: int) -> np.ndarray:
    signs = checks.array("signs", value, (width,))
    if not (np.abs(signs) == 1).all():
        raise ValueError(f"Argument `signs` must hold 1 and -1, but holds {signs[np.abs(signs) != 1][0]:g}.")
    return signs


def _compile(function: Any) -> Any:
    from ..compiled.announce import reason
    from ..compiled.jit import CompilationError, callback

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
