"""Step-size control and detection of stiffness for explicit steps, of one problem or of all SIMD lanes (compiled part).

Stiffness is detected after Hairer & Wanner, *Solving Ordinary Differential Equations II*, section IV.2: in 15 steps, with
fewer than 6 others between two of them, stability seems to limit the step.
"""

import numpy as np

from ...compiled.jit import jit
from ...compiled.numbers import maximum, minimum, where
from ..control import eighth_root
from .dop853 import STABLE

#: Order of the method; rows of slopes, of which that at the end of the step is `LAST`; rows of the continuous extension.
ORDER, STAGES, LAST, ROWS = 8.0, 16, 12, 8


@jit
def factors(error):
    """Return by which factor a rejected step shrinks, and by which an accepted one grows."""
    root = eighth_root(error)
    return maximum(1.0 / 3.0, 0.9 / root), 1.0 / minimum(maximum(root / 0.9, 1.0 / 6.0), 3.0)


@jit
def following(h, natural, growth, after_rejection, quickness):
    """Return the natural length of the step after an accepted one; `quickness` is h |J|, 0 if it is not known."""
    longer = h * where(after_rejection, minimum(growth, 1.0), growth)
    # A step cut short by a requested time says little about the natural one.
    longer = where(h < natural, maximum(longer, natural), longer)
    stable = minimum(longer, h * maximum(1.0 / 3.0, STABLE / quickness))
    return where(quickness > 0.0, stable, longer)


@jit
def at_limit(h, K, ynew, point, weights):
    """Whether the step seems to be limited by stability, not by accuracy.

    The last two slopes belong to two states at the same time, so their differences give the Jacobian in one direction:
    h |J| beyond 3.5, or a decay, h Re J below -1.5.  Decaying modes of that speed are gone after 15 steps unless the
    step follows them for its stability only; oscillations are followed with h |J| up to about 3 for their accuracy.
    """
    slopes = distances = product = 0.0 * h
    for i in range(len(ynew)):
        # Components without any tolerance do not count.
        weight = where(weights[i] < np.inf, weights[i], 0.0)
        slope, distance = (K[LAST, i] - K[LAST - 1, i]) * weight, (ynew[i] - point[i]) * weight
        slopes = slopes + slope * slope
        distances = distances + distance * distance
        product = product + slope * distance
    quick = h * np.sqrt(slopes / distances) > 3.5
    decaying = h * product / distances < -1.5
    return (distances > 0.0) & (quick | decaying)
