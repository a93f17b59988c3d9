r"""
How the deviation falls with the dimension
==========================================

Runs at four dimensions against two limits: the right one, and one whose student is 5 % too wide.
The deviation from the right limit falls as :math:`1/d` (dashed), until it is lost in the scatter of
the runs; that from the wrong one stays. ``fl.compare`` says the same in a sentence, and
``fl.convergence`` simulates and compares in one call.

Source: S. Martin, F. Bach, G. Biroli, arXiv 2311.03794, for the limit.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

teacher = fl.Spectrum.orthonormal(0.25)
problem = fl.ExtensiveQuadratic(0.5, teacher)
times = np.geomspace(0.05, 5, 20)
runs = [problem.simulate(times, dimension=d, runs=32, rng=d, progress=False) for d in (40, 80, 160, 320)]

figure = style.new_figure(2 * style.COLUMN, 2.9)
for axes, student in zip(figure.subplots(1, 2), (0.5, 0.525)):
    comparison = fl.compare(fl.ExtensiveQuadratic(student, teacher).solve(times), *runs)
    print(comparison, "\n")
    style.dress(axes)
    fl.plot.convergence(comparison, ax=axes)
    axes.set_title(rf"limit with $\alpha = {student}$: {comparison.verdict}", fontsize=style.TEXT)
