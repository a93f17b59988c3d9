r"""Networks of finite width: the pair form with one unit per shell, and what it lacks for targets and temperature (compiled part).

Each of the p units has all its d coordinates in u, s = 0 and the mass a/p, so that `equations_pairs` holds as it stands.  A target is
known on a grid over the m directions of its span; unit i sees it through its length outside,
:math:`s_i = (\sum_{c > m} u_{ic}^2)^{1/2}`, as :math:`\mathbb E[f_\star s_i] = \mathbb E[f_\star(\xi)\,\bar s(u_i\cdot\xi; s_i)]`.

Parameters after those of the pair form, from place `at` on: points xi (m, G), weights times target (G,), powers, nodes eta, weights; the
last two numbers of all are m and `at`, the number before them G.
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, RHS_SIGNATURE, call_rhs, callback, jit
from ..compiled.views import vector
from . import equations_pairs as pairs
from .equations import CENTRED, DEGREE, DIRECTIONS, KIND, PARTICLES, RATE, REST, finish, half_of, smooth_row

RNG = types.npy_rng


@jit
def add_target(y, dy, params, work, scratch):
    """Subtract the moments of the units with the target from the pulls; they stand in ``work[P:2P]`` then."""
    P, d, kind, degree = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[KIND]), int(params[DEGREE])
    G, m, at = int(params[params.size - 3]), int(params[params.size - 2]), int(params[params.size - 1])
    line, value, slope, change = (
        vector(scratch, 0, G),
        vector(scratch, G, G),
        vector(scratch, 2 * G, G),
        vector(scratch, 3 * G, G),
    )
    target = params[at + m * G : at + (m + 1) * G]
    after, count = at + (m + 1) * G, degree // 2 + 1
    powers, eta = params[after : after + degree + 1], params[after + degree + 1 : after + degree + 1 + count]
    weights = params[after + degree + 1 + count : after + degree + 1 + 2 * count]
    mean = 0.0
    for g in range(G):
        mean += target[g]
    for i in range(P):
        rest, q = 0.0, 0.0
        for c in range(d):
            square = y[c * P + i] * y[c * P + i]
            q += square
            if c >= m:
                rest += square
        s = math.sqrt(rest)
        for g in range(G):
            line[g] = 0.0
        for c in range(m):
            for g in range(G):
                line[g] += y[c * P + i] * params[at + c * G + g]
        smooth_row(kind, line, s, powers, eta, weights, value, slope, change)
        total, along = 0.0, 0.0
        for g in range(G):
            total += target[g] * value[g]
            along += target[g] * change[g]
        centred = 0.0
        if params[CENTRED] != 0.0:
            total -= q * mean
            centred = 2.0 * mean
        work[P + i] = total
        dy[(d + 1) * P + i] -= total
        for c in range(m):
            inside = 0.0
            for g in range(G):
                inside += target[g] * slope[g] * params[at + c * G + g]
            dy[c * P + i] -= inside - centred * y[c * P + i]
        for c in range(m, d):
            share = along / s if s > 0.0 else 0.0
            dy[c * P + i] -= (share - centred) * y[c * P + i]


@jit
def pull(values, y, dy, params, work):
    """Write the pulls into `dy`."""
    G = int(params[params.size - 3])
    scratch = vector(work, work.size - 4 * G, 4 * G)
    pairs.pull(values, y, dy, params, work)
    add_target(y, dy, params, work, scratch)


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of the units that learn a target."""
    pull(params[RATE] != 0.0, y, dy, params, work)
    finish(y, dy, params, work)


@jit(types.void(A2, A1, A1, A1))
def risks(states, params, work, out):
    """Write the risk at each state."""
    P, d = int(params[PARTICLES]), int(params[DIRECTIONS])
    dy = np.zeros((d + 2) * P)
    for t in range(states.shape[0]):
        pull(True, states[t], dy, params, work)
        out[t] = half_of(work, dy[(d + 1) * P :], P) - half_of(work, work[P:], P) + params[REST]


@jit(types.int64(ADDRESS, RNG, A1, A1, A1, types.int64, types.float64, A1, A1, types.boolean))
def diffuse(address, generator, y, params, work, count, step, sizes, plain, spherical):
    """Take `count` Euler steps of the flow with independent noise N(0, sizes^2) on each of the d coordinates; return how many stayed finite.

    On the sphere each unit is scaled back to its norm, a sum of squares weighted by `plain`.  `y` holds the last state.
    """
    d = sizes.size
    P = y.size // (d + 2)
    dy = np.zeros(y.size)
    norms = np.zeros(P)
    for i in range(P):
        for c in range(d):
            norms[i] += plain[c] * y[c * P + i] ** 2
    for done in range(count):
        call_rhs(address, 0.0, y, dy, params, work)
        total = 0.0
        for c in range(d):
            for j in range(c * P, (c + 1) * P):
                y[j] += step * dy[j] + sizes[c] * generator.standard_normal()
                total += abs(y[j])
        for j in range((d + 1) * P, (d + 2) * P):
            y[j] += step * dy[j]
            total += abs(y[j])
        if not np.isfinite(total):
            return done
        if spherical:
            for i in range(P):
                q = 0.0
                for c in range(d):
                    q += plain[c] * y[c * P + i] ** 2
                for c in range(d):
                    y[c * P + i] *= math.sqrt(norms[i] / q)
    return count
