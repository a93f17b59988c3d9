r"""
Guess and check against gradient descent
========================================

Test error at zero training error of random networks that happen to fit 8 points (guess and check),
and of trained ones, over the width. The line is guess and check at infinite width, computed as the
probability of an orthant. Random networks do not gain from width; trained ones are far better. One
task; the best possible error is 0.067.

Source: A. Peleg, M. Hein, arXiv 2407.03848; ``validation/guess_and_check.py`` averages over tasks.
"""

import flowlimits as fl
from flowlimits.plot import style

problem = fl.GuessAndCheck(*fl.random_networks.gaussian_task(8, rng=1), depth=1)
limit = problem.solve(rng=0)
guessed = problem.simulate([2, 4, 8, 16, 32, 64], runs=300, rng=0, progress=False)
trained = problem.descend([4, 8, 16, 32, 64, 128], runs=20, rng=0, progress=False)

axes = style.new_axes()
axes.axhline(float(limit["test_error"]), color=style.THEORY, lw=1.2, label="guess and check, infinite width")
for i, (name, result) in enumerate({"guess and check": guessed, "gradient descent": trained}.items()):
    look = {"fmt": style.MARKERS[i], "color": style.COLOURS[i], "ms": 4, "mfc": "white", "label": name}
    axes.errorbar(result["width"], result["test_error"], result["test_error_standard_error"], **look)
axes.set_xscale("log", base=2)
axes.set_ylim(0, 0.5)
axes.set_xlabel("width")
axes.set_ylabel("test error at zero training error")
style.add_legend(axes, loc="upper left")
