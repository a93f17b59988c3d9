r"""From statistics to verdicts: one size, several sizes, two theories.

The rules, with their numbers:

* A point is *judged* unless it lies in the time in which runs relax to the limit (``problem.relaxation_time(size)``,
  a few 1/d where the limit has a constraint that finite runs obey only after such a time), or its runs are so skewed that a mean over them has no Student distribution
  (`SKEWED`); a limit that is carried by rare runs is not determined by the runs that did not meet them.
* One size: a significant deviation :math:`\Delta` at size d counts as a plausible finite-size effect, and the
  verdict stays open, if

  .. math:: |\Delta| - \text{error} \le \frac{5\,S}{n} + \frac{3\,s^2}{S},

  with n the smallest width, if widths grow with d, and else d itself; the variable's scale S, the largest absolute value over the times in theory or mean, and the largest
  standard deviation s of one run over the times: the second term is the shift that fluctuations cause in a
  nonlinear quantity, of order 1/d as well, and matters during the escape from a plateau.
* Several sizes: the deviation extrapolated to infinite size is tested; the neglected term of the expansion is in
  its error.
* Standard errors have a floor of 100 solver tolerances, because tolerances bound the error of a step and not of
  the whole solution; two theories agree within 100 tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import statistics
from .extrapolation import Extrapolation, extrapolate
from .points import Points
from .statistics import Sample

FINITE_SIZE = 5.0  # largest n |deviation| / scale that counts as O(1/d)
FLUCTUATION = 3.0  # largest |deviation| scale / spread^2 that counts as an effect of fluctuations
TOLERANCES = 100.0  # global error, in units of the tolerance of a step
SKEWED = 1.5  # largest skewness at which the mean of some 16 to 32 runs is tested
POWERLESS = (
    15.0  # a test that allows more standard errors than this everywhere, as with two to four runs, cannot acquit
)
FEW_RUNS = "undecided: few runs"
UNRESOLVED = 1e-13  # round-off, in units of the scale, where no tolerance is stated


@dataclass(frozen=True)
class Judgement:
    """A verdict with the numbers that led to it; arrays run over points."""

    verdict: str
    passed: bool | None
    largest: float
    index: int
    allowed: float
    score: np.ndarray
    judged: np.ndarray
    early: np.ndarray | None = None
    size: int = 0
    relative: float = np.nan
    extrapolation: Extrapolation | None = None
    exponent: float = np.nan
    exponent_error: float = np.nan


def scales(points: Points, *curves: np.ndarray) -> np.ndarray:
    """Return the scale of every point: the largest absolute value of its variable in any of the curves."""
    labels = points.labels
    magnitude = np.max([np.abs(curve) for curve in curves], axis=0)
    largest = np.zeros(len(points.variables))
    np.maximum.at(largest, labels, magnitude)
    return np.where(largest[labels] > 0, largest[labels], 1.0)


def _judged(samples: list[Sample], early: np.ndarray | None) -> np.ndarray:
    judged = np.abs(statistics.skewness(samples)) <= SKEWED
    return judged if early is None else judged & ~early


def _scores(deviation: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation == 0, 0.0, deviation / error)


def _family(
    residuals: np.ndarray, freedom: float, pointwise: np.ndarray, judged: np.ndarray, level: float
) -> np.ndarray:
    """Return the largest score that is allowed at every point (infinite where not judged)."""
    allowed = np.full(judged.size, np.inf)
    if judged.any():
        normal = statistics.critical_normal(residuals[:, judged], freedom, level)
        allowed[judged] = statistics.critical_student(normal, pointwise[judged])
    return allowed


def one_size(
    points: Points,
    theory: np.ndarray,
    sample: Sample,
    floor: np.ndarray,
    level: float,
    width: float,
    early: np.ndarray | None = None,
) -> Judgement:
    """Judge the runs of one size, whose effects are of order one over `width`; `early` points are left out."""
    deviation = sample.mean - theory
    scale = scales(points, theory, sample.mean)
    if sample.runs == 1:
        relative = np.abs(deviation) / scale
        index = int(relative.argmax())
        unknown = np.full(deviation.size, np.nan)
        judged = np.zeros(deviation.size, dtype=bool)
        return Judgement(
            "undecided: one size",
            None,
            np.nan,
            index,
            np.nan,
            unknown,
            judged,
            early,
            sample.size,
            float(relative[index]),
        )
    error = np.hypot(sample.error, floor)
    judged = _judged([sample], early)
    allowed = _family(sample.residuals, sample.freedom, np.full(deviation.size, sample.freedom), judged, level)
    score = _scores(deviation, error)
    ratio = np.abs(score) / allowed
    spread = np.zeros(len(points.variables))
    np.maximum.at(spread, points.labels, np.nan_to_num(sample.spread))
    plausible = FINITE_SIZE * scale / width + FLUCTUATION * spread[points.labels] ** 2 / scale
    beyond = (ratio > 1) & (np.abs(deviation) - allowed * error > plausible)
    index = int(np.where(beyond, ratio, 0.0).argmax() if beyond.any() else ratio.argmax())
    surplus = max(0.0, float(np.abs(deviation[index]) - allowed[index] * error[index])) if judged[index] else 0.0
    relative = surplus * width / float(scale[index])
    if beyond.any():
        verdict, passed = "differs", False
    elif ratio[index] > 1 or not judged.any():
        verdict, passed = "undecided: one size", None
    elif allowed[judged].min() > POWERLESS:
        verdict, passed = FEW_RUNS, None
    else:
        verdict, passed = "agrees", True
    largest, limit = float(abs(score[index])), float(allowed[index])
    return Judgement(verdict, passed, largest, index, limit, score, judged, early, sample.size, relative)


def several_sizes(
    points: Points,
    theories: np.ndarray,
    samples: list[Sample],
    floor: np.ndarray,
    level: float,
    early: np.ndarray | None = None,
    rounding: np.ndarray | None = None,
) -> Judgement:
    """Judge the runs of several sizes by the deviation extrapolated to infinite size.

    Parameters
    ----------
    theories : ndarray, shape (sizes, points)
        The theory at the ratios that every size realises.
    early : ndarray of bool, shape (points,), optional
        Points to leave out.
    rounding : ndarray, shape (sizes,), optional
        Relative change of the widths by rounding.
    """
    deviations = np.array([one.mean for one in samples]) - theories
    if any(one.runs == 1 for one in samples):
        scale = scales(points, *theories)
        relative = np.abs(deviations[-1]) / scale
        index = int(relative.argmax())
        unknown = np.full(relative.size, np.nan)
        judged = np.zeros(relative.size, dtype=bool)
        size = next(one.size for one in samples if one.runs == 1)
        return Judgement(
            "undecided: one run", None, np.nan, index, np.nan, unknown, judged, early, size, float(relative[index])
        )
    variances = np.array([one.error**2 for one in samples]) + floor**2
    inverse = np.array([1 / one.size for one in samples])
    freedom = np.array([one.freedom for one in samples])
    limit = extrapolate(inverse, deviations, variances, points.labels, points.point_times, rounding)
    judged = _judged(samples, early)
    pointwise = statistics.welch_freedom(limit.weights.T**2 * variances, freedom)
    residuals = np.vstack([limit.weights[:, i] * one.residuals for i, one in enumerate(samples)])
    allowed = _family(residuals, float(freedom.sum()), pointwise, judged, level)
    score = _scores(limit.deviation, limit.error)
    ratio = np.abs(score) / allowed
    index = int(ratio.argmax())
    exponent, exponent_error = statistics.fit_exponent(
        samples, deviations, variances, limit.length, points.labels, judged
    )
    if not judged.any():
        verdict, passed = "undecided: skewed runs", None
    elif ratio[index] <= 1 and allowed[judged].min() > POWERLESS:
        verdict, passed = FEW_RUNS, None
    else:
        passed = bool(ratio[index] <= 1)
        verdict = "agrees" if passed else "differs"
    return Judgement(
        verdict,
        passed,
        float(abs(score[index])),
        index,
        float(allowed[index]),
        score,
        judged,
        early,
        extrapolation=limit,
        exponent=exponent,
        exponent_error=exponent_error,
    )


def two_theories(first: np.ndarray, second: np.ndarray, tolerance: np.ndarray) -> Judgement:
    """Judge the difference of two theories in units of their tolerances, added."""
    score = _scores(second - first, tolerance)
    index = int(np.abs(score).argmax())
    largest = float(abs(score[index]))
    passed = largest <= TOLERANCES
    judged = np.ones(score.size, dtype=bool)
    return Judgement("agrees" if passed else "differs", passed, largest, index, TOLERANCES, score, judged)
