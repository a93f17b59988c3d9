r"""Continuous extensions in nested form.

Every method writes its polynomial on a step as rows :math:`r_0, r_1, \dots` of

.. math:: u(\theta) = r_0 + \theta (r_1 + (1 - \theta)(r_2 + \theta (r_3 + (1 - \theta)(r_4 + \dots)))),

so that the first two rows give the chord and the first four the cubic Hermite polynomial (Hairer, Norsett & Wanner,
*Solving Ordinary Differential Equations I*, section II.6).
"""

import numpy as np

from ..compiled.jit import call_event, jit


@jit
def evaluate(dense, rows, theta, out):
    """Write the polynomial of the first `rows` rows of `dense`, shape (rows, n), at theta in [0, 1] to `out`."""
    for i in range(out.size):
        value = dense[rows - 1, i]
        for j in range(rows - 2, -1, -1):
            factor = theta if j % 2 == 0 else 1 - theta
            value = dense[j, i] + factor * value
        out[i] = value


@jit
def defect(dense, rows, theta, slope, y, ynew, h, rtol, atol):
    """Return the largest |u' - h f| at theta in units of the tolerance; `slope` holds f there."""
    worst = 0.0
    for i in range(y.size):
        value, derivative = dense[rows - 1, i], 0.0
        for j in range(rows - 2, -1, -1):
            factor, sign = (theta, 1.0) if j % 2 == 0 else (1 - theta, -1.0)
            derivative = sign * value + factor * derivative
            value = dense[j, i] + factor * value
        difference = abs(derivative - h * slope[i])
        if not np.isfinite(difference):
            return np.inf
        if difference > 0.0:
            worst = max(worst, difference / (atol[i] + rtol * max(abs(y[i]), abs(ynew[i]))))
    return worst


@jit
def hermite(h, y, slope, ynew, slope_new, dense):
    """Write the cubic Hermite polynomial of a step to the first four rows of `dense`."""
    for i in range(y.size):
        rise = ynew[i] - y[i]
        dense[0, i] = y[i]
        dense[1, i] = rise
        dense[2, i] = h * slope[i] - rise
        dense[3, i] = 2 * rise - h * (slope_new[i] + slope[i])


@jit
def event_on_polynomial(address, dense, rows, theta, t, h, out, params, work):
    """Return the event function on the continuous extension."""
    evaluate(dense, rows, theta, out)
    return call_event(address, t + theta * h, out, params, work)
