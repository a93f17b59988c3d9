r"""
Weak recovery takes longer the higher the order
===============================================

One unit on the sphere learns one direction by gradient flow, with the Hermite polynomial of order
:math:`k` as activation of student and teacher, from the overlap :math:`m_0 = d^{-1/2}`. The time to
reach :math:`m = 1/2` grows as :math:`\log d`, :math:`\sqrt d` and :math:`d` for :math:`k = 2, 3,
4`, the information exponent. Points are events of the flow, lines solve :math:`\dot m =
k\,k!\,m^{k-1}(1-m^2)` in closed form. SGD, whose steps must be the smaller the larger :math:`k`,
takes longer still.

Source: G. Ben Arous, R. Gheissari, A. Jagannath, arXiv 2003.10409.
"""

import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

laws = {
    2: lambda m: np.log(m / np.sqrt(1 - m**2)),
    3: lambda m: np.arctanh(m) - 1 / m,
    4: lambda m: np.log(m / np.sqrt(1 - m**2)) - 1 / (2 * m**2),
}
dimensions = np.geomspace(10, 1e6, 11)
axes = style.new_axes()
for (k, law), colour, marker in zip(laws.items(), style.COLOURS, style.MARKERS):
    event = fl.Event("risk", math.factorial(k) * (1 - 0.5**k))
    physics = {"activation": f"hermite{k}", "spherical": True}
    problems = [fl.Committee([[1.0]], [[d**-0.5]], [[1.0]], **physics) for d in dimensions]
    times = [float(problem.solve([0.0, 1e6], events=[event])["event_time"][0]) for problem in problems]
    exact = (law(0.5) - law(dimensions**-0.5)) / (k * math.factorial(k))
    axes.loglog(dimensions, times, marker, color=colour, mfc="white", ms=4, label=f"$k = {k}$")
    axes.loglog(dimensions, exact, color=colour, lw=1.0)
axes.set_xlabel("dimension  $d$")
axes.set_ylabel("time of weak recovery  $t$")
style.add_legend(axes)
