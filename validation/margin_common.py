"""Data of the margin cases: small sets stored as CSV, one sample per row, the label last."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from .record import DATA, Record, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECADE = float(np.log(10.0))


def keep(record: Record, figure: Figure, name: str) -> None:
    """Save a figure for the page, for papers, and as pixels."""
    figure.savefig(record.figure(figure, name).with_suffix(".png"), dpi=220)


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of ``validation/data/margin_<name>.csv``."""
    with (DATA / f"margin_{name}.csv").open(newline="") as stream:
        rows = np.array([[float(value) for value in row] for row in list(csv.reader(stream))[1:]])
    return rows[:, :-1].copy(), rows[:, -1].copy()


def write(name: str, X: np.ndarray, y: np.ndarray) -> None:
    """Write a data set with every digit of its numbers."""
    header = ",".join([*(f"x{k + 1}" for k in range(X.shape[1])), "y"])
    rows = [",".join(repr(float(value)) for value in (*x, label)) for x, label in zip(X, y)]
    write_atomically(DATA / f"margin_{name}.csv", "\n".join([header, *rows]) + "\n")


def make() -> None:
    """Draw the stored data sets anew: linear labels, random labels, and XOR labels, all on Gaussian inputs."""
    generator = np.random.default_rng(12)
    teacher, X = generator.normal(size=4), generator.normal(size=(12, 4))
    write("linear", X, np.sign(X @ teacher))
    generator = np.random.default_rng(2)
    X = generator.normal(size=(8, 4))
    write("quadratic", X, np.where(generator.random(8) < 0.5, -1.0, 1.0))
    for seed in (0, 1, 3):
        X = np.random.default_rng(seed).normal(size=(8, 2))
        write(f"relu_{seed}", X, np.sign(X[:, 0] * X[:, 1]))


if __name__ == "__main__":
    make()
