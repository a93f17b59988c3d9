"""Risk, velocities, overlaps and their feasibility at many states and for many networks (compiled part)."""

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


A4 = types.float64[:, :, :, ::1]


@jit
def make_symmetric(value, slack):
    """Replace a matrix that is symmetric up to the slack by its symmetric part; return whether it was."""
    n = value.shape[0]
    largest, difference = 1e-300, 0.0
    for i in range(n):
        for j in range(n):
            largest = max(largest, abs(value[i, j]))
            difference = max(difference, abs(value[i, j] - value[j, i]))
    if difference > slack * largest:
        return False
    for i in range(n):
        for j in range(i):
            value[i, j] = 0.5 * value[i, j] + 0.5 * value[j, i]
            value[j, i] = value[i, j]
    return True


@jit(types.boolean(A3, A3, A3, types.float64))
def feasible(Q, R, T, slack):
    """Make all Q and T (problems or 1, ...) symmetric; return whether all overlaps are symmetric and positive semidefinite."""
    p, k = R.shape[1], R.shape[2]
    C = np.empty((p + k, p + k))
    good = True
    for i in range(len(Q)):
        good &= make_symmetric(Q[i], slack)
    for i in range(len(T)):
        good &= make_symmetric(T[i], slack)
    for i in range(max(len(Q), len(R), len(T))):
        # Loops, because copies of whole matrices take seconds to compile.
        at_q, at_r, at_t = min(i, len(Q) - 1), min(i, len(R) - 1), min(i, len(T) - 1)
        for j in range(p):
            for s in range(p):
                C[j, s] = Q[at_q, j, s]
            for r in range(k):
                C[p + r, j] = R[at_r, j, r]
        for r in range(k):
            for s in range(k):
                C[p + r, p + s] = T[at_t, r, s]
        good &= is_positive(C, slack)
    return good


@jit(types.void(ADDRESS, A3, A2, A1, A4, A4, A3, A2))
def describe(address, states, params, work, Q, R, layers, risk):
    """Write Q, R, trained second layers (of length 0 if they are not) and risk of all states (problems, times, n)."""
    p, k = R.shape[2], R.shape[3]
    numbers, n, own = states.reshape(-1), states.shape[2], params.reshape(-1)
    for i in range(states.shape[0]):
        mine = vector(own, i * params.shape[1], params.shape[1])
        for t in range(states.shape[1]):
            state, at = vector(numbers, (i * states.shape[1] + t) * n, n), 0
            for a in range(p):
                for b in range(a, p):
                    Q[i, t, a, b] = state[at]
                    Q[i, t, b, a] = state[at]
                    at += 1
            for a in range(p):
                for r in range(k):
                    R[i, t, a, r] = state[at]
                    at += 1
            for a in range(layers.shape[2]):
                layers[i, t, a] = state[at]
                at += 1
            value = call_event(address, 0.0, state, mine, work)
            # Round-off of the overlaps may leave a risk of -1e-17 at a perfect student; NaN stays.
            risk[i, t] = 0.0 if value < 0.0 else value
