"""The right-hand side as the explicit steps call it; `batch.velocity` defines it for all SIMD lanes (compiled part)."""

import functools

from numba import types
from numba.extending import overload

from ...compiled.jit import call_rhs


@functools.singledispatch
def velocity(rhs, t, y, dy, params, work):
    """Write the velocities at time t to `dy`.

    Parameters
    ----------
    rhs : int or tuple of int
        Address of a right-hand side; for all lanes see `batch.velocity.call_lanes`.
    t : float or vector
    y, dy : ndarray or vectors
    params, work : ndarray or tuple
        What the right-hand side reads, and its scratch.
    """
    call_rhs(rhs, t, y, dy, params, work)


@overload(velocity, inline="always")
def _velocity(rhs, t, y, dy, params, work):
    if isinstance(rhs, types.Integer):
        return lambda rhs, t, y, dy, params, work: call_rhs(rhs, t, y, dy, params, work)
    return None
