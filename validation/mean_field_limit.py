r"""Infinite width with any activation against finite width, against the quadratic class, and against plain gradient descent.

Runs of finite width follow their exact flow; their fluctuations must fall as p^(-1/2), their mean deviation as 1/p.  The simulation with fresh inputs
shares no formula with anything: it draws inputs, evaluates the network, and steps along the gradient of a batch.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "Mei, Montanari & Nguyen, arXiv 1804.06561; Chizat & Bach, arXiv 1805.09545"
SIGNS = ([1.0, -1.0], [0.6, 0.4])


def problem(activation: str, d: int) -> fl.MeanField:
    """Return a network of both layers with one teacher."""
    start = fl.Ensemble.gaussian(d, second_layer=1.0 if activation == "erf" else SIGNS)
    return fl.MeanField([[1.0]], start, activation=activation, second_layer_rate=1.0)


def descend(p: int, d: int, times: np.ndarray, rng: np.random.Generator, step: float, batch: int) -> list[float]:
    """Return the risk of a ReLU network trained on fresh batches; no Gaussian average is taken in closed form."""
    W, a = rng.standard_normal((p, d)), rng.choice(SIGNS[0], size=p, p=SIGNS[1])
    risks, now = [], 0.0
    for time in times:
        for _ in range(round((time - now) / step)):
            x = rng.standard_normal((batch, d))
            fields = x @ W.T / np.sqrt(d)
            error = np.maximum(fields, 0) @ a / p - np.maximum(x[:, 0], 0)
            W -= step * np.sqrt(d) * a[:, None] * ((fields > 0) * error[:, None]).T @ x / batch
            a -= step * np.maximum(fields, 0).T @ error / batch
        now = float(time)
        x = rng.standard_normal((20 * batch, d))
        risks.append(0.5 * float(np.mean((np.maximum(x @ W.T / np.sqrt(d), 0) @ a / p - np.maximum(x[:, 0], 0)) ** 2)))
    return risks


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    quadratic(record)
    fresh(record, full)
    times = np.array([0.0, 2.0, 8.0])
    widths = {25: 300, 50: 200, 100: 100, 200: 60} if full else {16: 300, 32: 200, 64: 100}
    d = 20 if full else 10
    figure, panels = cross.panels(2)
    rows = []
    for axes, activation in zip(panels, ("erf", "relu"), strict=True):
        made = problem(activation, d)
        limit = made.solve(times)["risk"].values
        risks = {
            p: made.simulate(times, student_width=p, runs=count, rng=p, rtol=1e-6)["risk"].values
            for p, count in widths.items()
        }
        small = [1 / p for p in widths]
        for i, time in enumerate(times):
            spreads = [cross.spread(risks[p][:, i]) for p in widths]
            slope, error = cross.exponent(small, spreads, corrected=False)
            text = f"{activation}, d = {d}, p = {list(widths)}: exponent of the spread of runs at t = {time:g}"
            record.estimate(SOURCE, text, slope, error, 0.5, largest=0.1, atol=0.05)
            means = [cross.mean(risks[p][:, i] - limit[i]) for p in widths]
            left_over, uncertain = cross.intercept(small, means, order=1)
            text = f"{activation}: mean deviation from the limit at t = {time:g}, extrapolated to infinite width, over the risk at the start"
            record.estimate(SOURCE, text, left_over / limit[0], uncertain / limit[0], 0.0, largest=0.03)
            rows += [[activation, time, p, *spreads[j], *means[j]] for j, p in enumerate(widths)]
            cross.draw_points(axes, list(widths), spreads, i, f"$t = {time:g}$")
            cross.draw_slope(axes, list(widths), spreads[-1], -0.5)
        axes.set_title(activation)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("width $p$")
        axes.set_ylabel("standard deviation of the risk")
        style.add_legend(axes)
        wrong = fl.MeanField(
            [[1.0]],
            fl.Ensemble.gaussian("infinity", second_layer=made.start.second_layer[0]),
            activation=activation,
            second_layer_rate=1.0,
        )
        away = [cross.mean(risks[p][:, 2] - wrong.solve(times)["risk"].values[2]) for p in widths]
        off, uncertain = cross.intercept(small, away, order=1)
        record.wrong_theory(SOURCE, f"{activation}: remainders orthogonal and u = 0, as at infinite dimension: deviation at t = 8 in standard errors", seen=f"{abs(off) / uncertain:.0f}", failed=abs(off) > 5 * uncertain)  # fmt: skip
    record.table(
        "widths", ["activation", "time", "width", "spread", "spread_error", "deviation", "deviation_error"], rows
    )
    record.figure(figure, "widths")


def quadratic(record: Record) -> None:
    """Four particles are `MeanFieldQuadratic`."""
    W_star = np.random.default_rng(0).standard_normal((2, 12))
    eigenvalues = np.zeros(12)
    eigenvalues[:2] = np.linalg.eigvalsh(W_star @ W_star.T / 24)
    times = np.geomspace(0.05, 10, 12)
    for activation in ("square", "centred"):
        theirs = fl.MeanFieldQuadratic(eigenvalues, start=1 / 12, activation=activation).solve(
            times, rtol=1e-11, atol=1e-13
        )
        made = fl.MeanField(W_star @ W_star.T / 12, fl.Ensemble.gaussian(12), activation=activation)
        ours = made.solve(times, particles=4, rtol=1e-11, atol=1e-13)
        off = float(np.abs(ours["risk"].values - theirs["risk"].values).max())
        record.below(
            "docs/theory.md (Q24)",
            f"{activation}, d = 12, two teachers: four particles against MeanFieldQuadratic, largest difference of the risk",
            off,
            1e-10,
        )


def fresh(record: Record, full: bool) -> None:
    """Gradient descent on fresh inputs against the limit."""
    times, d, p = np.array([0.0, 1.0, 2.0, 4.0]), 25, 400
    draws, step, batch = (24, 0.025, 2000) if full else (8, 0.05, 1000)
    limit = problem("relu", d).solve(times)["risk"].values
    risks = np.array([descend(p, d, times, np.random.default_rng([7, i]), step, batch) for i in range(draws)])
    for i, time in enumerate(times):
        value, error = cross.mean(risks[:, i])
        text = f"ReLU, both layers, d = {d}: {draws} networks of {p} units on fresh batches, mean risk at t = {time:g}"
        # One over the width, and the step of the descent.
        record.estimate(
            SOURCE, text, value, error, float(limit[i]), largest=0.004, atol=1 / p * limit[0] + 0.1 * step * limit[i]
        )
