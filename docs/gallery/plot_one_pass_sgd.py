r"""
One-pass SGD in a hundred thousand dimensions
=============================================

Two quadratic units learn two from noisy labels. Runs at :math:`d = 10^5` take four million steps
each, exact in law, through the overlaps alone, at a cost per step that does not depend on
:math:`d`. They lie on the limit :math:`d\to\infty`, in which noise and step keep the risk from
zero, where the gradient flow of the same start goes. Right: single runs leave the limit by
:math:`O(d^{-1/2})`.

Source: L. Arnaboldi, L. Stephan, F. Krzakala, B. Loureiro, arXiv 2302.05882.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

d, start = 100_000, {"Q": 0.6 * np.eye(2), "R": [[0.3, 0.1], [0.05, 0.35]], "T": np.eye(2)}
sgd = fl.Committee(**start, learning_rate=0.2, noise=0.1)
times = np.linspace(0.0, 4.0, 41)
runs = sgd.simulate(times, dimension=d, runs=4, rng=0, progress=False)
limit = sgd.solve(runs["time"].values)

figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
style.dress(left)
style.dress(right)
left.plot(times, fl.Committee(**start).solve(times)["risk"], "--", color=style.GUIDE, lw=1.2, label="gradient flow")
some = runs.isel(time=slice(0, None, 4))
fl.plot.curves(limit, some, variable="risk", labels=["limit", "$d = 10^5$, 4 runs"], ax=left, yscale="log")
left.set_ylim(5e-3, 1)
right.axhline(0.0, color=style.THEORY, lw=1.2)
right.plot(limit["time"], np.sqrt(d) * (runs["risk"] - limit["risk"]).T, color=style.COLOURS[0], lw=0.8)
right.set_xlabel("time  $t$")
right.set_ylabel(r"$\sqrt{d}\,\times$ (risk of a run $-$ limit)")
