"""The physics of early alignment: the data, the directions of the units, what they are drawn to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core import checks, streams
from ...core.problem import Problem
from ...core.ranges import check_elements
from ...core.results import Variable
from ..kinks import check_sample
from .fields import TABLES


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
