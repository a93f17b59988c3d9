r"""Quadrature groups stand for the many modes of a power law :math:`c_l = l^{-\alpha}`, :math:`l = 1, \dots, N`.

Every mode of a flow with structured inputs is a smooth function of its eigenvalue.  So the modes of a bin, a range of
:math:`\log l`, are represented by the nodes of a Gauss rule: m nodes integrate polynomials in :math:`c` of degree
:math:`2m - 1` over the modes of the bin exactly.  A weight :math:`l^{-b} = c^{b/\alpha}` on the modes (a teacher whose
overlap falls like a power) is smooth in a bin as well, and therefore the same nodes serve every such weight.
Bins that hold no more modes than nodes keep their modes.  Beyond the first hundred thousand, modes are not listed: their sums are
integrals over :math:`dl` between half integers, which differ by a part in :math:`24\,l^2`, and so they may be 10^15.

The error is stated for the sums that a flow and its noise are made of,

.. math:: \sum_l c_l^j\, l^{-b} e^{-2 c_l t}, \qquad j = 1, 2, \quad b = 0, \tfrac12, 1, \quad 0 \le t \le 1 / c_N,

as the largest relative difference from a rule of four more nodes in each bin.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from ..core import checks

#: Bins for a factor of ten in l, and nodes of each bin, from coarse to fine.
RULES = (
    (2, 1), (3, 1), (4, 1), (5, 1), (3, 2), (4, 2), (3, 3), (5, 2), (3, 4), (3, 5), (4, 4), (3, 6), (4, 5), (4, 6), (5, 6),
    (6, 6), (7, 6), (8, 6), (10, 6), (12, 6), (14, 6), (16, 6), (20, 6), (24, 6),
)  # fmt: skip
#: Bins that begin beyond this mode are integrals, on so many points of log l.
LISTED = 10**5
POINTS = 64
#: Whole numbers beyond are not exact.
MOST_MODES = 10**15
#: Weights l^-b and powers of the eigenvalue in the sums whose error is stated.
TARGETS = (0.0, 0.5, 1.0)
POWERS = (1, 2)
WITNESS_NODES = 4


def check(exponent: Any, modes: Any, accuracy: Any, groups: Any) -> tuple[float, int, float, int | None]:
    """Return the arguments of `choose`, checked."""
    exponent = checks.number("exponent", exponent, positive=True)
    modes = checks.integer("modes", modes, minimum=1)
    if modes > MOST_MODES:
        raise ValueError(f"Argument `modes` must be at most {MOST_MODES}, but is {modes}.")
    accuracy = checks.number("accuracy", accuracy, positive=True)
    return exponent, modes, accuracy, None if groups is None else checks.integer("groups", groups, minimum=1)


def modes_of(exponent: float, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues l^-exponent, first <= l < end, decreasing, and how many modes each stands for."""
    if first <= LISTED:
        return np.arange(first, end, dtype=np.float64) ** -exponent, np.ones(end - first)
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    low, high = np.log(first - 0.5), np.log(end - 0.5)
    l = np.exp(0.5 * (low + high) + 0.5 * (high - low) * points)
    counts = weights * l
    return l**-exponent, (end - first) / counts.sum() * counts


def edges(modes: int, bins: int) -> np.ndarray:
    """Return the first l of each bin, and modes + 1 at the end."""
    decades = np.log10(modes)
    wanted = 10.0 ** np.linspace(0.0, decades, max(1, round(bins * decades)) + 1)
    cuts = np.unique(np.rint(wanted).astype(np.int64))
    cuts[-1] = modes + 1
    return np.unique(np.concatenate([[1], cuts[cuts > 1]]))


def compress(exponent: float, modes: int, bins: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, decreasing, and the numbers of modes that they stand for, shapes (groups,).

    Parameters
    ----------
    exponent : float
        The eigenvalues are l^-exponent.
    modes : int
    bins, nodes : int
        Bins for a factor of ten in l, and nodes of the Gauss rule of each.
    """
    bounds = itertools.pairwise(map(int, edges(modes, bins)))
    found = [gauss(*modes_of(exponent, first, end), nodes) for first, end in bounds]
    eigenvalues, counts = map(np.concatenate, zip(*found))
    return eigenvalues, counts


def gauss(values: np.ndarray, counts: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule of `values` with weights `counts`: nodes, decreasing, and weights.

    The discrete Stieltjes procedure on values scaled to (-1, 1); see W. Gautschi, *Orthogonal Polynomials*,
    Oxford 2004, section 2.2.
    """
    if values.size <= nodes:
        return values, counts
    centre, half = 0.5 * (values[0] + values[-1]), 0.5 * (values[0] - values[-1])
    x = (values - centre) / half
    diagonal, off = np.empty(nodes), np.empty(nodes)
    before, now, norm = np.zeros_like(x), np.ones_like(x), float(counts.sum())
    total = off[0] = norm
    for i in range(nodes):
        squares = counts * now * now
        diagonal[i] = (x @ squares) / norm
        if i + 1 < nodes:
            following = (x - diagonal[i]) * now - (off[i] if i else 0.0) * before
            before, now = now, following
            new = float(counts * now @ now)
            off[i + 1], norm = new / norm, new
    roots, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(np.sqrt(off[1:]), 1) + np.diag(np.sqrt(off[1:]), -1))
    return (centre + half * roots)[::-1], (total * vectors[0] ** 2)[::-1]


def error(exponent: float, modes: int, eigenvalues: np.ndarray, counts: np.ndarray, bins: int, nodes: int) -> float:
    """Return the largest relative error of the sums of the module's docstring."""
    witness = compress(exponent, modes, bins, nodes + WITNESS_NODES)
    span = exponent * np.log10(modes)
    times = np.concatenate([[0.0], 10.0 ** np.linspace(-1.0, span, 12 * (round(span) + 2))])
    worst = 0.0
    for target in TARGETS:
        for power in POWERS:
            exact, found = (_sums(*one, times, power + target / exponent) for one in (witness, (eigenvalues, counts)))
            worst = max(worst, float(np.max(np.abs(found / exact - 1))))
    return worst


def _sums(eigenvalues: np.ndarray, counts: np.ndarray, times: np.ndarray, power: float) -> np.ndarray:
    return np.exp(-2 * times[:, None] * eigenvalues) @ (counts * eigenvalues**power)


@functools.lru_cache(maxsize=32)
def choose(exponent: float, modes: int, accuracy: float, groups: int | None) -> tuple[np.ndarray, np.ndarray, float]:
    """Return eigenvalues, numbers of modes and the error of the smallest rule that is accurate enough.

    Parameters
    ----------
    exponent : float
    modes : int
    accuracy : float
        The error to stay below; not used if `groups` is given.
    groups : int or None
        If given, the finest rule with at most so many groups is chosen instead.

    Raises
    ------
    ValueError
        If no rule is as accurate, or even the coarsest has more groups.
    """
    if modes <= min(64 if groups is None else groups, LISTED):
        return *modes_of(exponent, 1, modes + 1), 0.0
    if groups is not None:
        return _largest(exponent, modes, groups)
    low, high = 0, len(RULES) - 1
    best = _rule(exponent, modes, high)
    if best[2] > accuracy:
        raise ValueError(
            f"Argument `accuracy` must be at least {best[2]:.2g} for a power law of exponent {exponent:g} with {modes} modes, but is {accuracy:g}."
        )
    # Errors fall from rule to rule, so that the first one below the accuracy is found by halving.
    while low < high:
        middle = (low + high) // 2
        tried = _rule(exponent, modes, middle)
        if tried[2] <= accuracy:
            high, best = middle, tried
        else:
            low = middle + 1
    return best


def _largest(exponent: float, modes: int, groups: int) -> tuple[np.ndarray, np.ndarray, float]:
    sizes = [_size(modes, *rule) for rule in RULES]
    fitting = [i for i, size in enumerate(sizes) if size <= groups]
    if not fitting:
        raise ValueError(f"Argument `groups` must be at least {min(sizes)} for {modes} modes, but is {groups}.")
    return _rule(exponent, modes, fitting[-1])


def _size(modes: int, bins: int, nodes: int) -> int:
    return int(np.minimum(np.diff(edges(modes, bins)), nodes).sum())


def _rule(exponent: float, modes: int, index: int) -> tuple[np.ndarray, np.ndarray, float]:
    bins, nodes = RULES[index]
    eigenvalues, counts = compress(exponent, modes, bins, nodes)
    return eigenvalues, counts, error(exponent, modes, eigenvalues, counts, bins, nodes)
