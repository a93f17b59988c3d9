"""Martin, Biroli & Bach (JMLR 27(136), 2026): quadratic networks on finitely many samples, where training ends and how it gets there.

Thresholds of interpolation and recovery, double descent, small and no decay, and simulations of the three kinds of data. Not in the paper: the Bayes line beside it, the map
of the counting bound, recovery by the square activation. Not reproduced: their figures on the loss landscape.
"""

from __future__ import annotations

import warnings

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record

PAPER = "Martin, Biroli & Bach 2601.10483"
MP = fl.Spectrum.marchenko_pastur
#: Mean risks at T = 2 tau of independent programs, extrapolated from runs of three kinds.
TIMES = np.array([0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
RISKS = np.array([4.286, 3.104, 1.987, 1.234, 0.918, 0.831])
ERRORS = np.array([0.011, 0.013, 0.012, 0.010, 0.009, 0.007])


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    thresholds(record)
    double_descent(record)
    small_decay(record)
    counting_bound(record)
    ends(record, full)
    in_time(record, full)


def thresholds(record: Record) -> None:
    """Figure 9: thresholds without noise."""
    table = {(0.3, 0.4): (0.33797, 0.32), (0.5, 0.7): (0.43709, 0.43709), (0.2, 0.3): (0.27967, 0.255)}
    for (teacher, student), (interpolation, recovery) in table.items():
        found = fl.EmpiricalQuadratic(student, MP(teacher), 1.0).thresholds()
        gap = max(abs(float(found["interpolation"]) - interpolation), abs(float(found["recovery_no_decay"]) - recovery))
        record.below(
            "thresholds", f"kappa* = {teacher}, kappa = {student}: distance from the paper's five digits", gap, 1e-5
        )


def double_descent(record: Record) -> None:
    """Figure 7: the risk peaks where the samples are interpolated; no decay beats the Bayes line."""
    ratios = np.linspace(0.05, 0.8, 301)
    problem = fl.EmpiricalQuadratic(0.7, MP(0.5), 0.4, noise=0.5, weight_decay="vanishing")
    curve, line = problem.solve(sample_ratios=ratios)["risk"].values, problem.bayes(ratios)["risk"].values
    decays = problem.solve(sample_ratios=ratios, weight_decays=[0.04, 0.4])["risk"].values
    peak = abs(ratios[curve.argmax()] - float(problem.thresholds()["interpolation"]))
    record.below("double descent", "distance of the peak of the risk from the interpolation threshold", peak, 0.004)
    worst = max((line / one).max() for one in (curve, *decays))
    record.below("Bayes line", "largest ratio of the Bayes risk to that of an end of training", worst, 1.0)
    figure = style.new_figure(style.COLUMN, 2.6)
    axes = figure.subplots()
    for values, name in ((curve, "vanishing decay"), *zip(decays, ("decay 0.04", "decay 0.4")), (line, "Bayes")):
        axes.plot(ratios, values, label=name)
    axes.set(xlabel="samples / d^2", ylabel="d x risk", ylim=(0, 4))
    style.add_legend(axes)
    record.figure(figure, "double_descent")


def small_decay(record: Record) -> None:
    """Figure 8: the risk tends to that of vanishing decay, linearly in the decay."""
    problem = fl.EmpiricalQuadratic(0.3, MP(0.2), 0.15, weight_decay="vanishing")
    end = float(problem.solve()["risk"])
    record.below("small decay", "risk of vanishing decay against 1.5330903714", abs(end / 1.5330903714 - 1), 1e-9)
    gaps = np.abs(problem.solve(weight_decays=[1e-3, 1e-4])["risk"].values - end)
    record.below("small decay", "gap at decay 1e-4 over that at 1e-3", gaps[1] / gaps[0], 0.11)


def counting_bound(record: Record) -> None:
    """Not in the paper: below which width its equations violate the counting bound, for the noise of the labels."""
    expected = {0.01: 0.4192, 0.1: 0.3754, 1.0: 0.3237, 10.0: 0.2788}
    for noise, width in expected.items():
        low, high = 0.3 if noise < 1 else 0.25, 0.6
        for _ in range(30):
            kappa = 0.5 * (low + high)
            found = fl.EmpiricalQuadratic(kappa, MP(0.3), 1.0, noise=noise).thresholds()
            low, high = (kappa, high) if found["interpolation"] > found["counting_bound"] else (low, kappa)
        record.below("counting bound", f"noise {noise}: width against {width}", abs(low - width), 1e-4)


def ends(record: Record, full: bool) -> None:
    """Figures 3 and 13: ends of training of simulated networks, by kind of data."""
    problem = fl.EmpiricalQuadratic(0.7, MP(0.5), 0.4, noise=0.25, weight_decay=0.4)
    theory = float(problem.solve()["risk"])
    for kind, d, allowed in (("hermitian", 20, 0.03), ("symmetric", 40, 0.12), ("inputs", 40, 0.25)):
        runs = problem.simulate(dimension=d, runs=64 if full else 24, rng=1, data=kind, end=True, progress=False)[
            "risk"
        ]
        error = float(runs.std(ddof=1)) / np.sqrt(runs.size) / theory
        gap = abs(float(runs.mean()) / theory - 1)
        record.below("ends", f"{kind}, d = {d}: relative deviation of the risk less 3 errors", gap - 3 * error, allowed)


def in_time(record: Record, full: bool) -> None:
    """Figure 6: overfitting in time, by Hermitian extrapolation, for which no theory is known."""
    problem = fl.EmpiricalQuadratic(0.4, MP(0.3), 0.3, noise=0.25, weight_decay=0.04)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fl.convergence(
            problem, TIMES / 2, sizes=[20, 30, 40], runs=60 if full else 24, rng=0, data="hermitian", rtol=1e-3, variables="risk", progress=False,
        )  # fmt: skip
    scores = np.abs(found["risk"].values - RISKS) / np.hypot(ERRORS, found["risk_error"].values)
    record.below("in time", "largest deviation from independent runs, in standard errors", scores.max(), 3.5)
