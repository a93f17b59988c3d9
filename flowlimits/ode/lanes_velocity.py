"""Velocities of all lanes: in one call of a straight-line right-hand side, or lane by lane (compiled part)."""

import numpy as np

from .._jit import call_rhs, call_wide, jit
from .._views import vector
from .lanes_layout import LANES


@jit
def lane_by_lane(rhs, lane, at, states, velocities, problems, params, work, scratch):
    """Call the right-hand side of one problem for every lane that is taken."""
    y, dy = scratch[0], scratch[1]
    for l in range(LANES):
        if problems[l] < 0:
            continue
        for i in range(y.size):
            y[i] = states[i * LANES + l]
            # What the right-hand side does not write must not be that of another lane.
            dy[i] = np.nan
        call_rhs(rhs, lane[at + l], y, dy, params[l], work[l])
        for i in range(y.size):
            velocities[i * LANES + l] = dy[i]
            # A right-hand side that changes the state changes it here as it does for one problem.
            states[i * LANES + l] = y[i]


@jit(inline="always")
def velocity(model, lane, at, states, velocities, problems, inputs, params, work, scratch):
    """Write the velocities of all lanes.

    Parameters
    ----------
    model : tuple of int
        Addresses of the right-hand side of one problem, and of that of all lanes, 0 if there is none.
    lane : ndarray
        Its entries from `at` on are the times.
    states, velocities : ndarray, shape (n * lanes,)
    problems : ndarray of int, shape (lanes,)
        The problem in each lane, or -1.
    inputs : ndarray, shape (inputs * lanes,)
        What the right-hand side of all lanes reads beside the states.
    params, work : ndarray, shapes (lanes, m), (lanes, work_size)
        Parameters and scratch of the right-hand side of one problem, in each lane.
    scratch : ndarray, shape (rows, n)
        Two rows are used.
    """
    if model[1] != 0:
        call_wide(model[1], vector(lane, at, LANES), states, velocities, inputs)
    else:
        lane_by_lane(model[0], lane, at, states, velocities, problems, params, work, scratch)
