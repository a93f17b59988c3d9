"""Equations evaluated at many states (compiled part)."""

from numba import types

from ...compiled.jit import A1, A2, ADDRESS, call_event, call_rhs, jit


@jit(types.void(ADDRESS, A2, A1, A1, A1))
def evaluate(address, states, params, work, out):
    """Write the value of the event function at `address` for every row of `states`."""
    for i in range(states.shape[0]):
        out[i] = call_event(address, 0.0, states[i], params, work)


@jit(types.void(ADDRESS, A2, A1, A1, A2))
def velocities(address, states, params, work, out):
    """Write the velocity at every row of `states`."""
    for i in range(states.shape[0]):
        call_rhs(address, 0.0, states[i], out[i], params, work)
