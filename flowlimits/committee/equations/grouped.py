"""Parameters, states and arrow Jacobian of overlaps by eigenvalue group: groups meet in C, and on the sphere in the plain norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...compiled.jit import callback, jit
from ...compiled.structures import STRUCTURE_SIGNATURE
from ...compiled.views import vector
from ...ode.implicit import arrow as implicit_arrow
from ...ode.structure import Structure, arrow
from ...spectrum.groups import CovarianceGroups
from .. import activations
from . import groups, layout, moments, system
from .groups import TABLE, fill_fields, fill_group, fill_norms, pull, scratch_of, table_of, write_velocity
from .layout import SPHERICAL, STUDENT_WIDTH, TEACHER_WIDTH, TRAINED

if TYPE_CHECKING:
    from ..physics import Physics


@jit
def write_blocks(params, G, nothing, shrink, own, D, E, P):
    """Write what a group does to itself: D, the action of G, at the speed of the group; E, decay or sphere; P, the picked norms."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    b = D.shape[0]
    for i in range(p):
        for j in range(p):
            nothing[i, j] = 0.0
    flat, unit = D.reshape(b * b), E.reshape(b * b)[:b]
    for j in range(b):
        for m in range(b):
            unit[m] = 1.0 if m == j else 0.0
        fill_group(unit, 0, -1, params, own)
        write_velocity(1.0, G, nothing, own, flat, j, b)
    for i in range(b):
        for j in range(b):
            E[i, j] = 0.0
        for j in range(P.shape[1]):
            P[i, j] = 0.0
    at = 0
    for i in range(p):
        if P.shape[1] > 0:
            P[at, i] = 1.0
        for j in range(i, p):
            E[at, at] = -(shrink[i] + shrink[j])
            at += 1
    for i in range(p):
        for _ in range(k):
            E[at, at] = -shrink[i]
            at += 1


@jit
def write_column(y, params, dG, dnoise, dshrink, own, U, column):
    """Write the change of all velocities with a change of G, the noise and the shrinking to one column of U."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    rank = U.shape[2]
    flat = U.reshape(L * b * rank)
    for g in range(L):
        c, q = params[table + TABLE + g], params[table + TABLE + L + g]
        fill_group(y, g * b, table + TABLE + 2 * L + g * k * k, params, own)
        at = g * b * rank + column
        write_velocity(c, dG, dnoise, own, flat, at, rank)
        state = g * b
        for i in range(p):
            for j in range(i, p):
                # The noise enters with c q.
                flat[at] += (c * q - 1.0) * dnoise[i, j] - (dshrink[i] + dshrink[j]) * y[state]
                at += rank
                state += 1
        for i in range(p):
            for _ in range(k):
                flat[at] -= dshrink[i] * y[state]
                at += rank
                state += 1


@callback(STRUCTURE_SIGNATURE)
def jacobian(t, y, data, params, work):
    """Write the arrow: all groups depend on C, on the second layer, and on the sphere on the plain norms."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    sphere, trained = params[SPHERICAL] != 0.0, params[TRAINED] != 0.0
    picks, border = p if sphere else 0, p if trained else 0
    implicit_arrow.begin(data, L, b, border, picks)
    c, D, E, P, U, U_border = implicit_arrow.parts(data)
    fields, own, found, other = scratch_of(params, work)
    G, noise, da, shrink = found
    dG, dnoise, dda, dshrink = other
    norms = vector(work, work.size - p, p)
    fill_fields(y, params, fields)
    fill_norms(y, params, norms)
    pull(t, fields, norms, params, work, found)
    write_blocks(params, G, dnoise, shrink, own, D, E, P)
    largest = 0.0
    for i in range(b + border):
        largest = max(largest, abs(fields[i]))
    for j in range(b + border):
        step = 1e-7 * max(largest, 1e-3)
        kept = fields[j]
        fields[j] = kept + step
        pull(t, fields, norms, params, work, other)
        fields[j] = kept
        for i in range(p):
            for u in range(p + k):
                dG[i, u] = (dG[i, u] - G[i, u]) / step
            for u in range(p):
                dnoise[i, u] = (dnoise[i, u] - noise[i, u]) / step
            dda[i] = (dda[i] - da[i]) / step
            dshrink[i] = (dshrink[i] - shrink[i]) / step
        write_column(y, params, dG, dnoise, dshrink, own, U, j if j < b else j + picks)
        for i in range(border):
            U_border[i, j if j < b else j + picks] = dda[i]
    for i in range(picks):
        for m in range(p):
            dshrink[m] = 0.0
            for u in range(p + k):
                dG[m, u] = 0.0
            for u in range(p):
                dnoise[m, u] = 0.0
        dshrink[i] = -shrink[i] / norms[i]
        write_column(y, params, dG, dnoise, dshrink, own, U, b + i)
        for m in range(border):
            U_border[m, b + i] = 0.0
    for g in range(L):
        c[g] = params[table + TABLE + g]


FAMILIES = {"erf": moments.ERF, "relu": moments.RELU}


def parameters(
    fields: Physics, covariance: CovarianceGroups, T: np.ndarray, rate: float, slope: float = 0.0, start: float = 0.0
) -> tuple[np.ndarray, int]:
    """Return the parameters of `groups.rhs`, and the length of its scratch.

    Parameters
    ----------
    fields : Physics
        The same problem with standard normal inputs and the overlaps sum of c_l Q_l, R_l, T_l.
    covariance : CovarianceGroups
    T : ndarray, shape (L, k, k)
    rate, slope, start : float
        A learning rate that is linear in time from `start` on.
    """
    p, k = fields.R.shape
    base = system.parameters(fields, rate, slope, start)
    name = activations.name_of(fields.activation, fields.teacher_activation)
    if name in FAMILIES:
        scratch = system.choose(fields).work_size
    else:
        from .polynomial import work_size

        degrees = activations.degree(fields.activation), activations.degree(fields.teacher_activation)
        base[layout.STUDENT_DEGREE], base[layout.TEACHER_DEGREE] = degrees
        if name == "square":
            tables = [activations.table(one).ravel() for one in (fields.activation, fields.teacher_activation)]
            base = np.concatenate([base, *tables])
        scratch = work_size(p, k, max(degrees))
    table = [covariance.count, scratch, FAMILIES.get(name, moments.POLYNOMIAL)]
    parts = (base, table, covariance.eigenvalues, covariance.weights, T.ravel(), [base.size])
    return np.concatenate(parts), groups.work_size(scratch, p, k)


def pack(Q: np.ndarray, R: np.ndarray, a: np.ndarray | None) -> np.ndarray:
    """Return the state of overlaps (L, p, p), (L, p, k) and of a trained second layer (None if it is not trained)."""
    rows = np.concatenate([Q[:, *system.upper(Q.shape[1])], R.reshape(len(R), -1)], axis=1).ravel()
    return rows if a is None else np.concatenate([rows, a])


def unpack(states: np.ndarray, L: int, p: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q (..., L, p, p), R (..., L, p, k) and the trained second layer (..., p) or nothing, of states (..., n)."""
    triangle, b = p * (p + 1) // 2, p * (p + 1) // 2 + p * k
    lead = states.shape[:-1]
    rows = states[..., : L * b].reshape(*lead, L, b)
    Q = np.empty((*lead, L, p, p))
    i, j = system.upper(p)
    Q[..., i, j] = rows[..., :triangle]
    Q[..., j, i] = rows[..., :triangle]
    return Q, rows[..., triangle:].reshape(*lead, L, p, k), states[..., L * b :]


def structure(fields: Physics, L: int) -> Structure:
    """Return the arrow of a problem with L groups, of rank p (p + 1)/2 + p k, and p more for the sphere and the second layer."""
    p, k = fields.R.shape
    border, picks = p if fields.second_layer_rate > 0 else 0, p if fields.spherical else 0
    return arrow(jacobian, L, p * (p + 1) // 2 + p * k, border, picks)
