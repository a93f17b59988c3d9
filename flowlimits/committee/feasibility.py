"""Checks of overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import checks
from ..spectrum.covariance import groups_of
from ..spectrum.groups import CovarianceGroups

#: Overlaps may miss symmetry and positivity by this share of their largest entry.
SLACK = 1e-9
#: Units nearer than this, as a share of their norm, differ in overlaps by nothing but round-off.
COPIES = 1e-7
#: Down to this the overlaps hold differences of units to the precision of a solution.
NEAR = 1e-4


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


def check_groups(
    Q: Any, R: Any, T: Any, covariance: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, CovarianceGroups | None]:
    """Return checked overlaps, by group if the inputs have a covariance, and the groups; none for standard normal inputs."""
    if covariance is None:
        return (*check(Q, R, T), None)
    groups = groups_of(covariance)
    Q, R, T = groups.check_overlaps(Q, R, T)
    return (Q[0], R[0], T[0], None) if groups.is_isotropic else (Q, R, T, groups)


def nearly_singular(Q: np.ndarray) -> bool:
    """Whether overlaps hold some combination of the units to less than eight digits, as those of nearly equal units."""
    norms = np.sqrt(np.diag(Q))
    if not (norms > 0).all():
        return False
    return bool(np.linalg.eigvalsh(Q / np.outer(norms, norms))[0] < NEAR**2)


def coordinates_of(W: np.ndarray, W_star: np.ndarray) -> np.ndarray:
    """Return rows of at most p + k coordinates with the products of the rows of [W; W_star], shapes (p, d), (k, d), over d."""
    rows = np.vstack([W, W_star]) / np.sqrt(W.shape[1])
    return rows if rows.shape[1] <= len(rows) else np.ascontiguousarray(np.linalg.qr(rows.T)[1].T)


def check_coordinates(value: Any, Q: np.ndarray, R: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return coordinates of the units, students before teachers, whose products are the overlaps."""
    rows = checks.array("coordinates", value, (sum(R.shape), "m"))
    C = np.block([[Q, R], [R.T, T]])
    gap = float(np.abs(rows @ rows.T - C).max())
    if gap > SLACK * float(np.abs(C).max()):
        raise ValueError(
            f"Argument `coordinates` must be rows whose products are the overlaps [[Q, R], [R.T, T]], but they differ by {gap:.3g}."
        )
    return rows


def warn_of_copies(Q: np.ndarray, R: np.ndarray) -> None:
    """Warn of units whose difference the overlaps hold to no digit; exact copies differ by nothing."""
    norms = np.diag(Q)
    near = norms[:, None] + norms - 2 * Q < COPIES**2 * norms
    if near.sum() <= len(Q):
        return
    for i, j in np.argwhere(np.tril(near, -1)):
        if not ((Q[i] == Q[j]).all() and (R[i] == R[j]).all()):
            checks.warn(
                f"Units {j} and {i} are nearer than {COPIES:g} of their norm: overlaps do not hold what tells them apart, and it "
                "decides when they leave a saddle. Committee.from_weights(W, W_star) with learning_rate=0 keeps it."
            )
            return


def _symmetric(name: str, value: np.ndarray) -> np.ndarray:
    difference = np.abs(value - value.T)
    if difference.max() > SLACK * max(np.abs(value).max(), 1e-300):
        i, j = np.unravel_index(int(difference.argmax()), value.shape)
        raise ValueError(
            f"Argument `{name}` must be symmetric, but {name}[{i}, {j}] is {value[i, j]:.6g} and {name}[{j}, {i}] is {value[j, i]:.6g}."
        )
    # Halves first: the sum of two large numbers is not finite.
    return 0.5 * value + 0.5 * value.T
