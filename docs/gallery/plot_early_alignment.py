r"""
Units align before they grow
============================

Forty ReLU units in the plane, from a vanishing start, on 30 inputs whose labels are linear with
noise. The angle of each unit turns, by the limit of a vanishing start, to one of two extremal
directions, one for each sign of the second layer :math:`a` (angles that differ by :math:`2\pi` are
one). Right: how far from extremal the directions still are.

Source: E. Boursier, N. Flammarion, arXiv 2401.10791.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
y = X @ [1.0, 0.5] + 0.3 * rng.normal(size=30)
times = np.geomspace(0.1, 60, 200)
limit = fl.EarlyAlignment(X, y, width=40, rng=1).solve(times)
angle = np.unwrap(np.arctan2(limit["direction"][:, :, 1], limit["direction"][:, :, 0]), axis=0)

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
for unit, sign in enumerate(np.sign(limit["balance"].values[0])):
    colour, label = style.COLOURS[int(sign > 0)], ["$a > 0$", "$a < 0$"][unit] if unit < 2 else None
    left.semilogx(times, angle[:, unit], color=colour, lw=0.8)
    right.loglog(times, limit["residual"][:, unit], color=colour, lw=0.8, label=label)
for axes, label in ((left, "angle of the unit"), (right, "distance from extremal")):
    style.dress(axes)
    axes.set_xlabel("time  $t$")
    axes.set_ylabel(label)
left.set_yticks([-np.pi, 0, np.pi], [r"$-\pi$", "$0$", r"$\pi$"])
style.add_legend(right, loc="lower left")
