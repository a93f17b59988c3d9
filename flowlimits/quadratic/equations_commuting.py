r"""Velocity and Jacobian of quadratic networks whose covariance, teacher and student commute, (Q28) (compiled part).

On atoms of eigenvalues c of the covariance, l of the teacher and z of the student, and of weight q,

.. math:: \dot z_j = 2 c_j (2 c_j l_j - \theta) z_j - 4 c_j^2 z_j^2 - \text{decay}\; z_j, \qquad
          \theta = \textstyle\sum_j q_j c_j (z_j - l_j)

at finite dimension, zero for the centred activation.  In the limit of extensive widths the trace is locked, and
:math:`\theta` is what keeps :math:`\sum_j q_j c_j (z_j - l_j)` at zero.  The state is the multiplier
:math:`\varphi = \int\theta` and the logarithms :math:`u_j = \log(z_j/l_j)`, or :math:`\log z_j` where :math:`l_j = 0`, so that small
students and small distances from the teacher both keep their digits.

Where weight decay takes everything away, at the critical decay as slowly as 1/s, the state carries what :math:`u_j` differs by from the steady fall at
its rate next to no student, and :math:`\int\sum_j q_j c_j z_j` in the place of the multiplier; no velocity is then a difference.

Parameters: locked, decay, rate at which round-off of the lock relaxes, whether all vanishes, c, l, q, and rates of the steady fall (n each).
"""

import math

from ..compiled.jit import RHS_SIGNATURE, STRUCTURED_SIGNATURE, callback, jit

LOCKED, DECAY, RELAXATION, VANISHING = range(4)
HEADER = 4


@jit
def student(u, l):
    """Return z and z - l."""
    if l > 0.0:
        return l * math.exp(u), l * math.expm1(u)
    z = math.exp(u)
    return z, z


@jit
def vanishing(j, s, y, params):
    """Return z_j where weight decay takes everything away."""
    n = y.size - 1
    l = params[HEADER + n + j]
    return (l if l > 0.0 else 1.0) * math.exp(y[1 + j] + params[HEADER + 3 * n + j] * s)


@jit
def sums(y, params):
    """Return the distance of the trace from its lock, minus the velocity of the trace at theta = 0, and what theta adds to it."""
    n = y.size - 1
    distance = pull = mass = 0.0
    for j in range(n):
        c, l, q = params[HEADER + j], params[HEADER + n + j], params[HEADER + 2 * n + j]
        z, x = student(y[1 + j], l)
        distance += q * c * x
        pull += q * c * z * (4.0 * c * c * x + params[DECAY])
        mass += 2.0 * q * c * c * z
    return distance, pull, mass


@jit
def multiplier(y, params):
    """Return theta."""
    distance, pull, mass = sums(y, params)
    return (params[RELAXATION] * distance - pull) / mass if params[LOCKED] == 1.0 else distance


@callback(RHS_SIGNATURE)
def flow(s, y, dy, params, work):
    """Write the velocities of the multiplier and of the logarithms."""
    n = y.size - 1
    if params[VANISHING] == 1.0:
        dy[0] = 0.0
        for j in range(n):
            dy[0] += params[HEADER + 2 * n + j] * params[HEADER + j] * vanishing(j, s, y, params)
        for j in range(n):
            c = params[HEADER + j]
            dy[1 + j] = -4.0 * c * c * vanishing(j, s, y, params) - 2.0 * c * dy[0]
        return
    theta = multiplier(y, params)
    dy[0] = theta
    for j in range(n):
        c = params[HEADER + j]
        dy[1 + j] = -(4.0 * c * c * student(y[1 + j], params[HEADER + n + j])[1] + 2.0 * c * theta + params[DECAY])


@callback(STRUCTURED_SIGNATURE)
def jacobian(s, y, D, U, V, params, work):
    """Write the Jacobian, a diagonal and one product: the atoms meet in theta alone."""
    n = y.size - 1
    D[0] = V[0, 0] = 0.0
    U[0, 0] = 1.0
    if params[VANISHING] == 1.0:
        for j in range(n):
            c, z = params[HEADER + j], vanishing(j, s, y, params)
            D[1 + j] = -4.0 * c * c * z
            U[1 + j, 0] = -2.0 * c
            V[1 + j, 0] = params[HEADER + 2 * n + j] * c * z
        return
    _, _, mass = sums(y, params)
    theta = multiplier(y, params)
    for j in range(n):
        c, l, q = params[HEADER + j], params[HEADER + n + j], params[HEADER + 2 * n + j]
        z, x = student(y[1 + j], l)
        D[1 + j] = -4.0 * c * c * z
        U[1 + j, 0] = -2.0 * c
        V[1 + j, 0] = q * c * z
        if params[LOCKED] == 1.0:
            V[1 + j, 0] *= (params[RELAXATION] - 4.0 * c * c * (z + x) - params[DECAY] - 2.0 * c * theta) / mass
