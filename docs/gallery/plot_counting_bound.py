r"""
Where the equations of narrow students are wrong
================================================

A student of width :math:`\kappa d` has :math:`(\kappa-\kappa^2/2)\,d^2` parameters, and cannot interpolate more
noisy labels (grey). Left: the equations for the end of training let narrow students do so, where their
threshold lies above the bound (lines; dots where they cross). Right: the training risk at width 0.1, which the
equations let vanish beyond the bound (dashed) where noise of variance 0.1 cannot be fitted.

Source: the threshold is that of Martin, Biroli and Bach, arXiv 2601.10483; the bound is a count.
"""

import warnings

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

teacher = fl.Spectrum.marchenko_pastur(0.1)
widths = np.linspace(0.1, 0.5, 41)
bound = widths - widths**2 / 2
figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
left.fill_betweenx(widths, bound, 0.6, color="0.9")
for i, noise in enumerate((0.01, 0.1, 1.0)):
    problems = [fl.EmpiricalQuadratic(width, teacher, 1.0, noise=noise) for width in widths]
    threshold = np.array([float(problem.thresholds()["interpolation"]) for problem in problems])
    left.plot(threshold, widths, style.LINES[i], color=style.COLOURS[i], label=rf"$\Delta = {noise:g}$")
    crossing = np.interp(0.0, bound - threshold, widths)
    left.plot(crossing - crossing**2 / 2, crossing, "o", color=style.COLOURS[i])
left.set(xlabel=r"samples / $d^2$", ylabel=r"width / $d$", xlim=(0.05, 0.5), ylim=(0.1, 0.5))
style.add_legend(left, loc="lower right")

ratios = np.linspace(0.02, 0.3, 113)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # that the bound is violated is what is shown
    for i, decay in enumerate((0.04, 0.004)):
        narrow = fl.EmpiricalQuadratic(0.1, teacher, 0.1, noise=0.1, weight_decay=decay).solve(sample_ratios=ratios)
        right.semilogy(ratios, narrow["train_risk"], style.LINES[i], color=style.COLOURS[i], label=f"decay {decay}")
right.axvline(0.1 - 0.1**2 / 2, color=style.GUIDE, ls="--")
right.set(xlabel=r"samples / $d^2$", ylabel="training risk")
style.add_legend(right, loc="lower right")
for axes in (left, right):
    style.dress(axes)
