r"""Narrow networks with many units against the extensive limit: two limits in d and p that may be exchanged.

Fixed widths: d -> infinity at given p and k, the flow of the overlaps (`Committee`).  Extensive widths: p and k grow with d
(`ExtensiveQuadratic`).  Orthonormal weights overlap by R = O(d^-1/2), so that the plateau lasts for t = (k/8) log(d/k); the common clock
is u = 8 t/k - log(d/k).  On it the narrow flow depends on d no more, and for many units it is the extensive limit at vanishing ratios,
with a relative difference C(u)/p.  Its two ends follow from docs/theory.md: on the plateau (Q10), risk 1/k + 1/(p + 2) against 1/k + 1/p;
late, (Q11), n (k + 2)/(k + 2 + n) against n k/(k + n), n = p - k.

The two sides share no equation and no integrator: `Committee` integrates overlaps by an explicit method, `ExtensiveQuadratic` solves a
subordination equation by collocation.  The overlaps of Haar frames are drawn here.
"""

from __future__ import annotations

import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "narrow and extensive widths"
SHARE = 2  # students per teacher
CLOCK = np.linspace(-10.0, 18.0, 29)
PLATEAU, ESCAPE = CLOCK <= -9.0, np.abs(CLOCK - 2.0) <= 2.0
SHOWN = int((CLOCK >= -4.0).sum())
LATE = np.array([500.0, 1000.0])
HUGE = 1e12


def frame_overlaps(p: int, k: int, d: float, rng: np.random.Generator) -> np.ndarray:
    """Return W W_star^T/d of Haar frames of p and k rows of norm sqrt(d): k columns of a Haar matrix, their first p entries."""
    A = rng.standard_normal((p, k))
    # Bartlett: the other d - p entries of the k columns enter by their Wishart matrix only, at any d.
    L = np.tril(rng.standard_normal((k, k)), -1)
    L[np.diag_indices(k)] = np.sqrt(rng.chisquare(d - p - np.arange(k)))
    return np.linalg.solve(np.linalg.cholesky(A.T @ A + L @ L.T), A.T).T


def narrow(k: int, d: float, runs: int, clock: np.ndarray = CLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Return risk and overlap of the flow of fixed widths, shapes (runs, times)."""
    p, times = SHARE * k, k / 8 * (math.log(d / k) + clock)
    risk, overlap = [], []
    for stream in np.random.SeedSequence([8, k]).spawn(runs):
        R = frame_overlaps(p, k, d, np.random.default_rng(stream))
        # The overlaps start at d^-1/2, far below the usual absolute tolerance.  An implicit step costs the sixth power of the width.
        flow = fl.Committee(np.eye(p), R, np.eye(k)).solve(times, atol=1e-16, method="dop853", observables=["overlap"])
        risk.append(flow["risk"].values)
        overlap.append(flow["overlap"].values)
    return np.array(risk), np.array(overlap)


def extensive(k: int, d: float, clock: np.ndarray = CLOCK, off: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return risk and overlap of the extensive limit at the ratios p/d and k/d; `off` makes the first wrong by that share."""
    times = k / 8 * (math.log(d / k) + clock) / d
    limit = fl.ExtensiveQuadratic(SHARE * k * (1 + off) / d, fl.Spectrum.orthonormal(k / d)).solve(times)
    return limit["risk"].values / d, limit["overlap"].values


def late(k: int) -> float:
    """Return the relative difference of the risks at u -> infinity, where it no longer depends on the start.

    Risks that fall as 1/(u - shift)^2 with unequal shifts differ by a term of order 1/u, which two times eliminate.
    """
    half, whole = narrow(k, HUGE, 1, LATE)[0][0] / extensive(k, HUGE, LATE)[0] - 1
    return float(2 * whole - half)


def on_the_plateau(k: int) -> float:
    """Return that difference on the plateau: 1/k + 1/(p + 2) against 1/k + 1/p."""
    p = SHARE * k
    return -2 * k / ((p + k) * (p + 2))


def at_the_end(k: int) -> float:
    """Return it for u -> infinity: n (k + 2)/(k + 2 + n) against n k/(k + n), n = p - k."""
    p = SHARE * k
    return 2 * (p - k) / (k * (p + 2))


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    runs = {4: 400, 8: 400, 16: 200, 32: 64, 64: 12} | ({128: 12} if full else {})
    seen = {k: narrow(k, HUGE, count) for k, count in runs.items()}
    theory = {k: extensive(k, HUGE) for k in runs}
    wrong = {k: extensive(k, HUGE, off=0.02) for k in runs}
    risk = {k: seen[k][0] / theory[k][0] - 1 for k in runs}
    overlap = {k: seen[k][1] - theory[k][1] for k in runs}
    small = [1 / (SHARE * k) for k in runs]
    curves = {
        "plateau": [cross.mean(risk[k][:, PLATEAU].mean(axis=1)) for k in runs],
        "escape": [cross.spread(overlap[k][:, ESCAPE].mean(axis=1)) for k in runs],
    }
    mistaken = [cross.mean((seen[k][0] / wrong[k][0] - 1)[:, PLATEAU].mean(axis=1)) for k in runs]
    widths = [SHARE * k for k in runs]
    names = {
        "plateau": "risk on the plateau, relative, mean",
        "escape": "overlap during the escape, standard deviation of single runs",
    }
    for name, text in names.items():
        found = cross.exponent(small, curves[name], corrected=name == "plateau")
        record.estimate(
            SOURCE,
            f"d = 1e12, p = 2k = {widths}: exponent in 1/p of the difference, {text}",
            *found,
            1.0,
            atol=0.01,
            largest=0.1,
        )
    shares = [value / on_the_plateau(k) for k, (value, _) in zip(runs, curves["plateau"])]
    record.close(
        f"{SOURCE}; docs/theory.md (Q10)",
        "difference on the plateau over -2k/((p + k)(p + 2)), the width farthest from 1",
        max(shares, key=lambda one: abs(one - 1)),
        1.0,
        atol=5e-3,
    )
    ends = {k: late(k) for k in runs if k <= (64 if full else 32)}
    shares = [value / at_the_end(k) for k, value in ends.items()]
    record.close(
        f"{SOURCE}; docs/theory.md (Q11)",
        "difference at u -> infinity over 2(p - k)/(k(p + 2)), the width farthest from 1",
        max(shares, key=lambda one: abs(one - 1)),
        1.0,
        atol=1e-2,
    )
    right = cross.intercept(small, curves["plateau"])
    record.estimate(SOURCE, "difference on the plateau, extrapolated to 1/p = 0", *right, 0.0, atol=1e-4, largest=1e-3)
    off = cross.intercept(small, mistaken)
    record.wrong_theory(
        SOURCE,
        "student ratio 2 % off: that extrapolated difference",
        seen=f"{off[0]:.2g} ± {off[1]:.1g}",
        failed=cross.standard_errors(off) > 5 and abs(off[0]) > 1e-3,
    )
    dimensions = change_with_dimension(record)
    draw(record, runs, risk, curves, ends, mistaken)
    record.table(
        "numbers",
        ["k", "p", "runs", "plateau", "plateau_error", "escape_scatter", "escape_error", "late", "plateau_ratio_off"],
        [
            [k, SHARE * k, runs[k], *curves["plateau"][i], *curves["escape"][i], ends.get(k, ""), mistaken[i][0]]
            for i, k in enumerate(runs)
        ],
    )
    record.table("dimension", ["dimension", "p_times_largest_change"], dimensions)


def change_with_dimension(record: Record, k: int = 16, runs: int = 40) -> list[list[float]]:
    """Compare the difference from u = -4 on at several d, run by run with the same random numbers."""
    differences = {}
    for d in (1e4, 1e6, 1e9, HUGE):
        clock = CLOCK[CLOCK + math.log(d / k) > 0]
        differences[d] = (narrow(k, d, runs, clock)[0] / extensive(k, d, clock)[0] - 1).mean(axis=0)[-SHOWN:]
    rows = [[d, SHARE * k * float(np.abs(one - differences[HUGE]).max())] for d, one in differences.items() if d < HUGE]
    record.below(
        SOURCE,
        f"p = {SHARE * k}: p times the relative difference of the risk, its largest change from d = 1e9 to 1e12",
        rows[-1][1],
        1e-3,
    )
    found = cross.exponent([1 / row[0] for row in rows], [(row[1], 0.02 * row[1]) for row in rows], corrected=False)
    record.above(
        SOURCE, f"p = {SHARE * k}: exponent in 1/d with which that change vanishes (1/2 or more)", found[0], 0.4
    )
    return rows


def draw(
    record: Record,
    runs: dict[int, int],
    risk: dict[int, np.ndarray],
    curves: dict[str, list],
    ends: dict[int, float],
    mistaken: list,
) -> None:
    """Draw the scaled difference on the common clock, and its decay with the width."""
    figure, (left, right) = cross.panels(2)
    for index, k in enumerate(runs):
        average, error = risk[k].mean(axis=0), risk[k].std(axis=0, ddof=1) / math.sqrt(runs[k])
        left.errorbar(
            CLOCK,
            SHARE * k * average,
            SHARE * k * error,
            fmt=style.MARKERS[index % 6],
            ms=2.2,
            lw=0.7,
            color=style.COLOURS[index % 6],
            label=f"$p = {SHARE * k}$",
        )
    left.axhline(-2 / (SHARE + 1), ls=":", lw=1.0, color=style.GUIDE)
    left.set_xlabel(r"$u = 8t/k - \log(d/k)$")
    left.set_ylabel(r"$p\,\times$ relative difference of the risk")
    style.add_legend(left, loc="upper left")
    p = [SHARE * k for k in runs]
    for index, (name, label) in enumerate({"plateau": "risk, plateau", "escape": "overlap, scatter of runs"}.items()):
        cross.draw_points(right, p, curves[name], index, label)
        cross.draw_slope(right, p, curves[name][-1], -1.0)
    last = [(value, 0.0) for value in ends.values()]
    cross.draw_points(right, p[: len(last)], last, 2, r"risk, $u\to\infty$")
    cross.draw_slope(right, p[: len(last)], last[-1], -1.0)
    cross.draw_points(right, p, mistaken, 3, "plateau, ratio 2 % off", hollow=True)
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_ylim(5e-4, 10.0)
    right.set_xlabel("$p = 2k$")
    right.set_ylabel("difference of the two limits")
    style.add_legend(right, loc="upper right", ncols=2, columnspacing=0.8, handletextpad=0.2, fontsize=6.5)
    record.figure(figure, "widths")
