r"""The extrapolation of deviations to infinite size, with what it neglects in its error.

The mean deviation of the runs from the limit is expanded in the inverse size :math:`h = 1/d`,

.. math:: \Delta(h) = \delta + c_1 h + c_2 h^2 + c_3 h^3 + \dots

and :math:`\delta = 0` is what a right theory claims.  Terms beyond the fitted ones are not dropped but
bounded: coefficients are taken to grow like those of a geometric series, :math:`|c_{n+1}| = L |c_n|`, with a
length :math:`L` that is fitted as well, and what that leaves open enters the error of :math:`\delta`.  The fitted
ones are not wholly free either: :math:`|c_1| h` is of the order of the largest effect :math:`B(h)` that one size
would put down to finite size, so that small sizes added to a large one never weaken what that one says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

ROUNDING = 5.0  # relative change of c1 per relative change of a width


def fit_weights(
    design: np.ndarray, errors: np.ndarray, nuisance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Weights of a linear least-squares fit at every point: ``coefficients = weights @ values``.

    Parameters
    ----------
    design : ndarray, shape (sizes, k)
        Values of the k fitted functions at every size.
    errors : ndarray, shape (sizes, points)
        Errors of the values, positive.
    nuisance : ndarray, shape (m, sizes, points), optional
        Further functions whose coefficients are not free but have expectation 0 and variance 1.

    Returns
    -------
    weights : ndarray, shape (points, k, sizes)
    variances : ndarray, shape (points, k)
        Variances of the coefficients, that of the nuisance included.
    """
    sizes, free = design.shape
    bound = 0 if nuisance is None else len(nuisance)
    # Conditions on the nuisances are further rows; their covariance would be singular beside tiny errors.
    matrix = np.zeros((errors.shape[1], sizes + bound, free + bound))
    matrix[:, :sizes, :free] = design / errors.T[:, :, None]
    if nuisance is not None:
        matrix[:, :sizes, free:] = np.moveaxis(nuisance / errors, (0, 1, 2), (2, 1, 0))
        matrix[:, range(sizes, sizes + bound), range(free, free + bound)] = 1.0
    q, r = np.linalg.qr(matrix)
    inverse = np.linalg.inv(r)
    weights = (inverse @ np.swapaxes(q, 1, 2))[:, :free, :sizes] / errors.T[:, None, :]
    return weights, (inverse**2).sum(axis=2)[:, :free]


def _powers(inverse: np.ndarray, degree: int) -> np.ndarray:
    """Powers of h in units of the smallest h, shape (sizes, degree + 1)."""
    return (inverse[:, None] / inverse.min()) ** np.arange(degree + 1)


@dataclass(frozen=True)
class Extrapolation:
    """The deviation extrapolated to infinite size, at every point.

    Attributes
    ----------
    deviation : ndarray, shape (points,)
        The extrapolated deviation.
    error : ndarray, shape (points,)
        Its error: statistical error, neglected terms and rounded widths, added in quadrature.
    statistical : ndarray, shape (points,)
        The part of the error that comes from the runs.
    weights : ndarray, shape (points, sizes)
        ``deviation = sum(weights * deviations)``.
    length : ndarray, shape (points,)
        The length L.
    length_error : ndarray, shape (points,)
        What noise leaves open of it: as much as half the smallest size where nothing is seen of c2.
    """

    deviation: np.ndarray
    error: np.ndarray
    statistical: np.ndarray
    weights: np.ndarray
    length: np.ndarray
    length_error: np.ndarray


def extrapolate(
    inverse: np.ndarray,
    deviations: np.ndarray,
    variances: np.ndarray,
    labels: np.ndarray,
    times: np.ndarray,
    rounding: np.ndarray | None = None,
    plausible: np.ndarray | None = None,
    known_length: np.ndarray | None = None,
) -> Extrapolation:
    """Extrapolate the deviations to h = 0.

    Two sizes determine a line, three and more a parabola; further terms are in the error.

    Parameters
    ----------
    inverse : ndarray, shape (sizes,)
        Inverse sizes, at least two, all different.
    deviations, variances : ndarray, shape (sizes, points)
        Mean deviation of every size and the square of its standard error, positive.
    labels : ndarray of int, shape (points,)
        The variable of every point.
    times : ndarray, shape (points,)
        The time of every point, increasing within a variable.
    rounding : ndarray, shape (sizes,), optional
        Relative change of the widths by rounding.  It changes c1 from size to size, by about `ROUNDING` times as
        much, and what it changes enters the error.
    plausible : ndarray, shape (points,), optional
        The coefficient of h in the largest plausible effect of finite size, the prior width of c1; that of c2 is L times as
        wide, with L at least half the smallest size.  Without it both are free.
    known_length : ndarray, shape (points,), optional
        The length L, where more sizes than these determine it.
    """
    degree = min(inverse.size - 1, 2)
    errors = np.sqrt(variances)
    slope = np.einsum("ps,sp->p", fit_weights(_powers(inverse, 1), errors)[0][:, 1], deviations)
    leading = _envelope(np.abs(slope), labels, times)
    if rounding is not None:
        changed = ROUNDING * np.outer(rounding * inverse / inverse.min(), leading)
        errors = np.hypot(errors, changed)
    # The smallest size bounds the length: beyond it the expansion would fail there.
    length = np.full(labels.size, 1 / inverse.max())
    length_error = np.zeros(labels.size)
    if degree == 2:
        # Sizes in excess of three make the second pass better than the first, which allows for too much.
        for _ in range(2):
            neglected = _neglected(inverse, leading, length, degree)
            length, length_error = _length(inverse, deviations, errors, labels, times, neglected)
    elif known_length is None:
        length *= 0.5  # two sizes say nothing about c2
    if known_length is not None:
        length = known_length
    neglected = _neglected(inverse, leading, length, degree)
    if plausible is None:
        weights = fit_weights(_powers(inverse, degree), errors, neglected)[0][:, 0]
    else:
        unit = inverse.min()
        wide = np.maximum(length, 0.5 / inverse.max()) * unit
        orders = range(1, degree + 1)
        bounded = [np.outer((inverse / unit) ** n, plausible * unit * wide ** (n - 1)) for n in orders]
        neglected = np.concatenate([np.stack(bounded), neglected])
        weights = fit_weights(_powers(inverse, 0), errors, neglected)[0][:, 0]
    statistical = np.sqrt(np.einsum("ps,sp->p", weights**2, variances))
    remainder = (np.einsum("ps,nsp->np", weights, neglected) ** 2).sum(axis=0)
    error = np.sqrt(np.einsum("ps,sp->p", weights**2, errors**2) + remainder)
    return Extrapolation(np.einsum("ps,sp->p", weights, deviations), error, statistical, weights, length, length_error)


def _windows(labels: np.ndarray, times: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the points of every variable with the first and last of those between half and twice the time of each."""
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        yield (
            here,
            np.searchsorted(times[here], times[here] / 2),
            np.searchsorted(times[here], times[here] * 2, side="right"),
        )


def _envelope(values: np.ndarray, labels: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the largest value of the same variable between half and twice the time.

    Where a coefficient passes through zero the next one does not: its neighbours tell its magnitude.
    """
    largest = np.empty_like(values)
    for here, first, last in _windows(labels, times):
        largest[here] = [values[here[a:b]].max() for a, b in zip(first, last)]
    return largest


def _neglected(inverse: np.ndarray, leading: np.ndarray, length: np.ndarray, degree: int) -> np.ndarray:
    """Return the expected size of every term beyond `degree`, shape (terms, sizes, points)."""
    unit = inverse.min()
    orders = range(degree + 1, max(inverse.size, degree + 1) + 1)
    return np.stack([np.outer((inverse / unit) ** n, leading * (length * unit) ** (n - 1)) for n in orders])


def _length(
    inverse: np.ndarray,
    deviations: np.ndarray,
    errors: np.ndarray,
    labels: np.ndarray,
    times: np.ndarray,
    neglected: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return L = |c2/c1|, the largest of that at the point, of the octaves around it, and of the whole variable, and its error.

    Sums over many points are free of noise but follow the most precise ones.  At most the smallest size.  The error is that at the point
    alone, with a prior width of half the smallest size.
    """
    weights = fit_weights(_powers(inverse, 2), errors, neglected)[0]
    first, second = (np.einsum("ps,sp->p", weights[:, i], deviations) for i in (1, 2))
    noise = np.einsum("ps,sp->p", weights[:, 2] ** 2, errors**2)
    # The expected square of a noisy coefficient exceeds the square of the true one by its variance.
    excess, reference = second**2 / noise - 1, np.maximum(first**2 / noise, 1e-300)
    length = np.empty(labels.size)
    for here, start, stop in _windows(labels, times):
        sums = [np.append(0.0, np.cumsum(values[here])) for values in (excess, reference)]
        # Differences of running sums lose small terms to round-off.
        near = (sums[0][stop] - sums[0][start]) / np.maximum(sums[1][stop] - sums[1][start], 1e-300)
        single = excess[here] / reference[here]
        length[here] = np.sqrt(np.maximum(np.maximum(single, near), max(sums[0][-1] / sums[1][-1], 0.0)))
    unit = 1 / inverse.min()
    length_error = 1 / np.hypot(2 * inverse.max(), np.sqrt(reference) / unit)
    return np.minimum(length * unit, 1 / inverse.max()), length_error
