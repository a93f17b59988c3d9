r"""
Power laws of inputs, power laws of the risk
============================================

One unit learns from a teacher of its kind by gradient flow. The covariance of the inputs has a million
eigenvalues, which fall as :math:`l^{-\alpha}`. Left: the risk of linear regression falls as
:math:`t^{-(\alpha-1)/\alpha}` (dashed, through the last point); at :math:`\alpha=1.5` one sees that the
spectrum ends. Right: the local exponent at :math:`\alpha=2` becomes one half (dotted) whatever the link.

Source: E. Collins-Woodfin, C. Paquette, E. Paquette, I. Seroussi, arXiv 2308.08977.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

times = np.geomspace(0.1, 1e6, 71)
middle = np.sqrt(times[1:] * times[:-1])


def risk(alpha, link):
    law = fl.Spectrum.power_law(alpha, 10**6, accuracy=1e-4)
    return fl.SingleUnit(link, Q=0.0, T=1 / law.mean, covariance=law, learning_rate=0.0).solve(times)["risk"].values


figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = panels = figure.subplots(1, 2)
for i, alpha in enumerate((1.5, 2.0, 3.0)):
    values = risk(alpha, "linear")
    left.loglog(times, values[-1] * (times / times[-1]) ** (1 / alpha - 1), "--", color=style.GUIDE, lw=1.0)
    left.loglog(times, values, color=style.COLOURS[i], label=rf"$\alpha = {alpha:g}$")
for i, link in enumerate(("linear", "erf", "tanh")):
    slope = -np.diff(np.log(risk(2.0, link))) / np.diff(np.log(times))
    right.semilogx(middle, slope, style.LINES[i], color=style.COLOURS[i], label=link)
right.axhline(0.5, color=style.GUIDE, ls=":")
left.set(xlabel="time  $t$", ylabel="risk")
right.set(xlabel="time  $t$", ylabel="local exponent of the risk", ylim=(0, None))
for axes in panels:
    style.dress(axes)
    style.add_legend(axes)
