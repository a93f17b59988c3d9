r"""The locked flow at extensive widths: collocation for the multiplier alone, the spectrum eliminated.

The unknown is one function, :math:`\dot\psi`: given it, every node of the teacher follows a linear equation of its own, (Q17) or (Q19) of
docs/theory.md, and the locked trace (Q16) is the equation that determines it.  On each step :math:`Q = \gamma'\,(\dot\psi - r)` is a
polynomial in :math:`u = \log(1 + \gamma/\gamma_0)` through the :math:`m` Radau points (:math:`\gamma' = d\gamma/du`, and `r` is
:math:`\dot\psi` at the start of the step).  The nodes follow by collocation at the same points,

.. math:: \eta_j = G\,e_j, \quad G = e^{-2\int(\dot\psi - r)d\gamma}, \qquad
          \frac{d\eta_j}{du} = -\gamma'\,(4 z_j - 2 r)\,\eta_j + \gamma'\,G \cdot(1 \text{ or } 2\dot\psi),

where :math:`e_j` is :math:`v_j` (source 1) while :math:`4 z_j v_j` is small and :math:`\varepsilon_j` (source :math:`2\dot\psi`) later.
The operators :math:`B + h\gamma'(4z_j - 2r)` do not contain the unknowns: one inverse of size `m` per node and step, and Newton's
method for `m` numbers.  The collocation is L-stable and of high order, so that a step spans most of a decade at late
times however stiff the nodes are; the lock holds to round-off at the end of every step, so nothing drifts.
"""

import functools
import math

import numpy as np

from ...compiled.jit import jit
from .subordination import solve_theta, start_side

#: Radau points of a step.
STAGES = 10


@functools.cache
def radau_tables(stages=STAGES):
    """Return the Radau points in (0, 1], the integration matrix, its inverse, and interpolation weights.

    Returns
    -------
    points : ndarray, shape (m,)
    integration, differentiation : ndarray, shape (m, m)
        Integrals from 0 to the points of the polynomial through values at the points, and the inverse.
    left : ndarray, shape (m,)
        Extrapolation of that polynomial to 0.
    barycentric : ndarray, shape (m + 1,)
        Weights of the interpolation through 0 and the points.
    """
    legendre = np.polynomial.legendre
    roots = np.sort(legendre.legroots(np.append(np.zeros(stages - 1), [-1.0, 1.0])).real)
    roots[-1] = 1.0
    values = legendre.legvander(roots, stages - 1)
    integrals = np.stack([legendre.legval(roots, legendre.legint(row, lbnd=-1)) for row in np.eye(stages)], axis=1) / 2
    integration = integrals @ np.linalg.inv(values)
    left = (legendre.legvander(np.array([-1.0]), stages - 1) @ np.linalg.inv(values))[0]
    points = np.append(0.0, (roots + 1) / 2)
    differences = points[:, None] - points[None, :] + np.eye(stages + 1)
    return points[1:].copy(), integration, np.linalg.inv(integration), left, 1 / differences.prod(axis=1)


@jit
def solve_small(matrix, right):
    """Solve a small linear system in place (partial pivoting); False if it is singular."""
    m = right.size
    for p in range(m):
        best = p
        for i in range(p + 1, m):
            if abs(matrix[i, p]) > abs(matrix[best, p]):
                best = i
        if not abs(matrix[best, p]) > 0:
            return False
        if best != p:
            for k in range(p, m):
                matrix[p, k], matrix[best, k] = matrix[best, k], matrix[p, k]
            right[p], right[best] = right[best], right[p]
        for i in range(p + 1, m):
            factor = matrix[i, p] / matrix[p, p]
            for k in range(p + 1, m):
                matrix[i, k] -= factor * matrix[p, k]
            right[i] -= factor * right[p]
    for p in range(m - 1, -1, -1):
        for k in range(p + 1, m):
            right[p] -= matrix[p, k] * right[k]
        right[p] /= matrix[p, p]
    return True


@jit
def extrapolate(at, values, u):
    """Return the quadratic through three points at `u`."""
    (a, b, c), (x, y, w) = (at[0], at[1], at[2]), (values[0], values[1], values[2])
    return (
        x * (u - b) * (u - c) / ((a - b) * (a - c))
        + y * (u - a) * (u - c) / ((b - a) * (b - c))
        + w * (u - a) * (u - b) / ((c - a) * (c - b))
    )


@jit
def interpolation(at, points, barycentric, weights):
    """Write the weights of the values at 0 and at the points in the polynomial through them at `at`."""
    m = points.size
    total = 0.0
    for k in range(m + 1):
        distance = at - (points[k - 1] if k > 0 else 0.0)
        if distance == 0.0:
            for l in range(m + 1):
                weights[l] = 1.0 if l == k else 0.0
            return
        weights[k] = barycentric[k] / distance
        total += weights[k]
    for k in range(m + 1):
        weights[k] /= total


@jit
def invert(matrix, inverse):
    """Write the inverse of a small matrix, which is overwritten; False if it is singular."""
    m = matrix.shape[0]
    for i in range(m):
        for k in range(m):
            inverse[i, k] = 1.0 if i == k else 0.0
    for p in range(m):
        best = p
        for i in range(p + 1, m):
            if abs(matrix[i, p]) > abs(matrix[best, p]):
                best = i
        pivot = matrix[best, p]
        if not abs(pivot) > 0:
            return False
        for k in range(m):
            kept = matrix[p, k]
            matrix[p, k] = matrix[best, k] / pivot
            matrix[best, k] = kept if best != p else matrix[p, k]
            kept = inverse[p, k]
            inverse[p, k] = inverse[best, k] / pivot
            inverse[best, k] = kept if best != p else inverse[p, k]
        for i in range(m):
            if i != p:
                factor = matrix[i, p]
                if factor != 0:
                    for k in range(m):
                        matrix[i, k] -= factor * matrix[p, k]
                        inverse[i, k] -= factor * inverse[p, k]
    return True


@jit
def prepare(z, rate, h, speed, B, inverses, scratch):
    """Write the inverses of B + h speed (4 z_j - 2 rate), shape (n, m, m)."""
    m = B.shape[0]
    for j in range(z.size):
        for i in range(m):
            for k in range(m):
                scratch[i, k] = B[i, k]
            scratch[i, i] += h * speed[i] * (4 * z[j] - 2 * rate)
        if not invert(scratch, inverses[j]):
            return False
    return True


@jit
def follow(nodes, e, h, rate, speed, Q, A, row_sums, inverses, drift, G, stages):
    """Write the stages e_j of every node, shape (n, m), for given Q; the integral `drift` of Q and G; False if v_j <= 0."""
    z, bounded = nodes[0], nodes[3]
    m = Q.size
    for i in range(m):
        total = 0.0
        for k in range(m):
            total += A[i, k] * Q[k]
        drift[i] = h * total
        G[i] = math.exp(-2 * drift[i])
    for j in range(z.size):
        for i in range(m):
            total = 0.0
            for k in range(m):
                source = 2 * (rate + Q[k] / speed[k]) if bounded[j] else 1.0
                total += inverses[j, i, k] * (row_sums[k] * e[j] + h * speed[k] * G[k] * source)
            stages[j, i] = total / G[i]
            if not (1 + stages[j, i] if bounded[j] else stages[j, i]) > 0:
                return False
    return True


@jit
def unpack(nodes, e, gamma, reference, v, eps, base):
    """Write v_j, eps_j and the exponents log(4 v_j) + 4 (z_j - reference) gamma of the state e."""
    z, bounded = nodes[0], nodes[3]
    for j in range(z.size):
        if bounded[j]:
            eps[j] = e[j]
            v[j] = (1 + e[j]) / (4 * z[j])
        else:
            v[j] = e[j]
            eps[j] = 4 * z[j] * e[j] - 1
        base[j] = math.log(4 * v[j]) + 4 * (z[j] - reference) * gamma


@jit
def lock(nodes, inverses, i, e, gamma, offset, start, theta, accuracy, h, rate, speed, Q, G, A, jacobian, work):
    r"""Return the lock's residual and size at stage `i` and the root theta; write row `i` of the Jacobian.

    Notes
    -----
    With :math:`R_1 = \sum q_j(z_j - \zeta_j)` and the subordination residual :math:`R_2`, both functions of the
    :math:`\log v_j`, of :math:`\theta` and of :math:`o`, the Jacobian is that of
    :math:`R_1 - (R_{1,\theta}/R_{2,\theta}) R_2`; the :math:`\log v_j` depend on `Q` through the inverses.
    """
    z, q, low, bounded, delta, reference = nodes
    gaussian, rank, ell, nu = start
    v, eps, s, omega, base = work[0], work[1], work[2], work[3], work[4]
    m = Q.size
    unpack(nodes, e, gamma, reference, v, eps, base)
    theta, residual = solve_theta(base, q, low, delta, gaussian, rank, ell, nu, offset, theta, accuracy, s, omega)
    _x, x_theta, _C, C_theta, C_offset, x_offset, _l = start_side(gaussian, rank, ell, nu, theta, offset)

    locked = 0.0
    size = 0.0
    slope = 0.0
    pull = 0.0
    for j in range(z.size):
        zeta = s[j] / (4 * v[j])
        if bounded[j]:
            locked += q[j] * z[j] * (eps[j] + omega[j]) / (1 + eps[j])
            size += q[j] * z[j] * (abs(eps[j]) + omega[j]) / (1 + eps[j])
        else:
            locked += q[j] * (z[j] - zeta)
            size += q[j] * (z[j] + zeta) if z[j] > 0 else q[j] * zeta
        slope += q[j] * s[j] * omega[j]
        pull += q[j] * zeta * omega[j]
    ratio = pull * x_theta / (slope * x_theta + C_theta)
    by_psi = 2 * (pull * x_offset - ratio * (slope * x_offset + C_offset))

    early = work[5]
    late = work[6]
    own = 0.0
    for k in range(m):
        early[k] = 0.0
        late[k] = 0.0
    for j in range(z.size):
        zeta = s[j] / (4 * v[j])
        weight = q[j] * s[j] * (zeta + ratio * omega[j])
        weight *= 1 / (1 + eps[j]) if bounded[j] else 1 / v[j]
        own += weight * e[j]
        if bounded[j]:
            for k in range(m):
                late[k] += weight * inverses[j, i, k]
        else:
            for k in range(m):
                early[k] += weight * inverses[j, i, k]
    for l in range(m):
        total = by_psi * A[i, l]
        for k in range(m):
            velocity = rate + Q[k] / speed[k]
            response = h * speed[k] * G[k] / G[i] * (early[k] + 2 * velocity * late[k])
            total -= 2 * (response - (own if k == i else 0.0)) * A[k, l]
        jacobian[i, l] = h * total + 2 * h * G[l] / G[i] * late[l]
    return locked + ratio * residual, size, theta
