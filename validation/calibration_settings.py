"""False verdicts of `fl.compare` by seeds, in every setting where it is used, and its power against the distance of a wrong theory.

Per setting: three sizes, the right theory, and theories that are off by a known distance (the largest over times and variables, in units of
the largest value of the variable).  Claimed: the right theory "differs" in at most 1 of 100 seeds, and a theory further off than the
resolution "agrees" in at most 1 of 100.  ``python -m validation.calibration_settings`` takes 200 seeds; among the other cases it is 20.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import flowlimits as fl
from flowlimits.core.problem import Problem

from .record import DATA, Record

SOURCE = "flowlimits.verdict.judge"
COLUMNS = ("setting", "sizes", "runs", "theory", "distance", "seeds", "agrees", "differs", "undecided", "unseen_median")
RESOLUTION = 0.05


@dataclass(frozen=True)
class Setting:
    """What is simulated, and the theories that it is compared with."""

    name: str
    problem: Problem
    wrong: dict[str, Problem]
    times: np.ndarray
    sizes: tuple[int, ...]
    runs: int
    options: dict[str, Any] = field(default_factory=dict)
    solving: dict[str, Any] = field(default_factory=dict)


def extensive(start: str, teacher: Callable[[float], fl.Spectrum], sizes: tuple[int, ...]) -> Setting:
    """Quadratic networks of width proportional to the dimension."""

    def make(student: float, ratio: float) -> fl.ExtensiveQuadratic:
        return fl.ExtensiveQuadratic(student, teacher(ratio), start=start)

    wrong = {"student ratio + 2 %": make(0.51, 0.25), "student ratio + 5 %": make(0.525, 0.25)}
    wrong |= {"teacher ratio + 2 %": make(0.5, 0.255), "teacher ratio + 5 %": make(0.5, 0.2625)}
    return Setting(f"extensive, {start}", make(0.5, 0.25), wrong, np.geomspace(0.05, 5, 30), sizes, 24)


def mean_field() -> Setting:
    """Quadratic networks of growing width at a fixed dimension."""
    values = np.array([2.0, 1.0, 0.5, 0.0, 0.0])
    wrong = {
        f"teacher + {percent} %": fl.MeanFieldQuadratic(values * (1 + percent / 100), 0.3) for percent in (1, 3, 6)
    }
    wrong["start + 10 %"] = fl.MeanFieldQuadratic(values, 0.33)
    return Setting(
        "mean field", fl.MeanFieldQuadratic(values, 0.3), wrong, np.geomspace(0.05, 3, 15), (50, 100, 200), 16
    )


def committee(
    name: str, activation: str, times: np.ndarray, sizes: tuple[int, ...], rate: float, start: int
) -> Setting:
    """One-pass SGD of two units: near its start, or through the plateau."""
    drawn = fl.Committee.random(2, 2, dimension=start, rng=1, activation=activation, learning_rate=rate)

    def make(learning_rate: float, noise: float = 0.0) -> fl.Committee:
        overlaps = (drawn.Q, drawn.R, drawn.T)
        return fl.Committee(*overlaps, activation=activation, learning_rate=learning_rate, noise=noise)

    wrong: dict[str, Problem] = {"gradient flow": make(0.0)}
    wrong |= {f"learning rate + {percent} %": make(rate * (1 + percent / 100)) for percent in (10, 30)}
    return Setting(name, make(rate), wrong, times, sizes, 16)


def predicted(activation: str, rate: float) -> Setting:
    """One size of one-pass SGD, whose spread and bias the theory predicts."""

    def make(learning_rate: float) -> fl.Committee:
        overlaps = ([[0.6, 0.1], [0.1, 0.5]], [[0.13, 0.05], [0.03, 0.19]], [[1.0, 0.2], [0.2, 1.0]])
        return fl.Committee(*overlaps, activation=activation, learning_rate=learning_rate, noise=0.05)

    wrong: dict[str, Problem] = {"learning rate + 3 %": make(1.03 * rate), "learning rate + 10 %": make(1.1 * rate)}
    return Setting(
        f"committee {activation}, one size, predicted", make(rate), wrong, np.linspace(1, 8, 8), (1000,), 64,
        solving={"fluctuations": True},
    )  # fmt: skip


def xor() -> Setting:
    """One-pass SGD on the XOR mixture."""

    def make(noise_scale: float = 0.5, learning_rate: float = 0.2) -> fl.XorMixture:
        drawn = fl.XorMixture(4, separation=1.0, noise_scale=0.5, scale=0.5, dimension=200, rng=2)
        return fl.XorMixture(
            Q=drawn.Q, R=drawn.R, second_layer=drawn.second_layer, separation=1.0, noise_scale=noise_scale,
            learning_rate=learning_rate,
        )  # fmt: skip

    wrong = {
        "noise scale + 3 %": make(0.515),
        "noise scale + 10 %": make(0.55),
        "gradient flow": make(learning_rate=0.0),
    }
    return Setting("XOR, SGD", make(), wrong, np.linspace(0.5, 4.0, 8), (100, 200, 400), 16)


def settings() -> list[Setting]:
    """Return all settings."""
    away, through = np.linspace(0, 40, 21)[1:], np.linspace(0, 120, 25)[1:]
    return [
        extensive("orthonormal", fl.Spectrum.orthonormal, (60, 120, 240)),
        extensive("gaussian", fl.Spectrum.marchenko_pastur, (40, 80, 120)),
        mean_field(),
        committee("committee erf, away from the plateau", "erf", away, (100, 200, 400), 0.5, 100),
        committee("committee erf, through the plateau", "erf", through, (500, 1000, 2000), 1.0, 10**4),
        committee("committee square", "square", np.linspace(0, 10, 11)[1:], (100, 200, 400), 0.1, 100),
        predicted("erf", 1.0),
        predicted("square", 0.1),
        predicted("relu", 0.5),
        xor(),
    ]


def distance(right: Any, wrong: Any) -> float:
    """Return the largest difference of two theories in units of the largest value of each variable."""
    predicted_too = ("std_", "bias_", "needs_")
    timed = [name for name in right.data_vars if "time" in right[name].dims and not name.startswith(predicted_too)]
    shared = [name for name in timed if name in wrong]
    parts = [np.abs(wrong[name] - right[name]).max() / np.abs(right[name]).max() for name in shared]
    return float(max(parts))


def calibrate(setting: Setting, seeds: int) -> list[list[object]]:
    """Return one row of the table per theory."""
    pools = []
    for size in setting.sizes:
        arguments = {setting.problem.size_name: size, "runs": setting.runs * seeds, "progress": False}
        root = np.random.SeedSequence(2026, spawn_key=(size,))
        pools.append(setting.problem.simulate(setting.times, rng=root, **arguments, **setting.options))
    parts = [[pool.isel(run=slice(setting.runs * i, setting.runs * (i + 1))) for pool in pools] for i in range(seeds)]
    times = pools[0]["time"].values if setting.solving else setting.times
    right = setting.problem.solve(times, **setting.solving)
    rows: list[list[object]] = []
    for name, problem in {"right": setting.problem, **setting.wrong}.items():
        theory = problem.solve(times, **setting.solving)
        found = [fl.compare(theory, *runs, resolution=RESOLUTION) for runs in parts]
        count = [sum(one.passed is answer for one in found) for answer in (True, False, None)]
        unseen = float(np.median([one.unseen for one in found]))
        sizes = " ".join(map(str, setting.sizes))
        rows.append(
            [
                setting.name,
                sizes,
                setting.runs,
                name,
                float(f"{distance(right, theory):.2g}"),
                seeds,
                *count,
                float(f"{unseen:.2g}"),
            ]
        )
    return rows


def judge(record: Record, rows: list[list[object]]) -> None:
    """Note the claims on one setting."""
    for setting, _, _, theory, away, seeds, agrees, differs, *_ in rows:
        text = f"{setting}: {theory}, {seeds} seeds"
        if theory == "right":
            seen = f"differs in {differs}, agrees in {agrees}"
            record.claim(SOURCE, text, expected='"differs" in at most 1 %', seen=seen, passed=differs <= 0.01 * seeds)  # type: ignore[operator]
        elif away > RESOLUTION:  # type: ignore[operator]
            record.wrong_theory(SOURCE, text, seen=f"agrees in {agrees}, {away} off", failed=agrees <= 0.01 * seeds)  # type: ignore[operator]


def run(record: Record, full: bool) -> None:
    """Compute the claims: 20 seeds of the quick settings, and with `full` 200 of all."""
    rows: list[list[object]] = []
    for setting in settings():
        if full or setting.name in ("mean field", "committee square", "committee erf, away from the plateau"):
            found = calibrate(setting, 200 if full else 20)
            judge(record, found)
            rows += found
    record.table("settings", COLUMNS, rows)


def main() -> None:
    """Print the table and write it to ``validation/data``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", default="", help="settings whose name holds this word")
    options = parser.parse_args()
    rows: list[list[object]] = []
    for setting in settings():
        if options.only in setting.name:
            started = time.perf_counter()
            found = calibrate(setting, options.seeds)
            rows += found
            for row in found:
                print(*row, sep=" | ", flush=True)
            print(f"{time.perf_counter() - started:.0f} s\n", flush=True)
    if not options.only:
        Record("calibration", DATA).table("settings", COLUMNS, rows)


if __name__ == "__main__":
    main()
