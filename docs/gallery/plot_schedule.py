r"""
A learning rate that falls
==========================

Two erf units learn two from noisy labels by one-pass SGD. With a constant learning rate the risk
ends at a floor set by the noise, the lower the smaller the rate. A rate that falls as :math:`1/t`
from :math:`t = 20` on, given as a schedule, goes on falling. Points are 8 runs of it at :math:`d =
1000`, mean and standard error.

Source: D. Saad, S. A. Solla, Phys. Rev. E 52, 4225 (1995); S. Goldt et al., arXiv 1906.08632, for
the floor.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

start = {"Q": 0.5 * np.eye(2), "R": [[0.3, 0.05], [0.1, 0.25]], "T": np.eye(2)}
knots = np.geomspace(20, 2000, 60)
rates = {"rate 1": 1.0, "rate 0.1": 0.1, "falling as $1/t$": fl.Schedule(knots, 20 / knots)}
times = np.geomspace(1, 2000, 150)
axes = style.new_axes()
for (name, rate), colour in zip(rates.items(), style.COLOURS):
    problem = fl.Committee(**start, activation="erf", learning_rate=rate, noise=0.01)
    axes.loglog(times, problem.solve(times)["risk"], color=colour, lw=1.2, label=name)
few = np.geomspace(1, 150, 14)
runs = problem.simulate(few, dimension=1000, runs=8, rng=0, progress=False)["risk"]
error = runs.std("run", ddof=1) / 8**0.5
axes.errorbar(few, runs.mean("run"), error, fmt="o", color=colour, ms=3.2, mfc="white", label="$d = 1000$")
axes.set_xlabel("time  $t$")
axes.set_ylabel(r"population risk  $\mathcal{R}$")
style.add_legend(axes)
