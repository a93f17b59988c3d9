"""Checks of overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks

#: Overlaps may miss symmetry and positivity by this share of their largest entry.
SLACK = 1e-9


def check(Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the overlaps as symmetric float arrays of fitting shapes, positive semidefinite together."""
    for name, value in (("Q", Q), ("T", T)):
        shape = checks.array(name, value).shape
        if len(shape) == 2 and shape[0] < shape[1]:
            letter = "p" if name == "Q" else "k"
            raise ValueError(
                f"Argument `{name}` must have shape ({letter}, {letter}), but has shape {shape}; Committee.from_weights(W, W_star) takes weights."
            )
    Q, T = checks.array("Q", Q, ("p", "p")), checks.array("T", T, ("k", "k"))
    R = checks.array("R", R, (Q.shape[0], T.shape[0]))
    Q, T = _symmetric("Q", Q), _symmetric("T", T)
    C = np.block([[Q, R], [R.T, T]])
    scale = max(float(np.diag(C).max()), 0.0)
    try:
        np.linalg.cholesky(C + (SLACK * scale + 1e-300) * np.eye(len(C)))
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(C)[0])
        raise ValueError(
            f"Overlaps are not feasible: [[Q, R], [R.T, T]] has the eigenvalue {smallest:.3g}. "
            "Overlaps of weight matrices are positive semidefinite."
        ) from None
    return Q, R, T


def _symmetric(name: str, value: np.ndarray) -> np.ndarray:
    difference = np.abs(value - value.T)
    if difference.max() > SLACK * max(np.abs(value).max(), 1e-300):
        i, j = np.unravel_index(int(difference.argmax()), value.shape)
        raise ValueError(
            f"Argument `{name}` must be symmetric, but {name}[{i}, {j}] is {value[i, j]:.6g} and {name}[{j}, {i}] is {value[j, i]:.6g}."
        )
    return 0.5 * (value + value.T)
