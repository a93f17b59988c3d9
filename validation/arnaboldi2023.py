"""Arnaboldi et al., dimensionless ODEs and the escape from mediocrity (arXiv 2302.05882, 2305.18502)."""

import math

import numpy as np

import flowlimits as fl
from flowlimits.committee import plateau, weak_recovery
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

ODES = "Arnaboldi et al. 2302.05882"
ESCAPE = "Arnaboldi et al. 2305.18502"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    many_units(record, full)
    escape_times(record, full)
    stability(record, full)


def many_units(record: Record, full: bool) -> None:
    """Square activation, k = 2, d = 5: SGD follows the ODE, at small d too, as the number of units grows."""
    d, k, times = 5, 2, np.linspace(0.0, 3.0, 13)
    widths = (100, 200, 500, 1000, 2000) if full else (100, 200, 500)
    starts = 8  # at so small a dimension they differ as much as runs do
    rng = np.random.default_rng(0)
    W_star = rng.normal(size=(k, d))
    axes, rows = style.new_axes(), []
    for index, p in enumerate(widths):
        squares = np.zeros((starts, times.size))
        for number in range(starts):
            W = rng.normal(size=(p, d))
            problem = fl.Committee.from_weights(W, W_star, learning_rate=0.1)
            runs = problem.simulate(times, dimension=d, runs=4, rng=rng, progress=False)
            # At the times that whole steps realise: xarray would drop those that differ in the last digit.
            flow = fl.QuadraticFlow(W, W_star).solve(runs["time"].values)
            squares[number] = ((runs["risk"].values - flow["risk"].values) ** 2).mean(axis=0)
        deviation = np.sqrt(squares.mean(axis=0))
        worst = int(np.argmax(deviation))
        rows.append([p, float(deviation[worst]), cross.mean(squares[:, worst])[1] / (2 * float(deviation[worst]))])
        axes.plot(times[1:], deviation[1:] * math.sqrt(p), color=style.COLOURS[index % 6], label=f"$p = {p}$")
    axes.set_xlabel("$t$")
    axes.set_ylabel(r"$\sqrt{p}\ \times$ deviation of runs")
    style.add_legend(axes)
    record.figure(axes.figure, "many_units")
    slope = cross.exponent([1 / row[0] for row in rows], [(row[1], row[2]) for row in rows], corrected=False)
    record.estimate(
        f"{ODES}, Fig. 3 and Thm 1",
        f"d = 5, k = 2, p = {widths}: exponent of the deviation of single runs from the flow in 1/p",
        *slope,
        0.5,
        largest=0.15,
        sigmas=3,
    )
    record.table("many_units", ["p", "root_mean_square_deviation", "standard_error"], rows)


def one_unit(m: float, rate: float, noise: float) -> fl.Committee:
    """Return phase retrieval with one unit on the sphere."""
    return fl.Committee([[1.0]], [[m]], [[1.0]], learning_rate=rate, noise=noise, spherical=True)


def escape_times(record: Record, full: bool) -> None:
    """dm/dt = m [4 (1 - 6 g)(1 - m^2) - 2 g noise]: the exit grows as log(d)/(8 (1 - 6 g) - 4 g noise)."""
    rate, noise, rows = 0.05, 0.1, []
    growth = 4 * (1 - 6 * rate) - 2 * rate * noise
    dimensions = 10 ** np.arange(3, 9)
    times = np.linspace(0, 6, 600)
    for d in dimensions:
        rows.append([int(d), float(weak_recovery(one_unit(1 / math.sqrt(d), rate, noise).solve(times)))])
    slope = float(np.polyfit(np.log(dimensions), [row[1] for row in rows], 1)[0])
    record.close(
        ESCAPE, "weak-recovery time of the theory from m = d^-1/2: slope in log d", slope, 1 / (2 * growth), rtol=1e-2
    )
    d = 100_000 if full else 10_000
    problem = one_unit(1 / math.sqrt(d), rate, noise)
    grid = np.linspace(0, 4, 80)
    theory, runs = problem.solve(grid), problem.simulate(grid, dimension=d, runs=16, rng=0, progress=False)
    exits = weak_recovery(runs).values
    # On the plateau dm = growth m dt + noise of variance 4 rate (12 + noise)/d per time, of one size with the start: m e^(-growth t)
    # tends to d^-1/2 (1 + spread Z), Z standard normal.
    spread = math.sqrt(2 * rate * (12 + noise) / growth)
    z = np.linspace(-9, 9, 200_000)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    delay = -float(np.trapezoid(density * np.log(np.abs(1 + spread * z)), z)) / growth
    expected = float(weak_recovery(theory)) + delay
    record.estimate(
        ESCAPE,
        f"d = {d}: mean weak-recovery time of 16 runs against start and noise of the plateau",
        *cross.mean(exits),
        expected,
        largest=0.15,
    )
    record.close(
        ESCAPE, "height of the plateau, risk 1 - m^2 at m = 0", float(plateau(theory)["height"]), 2.0, rtol=0.01
    )
    axes = style.new_axes()
    for index in range(8):
        axes.plot(
            grid,
            np.abs(runs["R"][index, :, 0, 0]),
            color=style.COLOURS[5],
            lw=0.8,
            label=f"runs, $d = {d}$" if index == 0 else None,
        )
    axes.plot(grid, theory["R"][:, 0, 0], color=style.THEORY, label="limit from $m = d^{-1/2}$")
    axes.set_xlabel("$t$")
    axes.set_ylabel("$|m|$")
    style.add_legend(axes)
    record.figure(axes.figure, "escape")
    record.table("escape_times", ["dimension", "weak_recovery_time"], rows)


def stability(record: Record, full: bool) -> None:
    """m = 0 is stable, and nothing is learnt, for learning rates from 2/(12 + noise) on."""
    noise = 1.0
    bound = 2 / (12 + noise)
    grew = {
        factor: float(one_unit(1e-3, factor * bound, noise).solve([2.0])["R"][0, 0, 0]) / 1e-3 for factor in (0.9, 1.1)
    }
    record.above(ESCAPE, "growth of m by t = 2 at 0.9 times the bound 2/(12 + noise)", grew[0.9], 1.0)
    record.below(ESCAPE, "the same at 1.1 times the bound", grew[1.1], 1.0)
    d = 20_000 if full else 3000
    finals = {}
    for factor in (0.5, 1.5):
        runs = one_unit(0.1, factor * bound, noise).simulate([4.0], dimension=d, runs=8, rng=0, progress=False)
        finals[factor] = float(np.abs(runs["R"]).mean())
    record.above(ESCAPE, f"SGD at d = {d} from m = 0.1, half the bound: mean |m| at t = 4", finals[0.5], 0.5)
    record.below(ESCAPE, "the same, 1.5 times the bound", finals[1.5], 0.1)
