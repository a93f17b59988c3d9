"""Sarao Mannelli, Vanden-Eijnden & Zdeborova, shallow networks with quadratic activation: the flow of A (arXiv 2006.15459).

Their matrix A = (1/m) sum w w^T moves by dA/dt = -A grad E - grad E A.  It is integrated here as it stands, by the classical method of order
four, and compared with `Committee` through `fl.conventions.SaraoMannelli`, whose prefactor of E is remembered and not read off the paper.
What E tends to, and how fast, follows from docs/theory.md (Q10), (Q11) in their units, E = risk/2 and t = 2 s.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record

PAPER = "Sarao Mannelli et al. 2006.15459"
D, TEACHERS = 6, 2


def loss(A: np.ndarray, A_star: np.ndarray) -> float:
    """Return E = tr(A - A*)^2/2 + (tr(A - A*))^2/4."""
    difference = A - A_star
    return float((difference**2).sum() / 2 + np.trace(difference) ** 2 / 4)


def flow(A: np.ndarray, A_star: np.ndarray, times: np.ndarray, step: float = 1e-3) -> list[float]:
    """Return E at the times, multiples of the step, along dA/dt = -A grad E - grad E A."""

    def velocity(A: np.ndarray) -> np.ndarray:
        gradient = A - A_star + 0.5 * np.trace(A - A_star) * np.eye(D)
        return -A @ gradient - gradient @ A

    seen, done = [], 0
    for time in times:
        for _ in range(round(time / step) - done):
            first = velocity(A)
            second = velocity(A + step / 2 * first)
            third = velocity(A + step / 2 * second)
            A = A + step / 6 * (first + 2 * second + 2 * third + velocity(A + step * third))
        done = round(time / step)
        seen.append(loss(A, A_star))
    return seen


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    rng = np.random.default_rng(0)
    convention = fl.conventions.SaraoMannelli()
    w_star = rng.normal(size=(TEACHERS, D)) / np.sqrt(D)
    A_star = w_star.T @ w_star / TEACHERS
    values = np.sort(np.linalg.eigvalsh(A_star))[::-1]
    times = np.round(np.geomspace(0.5, 40.0, 12), 2)
    axes, rows = style.new_axes(), []
    for index, m in enumerate((1, 2, 4, 8)):
        w = rng.normal(size=(m, D))
        problem = convention.problem(w @ w.T, w @ w_star.T, w_star @ w_star.T)
        ours = convention.from_risk(problem.solve(convention.to_time(times), rtol=1e-10, atol=1e-13)["risk"].values)
        theirs = np.array(flow(w.T @ w / m, A_star, times))
        record.below(
            f"{PAPER}, flow of A",
            f"m = {m}, m* = {TEACHERS}, d = {D}: E along their equation against ours to t = 40, worst relative difference",
            float(np.abs(ours / theirs - 1).max()),
            1e-6,
        )
        rows += [[m, float(t), float(a), float(b)] for t, a, b in zip(times, ours, theirs)]
        late = 1e4
        final = float(convention.from_risk(problem.solve(convention.to_time([late]), atol=1e-16)["risk"].values[0]))
        if m < TEACHERS:
            lost = float((values[m:] ** 2).sum() + values[m:].sum() ** 2 / (m + 2)) / 2
            record.close("docs/theory.md (Q10)", f"m = {m} < m*: E at t = 1e4", final, lost, rtol=1e-6)
        elif m > TEACHERS:
            n = min(m, D) - TEACHERS
            # s = t/2, and E is half the risk.
            constant = n * (TEACHERS + 2) / (16 * (TEACHERS + 2 + n)) * 4 / 2
            record.close(
                "docs/theory.md (Q11)", f"m = {m} > m*: t^2 E at t = 1e4", final * late**2, constant, rtol=2e-2
            )
        else:
            # The overlaps, of size one, resolve the risk to 1e-15 and no further: the rate is what tells an exponential.
            fading = convention.from_risk(
                problem.solve(convention.to_time([60, 80, 120, 140]), rtol=1e-12, atol=1e-16)["risk"].values
            )
            rates = np.log(fading[::2] / fading[1::2])
            record.close(
                "docs/theory.md",
                f"m = m* = {m}: rate of decay of E from t = 120 to 140, in that from 60 to 80",
                rates[1] / rates[0],
                1.0,
                rtol=2e-3,
            )
            record.below("docs/theory.md", f"m = m* = {m}: E at t = 1e4, to round-off", final, 1e-15)
        axes.plot(times, ours, style.LINES[index], color=style.COLOURS[index], label=f"$m = {m}$")
        axes.plot(times, theirs, style.MARKERS[index], ms=3, color=style.COLOURS[index])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("$t$ (theirs)")
    axes.set_ylabel("$E$ (points: their equation)")
    style.add_legend(axes, loc="lower left")
    record.figure(axes.figure, "flow")
    record.table("flow", ["m", "time", "package", "their_equation"], rows)
