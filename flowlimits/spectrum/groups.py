r"""Eigenvalue groups of a covariance, and overlaps by group.

Inputs :math:`x \sim N(0, S)` with :math:`S = \sum_l c_l P_l` enter a high-dimensional limit through the eigenvalues
:math:`c_l` and the weights :math:`q_l = d_l / d` of their eigenspaces, and weights through their overlaps there,

.. math:: C_l = [W; W_\star] P_l [W; W_\star]^\top / d, \qquad \operatorname{Cov}(\lambda, \lambda_\star) = \sum_l c_l C_l .

Groups may share an eigenvalue, and may have the weight 0: a direction that carries overlap and no noise.  In a finite dimension a group,
or an eigenvalue of a law, gets a whole number of directions by largest remainders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import checks
from ..core.problem import Description


def largest_remainders(weights: np.ndarray, dimension: int) -> np.ndarray:
    """Return whole numbers near weights * dimension that sum to `dimension`, shape (n,)."""
    checks.counts(dimension, "Argument `dimension` asks")
    exact = weights * dimension
    counts = np.floor(exact + 1e-9).astype(np.int64)
    missing = dimension - int(counts.sum())
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[:missing]] += 1
    return counts


def width(ratio: float, dimension: int) -> int:
    """Return the width nearest to ratio * dimension, at least one."""
    result = int(checks.counts(ratio * float(dimension), "The ratio and the argument `dimension` ask"))
    if result < 1:
        raise ValueError(
            f"Argument `dimension` must be at least {math.floor(0.5 / ratio) + 1} to realise the ratio {ratio:g}, but is {dimension}."
        )
    return result


def check_not_negative(name: str, values: np.ndarray, reason: str = "") -> None:
    """Refuse values below zero; `reason` is a further sentence."""
    if (values < 0).any():
        i = int(np.argmax(values < 0))
        message = f"Argument `{name}` must not be negative, but is {values[i]:g} at index [{i}]. {reason}"
        raise ValueError(message.rstrip())


def merge(nodes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes of positive weight, increasing, equal ones as one, and their weights."""
    kept = weights > 0
    distinct, inverse = np.unique(nodes[kept], return_inverse=True)
    if distinct.size == nodes.size:
        return distinct, weights[np.argsort(nodes)]
    return distinct, np.bincount(inverse, weights[kept], minlength=distinct.size)


def shares(nodes: np.ndarray, weights: np.ndarray, power: float) -> np.ndarray:
    """Return weights * nodes^power divided by their sum."""
    if power < 0 and (nodes == 0).any():
        raise ValueError(f"Argument `power` must not be negative for eigenvalues that are zero, but is {power:g}.")
    if not (nodes * weights > 0).any():
        raise ValueError("A spectrum whose eigenvalues are all zero has no shares.")
    parts = weights * (nodes / nodes.max()) ** power
    return parts / parts.sum()


#: Overlaps may miss symmetry and positivity by this share of their largest entry.
SLACK = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class CovarianceGroups(Description):
    """Eigenvalues of a covariance and the fractions of the dimensions that they have, in a fixed order.

    Parameters
    ----------
    eigenvalues : array_like, shape (L,)
        Not negative, in the order of the overlaps by group.
    weights : array_like, shape (L,)
        Fractions of the dimensions; they sum to one.
    """

    eigenvalues: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        values = checks.array("eigenvalues", self.eigenvalues, ("L",))
        weights = checks.array("weights", self.weights, (values.size,))
        for name, given in (("eigenvalues", values), ("weights", weights)):
            check_not_negative(name, given)
        total = math.fsum(weights)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"Argument `weights` must sum to one, but sums to {total:.12g}.")
        self._freeze("eigenvalues", values)
        self._freeze("weights", weights)

    def __repr__(self) -> str:
        if self.count <= 4:
            return f"CovarianceGroups({self.eigenvalues.tolist()}, {self.weights.tolist()})"
        low, high = self.eigenvalues.min(), self.eigenvalues.max()
        return f"CovarianceGroups(<{self.count} groups in [{low:.4g}, {high:.4g}], mean {self.mean:.6g}>)"

    @classmethod
    def isotropic(cls) -> CovarianceGroups:
        """Return the one group of standard normal inputs."""
        return cls(np.ones(1), np.ones(1))

    @property
    def count(self) -> int:
        """The number of groups, L."""
        return int(self.eigenvalues.size)

    @property
    def is_isotropic(self) -> bool:
        """Whether there is one group, of eigenvalue one: standard normal inputs."""
        return self.count == 1 and self.eigenvalues[0] == 1.0

    @property
    def mean(self) -> float:
        """The trace of the covariance per dimension."""
        return math.fsum(self.weights * self.eigenvalues)

    def effective_dimension(self, dimension: float) -> float:
        """Return (tr S)^2 / tr S^2, which takes the place of the dimension in the fluctuations of a run."""
        second = math.fsum(self.weights * self.eigenvalues**2)
        return dimension * self.mean**2 / second if second > 0 else 0.0

    def largest_rate(self, decay: float = 0.0, dimension: int | None = None) -> float:
        r"""Return the learning rate from which on one-pass SGD of a linear unit diverges in mean square.

        In the limit the noise of the steps outruns the descent at :math:`2/\sum_l q_l c_l^2/(c_l + \text{decay})`.  In d dimensions, with
        :math:`\delta = \text{rate}/d` and :math:`w` the decay, the squares :math:`m_l` of the weights obey exactly

        .. math:: m_l \leftarrow (1 - \beta_l)\, m_l + \delta^2 c_l \textstyle\sum_k c_k m_k, \qquad
                  \beta_l = 2\delta (c_l + w) - \delta^2 (w^2 + 2 w c_l + 2 c_l^2)

        for every direction, so that all :math:`\beta_l` must be positive, the one of the largest eigenvalue too, and
        :math:`\sum_l d_l\,\delta^2 c_l^2/\beta_l` below one.
        """
        counts = self.weights if dimension is None else self.multiplicities(dimension)
        present = (counts > 0) & (self.eigenvalues > 0)
        c, counts = self.eigenvalues[present], counts[present]
        if not c.size:
            return math.inf
        if dimension is None:
            return float(2 / np.sum(counts * c**2 / (c + decay)))
        second = decay**2 + 2 * decay * c + 2 * c**2
        low, high = 0.0, float(np.min(2 * (c + decay) / second))
        for _ in range(100):
            middle = 0.5 * (low + high)
            stable = np.sum(counts * middle * c**2 / (2 * (c + decay) - middle * second)) < 1
            low, high = (middle, high) if stable else (low, middle)
        return low * dimension

    def multiplicities(self, dimension: int) -> np.ndarray:
        """Return how many of `dimension` directions each group has, by largest remainders, shape (L,)."""
        return largest_remainders(self.weights, dimension)

    def spread(self, overlap: np.ndarray) -> np.ndarray:
        """Return plain overlaps, shape (p, k), as those of isotropic weights by group, shape (L, p, k)."""
        return self.weights[:, None, None] * overlap

    def fields(self, by_group: np.ndarray) -> np.ndarray:
        """Return the covariance of the fields, the sum of eigenvalue times overlap, of shape (p, k) from (L, p, k)."""
        return np.tensordot(self.eigenvalues, by_group, 1)

    def check_overlaps(self, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return overlaps by group, shapes (L, p, p), (L, p, k), (L, k, k), each group positive semidefinite.

        Parameters
        ----------
        Q, R, T : array_like
            Of these shapes, or plain ones, (p, p), (p, k), (k, k), which mean isotropic weights.

        Raises
        ------
        ValueError
            If shapes do not fit, or a group is not symmetric or not feasible; the message names the group.
        """
        Q, R, T = (self._by_group(name, value) for name, value in (("Q", Q), ("R", R), ("T", T)))
        Q, T = checks.array("Q", Q, (self.count, "p", "p")), checks.array("T", T, (self.count, "k", "k"))
        R = checks.array("R", R, (self.count, Q.shape[1], T.shape[1]))
        Q, T = _symmetric("Q", Q), _symmetric("T", T)
        C = np.concatenate([np.concatenate([Q, R], 2), np.concatenate([R.swapaxes(1, 2), T], 2)], 1)
        values = np.linalg.eigvalsh(C)
        allowed = SLACK * np.maximum(values[:, -1], 0.0)
        # A group of a millionth of the weights has overlaps as small, but not as exact as its own size.
        allowed = np.maximum(allowed, 1e-15 * np.abs(C).max())
        bad = values[:, 0] < -allowed
        if bad.any():
            i = int(np.argmax(bad))
            raise ValueError(
                f"Overlaps of group {i} (eigenvalue {self.eigenvalues[i]:g}) are not feasible: [[Q, R], [R.T, T]] has the "
                f"eigenvalue {values[i, 0]:.3g}. Overlaps of weight matrices are positive semidefinite in every group."
            )
        return Q, R, T

    def _by_group(self, name: str, value: Any) -> np.ndarray:
        given = checks.array(name, value)
        if given.ndim not in (2, 3) or (given.ndim == 3 and given.shape[0] != self.count):
            raise ValueError(
                f"Argument `{name}` must have one matrix for each of the {self.count} groups of the covariance, or be one matrix "
                f"for isotropic weights, but has shape {given.shape}."
            )
        return self.spread(given) if given.ndim == 2 else given

    def check_dimension(self, C: np.ndarray, dimension: Any) -> np.ndarray:
        """Return the directions of each group if weights with the overlaps C, shape (L, n, n), exist in `dimension`.

        Raises
        ------
        ValueError
            If a group has fewer directions than the rank of its overlaps.
        """
        dimension = checks.integer("dimension", dimension, minimum=1)
        counts = self.multiplicities(dimension)
        values = np.linalg.eigvalsh(C)
        top = np.maximum(values[:, -1:], 0.0)
        ranks = ((values > SLACK * top) & (top > 0)).sum(1)
        bad = counts < ranks
        if bad.any():
            i = int(np.argmax(bad))
            weight = self.weights[i]
            hint = f"; raise `dimension` to about {math.ceil(ranks[i] / weight)}." if weight > 0 else "."
            raise ValueError(
                f"Argument `dimension` = {dimension} leaves group {i} (eigenvalue {self.eigenvalues[i]:g}, weight {weight:.3g}) "
                f"{_directions(counts[i])}, but its overlaps have rank {ranks[i]}{hint}"
            )
        return counts


def in_dimension(dimension: int | None) -> str:
    """Return the words that say where a bound on the learning rate holds."""
    return "" if dimension is None else f" in {dimension} dimensions"


def _directions(count: int) -> str:
    return "1 direction" if count == 1 else f"{count} directions"


def _symmetric(name: str, value: np.ndarray) -> np.ndarray:
    other = value.swapaxes(1, 2)
    difference = np.abs(value - other)
    if difference.max() > SLACK * max(float(np.abs(value).max()), 1e-300):
        g, i, j = np.unravel_index(int(difference.argmax()), value.shape)
        raise ValueError(
            f"Argument `{name}` must be symmetric, but {name}[{g}, {i}, {j}] is {value[g, i, j]:.6g} and {name}[{g}, {j}, {i}] is {value[g, j, i]:.6g}."
        )
    return 0.5 * (value + other)
