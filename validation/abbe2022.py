r"""Abbe, Boix-Adsera & Misiakiewicz: a staircase is learnt by the dynamics without dimension, its top alone is not.

At infinite dimension a network starts orthogonal to the few directions that matter.  It learns xi_1 + xi_1 xi_2, whose second step becomes
linear once the first is climbed, and stays at xi_1 xi_2 for ever.  (The paper has inputs of signs; here they are Gaussian, as everywhere in the
package.)  At finite dimension the start is not orthogonal, and the top alone is left after a time that grows with log d.
"""

from __future__ import annotations

import warnings

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

PAPER = "Abbe, Boix-Adsera & Misiakiewicz, arXiv 2202.08658"
TARGETS = {
    "xi_1": lambda x: x[:, 0],
    "xi_1 + xi_1 xi_2": lambda x: x[:, 0] + x[:, 0] * x[:, 1],
    "xi_1 xi_2": lambda x: x[:, 0] * x[:, 1],
}
#: Risks at t = 5 and 20 found by a program that shares no code with the package.
KNOWN = {"xi_1": (8.25e-3, 9e-16), "xi_1 + xi_1 xi_2": (0.1731, 0.0793), "xi_1 xi_2": (0.5, 0.5)}
TIMES = np.array([0.0, 1.0, 2.0, 5.0, 10.0, 20.0])


def problem(target: str) -> fl.MeanField:
    """Return a ReLU network with a uniform on (-1, 1) and both layers trained."""
    nodes, shares = np.polynomial.legendre.leggauss(16)
    start = fl.Ensemble(shares / 2, nodes, np.zeros((16, 2)), 1.0)
    return fl.MeanField(None, start, activation="relu", target=TARGETS[target], second_layer_rate=1.0)


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    curves = {}
    for target, known in KNOWN.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = problem(target).solve(TIMES, accuracy=1e-6 if full else 1e-4, observables=["projections"])
        curves[target] = found["risk"].values
        for time, expected in zip((5.0, 20.0), known, strict=True):
            record.close(
                PAPER,
                f"{target}: risk at t = {time:g}, as another program found it",
                float(found["risk"].sel(time=time)),
                expected,
                atol=6e-5,
            )
        second = float(np.abs(found["projections"].values[-1, :, 1]).max())
        if target == "xi_1 + xi_1 xi_2":
            record.above(PAPER, f"{target}: the second direction is found, largest projection at t = 20", second, 1.0)
        elif target == "xi_1 xi_2":
            record.below(PAPER, f"{target}: no direction is found, largest projection at t = 20", second, 1e-6)
            told = any("nothing moves" in str(one.message) for one in caught)
            record.claim(
                PAPER,
                f"{target}: `solve` warns",
                expected="a warning",
                seen="a warning" if told else "none",
                passed=told,
            )
    learnt, stuck = curves["xi_1 + xi_1 xi_2"], curves["xi_1 xi_2"]
    record.below(PAPER, "staircase: risk at t = 20 over that at the start", float(learnt[-1] / learnt[0]), 0.1)
    record.wrong_theory(PAPER, "the top alone is learnt like the staircase: risk at t = 20 over that at the start", seen=f"{stuck[-1] / stuck[0]:.4f}", failed=stuck[-1] / stuck[0] > 0.99)  # fmt: skip
    leave(record, full, curves)


def leave(record: Record, full: bool, curves: dict[str, np.ndarray]) -> None:
    """A product of two directions at finite dimension, as a pair of squares, which a polynomial student sees: it leaves after log d."""
    # xi_1 xi_2 = ((xi_1 + xi_2)/sqrt 2)^2/2 - ((xi_1 - xi_2)/sqrt 2)^2/2, each of mean 1/2: two teachers of opposite sign.
    rows = []
    dimensions = (10**2, 10**3, 10**4, 10**5) if full else (10**2, 10**3, 10**4)
    for d in dimensions:
        start = fl.Ensemble.gaussian(d, second_layer=([1.0, -1.0], [0.5, 0.5]))
        pair = fl.MeanField(
            np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2),
            start,
            activation="square",
            teacher_second_layer=[-1.0, 1.0],
        )
        begin = float(pair.solve([0.0], particles=32)["risk"][0])
        found = pair.solve([40.0], particles=32, events=fl.Event("risk", begin / 2, stop=False))
        rows.append([d, float(found["event_time"][0])])
    slopes = np.diff([row[1] for row in rows]) / np.log(10.0)
    record.close(
        f"{PAPER}; plateau",
        "escape time of the top at finite dimension, per log d: last two decades",
        float(slopes[-1]),
        float(slopes[-2]),
        rtol=0.03,
    )
    record.table("escape", ["dimension", "time"], rows)
    figure, (left, right) = cross.panels(2)
    for index, (target, curve) in enumerate(curves.items()):
        left.plot(
            TIMES,
            curve,
            style.LINES[index],
            color=style.COLOURS[index],
            label=f"${target.replace('xi', chr(92) + 'xi')}$",
        )
    left.set_xlabel("$t$")
    left.set_ylabel("risk")
    right.plot(
        [row[0] for row in rows],
        [row[1] for row in rows],
        style.MARKERS[0],
        ms=4,
        color=style.COLOURS[0],
        label=r"$\xi_1\xi_2$, squares",
    )
    right.set_xscale("log")
    right.set_xlabel("dimension $d$")
    right.set_ylabel("time of half the risk")
    for axes in (left, right):
        style.add_legend(axes)
    record.figure(figure, "staircase")
