"""The right-hand side as the explicit steps call it: of one problem, or of all lanes (compiled part)."""

import numpy as np
from numba import types
from numba.extending import overload

from ...compiled.jit import _call_by_address, _intrinsic, call_rhs, jit
from ...compiled.simd import LANES
from ...compiled.simd_arrays import LINE, ROW, numbers_at, rows_from
from ..batch.layout import BUSY, SHIFTED

#: wide(t, y, dy, inputs) is a right-hand side for all lanes at once: ``t[0]`` are the times
WIDE_SIGNATURE = types.void(LINE, ROW, ROW, LINE)


@_intrinsic
def call_wide(typingctx, address, t, y, dy, inputs):
    """Call the right-hand side of all lanes at `address`: writes dy."""
    return _call_by_address(WIDE_SIGNATURE)


def velocity(rhs, t, y, dy, params, work):
    """Write the velocities at time t to `dy`.

    Parameters
    ----------
    rhs : int or tuple of int
        Address of a right-hand side; or, for all lanes, that of one problem and that of all lanes, 0 if there is none.
    t : float or wide number
    y, dy : ndarray or row
    params, work : ndarray, or tuple
        What the right-hand side reads, and its scratch; for all lanes see `call_lanes`.
    """
    if isinstance(rhs, tuple):
        call_lanes(rhs, t, y, dy, params, work)
    else:
        call_rhs(rhs, t, y, dy, params, work)


@overload(velocity, inline="always")
def _velocity(rhs, t, y, dy, params, work):
    if isinstance(rhs, types.BaseTuple):
        return lambda rhs, t, y, dy, params, work: call_lanes(rhs, t, y, dy, params, work)
    return lambda rhs, t, y, dy, params, work: call_rhs(rhs, t, y, dy, params, work)


@jit
def call_lanes(rhs, t, y, dy, params, work):
    """Write the velocities of all lanes: by a right-hand side made for them, or lane by lane.

    Parameters
    ----------
    rhs : tuple of int
        Addresses of the right-hand side of one problem, and of that of all lanes, 0 if there is none.
    t, y, dy : wide number, row, row
    params : tuple
        The rows of `lane`, and what the right-hand side of all lanes reads besides the state.
    work : tuple
        Addresses of the parameters, scratch and of two states of one problem, with the numbers of the first two in a lane.
    """
    lane, inputs = params
    lane[SHIFTED] = t
    if rhs[1] != 0:
        call_wide(rhs[1], rows_from(lane, SHIFTED), y, dy, inputs)
    else:
        lane_by_lane(rhs[0], lane, y, dy, work)


@jit
def lane_by_lane(rhs, lane, states, velocities, work):
    """Call the right-hand side of one problem for every lane that is taken."""
    n = len(states)
    params, scratch = numbers_at(work[0], LANES, work[1]), numbers_at(work[2], LANES, work[3])
    pair = numbers_at(work[4], 2, n)
    y, dy = pair[0], pair[1]
    for l in range(LANES):
        if lane[BUSY, l] == 0.0:
            continue
        for i in range(n):
            y[i] = states[i, l]
            # What the right-hand side does not write must not be that of another lane.
            dy[i] = np.nan
        call_rhs(rhs, lane[SHIFTED, l], y, dy, params[l], scratch[l])
        for i in range(n):
            velocities[i, l] = dy[i]
            # A right-hand side that changes the state changes it here as it does for one problem.
            states[i, l] = y[i]
