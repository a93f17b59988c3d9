r"""One-pass SGD as learning_rate -> 0 against gradient flow: the mean deviates as learning_rate, single runs as its square root.

The noise of SGD adds (learning_rate/p) times a covariance to dQ/dt: the limit d -> infinity at learning_rate g is off the flow by C(t) g.  A
run at finite d makes t p d/g steps whose independent errors add up to a scatter of sqrt(g/(p d)); its mean has the same C up to O(1/d).

Gradient flow is `QuadraticFlow`, the exact flow of a matrix; the limit of SGD is `Committee` (overlaps, Wick's theorem), its runs the chain of
overlaps.  The first shares the integrator with the second, and no equation with either; these two share activations and clock.  The start is
written down here.
"""

from __future__ import annotations

import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "gradient flow and one-pass SGD"
# Rows of the student in an orthonormal frame: components along the two teachers, and along an axis of their own.
ALONG = np.array([[0.7, 0.1], [0.2, 0.6], [-0.3, 0.4]])
ACROSS = np.array([0.5, 0.6, 0.7])
P, K = ALONG.shape
NOISE = 0.1
TIMES = np.arange(1, 9) / 8  # whole numbers of steps at every rate, if d is a multiple of 80
RATES = tuple(0.2 / 2**n for n in range(6))


def gradient_flow(times: np.ndarray) -> np.ndarray:
    """Return the risk of the flow of the weights, in the p + k dimensions that they span."""
    d = P + K
    W = math.sqrt(d) * np.hstack([ALONG, np.diag(ACROSS)])
    return fl.QuadraticFlow(W, math.sqrt(d) * np.eye(K, d)).solve(times, rtol=1e-11, atol=1e-13)["risk"].values


def sgd(rate: float) -> fl.Committee:
    """Return one-pass SGD from the same overlaps."""
    return fl.Committee(ALONG @ ALONG.T + np.diag(ACROSS**2), ALONG, np.eye(K), learning_rate=rate, noise=NOISE)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    flow = gradient_flow(TIMES)
    rates = list(RATES)
    limits = [(sgd(rate).solve(TIMES, rtol=1e-11, atol=1e-13)["risk"].values / flow - 1) for rate in rates]
    distance = [float(one.mean()) for one in limits]
    record.estimate(
        SOURCE,
        f"limit of SGD, learning rates down to {rates[-1]:.4g}: exponent of its relative deviation from the flow",
        *cross.local_exponent(rates, distance),
        1.0,
        atol=0.02,
        largest=0.05,
    )
    zero = 2 * distance[-1] / rates[-1] - distance[-2] / rates[-2]
    clock = gradient_flow(1.02 * TIMES)
    mistaken = [float((sgd(rate).solve(TIMES)["risk"].values / clock - 1).mean()) for rate in rates]
    wrong = cross.local_exponent(rates, mistaken)
    record.wrong_theory(
        SOURCE,
        "flow whose clock is 2 % fast: exponent of that deviation, and what is left at the smallest rate",
        seen=f"{wrong[0]:.2g}, {mistaken[-1]:.2g}",
        failed=abs(wrong[0] - 1) > 0.3,
    )
    d, runs = (2000, 400) if full else (480, 200)
    means, scatter = [], []
    for index, rate in enumerate(rates):
        seen = sgd(rate).simulate(TIMES, dimension=d, runs=runs, rng=np.random.SeedSequence([5, index]), progress=False)
        if not np.allclose(seen["time"].values, TIMES, rtol=1e-12):
            raise ValueError(f"At d = {d} and rate {rate:g} no whole number of steps ends at the times asked for.")
        deviation = (seen["risk"].values / flow - 1).mean(axis=1)
        means.append(cross.mean(deviation))
        scatter.append(cross.spread(deviation))
    found = cross.exponent(rates, means)
    record.estimate(
        SOURCE,
        f"{runs} runs at d = {d}: exponent of the mean deviation from the flow in the learning rate",
        *found,
        1.0,
        largest=0.25,
    )
    found = cross.exponent(rates, scatter)
    record.estimate(SOURCE, "exponent of the scatter of single runs", *found, 0.5, largest=0.1)
    per_rate = [(value / rate, error / rate) for rate, (value, error) in zip(rates, means)]
    found = cross.intercept(rates, per_rate)
    record.estimate(
        SOURCE,
        "mean deviation of the runs per learning rate, extrapolated to zero, over that of the limit",
        found[0] / zero,
        found[1] / abs(zero),
        1.0,
        atol=5 / d,
        largest=0.15,
    )
    rows = [[rate, distance[i], *means[i], *scatter[i], mistaken[i]] for i, rate in enumerate(rates)]
    draw(record, d, rates, limits, means, scatter, distance, mistaken)
    record.table(
        "rates", ["learning_rate", "limit", "mean", "mean_error", "scatter", "scatter_error", "clock_off"], rows
    )


def draw(
    record: Record,
    d: int,
    rates: list[float],
    limits: list[np.ndarray],
    means: list,
    scatter: list,
    distance: list[float],
    mistaken: list[float],
) -> None:
    """Draw the deviation per learning rate in time, and its size against the learning rate."""
    figure, (left, right) = cross.panels(2)
    for index, (rate, one) in enumerate(list(zip(rates, limits))[::2]):
        left.plot(TIMES, one / rate, style.LINES[index], color=style.COLOURS[index], label=f"$g = {rate:g}$")
    left.set_xlabel("$t$")
    left.set_ylabel("relative deviation of the risk$\\,/\\,g$")
    style.add_legend(left, loc="upper left")
    right.plot(rates, np.abs(distance), color=style.THEORY, lw=1.0, label="SGD, $d\\to\\infty$")
    cross.draw_points(right, rates, means, 0, f"runs, mean, $d = {d}$")
    cross.draw_points(right, rates, scatter, 1, "runs, scatter")
    cross.draw_slope(right, rates, scatter[-1], 0.5, r"$\sqrt{g}$")
    cross.draw_points(right, rates, [(value, 0.0) for value in mistaken], 3, "clock 2 % fast", hollow=True)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("learning rate $g$")
    right.set_ylabel("deviation from gradient flow")
    style.add_legend(right, loc="upper left", fontsize=6.5)
    record.figure(figure, "rates")
