r"""
The spectrum of the student splits
==================================

Eigenvalues of :math:`d\,Z = W^\top W/p` of a student of width :math:`d/2` from a Gaussian start.
The bulk of the start splits: one part gathers at the teacher's eigenvalue :math:`1/\alpha_* = 4`,
the other shrinks to zero. Black: the limiting density; blue: histogram of 16 runs at :math:`d =
200`; orange: the atom at zero, which counts the directions that the student lacks.

Source: S. Martin, F. Bach, G. Biroli, arXiv 2311.03794, for the flow; the density is equation (Q21)
of the theory page.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), start="gaussian")
times = [0.01, 0.1]
limit = problem.solve(times, spectrum=np.linspace(1e-3, 7, 1400))
runs = problem.simulate(times, dimension=200, runs=16, rng=0, observables="eigenvalues", progress=False)

figure = style.new_figure(2 * style.COLUMN, 2.7)
panels = figure.subplots(1, 2)
for axes, time in zip(panels, times):
    style.dress(axes)
    fl.plot.spectrum(limit, runs, time=time, ax=axes)
    axes.set_title(rf"$\tau = {time}$", fontsize=style.TEXT)
