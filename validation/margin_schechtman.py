"""Schechtman & Schreuder (arXiv 2502.05668): constant-step (stochastic) gradient descent follows the margin flow at equal norm."""

from __future__ import annotations

import numpy as np

from flowlimits import margin
from flowlimits.plot import style

from .margin_common import keep, read
from .record import Record

PAPER = "Schechtman & Schreuder 2502.05668"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    problem = margin.MarginFlow(margin.ReLUModel(16), *read("relu_1"), rng=1, scale=0.5)
    losses = np.linspace(1.0, 11.0 if full else 9.5, 60)
    flow = problem.solve(losses)
    axes = style.new_axes()
    axes.plot(flow["log_norm"], flow["margin"], color=style.THEORY, lw=1.2, label="flow")
    rows = []
    cases = (
        ("full batch, step 0.02", 0.02, None, 1e-4),
        ("batch 1, step 0.02", 0.02, 1, 2e-3),
        ("batch 1, step 0.05", 0.05, 1, 5e-3),
    )
    for (name, rate, batch, bound), colour, marker in zip(cases, style.COLOURS, style.MARKERS):
        run_ = problem.simulate(losses, learning_rate=rate, batch=batch, rng=0, progress=False).isel(run=0)
        half = slice(losses.size // 2, None)
        norms = run_["log_norm"].values
        difference = np.abs(np.interp(norms, flow["log_norm"], flow["margin"]) - run_["margin"].values)
        record.below(
            PAPER,
            f"{name}: margin less that of the flow at equal log norm, second half",
            float(difference[half].max()),
            bound,
        )
        rows += [[name, *map(float, row)] for row in zip(losses, norms, run_["margin"], difference)]
        axes.plot(norms[::6], run_["margin"][::6], marker, color=colour, ms=3.5, label=name)
    record.table("descent", ["run", "minus_log_loss", "log_norm", "margin", "difference"], rows)
    axes.set_xlabel(r"log norm  $\log|\theta|$")
    axes.set_ylabel("normalised margin")
    style.add_legend(axes, loc="lower right")
    keep(record, axes.figure, "descent")
