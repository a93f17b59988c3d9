r"""
Mean field and finite width
===========================

Overlap of a quadratic student with a teacher of two directions in twelve dimensions. The line is
the limit of infinite width at fixed dimension, points are students of finite width, mean and
standard error of 200 runs. Right: the deviation of the mean falls as :math:`1/p`, that of single
runs as :math:`1/\sqrt p` (dashed).

Source: L. Chizat, F. Bach, arXiv 1805.09545; S. Mei, A. Montanari, P.-M. Nguyen, arXiv 1804.06561.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

problem = fl.MeanFieldQuadratic([0.6, 0.4] + [0.0] * 10, start=0.05)
times, widths = np.geomspace(0.02, 5, 12), [20, 60, 180, 540]
limit = problem.solve(times)
runs = [problem.simulate(times, student_width=p, runs=200, rng=p, progress=False) for p in widths]

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
style.dress(left)
style.dress(right)
fl.plot.curves(problem.solve(np.geomspace(0.02, 5, 200)), *runs[:3], variable="overlap", ax=left)
deviation = [run["overlap"] - limit["overlap"] for run in runs]
single = [float(np.sqrt((x**2).mean())) for x in deviation]
mean = [float(np.sqrt((x.mean("run") ** 2).mean())) for x in deviation]
for i, (level, power, label) in enumerate(((single, 0.5, "single runs"), (mean, 1.0, "mean of 200 runs"))):
    right.loglog(widths, level, style.MARKERS[i], ms=4, color=style.COLOURS[i], label=label)
    right.loglog(widths, level[1] * (60 / np.array(widths)) ** power, "--", color=style.GUIDE, lw=1.0, zorder=1)
right.set_xticks(widths, widths)
right.set_xticks([], minor=True)
right.set(xlabel="width  $p$", ylabel="deviation of the overlap (rms)")
style.add_legend(right)
