r"""
Late times: three regimes
=========================

With more units than the teacher the misalignment falls as :math:`\tau^{-2}`, with as many
exponentially, and with fewer it stops at :math:`1-\sqrt{\alpha/\alpha_*}`. Solid lines are the
limit :math:`d\to\infty`, computed without the cancellation in :math:`1-\chi` down to
:math:`10^{-12}`; dotted lines are the asymptotic laws; the constant of the exponential one is
chosen by eye.

Source: S. Martin, F. Bach, G. Biroli, arXiv 2311.03794, section 4 and figure 6.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

teacher = 0.4
times = np.geomspace(1e-2, 1e4, 300)
laws = {
    0.6: (0.6 - teacher) * teacher**3 / (32 * 0.6**2) / (2 * times) ** 2,
    0.4: 0.9 * np.sqrt(2 * times) * np.exp(-4 * times / teacher),
    0.3: np.full(times.size, 1 - np.sqrt(0.3 / teacher)),
}
axes = style.new_axes()
for (student, law), colour in zip(laws.items(), style.COLOURS):
    limit = fl.ExtensiveQuadratic(student, fl.Spectrum.orthonormal(teacher)).solve(times)
    axes.loglog(times, limit["misalignment"], color=colour, lw=1.2, label=rf"$\alpha = {student}$")
    axes.loglog(times[times > 0.3], law[times > 0.3], ":", color=style.THEORY, lw=1.2)
axes.set_ylim(1e-12, 1)
axes.set_xlabel(r"time  $\tau = t/d$")
axes.set_ylabel(r"misalignment  $1-\chi$")
axes.text(30, 1e-2, rf"$\alpha_* = {teacher}$", fontsize=style.TEXT)
style.add_legend(axes, loc="lower left")
