"""Goldt, Advani, Saxe, Krzakala & Zdeborova, two-layer networks in the teacher-student setup (arXiv 1906.08632)."""

import itertools
import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record

PAPER = "Goldt et al. 1906.08632"


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    first_layer_only(record)
    both_layers(record, full)


def informed(K: int, M: int, v: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Return overlaps of M students near the teachers and K - M small ones."""
    rng = np.random.default_rng(seed)
    d = 500
    W_star = np.linalg.qr(rng.normal(size=(d, M)))[0].T * math.sqrt(d)
    W = 1e-2 * rng.normal(size=(K, d))
    W[:M] += W_star
    return {"Q": W @ W.T / d, "R": W @ W_star.T / d, "T": W_star @ W_star.T / d, "v": v, "A": np.ones(M)}


def first_layer_only(record: Record) -> None:
    """The final error of the soft committee is eta sigma^2 (L + M/sqrt 3)/(2 pi) with L = K - M surplus units, to first order in eta."""
    rows = []
    M, sigma = 2, 0.1
    for L in (0, 1, 3):
        K, errors, rates = M + L, [], (0.02, 0.01)
        for rate in rates:
            convention = fl.conventions.Nn2pp(K, M, rate, sigma=sigma)
            problem = convention.problem(**informed(K, M, np.ones(K)))
            errors.append(float(convention.from_risk(problem.solve(convention.to_time([4e3 / rate]))["risk"][0])))
        # Richardson: what is left is of second order in the rate.
        slope = 2 * errors[1] / rates[1] - errors[0] / rates[0]
        expected = sigma**2 * (L + M / math.sqrt(3)) / (2 * math.pi)
        record.close(
            f"{PAPER}, eq. (9)",
            f"K = {K}, M = {M}: final error per learning rate, first layer trained",
            slope,
            expected,
            rtol=0.02,
        )
        rows.append([K, M, slope, expected])
    record.table("first_layer", ["K", "M", "slope", "expected"], rows)


def both_layers(record: Record, full: bool) -> None:
    """With both layers trained the final error of erf networks falls with K: the student averages over the noise."""
    M, rate, sigma = 2, 0.1, 0.1
    finals, axes = [], style.new_axes()
    widths = (2, 3, 4, 6)
    for index, K in enumerate(widths):
        v = np.array([1.0 / (K // M + (r < K % M)) for r in (i % M for i in range(K))])
        start = informed(K, M, v)
        rng = np.random.default_rng(1)
        d = 500
        # Denoising start: every teacher is copied into several students that share its output.
        W_star = np.linalg.qr(rng.normal(size=(d, M)))[0].T * math.sqrt(d)
        W = W_star[np.arange(K) % M] + 0.3 * rng.normal(size=(K, d))
        start |= {"Q": W @ W.T / d, "R": W @ W_star.T / d, "T": W_star @ W_star.T / d}
        convention = fl.conventions.Nn2pp(K, M, rate, sigma=sigma, both=True)
        problem = convention.problem(**start)
        grid = np.geomspace(1, 1e5, 80)
        result = problem.solve(convention.to_time(grid))
        finals.append(float(result["risk"][-1]))
        axes.plot(grid, convention.from_risk(result["risk"]), color=style.COLOURS[index], label=f"$K = {K}$")
        if K == 4:
            measured = grid[grid < (200 if full else 30)][::4]
            runs = problem.simulate(convention.to_time(measured), dimension=20_000, runs=4, rng=0, progress=False)
            theory = problem.solve(runs["time"].values)
            deviation = float(np.abs(runs["second_layer"].mean("run") - theory["second_layer"]).max()) / K
            record.below(
                f"{PAPER}, Fig. 2",
                "K = 4, N = 20,000: largest deviation of the mean output weights v of 4 runs",
                deviation,
                6 / math.sqrt(4 * 20_000),
            )
            error = runs["risk"].std("run", ddof=1) / 2
            axes.errorbar(
                measured,
                runs["risk"].mean("run"),
                error,
                fmt="o",
                ms=3.2,
                mfc="white",
                color=style.COLOURS[index],
                label="4 runs, $N = 20{,}000$",
                zorder=4,
            )
    falling = all(b < a for a, b in itertools.pairwise(finals))
    record.claim(
        f"{PAPER}, Fig. 2",
        f"final errors with both layers trained, K = {widths}, fall with K",
        expected="falling",
        seen=", ".join(f"{e:.3g}" for e in finals),
        passed=falling,
    )
    record.table("both_layers", ["K", "final_error"], list(map(list, zip(widths, finals))))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("steps / $N$")
    axes.set_ylabel(r"$\epsilon_g$")
    style.add_legend(axes)
    record.figure(axes.figure, "both_layers")
