"""Lyu & Li (arXiv 1906.05890) and Ji & Telgarsky (2006.06657): margins grow for ever, directions converge to KKT points.

Not reproduced: the networks trained on image data.  The laws themselves are followed to losses of 1e-10000 and beyond.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from flowlimits import margin
from flowlimits.margin import explicit
from flowlimits.plot import style

from .margin_common import DECADE, keep, read
from .record import Record
from .timing import seconds_of

LYU = "Lyu & Li 1906.05890"
JI = "Ji & Telgarsky 2006.06657"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    curves = {"linear": linear(record), "quadratic": quadratic(record), **relu(record, full)}
    gallery(record, curves)


def linear(record: Record):
    X, y = read("linear")
    best = margin.support_vectors(X, y)
    problem = margin.MarginFlow(margin.LinearModel(), X, y, rng=0)
    losses = DECADE * np.geomspace(0.1, 10000, 60)
    seconds, flow = seconds_of(lambda: problem.solve(losses))
    record.below(
        "speed",
        "linear, n = 12, d = 4, to a loss of 1e-10000, 60 outputs with KKT residuals: processor seconds",
        seconds,
        0.05,
    )
    record.close(
        LYU, "margin at 1e-10000 against the hard-margin machine", float(flow["margin"][-1]), best.lower, atol=5e-6
    )
    tight = problem.solve(losses, rtol=1e-12, atol=1e-14)
    change = float(np.abs(flow["margin"] - tight["margin"]).max())
    record.below("accuracy", "change of the margins when the tolerances fall by 1e4", change, 1e-8)
    record.table("linear_tolerances", ["rtol", "tight_rtol", "largest_change_of_margin"], [[1e-8, 1e-12, change]])
    rows = []
    for loss in ("exponential", "logistic"):
        flow = margin.MarginFlow(margin.LinearModel(), X, y, rng=0, loss=loss).solve(losses)
        increment = float(flow["smoothed_margin"].diff("time").min())
        record.above(f"{LYU}, theorem 4.1", f"least increment of the smoothed margin, {loss} loss", increment, -1e-12)
        constant = float(margin.rate_constant(flow)[-1])
        record.close(f"{LYU}, theorem 4.3", f"L t gamma^2 at 1e-10000, {loss} loss", constant, 1.0, atol=5e-3)
        certificate = margin.certify(flow)
        record.below("duality", f"upper less lower bound of the margin, {loss} loss", certificate.gap, 1e-5)
        rows.append(
            [
                loss,
                float(flow["margin"][-1]),
                best.lower,
                certificate.upper,
                increment,
                constant,
                float(flow["path_length"][-1]),
            ]
        )
    columns = ["loss", "margin", "svm_margin", "upper_bound", "least_increment", "rate_constant", "path_length"]
    record.table("linear", columns, rows)
    return problem.solve(losses), best.upper


def quadratic(record: Record):
    X, y = read("quadratic")
    best = margin.trace_norm(X, y)
    problem = margin.MarginFlow(margin.QuadraticModel(8), X, y, rng=0, scale=0.5)
    decades = (913, 5266, 30311)
    losses = DECADE * np.unique(np.concatenate([np.geomspace(0.1, 75000, 60), decades]))
    seconds, flow = seconds_of(lambda: problem.solve(losses))
    record.below("speed", "quadratic, 8 units, to a loss of 1e-75000, 62 outputs: processor seconds", seconds, 0.2)
    constants = margin.rate_constant(flow).values
    rows = [
        [value / DECADE, float(m), float(c), float(k)]
        for value, m, c, k in zip(losses, flow["margin"], constants, flow["kkt_residual"])
    ]
    record.table("quadratic", ["minus_log10_loss", "margin", "rate_constant", "kkt_residual"], rows)
    for decade in decades:
        constant = float(constants[np.searchsorted(losses, decade * DECADE)])
        record.close(f"{LYU}, theorem 4.3", f"4 gamma L t log t at 1e-{decade}", constant, 1.0, atol=5e-3)
    record.below("duality", "trace-norm optimum: upper less lower bound", best.gap, 1e-7)
    record.below(
        LYU,
        "relative distance of the margin at 1e-75000 from the trace-norm optimum",
        1 - float(flow["margin"][-1]) / best.lower,
        1e-3,
    )
    gap = margin.certify(flow).gap
    record.claim(
        "duality",
        "|sum p y xx^T|_op less the margin",
        expected="in [-1e-9, 1e-3]",
        seen=gap,
        passed=-1e-9 <= gap <= 1e-3,
    )
    return flow, best.upper


def relu(record: Record, full: bool):
    found, rows = {}, []
    for seed in (1, 3, 0) if full else (1, 3):
        X, y = read(f"relu_{seed}")
        best = margin.relu_plane(X, y)
        problem = margin.MarginFlow(margin.ReLUModel(16), X, y, rng=seed, scale=0.5)
        if seed == 1:
            seconds, _ = seconds_of(lambda problem=problem: problem.solve([1000 * DECADE], progress=False))
            record.above("speed", "largest ReLU margin of the stored set", best.lower, 0.05)
            record.below("speed", "ReLU, 16 units, to a loss of 1e-1000: processor seconds", seconds, 10.0)
        horizon = 8000 if seed == 0 else 22951 if full else 10000
        losses = DECADE * np.geomspace(0.1, horizon, 120)
        flow = problem.solve(losses, max_steps=400_000_000)
        text = f"ReLU, data {seed}, to 1e-{horizon}"
        record.below(
            f"{LYU}, theorem 4.1",
            f"{text}: largest decrease of the smoothed margin",
            -float(flow["smoothed_margin"].diff("time").min()),
            1e-6,
        )
        ratio = float(flow["margin"][-1]) / best.upper
        record.claim(
            "global optimum",
            f"{text}: margin over the optimum of any width",
            expected="in [0.999, 1 + 1e-6]",
            seen=ratio,
            passed=0.999 <= ratio <= 1 + 1e-6,
        )
        residuals = flow["kkt_residual"].interp(time=DECADE * np.array([10.0, 300.0, horizon])).values
        falls = bool((np.diff(residuals) < 0).all())
        record.claim(
            f"{LYU}, theorem 4.4",
            f"{text}: KKT residual with Clarke gates",
            expected="falls",
            seen=", ".join(f"{r:.2g}" for r in residuals),
            passed=falls,
        )
        tail = float(flow["path_length"][-1] - flow["path_length"].interp(time=100 * DECADE))
        record.below(f"{JI}, theorem 3.1", f"{text}: path length of the direction beyond 1e-100", tail, 0.1)
        constant = float(margin.rate_constant(flow)[-1])
        record.close(f"{LYU}, theorem 4.3", f"{text}: 4 gamma L t log t", constant, 1.0, atol=5e-3)
        rows.append(
            [
                seed,
                horizon,
                float(flow["margin"][-1]),
                best.lower,
                best.upper,
                *map(float, residuals),
                float(flow["path_length"][-1]),
                constant,
            ]
        )
        found[f"ReLU, data {seed}"] = flow, best.upper
        if seed == 3:
            gates(record, problem, flow)
    columns = [
        "data",
        "decades",
        "margin",
        "optimum_lower",
        "optimum_upper",
        "kkt_10",
        "kkt_300",
        "kkt_end",
        "path_length",
        "rate_constant",
    ]
    record.table("relu", columns, rows)
    steps(record)
    return found


def steps(record: Record) -> None:
    """Compare explicit steps with steps ten times shorter."""
    rows = []
    for seed in (1, 3):
        problem = margin.MarginFlow(margin.ReLUModel(16), *read(f"relu_{seed}"), rng=seed, scale=0.5)
        losses = DECADE * np.geomspace(0.1, 1000, 40)
        flow = problem.solve(losses, kkt=False, progress=False)
        with patch.dict(explicit.LOGIT_STEPS, l2=explicit.LOGIT_STEPS["l2"] / 10):
            short = problem.solve(losses, kkt=False, progress=False)
        times = np.abs(flow["log_time"] - short["log_time"])
        margins = float(np.abs(flow["margin"] / short["margin"] - 1).max())
        record.below(
            "accuracy", f"ReLU, data {seed}, steps ten times shorter: relative change of the margin", margins, 1e-3
        )
        rows.append([seed, float(times.max()), float(times.median()), margins])
    record.table(
        "steps",
        ["data", "largest_change_of_log_time", "median_change_of_log_time", "largest_relative_change_of_margin"],
        rows,
    )


def gates(record: Record, problem: margin.MarginFlow, flow) -> None:
    from flowlimits.margin import state

    rows = []
    for decade in (10.0, 300.0, float(flow["time"][-1]) / DECADE):
        row = flow.sel(time=decade * DECADE, method="nearest")
        theta = row["direction"].values * np.exp(float(row["log_norm"]))
        _, _, q, _, gradients = problem.state.evaluate(theta)
        fixed = state.residual("l2", theta, q, gradients, None)
        rows.append([float(row["time"]) / DECADE, float(row["kkt_residual"]), fixed])
    end, fixed = rows[-1][1:]
    record.below(f"{LYU}, theorem 4.4", "data 3: KKT residual at the end", end, 2e-3)
    record.above("kinks", "data 3: residual with fixed gates over the one with Clarke gates", fixed / end, 10.0)
    record.table("gates", ["minus_log10_loss", "clarke_gates", "fixed_gates"], rows)


def gallery(record: Record, flows) -> None:
    figure = style.new_figure(2 * style.COLUMN, 2.7)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        style.dress(axes)
    for (name, (flow, best)), colour, line in zip(flows.items(), style.COLOURS, style.LINES):
        decades = flow["time"] / DECADE
        left.plot(decades, flow["smoothed_margin"] / best, color=colour, ls=line, lw=1.2, label=name)
        right.plot(decades, 1 - flow["margin"] / best, color=colour, ls=line, lw=1.2, label=name)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.axvspan(308, 1e5, color=style.GUIDE, alpha=0.15, lw=0)
        axes.set_xlim(0.1, 1e5)
        axes.set_xlabel(r"$-\log_{10}$ loss")
    left.set_ylabel("smoothed margin / optimum")
    left.set_ylim(0, 1.05)
    left.text(420, 0.08, "below the\nrange of floats", fontsize=style.SMALL, color="#444444")
    right.set_yscale("log")
    right.set_ylim(1e-6, 1)
    right.set_ylabel(r"$1 -$ margin / optimum")
    style.add_legend(right, loc="lower left")
    keep(record, figure, "gallery")
    rows = [
        [name, float(t), float(s), float(m)]
        for name, (flow, _) in flows.items()
        for t, s, m in zip(flow["time"], flow["smoothed_margin"], flow["margin"])
    ]
    record.table("gallery", ["model", "minus_log_loss", "smoothed_margin", "margin"], rows)
