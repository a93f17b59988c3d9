"""Parameters, states and arrow structure of overlaps by eigenvalue group, for the equations in `groups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...ode.structure import Structure, arrow
from ...spectrum.groups import CovarianceGroups
from .. import activations
from . import groups, moments, system

if TYPE_CHECKING:
    from ..physics import Physics


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
    base, stride = system.with_tables(fields, system.parameters(fields, rate, slope, start))
    name = activations.name_of(fields.activation, fields.teacher_activation)
    polynomial = moments.work_size_polynomial(p, k, stride - 1)
    scratch = system.choose(fields).work_size if name in FAMILIES else polynomial
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
    return arrow(groups.jacobian, L, p * (p + 1) // 2 + p * k, border, picks)
