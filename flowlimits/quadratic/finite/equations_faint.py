"""Observables of the reduced flow where the squares of the student would underflow (compiled part)."""

import math

import numpy as np

from ...compiled.jit import jit
from .equations_reduced import (
    FAINT,
    LOGARITHMIC,
    MISALIGNMENT,
    OUTSIDE,
    OVERLAP,
    TEACHER_SQUARES,
    UNSEEN_SQUARES,
    sizes,
    tables,
    vectors,
)


@jit
def faint(y, params, work):
    """Return the logarithm of the student's scale where its squares would underflow, else 0; scale `root` by it then.

    Only with weight decay: the state carries the logarithms of the student's scales.
    """
    m, _, r, _ = sizes(params)
    _, group, _, _ = tables(params)
    top = -np.inf
    if params[LOGARITHMIC] == 1.0:
        root = vectors(params, work).root
        for i in range(r):
            top = max(top, y[2 + int(group[i])])
        if params[OUTSIDE] == 1.0:
            top = max(top, y[1])
        if top < FAINT:
            for i in range(r):
                root[i] = math.exp(0.5 * (y[2 + int(group[i])] - top))
            return top
    return 0.0


@jit
def summarise_faint(y, top, between, far, params, work, out):
    """Write overlap and misalignment of a student that is next to nothing, from its scaled matrix; `root` is scaled."""
    l, group, _, _ = tables(params)
    m, _, r, _ = sizes(params)
    v = vectors(params, work)
    root, mixed, share = v.root, v.mixed, v.share
    bottom = math.exp(y[1] - top) if params[OUTSIDE] == 1.0 else 0.0
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
