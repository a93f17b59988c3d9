r"""Extensive widths at a large student_ratio against infinite width: the difference falls as 1/student_ratio.

At width p and dimension d the start is a sample covariance.  `ExtensiveQuadratic` keeps p/d = alpha as d -> infinity, `MeanFieldQuadratic`
takes p -> infinity at fixed d; they meet where both are infinite.  A Gaussian start enters the extensive limit through x + (c/alpha) t = c,
(Q14), which is x = c(1 - t/alpha + ...): the difference is C(tau)/alpha.  An orthonormal start with alpha >= 1 has W^T W proportional to
the identity, as mean field: there the difference is zero at every alpha, and only the 1/d of the mean field is seen.  At finite d and p the
same C gives the bias of runs: C d/p.

The two sides share no equation and no integrator: subordination and collocation on one side, (Q24) and the package's integrator at several
d, extrapolated, on the other.  The runs draw their weights here and follow the exact flow of the matrix.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "extensive widths and mean field"
TEACHER = 0.25
TIMES = np.geomspace(0.02, 1.0, 12)
EARLY = TIMES <= 0.2  # where the start still shows
RATIOS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)


def extensive(ratio: float, start: str, teacher: float = TEACHER) -> np.ndarray:
    """Return the overlap in the limit of extensive widths."""
    return fl.ExtensiveQuadratic(ratio, fl.Spectrum.orthonormal(teacher), start=start).solve(TIMES)["overlap"].values


def mean_field(d: int) -> np.ndarray:
    """Return the overlap at infinite width and dimension d, on the clock tau = t/d."""
    k = round(TEACHER * d)
    eigenvalues = np.repeat([1 / k, 0.0], [k, d - k])
    return (
        fl.MeanFieldQuadratic(eigenvalues, start=1 / d)
        .solve(d * TIMES, rtol=1e-11, atol=1e-13, observables=["overlap"])["overlap"]
        .values
    )


def infinite() -> tuple[np.ndarray, float]:
    """Return the mean field of infinite dimension, a power series in 1/d extrapolated by doublings, and what the last step changed."""
    # At smaller d the trace has not settled by the first time, which no power of 1/d describes.
    row = [mean_field(d) for d in (200, 400, 800, 1600)]
    change = 0.0
    for level in range(1, len(row)):
        refined = [(2**level * fine - coarse) / (2**level - 1) for coarse, fine in pairwise(row)]
        change = float(np.abs(refined[-1] - row[-1]).max())
        row = refined
    return row[0], change


def finite(d: int, ratio: float, runs: int) -> np.ndarray:
    """Return the overlap of Gaussian weights of d and p = ratio d units in their exact flow, shape (runs, times)."""
    p, k = round(ratio * d), round(TEACHER * d)
    rows = []
    for stream in np.random.SeedSequence([24, d, p]).spawn(runs):
        rng = np.random.default_rng(stream)
        # A Gaussian W is rotation invariant: a teacher along the first axes loses nothing.
        flow = fl.QuadraticFlow(rng.standard_normal((p, d)), np.sqrt(d) * np.eye(k, d))
        rows.append(flow.solve(d * TIMES, observables=["overlap"])["overlap"].values)
    return np.array(rows)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    limit, moved = infinite()
    record.below(
        SOURCE, "mean field extrapolated to infinite d: what the last step of the extrapolation changed", moved, 1e-7
    )
    gaussian = np.array([extensive(ratio, "gaussian") for ratio in RATIOS])
    orthonormal = np.array([extensive(ratio, "orthonormal") for ratio in RATIOS])
    distance = np.abs(gaussian - limit).max(axis=1)
    small = [1 / ratio for ratio in RATIOS]
    slope, error = cross.local_exponent(small, list(distance))
    record.estimate(
        f"{SOURCE}; docs/theory.md (Q14)",
        "Gaussian start: exponent in 1/student_ratio of the largest difference of the overlap, from 1024 to 4096",
        slope,
        error,
        1.0,
        atol=0.01,
        largest=0.05,
    )
    record.below(
        f"{SOURCE}; docs/theory.md (Q14)",
        f"orthonormal start, student_ratio = 1 to {RATIOS[-1]:g}: largest difference of the overlap",
        float(np.abs(orthonormal - limit).max()),
        3 * moved + 1e-7,
    )
    off = np.abs(gaussian - extensive(1e8, "gaussian", teacher=TEACHER * 1.02)).max(axis=1)
    wrong = cross.local_exponent(small, list(off))
    record.wrong_theory(
        SOURCE,
        "teacher ratio 2 % off: exponent of that difference (1 if right) and what is left at 4096",
        seen=f"{wrong[0]:.2g}, {off[-1]:.2g}",
        failed=abs(wrong[0] - 1) > 0.5 and off[-1] > 10 * distance[-1],
    )
    rows = bias(record, full, limit)
    draw(
        record,
        limit,
        distance,
        np.abs(orthonormal - limit).max(axis=1),
        off,
        rows,
        np.abs((gaussian - limit)[:, EARLY].mean(axis=1)),
    )
    record.table(
        "ratios",
        ["student_ratio", "gaussian", "orthonormal", "gaussian_teacher_off"],
        [
            [ratio, float(distance[i]), float(np.abs(orthonormal - limit)[i].max()), float(off[i])]
            for i, ratio in enumerate(RATIOS)
        ],
    )
    record.table("bias", ["student_ratio", "dimension", "runs", "bias", "standard_error", "expected"], rows)


def bias(record: Record, full: bool, limit: np.ndarray) -> list[list[float]]:
    """Compare the bias of runs at finite width and dimension with the difference of the two limits at that ratio."""
    runs = {20: 5000, 40: 2500, 80: 800, 160: 200} if full else {20: 1200, 40: 600, 80: 200}
    rows = []
    for ratio in (2.0, 4.0, 8.0):
        expected = float((extensive(ratio, "gaussian") - limit)[EARLY].mean())
        estimates = []
        for d, count in runs.items():
            estimate = cross.mean((finite(d, ratio, count) - mean_field(d))[:, EARLY].mean(axis=1))
            estimates.append(estimate)
            rows.append([ratio, d, count, *estimate, expected])
        found = cross.intercept([1 / d for d in runs], estimates, order=1)
        text = f"p = {ratio:g} d, d = {list(runs)}: mean overlap of runs less mean field at that d, extrapolated in 1/d, over the difference of the limits"
        record.estimate(SOURCE, text, found[0] / expected, found[1] / abs(expected), 1.0, largest=0.05)
    return rows


def draw(
    record: Record,
    limit: np.ndarray,
    gaussian: np.ndarray,
    orthonormal: np.ndarray,
    off: np.ndarray,
    rows: list,
    early: np.ndarray,
) -> None:
    """Draw the overlap for some ratios, and the difference against the ratio."""
    figure, (left, right) = cross.panels(2)
    for index, ratio in enumerate((1.0, 2.0, 8.0)):
        left.plot(
            TIMES,
            extensive(ratio, "gaussian"),
            style.LINES[index + 1],
            color=style.COLOURS[index],
            label=rf"$\alpha = {ratio:g}$",
        )
    left.plot(TIMES, limit, color=style.THEORY, label="mean field")
    left.set_xscale("log")
    left.set_xlabel(r"$\tau = t/d$")
    left.set_ylabel(r"overlap $\chi$")
    style.add_legend(left, loc="lower right")
    right.plot(
        RATIOS, gaussian, style.MARKERS[0] + "-", ms=3.5, lw=0.8, color=style.COLOURS[0], label="Gaussian, largest"
    )
    right.plot(
        RATIOS,
        early,
        style.MARKERS[2] + "-",
        ms=3.5,
        lw=0.8,
        color=style.COLOURS[2],
        label=r"Gaussian, mean, $\tau\leq 0.2$",
    )
    last = [row for row in rows if row[1] == max(row[1] for row in rows)]
    cross.draw_points(
        right,
        [row[0] for row in last],
        [(row[3], row[4]) for row in last],
        1,
        f"runs, $d = {last[0][1]}$, mean, " + r"$\tau\leq 0.2$",
    )
    cross.draw_slope(right, RATIOS, (float(gaussian[-1]), 0.0), -1.0, r"$1/\alpha$")
    right.plot(
        RATIOS, off, style.MARKERS[3], ms=3.5, mfc="white", color=style.COLOURS[3], label=r"$\alpha_\star$ 2 % off"
    )
    right.plot(RATIOS, orthonormal, style.MARKERS[4], ms=3.5, color=style.COLOURS[4], label="orthonormal")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel(r"student ratio $\alpha$")
    right.set_ylabel("difference of the overlap")
    right.set_ylim(1e-10, 30.0)
    style.add_legend(right, loc="lower left", fontsize=6.5, bbox_to_anchor=(0.0, 0.08))
    record.figure(figure, "ratios")
