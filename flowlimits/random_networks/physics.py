"""The physics of guess and check: the task, the depth, the law of the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..core import checks
from ..core.checks import check_classes
from ..core.fields import Table, array, choice, integer
from ..core.problem import Problem
from ..core.results import Variable

LAWS = {"gaussian": 0, "uniform": 1}
TRAINED = ("gd", "flow")
#: Training points whose cosine is this close to one count as one point.
SAME = 1e-12
#: Why a variable may not be finite.
NONE_FOUND = "nan where no network with zero training error was found, or one alone for an error bar"

TABLES = {
    "GuessAndCheck": Table(
        (
            array("X", "Training inputs, one per row.", ("n", "d")),
            array("y", "Training labels, 1 and -1.", ("n",)),
            array("X_test", "Test inputs.", ("n", "d")),
            array("y_test", "Test labels.", ("n",)),
            integer("depth", "Number of hidden layers.", 1, minimum=1),
            choice("law", "Law of the weights at finite width.", ("gaussian", "uniform"), "gaussian"),
        ),
        {},
        solve=("accuracy", "max_points", "rng", "threads"),
        simulate=(
            "widths", "runs", "method", "rng", "threads", "max_networks", "learning_rate", "steps", "loss", "tolerance",
        ),
        required=("widths",),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class GuessAndCheckPhysics(Problem):
    """Fields and checks of `GuessAndCheck`."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    depth: int = field(default=1, kw_only=True)
    law: str = field(default="gaussian", kw_only=True)

    clock: ClassVar[str] = ""
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = "width"
    papers: ClassVar[tuple[str, ...]] = ("peleg2024",)
    variables: ClassVar[dict[str, Variable]] = {
        "acceptance": Variable("probability of zero training error", "P"),
        "acceptance_standard_error": Variable("standard error of the acceptance", r"\delta P", undefined=NONE_FOUND),
        "test_error": Variable("mean test error at zero training error", r"\varepsilon", undefined=NONE_FOUND),
        "test_error_standard_error": Variable(
            "standard error of the test error", r"\delta\varepsilon", undefined=NONE_FOUND
        ),
        "network_test_error": Variable("test error of each network", r"\varepsilon", undefined=NONE_FOUND),
        "network_loss": Variable("mean logistic loss of each network", "L", undefined=NONE_FOUND),
    }

    def __post_init__(self) -> None:
        for first, second, suffix in (("X", "y", ""), ("X_test", "y_test", "_test")):
            X = checks.array(first, getattr(self, first), ("n", "d"))
            y = checks.array(second, getattr(self, second), (X.shape[0],))
            check_classes(X, y, suffix)
            self._freeze(first, X)
            self._freeze(second, y)
        if self.X_test.shape[1] != self.X.shape[1]:
            raise ValueError(
                f"Argument `X_test` must have the {self.X.shape[1]} columns of `X`, but has {self.X_test.shape[1]}."
            )
        object.__setattr__(self, "depth", checks.integer("depth", self.depth, minimum=1))
        checks.choice("law", self.law, tuple(LAWS))
        distinct(self.X, self.y)


def distinct(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the rows of `X` of distinct directions; refuse equal directions with opposite labels.

    Without biases the outputs at two inputs of the same direction have the same sign.
    """
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    kept: list[int] = []
    for i in range(len(y)):
        same = [j for j in kept if unit[i] @ unit[j] > 1 - SAME]
        if same and y[same[0]] != y[i]:
            raise ValueError(
                f"Rows {same[0]} and {i} of `X` have the same direction but opposite labels: no network without biases classifies both."
            )
        if not same:
            kept.append(i)
    return np.array(kept)
