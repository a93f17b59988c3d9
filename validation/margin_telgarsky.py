"""Telgarsky (arXiv 2208.02789): feature learning finds the global margin on 2-sparse parity and with norms only.

Not reproduced: the margins of the neural tangent kernel, which is not part of this package.
"""

from __future__ import annotations

import numpy as np

from flowlimits import margin
from flowlimits.plot import style

from .margin_common import DECADE, keep, read
from .record import Record

PAPER = "Telgarsky 2208.02789"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    parity(record, full)
    plane(record)
    norms(record)


def parity(record: Record, full: bool) -> None:
    rows = []
    for dimension in (2, 3, 4) if full else (2, 3):
        X, y, best = margin.parity(dimension)
        for seed in range(4 if full else 2):
            flow = margin.MarginFlow(margin.ReLUModel(40), X, y, rng=seed).solve([1000.0, 40000.0], kkt=False)
            values = flow["margin"].values
            rows.append([dimension, seed, *map(float, values), best])
            relative = float(values[-1]) / best - 1
            passed = -2e-4 < relative < 1e-9
            text = f"parity in d = {dimension}, start {seed}, loss e^-40000: margin over 1/(2 sqrt(8d)), less one"
            record.claim(PAPER, text, expected="in (-2e-4, 1e-9)", seen=relative, passed=passed)
    record.table("parity", ["dimension", "start", "margin_1000", "margin_40000", "optimum"], rows)


def plane(record: Record) -> None:
    rows = []
    for seed in (1, 3):
        X, y = read(f"relu_{seed}")
        best = margin.relu_plane(X, y)
        flow = margin.MarginFlow(margin.ReLUModel(16), X, y, rng=seed, scale=0.5).solve([20000.0], kkt=False)
        angles = 2 * np.pi * np.arange(60) / 60
        units = np.column_stack([np.cos(angles), np.sin(angles)])
        grid = (
            margin.frozen_units(margin.NormOnlyModel(np.vstack([units, units]), np.repeat([1, -1], 60)), X, y).upper / 2
        )
        rows.append([seed, float(flow["margin"][-1]), best.lower, best.upper, grid])
        record.below(
            "duality", f"data {seed}: relative gap of the exact optimum in the plane", best.gap / best.upper, 1e-6
        )
        record.above("kinks", f"data {seed}: optimum over that of 60 directions, less one", best.lower / grid - 1, 1e-3)
    record.table("plane", ["data", "flow", "optimum_lower", "optimum_upper", "grid_of_60"], rows)


def norms(record: Record) -> None:
    X, y = read("relu_1")
    angles = 2 * np.pi * np.arange(60) / 60
    units = np.repeat(np.column_stack([np.cos(angles), np.sin(angles)]), 2, axis=0)
    model = margin.NormOnlyModel(units, np.tile([1, -1], 60))
    best = margin.frozen_units(model, X, y)
    losses = np.geomspace(1, 10 ** (7.35) * DECADE, 40)
    flow = margin.MarginFlow(model, X, y, rng=0).solve(losses, kkt=False)
    gaps = 1 - flow["margin"] / best.upper
    at = np.interp([4.0, 6.0, 8.0, 10.0], flow["log_norm"], gaps)
    passed = bool((np.diff(at) < 0).all() and (gaps > -1e-9).all())
    record.claim(
        PAPER,
        "norms only: gap to the linear program at log norm 4, 6, 8, 10",
        expected="falls, never negative",
        seen=", ".join(f"{g:.2g}" for g in at),
        passed=passed,
    )
    record.above(
        PAPER,
        "norms only: least increment of the smoothed margin",
        float(flow["smoothed_margin"].diff("time").min()),
        -1e-12,
    )
    record.table(
        "norms",
        ["minus_log_loss", "log_norm", "margin", "gap"],
        [[float(v) for v in row] for row in zip(losses, flow["log_norm"], flow["margin"], gaps)],
    )
    axes = style.new_axes()
    axes.loglog(losses / DECADE, gaps, color=style.COLOURS[0], lw=1.2)
    axes.set_xlabel(r"$-\log_{10}$ loss")
    axes.set_ylabel(r"$1 -$ margin / optimum")
    keep(record, axes.figure, "norms")
