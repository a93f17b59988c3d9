r"""Spectral laws of teachers and starts: nodes and weights, Marchenko-Pastur laws, eigenvalues of given weights.

All of them are laws of the :math:`d\times d` matrix :math:`d\,Z = W^\top W/p`, zeros included, so that the mean of a law is the trace
per dimension.  A law of a rank-deficient matrix has an atom at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from ..core.problem import Description
from . import marchenko_pastur, power_law
from .groups import check_not_negative, largest_remainders, merge, shares, width

KINDS = ("nodes", "orthonormal", "marchenko_pastur", "eigenvalues", "symmetric")
#: Gauss nodes that stand for a Marchenko-Pastur law until a solver refines it.
DEFAULT_NODES = 64
MOST_NODES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Description):
    r"""Law of the eigenvalues of :math:`d\,Z`, as nodes and weights.

    Parameters
    ----------
    nodes : array_like, shape (n,)
        Eigenvalues, not negative (see `symmetric`).  They are sorted, and equal ones merged; `groups` keeps them as they are given.
    weights : array_like, shape (n,)
        Fractions of the `d` eigenvalues; they sum to one.  Rank deficiency is a weight at the node 0.
    kind : {"nodes", "orthonormal", "marchenko_pastur", "eigenvalues", "symmetric"}, optional
        What the nodes stand for; set by the constructors below.
    ratio : float, optional
        Width over dimension, for the orthonormal and Marchenko-Pastur laws.
    refine : bool, optional
        Whether a solver may replace the nodes of a Marchenko-Pastur law by as many as its accuracy asks for.
    scale : float, optional
        Factor on the eigenvalues of a Marchenko-Pastur law.

    Raises
    ------
    ValueError
        If a node or weight is negative or not finite, or the weights do not sum to one.

    Examples
    --------
    >>> import flowlimits as fl
    >>> fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25]).mean
    1.0
    """

    nodes: np.ndarray
    weights: np.ndarray
    kind: str = "nodes"
    ratio: float | None = None
    refine: bool = False
    scale: float = 1.0

    _given: ClassVar[np.ndarray]
    _error: ClassVar[float | None]

    def __post_init__(self) -> None:
        nodes = checks.array("nodes", self.nodes, ("n",))
        weights = checks.array("weights", self.weights, ("n",))
        if nodes.size != weights.size:
            raise ValueError(
                f"Arguments `nodes` and `weights` must have the same length, but have {nodes.size} and {weights.size}."
            )
        checks.choice("kind", self.kind, KINDS)
        if self.kind != "symmetric":
            check_not_negative("nodes", nodes, "Eigenvalues of W^T W are not negative.")
        check_not_negative("weights", weights, "Weights are fractions of the eigenvalues.")
        total = math.fsum(weights)
        if abs(total - 1) > 1e-9:
            raise ValueError(
                f"Argument `weights` must sum to one, but sums to {total:.12g}. "
                "Divide by the sum, or give the missing weight to the node 0."
            )
        self._freeze("_given", np.array([nodes, weights]))
        object.__setattr__(self, "_error", None)
        nodes, weights = merge(nodes, weights)
        self._freeze("nodes", nodes)
        self._freeze("weights", weights)
        if self.kind in ("orthonormal", "marchenko_pastur"):
            object.__setattr__(self, "ratio", checks.number("ratio", self.ratio, positive=True))
        elif self.ratio is not None:
            raise ValueError(
                f'Argument `ratio` must be None for a spectrum of kind "{self.kind}", but is {self.ratio}.'
            )
        object.__setattr__(self, "refine", checks.boolean("refine", self.refine))
        object.__setattr__(self, "scale", checks.number("scale", self.scale, positive=True))

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle the order of the groups with the fields."""
        return {**self._fields(), "_given": self._given, "_error": self._error}

    def __repr__(self) -> str:
        if self.kind in ("orthonormal", "marchenko_pastur"):
            count = "auto" if self.refine else int(np.count_nonzero(self.nodes))
            detail = f", nodes={count!r}" if self.kind == "marchenko_pastur" else ""
            scaled = f" scaled to mean {self.mean:.6g}" if abs(self.mean - 1) > 1e-12 else ""
            return f"Spectrum.{self.kind}({self.ratio!r}{detail}){scaled}"
        made = "Spectrum.symmetric" if self.kind == "symmetric" else "Spectrum"
        if self.nodes.size <= 4:
            return f"{made}({self.nodes.tolist()}, {self.weights.tolist()})"
        low, high = self.nodes[0], self.nodes[-1]
        error = "" if self._error is None else f", error {self._error:.2g}"
        return f"{made}(<{self.nodes.size} nodes in [{low:.4g}, {high:.4g}], mean {self.mean:.6g}{error}>)"

    @classmethod
    def orthonormal(cls, ratio: float) -> Spectrum:
        """Return the law of weights with orthonormal rows (ratio < 1) or columns: one eigenvalue of mean 1.

        Parameters
        ----------
        ratio : float
            Width over dimension.  The nonzero eigenvalue is ``1/ratio`` with weight `ratio`, or 1 from ratio 1 on.
        """
        ratio = checks.number("ratio", ratio, positive=True)
        if ratio < 1:
            return cls(np.array([0.0, 1 / ratio]), np.array([1 - ratio, ratio]), "orthonormal", ratio)
        return cls(np.ones(1), np.ones(1), "orthonormal", ratio)

    @classmethod
    def marchenko_pastur(cls, ratio: float, nodes: int | str = "auto") -> Spectrum:
        """Return the law of Gaussian weights of unit variance, in the limit of large dimension.

        Parameters
        ----------
        ratio : float
            Width over dimension.
        nodes : int or "auto", optional
            Number of positive nodes, those of the Gauss quadrature of the law; with "auto" a solver refines them
            to its tolerance.
        """
        ratio = checks.number("ratio", ratio, positive=True)
        if isinstance(nodes, str):
            if nodes != "auto":
                raise ValueError(f'Argument `nodes` must be "auto" or a whole number, but is {nodes!r}.')
            count = DEFAULT_NODES
        else:
            count = checks.integer("nodes", nodes, minimum=1)
            if count > MOST_NODES:
                raise ValueError(
                    f'Argument `nodes` must be at most {MOST_NODES}, but is {count}. With nodes="auto" a solver '
                    "refines them where its accuracy asks for it."
                )
        positive, weights = marchenko_pastur.gauss_nodes(ratio, count)
        if ratio < 1:
            positive, weights = np.append(positive, 0.0), np.append(weights * ratio, 1 - ratio)
        return cls(positive, weights, "marchenko_pastur", ratio, isinstance(nodes, str))

    @classmethod
    def from_weights(cls, W: Any) -> Spectrum:
        r"""Return the spectrum of given weights: the eigenvalues of :math:`d\,Z = W^\top W / p`.

        Parameters
        ----------
        W : array_like, shape (p, d)
        """
        W = checks.array("W", W, ("p", "d"))
        width, dimension = W.shape
        values = np.zeros(dimension)
        singular = np.linalg.svd(W, compute_uv=False)
        values[: singular.size] = singular**2 / width
        return cls.from_eigenvalues(values)

    @classmethod
    def from_eigenvalues(cls, values: Any) -> Spectrum:
        """Return the law of given eigenvalues of d Z, of equal weight; what is zero up to round-off counts as zero.

        Parameters
        ----------
        values : array_like, shape (d,)
            All `d` eigenvalues, zeros included.
        """
        values = checks.array("values", values, ("d",))
        values = np.where(np.abs(values) <= 1e-13 * values.size * abs(values.max()), 0.0, values)
        check_not_negative("values", values, "Eigenvalues of W^T W are not negative.")
        return cls(values, np.full(values.size, 1 / values.size), "eigenvalues")

    @classmethod
    def symmetric(cls, nodes: Any, weights: Any = None) -> Spectrum:
        """Return the law of a symmetric matrix with eigenvalues of any sign, of equal weight unless said, as a target of the centred activation."""
        nodes = checks.array("nodes", nodes, ("n",))
        return cls(nodes, np.full(nodes.size, 1 / nodes.size) if weights is None else weights, "symmetric")

    @classmethod
    def power_law(cls, exponent: float, modes: int, *, accuracy: float = 1e-8, groups: int | None = None) -> Spectrum:
        r"""Return the eigenvalues :math:`l^{-\alpha}`, l = 1 to N, of a covariance, many modes in few groups.

        Groups are the nodes of Gauss rules in bins of log l, and stand for all modes in whatever is smooth in the
        eigenvalue: flows, risks, noise, with targets that fall as a power; see `shares` and `compression_error`.

        Parameters
        ----------
        exponent : float
            The exponent :math:`\alpha`, positive; the largest eigenvalue is one, see `normalised`.
        modes : int
            The number of modes N, at most 10^15.
        accuracy : float, optional
            Bound on `compression_error`; the smallest rule that keeps it is taken.
        groups : int, optional
            If given, the best rule with at most so many groups is taken instead.

        Examples
        --------
        >>> import flowlimits as fl
        >>> law = fl.Spectrum.power_law(2.0, 10**6, accuracy=1e-4)
        >>> law.nodes.size, law.compression_error < 1e-4
        (89, True)
        """
        values, counts, error = power_law.choose(*power_law.check(exponent, modes, accuracy, groups))
        result = cls(values, counts / counts.sum())
        object.__setattr__(result, "_error", error)
        return result

    @property
    def compression_error(self) -> float | None:
        r"""The error of the groups of a power law, None for other laws.

        The largest relative error of :math:`\sum_l c_l^j\, l^{-b} e^{-2 c_l t}` over :math:`0 \le t \le 1/c_N`,
        j = 1 and 2, b = 0, 1/2 and 1: the late risk of a flow, and the memory of its noise.
        """
        return self._error

    @property
    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """The nodes and weights in the order in which they were given, equal ones apart: groups of a covariance."""
        return self._given[0], self._given[1]

    def shares(self, power: float) -> np.ndarray:
        r"""Return the fraction of a squared weight in each of the `groups`, if it falls as eigenvalue^power, shape (L,).

        For :math:`T_l \propto l^{-b}`, :math:`c_l = l^{-\alpha}`, it is ``law.shares(b / alpha)[:, None, None] * T``.

        Parameters
        ----------
        power : float
            Zero for isotropic weights.  Negative powers need positive eigenvalues.
        """
        return shares(*self.groups, checks.number("power", power))

    @property
    def mean(self) -> float:
        """The trace per dimension."""
        return math.fsum(self.nodes * self.weights)

    @property
    def zero_weight(self) -> float:
        """The weight of the atom at zero."""
        return float(self.weights[self.nodes == 0].sum())

    @property
    def indefinite(self) -> bool:
        """Whether an eigenvalue is negative."""
        return bool(self.nodes[0] < 0)

    @property
    def rank(self) -> float:
        """The weight of the positive eigenvalues: the rank per dimension."""
        if self.ratio is not None:
            return min(self.ratio, 1.0)
        return math.fsum(self.weights[self.nodes > 0])

    def normalised(self) -> Spectrum:
        """Return the law with its eigenvalues divided by their mean, which becomes one and has to be positive."""
        mean = self.mean
        if mean <= 0:
            what = "mean is not positive" if self.nodes.any() else "eigenvalues are all zero"
            raise ValueError(f"A spectrum whose {what} cannot be normalised.")
        return self if mean == 1 else self._scaled(1 / mean)

    def _scaled(self, factor: float) -> Spectrum:
        nodes, weights = self.groups
        scaled = Spectrum(nodes * factor, weights, self.kind, self.ratio, self.refine, self.scale * factor)
        object.__setattr__(scaled, "_error", self._error)
        return scaled

    def width(self, dimension: int) -> int:
        """Return the width (number of hidden units) that realises this law in `dimension`, at least one.

        For laws without a ratio it is the number of positive eigenvalues.
        """
        dimension = checks.integer("dimension", dimension, minimum=1)
        if self.ratio is None:
            return int(self.multiplicities(dimension)[self.nodes > 0].sum())
        return width(self.ratio, dimension)

    def multiplicities(self, dimension: int) -> np.ndarray:
        """Return how often each node occurs among `dimension` eigenvalues, by largest remainders, shape (n,)."""
        return largest_remainders(self.weights, checks.integer("dimension", dimension, minimum=1))

    def eigenvalues(self, dimension: int) -> np.ndarray:
        """Return `dimension` eigenvalues of d Z that realise this law, increasing, with the mean of the law.

        Nodes are repeated by largest remainders; a Marchenko-Pastur law is represented by its quantiles.
        """
        dimension = checks.integer("dimension", dimension, minimum=1)
        if self.ratio is not None:
            rank = min(self.width(dimension), dimension)
            values = np.zeros(dimension)
            named = self.kind == "orthonormal"
            values[dimension - rank :] = 1.0 if named else marchenko_pastur.quantiles(self.ratio, rank)
        else:
            values = np.repeat(self.nodes, self.multiplicities(dimension))
        if values.sum() <= 0 and self.mean > 0:
            raise ValueError(
                f"Argument `dimension` = {dimension} is too small to realise {self!r}: no positive eigenvalue is left."
            )
        return values * (self.mean * dimension / values.sum()) if self.mean > 0 else values

    def realised(self, dimension: int) -> Spectrum:
        """Return the law at the ratio or multiplicities that `dimension` realises, with the same mean."""
        dimension = checks.integer("dimension", dimension, minimum=1)
        if self.kind == "orthonormal":
            return Spectrum.orthonormal(self.width(dimension) / dimension)._scaled(self.mean)
        if self.kind == "marchenko_pastur":
            count: int | str = "auto" if self.refine else int(np.count_nonzero(self.nodes))
            return Spectrum.marchenko_pastur(self.width(dimension) / dimension, count)._scaled(self.scale)
        values = self.eigenvalues(dimension)
        return Spectrum(values, np.full(dimension, 1 / dimension), self.kind)
