r"""Berthier, Montanari & Zhou: Hermite components are learnt one after the other, at times eps^(1/2n).

Single-index targets on the sphere from u = 0, with a second layer that is faster than the first by 1/eps.  The exponents 1/2n are recalled
from the paper and derived again: in stage n, eps a' ~ u^n and u' ~ a u^(n-1), so that a ~ u/sqrt(eps); stage n - 1 ends at u ~ eps^(1/2n), from
where u' = u^n/sqrt(eps) takes a time eps^(1/2n).  The first stage grows exponentially from a = O(1), which adds a logarithm: t_1/sqrt(eps) =
log(1/eps)/4 + const.  The equations are those of the low-rank form, (F7) and (F8); the stiffest case has rates 10^12.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

import flowlimits as fl
from flowlimits.core.results import provenance
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

PAPER = "Berthier, Montanari & Zhou, arXiv 2303.00055"
#: Orthonormal Hermite components of the target and of the activation.
TARGET, ACTIVATION = (0.0, 1.0, 0.8, 0.6), (0.5, 1.0, 1.0, 1.0)
#: Times at which component n passes half its value, from a program that shares no code with the package.
KNOWN = {
    1e-2: (0.217474, 0.266056, 0.266134),
    1e-4: (0.0351182, 0.0703671, 0.0812726),
    1e-6: (0.00469278, 0.0237509, 0.0261079),
    1e-8: (5.84726e-4, 0.00800998, 0.0112772),
    1e-10: (6.99888e-5, 0.00261547, 0.0108216),
    1e-12: (8.1502e-6, 8.41989e-4, 0.00499235),
}


def polynomial(components: tuple[float, ...]) -> np.ndarray:
    """Return the powers of a sum of orthonormal Hermite polynomials."""
    powers = np.zeros(len(components))
    for n, value in enumerate(components):
        powers[: n + 1] += value * np.polynomial.hermite_e.herme2poly(np.eye(n + 1)[n]) / math.sqrt(math.factorial(n))
    return powers


def problem(eps: float) -> fl.MeanField:
    """Return the problem: a uniform on (-1, 1) by 16 Gauss nodes, everything orthogonal to the target."""
    nodes, shares = np.polynomial.legendre.leggauss(16)
    start = fl.Ensemble(shares / 2, nodes, np.zeros((16, 1)), 1.0)
    return fl.MeanField(
        [[1.0]], start, activation=polynomial(ACTIVATION), teacher_activation=polynomial(TARGET), second_layer_rate=1 / eps, spherical=True
    )  # fmt: skip


def passing(eps: float, n: int, after: float, before: float) -> float:
    """Return the time between two others at which component n passes half its value, by ever finer solutions."""
    low, high = after, before
    for _ in range(5):
        times = np.linspace(low, high, 41)
        curve = problem(eps).solve(times, observables=["components"], degree=3, rtol=1e-10, atol=1e-12)
        above = np.flatnonzero(curve["components"].values[:, n] > TARGET[n] / 2)
        if not above.size or above[0] == 0:
            return math.nan
        low, high = float(times[above[0] - 1]), float(times[above[0]])
    return 0.5 * (low + high)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    rows = []
    for eps, known in KNOWN.items():
        if eps < 1e-8 and not full:
            continue
        found = [passing(eps, n, 0.8 * known[n - 1], 1.25 * known[n - 1]) for n in (1, 2, 3)]
        rows.append([eps, *found])
        for n, (ours, theirs) in enumerate(zip(found, known, strict=True), start=1):
            text = f"eps = {eps:g}: time at which component {n} passes half its value, as another program found it"
            record.close(PAPER, text, ours, theirs, rtol=1e-5)
    constants = [row[1] / math.sqrt(row[0]) - math.log(1 / row[0]) / 4 for row in rows if row[0] <= 1e-6]
    record.close(
        f"{PAPER}; t_1 = sqrt(eps) (log(1/eps)/4 + c)", "c at the smallest eps", constants[-1], 1.242, atol=2e-3
    )
    record.below(f"{PAPER}; t_1", "change of c over two decades and more", float(np.ptp(constants)), 0.01)
    if full:
        for n, expected in ((2, 1 / 4), (3, 1 / 6)):
            slope = math.log(rows[-2][n] / rows[-1][n]) / math.log(1e2)
            record.close(
                f"{PAPER}; t_n ~ eps^(1/2n)", f"exponent of t_{n} from 1e-10 to 1e-12", slope, expected, atol=0.008
            )
    else:
        slope = math.log(rows[-2][2] / rows[-1][2]) / math.log(1e2)
        record.close(
            f"{PAPER}; t_n ~ eps^(1/2n)",
            "exponent of t_2 from 1e-6 to 1e-8, before it has settled",
            slope,
            1 / 4,
            atol=0.03,
        )
    stiff = problem(rows[-1][0]).solve([rows[-1][3]])
    record.claim(PAPER, f"second layer 1/{rows[-1][0]:g} times faster: the implicit method takes over", expected="radau", seen=provenance(stiff)["method"], passed="radau" in provenance(stiff)["method"])  # fmt: skip
    exact = float(problem(1e-4).solve([0.2])["risk"][0])
    other = fl.MeanField(
        [[1.0]], problem(1e-4).start, activation=polynomial(ACTIVATION), teacher_activation=polynomial((0.0, 0.0, 0.8, 0.6)), second_layer_rate=1e4,
        spherical=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stuck = float(other.solve([0.2])["risk"][0])
    record.wrong_theory(PAPER, "the same target without its first component is learnt from u = 0 too: risk at t = 0.2", seen=f"{stuck:.3f} against {exact:.2g}", failed=stuck > 0.4)  # fmt: skip
    record.table("times", ["eps", "t_1", "t_2", "t_3"], rows)
    draw(record, rows)


def draw(record: Record, rows: list[list[float]]) -> None:
    """Draw the components in time, and the times against eps."""
    figure, (left, right) = cross.panels(2)
    times = np.geomspace(1e-4, 1.0, 200)
    found = problem(1e-6).solve(times, observables=["components"], degree=3)
    for n in (1, 2, 3):
        curve = found["components"].values[:, n] / TARGET[n]
        left.plot(times, curve, style.LINES[n], color=style.COLOURS[n - 1], label=f"$n = {n}$")
        right.plot(
            [row[0] for row in rows],
            [row[n] for row in rows],
            style.MARKERS[n - 1],
            ms=4,
            color=style.COLOURS[n - 1],
            label=f"$t_{n}$",
        )
        cross.draw_slope(right, [row[0] for row in rows], (rows[-1][n], 0.0), 1 / (2 * n))
    left.set_xscale("log")
    left.set_xlabel("$t$")
    left.set_ylabel("component over that of the target")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel(r"$\varepsilon$")
    right.set_ylabel("time of half")
    for axes in (left, right):
        style.add_legend(axes)
    record.figure(figure, "times")
