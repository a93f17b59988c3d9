"""Draw the figure of the README: ``python docs/draw_figures.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import flowlimits as fl

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    problem = fl.ExtensiveQuadratic(student_ratio=0.5, teacher=fl.Spectrum.orthonormal(0.25), start="orthonormal")
    times = np.geomspace(0.05, 5, 30)
    comparison = fl.convergence(problem, times, sizes=[60, 120, 240], runs=24, rng=0)
    print(comparison)
    FOLDER.mkdir(exist_ok=True)
    fl.plot.overview(comparison).savefig(FOLDER / "martin2024.png", dpi=220)


if __name__ == "__main__":
    main()
