"""Saad & Solla, on-line learning in soft committee machines: plateau and specialisation (Phys. Rev. E 52, 4225, 1995)."""

import math

import numpy as np

import flowlimits as fl
from flowlimits.committee import plateau
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

PAPER = "Saad & Solla 1995"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    small_rate_plateaus(record)
    escape(record, full)


def start(K: int, rate: float, seed: int = 0, asymmetry: float = 1e-6) -> tuple[fl.conventions.Nn2pp, fl.Committee]:
    """Return K = M units from random lengths and overlaps of order `asymmetry` with an orthonormal teacher, as in the paper."""
    rng = np.random.default_rng(seed)
    convention = fl.conventions.Nn2pp(K, K, rate)
    Q = np.diag(rng.uniform(0, 0.5, K))
    R = rng.uniform(0, asymmetry, (K, K))
    return convention, convention.problem(Q, R, np.eye(K), v=np.ones(K), A=np.ones(K))


def small_rate_plateaus(record: Record) -> None:
    """On the plateau of small rates all students are alike: Q = 1/(2K - 1), R = 1/sqrt(K (2K - 1)), and the error follows."""
    rows = []
    for K in (2, 3, 4):
        convention, problem = start(K, 0.01, asymmetry=1e-9)
        times = convention.to_time(np.geomspace(10, 3e6, 600))
        result = problem.solve(times)
        found = plateau(result)
        at = result.sel(time=float(found["at"]), method="nearest")
        expected = K / math.pi * (math.pi / 6 - K * math.asin(1 / (2 * K)))
        record.close(
            PAPER,
            f"K = M = {K}, rate 0.01: generalisation error of the plateau, (K/pi)(pi/6 - K arcsin(1/2K)) as the rate falls",
            float(found["height"]),
            expected,
            rtol=0.03,
        )
        record.close(
            PAPER,
            f"K = M = {K}: student-teacher overlap there, 1/sqrt(K(2K - 1))",
            float(at["R"].mean()),
            1 / math.sqrt(K * (2 * K - 1)),
            rtol=0.02,
        )
        record.below(
            PAPER,
            f"K = M = {K}: error after specialisation, over the plateau",
            float(result["risk"][-1]) / expected,
            1e-2,
        )
        rows.append([K, float(found["height"]), expected, float(convention.from_time(found["exit"]))])
    record.table("plateaus", ["K", "height", "expected", "exit_steps_over_N"], rows)


def escape(record: Record, full: bool) -> None:
    """Theory and runs through plateau and specialisation; the exit of single runs scatters, the height does not."""
    # Overlaps well above N^-1/2, so that the exit time of a run is that of its start and not of its noise.
    convention, problem = start(2, 1.0, asymmetry=0.2)
    d, runs = (100_000, 16) if full else (20_000, 8)
    times = convention.to_time(np.geomspace(0.5, 400, 60))
    theory = problem.solve(times, observables=["specialisation"])
    seen = problem.simulate(times, dimension=d, runs=runs, rng=0, observables=["specialisation"], progress=False)
    ours, theirs = plateau(theory), plateau(seen)
    source, height, leaving = f"{PAPER}, one-pass SGD", float(ours["height"]), float(ours["exit"])
    record.estimate(
        source,
        f"height of the plateau in {runs} runs at N = {d}, mean",
        *cross.mean(theirs["height"].values),
        height,
        largest=0.01 * height,
    )
    record.estimate(
        source, "exit time, mean of the runs", *cross.mean(theirs["exit"].values), leaving, largest=0.02 * leaving
    )
    record.above(
        source, "specialisation at the end, the least of the runs", float(seen["specialisation"][:, -1].min()), 0.99
    )
    axes = style.new_axes()
    clock = convention.from_time(times)
    for index in range(runs):
        axes.plot(
            clock,
            seen["risk"][index],
            color=style.COLOURS[5],
            lw=2.4,
            alpha=0.6,
            label=f"{runs} runs, $N = {d}$" if index == 0 else None,
        )
    axes.plot(clock, theory["risk"], color=style.THEORY, lw=1.0, label="limit")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-12, 1)  # below, the tolerance of the limit decides
    axes.set_xlabel("steps / $N$")
    axes.set_ylabel(r"$\epsilon_g$")
    style.add_legend(axes)
    record.figure(axes.figure, "escape")
