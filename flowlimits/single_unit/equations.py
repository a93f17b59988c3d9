r"""Order parameters of one unit, by group of the covariance: velocities, risk, arrow Jacobian, steps of SGD (compiled part).

The student's field :math:`\lambda = w\cdot x/\sqrt d` and the teacher's, :math:`\lambda_\star`, are jointly Gaussian with
covariances :math:`Q = \sum_l c_l Q_l`, R and T.  With :math:`\psi = \partial_\lambda \ell(\lambda, y)` and

.. math:: H_0 = E\,\psi', \quad H_1 = (E[\psi \lambda_\star] - H_0 R)/T, \quad N = E\,\psi^2

the overlaps move by (U4), whatever loss and link.  Expectations are sums over a table of teacher fields v, labels y and
weights, and over nodes z of what is left of the student's field, :math:`\lambda = (R/T) v + s z`,
:math:`s^2 = Q - R^2/T`.  The squared and the intensity loss need moments :math:`E[v^i y^j]` only.

The state is :math:`R_1, Q_1, R_2, Q_2, \dots`; all else stands in `params`, at the places below.

One-pass SGD runs in coordinates of each group, exact in law, or on real weights.  In group l the teacher lies along one direction, and the student in the plane of that direction and a second one, with the
coordinates :math:`u_l = R_l/\sqrt{T_l}` and :math:`v_l = \sqrt{Q_l - u_l^2}`.  An input has independent coordinates
:math:`\sqrt{c_l} z_1`, :math:`\sqrt{c_l} z_2` there, and what is left of it is a new direction of the squared length
:math:`c_l\chi^2` with :math:`d_l - 2` degrees of freedom; the step adds it to the student and the second direction turns, (U6).
"""

import math

import numpy as np
from numba import types

from ..compiled.jit import (
    A1,
    A2,
    FLOAT,
    RHS_SIGNATURE,
    STRUCTURE_SIGNATURE,
    callback,
    caller,
    jit,
)
from ..ode.implicit import arrow

#: loss(u, y, out) writes the loss and its first two derivatives by u
LOSS_SIGNATURE = types.void(FLOAT, FLOAT, A1)
call_loss = caller(LOSS_SIGNATURE)

SQUARED, INTENSITY, LOGISTIC, OWN = range(4)
#: Places in `params`; the arrays follow: c, q, T by group (L each), z and its weights, v (J), labels and weights (J K each).
(
    RATE, DECAY, GROUPS, NODES, ROWS, LABELS, TEACHER, KIND, ADDRESS, Y, YY, VY, VVY, VVYY, VVVVY,
) = range(15)  # fmt: skip
HEAD = 15
#: Results of `moments`.
CURVATURE, PULL, NOISE, RISK = range(4)
WORK = 32


@jit
def loss_at(kind, address, u, y, out):
    """Write the loss and its first two derivatives by the student's field u."""
    if kind == SQUARED:
        out[0], out[1], out[2] = 0.5 * (u - y) ** 2, u - y, 1.0
    elif kind == INTENSITY:
        miss = u * u - y
        out[0], out[1], out[2] = 0.5 * miss * miss, 2.0 * u * miss, 2.0 * miss + 4.0 * u * u
    elif kind == LOGISTIC:
        odds = math.exp(-abs(u))
        p = 1.0 / (1.0 + odds) if u >= 0.0 else odds / (1.0 + odds)
        out[0] = math.log1p(odds) + max(-y * u, 0.0)
        out[1] = p - 0.5 * (1.0 + y)
        out[2] = odds / ((1.0 + odds) * (1.0 + odds))
    else:
        call_loss(address, u, y, out)


@jit
def moments(R, Q, params, out, spare):
    """Write H_0, H_1, N and the risk at the covariances R, Q of the fields, (U3)."""
    T, kind = params[TEACHER], int(params[KIND])
    ratio = R / T
    rest = Q - R * ratio
    if rest < 0.0:
        # Round-off at a perfect student: on this side the noise would be negative, and drive it away.
        rest, Q = 0.0, R * ratio
    if kind == SQUARED:
        curvature = 1.0
        pull = R - params[VY]
        noise = Q - 2.0 * ratio * params[VY] + params[YY]
        risk = 0.5 * noise
    elif kind == INTENSITY:
        part = ratio * ratio
        second = part * params[VVY] + rest * params[Y]
        fourth = part * part * params[VVVVY] + 6.0 * part * rest * params[VVY] + 3.0 * rest * rest * params[Y]
        curvature = 6.0 * Q - 2.0 * params[Y]
        pull = 6.0 * Q * R - 2.0 * ratio * params[VVY]
        noise = 4.0 * (15.0 * Q * Q * Q - 2.0 * fourth + part * params[VVYY] + rest * params[YY])
        risk = 0.5 * (3.0 * Q * Q - 2.0 * second + params[YY])
    elif kind == LOGISTIC:
        curvature, pull, noise, risk = logistic(ratio, math.sqrt(rest), params)
    else:
        curvature, pull, noise, risk = averages(kind, ratio, math.sqrt(rest), params, spare)
    out[CURVATURE], out[PULL], out[NOISE], out[RISK] = curvature, (pull - curvature * R) / T, max(noise, 0.0), risk


@jit
def averages(kind, ratio, width, params, spare):
    """Return E psi', E[psi v], E psi^2 and E loss by quadrature over v, y and z."""
    groups, nodes, rows, labels = int(params[GROUPS]), int(params[NODES]), int(params[ROWS]), int(params[LABELS])
    address = int(params[ADDRESS])
    z = HEAD + 3 * groups
    v = z + 2 * nodes
    y = v + rows
    w = y + rows * labels
    curvature = pull = noise = risk = 0.0
    for j in range(rows):
        mean = ratio * params[v + j]
        for k in range(labels):
            weight = params[w + j * labels + k]
            if weight == 0.0:
                continue
            label = params[y + j * labels + k]
            first = second = squares = value = 0.0
            for i in range(nodes):
                loss_at(kind, address, mean + width * params[z + i], label, spare)
                share = params[z + nodes + i]
                value += share * spare[0]
                first += share * spare[1]
                second += share * spare[2]
                squares += share * spare[1] * spare[1]
            curvature += weight * second
            pull += weight * params[v + j] * first
            noise += weight * squares
            risk += weight * value
    return curvature, pull, noise, risk


@jit
def logistic(ratio, width, params):
    """Return what `averages` does for the logistic loss: for y = 1 and -1 all of it depends on the mean label at v only."""
    groups, nodes, rows, labels = int(params[GROUPS]), int(params[NODES]), int(params[ROWS]), int(params[LABELS])
    z = HEAD + 3 * groups
    v = z + 2 * nodes
    y = v + rows
    w = y + rows * labels
    curvature = pull = noise = risk = 0.0
    for j in range(rows):
        mean = ratio * params[v + j]
        weight = positive = 0.0
        for k in range(labels):
            weight += params[w + j * labels + k]
            positive += 0.5 * params[w + j * labels + k] * (1.0 + params[y + j * labels + k])
        first = second = squares = value = 0.0
        for i in range(nodes):
            u = mean + width * params[z + i]
            share = params[z + nodes + i]
            odds = math.exp(-abs(u))
            p = 1.0 / (1.0 + odds) if u >= 0.0 else odds / (1.0 + odds)
            first += share * p
            second += share * odds / ((1.0 + odds) * (1.0 + odds))
            squares += share * (weight * p - 2.0 * positive) * p
            value += share * (weight * (math.log1p(odds) + max(u, 0.0)) - positive * u)
        curvature += weight * second
        pull += params[v + j] * (weight * first - positive)
        noise += squares + positive
        risk += value
    return curvature, pull, noise, risk


@jit
def fields(y, params):
    """Return the covariances R and Q of the fields, sums over the groups."""
    R = Q = 0.0
    for g in range(int(params[GROUPS])):
        R += params[HEAD + g] * y[2 * g]
        Q += params[HEAD + g] * y[2 * g + 1]
    return R, Q


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Write the velocities of the overlaps, (U4)."""
    L = int(params[GROUPS])
    R, Q = fields(y, params)
    found = work[:4]
    moments(R, Q, params, found, work[4:8])
    H0, H1 = found[CURVATURE], found[PULL]
    noise, decay = params[RATE] * found[NOISE], params[DECAY]
    for g in range(L):
        c, q, T = params[HEAD + g], params[HEAD + L + g], params[HEAD + 2 * L + g]
        dy[2 * g] = -c * (H0 * y[2 * g] + H1 * T) - decay * y[2 * g]
        dy[2 * g + 1] = -2.0 * c * (H0 * y[2 * g + 1] + H1 * y[2 * g]) - 2.0 * decay * y[2 * g + 1] + noise * c * q


@callback(STRUCTURE_SIGNATURE)
def jacobian(t, y, data, params, work):
    """Write the arrow Jacobian: the groups meet in R and Q, on which H_0, H_1 and N depend."""
    L = int(params[GROUPS])
    arrow.begin(data, L, 2, 0, 0)
    c, D, E, P, U, border = arrow.parts(data)
    R, Q = fields(y, params)
    found, shifted, spare = work[:4], work[8:12], work[4:8]
    moments(R, Q, params, found, spare)
    H0, H1, decay = found[CURVATURE], found[PULL], params[DECAY]
    D[0, 0], D[0, 1], D[1, 0], D[1, 1] = -H0, 0.0, -2.0 * H1, -2.0 * H0
    E[0, 0], E[0, 1], E[1, 0], E[1, 1] = -decay, 0.0, 0.0, -2.0 * decay
    for j in range(2):
        # Steps into the region of possible overlaps, R^2 <= Q T: differences are all that is needed.
        step = 1e-7 * max(Q, params[TEACHER])
        if j == 0:
            step = -step if R > 0.0 else step
            moments(R + step, Q, params, shifted, spare)
        else:
            moments(R, Q + step, params, shifted, spare)
        dH0, dH1 = (shifted[CURVATURE] - H0) / step, (shifted[PULL] - H1) / step
        dN = params[RATE] * (shifted[NOISE] - found[NOISE]) / step
        for g in range(L):
            speed, q, T = params[HEAD + g], params[HEAD + L + g], params[HEAD + 2 * L + g]
            U[g, 0, j] = -speed * (dH0 * y[2 * g] + dH1 * T)
            U[g, 1, j] = -2.0 * speed * (dH0 * y[2 * g + 1] + dH1 * y[2 * g]) + speed * q * dN
    for g in range(L):
        c[g] = params[HEAD + g]


@jit(types.void(A1, A1, A1, A2))
def evaluate(R, Q, params, out):
    """Write the results of `moments` at many covariances of the fields, shape (n, 4)."""
    spare = out[0].copy()
    for i in range(R.size):
        moments(R[i], Q[i], params, out[i], spare)


RNG = types.npy_rng
INT = types.int64
COUNTS = types.int64[::1]


@jit(INT(RNG, A1, A1, A1, COUNTS, A2, A1, FLOAT, FLOAT, INT, INT))
def chain(rng, u, v, c, left, z, labels, gain, shrink, kind, address):
    """Take one step for each label; return how many were taken before a weight left the finite range.

    Parameters
    ----------
    rng : numpy.random.Generator
    u, v : ndarray, shape (L,)
        The student along the teacher, and across it, divided by sqrt(d); overwritten.
    c : ndarray, shape (L,)
        Eigenvalues.
    left : ndarray of int, shape (L,)
        Directions of each group apart from the teacher's; v is zero where there is none.
    z : ndarray, shape (steps, L)
        Normal coordinates of the inputs along the teacher.
    labels : ndarray, shape (steps,)
    gain, shrink : float
        learning_rate / d, and what decay leaves of the weights in a step.
    """
    L = u.size
    out = np.empty(3)
    across = np.empty(L)
    for step in range(labels.size):
        field = 0.0
        for g in range(L):
            across[g] = rng.standard_normal() if left[g] > 0 else 0.0
            field += math.sqrt(c[g]) * (u[g] * z[step, g] + v[g] * across[g])
        loss_at(kind, address, field, labels[step], out)
        move = gain * out[1]
        if not math.isfinite(move):
            return step
        for g in range(L):
            along = move * math.sqrt(c[g])
            u[g] = shrink * u[g] - along * z[step, g]
            if left[g] > 0:
                now = shrink * v[g] - along * across[g]
                if left[g] > 1:
                    v[g] = math.sqrt(now * now + along * along * 2.0 * rng.standard_gamma(0.5 * (left[g] - 1)))
                else:
                    v[g] = abs(now)
    return labels.size


@jit(INT(A1, A2, A1, FLOAT, FLOAT, INT, INT))
def samples(w, x, labels, gain, shrink, kind, address):
    """Take one step for each input, the rows of x, on real weights divided by sqrt(d); return how many were taken."""
    out = np.empty(3)
    for step in range(labels.size):
        field = 0.0
        for i in range(w.size):
            field += w[i] * x[step, i]
        loss_at(kind, address, field, labels[step], out)
        move = gain * out[1]
        if not math.isfinite(move):
            return step
        for i in range(w.size):
            w[i] = shrink * w[i] - move * x[step, i]
    return labels.size
