"""Velocity, Jacobian and observables of the reduced flow where row i meets column i only (compiled part).

These are starts that decouple into blocks of rank one, (Q23); the mathematics is in `equations_reduced`.
"""

import math

from numba import types

from ...compiled.jit import A1, A2, RHS_SIGNATURE, STRUCTURED_SIGNATURE, callback, jit
from .equations_faint import faint, summarise_faint
from .equations_reduced import (
    OUTSIDE,
    sizes,
    summarise,
    vectors,
    weigh,
    write_jacobian,
    write_velocity,
)


@jit
def resolve(s, y, params, work):
    """Write everything that the state determines; return the squared norm of the complement's block over g_0^2."""
    weigh(s, y, params, work)
    m, _, r, _ = sizes(params)
    v = vectors(params, work)
    logd, root, pi, dtau, mixed, share, kappa, thin, gamma = (
        v.logd,
        v.root,
        v.pi,
        v.dtau,
        v.mixed,
        v.share,
        v.kappa,
        v.thin,
        v.gamma,
    )
    gamma[:] = 1.0
    for i in range(r):
        strength = 4.0 * math.exp(logd[i]) * thin[i] ** 2
        pi[i] = gamma[i] = 1.0 / (1.0 + strength)
        share[i] = strength * pi[i] if strength < 1.0 else 1.0 - pi[i]
        dtau[i] = 2.0 * root[i] ** 2 * pi[i] * share[i]
        mixed[i] = kappa[i] * pi[i] * share[i]
    far = 0.0
    for j in range(m):
        far += (kappa[j] * gamma[j]) ** 2
    return far


@callback(RHS_SIGNATURE)
def flow(s, y, dy, params, work):
    resolve(s, y, params, work)
    write_velocity(s, y, dy, params, work)


@callback(STRUCTURED_SIGNATURE)
def jacobian(s, y, D, U, V, params, work):
    far = resolve(s, y, params, work)
    write_jacobian(s, y, D, U, V, far, params, work)


@jit(types.void(A1, A2, A1, A1, A2))
def observe(times, states, params, work, out):
    """Write the observables of all states, one row each."""
    for n in range(times.size):
        far = resolve(times[n], states[n], params, work)
        summarise(times[n], states[n], 0.0, far, params, work, out[n])
        top = faint(states[n], params, work)
        if top < 0.0:
            summarise_faint(states[n], top, 0.0, far, params, work, out[n])


@jit(types.void(A1, A2, A1, A1, A2))
def modes(times, states, params, work, out):
    """Write the nonzero eigenvalues of Z, one per column: each block has rank one."""
    m, _, r, _ = sizes(params)
    v = vectors(params, work)
    root, share, kappa, gamma = v.root, v.share, v.kappa, v.gamma
    for n in range(times.size):
        resolve(times[n], states[n], params, work)
        bottom = math.exp(states[n, 1]) if params[OUTSIDE] == 1.0 else 0.0
        for j in range(m):
            out[n, j] = bottom * kappa[j] * gamma[j]
            if j < r:
                out[n, j] += root[j] ** 2 * share[j]
