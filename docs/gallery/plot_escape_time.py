r"""
Escape time against the learning rate
=====================================

One quadratic neuron on the sphere starts at the overlap 0.01 and is trained by one-pass SGD with
learning rate :math:`g` and label noise of variance :math:`\Delta`. Points are the times at which
the equations reach the overlap 0.2, found as events; lines solve :math:`\dot m = m\,[4(1-6g)(1-m^2)
- 2g\Delta]` in closed form. Beyond :math:`g = 2/(12+\Delta)` (dotted) there is no escape.

Source: L. Arnaboldi, F. Krzakala, B. Loureiro, L. Stephan, arXiv 2305.18502.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

start, target = 0.01, 0.2
axes = style.new_axes()
for noise, colour, marker in zip((0.0, 2.0, 6.0), style.COLOURS, style.MARKERS):
    rates = np.linspace(0.005, 0.97 * 2 / (12 + noise), 14)
    event = fl.Event("risk", 2 * (1 - target**2))
    problems = [fl.Committee([[1.0]], [[start]], [[1.0]], learning_rate=g, noise=noise, spherical=True) for g in rates]
    times = [float(problem.solve([0.0, 500.0], events=[event])["event_time"][0]) for problem in problems]
    axes.semilogy(rates, times, marker, color=colour, mfc="white", ms=4)
    g = np.linspace(0.001, 2 / (12 + noise), 2000)[:-1]
    a, b = 4 * (1 - 6 * g) - 2 * g * noise, 4 * (1 - 6 * g)
    with np.errstate(invalid="ignore", divide="ignore"):
        law = np.log(target**2 * (a / b - start**2) / (start**2 * (a / b - target**2))) / (2 * a)
    axes.semilogy(g, law, color=colour, lw=1.0, label=rf"$\Delta = {noise:g}$")
    axes.axvline(2 / (12 + noise), color=colour, ls=":", lw=1.0)
axes.set_ylim(0.6, 100)
axes.set_xlabel("learning rate  $g$")
axes.set_ylabel("escape time  $t$")
style.add_legend(axes, loc="upper left")
