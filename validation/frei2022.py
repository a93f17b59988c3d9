"""Frei, Chatterji & Bartlett, feature amplification on XOR clusters with label noise (arXiv 2202.07626).

Not reproduced: nothing of the paper rests on data that is not drawn here; its high-probability theorems over width,
dimension and sample size are seen only at the sizes below.
"""

import math

import numpy as np

import flowlimits as fl
from flowlimits.mixture.simulation import draw
from flowlimits.plot import style

from .record import Record
from .timing import seconds_of

PAPER = "Frei, Chatterji & Bartlett 2202.07626"
DERIVED = "docs/mixture.md"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    stationary_logit(record)
    early_slope(record)
    amplification(record, full)
    finite_variance(record, full)
    speed(record)


def stationary_logit(record: Record) -> None:
    rows = []
    for label_noise in (0.1, 0.15, 0.3):
        problem = fl.XorMixture(40, label_noise=label_noise, loss="logistic", scale=0.01, dimension=100, rng=0)
        R = problem.solve([4000.0]).R.values[-1]
        a = problem.second_layer
        logits = [s * (a @ np.maximum(e * R[:, c], 0)) for c, s in ((0, 1), (1, -1)) for e in (1, -1)]
        expected = math.log((1 - label_noise) / label_noise)
        worst = max(logits, key=lambda value: abs(value - expected))
        record.close(
            f"{DERIVED}, four atoms",
            f"stationary logit at label noise {label_noise}, the worst of four atoms",
            worst,
            expected,
            rtol=1e-4,
        )
        rows.append([label_noise, expected, *map(float, logits)])
    record.table("stationary_logit", ["label_noise", "expected", "mu1", "-mu1", "mu2", "-mu2"], rows)


def early_slope(record: Record) -> None:
    eta, K = 0.15, 100
    problem = fl.XorMixture(K, label_noise=eta, loss="logistic", scale=2e-3, dimension=100, rng=1)
    result = problem.solve([0.1, 0.2])
    growth = np.abs(result.R[1, ::2, 0].values) - np.abs(result.R[0, ::2, 0].values)
    expected = (1 - 2 * eta) / (8 * math.sqrt(K))
    record.close(
        f"{DERIVED}, eq. (X11)",
        "mean early slope of the relevant fields |R_j1|",
        float(growth.mean() / 0.1),
        expected,
        rtol=1e-2,
    )
    runs = problem.simulate([1.0, 2.0], dimension=102, samples=1500, step=0.05, rng=0, progress=False)
    seen = float((np.abs(runs.R[0, 1, ::2, 0]) - np.abs(runs.R[0, 0, ::2, 0])).mean())
    record.close(
        f"{DERIVED}, eq. (X11)",
        "the same, descent on n = 1500 inputs, no variance in the clusters",
        seen,
        expected,
        rtol=0.15,
    )
    record.table("early_slope", ["expected", "flow", "descent"], [[expected, float(growth.mean() / 0.1), seen]])


def amplification(record: Record, full: bool) -> None:
    eta, dimension, samples, s = 0.15, 100, 1500, 0.05
    problem = fl.XorMixture(
        100, noise_scale=s, label_noise=eta, loss="logistic", scale=0.01, dimension=dimension, rng=1
    )
    times = np.array([0.0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200] if full else [0.0, 0.5, 1, 2, 5, 10, 20, 50])
    runs = problem.simulate(times, dimension=dimension + 2, samples=samples, rng=0, progress=False)
    last, two = runs.isel(run=0, time=-1), runs.isel(run=0).sel(time=2.0, method="nearest")
    record.close(PAPER, "test error against noisy labels falls to the noise rate", float(last.error), eta, atol=0.01)
    record.below(PAPER, "test error against clean labels", float(last.clean_error), 0.005)
    record.above(PAPER, "share of units whose relevant feature dominates, by t = 2", float(two.relevant_share), 0.97)
    generator = np.random.default_rng(5)
    X, y, _ = draw(problem, samples, dimension, generator)
    X_test, _, clean = draw(problem, 20_000, dimension, generator)
    linear = np.linalg.lstsq(X, y, rcond=None)[0]
    error = float(np.mean(np.sign(X_test @ linear) != clean))
    record.claim(
        PAPER, "linear classifiers stay at chance", expected="in [0.45, 0.55]", seen=error, passed=0.45 <= error <= 0.55
    )
    record.table("linear", ["samples", "dimension", "error_of_least_squares"], [[samples, dimension, error]])
    record.table(
        "amplification",
        ["t", "test_error", "clean_error", "train_error", "relevant_share"],
        [
            [float(t), *(float(runs[name][0, i]) for name in ("error", "clean_error", "train_error", "relevant_share"))]
            for i, t in enumerate(times)
        ],
    )
    figure = style.new_figure(2 * style.COLUMN, 2.6)
    left, right = figure.subplots(1, 2)
    grid = np.geomspace(0.05, times[-1], 60)
    flow = fl.XorMixture(
        Q=problem.Q, R=problem.R, separation=1.0, label_noise=eta, loss="logistic", second_layer=problem.second_layer
    ).solve(grid)
    for axes in (left, right):
        style.dress(axes)
        axes.set_xscale("log")
        axes.set_xlabel("$t$")
    shown = times > 0
    left.plot(times[shown], runs.error[0][shown], "o", ms=4, color=style.COLOURS[0], label="descent, test error")
    left.plot(
        times[shown], runs.relevant_share[0][shown], "s", ms=4, color=style.COLOURS[1], label="descent, relevant share"
    )
    left.plot(grid, flow.error, color=style.COLOURS[0], label="four-atom flow")
    left.plot(grid, flow.relevant_share, color=style.COLOURS[1])
    left.axhline(eta, ls=":", color=style.GUIDE)
    left.text(grid[0] * 1.2, eta - 0.08, r"noise rate $\eta$", fontsize=style.SMALL)
    left.set_ylim(0, 1.05)
    left.set_ylabel("test error, relevant share")
    style.add_legend(left, loc="center right")
    for k, colour, name in ((0, 0, "relevant"), (1, 1, "irrelevant")):
        right.plot(grid, np.abs(flow.R[:, ::2, k]).mean("student"), color=style.COLOURS[colour], label=f"{name}, flow")
        right.plot(
            times[shown],
            np.abs(runs.R[0][shown][:, ::2, k]).mean("student"),
            "o",
            ms=4,
            color=style.COLOURS[colour],
            label=f"{name}, descent",
        )
    right.set_yscale("log")
    right.set_ylabel(r"mean $|w_j\cdot\mu|$, units with $a_j > 0$", fontsize=style.TEXT)
    right.set_ylim(1e-4, 3.0)
    style.add_legend(right, loc="upper left")
    record.figure(figure, "amplification")


def finite_variance(record: Record, full: bool) -> None:
    problem = fl.XorMixture(16, noise_scale=0.15, label_noise=0.1, loss="logistic", scale=0.02, dimension=400, rng=1)
    times = [2.0, 5.0, 10.0] + ([20.0, 50.0] if full else [])
    flow = problem.solve(times)
    fresh = problem.simulate(times, dimension=400, samples=3000, method="fresh", rng=0, progress=False)
    worst = float(np.abs(fresh.clean_error[0] - flow.clean_error).max())
    record.below(
        f"{DERIVED}, eq. (X12)",
        "finite-variance flow against descent on 3000 fresh inputs per step, d = 400: clean error",
        worst,
        0.02,
    )
    size = np.abs(flow.R).max(("student", "centre"))
    fields = float((np.abs(fresh.R[0] - flow.R).max(("student", "centre")) / size).max())
    record.below(f"{DERIVED}, eq. (X12)", "the same, fields R relative to the largest", fields, 0.05)


def speed(record: Record) -> None:
    problem = fl.XorMixture(40, label_noise=0.1, loss="logistic", scale=0.01, dimension=100, rng=0)
    times = np.geomspace(0.1, 200.0, 40)
    seconds, _ = seconds_of(lambda: problem.solve(times))
    record.below(
        DERIVED,
        "four-atom flow of 40 units to t = 200, with all zeros of fields and 40 times: processor seconds",
        seconds,
        0.05,
    )
