"""Cai et al. (arXiv 2502.16075): nearly homogeneous networks behave as the homogeneous ones they tend to."""

from __future__ import annotations

import numpy as np

from flowlimits import margin
from flowlimits.plot import style

from .margin_common import DECADE, keep, read
from .record import Record

PAPER = "Cai et al. 2502.16075"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    X, y = read("relu_1")
    losses = DECADE * np.geomspace(0.5, 1000 if full else 252, 40)
    figure = style.new_figure(2 * style.COLUMN, 2.6)
    left, right = figure.subplots(1, 2)
    rows = []
    models = {"softplus": margin.SoftplusModel(16), "linear skip": margin.SkipReLUModel(16)}
    for (name, model), colour, line in zip(models.items(), style.COLOURS, style.LINES):
        flow = margin.MarginFlow(model, X, y, rng=1).solve(losses, progress=False)
        smoothed, misaligned = flow["smoothed_margin"], 1 - flow["alignment"]
        record.above(
            PAPER, f"{name}: smoothed margin at the end over the start", float(smoothed[-1] / smoothed[0]), 2.0
        )
        record.below(
            PAPER, f"{name}: largest decrease of the smoothed margin", -float(smoothed.diff("time").min()), 6e-6
        )
        early, late = float(misaligned[0]), float(misaligned[-1])
        record.claim(
            PAPER,
            f"{name}: 1 - cos(weights, -gradient)",
            expected="falls tenfold",
            seen=f"{early:.2g} to {late:.2g}",
            passed=late < early / 10,
        )
        # The limit network at the last direction: ReLU, without the skip.
        direction = flow["direction"].values[-1, :48]
        limit = margin.MarginFlow(margin.ReLUModel(16), X, y, weights=direction).state.margin(direction)
        actual = float(flow["margin"][-1])
        record.below(
            PAPER,
            f"{name}: relative difference of the margins of network and homogeneous limit",
            abs(limit / actual - 1),
            0.15,
        )
        rows += [
            [name, *map(float, row)] for row in zip(losses, smoothed, flow["margin"], misaligned, flow["kkt_residual"])
        ]
        left.plot(losses / DECADE, smoothed, color=colour, ls=line, lw=1.2, label=name)
        right.loglog(losses / DECADE, misaligned, color=colour, ls=line, lw=1.2, label=name)
    record.table("near", ["model", "minus_log_loss", "smoothed_margin", "margin", "misalignment", "kkt_residual"], rows)
    left.set_xscale("log")
    for axes in (left, right):
        style.dress(axes)
        axes.set_xlabel(r"$-\log_{10}$ loss")
    left.set_ylabel("smoothed margin")
    right.set_ylabel(r"$1 -$ alignment")
    style.add_legend(left, loc="lower right")
    keep(record, figure, "near")
