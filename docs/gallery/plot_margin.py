r"""
Margins at losses of 1e-1000
============================

A classifier that fits its data goes on changing, at losses that no float can hold. Forty ReLU units
on 2-sparse parity, followed in the clock :math:`-\log L`: the normalised margin (solid) and the
smoothed margin (dashed), which never falls, both tend to the largest margin that any such network
has, :math:`1/(2\sqrt{8d})`. Shaded: losses below the smallest float.

Source: K. Lyu, J. Li, arXiv 1906.05890; M. Telgarsky, arXiv 2208.02789.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

axes = style.new_axes()
decades = np.geomspace(1, 1000, 40)
for dimension, colour in zip((2, 3), style.COLOURS):
    X, y, best = fl.margin.parity(dimension)
    problem = fl.MarginFlow(fl.margin.ReLUModel(40), X, y, rng=0)
    flow = problem.solve(np.log(10) * decades, kkt=False, progress=False)
    axes.semilogx(decades, flow["margin"] / best, color=colour, lw=1.2, label=f"$d = {dimension}$")
    smoothed = flow["smoothed_margin"] / best
    axes.semilogx(decades, smoothed, "--", color=colour, lw=1.2, label=f"$d = {dimension}$, smoothed")
axes.axvspan(323, 1000, color="0.9", lw=0)
axes.axhline(1.0, color=style.GUIDE, ls=":")
axes.set_xlim(1, 1000)
axes.set_xlabel(r"$-\log_{10} L$")
axes.set_ylabel("margin / optimum")
style.add_legend(axes, loc="lower right")
