"""Boursier & Flammarion, early alignment and a network that cannot interpolate three points (arXiv 2401.10791).

Not reproduced: the runs at width 20,000 of the released code; 200 to 400 units are used here.
"""

import json
import warnings

import numpy as np

import flowlimits as fl
from flowlimits.plot import style
from flowlimits.samples.observables import distinct_directions

from .record import Record

PAPER = "Boursier & Flammarion 2401.10791"
DERIVED = "docs/samples.md"
THREE = (np.array([[-0.75], [-0.5], [0.125]]), np.array([1.1, 0.1, 0.8]))
KNOTS = (-1, -0.7, -0.55, -0.4, 0, 0.5, 0.6, 0.7, 1), (0, 0.7, 0.5, 1, 0, 1, 0.6, 0.7, 0)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    alignment(record, full)
    three_points(record, full)
    piecewise_linear(record, full)


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angles between unit vectors."""
    return 2 * np.arcsin(np.clip(np.linalg.norm(first - second, axis=-1) / 2, 0, 1))


def alignment(record: Record, full: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    y = X.sum(axis=1) / np.sqrt(5) + 0.3 * rng.standard_normal(40)
    times = np.array([2.0, 6.0])
    scales = np.geomspace(1e-1, 1e-5, 9 if full else 5)
    rows = []
    for balance in (None, 0.5):
        problem = fl.EarlyAlignment(X, y, width=60 if full else 16, balance=balance, rng=1)
        limit = problem.solve(times)
        for scale in scales:
            with warnings.catch_warnings():
                # The largest scale is meant to leave the limit.
                warnings.simplefilter("ignore", UserWarning)
                flow = problem.simulate(times, scale=scale)
            worst = angles(flow.direction.values, limit.direction.values).max(axis=1)
            rows.append(
                [
                    str(balance or "1 and -1"),
                    float(scale),
                    *map(float, worst),
                    float(np.abs(flow.log_norm - limit.log_norm).max()),
                ]
            )
    balanced = {row[1]: row[3] for row in rows if row[0] == "1 and -1"}
    at = {round(float(np.log10(scale))): value for scale, value in balanced.items()}
    record.above(
        f"{DERIVED}, eq. (S2)",
        "largest angle between units of the flow and of its limit at t = 6: ratio of scales 1e-2 and 1e-3",
        at[-2] / at[-3],
        30.0,
    )
    record.below(f"{DERIVED}, eq. (S2)", "the same angle at scale 1e-3", at[-3], 4e-4)
    record.below(
        f"{DERIVED}, eq. (S2)",
        "the same angle at scale 1e-5 (what is left is the error of the integration over kinks)",
        at[-5],
        1e-4,
    )
    record.table("alignment", ["balance", "scale", "angle_at_2", "angle_at_6", "log_norm_difference"], rows)
    axes = style.new_axes()
    for i, balance in enumerate(("1 and -1", "0.5")):
        shown = [row for row in rows if row[0] == balance]
        axes.loglog(
            [row[1] for row in shown],
            [row[3] for row in shown],
            "o-",
            ms=4,
            color=style.COLOURS[i],
            label=f"balance {balance.replace('-', '−')}",
        )
    axes.loglog(scales[:3], 120 * scales[:3] ** 2, "--", color=style.GUIDE, label=r"slope 2")
    axes.set_xlabel(r"scale $\lambda$ of the start")
    axes.set_ylabel("largest angle to the limit, $t = 6$")
    style.add_legend(axes)
    record.figure(axes.figure, "alignment")


def three_points(record: Record, full: bool) -> None:
    X, y = THREE
    line = np.polyval(np.polyfit(X[:, 0], y, 1), X[:, 0])
    times = np.geomspace(0.3, 400, 60)
    rows, curves = [], {}
    for scale in (1e-3, 1e-2, 1e-1):
        for seed in range(12 if full else 4):
            flow = fl.SampleFlow(X, y, width=200, scale=scale, bias=True, rng=seed).solve(
                times, rtol=1e-12, observables=["output"]
            )
            distance = float(np.abs(flow.output[-1] - line).max())
            error = json.loads(flow.attrs["provenance"])["risk_error"]
            rows.append(
                [
                    scale,
                    seed,
                    float(flow.risk[-1]),
                    distance,
                    flow.attrs["end_state"],
                    flow.attrs["distinct_directions"],
                    error,
                ]
            )
            curves[scale, seed] = flow.risk.values
    small = [row for row in rows if row[0] < 0.05]
    record.below(
        PAPER,
        f"three points, scale at most 1e-2, {len(small)} starts: largest distance of an output from the least-squares line",
        max(row[3] for row in small),
        1e-10,
    )
    record.close(
        PAPER,
        "the loss there: the network of 200 units does not interpolate three points",
        max(row[2] for row in small),
        0.0875213675213675,
        atol=1e-10,
    )
    ends = sorted({row[4] for row in rows if row[0] > 0.05})
    record.claim(
        f"{DERIVED}, three points",
        "at scale 0.1 the end hangs on the start",
        expected="OLS or interpolating",
        seen=", ".join(ends),
        passed=set(ends) <= {"OLS", "interpolating"},
    )
    record.table(
        "three_points", ["scale", "seed", "loss", "distance_to_line", "end_state", "directions", "stated_error"], rows
    )
    axes = style.new_axes()
    for i, scale in enumerate((1e-3, 1e-2, 1e-1)):
        for (s, seed), risk in curves.items():
            if s == scale:
                axes.loglog(
                    times, risk, color=style.COLOURS[i], lw=0.9, label=rf"$\lambda = {scale:g}$" if seed == 0 else None
                )
    axes.axhline(0.0875213675, ls=":", color=style.GUIDE)
    axes.set_ylim(1e-3, 0.6)
    axes.set_xlabel("$t$")
    axes.set_ylabel("training loss")
    style.add_legend(axes, loc="lower left")
    record.figure(axes.figure, "three_points")


def piecewise_linear(record: Record, full: bool) -> None:
    """Forty points of a function with nine knots: few directions early, and a fit that grows bend by bend."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 40))
    y = np.interp(x, *KNOTS)
    problem = fl.SampleFlow(x[:, None], y, width=400 if full else 200, scale=1e-3, bias=True, rng=0)
    times = np.geomspace(1, 4000 if full else 1000, 13)
    flow = problem.solve(times, observables=["hidden", "second_layer"])
    W, a = flow.hidden.values, flow.second_layer.values
    directions = [distinct_directions(w, b) for w, b in zip(W, a)]
    grid = np.linspace(-1, 1, 401)
    half = np.interp(0.5 * (flow.risk.values[0] + flow.risk.values[-1]), flow.risk.values[::-1], times[::-1])
    early = int(np.argmin(np.abs(times - half)))
    record.below(
        PAPER,
        "function of nine knots: distinct directions at the time nearest to half of the fall of the loss",
        directions[early],
        12,
    )
    record.above(
        PAPER,
        "the same, share of the starting loss that is gone at the end",
        1 - float(flow.risk[-1]) / (0.5 * float(np.mean(y**2))),
        0.8,
    )
    record.table(
        "piecewise_linear",
        ["t", "loss", "directions"],
        [[float(t), float(r), n] for t, r, n in zip(times, flow.risk.values, directions)],
    )
    axes = style.new_axes()
    axes.plot(x, y, "o", ms=3, color=style.GUIDE, label="sample")
    for i, k in enumerate((early, len(times) - 4, len(times) - 1)):
        axes.plot(
            grid, problem.predict(W[k], a[k], grid[:, None]), color=style.COLOURS[i], label=f"$t = {times[k]:.0f}$"
        )
    axes.set_xlabel("$x$")
    axes.set_ylabel("$h(x)$")
    axes.set_ylim(-0.08, 1.42)
    style.add_legend(axes, loc="upper center", ncols=2)
    record.figure(axes.figure, "piecewise_linear")
