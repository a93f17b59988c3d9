"""Plots of results: each takes ``ax=None`` and returns the Axes (`overview` draws a page and returns the Figure).

Without `ax` a new figure of the width of a journal column is made; ``ax.figure.savefig("figure.pdf")`` writes it.
The figure is registered with pyplot, and so shown, in a notebook and wherever pyplot is already in use; elsewhere
it is a plain Matplotlib figure that needs no display.  No global setting of Matplotlib is read or changed.
"""

from __future__ import annotations

from .densities import spectrum
from .deviations import convergence, overview
from .lines import curves
from .studies import study

__all__ = ["convergence", "curves", "overview", "spectrum", "study"]
