"""A covariance of the inputs, given as a matrix, a diagonal or a `Spectrum`, in its eigenbasis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import checks
from .groups import CovarianceGroups
from .spectrum import Spectrum

#: Eigenvalues of a matrix of d rows count as equal if they differ by less than this share of d times the largest.
EQUAL = 1e-15


@dataclass(frozen=True, eq=False)
class Covariance:
    """Groups of a covariance in a given dimension, and the eigenbasis in which they are blocks of coordinates.

    Attributes
    ----------
    groups : CovarianceGroups
    sizes : ndarray of int, shape (L,)
        Directions of each group, d_l; they sum to the dimension.
    basis : ndarray or None
        Shape (d, d) with an eigenvector in each column, group after group; or shape (d,), the order of the
        coordinates where these are the eigenvectors; or None where they are so in the order in which they stand.
    """

    groups: CovarianceGroups
    sizes: np.ndarray
    basis: np.ndarray | None = None

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.sizes.sum())

    @property
    def eigenvalues(self) -> np.ndarray:
        """The eigenvalue of each direction of the basis, shape (d,)."""
        return np.repeat(self.groups.eigenvalues, self.sizes)

    @property
    def slices(self) -> list[slice]:
        """The directions of each group."""
        ends = np.cumsum(self.sizes)
        return [slice(int(end - size), int(end)) for end, size in zip(ends, self.sizes)]

    def rotate(self, W: np.ndarray) -> np.ndarray:
        """Return weights, rows of length d, in the eigenbasis, group after group."""
        if self.basis is None:
            return W
        return np.ascontiguousarray(W[:, self.basis]) if self.basis.ndim == 1 else W @ self.basis

    def rotate_back(self, W: np.ndarray) -> np.ndarray:
        """Return weights in the eigenbasis as weights of the inputs: the inverse of `rotate`."""
        if self.basis is None:
            return W
        if self.basis.ndim == 2:
            return W @ self.basis.T
        result = np.empty_like(W)
        result[:, self.basis] = W
        return result

    def overlaps(self, A: np.ndarray, B: np.ndarray | None = None) -> np.ndarray:
        """Return A P_l B^T / d of every group, shape (L, rows of A, rows of B); B is A if it is not given.

        Parameters
        ----------
        A, B : ndarray, shapes (p, d), (k, d)
            Weights in the original coordinates.
        """
        left = self.rotate(A)
        right = left if B is None else self.rotate(B)
        blocks = [left[:, part] @ right[:, part].T for part in self.slices]
        result = np.array(blocks) / self.dimension
        return 0.5 * (result + result.swapaxes(1, 2)) if B is None else result

    def root(self, inputs: np.ndarray) -> np.ndarray:
        """Return standard normal rows of length d, in the eigenbasis, as inputs of this covariance in that basis."""
        return inputs * np.sqrt(self.eigenvalues)


def groups_of(covariance: Any) -> CovarianceGroups:
    """Return the groups of a covariance for a problem stated by overlaps.

    Parameters
    ----------
    covariance : Spectrum, CovarianceGroups, array_like of shape (d,) or (d, d), or None
        None: standard normal inputs.  The groups of a Spectrum are its nodes in the order in which they were given.
    """
    if covariance is None:
        return CovarianceGroups.isotropic()
    if isinstance(covariance, CovarianceGroups):
        return covariance
    if isinstance(covariance, Spectrum):
        if covariance.indefinite:
            raise ValueError(
                f"Argument `covariance` must have no negative eigenvalues, but is {covariance!r}: a covariance has none."
            )
        return CovarianceGroups(*covariance.groups)
    return decompose(covariance).groups


def decompose(
    covariance: Any, dimension: int | None = None, weights: str = "W", entries: str = "columns"
) -> Covariance:
    """Return a covariance in its eigenbasis, checked.

    Parameters
    ----------
    covariance : Spectrum, CovarianceGroups, array_like of shape (d,) or (d, d), or None
        A matrix; a diagonal; a law, whose groups get as many coordinates as largest remainders give them, in their
        order; None, for standard normal inputs.  Eigenvalues that are equal up to round-off form one group; groups of
        matrices and diagonals are sorted by decreasing eigenvalue.
    dimension : int, optional
        The dimension d of the weights; needed for a law, and checked otherwise.
    weights, entries : str
        What the messages call the weights whose columns, or other entries, it must fit.

    Raises
    ------
    ValueError
        If it is not symmetric, has a negative eigenvalue, or another size than the weights.
    """
    if covariance is None or isinstance(covariance, Spectrum | CovarianceGroups):
        if dimension is None:
            raise ValueError(
                f"Argument `covariance` must be a matrix or a diagonal where no dimension is known, but is {covariance!r}."
            )
        groups = groups_of(covariance)
        sizes = groups.multiplicities(dimension)
        return Covariance(CovarianceGroups(groups.eigenvalues, sizes / dimension), sizes)
    given = checks.array("covariance", covariance)
    if given.ndim not in (1, 2) or (given.ndim == 2 and given.shape[0] != given.shape[1]):
        raise ValueError(
            f"Argument `covariance` must be a Spectrum, a diagonal (d,) or a matrix (d, d), but has shape {given.shape}."
        )
    if dimension is not None and len(given) != dimension:
        wanted = f"({dimension},)" if given.ndim == 1 else f"({dimension}, {dimension})"
        raise ValueError(
            f"Argument `covariance` must have shape {wanted}, as `{weights}` has {dimension} {entries}, but has shape {given.shape}."
        )
    if given.ndim == 1:
        if (given < 0).any():
            i = int(np.argmax(given < 0))
            raise ValueError(
                f"Argument `covariance` must not be negative, but is {given[i]:.6g} at index [{i}]: variances are not."
            )
        order = np.argsort(-given, kind="stable")
        return _grouped(given[order], None if (np.diff(order) == 1).all() else order, 0.0)
    difference = np.abs(given - given.T)
    if difference.max() > 1e-9 * np.abs(given).max():
        i, j = divmod(int(difference.argmax()), len(given))
        raise ValueError(
            f"Argument `covariance` must be symmetric, but covariance[{i}, {j}] is {given[i, j]:.6g} and covariance[{j}, {i}] is {given[j, i]:.6g}."
        )
    values, vectors = np.linalg.eigh(0.5 * (given + given.T))
    if values[0] < -1e-12 * len(values) * abs(values[-1]):
        raise ValueError(
            f"Argument `covariance` must be positive semidefinite, but has the eigenvalue {values[0]:.6g}."
        )
    values[np.abs(values) <= 1e-13 * len(values) * values[-1]] = 0.0
    return _grouped(np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1]), EQUAL)


def _grouped(values: np.ndarray, basis: np.ndarray | None, equal: float) -> Covariance:
    """Return the covariance of decreasing eigenvalues, equal ones in one group."""
    apart = values[:-1] - values[1:] > equal * len(values) * values[0]
    starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
    sizes = np.diff(np.append(starts, len(values)))
    means = values[starts] if equal == 0.0 else np.add.reduceat(values, starts) / sizes
    return Covariance(CovarianceGroups(means, sizes / len(values)), sizes, basis)
