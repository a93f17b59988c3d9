"""Escape time of one neuron under one-pass SGD against learning rate and noise, with its stability bound (arXiv 2305.18502)."""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record
from .study_functions import escape_time

PAPER = "Arnaboldi et al. 2305.18502"
OVERLAP, TARGET, HORIZON = 0.01, 0.2, 2000.0


def run(record: Record, full: bool) -> None:
    """Compute the times as a study and the claims."""
    count = 40 if full else 16
    rates, noises = np.linspace(0.005, 0.2, count), np.linspace(0, 8, count // 2 + 1)
    parameters = {"overlap": OVERLAP, "target": TARGET, "horizon": HORIZON}
    table = fl.study(escape_time, {"learning_rate": rates, "noise": noises}, parameters=parameters, progress=False)
    g, noise = np.meshgrid(rates, noises, indexing="ij")
    times = table["escape_time"].values
    expected = closed_form(g, noise)
    escaped = np.isfinite(times)
    mistaken = int((escaped != np.isfinite(expected)).sum())
    record.claim(
        PAPER,
        f"escape by t = {HORIZON:g} exactly where the closed form says so: mistaken points of {g.size}",
        expected=0,
        seen=mistaken,
        passed=mistaken == 0,
    )
    both = escaped & np.isfinite(expected)
    record.below(
        PAPER,
        "escape time against the closed form, worst relative error",
        float(np.abs(times[both] / expected[both] - 1).max()),
        1e-6,
    )
    stable = g >= 2 / (12 + noise)
    record.claim(
        PAPER,
        "escapes with a learning rate of 2/(12 + noise) and above",
        expected=0,
        seen=int((stable & escaped).sum()),
        passed=not (stable & escaped).any(),
    )
    figure(record, table)


def closed_form(g: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return when m reaches the target under dm/dt = m (4 (1 - 6 g)(1 - m^2) - 2 g noise), a logistic equation for m^2."""
    curvature = 4 * (1 - 6 * g)
    growth = curvature - 2 * g * noise
    with np.errstate(all="ignore"):
        ceiling = np.where(growth > 0, growth / curvature, 0.0)
        time = np.log(TARGET**2 * (ceiling - OVERLAP**2) / (OVERLAP**2 * (ceiling - TARGET**2))) / (2 * growth)
    # Below the ceiling m^2 rises for ever towards it; where noise puts the ceiling under the target, the target is never met.
    return np.where((ceiling > TARGET**2) & (time <= HORIZON), time, np.inf)


def figure(record: Record, table) -> None:
    finite = table.where(np.isfinite(table["escape_time"]))
    axes = fl.plot.study(finite, x="learning_rate", y="noise")
    noises = np.linspace(0, float(table["noise"].max()), 200)
    axes.plot(2 / (12 + noises), noises, color="white", linestyle="--", linewidth=1.4, label="stable beyond")
    axes.set_xlabel("learning rate", fontsize=style.TEXT)
    axes.set_ylabel("label noise (variance)", fontsize=style.TEXT)
    record.figure(axes.figure, "escape_time")
