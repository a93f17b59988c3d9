"""The sample as units see it: checked inputs, inputs whose kinks coincide, directions on kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks
from ..core.ranges import check_scale


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
