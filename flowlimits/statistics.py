r"""Statistics of a comparison: standard errors, the extrapolation in 1/d, and a test over a whole family of points.

Everything here works on plain arrays; a *point* is one variable at one time, and the last axis runs over points.
What the numbers mean for a theory is decided in `flowlimits.compare`.

The mean deviation of the runs from the limit is expanded in the inverse size :math:`h = 1/d`,

.. math:: \Delta(h) = \delta + c_1 h + c_2 h^2 + c_3 h^3 + \dots

and :math:`\delta = 0` is what a right theory claims.  The highest term that the sizes cannot determine is not
dropped but bounded: coefficients are taken to grow like those of a geometric series,
:math:`|c_{n+1}| = L |c_n|`, with the length :math:`L` fitted per variable (`length`), and the first neglected
term enters the error of :math:`\delta`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 4000  # of the maximum over the family: its quantile is known to 0.02
STREAM = 20231104  # of those draws; fixed, so that a verdict is a function of the data


@dataclass(frozen=True)
class Sample:
    """Runs of one size, reduced to what the tests need.

    Attributes
    ----------
    size : int
        The size, such as the dimension.
    runs : int
        Number of runs; 0 where standard errors were given instead of runs.
    mean, error : ndarray, shape (points,)
        Mean over the runs and its standard error (nan for a single run).
    spread : ndarray, shape (points,)
        Standard deviation of one run (nan for a single run or given errors).
    residuals : ndarray, shape (runs, points)
        Runs minus mean, over sqrt(runs (runs - 1)): their squares sum to ``error**2``.
    """

    size: int
    runs: int
    mean: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    residuals: np.ndarray

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error: infinite if it was given."""
        return self.runs - 1.0 if self.runs else np.inf


def sample(size: int, values: np.ndarray) -> Sample:
    """Reduce `values`, shape (runs, points)."""
    runs, points = values.shape
    mean = values.mean(axis=0)
    if runs < 2:
        unknown = np.full(points, np.nan)
        return Sample(size, runs, mean, unknown, unknown, np.zeros((runs, points)))
    residuals = (values - mean) / np.sqrt(runs * (runs - 1.0))
    error = np.sqrt((residuals**2).sum(axis=0))
    return Sample(size, runs, mean, error, error * np.sqrt(runs), residuals)


def sample_with_errors(size: int, mean: np.ndarray, error: np.ndarray) -> Sample:
    """Take means with given standard errors, both of shape (points,)."""
    return Sample(size, 0, mean, error, np.full_like(mean, np.nan), np.zeros((0, mean.size)))


def polynomial_weights(inverse: np.ndarray, degree: int, covariance: np.ndarray) -> np.ndarray:
    r"""Weights of the least-squares polynomial in h at every point.

    Parameters
    ----------
    inverse : ndarray, shape (sizes,)
        Inverse sizes h.
    degree : int
        Degree of the polynomial, below the number of sizes.
    covariance : ndarray, shape (points, sizes, sizes)
        Covariance of the deviations, positive definite.

    Returns
    -------
    weights : ndarray, shape (points, degree + 1, sizes)
        ``coefficients = weights @ deviations``; row 0 is the value at h = 0.
    """
    unit = inverse.min()
    powers = (inverse[:, None] / unit) ** np.arange(degree + 1)
    if degree + 1 == inverse.size:
        # As many coefficients as sizes: the polynomial interpolates, whatever the covariance.
        weights = np.broadcast_to(np.linalg.inv(powers), (covariance.shape[0], degree + 1, inverse.size))
    else:
        scaled = np.linalg.solve(covariance, np.broadcast_to(powers, (covariance.shape[0], *powers.shape)))
        weights = np.linalg.solve(powers.T @ scaled, np.swapaxes(scaled, 1, 2))
    return weights / (unit ** np.arange(degree + 1))[:, None]


@dataclass(frozen=True)
class Extrapolation:
    """The deviation extrapolated to infinite size, at every point.

    Attributes
    ----------
    deviation : ndarray, shape (points,)
        The extrapolated deviation.
    error : ndarray, shape (points,)
        Its error: statistical error, and the first neglected term, added in quadrature.
    statistical : ndarray, shape (points,)
        The part of the error that comes from the runs.
    weights : ndarray, shape (points, sizes)
        ``deviation = sum(weights * deviations)``.
    length : ndarray, shape (points,)
        The length L, equal for all points of a variable.
    """

    deviation: np.ndarray
    error: np.ndarray
    statistical: np.ndarray
    weights: np.ndarray
    length: np.ndarray


def extrapolate(
    inverse: np.ndarray, deviations: np.ndarray, variances: np.ndarray, labels: np.ndarray, times: np.ndarray
) -> Extrapolation:
    """Extrapolate the deviations to h = 0.

    Two sizes determine a line, three and more a parabola; the next term is in the error.

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
    """
    sizes, points = deviations.shape
    degree = min(sizes - 1, 2)
    covariance = np.zeros((points, sizes, sizes))
    covariance[:, range(sizes), range(sizes)] = variances.T
    slope = np.einsum("ps,sp->p", polynomial_weights(inverse, 1, covariance)[:, 1], deviations)
    length = _length(inverse, deviations, variances, covariance, labels, degree)
    neglected = _envelope(np.abs(slope), labels, times) * length**degree
    term = inverse ** (degree + 1)
    if sizes > degree + 1:
        covariance += (neglected**2)[:, None, None] * np.outer(term, term)
    weights = polynomial_weights(inverse, degree, covariance)[:, 0]
    statistical = np.sqrt(np.einsum("ps,sp->p", weights**2, variances))
    remainder = neglected * np.abs(weights @ term)
    return Extrapolation(
        np.einsum("ps,sp->p", weights, deviations), np.hypot(statistical, remainder), statistical, weights, length
    )


def _envelope(values: np.ndarray, labels: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the largest value of the same variable between half and twice the time.

    Where a coefficient passes through zero the next one does not: its neighbours tell its magnitude.
    """
    largest = np.empty_like(values)
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        first = np.searchsorted(times[here], times[here] / 2)
        last = np.searchsorted(times[here], times[here] * 2, side="right")
        for i, a, b in zip(here, first, last):
            largest[i] = values[here[a:b]].max()
    return largest


def _length(
    inverse: np.ndarray,
    deviations: np.ndarray,
    variances: np.ndarray,
    covariance: np.ndarray,
    labels: np.ndarray,
    degree: int,
) -> np.ndarray:
    """Return L = |c2/c1| per variable, at most the smallest size (where the expansion would fail)."""
    limit = 1 / inverse.max()
    if degree < 2:
        # Two sizes say nothing about c2: its term is taken as half the leading one at the smallest size.
        return np.full(labels.size, 0.5 * limit)
    weights = polynomial_weights(inverse, 2, covariance)
    first = np.einsum("ps,sp->p", weights[:, 1], deviations)
    second = np.einsum("ps,sp->p", weights[:, 2], deviations)
    noise = np.einsum("ps,sp->p", weights[:, 2] ** 2, variances)
    length = np.empty(labels.size)
    for label in np.unique(labels):
        here = labels == label
        # The expected square of a noisy coefficient exceeds the square of the true one by its variance.
        excess = max(float(((second[here] ** 2 - noise[here]) / noise[here]).sum()), 0.0)
        reference = float((first[here] ** 2 / noise[here]).sum())
        length[here] = min(np.sqrt(excess / reference), limit) if excess > 0 else 0.0
    return length


def critical_normal(residuals: np.ndarray, freedom: float, level: float) -> float:
    r"""Return u such that the largest of the standard normal variables of all points exceeds u with probability `level`.

    The points are correlated as the residuals are.  The maximum is drawn by multiplying every run's residuals with
    a normal number; an independent part of variance ``1 / (1 + freedom)`` makes up for the rank of the residuals,
    which is at most their number.

    Parameters
    ----------
    residuals : ndarray, shape (runs, points)
        Residuals, whose squares sum to the variance of the tested quantity; a point without variance drops out.
    freedom : float
        Degrees of freedom of the residuals; infinite (no residuals) means independent points.
    level : float
        Probability of a false alarm over the whole family.
    """
    from scipy.special import ndtri

    norm = np.sqrt((residuals**2).sum(axis=0))
    kept = norm > 0
    if not residuals.shape[0] or not kept.any():
        return float(-ndtri(-np.expm1(np.log1p(-level) / residuals.shape[1]) / 2))
    unit = residuals[:, kept] / norm[kept]
    share = 1 / (1 + freedom)
    rng = np.random.default_rng(STREAM)
    largest = np.empty(DRAWS)
    block = max(1, min(DRAWS, 2_000_000 // unit.shape[1]))
    for start in range(0, DRAWS, block):
        count = min(block, DRAWS - start)
        field = rng.standard_normal((count, unit.shape[0])) @ unit * np.sqrt(1 - share)
        field += np.sqrt(share) * rng.standard_normal(field.shape)
        largest[start : start + count] = np.abs(field).max(axis=1)
    return float(np.quantile(largest, 1 - level))


def critical_student(normal: float, freedom: np.ndarray) -> np.ndarray:
    """Return Student quantiles with the tail probability of the normal quantile `normal`."""
    from scipy.special import ndtr, stdtrit

    finite = np.minimum(freedom, 1e6)
    return -stdtrit(finite, np.full_like(finite, ndtr(-normal)))


def welch_freedom(variances: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Welch and Satterthwaite's degrees of freedom of a sum; `variances` (terms, points), `freedom` (terms,)."""
    total = variances.sum(axis=0)
    parts = (variances**2 / freedom[:, None]).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parts > 0, total**2 / parts, np.inf)


def skewness(samples: list[Sample]) -> np.ndarray:
    """Return the skewness of the runs at every point, averaged over the sizes; 0 where it is not known."""
    total = np.zeros_like(samples[0].mean)
    for one in samples:
        second = (one.residuals**2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            third = (one.residuals**3).sum(axis=0) / second**1.5 * np.sqrt(one.runs)
        total += np.where(np.isfinite(third), third, 0.0)
    return total / len(samples)


def fit_exponent(
    samples: list[Sample],
    deviations: np.ndarray,
    variances: np.ndarray,
    length: np.ndarray,
    labels: np.ndarray,
    kept: np.ndarray,
) -> tuple[float, float]:
    r"""Fit :math:`|\Delta| \propto d^{x}` to all points whose deviation is clear of noise at every size.

    Every point gives a slope of :math:`\log|\Delta|`, weighted with its noise and with the curvature
    :math:`L/d` that the next term of the expansion causes.  Slopes are pooled with their inverse variances within
    a variable, and variables with a variance between them (DerSimonian and Laird, Control. Clin. Trials 7, 177,
    1986), so that one very precise variable does not speak for all.

    Parameters
    ----------
    samples : list of Sample
        One per size.
    deviations, variances : ndarray, shape (sizes, points)
    length : ndarray, shape (points,)
        The length L of the expansion.
    labels : ndarray of int, shape (points,)
        The variable of every point.
    kept : ndarray of bool, shape (points,)
        Points to use.

    Returns
    -------
    exponent, error : float
        The error holds the statistical one, correlations between points included, that of the curvature, and the
        scatter between variables.  Both nan if no deviation is clear of noise.
    """
    clear = kept & (np.abs(deviations) > 3 * np.sqrt(variances)).all(axis=0)
    clear &= np.abs(np.sign(deviations).sum(axis=0)) == len(samples)
    if not clear.any():
        return float("nan"), float("nan")
    size = np.array([one.size for one in samples], dtype=float)
    delta, noise, curvature = deviations[:, clear], variances[:, clear], length[clear] / size[:, None]
    covariance = np.einsum("sp,tp->pst", curvature, curvature)
    covariance[:, range(size.size), range(size.size)] += (noise / delta**2).T
    design = np.stack([np.ones_like(size), np.log(size)], axis=1)
    scaled = np.linalg.solve(covariance, np.broadcast_to(design, (covariance.shape[0], *design.shape)))
    information = np.linalg.inv(design.T @ scaled)
    rows = (information @ np.swapaxes(scaled, 1, 2))[:, 1]

    def error_of(weights: np.ndarray) -> float:
        """Error of ``sum(weights * log|delta|)``, weights of shape (points, sizes)."""
        effect = weights.T / delta
        total = 0.0
        for i, one in enumerate(samples):
            shifts = one.residuals[:, clear] @ effect[i] if one.runs else effect[i] * np.sqrt(noise[i])
            total += float((shifts**2).sum())
        return total + float((weights.T * curvature).sum()) ** 2

    groups = [labels[clear] == label for label in np.unique(labels[clear])]
    pooled = []
    for group in groups:
        share = np.where(group, 1 / information[:, 1, 1], 0.0)
        pooled.append(rows * (share / share.sum())[:, None])
    slopes = np.array([float((row.T * np.log(np.abs(delta))).sum()) for row in pooled])
    # Below a hundredth the exponent of one variable says nothing about those of the others.
    within = np.maximum([error_of(row) for row in pooled], 1e-4)
    between = _variance_between(slopes, within)
    weights = 1 / (within + between)
    weights /= weights.sum()
    joint = np.einsum("g,gps->ps", weights, np.array(pooled))
    return float(weights @ slopes), float(np.sqrt(error_of(joint) + between * (weights**2).sum()))


def _variance_between(values: np.ndarray, variances: np.ndarray) -> float:
    """Return the variance between groups beyond that of their values."""
    weights = 1 / variances
    mean = (weights * values).sum() / weights.sum()
    excess = (weights * (values - mean) ** 2).sum() - (values.size - 1)
    spread = weights.sum() - (weights**2).sum() / weights.sum()
    return float(max(excess / spread, 0.0)) if values.size > 1 else 0.0
