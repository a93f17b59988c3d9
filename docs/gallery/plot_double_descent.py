r"""
Double descent of a quadratic network
=====================================

A quadratic network of width 0.7 d learns a teacher of width d/2 from a number of noisy samples proportional to
the square of the dimension. Left: the risk at the end of training peaks where the samples are just interpolated; a
moderate weight decay removes the peak. Right: the training risk vanishes below that threshold, with vanishing decay.

Source: Martin, Biroli and Bach, arXiv 2601.10483; Maillard et al., arXiv 2408.03733 (dashed).
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

ratios = np.linspace(0.02, 0.8, 150)
problem = fl.EmpiricalQuadratic(0.7, fl.Spectrum.marchenko_pastur(0.5), 0.4, noise=0.5, weight_decay="vanishing")
figure = style.new_figure(2 * style.COLUMN, 2.6)
left, right = figure.subplots(1, 2)
curves = {"vanishing decay": problem.solve(sample_ratios=ratios)}
several = problem.solve(sample_ratios=ratios, weight_decays=[0.04, 0.4])
curves |= {f"decay {decay}": several.sel(weight_decay=decay) for decay in (0.04, 0.4)}
for i, (name, curve) in enumerate(curves.items()):
    left.plot(ratios, curve["risk"], style.LINES[i], color=style.COLOURS[i], label=name)
    right.plot(ratios, curve["train_risk"], style.LINES[i], color=style.COLOURS[i])
left.plot(ratios, problem.bayes(ratios)["risk"], "k--", lw=1, label="best estimate")
for axes in (left, right):
    style.dress(axes)
    axes.axvline(float(problem.thresholds()["interpolation"]), color="gray", lw=0.5)
    axes.set_xlabel(r"samples / $d^2$")
left.set(ylabel=r"$d\,\mathcal{R}$ at the end of training", ylim=(0, 4))
right.set(ylabel="training risk")
style.add_legend(left, loc="upper right")
