r"""
An extensive limit and its simulations
======================================

A quadratic student of width :math:`d/2` learns a teacher of width :math:`d/4` from a Gaussian
start. Lines are the limit :math:`d\to\infty` on the clock :math:`\tau = t/d`; points are gradient
flow at three dimensions, mean and standard error of 16 runs. At late times the multiplier of the
trace :math:`\varphi` grows as the logarithm of time, and :math:`d = 40` falls behind.

Source: S. Martin, F. Bach, G. Biroli, arXiv 2311.03794, figures 2 to 4.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

problem = fl.ExtensiveQuadratic(student_ratio=0.5, teacher=fl.Spectrum.orthonormal(0.25), start="gaussian")
limit = problem.solve(np.geomspace(5e-3, 5, 200))
times = np.geomspace(1e-2, 5, 14)
runs = [problem.simulate(times, dimension=d, runs=16, rng=d, progress=False) for d in (40, 80, 160)]

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
for axes, variable in ((left, "overlap"), (right, "multiplier")):
    style.dress(axes)
    fl.plot.curves(limit, *runs, variable=variable, ax=axes, legend=axes is left)
