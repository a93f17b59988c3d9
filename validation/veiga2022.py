"""Veiga et al., phase diagram of SGD in high-dimensional two-layer networks: when its noise survives (arXiv 2202.00293).

Width p0 d^kappa and learning rate gamma0 d^-delta: on the time steps/d^(1 + kappa + delta) the noise term of the overlaps is present in the
limit for kappa + delta = 0 and vanishes as d^-(kappa + delta) above; below, another clock holds, which the package refuses.  Here kappa = 0.
"""

from __future__ import annotations

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

PAPER = "Veiga et al. 2202.00293"
P, GAMMA, NOISE = 3, 0.5, 1.0
TIMES = np.linspace(0.5, 4.0, 8)
Q = np.diag([0.6, 0.8, 0.7]) + 0.1
R = np.array([[0.6, 0.1], [0.1, 0.5], [0.2, 0.3]])


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    sizes = (100, 200, 400, 800, 1600, 3200) if full else (100, 200, 400, 800)
    runs = 200
    figure, axes = cross.panels(1)
    figure.set_size_inches(style.COLUMN, 2.7)
    rows = []
    for index, delta in enumerate((0.0, 0.25, 0.5)):
        convention = fl.conventions.Veiga(P, GAMMA, delta=delta, noise=NOISE)
        flow = fl.conventions.Veiga(P, GAMMA, delta=1.0, noise=NOISE).problem(Q, R, np.eye(2))
        deviations, own = [], []
        for d in sizes:
            problem = convention.problem(Q, R, np.eye(2), learning_rate=convention.learning_rate(d))
            seen = problem.simulate(
                convention.to_time(TIMES),
                dimension=d,
                runs=runs,
                rng=np.random.SeedSequence([index, d]),
                progress=False,
            )
            for target, theory in ((deviations, flow), (own, problem)):
                limit = theory.solve(seen["time"].values)["risk"].values
                target.append(cross.mean((seen["risk"].values / limit - 1).mean(axis=1)))
            rows.append([delta, d, runs, *deviations[-1], *own[-1]])
        small = [1 / d for d in sizes]
        cross.draw_points(axes[0], sizes, deviations, index, rf"$\delta = {delta:g}$")
        cross.draw_slope(axes[0], sizes, deviations[-1], -delta)
        name = "kappa = 0, delta = {:g}: exponent in 1/d of the mean deviation of SGD from the equations without noise term"
        found = cross.exponent(small, deviations, corrected=False)
        record.estimate(f"{PAPER}, phase diagram", name.format(delta), *found, delta, atol=0.05, largest=0.1)
        if delta == 0:
            text = f"kappa = delta = 0: mean risk of {runs} runs at d = {sizes[-1]} less that of the equations with noise term, relative"
            record.estimate(f"{PAPER}, Saad-Solla line", text, *own[-1], 0.0, atol=5 / sizes[-1], largest=0.02)
            record.wrong_theory(
                PAPER,
                "kappa = delta = 0: equations without noise term, the same, in standard errors",
                seen=cross.standard_errors(deviations[-1]),
                failed=cross.standard_errors(deviations[-1]) > 5,
            )
    try:
        fl.conventions.Veiga(P, GAMMA, delta=-0.5)
        refused = "accepted"
    except ValueError as error:
        refused = str(error)
    record.claim(
        PAPER, "kappa + delta < 0", expected="refused: another clock", seen=refused, passed="another clock" in refused
    )
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    axes[0].set_xticks(sizes, [str(d) for d in sizes])
    axes[0].set_xticks([], minor=True)
    axes[0].set_xlabel("$d$")
    axes[0].set_ylabel("deviation without noise term")
    style.add_legend(axes[0], loc="lower left")
    record.figure(figure, "phases")
    record.table("phases", ["delta", "dimension", "runs", "noiseless", "noiseless_error", "own", "own_error"], rows)
