r"""From statistics to verdicts: one size, several sizes, two theories.

The rules, with their numbers:

* A point is *judged* unless it lies in the time in which runs relax to the limit (``problem.relaxation_time(size)``,
  a few 1/d where the limit has a constraint that finite runs obey only after such a time), or its runs are so skewed that a mean over them has no Student distribution
  (`SKEWED`); a limit that is carried by rare runs is not determined by the runs that did not meet them.
* One size: a significant deviation :math:`\Delta` at size d counts as a plausible finite-size effect, and the
  verdict stays open, if

  .. math:: |\Delta| - \text{error} \le \frac{5\,S}{n} + \frac{3\,s^2}{S}\Bigl(1 + \frac{s\sqrt n}{S}\Bigr),

  with n the smallest width, if widths grow with d, else the effective dimension of the inputs, if that is stated, and else d itself; the variable's scale S, the largest absolute value over the times in theory or mean, and the largest
  standard deviation s of one run over the times: the second term is the shift that fluctuations cause in a
  nonlinear quantity, of order 1/d as well; the factor in brackets counts the amplification of
  fluctuations, whose natural size is S/sqrt(n), during the escape from a plateau.
* Several sizes: the deviation extrapolated to infinite size is tested.  The coefficient of 1/d is a nuisance whose prior
  width is the effect that one size would call plausible, and neglected terms are in the error.  The rule of one size is
  applied to the largest size too, at half the level: what it calls different never agrees.  "differs" must be
  stable against leaving out the smallest of three or more sizes.  Where single runs of the largest size still differ by
  more than `AMPLIFIED` of a scale, what one size would call plausible is an error of the extrapolation too.  And the exponent of the deviation must not exclude
  everything between the expected one and zero; otherwise the sizes are too small for an expansion in 1/d.
* What could go *unseen* is the largest over the judged points of (allowed x error) / S, with the plausible effect
  of finite size added where one size alone is judged against a limit.  "agrees" is said only if that is within the
  resolution; otherwise nothing was resolved, and the verdict is open.
* Deviations within a stated tolerance are none, and beyond it none is plausible: the theory is taken as the nearest curve within it.
* Standard errors have a floor of 100 solver tolerances, because tolerances bound the error of a step and not of
  the whole solution; two theories agree within 100 tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import statistics
from .effects import Prediction, nearest, plausible_effect, relative_spread, scales
from .extrapolation import Extrapolation, extrapolate
from .points import Points
from .statistics import Sample

TOLERANCES = 100.0  # global error, in units of the tolerance of a step
SKEWED = 1.5  # largest skewness at which the mean of some 16 to 32 runs is tested
AMPLIFIED = 0.25  # spread of single runs, in units of the scale, beyond which no expansion in 1/d is trusted
POWERLESS = 15.0  # a test that allows more standard errors everywhere, as with two to four runs, cannot acquit
FEW_RUNS = "undecided: few runs"
NOT_RESOLVED = "undecided: not resolved"
TOO_SMALL = "undecided: sizes too small for 1/d"
RESOLUTION = 0.05  # largest deviation, in units of the scale, that may go unseen where a theory is acquitted
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
    unseen: float = np.nan
    unseen_index: int = 0
    unseen_noise: float = np.nan


def most_unseen(margin: np.ndarray, scale: np.ndarray, judged: np.ndarray) -> tuple[float, int]:
    """Return the largest margin of the judged points in units of the scale, and where it is."""
    relative = np.where(judged, margin / scale, -np.inf)
    index = int(relative.argmax())
    return float(relative[index]), index


def _judged(samples: list[Sample], early: np.ndarray | None) -> np.ndarray:
    judged = np.abs(statistics.skewness(samples)) <= SKEWED
    return judged if early is None else judged & ~early


def scores(deviation: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the deviations in units of their errors; 0 where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation == 0, 0.0, deviation / error)


def allowed_scores(
    residuals: np.ndarray, freedom: float, pointwise: np.ndarray, judged: np.ndarray, level: float
) -> np.ndarray:
    """Return the largest score that is allowed at every point (infinite where not judged)."""
    allowed = np.full(judged.size, np.inf)
    if judged.any():
        normal = statistics.critical_normal(residuals[:, judged], freedom, level)
        allowed[judged] = statistics.critical_student(normal, pointwise[judged])
    return allowed


def acquit(least: float, unseen: float, resolution: float) -> tuple[str, bool | None]:
    """Return the verdict where nothing deviates; it stays open if the least allowed score, or what could go unseen, is large."""
    if least > POWERLESS:
        return FEW_RUNS, None
    return (NOT_RESOLVED, None) if unseen > resolution else ("agrees", True)


def one_size(
    points: Points,
    theory: np.ndarray,
    sample: Sample,
    floor: np.ndarray,
    level: float,
    width: float,
    early: np.ndarray | None = None,
    *,
    resolution: float = RESOLUTION,
    exact: bool = False,
    tolerance: float | None = None,
    predicted: Prediction | None = None,
) -> Judgement:
    """Judge the runs of one size, whose effects are of order one over `width` unless `predicted`; `early` points are left out.

    A theory that is `exact` at every size has no effects of finite size that could hide its error.  Deviations within a
    `tolerance` are none, and beyond it none is plausible.
    """
    scale = scales(points, theory, sample.mean)
    if sample.runs == 1 and tolerance is not None:
        return _one_run(theory, sample, floor, scale, early, tolerance)
    deviation = sample.mean - nearest(points, theory, sample.mean, tolerance)
    if sample.runs == 1:
        relative = np.abs(deviation) / scale
        index = int(relative.argmax())
        unknown, judged = np.full(deviation.size, np.nan), np.zeros(deviation.size, dtype=bool)
        known = (early, sample.size, float(relative[index]))
        return Judgement("undecided: one size", None, np.nan, index, np.nan, unknown, judged, *known)
    error = np.hypot(sample.error, floor)
    judged = _judged([sample], early)
    freedom = np.full(deviation.size, sample.freedom) if predicted is None else predicted.freedom
    allowed = allowed_scores(sample.residuals, sample.freedom, freedom, judged, level)
    score = scores(deviation, error)
    ratio = np.abs(score) / allowed
    effect = plausible_effect(points, scale, sample, width) if predicted is None else predicted.plausible
    plausible = effect if tolerance is None else tolerance * scale
    beyond = (ratio > 1) & ((tolerance is not None) | (np.abs(deviation) - allowed * error > plausible))
    index = int(np.where(beyond, ratio, 0.0).argmax() if beyond.any() else ratio.argmax())
    surplus = max(0.0, float(np.abs(deviation[index]) - allowed[index] * error[index])) if judged[index] else 0.0
    relative = surplus * width / float(scale[index])
    unseen, where, noise = np.nan, 0, np.nan
    if judged.any():
        margin = np.where(judged, allowed, 0.0) * error
        unseen, where = most_unseen(margin if exact and tolerance is None else margin + plausible, scale, judged)
        noise = float(margin[where] / scale[where])
    verdict: str
    passed: bool | None
    if beyond.any():
        verdict, passed = "differs", False
    elif ratio[index] > 1 or not judged.any():
        verdict, passed = "undecided: one size", None
    else:
        verdict, passed = acquit(float(allowed[judged].min()), unseen, resolution)
    largest, limit = float(abs(score[index])), float(allowed[index])
    return Judgement(
        verdict, passed, largest, index, limit, score, judged, early, sample.size, relative, unseen=unseen,
        unseen_index=where, unseen_noise=noise,
    )  # fmt: skip


def _one_run(
    theory: np.ndarray, sample: Sample, floor: np.ndarray, scale: np.ndarray, early: np.ndarray | None, tolerance: float
) -> Judgement:
    """Judge a single run, which has no standard error, by a tolerance; the score is the deviation in units of it."""
    score = (sample.mean - theory) / (tolerance * scale + floor)
    judged = np.ones(score.size, dtype=bool) if early is None else ~early
    ratio = np.where(judged, np.abs(score), 0.0)
    index = int(ratio.argmax())
    passed = bool(ratio[index] <= 1) if judged.any() else None
    verdict = "undecided: one size" if passed is None else "agrees" if passed else "differs"
    unseen, where = most_unseen(tolerance * scale + floor, scale, judged)
    return Judgement(
        verdict, passed, float(ratio[index]), index, 1.0, score, judged, early, sample.size,
        float(np.abs(sample.mean - theory)[index] / scale[index]), unseen=unseen, unseen_index=where,
    )  # fmt: skip


@dataclass(frozen=True)
class _Tested:
    """The extrapolated deviation, tested at all points together."""

    limit: Extrapolation
    score: np.ndarray
    allowed: np.ndarray
    judged: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        return np.abs(self.score) / self.allowed


def _test(
    points: Points,
    deviations: np.ndarray,
    samples: list[Sample],
    variances: np.ndarray,
    level: float,
    early: np.ndarray | None,
    rounding: np.ndarray | None,
    plausible: np.ndarray,
    length: np.ndarray | None = None,
    order: int = 1,
) -> _Tested:
    inverse = np.array([float(one.size) ** -order for one in samples])
    freedom = np.array([one.freedom for one in samples])
    limit = extrapolate(inverse, deviations, variances, points.labels, points.point_times, rounding, plausible, length)
    judged = _judged(samples, early)
    pointwise = statistics.welch_freedom(limit.weights.T**2 * variances, freedom)
    residuals = np.vstack([limit.weights[:, i] * one.residuals for i, one in enumerate(samples)])
    allowed = allowed_scores(residuals, float(freedom.sum()), pointwise, judged, level)
    return _Tested(limit, scores(limit.deviation, limit.error), allowed, judged)


def several_sizes(
    points: Points,
    theories: np.ndarray,
    samples: list[Sample],
    floor: np.ndarray,
    level: float,
    early: np.ndarray | None = None,
    rounding: np.ndarray | None = None,
    *,
    widths: np.ndarray,
    resolution: float = RESOLUTION,
    exact: bool = False,
    order: int = 1,
    tolerance: float | None = None,
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
    widths : ndarray, shape (sizes,)
        The smallest width that grows, at every size; effects are of order one over it.
    resolution : float
        The largest deviation that may go unseen in an acquittal.
    exact : bool
        Whether the theory is exact at every size.
    order : int
        The power of the inverse size by which runs deviate from a right theory.
    tolerance : float, optional
        Deviations within it, in units of the scale, are none.
    """
    near = [nearest(points, theory, one.mean, tolerance) for theory, one in zip(theories, samples)]
    deviations = np.array([one.mean for one in samples]) - near
    if any(one.runs == 1 for one in samples):
        relative = np.abs(deviations[-1]) / scales(points, *theories)
        index = int(relative.argmax())
        unknown, judged = np.full(relative.size, np.nan), np.zeros(relative.size, dtype=bool)
        size = next(one.size for one in samples if one.runs == 1)
        return Judgement(
            "undecided: one run", None, np.nan, index, np.nan, unknown, judged, early, size, float(relative[index])
        )
    variances = np.array([one.error**2 for one in samples]) + floor**2
    scale = scales(points, *theories, *[one.mean for one in samples])
    effects = [plausible_effect(points, scale, one, width) * one.size**order for one, width in zip(samples, widths)]
    plausible = np.max(effects, axis=0)
    judged = _judged(samples, early)
    if judged.any() and relative_spread(points, scale, samples[-1])[judged].max() > AMPLIFIED:
        floor = np.hypot(floor, plausible_effect(points, scale, samples[-1], float(widths[-1])))
        variances = np.array([one.error**2 for one in samples]) + floor**2
    whole = _test(points, deviations, samples, variances, level, early, rounding, plausible, order=order)
    score, allowed, judged, ratio = whole.score, whole.allowed, whole.judged, whole.ratio
    index = int(ratio.argmax())
    longest = np.hypot(whole.limit.length, whole.limit.length_error)
    fitted = (samples, deviations, variances, longest, points.labels, judged, order)
    exponent, exponent_error = statistics.fit_exponent(*fitted)
    last = one_size(
        points, theories[-1], samples[-1], floor, level / 2, float(widths[-1]), early, exact=exact, tolerance=tolerance
    )
    margin = np.where(judged, allowed, 0.0) * whole.limit.error + (tolerance or 0.0) * scale
    unseen, where = most_unseen(margin, scale, judged)
    # What depends on the smallest size alone is an effect of finite size that the expansion does not hold.
    stable = True
    if len(samples) > 2 and ratio[index] > 1:
        less = None if rounding is None else rounding[1:]
        length = whole.limit.length
        again = _test(points, deviations[1:], samples[1:], variances[1:], level, early, less, plausible, length, order)
        stable = bool(again.ratio.max() > 1)
    expanding = np.isnan(exponent) or (exponent - 2 * exponent_error <= 0 and exponent + 2 * exponent_error >= -order)
    passed: bool | None = None
    if not judged.any():
        verdict = "undecided: skewed runs"
    elif last.passed is False or (ratio[index] > 1 and stable and expanding):
        verdict, passed = "differs", False
    elif ratio[index] > 1:
        verdict = TOO_SMALL
    else:
        verdict, passed = acquit(float(allowed[judged].min()), unseen, resolution)
    if last.passed is False and ratio[index] <= 1:
        # The largest size alone decided: its numbers are what is told.
        index, score, allowed = last.index, last.score, np.full(judged.size, last.allowed)
    noise = np.sqrt(sum((whole.limit.weights[where, i] * one.error[where]) ** 2 for i, one in enumerate(samples)))
    statistical = noise * whole.allowed[where] / scale[where] if judged.any() else np.nan
    return Judgement(
        verdict, passed, float(abs(score[index])), index, float(allowed[index]), score, judged, early, samples[-1].size,
        extrapolation=whole.limit, exponent=exponent, exponent_error=exponent_error, unseen=unseen,
        unseen_index=where, unseen_noise=float(statistical),
    )  # fmt: skip


def two_theories(first: np.ndarray, second: np.ndarray, tolerance: np.ndarray) -> Judgement:
    """Judge the difference of two theories in units of their tolerances, added."""
    score = scores(second - first, tolerance)
    index = int(np.abs(score).argmax())
    largest = float(abs(score[index]))
    passed = largest <= TOLERANCES
    judged = np.ones(score.size, dtype=bool)
    return Judgement("agrees" if passed else "differs", passed, largest, index, TOLERANCES, score, judged)
