r"""The extensive limit with Gaussian start and Gaussian teacher against networks of finite dimension: differences fall as 1/d.

Traces of functions of random matrices are linear statistics: at dimension d their mean is off by O(1/d), and single runs scatter by O(1/d)
and not by d^(-1/2).  The locked trace is off by O(1/d) as well, in a time O(1/d).  Risk and overlap are smooth functions of such traces.

The sides share no equation: weights are drawn here by NumPy, `QuadraticFlow` follows their matrix exactly with the package's integrator, and
`ExtensiveQuadratic` solves the subordination equation by collocation.  (`simulate` of the limit, which draws a rotated teacher, is not used.)
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "extensive widths, Gaussian weights"
STUDENT, TEACHER = 0.5, 0.25
TIMES = np.geomspace(0.05, 5.0, 16)
EARLY, LATE = TIMES <= 0.5, TIMES >= 1.0


def theory(student: float = STUDENT, teacher: float = TEACHER) -> tuple[np.ndarray, np.ndarray]:
    """Return d times risk and the overlap of the limit."""
    limit = fl.ExtensiveQuadratic(student, fl.Spectrum.marchenko_pastur(teacher), start="gaussian").solve(TIMES)
    return limit["risk"].values, limit["overlap"].values


def finite(d: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return d times risk and the overlap of networks of that dimension, shapes (runs, times)."""

    def one(stream: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(stream)
        W, W_star = rng.standard_normal((round(STUDENT * d), d)), rng.standard_normal((round(TEACHER * d), d))
        flow = fl.QuadraticFlow(W, W_star).solve(d * TIMES)
        return d * flow["risk"].values, flow["overlap"].values

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        found = list(pool.map(one, np.random.SeedSequence([14, d]).spawn(runs)))
    return np.array([risk for risk, _ in found]), np.array([overlap for _, overlap in found])


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    runs = {48: 600, 100: 300, 200: 100, 400: 24} | ({800: 16} if full else {})
    seen = {d: finite(d, count) for d, count in runs.items()}
    limit = theory()
    small = [1 / d for d in runs]
    curves = {
        "risk": [cross.mean((seen[d][0] / limit[0] - 1)[:, LATE].mean(axis=1)) for d in runs],
        "overlap": [cross.spread((seen[d][1] - limit[1])[:, EARLY].mean(axis=1)) for d in runs],
    }
    found = cross.exponent(small, curves["risk"])
    record.estimate(
        SOURCE,
        f"d = {list(runs)}: exponent in 1/d of the mean excess of the risk, tau from 1 to 5, relative",
        *found,
        1.0,
        largest=0.15,
    )
    found = cross.exponent(small, curves["overlap"], corrected=False)
    record.estimate(
        SOURCE, "exponent in 1/d of the scatter of single runs, overlap, tau up to 0.5", *found, 1.0, largest=0.1
    )
    right = cross.intercept(small, curves["risk"])
    record.estimate(SOURCE, "mean excess of the risk, extrapolated to infinite d", *right, 0.0, largest=5e-3)
    means = [cross.mean((seen[d][1] - limit[1])[:, EARLY].mean(axis=1)) for d in runs]
    record.estimate(
        SOURCE,
        "mean difference of the overlap, tau up to 0.5, extrapolated to infinite d",
        *cross.intercept(small, means, order=1),
        0.0,
        largest=2e-3,
    )
    wrong = {}
    for name, ratios in (
        ("student ratio 2 % off", (1.02 * STUDENT, TEACHER)),
        ("teacher ratio 2 % off", (STUDENT, 1.02 * TEACHER)),
    ):
        other = theory(*ratios)
        # The late risk sees the student's ratio, the early overlap the teacher's.
        if name.startswith("student"):
            text, order, wrong[name] = (
                "mean excess of the risk",
                2,
                [cross.mean((seen[d][0] / other[0] - 1)[:, LATE].mean(axis=1)) for d in runs],
            )
        else:
            text, order, wrong[name] = (
                "mean difference of the overlap",
                1,
                [cross.mean((seen[d][1] - other[1])[:, EARLY].mean(axis=1)) for d in runs],
            )
        off = cross.intercept(small, wrong[name], order=order)
        record.wrong_theory(
            SOURCE,
            f"{name}: {text}, extrapolated to infinite d",
            seen=f"{off[0]:.2g} ± {off[1]:.1g}",
            failed=cross.standard_errors(off) > 4,
        )
    orthonormal = fl.ExtensiveQuadratic(STUDENT, fl.Spectrum.orthonormal(TEACHER)).solve(TIMES)["risk"].values
    off = cross.intercept(small, [cross.mean((seen[d][0] / orthonormal - 1)[:, LATE].mean(axis=1)) for d in runs])
    record.wrong_theory(
        SOURCE,
        "the limit of orthonormal weights: mean excess of the risk, extrapolated to infinite d",
        seen=f"{off[0]:.2g} ± {off[1]:.1g}",
        failed=cross.standard_errors(off) > 4,
    )
    draw(record, runs, seen, limit, curves, wrong)
    record.table(
        "dimensions",
        [
            "dimension",
            "runs",
            "risk_excess",
            "risk_error",
            "overlap_scatter",
            "overlap_error",
            "risk_student_off",
            "overlap_teacher_off",
        ],
        [
            [d, runs[d], *curves["risk"][i], *curves["overlap"][i], *(curve[i][0] for curve in wrong.values())]
            for i, d in enumerate(runs)
        ],
    )


def draw(
    record: Record, runs: dict[int, int], seen: dict, limit: tuple, curves: dict[str, list], wrong: dict[str, list]
) -> None:
    """Draw the scaled excess of the risk in time, and both differences against d."""
    figure, (left, right) = cross.panels(2)
    for index, d in enumerate(runs):
        excess = d * (seen[d][0] / limit[0] - 1)
        left.errorbar(
            TIMES,
            excess.mean(axis=0),
            excess.std(axis=0, ddof=1) / np.sqrt(runs[d]),
            fmt=style.MARKERS[index],
            ms=2.5,
            lw=0.7,
            color=style.COLOURS[index],
            label=f"$d = {d}$",
        )
    left.axhline(0, ls=":", lw=1.0, color=style.GUIDE)
    left.set_xscale("log")
    left.set_xlabel(r"$\tau = t/d$")
    left.set_ylabel(r"$d\,\times$ relative excess of the risk")
    left.set_ylim(-1.0, 5.5)
    style.add_legend(left, loc="upper left", ncols=2, columnspacing=0.8, handletextpad=0.2)
    for index, (name, label) in enumerate(
        {"risk": r"risk, mean, $\tau\geq 1$", "overlap": r"overlap, scatter, $\tau\leq 0.5$"}.items()
    ):
        cross.draw_points(right, list(runs), curves[name], index, label)
        cross.draw_slope(right, list(runs), curves[name][-1], -1.0)
    for index, (name, curve) in enumerate(wrong.items()):
        cross.draw_points(right, list(runs), curve, index + 2, f"{('risk', 'overlap')[index]}, {name}", hollow=True)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("$d$")
    right.set_ylabel("difference from the limit")
    right.set_ylim(1e-4, 2.0)
    right.set_xticks(list(runs), [str(d) for d in runs])
    right.set_xticks([], minor=True)
    style.add_legend(right, loc="upper right", fontsize=6.5)
    record.figure(figure, "dimensions")
