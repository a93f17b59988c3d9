"""What the checks between limits share: exponents and intercepts with error bars, from means with standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from flowlimits.plot import style

Estimate = tuple[float, float]


def mean(samples: np.ndarray) -> Estimate:
    """Return the mean of independent samples and its standard error."""
    return float(np.mean(samples)), float(np.std(samples, ddof=1)) / math.sqrt(len(samples))


def spread(samples: np.ndarray) -> Estimate:
    """Return the standard deviation of independent samples and its standard error, from their fourth moment."""
    centred = samples - np.mean(samples)
    variance = float(np.mean(centred**2))
    error = math.sqrt(max(float(np.mean(centred**4)) - variance**2, 0.0) / len(samples))
    return math.sqrt(variance), error / (2 * math.sqrt(variance))


def _least_squares(
    columns: Sequence[np.ndarray], values: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and their standard errors, larger where the residuals exceed the errors of the values."""
    design = np.stack(columns, axis=1) / errors[:, None]
    target = values / errors
    coefficients, *_ = np.linalg.lstsq(design, target, rcond=None)
    freedom = len(values) - len(columns)
    excess = float(np.sum((target - design @ coefficients) ** 2)) / freedom if freedom else 1.0
    covariance = np.linalg.inv(design.T @ design) * max(excess, 1.0)
    return coefficients, np.sqrt(np.diag(covariance))


def exponent(small: Sequence[float], estimates: Sequence[Estimate], *, corrected: bool = True) -> Estimate:
    """Return b of ``value = a h^b (1 + c h)`` in the small parameter h; without the bracket if not `corrected`."""
    h = np.array(small, dtype=float)
    values, errors = np.abs(np.array(estimates)).T
    columns = [np.log(h), np.ones(h.size), *([h] if corrected else [])]
    coefficients, uncertain = _least_squares(columns, np.log(values), errors / values)
    return float(coefficients[0]), float(uncertain[0])


def local_exponent(small: Sequence[float], values: Sequence[float]) -> Estimate:
    """Return the slope between the last two points of a curve without noise, and its change from the pair before as error."""
    slopes = np.diff(np.log(np.abs(values))) / np.diff(np.log(small))
    return float(slopes[-1]), float(abs(slopes[-1] - slopes[-2]))


def intercept(small: Sequence[float], estimates: Sequence[Estimate], *, order: int = 2) -> Estimate:
    """Return the value at h = 0 of a polynomial of that order in h, and its standard error."""
    h = np.array(small, dtype=float)
    values, errors = np.array(estimates).T
    coefficients, uncertain = _least_squares([h**n for n in range(order + 1)], values, errors)
    return float(coefficients[0]), float(uncertain[0])


def standard_errors(estimate: Estimate, expected: float = 0.0) -> float:
    """Return the distance of an estimate from what is expected, in its standard errors."""
    return abs(estimate[0] - expected) / estimate[1]


def draw_points(
    axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], index: int, label: str, *, hollow: bool = False
) -> None:
    """Draw magnitudes with their standard errors, on logarithmic axes."""
    values, errors = np.abs(np.array(estimates)).T
    colour = style.COLOURS[index % len(style.COLOURS)]
    # A bar that reaches zero has no lower end on a logarithmic axis: it is cut short there.
    bars = [np.minimum(errors, 0.9 * values), errors]
    axes.errorbar(
        x, values, bars, fmt=style.MARKERS[index % len(style.MARKERS)], ms=3.5, lw=0.8, capsize=1.5, color=colour,
        mfc="white" if hollow else colour, label=label,
    )  # fmt: skip


def draw_slope(axes: Axes, x: Sequence[float], at: Estimate, power: float, label: str | None = None) -> None:
    """Draw a guide of that power of x through the estimate at the last x."""
    grid = np.array([x[0], x[-1]], dtype=float)
    axes.plot(grid, abs(at[0]) * (grid / x[-1]) ** power, ls=":", lw=1.0, color=style.GUIDE, label=label)


def panels(count: int, height: float = 2.7) -> tuple[object, Sequence[Axes]]:
    """Return a figure of two columns' width and its dressed panels."""
    figure = style.new_figure(2 * style.COLUMN, height)
    axes = np.atleast_1d(figure.subplots(1, count))
    for one in axes:
        style.dress(one)
    return figure, list(axes)
