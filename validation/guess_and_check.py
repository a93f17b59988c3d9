"""Peleg & Hein (arXiv 2407.03848): guess and check does not gain from width and loses from depth; gradient descent gains from width.

Not reproduced: LeNet, MLP and ResNet on MNIST and CIFAR pairs, whose data are not part of this package
(`fl.random_networks.read_arrays` and `binary_task` take your own), and the effect of depth on gradient descent there.
The tasks here are pairs of Gaussian clusters in ten dimensions.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits import random_networks as rn
from flowlimits.plot import style

from .margin_common import keep
from .record import Record
from .timing import seconds_of

PAPER = "Peleg & Hein 2407.03848"
DEPTHS = (1, 2, 4, 8)
WIDTHS = (2, 8, 32, 128, 512)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    speed(record)
    one_task(record)
    many_tasks(record, 24 if full else 20, full)


def speed(record: Record) -> None:
    problem = fl.GuessAndCheck(*rn.gaussian_task(8, rng=1))
    seconds, limit = seconds_of(lambda: problem.solve(rng=0, accuracy=0.01))
    record.below(
        "speed", "orthant limit, n = 8, 400 test points, 1 % of the test error: processor seconds", seconds, 5.0
    )
    relative = float(limit["test_error_standard_error"] / limit["test_error"])
    record.below("accuracy", "relative standard error of that test error", relative, 0.01)


def one_task(record: Record) -> None:
    """Depths and widths on one task: finite networks against the orthant limit, depth hurts."""
    task = rn.gaussian_task(8, rng=1)
    rows, errors = [], []
    for depth in DEPTHS:
        problem = fl.GuessAndCheck(*task, depth=depth)
        limit = problem.solve(rng=0)
        errors.append(float(limit["test_error"]))
        rows.append(
            [
                depth,
                "infinite",
                *(float(limit[name]) for name in ("acceptance", "test_error", "test_error_standard_error")),
            ]
        )
        if depth == 8:
            continue
        width = 128 if depth == 1 else 32
        found = problem.simulate([width], runs=1000, rng=depth, progress=False).isel(width=0)
        rows.append(
            [depth, width, *(float(found[name]) for name in ("acceptance", "test_error", "test_error_standard_error"))]
        )
        deviation = abs(float(found["test_error"]) - errors[-1]) / float(found["test_error_standard_error"])
        record.below(
            PAPER, f"depth {depth}, width {width}: test error against the limit, in standard errors", deviation, 4.0
        )
        ratio = float(found["acceptance"] / limit["acceptance"])
        record.close(PAPER, f"depth {depth}, width {width}: acceptance over that of the limit", ratio, 1.0, atol=0.1)
    record.claim(
        PAPER,
        "limit of infinite width at depth 1, 2, 4, 8: test error",
        expected="rises",
        seen=", ".join(f"{e:.4f}" for e in errors),
        passed=bool((np.diff(errors) > 0.005).all()),
    )
    record.table("depth", ["depth", "width", "acceptance", "test_error", "standard_error"], rows)


def many_tasks(record: Record, count: int, full: bool) -> None:
    """Widths, averaged over tasks: guess and check is flat, gradient descent is not."""
    guesses, descents, equal, limits = [], [], [], []
    for seed in range(count):
        problem = fl.GuessAndCheck(*rn.gaussian_task(8, rng=100 + seed))
        limits.append(float(problem.solve(rng=0)["test_error"]))
        guesses.append(problem.simulate([2, 8, 32], runs=400, rng=seed, progress=False))
        descents.append(problem.descend(WIDTHS, runs=40 if full else 20, rng=seed, progress=False))
        # At equal loss: wider networks train faster, which must not pass for better learning.
        equal.append(
            problem.descend(WIDTHS[1:], runs=40 if full else 20, rng=seed, loss=0.05, steps=5000, progress=False)
        )
    limit = np.array(limits)

    def mean(results: list, width: int) -> float:
        return float(np.nanmean([float(r["test_error"].sel(width=width)) for r in results]))

    flat = mean(guesses, 32) - limit.mean()
    record.below(PAPER, f"guess and check over {count} tasks: |test error at width 32 less limit|", abs(flat), 0.008)
    record.claim(
        PAPER,
        "guess and check: width 2 against the limit",
        expected="not worse",
        seen=f"{mean(guesses, 2):.4f} against {limit.mean():.4f}",
        passed=mean(guesses, 2) <= limit.mean(),
    )
    for name, results in (("400 steps", descents), ("loss 0.05", equal)):
        difference, error = rn.paired_difference(results, 8, 512)
        record.claim(
            PAPER,
            f"gradient descent ({name}): test error at width 8 less width 512, paired over tasks",
            expected="> 2 standard errors",
            seen=f"{difference:.4f} ± {error:.4f}",
            passed=difference > 2 * error,
        )
    record.above(
        PAPER,
        "limit of guess and check less gradient descent at width 512",
        float(limit.mean()) - mean(descents, 512),
        0.1,
    )
    rows = [["guess", w, mean(guesses, w)] for w in (2, 8, 32)] + [["guess", "infinite", float(limit.mean())]]
    rows += [["gd, 400 steps", w, mean(descents, w)] for w in WIDTHS] + [
        ["gd, loss 0.05", w, mean(equal, w)] for w in WIDTHS[1:]
    ]
    record.table("width", ["method", "width", "test_error"], rows)
    pairs = [
        (name, a, b, *rn.paired_difference(results, a, b))
        for name, results, a, b in (
            ("guess", guesses, 2, 32),
            ("guess", guesses, 8, 32),
            ("gd, 400 steps", descents, 8, 512),
            ("gd, loss 0.05", equal, 8, 512),
        )
    ]
    record.table(
        "paired", ["method", "width", "other_width", "difference", "standard_error"], [list(pair) for pair in pairs]
    )
    _figure(record, guesses, descents, equal, limit)


def _figure(record: Record, guesses: list, descents: list, equal: list, limit: np.ndarray) -> None:
    axes = style.new_axes()
    axes.axhline(limit.mean(), color=style.THEORY, lw=1.0, label="guess and check, infinite width")
    cases = (
        ("guess and check", guesses),
        ("gradient descent, 400 steps", descents),
        ("gradient descent to loss 0.05", equal),
    )
    for (name, results), colour, marker in zip(cases, style.COLOURS, style.MARKERS):
        widths = results[0]["width"].values
        table = np.array([r["test_error"].values for r in results])
        bars = np.nanstd(table, axis=0, ddof=1) / np.sqrt(len(results))
        axes.errorbar(widths, np.nanmean(table, axis=0), bars, color=colour, marker=marker, ms=4, lw=1.0, label=name)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 0.55)
    axes.set_xlabel("width")
    axes.set_ylabel("test error at zero training error")
    style.add_legend(axes, loc="upper right")
    keep(record, axes.figure, "width")
