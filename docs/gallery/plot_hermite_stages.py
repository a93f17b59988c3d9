r"""
One Hermite component after the other
=====================================

Infinite width and dimension, a target of one direction, and a second layer that is faster than the first
by :math:`1/\varepsilon`. Left: the Hermite components of the student, over those of the target, for
:math:`\varepsilon = 10^{-6}`. Right: the times at which they pass one half. Component :math:`n` takes
:math:`\varepsilon^{1/2n}` (dotted); the first one a logarithm more. The fastest rate is :math:`10^8`: the
integrator changes to its implicit method by itself.

Source: R. Berthier, A. Montanari, K. Zhou, arXiv 2303.00055.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

nodes, shares = np.polynomial.legendre.leggauss(16)  # the second layer, uniform on (-1, 1)
start = fl.Ensemble(shares / 2, nodes, np.zeros((16, 1)), 1.0)
norms = np.sqrt([1, 1, 2, 6])
student, teacher = (np.polynomial.hermite_e.herme2poly(c / norms) for c in ([0.5, 1, 1, 1], [0, 1, 0.8, 0.6]))
physics = {"activation": student, "teacher_activation": teacher, "spherical": True}

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = panels = figure.subplots(1, 2)
epsilons, halves = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8], []
for epsilon in epsilons:
    problem = fl.MeanField([[1.0]], start, second_layer_rate=1 / epsilon, **physics)
    found = problem.solve(np.geomspace(1e-5, 2, 400), observables=["components"], degree=3)
    shown = found["components"].values[:, 1:] / found["target_components"].values[1:]
    halves.append([found["time"].values[np.argmax(shown[:, n] > 0.5)] for n in range(3)])
    if epsilon == 1e-6:
        for n in range(3):
            left.semilogx(found["time"], shown[:, n], style.LINES[n], color=style.COLOURS[n], label=f"$n = {n + 1}$")
for n, time in enumerate(np.array(halves).T, start=1):
    right.loglog(epsilons, time, style.MARKERS[n - 1], ms=4, color=style.COLOURS[n - 1], label=f"$t_{n}$")
    right.loglog(epsilons, time[-1] * (np.array(epsilons) / 1e-8) ** (0.5 / n), ":", color=style.GUIDE)
left.set(xlabel="$t$", ylabel="component / target")
right.set(xlabel=r"$\varepsilon$", ylabel="time of one half")
for axes in panels:
    style.dress(axes)
    style.add_legend(axes)
