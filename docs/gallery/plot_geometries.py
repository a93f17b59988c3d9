r"""
Each geometry maximises its own margin
======================================

Steepest descent of a linear classifier in three norms: gradient flow (:math:`\ell_2`), sign descent
(:math:`\ell_\infty`) and coordinate descent (:math:`\ell_1`). Each maximises the margin normalised
in its own norm, as the exact optima of a quadratic and two linear programs show (left), and so each
ends at other weights (right).

Source: N. Tsilivis, G. Vardi, J. Kempe, arXiv 2410.22069.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

rng = np.random.default_rng(12)
teacher, X = rng.normal(size=4), rng.normal(size=(12, 4))
y = np.sign(X @ teacher)
decades = np.geomspace(1, 1000, 40)
names = {"l2": r"$\ell_2$", "linf": r"$\ell_\infty$", "l1": r"$\ell_1$"}
figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
for i, (geometry, name) in enumerate(names.items()):
    best = fl.margin.support_vectors(X, y) if geometry == "l2" else fl.margin.linear_program(X, y, geometry)
    problem = fl.MarginFlow(fl.margin.LinearModel(), X, y, geometry=geometry, weights=np.zeros(4))
    flow = problem.solve(np.log(10) * decades, progress=False)
    left.loglog(decades, 1 - flow["margin"] / best.lower, style.LINES[i], color=style.COLOURS[i], lw=1.2, label=name)
    right.bar(np.arange(4) + 0.27 * (i - 1), flow["direction"][-1], 0.25, color=style.COLOURS[i], label=name)
for axes in (left, right):
    style.dress(axes)
    style.add_legend(axes)
left.set(xlabel=r"$-\log_{10} L$", ylabel=r"$1 -$ margin / optimum")
right.set(xlabel="input", ylabel="weight / norm of its geometry")
right.set_xticks(range(4), range(1, 5))
