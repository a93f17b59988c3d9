"""The physics of a margin flow: the model, the data, the loss, the start."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.checks import check_classes
from ..core.fields import Field, Table, array, choice, integer, number
from ..core.problem import Problem
from ..core.results import Variable
from .models import MarginModel, UserModel
from .state import State

#: Why a variable may not be finite.
VANISHED = "not finite where the weights vanish, as at the start of some flows"

TABLES = {
    "MarginFlow": Table(
        (
            Field(
                "model", "model", "Model that is trained.",
                choices=("LinearModel", "QuadraticModel", "ReLUModel", "SoftplusModel", "SkipReLUModel", "NormOnlyModel"),
            ),
            array("X", "Inputs, one per row.", ("n", "d")),
            array("y", "Labels, 1 and -1.", ("n",)),
            Field("weights", "arrays", "Own start: one file, or one per layer with commas.", None),
            choice("loss", "Loss of one sample.", ("exponential", "logistic"), "exponential"),
            choice("geometry", "Norm of steepest descent.", ("l2", "linf", "l1"), "l2"),
            integer("rng", "Random stream of a drawn start.", None, flag="weights-rng"),
            number("scale", "Scale of a drawn start.", 1.0, positive=True),
        ),
        {},
        solve=("log_losses", "rtol", "atol", "method", "max_steps"),
        simulate=("log_losses", "learning_rate", "batch", "runs", "rng", "threads"),
        required=("learning_rate",),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class MarginFlowPhysics(Problem):
    """Fields and checks of `MarginFlow`."""

    model: MarginModel
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = field(default=None, kw_only=True)
    loss: str = field(default="exponential", kw_only=True)
    geometry: str = field(default="l2", kw_only=True)
    rng: InitVar[Any] = field(default=None, kw_only=True)
    scale: InitVar[float] = field(default=1.0, kw_only=True)

    clock: ClassVar[str] = "minus log loss"
    kind: ClassVar[str] = "exact"
    size_name: ClassVar[str] = ""
    papers: ClassVar[tuple[str, ...]] = (
        "lyu2020",
        "ji2020",
        "telgarsky2022",
        "tsilivis2024",
        "cai2025",
        "schechtman2025",
    )
    variables: ClassVar[dict[str, Variable]] = {
        "margin": Variable("normalised margin", r"\min_i q_i / N(\theta)^H", undefined=VANISHED),
        "smoothed_margin": Variable("smoothed margin", r"\ell^{-1}(L) / N(\theta)^H", undefined=VANISHED),
        "log_norm": Variable("logarithm of the norm of the weights", r"\log N(\theta)", undefined=VANISHED),
        "log_time": Variable("logarithm of the time of gradient flow", r"\log t", undefined=VANISHED),
        "alignment": Variable(
            "cosine of weights and minus the gradient", r"\cos(\theta, -\nabla L)", undefined=VANISHED
        ),
        "kkt_residual": Variable(
            "distance from the KKT conditions",
            r"\varepsilon_{\mathrm{KKT}}",
            undefined="nan where it is not asked for (kkt=False), or the weights vanish",
        ),
        "path_length": Variable("path length of the direction", r"\int |d\hat\theta|"),
        "direction": Variable("direction of the weights", r"\hat\theta", ("parameter",)),
    }

    def __post_init__(self, rng: Any, scale: float) -> None:
        if not isinstance(self.model, MarginModel):
            raise TypeError(
                f"Argument `model` must be a model of fl.margin, such as LinearModel(), but is {checks.show(self.model)}."
            )
        X = checks.array("X", self.X, ("n", "d"))
        y = checks.array("y", self.y, (X.shape[0],))
        check_classes(X, y)
        TABLES["MarginFlow"].check("MarginFlow", loss=self.loss, geometry=self.geometry)
        if isinstance(self.model, UserModel):
            self.model.check(X)
        if self.weights is None:
            generator = np.random.default_rng(streams.root(rng))
            weights = self.model.draw(generator, X.shape[1], checks.number("scale", scale, positive=True))
        else:
            weights = self.model.pack(self.weights, X.shape[1])
        for name, values in (("X", X), ("y", y), ("weights", weights)):
            self._freeze(name, values)
        self.state.check_start()

    @property
    def state(self) -> State:
        """The data in the form of the compiled equations."""
        assert self.weights is not None
        return State(self.model, self.X, self.y, self.weights, self.loss, self.geometry)
