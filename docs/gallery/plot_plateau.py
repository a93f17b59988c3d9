r"""
Plateau and specialisation of a soft committee machine
======================================================

Three erf units learn three by one-pass SGD. On the plateau all units are alike, with overlaps
:math:`1/\sqrt{K(2K-1)}` (dotted); then each chooses a teacher. Time, rate and error are in the
convention of the paper, which ``fl.conventions.Nn2pp`` converts both ways.

Source: D. Saad, S. A. Solla, Phys. Rev. E 52, 4225 (1995).
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

K, rng = 3, np.random.default_rng(0)
theirs = fl.conventions.Nn2pp(K, K, lr=0.1)
Q, R = np.diag(rng.uniform(0, 0.5, K)), rng.uniform(0, 1e-3, (K, K))
problem = theirs.problem(Q, R, np.eye(K), v=np.ones(K), A=np.ones(K))
steps = np.geomspace(1, 5e4, 400)
limit = problem.solve(theirs.to_time(steps))

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
left.loglog(steps, theirs.from_risk(limit["risk"]), color=style.THEORY, lw=1.2)
for axes, label in ((left, r"generalisation error  $\epsilon_g$"), (right, r"student-teacher overlaps  $R_{ir}$")):
    style.dress(axes)
    axes.set_xlabel("steps / $N$")
    axes.set_ylabel(label)
for i in range(K):
    right.semilogx(steps, limit["R"][:, i], color=style.COLOURS[i], lw=1.2, label=[f"unit {i + 1}"] + [None] * (K - 1))
right.axhline(1 / np.sqrt(K * (2 * K - 1)), color=style.GUIDE, ls=":", label=r"$1/\sqrt{K(2K-1)}$")
left.set_ylim(1e-12, 1)
style.add_legend(right)
