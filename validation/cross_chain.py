r"""The chain of overlaps against SGD on fresh inputs: the same law, at a dimension where single steps are large.

With standard normal inputs the overlaps of one-pass SGD are themselves a Markov chain, so that `simulate(method="overlaps")` claims to be exact
in law at every d, and not only as d grows.  Its witnesses are `method="samples"`, real weights and real inputs, and twenty lines of NumPy here
that share nothing with either but the statement of the problem.  At d = 30 the limit itself is visibly off, as is a chain whose learning rate is
wrong by 2 % at the same number of steps.

Tests: means in standard errors, logarithms of the variances in standard errors (from the fourth moments), Kolmogorov and Smirnov's two-sample
test, each corrected for the number of variables, and a permutation test of the energy distance of the joint law.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy.stats import ks_2samp

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

SOURCE = "overlap chain and samples"
D, RATE, NOISE = 30, 0.15, 0.1
ALONG = np.array([[0.7, 0.1], [0.2, 0.6], [-0.3, 0.4]])
ACROSS = np.array([0.5, 0.6, 0.7])
P, K = ALONG.shape
TIMES = np.array([0.25, 0.5, 1.0])
UPPER = np.triu_indices(P)


def problem(rate: float = RATE) -> fl.Committee:
    """Return one-pass SGD from overlaps written down."""
    return fl.Committee(ALONG @ ALONG.T + np.diag(ACROSS**2), ALONG, np.eye(K), learning_rate=rate, noise=NOISE)


def variables(result: xr.Dataset) -> np.ndarray:
    """Return risk, Q and R at all times as columns, shape (runs, times * variables)."""
    runs = result.sizes["run"]
    Q, R = result["Q"].values[:, :, UPPER[0], UPPER[1]], result["R"].values.reshape(runs, TIMES.size, P * K)
    return np.concatenate([result["risk"].values[:, :, None], Q, R], axis=2).reshape(runs, -1)


def by_hand(runs: int, rng: np.random.Generator) -> np.ndarray:
    """Return the same columns from SGD on real weights, all runs side by side; the risk by Isserlis' theorem on the matrix."""
    W_star = math.sqrt(D) * np.eye(K, D)
    start = math.sqrt(D) * np.hstack([ALONG, np.diag(ACROSS), np.zeros((P, D - P - K))])
    W = np.repeat(start[None], runs, axis=0)
    columns, done = [], 0
    for time in TIMES:
        last = round(time * P * D / RATE)
        for _ in range(last - done):
            x = rng.standard_normal((runs, D))
            fields = np.einsum("rpd,rd->rp", W, x) / math.sqrt(D)
            label = ((x @ W_star.T) ** 2).mean(axis=1) / D + math.sqrt(NOISE) * rng.standard_normal(runs)
            error = (fields**2).mean(axis=1) - label
            W -= (2 * RATE / (P * math.sqrt(D)) * error)[:, None, None] * fields[:, :, None] * x[:, None, :]
        done = last
        A = np.einsum("rpd,rpe->rde", W, W) / (P * D) - W_star.T @ W_star / (K * D)
        risk = (A**2).sum(axis=(1, 2)) + np.trace(A, axis1=1, axis2=2) ** 2 / 2
        Q, R = np.einsum("rpd,rqd->rpq", W, W) / D, (W @ W_star.T) / D
        columns.append(np.concatenate([risk[:, None], Q[:, UPPER[0], UPPER[1]], R.reshape(runs, P * K)], axis=1))
    return np.stack(columns, axis=1).reshape(runs, -1)


def compare(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Return, per column, the difference of means and of log variances in standard errors, and the p-value of the two-sample test."""
    means, variances, p_values = [], [], []
    for a, b in zip(first.T, second.T):
        (mean_a, error_a), (mean_b, error_b) = cross.mean(a), cross.mean(b)
        means.append((mean_a - mean_b) / math.hypot(error_a, error_b))
        (size_a, error_a), (size_b, error_b) = cross.spread(a), cross.spread(b)
        variances.append(math.log(size_a / size_b) / math.hypot(error_a / size_a, error_b / size_b))
        p_values.append(ks_2samp(a, b).pvalue)
    return {"mean": np.array(means), "variance": np.array(variances), "p": np.array(p_values)}


def energy_test(first: np.ndarray, second: np.ndarray, rng: np.random.Generator, permutations: int = 999) -> float:
    """Return the p-value of the energy distance of two samples of equal size, by exchanging their members."""
    scale = np.concatenate([first, second]).std(axis=0)
    points = np.concatenate([first, second]) / scale
    squares = (points**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0.0))
    signs = np.repeat([1.0, -1.0], len(first))
    # With signs +1 and -1 the energy distance is -s D s up to a factor.
    seen = -signs @ distances @ signs
    drawn = np.array([rng.permutation(signs) for _ in range(permutations)])
    shuffled = -np.einsum("ni,ni->n", drawn @ distances, drawn)
    return (1 + int((shuffled >= seen).sum())) / (permutations + 1)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    runs = 40_000 if full else 8000
    chain = problem().simulate(TIMES, dimension=D, runs=runs, rng=1, method="overlaps", progress=False)
    samples = problem().simulate(TIMES, dimension=D, runs=runs, rng=2, method="samples", progress=False)
    exact = variables(chain)
    witnesses = {"samples": variables(samples), "NumPy": by_hand(runs, np.random.default_rng(3))}
    steps = problem(1.02 * RATE).simulate(
        1.02 * TIMES, dimension=D, runs=runs, rng=4, method="overlaps", progress=False
    )
    others = {name: compare(exact, one) for name, one in witnesses.items()}
    others["chain, rate 2 % off"] = compare(variables(steps), witnesses["NumPy"])
    count = exact.shape[1]
    # Two-sided, level 1e-3 over all 39 columns, rounded up.
    bound = 4.3
    rng = np.random.default_rng(5)
    for name in witnesses:
        found, text = others[name], f"d = {D}, {runs} runs, {count} variables, chain against {name}"
        record.below(
            SOURCE, f"{text}: means, largest difference in standard errors", float(np.abs(found["mean"]).max()), bound
        )
        record.below(SOURCE, f"{text}: log variances, the same", float(np.abs(found["variance"]).max()), bound)
        record.above(
            SOURCE, f"{text}: two-sample test, smallest p-value times {count}", float(found["p"].min()) * count, 1e-3
        )
        size = 1500
        record.above(
            SOURCE,
            f"{text}: energy distance of the joint law of {size} runs each, p-value",
            energy_test(exact[:size], witnesses[name][:size], rng),
            1e-3,
        )
    off = others["chain, rate 2 % off"]
    record.wrong_theory(
        SOURCE,
        "chain with a learning rate 2 % off at the same steps: means, largest difference in standard errors",
        seen=float(np.abs(off["mean"]).max()),
        failed=np.abs(off["mean"]).max() > bound,
    )
    limit = problem().solve(TIMES)["risk"].values
    risk = chain["risk"].values
    distance = float(np.abs((risk.mean(axis=0) - limit) / (risk.std(axis=0, ddof=1) / math.sqrt(runs))).max())
    record.wrong_theory(
        SOURCE,
        f"the limit d -> infinity, at d = {D}: mean risk in standard errors",
        seen=distance,
        failed=distance > bound,
    )
    draw(record, chain, samples, limit, others, bound)
    record.table(
        "tests",
        ["pair", "variable", "mean_z", "variance_z", "p_value"],
        [
            [name, i, float(one["mean"][i]), float(one["variance"][i]), float(one["p"][i])]
            for name, one in others.items()
            for i in range(count)
        ],
    )


def draw(record: Record, chain: xr.Dataset, samples: xr.Dataset, limit: np.ndarray, others: dict, bound: float) -> None:
    """Draw the law of the risk by both methods, and the differences of all means."""
    figure, (left, right) = cross.panels(2)
    for index, time in enumerate(TIMES):
        first, second = chain["risk"].values[:, index], samples["risk"].values[:, index]
        edges = np.geomspace(max(first.min(), 1e-3), np.quantile(first, 0.999), 40)
        centres = np.sqrt(edges[1:] * edges[:-1])
        counts = [np.histogram(one, edges)[0] / (one.size * np.diff(np.log(edges))) for one in (first, second)]
        left.stairs(counts[0], edges, color=style.COLOURS[index], lw=1.0, label=f"$t = {time:g}$")
        left.plot(centres, counts[1], style.MARKERS[index], ms=2.5, color=style.COLOURS[index])
        left.axvline(limit[index], ls=":", lw=1.0, color=style.COLOURS[index])
    left.set_xscale("log")
    ticks = [0.02, 0.05, 0.1, 0.2, 0.4]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.set_xticks([], minor=True)
    left.set_xlabel("risk (lines: chain, points: samples)")
    left.set_ylabel("density per log risk")
    style.add_legend(left, loc="upper left")
    for index, (name, one) in enumerate(others.items()):
        ordered = np.sort(np.abs(one["mean"]))
        ranks = np.arange(1, ordered.size + 1) / ordered.size
        right.plot(
            ordered,
            ranks,
            style.MARKERS[index],
            ms=3,
            mfc="white" if index == 2 else None,
            color=style.COLOURS[(0, 2, 3)[index]],
            label=name if index == 2 else f"chain, {name}",
        )
    right.set_xlim(1e-2, 30.0)
    right.axvline(bound, ls="--", lw=1.0, color=style.GUIDE)
    right.set_xscale("log")
    right.set_xlabel("difference of means / standard error")
    right.set_ylabel("share of the variables")
    style.add_legend(right, loc="upper left", fontsize=6.5)
    record.figure(figure, "law")
