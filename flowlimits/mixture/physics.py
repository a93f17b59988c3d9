"""The physics of the XOR mixture: which inputs, which network, which start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.checks import check_elements
from ..core.problem import Problem
from ..core.results import Variable
from . import TABLES
from .equations import factor

#: Smallest length whose square has all its digits.
SMALLEST = 1 / checks.LARGEST


@dataclass(frozen=True, eq=False, repr=False, init=False)
class XorMixturePhysics(Problem):
    """Fields and checks of `XorMixture`."""

    Q: np.ndarray
    R: np.ndarray
    second_layer: np.ndarray
    separation: float
    noise_scale: float
    label_noise: float
    loss: str
    learning_rate: float
    second_layer_rate: float

    clock: ClassVar[str] = (
        "t (steps times step of gradient descent; steps times learning_rate / dimension of one-pass SGD)"
    )
    kind: ClassVar[str] = "exact"
    papers: ClassVar[tuple[str, ...]] = ("refinetti2021", "frei2022")
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("population risk, label noise included", r"$\mathcal{R}$"),
        "error": Variable("classification error against noisy labels, ties one half", r"$\epsilon$"),
        "clean_error": Variable("classification error against clean labels, ties one half", r"$\epsilon_{\rm clean}$"),
        "Q": Variable("overlaps of hidden units", "$Q$", ("student", "student_2")),
        "R": Variable("fields at the centres", "$R$", ("student", "centre")),
        "second_layer": Variable("second layer", "$a$", ("student",)),
        "relevant_share": Variable("share of units whose larger field is that of their own label", r"$\rho_{\rm rel}$"),
    }

    def __init__(
        self,
        width: int | None = None,
        *,
        Q: Any = None,
        R: Any = None,
        second_layer: Any = None,
        separation: float = 1.0,
        noise_scale: float = 0.0,
        label_noise: float = 0.0,
        loss: str = "squared",
        learning_rate: float = 0.0,
        second_layer_rate: float = 0.0,
        scale: float | None = None,
        dimension: int | None = None,
        rng: Any = None,
        **other: Any,
    ) -> None:
        put = object.__setattr__
        given = TABLES["XorMixture"].check(
            "XorMixture", other, separation=separation, noise_scale=noise_scale, label_noise=label_noise, loss=loss,
            learning_rate=learning_rate, second_layer_rate=second_layer_rate,
        )  # fmt: skip
        for name, value in given.items():
            put(self, name, value)
        for name, least in (("separation", ""), ("noise_scale", "0 or ")):
            if (value := getattr(self, name)) < SMALLEST and not (least and value == 0):
                raise ValueError(
                    f"Argument `{name}` must be {least}at least {SMALLEST:g}, but is {value:g}: rescale it."
                )
        if not 0 <= self.label_noise < 0.5:
            raise ValueError(f"Argument `label_noise` must lie in [0, 1/2), but is {self.label_noise:g}.")
        if width is not None:
            if Q is not None or R is not None:
                raise ValueError("Arguments `width` and `Q`, `R` exclude each other: `width` draws the overlaps.")
            Q, R = self._draw(width, 1.0 if scale is None else scale, dimension, rng)
        elif Q is None or R is None:
            raise ValueError("Either argument `width` or both of `Q` and `R` must be given.")
        else:
            _refuse_draw({"scale": scale, "dimension": dimension, "rng": rng})
        Q = checks.array("Q", Q, ("K", "K"))
        R = checks.array("R", R, (Q.shape[0], 2))
        _check_feasible(Q, R, self.separation)
        self._freeze("Q", Q)
        self._freeze("R", R)
        K = Q.shape[0]
        if second_layer is None:
            second_layer = np.where(np.arange(K) % 2 == 0, 1.0, -1.0) / math.sqrt(K)
        self._freeze("second_layer", checks.array("second_layer", second_layer, (K,)))

    def _draw(self, width: Any, scale: Any, dimension: Any, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        width = checks.integer("width", width, minimum=1)
        if dimension is None:
            raise ValueError(
                "Argument `dimension` must be given together with `width`: the overlaps of random weights depend on it."
            )
        dimension = checks.integer("dimension", dimension, minimum=2)
        check_elements("width", width, float(width) * (width + 2))
        check_elements("dimension", dimension, float(width) * dimension)
        scale = checks.number("scale", scale, positive=True, largest=checks.LARGEST_WEIGHT)
        generator = np.random.default_rng(streams.root(rng))
        along = scale * generator.standard_normal((width, 2))
        across = scale * generator.standard_normal((width, dimension - 2))
        return along @ along.T + across @ across.T, along * self.separation

    @property
    def width(self) -> int:
        """The number of hidden units."""
        return int(self.second_layer.size)

    def weights(self, dimension: int) -> np.ndarray:
        """Return weights (K, d) with exactly the problem's overlaps; the centres lie along the first two axes.

        Raises
        ------
        ValueError
            If `dimension` is below width + 2.
        """
        K = self.width
        dimension = checks.integer("dimension", dimension)
        if dimension < K + 2:
            raise ValueError(
                f"Argument `dimension` must be at least width + 2 = {K + 2} to realise these overlaps, but is {dimension}."
            )
        check_elements("dimension", dimension, float(K) * dimension)
        W = np.zeros((K, dimension))
        B = np.empty((K, K + 2))
        factor(np.array(self.Q), np.array(self.R), self.separation, B)
        W[:, : K + 2] = B
        return W


def _refuse_draw(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"Argument `{name}` belongs to a drawn start, with `width`: the overlaps `Q` and `R` are given here."
            )


def _check_feasible(Q: np.ndarray, R: np.ndarray, separation: float) -> None:
    along = R / separation
    rest = Q - along @ along.T
    scale = float(np.trace(Q)) + 1e-300
    if np.abs(Q - Q.T).max() > 1e-12 * scale:
        raise ValueError(
            f"Argument `Q` must be symmetric, but differs from its transpose by {np.abs(Q - Q.T).max():.3g}."
        )
    smallest = float(np.linalg.eigvalsh(rest)[0])
    if smallest < -1e-9 * scale:
        raise ValueError(
            f"Overlaps are not feasible: Q - R R^T / separation^2 has the eigenvalue {smallest:.3g}. "
            "Overlaps of weight vectors are positive semidefinite."
        )
