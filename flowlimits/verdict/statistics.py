r"""Statistics of a comparison: standard errors, and a test over a whole family of points.

Everything here works on plain arrays; a *point* is one variable at one time, and the last axis runs over points.
What the numbers mean for a theory is decided in `flowlimits.verdict.judge`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .extrapolation import fit_weights

DRAWS = 4000  # of the maximum over the family: its quantile is known to 0.02
NEXT_ORDER = 2.0  # doubling sizes, the first correction to an exponent is three times the change of leaving one out
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
    order: int = 1,
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
    order : int, optional
        The power of the inverse size in which the deviation is expanded.

    Returns
    -------
    exponent, error : float
        The error holds the statistical one, correlations between points included, that of the curvature, the
        scatter between variables, and, of three or more sizes, `NEXT_ORDER` times what leaving out the smallest
        changes: the next order bends the power law by an amount that falls with the size.  Both nan if no deviation is
        clear of noise.
    """
    exponent, error = _fit_exponent(samples, deviations, variances, length, labels, kept, order)
    if len(samples) < 3 or np.isnan(exponent):
        return exponent, error
    without, _ = _fit_exponent(samples[1:], deviations[1:], variances[1:], length, labels, kept, order)
    return exponent, float(np.hypot(error, NEXT_ORDER * (without - exponent))) if np.isfinite(without) else error


def _fit_exponent(
    samples: list[Sample],
    deviations: np.ndarray,
    variances: np.ndarray,
    length: np.ndarray,
    labels: np.ndarray,
    kept: np.ndarray,
    order: int,
) -> tuple[float, float]:
    """Return the exponent and the part of its error that the fit itself knows."""
    clear = kept & (np.abs(deviations) > 3 * np.sqrt(variances)).all(axis=0)
    clear &= np.abs(np.sign(deviations).sum(axis=0)) == len(samples)
    if not clear.any():
        return float("nan"), float("nan")
    size = np.array([one.size for one in samples], dtype=float)
    delta, noise, curvature = deviations[:, clear], variances[:, clear], length[clear] / size[:, None] ** order
    design = np.stack([np.ones_like(size), np.log(size)], axis=1)
    weights, widths = fit_weights(design, np.sqrt(noise) / np.abs(delta), curvature[None])
    rows, widths = weights[:, 1], widths[:, 1]

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
        share = np.where(group, 1 / widths, 0.0)
        pooled.append(rows * (share / share.sum())[:, None])
    slopes = np.array([float((row.T * np.log(np.abs(delta))).sum()) for row in pooled])
    # Below a hundredth the exponent of one variable says nothing about those of the others.
    within = np.maximum([error_of(row) for row in pooled], 1e-4)
    between = _variance_between(slopes, within)
    shares = 1 / (within + between)
    shares /= shares.sum()
    joint = np.einsum("g,gps->ps", shares, np.array(pooled))
    return float(shares @ slopes), float(np.sqrt(error_of(joint) + between * (shares**2).sum()))


def _variance_between(values: np.ndarray, variances: np.ndarray) -> float:
    """Return the variance between groups beyond that of their values."""
    weights = 1 / variances
    mean = (weights * values).sum() / weights.sum()
    excess = (weights * (values - mean) ** 2).sum() - (values.size - 1)
    spread = weights.sum() - (weights**2).sum() / weights.sum()
    return float(max(excess / spread, 0.0)) if values.size > 1 else 0.0
