r"""
A theory that knows its own width
=================================

Two erf units learn two from noisy labels by one-pass SGD. Left: 24 runs at :math:`d = 150`, the limit, and
the band of one predicted standard deviation about the predicted mean. Right: the standard deviation of the
risk of 400 runs at three dimensions, times :math:`\sqrt d`, on the prediction; no run was needed for the line.

Source: D. Saad, S. A. Solla, Phys. Rev. E 52, 4225 (1995), for the limit; equation (C16) of the page on fixed
widths for its width.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

start = {"Q": [[0.6, 0.1], [0.1, 0.5]], "R": [[0.13, 0.05], [0.03, 0.19]], "T": [[1.0, 0.2], [0.2, 1.0]]}
problem = fl.Committee(**start, activation="erf", learning_rate=1.0, noise=0.05)
theory = problem.solve(np.linspace(0.0, 6.0, 61), fluctuations=True)
some = problem.simulate(np.linspace(0.0, 6.0, 61), dimension=150, runs=24, rng=0, progress=False)

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
style.dress(left)
style.dress(right)
fl.plot.curves(theory, variable="risk", dimension=150, ax=left, labels=["limit"], yscale="log")
left.plot(some["time"], some["risk"].T, color=style.COLOURS[0], lw=0.4, alpha=0.5, zorder=0)
right.plot(theory["time"], theory["std_risk"], color=style.THEORY, lw=1.2, label="theory")
for colour, d in zip(style.COLOURS, (100, 400, 1600)):
    runs = problem.simulate(np.linspace(0.5, 6.0, 12), dimension=d, runs=400, rng=d, progress=False)
    right.plot(runs["time"], np.sqrt(d) * runs["risk"].std("run", ddof=1), ".", color=colour, label=f"$d = {d}$")
right.set_xlabel("time  $t$")
right.set_ylabel(r"$\sqrt{d}\,\times$ deviation of the risk")
right.set_ylim(bottom=0.0)
style.add_legend(right)
