"""The reduced flow where row i meets column i only: velocity, Jacobian, observables; and observables of faint students (compiled part).

These are starts that decouple into blocks of rank one, (Q23); the mathematics is in `equations_reduced`.
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, RHS_SIGNATURE, STRUCTURED_SIGNATURE, callback, jit
from .equations_reduced import (
    DRIFT,
    FAINT,
    LOGARITHMIC,
    MISALIGNMENT,
    OUTSIDE,
    OVERLAP,
    TEACHER_SQUARES,
    UNSEEN_SQUARES,
    fall,
    log_bottom,
    log_total,
    sizes,
    summarise,
    tables,
    vectors,
    weigh,
    write_jacobian,
    write_velocity,
)


@jit
def faint(s, y, params, work):
    """Return the logarithm of the student's scale where its squares would underflow, else 0, and g_0 over that scale.

    `root` is scaled by it then.  Only with weight decay: the state carries the logarithms of the student's scales.
    """
    _, _, r, _ = sizes(params)
    l, group, _, _ = tables(params)
    if params[LOGARITHMIC] == 0.0:
        return 0.0, 0.0
    root = vectors(params, work).root
    top, carried, slope = -np.inf, 0.0, 0.0
    for i in range(r):
        k = int(group[i])
        if log_total(k, l, s, y, params) > top:
            top, carried, slope = log_total(k, l, s, y, params), y[2 + k], fall(k, l, params)
    if params[OUTSIDE] == 1.0 and log_bottom(s, y, params) > top:
        top, carried, slope = log_bottom(s, y, params), y[1], -max(2.0 * params[DRIFT], 0.0)
    if top >= FAINT:
        return 0.0, 0.0
    for i in range(r):
        k = int(group[i])
        root[i] = math.exp(0.5 * ((y[2 + k] - carried) + (fall(k, l, params) - slope) * s))
    if params[OUTSIDE] == 0.0:
        return top, 0.0
    return top, math.exp((y[1] - carried) - (max(2.0 * params[DRIFT], 0.0) + slope) * s)


@jit
def summarise_faint(bottom, between, far, params, work, out):
    """Write overlap and misalignment of a student that is next to nothing, from its scaled matrix; `root` and `bottom` are scaled."""
    l, group, _, _ = tables(params)
    m, _, r, _ = sizes(params)
    v = vectors(params, work)
    root, mixed, share = v.root, v.mixed, v.share
    a = params[TEACHER_SQUARES]
    b = squares = aside = 0.0
    outer = between + bottom**2 * far
    for i in range(r):
        z = root[i] ** 2 * share[i]
        outer += 2.0 * bottom * root[i] ** 2 * mixed[i]
        b += l[int(group[i])] * z
        squares += z * z
    scale = b / a if a > 0.0 else 0.0
    aside = scale**2 * params[UNSEEN_SQUARES]
    for i in range(r):
        aside += (root[i] ** 2 * share[i] - scale * l[int(group[i])]) ** 2
    geometric = math.sqrt(a * (squares + outer))
    out[OVERLAP] = b / geometric if geometric > 0.0 else math.nan
    out[MISALIGNMENT] = a * (aside + outer) / (geometric * (geometric + b)) if geometric > 0.0 else math.nan


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
        top, bottom = faint(times[n], states[n], params, work)
        if top < 0.0:
            summarise_faint(bottom, 0.0, far, params, work, out[n])


@jit(types.void(A1, A2, A1, A1, A2))
def modes(times, states, params, work, out):
    """Write the nonzero eigenvalues of Z, one per column: each block has rank one."""
    m, _, r, _ = sizes(params)
    v = vectors(params, work)
    root, share, kappa, gamma = v.root, v.share, v.kappa, v.gamma
    for n in range(times.size):
        resolve(times[n], states[n], params, work)
        bottom = math.exp(log_bottom(times[n], states[n], params)) if params[OUTSIDE] == 1.0 else 0.0
        for j in range(m):
            out[n, j] = bottom * kappa[j] * gamma[j]
            if j < r:
                out[n, j] += root[j] ** 2 * share[j]
