"""Risk, velocities and feasibility of the overlaps at many states (compiled part)."""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, call_event, call_rhs, jit
from ...compiled.views import vector
from .layout import STUDENT_WIDTH, TEACHER_WIDTH, fill_covariance

A3 = types.float64[:, :, ::1]


@jit
def is_positive(C, slack):
    """Whether the Cholesky decomposition of C + slack * max(diagonal) exists; C is overwritten."""
    n = C.shape[0]
    scale = 0.0
    for i in range(n):
        scale = max(scale, C[i, i])
    for j in range(n):
        pivot = C[j, j] + (slack * scale + 1e-300)
        for s in range(j):
            pivot -= C[j, s] * C[j, s]
        # NaN is not positive either.
        if not pivot > 0.0:
            return False
        root = 1.0 / math.sqrt(pivot)
        for i in range(j + 1, n):
            value = C[i, j]
            for s in range(j):
                value -= C[i, s] * C[j, s]
            C[i, j] = value * root
    return True


@jit
def first_infeasible(states, params, slack):
    """Return the first row of `states` whose overlaps are finite and not feasible, or their number."""
    n = int(params[STUDENT_WIDTH]) + int(params[TEACHER_WIDTH])
    C = np.empty((n, n))
    numbers, length = states.reshape(-1), states.shape[1]
    for t in range(states.shape[0]):
        state = vector(numbers, t * length, length)
        if not math.isfinite(state[0]):
            continue
        fill_covariance(state, params, C)
        if not is_positive(C, slack):
            return t
    return states.shape[0]


@jit(types.void(A3, A2, types.float64[::1], types.int64[::1]))
def infeasible_times(states, params, slack, found):
    """Write `first_infeasible` of every problem, whose slack is its own."""
    for i in range(states.shape[0]):
        found[i] = first_infeasible(states[i], params[i], slack[i])


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
