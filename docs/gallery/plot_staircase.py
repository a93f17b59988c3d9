r"""
A staircase, and its top alone
==============================

ReLU networks of infinite width and dimension that start orthogonal to the target, both layers trained.
Left: the risk. The staircase :math:`\xi_1 + \xi_1\xi_2` is climbed; the network stays at its top
:math:`\xi_1\xi_2` for ever, and `solve` warns of it. Right: the largest coordinate of a unit along each direction,
for the staircase: the second direction is found through the first.

Source: E. Abbe, E. Boix-Adsera, T. Misiakiewicz, arXiv 2202.08658.
"""

import warnings

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

nodes, shares = np.polynomial.legendre.leggauss(16)  # the second layer, uniform on (-1, 1)
start = fl.Ensemble(shares / 2, nodes, np.zeros((16, 2)), 1.0)
times = np.linspace(0, 12, 49)
targets = {
    r"$\xi_1$": lambda x: x[:, 0],
    r"$\xi_1\xi_2$": lambda x: x[:, 0] * x[:, 1],
    r"$\xi_1 + \xi_1\xi_2$": lambda x: x[:, 0] * (1 + x[:, 1]),
}

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = panels = figure.subplots(1, 2)
for i, (label, target) in enumerate(targets.items()):
    problem = fl.MeanField(None, start, activation="relu", target=target, second_layer_rate=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the top alone: nothing moves
        found = problem.solve(times, observables=["projections"], accuracy=1e-3)
    left.plot(times, found["risk"], style.LINES[i], color=style.COLOURS[i], label=label)
for i, size in enumerate(abs(found["projections"]).max("particle").values.T):
    right.plot(times, size, style.LINES[i], color=style.COLOURS[i], label=rf"along $\xi_{i + 1}$")
left.set(xlabel="$t$", ylabel="risk")
right.set(xlabel="$t$", ylabel="largest projection")
for axes in panels:
    style.dress(axes)
    style.add_legend(axes)
