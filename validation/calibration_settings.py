"""False verdicts of `fl.compare` by seeds, in every setting where it is used, and its power against the distance of a wrong theory.

Per setting: three sizes, the right theory, and theories that are off by a known distance (the largest over times and variables, in units of
the largest value of the variable).  Claimed: the right theory "differs" in at most 1 of 100 seeds, and a theory further off than the
resolution "agrees" in at most 1 of 100.  ``python -m validation.calibration_settings`` takes 200 seeds; among the other cases it is 20.
``--folder F`` keeps the verdicts of every seed, so that a long calibration goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import flowlimits as fl
from flowlimits.core.problem import Problem

from .record import DATA, Record

SOURCE = "flowlimits.verdict.judge"
COLUMNS = (
    "setting",
    "sizes",
    "runs",
    "theory",
    "distance",
    "seeds",
    "agrees",
    "differs",
    "undecided",
    "unseen_median",
    "exponent_covered",
    "exponent_stated",
)
SEED_COLUMNS = ("theory", "seed", "verdict", "unseen", "exponent", "exponent_error")
RESOLUTION = 0.05


@dataclass(frozen=True)
class Setting:
    """What is simulated, and the theories that it is compared with."""

    name: str
    problem: Problem
    wrong: Mapping[str, Problem]
    times: np.ndarray
    sizes: tuple[int, ...]
    runs: int
    options: dict[str, Any] = field(default_factory=dict)
    solving: dict[str, Any] = field(default_factory=dict)
    order: int = 1

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return re.sub(r"\W+", "_", self.name)

    @property
    def theories(self) -> dict[str, Problem]:
        """The right problem and the wrong ones by name."""
        return {"right": self.problem, **self.wrong}


def extensive(start: str, teacher: Callable[[float], fl.Spectrum], sizes: tuple[int, ...]) -> Setting:
    """Quadratic networks of width proportional to the dimension."""

    def make(student: float, ratio: float) -> fl.ExtensiveQuadratic:
        return fl.ExtensiveQuadratic(student, teacher(ratio), start=start)

    wrong = {f"student ratio + {percent} %": make(0.5 * (1 + percent / 100), 0.25) for percent in (1, 2, 5, 10)}
    wrong |= {f"teacher ratio + {percent} %": make(0.5, 0.25 * (1 + percent / 100)) for percent in (2, 5)}
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


#: A start and a teacher far from any plateau.
GIVEN = ([[0.6, 0.1], [0.1, 0.5]], [[0.13, 0.05], [0.03, 0.19]], [[1.0, 0.2], [0.2, 1.0]])


def committee(
    name: str,
    activation: str,
    times: np.ndarray,
    sizes: tuple[int, ...],
    rate: float,
    start: int | None,
    runs: int = 16,
) -> Setting:
    """One-pass SGD of two units from a `GIVEN` start, or from a random one at a dimension, which may be at a plateau."""
    overlaps: Any = GIVEN
    if start is not None:
        drawn = fl.Committee.random(2, 2, dimension=start, rng=1, activation=activation)
        overlaps = (drawn.Q, drawn.R, drawn.T)

    def make(learning_rate: float) -> fl.Committee:
        return fl.Committee(*overlaps, activation=activation, learning_rate=learning_rate)

    wrong: dict[str, Problem] = {"gradient flow": make(0.0)}
    wrong |= {f"learning rate + {percent} %": make(rate * (1 + percent / 100)) for percent in (10, 30, 100, 200)}
    return Setting(name, make(rate), wrong, times, sizes, runs)


def predicted(activation: str, rate: float) -> Setting:
    """One size of one-pass SGD, whose spread and bias the theory predicts."""

    def make(learning_rate: float) -> fl.Committee:
        return fl.Committee(*GIVEN, activation=activation, learning_rate=learning_rate, noise=0.05)

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

    wrong: dict[str, Problem] = {
        "noise scale + 3 %": make(0.515),
        "noise scale + 6 %": make(0.53),
        "noise scale + 10 %": make(0.55),
        "gradient flow": make(learning_rate=0.0),
    }
    return Setting("XOR, SGD", make(), wrong, np.linspace(0.5, 4.0, 8), (200, 400, 800), 24)


def settings() -> list[Setting]:
    """Return all settings."""
    away, through = np.linspace(0, 40, 21)[1:], np.linspace(0, 120, 25)[1:]
    return [
        extensive("orthonormal", fl.Spectrum.orthonormal, (60, 120, 240)),
        extensive("gaussian", fl.Spectrum.marchenko_pastur, (40, 80, 120)),
        mean_field(),
        committee("committee erf, away from the plateau", "erf", away, (200, 400, 800), 0.5, 100),
        committee("committee erf, small sizes", "erf", away, (50, 100, 200), 0.5, 100, runs=8),
        committee("committee erf, through the plateau", "erf", through, (500, 1000, 2000), 1.0, 10**4),
        committee("committee square, random start", "square", np.linspace(1, 10, 10), (100, 200, 400), 0.1, 100),
        committee("committee square", "square", np.linspace(1, 5, 5), (500, 1000, 2000), 0.1, None, runs=24),
        predicted("erf", 1.0),
        predicted("square", 0.1),
        predicted("relu", 0.5),
        xor(),
    ]


def distance(right: Any, wrong: Any) -> float:
    """Return the largest difference of two theories in units of the largest value of each variable."""
    timed = [name for name in right.data_vars if "time" in right[name].dims]
    shared = [name for name in timed if name in wrong]
    parts = [np.abs(wrong[name] - right[name]).max() / np.abs(right[name]).max() for name in shared]
    return float(max(parts))


def simulated(setting: Setting, seed: int) -> list[xr.Dataset]:
    """Return the runs of one seed at every size."""
    problem, found = setting.problem, []
    for size in setting.sizes:
        root = np.random.SeedSequence(2026, spawn_key=(size, seed))
        arguments = {problem.size_name: size, "runs": setting.runs, "rng": root, "progress": False}
        found.append(problem.simulate(setting.times, **arguments, **setting.options))
    return found


def solved(setting: Setting, name: str, times: np.ndarray) -> xr.Dataset:
    """Return a theory; without its problem, where the verdict needs none, so that no factor of its clock is searched for."""
    theory = setting.theories[name].solve(times, **setting.solving)
    if not setting.solving:
        del theory.attrs["problem"]
    return theory


def verdicts(setting: Setting, seeds: int, folder: Path | None = None) -> list[dict[str, str]]:
    """Return one row per seed and theory; those that the folder holds are not computed again."""
    path = None if folder is None else folder / f"{setting.slug}.csv"
    rows: dict[tuple[str, int], dict[str, str]] = {}
    if path is not None and path.is_file():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = {(row["theory"], int(row["seed"])): row for row in csv.DictReader(stream)}
    theories: dict[str, xr.Dataset] = {}
    for seed in range(seeds):
        missing = [name for name in setting.theories if (name, seed) not in rows]
        runs = simulated(setting, seed) if missing else []
        for name in missing:
            if name not in theories:
                theories[name] = solved(setting, name, runs[0]["time"].values if setting.solving else setting.times)
            found = fl.compare(theories[name], *runs, resolution=RESOLUTION)
            numbers = [found.unseen, found.exponent, found.exponent_error]
            row = dict(zip(SEED_COLUMNS, [name, str(seed), found.verdict, *(f"{one:.6g}" for one in numbers)]))
            rows[name, seed] = row
            if path is not None:
                begun = path.is_file()
                with path.open("a", newline="", encoding="utf-8") as stream:
                    writer = csv.DictWriter(stream, SEED_COLUMNS, lineterminator="\n")
                    if not begun:
                        writer.writeheader()
                    writer.writerow(row)
    return [row for (name, seed), row in rows.items() if seed < seeds and name in setting.theories]


def calibrate(setting: Setting, seeds: int, folder: Path | None = None) -> list[list[object]]:
    """Return one row of the table per theory."""
    judged = verdicts(setting, seeds, folder)
    right = setting.problem.solve(setting.times)
    rows: list[list[object]] = []
    for name, problem in setting.theories.items():
        here = [row for row in judged if row["theory"] == name]
        said = [row["verdict"].split(":")[0] for row in here]
        unseen = float(np.median([float(row["unseen"]) for row in here]))
        pairs = [(float(row["exponent"]), float(row["exponent_error"])) for row in here] if name == "right" else []
        stated = [pair for pair in pairs if np.isfinite(pair).all()]
        covered = sum(abs(value + setting.order) <= 2 * error for value, error in stated)
        rows.append(
            [
                setting.name,
                " ".join(map(str, setting.sizes)),
                setting.runs,
                name,
                float(f"{distance(right, problem.solve(setting.times)):.2g}"),
                len(here),
                *(said.count(answer) for answer in ("agrees", "differs", "undecided")),
                float(f"{unseen:.2g}"),
                covered if stated else "",
                len(stated) if stated else "",
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
        if full or setting.name in ("mean field", "committee square, random start", "committee erf, small sizes"):
            found = calibrate(setting, 200 if full else 20)
            judge(record, found)
            rows += found
    record.table("settings", COLUMNS, rows)


def main() -> None:
    """Print the table and write it to ``validation/data``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", default="", help="settings whose name holds this word")
    parser.add_argument(
        "--folder", type=Path, help="folder that keeps the verdicts, seed by seed: a search goes on there"
    )
    options = parser.parse_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    rows: list[list[object]] = []
    for setting in settings():
        if options.only in setting.name:
            started = time.perf_counter()
            found = calibrate(setting, options.seeds, options.folder)
            rows += found
            for row in found:
                print(*row, sep=" | ", flush=True)
            print(f"{time.perf_counter() - started:.0f} s\n", flush=True)
    if not options.only:
        Record("calibration", DATA).table("settings", COLUMNS, rows)


if __name__ == "__main__":
    main()
