"""Tsilivis, Vardi & Kempe (arXiv 2410.22069): steepest descent in a norm maximises the margin of that norm."""

from __future__ import annotations

import numpy as np

from flowlimits import margin
from flowlimits.plot import style

from .margin_common import DECADE, keep, read
from .record import Record

PAPER = "Tsilivis, Vardi & Kempe 2410.22069"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    X, y = read("linear")
    losses = DECADE * np.geomspace(1, 10000, 50)
    optima = {
        "l2": margin.support_vectors(X, y),
        "linf": margin.linear_program(X, y, "linf"),
        "l1": margin.linear_program(X, y, "l1"),
    }
    axes = style.new_axes()
    rows = []
    for (geometry, best), colour, line in zip(optima.items(), style.COLOURS, style.LINES):
        problem = margin.MarginFlow(margin.LinearModel(), X, y, geometry=geometry, weights=np.zeros(4))
        flow = problem.solve(losses, progress=False)
        gap = 1 - float(flow["margin"][-1]) / best.lower
        decrease = -float(flow["smoothed_margin"].diff("time").min())
        record.claim(
            PAPER,
            f"linear, {geometry}, 1e-10000: relative distance from the optimum",
            expected="in [0, 1e-4)",
            seen=gap,
            passed=-1e-12 <= gap < 1e-4,
        )
        record.below(PAPER, f"linear, {geometry}: largest decrease of the smoothed margin", decrease, 1e-6)
        record.below("duality", f"linear, {geometry}: gap of the exact optimum", abs(best.gap), 1e-9)
        others = [other for name, other in optima.items() if name != geometry]
        norm = {"l2": np.linalg.norm, "linf": lambda w: np.abs(w).max(), "l1": lambda w: np.abs(w).sum()}[geometry]
        wrong = max(float((y * (X @ other.solution)).min() / norm(other.solution)) for other in others)
        record.above(
            PAPER,
            f"linear, {geometry}: margin over that of the directions of the other norms",
            float(flow["margin"][-1]) / wrong,
            1.001,
        )
        rows.append([geometry, float(flow["margin"][-1]), best.lower, decrease, float(flow["kkt_residual"][-1]), wrong])
        axes.plot(
            losses / DECADE,
            1 - flow["margin"] / best.lower,
            color=colour,
            ls=line,
            lw=1.2,
            label={"l2": r"$\ell_2$", "linf": r"$\ell_\infty$", "l1": r"$\ell_1$"}[geometry],
        )
    record.table(
        "linear",
        ["geometry", "margin", "optimum", "largest_decrease", "kkt_residual", "margin_of_other_directions"],
        rows,
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"$-\log_{10}$ loss")
    axes.set_ylabel(r"$1 -$ margin / optimum")
    style.add_legend(axes)
    keep(record, axes.figure, "linear")
    sign_flow(record)


def sign_flow(record: Record) -> None:
    X, y = read("relu_1")
    X = np.column_stack([X, np.ones(len(y))])
    flow = margin.MarginFlow(margin.ReLUModel(16), X, y, geometry="linf", rng=1, scale=0.5).solve(
        DECADE * np.geomspace(1, 3000, 30), kkt=False, progress=False
    )
    smoothed = flow["smoothed_margin"]
    record.above(
        PAPER,
        "sign flow of a ReLU network with bias: smoothed margin at 1e-3000 over that at 0.1",
        float(smoothed[-1] / smoothed[0]),
        2.0,
    )
    record.below(
        PAPER,
        "sign flow of a ReLU network with bias: largest decrease, relative",
        -float(smoothed.diff("time").min()) / float(smoothed[-1]),
        1e-3,
    )
    record.table(
        "sign_flow",
        ["minus_log_loss", "smoothed_margin", "margin"],
        [[float(v) for v in row] for row in zip(flow["time"], smoothed, flow["margin"])],
    )
