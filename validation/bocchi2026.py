"""Bocchi et al., quadratic networks of fixed width: plateau heights and the solution that is selected (arXiv 2604.03068)."""

import numpy as np

import flowlimits as fl
from flowlimits.committee import invariants, plateau
from flowlimits.plot import style

from .record import Record

PAPER = "Bocchi et al. 2604.03068"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    plateau_heights(record)
    nearest_solution(record, full)


def plateau_heights(record: Record) -> None:
    """In the matrix convention, L = risk/2 = 1/(2k) + 1/(2(p + 2)) on the plateau, for orthonormal teachers of trace one."""
    rows, axes = [], style.new_axes()
    times = np.geomspace(1e-2, 100, 400)
    for index, (p, k) in enumerate(((1, 1), (2, 2), (4, 2), (3, 5), (6, 3))):
        rng = np.random.default_rng(index)
        R = 1e-5 * rng.normal(size=(p, k))
        result = fl.Committee(np.eye(p), R, np.eye(k)).solve(times)
        height = 0.5 * float(plateau(result)["height"])
        expected = 0.5 / k + 0.5 / (p + 2)
        record.close(
            PAPER, f"p = {p}, k = {k}: height of the plateau of L, 1/(2k) + 1/(2(p + 2))", height, expected, rtol=1e-3
        )
        rows.append([p, k, height, expected])
        axes.plot(times, 0.5 * result["risk"], color=style.COLOURS[index], label=f"$p = {p}$, $k = {k}$")
        axes.axhline(
            expected,
            color=style.COLOURS[index],
            lw=0.9,
            ls=":",
            label=r"$\frac{1}{2k}+\frac{1}{2(p+2)}$" if index == 4 else None,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 2)
    axes.set_xlabel("$t$")
    axes.set_ylabel("$L$")
    style.add_legend(axes)
    record.figure(axes.figure, "plateaus")
    record.table("plateaus", ["p", "k", "height", "expected"], rows)


def polar(R: np.ndarray) -> np.ndarray:
    """Return the orthogonal factor of a square matrix."""
    left, _, right = np.linalg.svd(R)
    return left @ right


def nearest_solution(record: Record, full: bool) -> None:
    """With equal teacher eigenvalues and p = k the flow ends at the polar factor of the first overlap, the nearest zero-risk point.

    Exactly if the students' Gram matrix outside the teacher's space is proportional to the identity; for random starts up to O(sqrt(p/d)).
    """
    m = 3
    rng = np.random.default_rng(0)
    R = 0.1 * rng.normal(size=(m, m))
    exact = fl.Committee(0.7 * np.eye(m) + R @ R.T, R, np.eye(m)).solve([300.0])
    record.below(
        PAPER,
        "isotropic start outside the teacher's space: largest difference of the end point from the polar factor",
        float(np.abs(exact["R"][0] - polar(R)).max()),
        1e-6,
    )
    means = {}
    for d in (200, 2000):
        distances = []
        for seed in range(40 if full else 12):
            generator = np.random.default_rng(seed)
            W, frame = generator.normal(size=(m, d)), np.linalg.qr(generator.normal(size=(d, m)))[0].T * np.sqrt(d)
            problem = fl.Committee.from_weights(W, frame)
            end = problem.solve([300.0])
            distances.append(float(np.linalg.norm(end["R"][0] - polar(problem.R)) / np.sqrt(m)))
            assert float(invariants(end)["overlap"][0]) > 1 - 1e-6
        means[d] = float(np.mean(distances))
        record.below(
            PAPER,
            f"Gaussian starts, p = k = {m}, d = {d}: mean distance per unit from the polar factor",
            means[d],
            {200: 0.04, 2000: 0.015}[d],
        )
    record.close(PAPER, "ratio of the two, sqrt(10) for O(sqrt(p/d))", means[200] / means[2000], np.sqrt(10), rtol=0.4)
