r"""
Beyond some sample size a wide network no longer interpolates
=============================================================

Gradient flow of 30 ReLU units from a small start, on :math:`n` inputs in five dimensions with noisy
linear labels, to :math:`t = 200`. With few data it fits the noise; with many it stays near least
squares (dotted), although 30 units could fit more, and the test loss falls. Mean and standard error
of three samples.

Source: E. Boursier, N. Flammarion, arXiv 2410.02348; ``validation/boursier2025.py`` has larger
sizes and longer times.
"""

import numpy as np

import flowlimits as fl
from flowlimits.plot import style


def losses(n, rng):
    X, X_test, teacher = rng.normal(size=(n, 5)), rng.normal(size=(2000, 5)), np.full(5, 5**-0.5)
    y = X @ teacher + 0.3 * rng.normal(size=n)
    flow = fl.SampleFlow(X, y, width=30, X_test=X_test, y_test=X_test @ teacher, rng=rng).solve([200.0], rtol=1e-3)
    least = 0.5 * np.mean((X @ np.linalg.lstsq(X, y, rcond=None)[0] - y) ** 2)
    return {"training": flow["risk"][-1] / least, "test": flow["test_risk"][-1]}


table = fl.study(losses, {"n": [10, 20, 40, 80, 160, 320]}, repeats=3, rng=0, progress=False)
figure = style.new_figure(2 * style.COLUMN, 2.6)
labels = ("training loss / least squares", "excess test loss")
for axes, name, label in zip(figure.subplots(1, 2), table.data_vars, labels):
    style.dress(axes)
    fl.plot.study(table, x="n", variable=name, ax=axes)
    axes.set(xscale="log", xlabel="size of the sample  $n$", ylabel=label)
figure.axes[0].axhline(1.0, color=style.GUIDE, ls=":")
