r"""
One curve in the conventions of three papers
============================================

Papers scale overlaps, loss and time each in their own way. Here the same quadratic network starts
from the same weights, written in the overlaps of each paper. Left: the curve as its authors would
draw it. Right: the three laid over each other by ``to_time`` and ``to_risk``; the conversions are
exact both ways.

Source: Arnaboldi et al., arXiv 2302.05882; Martin, Bach and Biroli, arXiv 2311.03794; Sarao
Mannelli, Vanden-Eijnden and Zdeborova, arXiv 2006.15459.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

ours = (np.eye(2), np.array([[0.3, 0.02], [0.03, 0.2]]), np.eye(2))
conventions = {
    r"Arnaboldi et al.: $\mathcal{R}(t)$": fl.conventions.Arnaboldi(gamma=0.0),
    r"Martin et al.: $L(s)$": fl.conventions.Martin(student_width=2, teacher_width=2),
    r"Sarao Mannelli et al.: $E(t)$": fl.conventions.SaraoMannelli(),
}
theirs = np.geomspace(0.01, 10, 200)
figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
for i, (name, convention) in enumerate(conventions.items()):
    flow = convention.problem(*convention.from_overlaps(*ours)).solve(convention.to_time(theirs))
    left.loglog(theirs, convention.from_risk(flow["risk"]), style.LINES[i], color=style.COLOURS[i], label=name)
    right.loglog(flow["time"], flow["risk"], style.LINES[i], color=style.COLOURS[i], lw=3.0 - i)
for axes in (left, right):
    style.dress(axes)
    axes.set_ylim(1e-4, 2)
left.set(xlabel="time of the paper", ylabel="loss of the paper")
right.set(xlabel="time  $t$", ylabel=r"population risk  $\mathcal{R}$")
style.add_legend(left, loc="lower left")
