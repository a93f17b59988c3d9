r"""Order-parameter flow of a ReLU network on the XOR mixture, squared loss, in closed form.

Four clusters :math:`x = e\,\mu_c + s z`, :math:`e = \pm1`, :math:`c = 1, 2`, of probability 1/4, with
:math:`|\mu_c| = \mu`, :math:`\mu_1\perp\mu_2`, label :math:`+1` for :math:`c = 1` and :math:`-1` for :math:`c = 2`, flipped with
probability :math:`\eta`.  The network is :math:`f(x) = \sum_k a_k (w_k\cdot x)_+` with the overlaps

===  ==========================  ==========
Q    :math:`W W^\top`            ``(K, K)``
R    :math:`W (\mu_1, \mu_2)`    ``(K, 2)``
a    second layer                ``(K,)``
===  ==========================  ==========

Exact for every dimension in the gradient flow.  Equation numbers (X...) are those of ``docs/mixture.md``; the moments
are those of M. Refinetti, S. Goldt, F. Krzakala, L. Zdeborova, ICML 2021, arXiv 2102.11742, evaluated in closed form.

State vectors hold Q, R and a, row by row, one after the other.  Parameters are, in this order, `width`,
`separation`, `noise_scale`, `label_noise`, `second_layer_rate`.
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, RHS_SIGNATURE, call_rhs, callback, jit
from ..gaussian.bivariate import normal_density
from .equations_moments import active, rectified_mean, relu_moments

WIDTH, SEPARATION, NOISE_SCALE, LABEL_NOISE, SECOND_LAYER_RATE = range(5)


@jit
def unpack(y, K):
    """Return views of Q, R and a in a state vector."""
    Q = y[: K * K].reshape(K, K)
    R = y[K * K : K * K + 2 * K].reshape(K, 2)
    return Q, R, y[K * K + 2 * K :]


@jit
def cluster_terms(Q, R, a, sign, c, s, label, drift_w, drift_mu, drift_a, diagonal):
    r"""Add one cluster's part of the velocities :math:`\dot W = M W + N \mu^\top` and :math:`\dot a`, eq. (X9).

    Parameters
    ----------
    sign, c : float, int
        The cluster's centre is ``sign * mu[c]``.
    label : float
        Mean label of the cluster, label noise included.
    drift_w : ndarray, shape (K, K)
        The matrix M without its diagonal part from the first field, which goes to `diagonal`.
    drift_mu : ndarray, shape (K, 2)
        The matrix N.
    drift_a : ndarray, shape (K,)
        The velocity of the second layer.
    """
    K = a.size
    for k in range(K):
        mk = sign * R[k, c]
        sk = s * math.sqrt(max(Q[k, k], 0.0))
        on = active(mk, sk)
        slope = normal_density(mk / sk) / sk if sk > 0.0 else 0.0
        along_mu = label * on
        along_w = label * slope
        gain = label * rectified_mean(mk, sk)
        for j in range(K):
            mj = sign * R[j, c]
            sj = s * math.sqrt(max(Q[j, j], 0.0))
            covariance = s * s * Q[k, j]
            if j == k:
                both, second, product, kink = on, rectified_mean(mk, sk), _square(mk, sk, on), 0.0
            else:
                both, second, product, kink = relu_moments(mk, sk, mj, sj, covariance)
            along_mu -= a[j] * second
            along_w -= a[j] * kink
            gain -= a[j] * product
            drift_w[k, j] -= 0.25 * a[k] * a[j] * s * s * both
        drift_mu[k, c] += 0.25 * a[k] * sign * along_mu
        diagonal[k] += 0.25 * a[k] * s * s * along_w
        drift_a[k] += 0.25 * gain


@jit
def _square(m, s, on):
    """Return E[u_+^2] for u ~ N(m, s^2)."""
    return (m * m + s * s) * on + (m * s * normal_density(m / s) if s > 0.0 else 0.0)


@jit
def velocity(Q, R, a, separation, s, mean_label, dQ, dR, da):
    """Write the velocities of Q, R and a (the latter at unit rate) of the gradient flow, eqs. (X9), (X10).

    `mean_label` is the mean label of the clusters of clean label +1.
    """
    K = a.size
    M = np.zeros((K, K))
    N = np.zeros((K, 2))
    diagonal = np.zeros(K)
    da[:] = 0.0
    for c in range(2):
        label = mean_label if c == 0 else -mean_label
        for sign in (1.0, -1.0):
            cluster_terms(Q, R, a, sign, c, s, label, M, N, da, diagonal)
    for k in range(K):
        M[k, k] += diagonal[k]
    for k in range(K):
        for c in range(2):
            total = N[k, c] * separation * separation
            for j in range(K):
                total += M[k, j] * R[j, c]
            dR[k, c] = total
    for k in range(K):
        for l in range(k + 1):
            total = N[k, 0] * R[l, 0] + N[k, 1] * R[l, 1] + N[l, 0] * R[k, 0] + N[l, 1] * R[k, 1]
            for j in range(K):
                total += M[k, j] * Q[j, l] + M[l, j] * Q[j, k]
            dQ[k, l] = total
            dQ[l, k] = total


@jit(FLOAT(A2, A2, A1, FLOAT, FLOAT))
def squared_risk(Q, R, a, s, label_noise):
    """Return half the mean squared error, E (y - f)^2 / 2, label noise included, eq. (X4)."""
    K = a.size
    total = 0.5
    for c in range(2):
        label = (1.0 - 2.0 * label_noise) * (1.0 if c == 0 else -1.0)
        for sign in (1.0, -1.0):
            for k in range(K):
                mk = sign * R[k, c]
                sk = s * math.sqrt(max(Q[k, k], 0.0))
                total -= 0.25 * label * a[k] * rectified_mean(mk, sk)
                total += 0.125 * a[k] * a[k] * _square(mk, sk, active(mk, sk))
                for j in range(k):
                    sj = s * math.sqrt(max(Q[j, j], 0.0))
                    product = relu_moments(mk, sk, sign * R[j, c], sj, s * s * Q[k, j])[2]
                    total += 0.25 * a[k] * a[j] * product
    return total


@callback(RHS_SIGNATURE)
def squared_flow(t, y, dy, params, work):
    """Gradient flow of the squared loss on the XOR mixture; see the module's docstring for the layout."""
    K = int(params[WIDTH])
    Q, R, a = unpack(y, K)
    dQ, dR, da = unpack(dy, K)
    velocity(Q, R, a, params[SEPARATION], params[NOISE_SCALE], 1.0 - 2.0 * params[LABEL_NOISE], dQ, dR, da)
    for k in range(K):
        da[k] *= params[SECOND_LAYER_RATE]


@jit((ADDRESS, FLOAT, A1, A1, A1, A1))
def evaluate(address, t, y, dy, params, work):
    """Evaluate a right-hand side once."""
    call_rhs(address, t, y, dy, params, work)
