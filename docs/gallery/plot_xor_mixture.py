r"""
XOR clusters: learning curves at four separations
=================================================

Eight ReLU units learn four Gaussian clusters with XOR labels by gradient flow on the population
risk, for distances :math:`\mu` of the centres in units of the clusters' width. Solid:
classification error, ties counted one half; dotted: the best possible error. A linear classifier
stays at one half.

Source: M. Refinetti, S. Goldt, F. Krzakala, L. Zdeborova, arXiv 2102.11742; S. Frei, N. Chatterji,
P. Bartlett, arXiv 2202.07626.
"""

from math import erfc

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

times = np.geomspace(0.5, 100, 40)
axes = style.new_axes()
for separation, colour in zip((1.0, 1.5, 2.0, 3.0), style.COLOURS):
    start = {"scale": 0.01, "dimension": 1000, "rng": 1}
    problem = fl.XorMixture(8, noise_scale=1 / separation, second_layer_rate=1.0, **start)
    flow = problem.solve(times)
    axes.plot(times, flow["clean_error"], color=colour, lw=1.2, label=rf"$\mu = {separation:g}$")
    wrong = 0.5 * erfc(separation / 2)
    axes.axhline(2 * wrong * (1 - wrong), color=colour, ls=":", lw=1.0)
axes.set_xscale("log")
axes.set_ylim(0, 0.62)
axes.set_xlabel("time  $t$")
axes.set_ylabel("classification error")
style.add_legend(axes, loc="upper center", ncols=4, columnspacing=1.0, handlelength=1.0)
