r"""
A plateau that dissolves
========================

Two erf units learn two by gradient flow from a small start, with inputs of :math:`L` groups of directions whose
variances fall as :math:`l^{-2}` and have the mean one. Left: with one group, white inputs, the units stay alike on a
plateau and then specialise exponentially fast; with more groups the plateau shrinks and the end becomes a power
law. Right: when half of the plateau is left.

Source: R. Worschech, B. Rosenow, arXiv 2410.09005.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

times = np.geomspace(0.1, 2e3, 400)
start = 1e-3 * np.array([[1.0, 0.2], [0.1, 0.6]])


def risk(L):
    c = np.arange(1.0, L + 1) ** -2
    law = fl.Spectrum(c / c.mean(), np.full(L, 1 / L))
    problem = fl.Committee(1e-4 * np.eye(2), start, np.eye(2), activation="erf", covariance=law)
    return problem.solve(times)["risk"].values


figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = panels = figure.subplots(1, 2)
exits = {}
for i, L in enumerate((1, 2, 4, 8, 20, 64)):
    values = risk(L)
    slope = -np.gradient(np.log(np.maximum(values, 1e-20)), np.log(times))
    flattest = np.argmin(np.where((times > 1) & (times < 60), slope, np.inf))
    exits[L] = np.interp(-values[flattest] / 2, -values, times)
    if L in (1, 4, 20, 64):
        left.loglog(times, np.maximum(values, 1e-20), color=style.COLOURS[i % 6], label=f"$L = {L}$")
right.loglog(list(exits), list(exits.values()), "o-", color=style.THEORY, ms=4)
left.set(xlabel="time  $t$", ylabel="risk", ylim=(1e-7, 0.1))
right.set(xlabel="groups  $L$", ylabel="end of the plateau  $t$")
for axes in panels:
    style.dress(axes)
style.add_legend(left)
