"""The right-hand side of all SIMD lanes: a traced one, or that of one problem lane by lane (compiled part)."""

import numpy as np
from numba import types
from numba.extending import overload

from ...compiled.jit import _call_by_address, _intrinsic, call_rhs, jit
from ...compiled.simd import LANES
from ...compiled.simd_arrays import PACKED, STRIDED, numbers_at, tail
from ..explicit.velocity import velocity
from .layout import BUSY, SHIFTED

#: f(t, y, dy, inputs) is a right-hand side for all lanes at once: ``t[0]`` are the times
LANES_SIGNATURE = types.void(PACKED, STRIDED, STRIDED, PACKED)


@_intrinsic
def call_traced(typingctx, address, t, y, dy, inputs):
    """Call the traced right-hand side of all lanes at `address`: writes dy."""
    return _call_by_address(LANES_SIGNATURE)


@velocity.register(tuple)
def _in_lanes(rhs, t, y, dy, params, work):
    call_lanes(rhs, t, y, dy, params, work)


@overload(velocity, inline="always")
def _velocity(rhs, t, y, dy, params, work):
    if isinstance(rhs, types.BaseTuple):
        return lambda rhs, t, y, dy, params, work: call_lanes(rhs, t, y, dy, params, work)
    return None


@jit
def call_lanes(rhs, t, y, dy, params, work):
    """Write the velocities of all lanes: by a right-hand side made for them, or lane by lane.

    Parameters
    ----------
    rhs : tuple of int
        Addresses of the right-hand side of one problem, and of that of all lanes, 0 if there is none.
    t, y, dy : vector, row, row
    params : tuple
        The vectors of `lane`, and what the right-hand side of all lanes reads besides the state.
    work : tuple
        Addresses of the parameters, scratch and of two states of one problem, with the numbers of the first two in a lane.
    """
    lane, inputs = params
    lane[SHIFTED] = t
    if rhs[1] != 0:
        call_traced(rhs[1], tail(lane, SHIFTED), y, dy, inputs)
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
