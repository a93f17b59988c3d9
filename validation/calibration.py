"""How often the verdict of `fl.compare` is right: the right theory and theories whose ratios are 5 % off.

Every seed simulates the sizes 60, 120 and 240 with 24 runs each at 30 geometric times tau in [0.05, 5] and compares
all variables.  ``python -m validation.calibration`` computes the case that the documentation states, with 100 seeds; with
``--full`` it adds students as wide as the teacher and narrower ones, Gaussian weights, other sizes, and a single size.
Among the other cases of the programme the first 30 of those seeds are judged, and all of them with ``--full``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

import flowlimits as fl

from .record import DATA, Record

TIMES = np.geomspace(0.05, 5, 30)
RUNS = 24
OFF = 0.05
SIZES = (60, 120, 240)
SOURCE = "flowlimits.verdict.judge"
COLUMNS = ("case", "sizes", "theory", "seeds", "agrees", "differs", "undecided", "largest_median", "largest_95", "at")


@dataclass(frozen=True)
class Case:
    """One setting: the problem as a function of its two ratios, and what is simulated."""

    name: str
    student_ratio: float
    teacher_ratio: float
    problem: Callable[[float, float], fl.ExtensiveQuadratic]
    sizes: tuple[int, ...] = SIZES
    seeds: int = 100
    power: bool = True  # whether theories 5 % off are claimed to be caught

    def theories(self) -> dict[str, fl.ExtensiveQuadratic]:
        """Return the right problem and the wrong ones by name."""
        a, b = self.student_ratio, self.teacher_ratio
        return {
            "right": self.problem(a, b),
            "student ratio + 5 %": self.problem(a * (1 + OFF), b),
            "student ratio - 5 %": self.problem(a * (1 - OFF), b),
            "teacher ratio + 5 %": self.problem(a, b * (1 + OFF)),
            "teacher ratio - 5 %": self.problem(a, b * (1 - OFF)),
        }


def orthonormal(student_ratio: float, teacher_ratio: float) -> fl.ExtensiveQuadratic:
    """Martin, Bach & Biroli's setting: orthonormal students and teachers."""
    return fl.ExtensiveQuadratic(student_ratio, fl.Spectrum.orthonormal(teacher_ratio), start="orthonormal")


def gaussian(student_ratio: float, teacher_ratio: float) -> fl.ExtensiveQuadratic:
    """Gaussian start and a Gaussian teacher drawn anew in every run."""
    return fl.ExtensiveQuadratic(student_ratio, fl.Spectrum.marchenko_pastur(teacher_ratio), start="gaussian")


STATED = Case("orthonormal", 0.5, 0.25, orthonormal)
FURTHER = (
    Case("orthonormal", 0.5, 0.5, orthonormal, seeds=50),
    Case("orthonormal", 0.25, 0.5, orthonormal, seeds=50),
    Case("orthonormal", 0.5, 0.25, orthonormal, sizes=(60, 240)),
    Case("orthonormal", 0.5, 0.25, orthonormal, sizes=(40, 80, 160)),
    Case("orthonormal", 0.5, 0.25, orthonormal, sizes=(40, 60, 120, 240)),
    Case("orthonormal", 0.5, 0.25, orthonormal, sizes=(50, 75, 110, 180)),
    Case("orthonormal", 0.5, 0.25, orthonormal, sizes=(240,)),
    Case("Gaussian", 0.5, 0.25, gaussian, sizes=(40, 80, 120), seeds=40, power=False),
    Case("Gaussian", 0.25, 0.5, gaussian, sizes=(40, 80, 120), seeds=40, power=False),
)


def simulated(case: Case, size: int, cache: Path | None, progress: bool | None) -> list[xr.Dataset]:
    """Return the runs of all seeds, from the cache if they are there."""
    problem = case.problem(case.student_ratio, case.teacher_ratio)
    label = f"{case.name}_{case.student_ratio:g}_{case.teacher_ratio:g}_{size}.nc"
    path = None if cache is None else cache / label
    if path is not None and path.is_file():
        pool = fl.load(path)
    else:
        root = np.random.SeedSequence(2023, spawn_key=(size,))
        pool = problem.simulate(TIMES, dimension=size, runs=RUNS * case.seeds, rng=root, progress=progress)
        if path is not None:
            fl.save(pool, path)
    if pool.sizes["run"] < RUNS * case.seeds:
        raise ValueError(f"{path} holds {pool.sizes['run']} runs, but {RUNS * case.seeds} are needed: remove it.")
    return [pool.isel(run=slice(RUNS * i, RUNS * (i + 1))) for i in range(case.seeds)]


def calibrate(case: Case, cache: Path | None = None, progress: bool | None = None) -> list[list[object]]:
    """Return one row of the table per theory."""
    pools = [simulated(case, size, cache, progress) for size in case.sizes]
    rows: list[list[object]] = []
    for name, problem in case.theories().items():
        theory = problem.solve(TIMES)
        found = [fl.compare(theory, *runs) for runs in zip(*pools)]
        largest = np.array([one.largest / one.allowed for one in found])
        worst = [one.at.variable for one in found]
        at = max(sorted(set(worst)), key=worst.count)
        count = [sum(one.passed is answer for one in found) for answer in (True, False, None)]
        setting = f"{case.name} ({case.student_ratio:g}, {case.teacher_ratio:g})"
        sizes = " ".join(map(str, case.sizes))
        middle, high = np.quantile(largest, [0.5, 0.95])
        rows.append([setting, sizes, name, case.seeds, *count, float(f"{middle:.3g}"), float(f"{high:.3g}"), at])
    return rows


def show(rows: Sequence[Sequence[object]]) -> str:
    """Return the rows as aligned text."""
    table = [COLUMNS, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)


def judge(record: Record, rows: Sequence[Sequence[object]], power: bool) -> None:
    """Note the claims: 95 of 100 right verdicts, for the right theory and, where there is `power`, for each wrong one."""
    for setting, sizes, theory, seeds, agrees, differs, *_ in rows:
        text = f"{setting}, sizes {sizes}, {RUNS} runs: seeds of {seeds} with a right verdict, {theory}"
        if theory == "right":
            record.claim(SOURCE, text, expected=">= 95 %", seen=str(agrees), passed=agrees >= 0.95 * seeds)
        elif power:
            record.wrong_theory(SOURCE, text, seen=f"differs in {differs}", failed=differs >= 0.95 * seeds)


def run(record: Record, full: bool) -> None:
    """Compute the claims: some seeds of the stated case; with `full` all of them, and the other cases of several sizes."""
    cases = [STATED, *(case for case in FURTHER if len(case.sizes) > 2)] if full else [replace(STATED, seeds=30)]
    rows: list[list[object]] = []
    for case in cases:
        found = calibrate(case, progress=False)
        judge(record, found, case.power)
        rows += found
    record.table("rates", COLUMNS, rows)


def main() -> None:
    """Print the table and write it to ``validation/data/calibration.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all cases")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated runs")
    options = parser.parse_args()
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    rows: list[list[object]] = []
    for case in [STATED, *FURTHER] if options.full else [STATED]:
        started = time.perf_counter()
        rows += calibrate(case, options.cache)
        print(show(rows[-5:]))
        print(f"{time.perf_counter() - started:.0f} s\n")
    if options.full:
        Record("calibration", DATA).table("rates", COLUMNS, rows)


if __name__ == "__main__":
    main()
