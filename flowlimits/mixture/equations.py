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

Moments of a pair of ReLU fields under one Gaussian cluster are in closed form.

For :math:`u\sim N(m_1, s_1^2)`, :math:`w\sim N(m_2, s_2^2)` of correlation :math:`r`, with :math:`h = m_1/s_1`,
:math:`k = m_2/s_2`, :math:`c = \sqrt{1 - r^2}`,

.. math::

    P = \Phi_2(h, k; r), \quad A = \varphi(k)\,\Phi\Bigl(\frac{h - rk}{c}\Bigr), \quad
    B = \varphi(h)\,\Phi\Bigl(\frac{k - rh}{c}\Bigr).

"""

import math

import numpy as np
from numba import types

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, RHS_SIGNATURE, call_rhs, callback, jit
from ..gaussian.bivariate import bivariate_cdf, normal_cdf, normal_density

# Below this relative variance of a field given the other, the pair counts as one field: the quotients by c
# would then divide round-off by round-off.
COINCIDENT = 1e-15
# Below this one the distances of both fields from each other's kink are formed from one difference.
NEAR = 1e-3


@jit
def _distances(h, k, r, square):
    """Return h - rk, k - rh and the quadratic form h^2 + k^2 - 2rhk, for the relative variance ``square = 1 - r^2``.

    Near r = +-1 the first two are minus or plus one another up to O(square).  Formed apart, their signs would be those of
    two independent roundings, and both kinks would be seen from sides that exclude each other.
    """
    if square >= NEAR:
        return h - r * k, k - r * h, h * h + k * k - 2.0 * r * h * k
    side = math.copysign(1.0, r)
    gap = h - side * k
    rest = square / (1.0 + abs(r))
    first = gap + side * rest * k
    return first, side * (rest * h - gap), first * first + square * k * k


@jit
def _conditional(distance, c):
    """Return Phi(distance / c), with the limit of a step at c = 0."""
    if c > 0.0:
        return normal_cdf(distance / c)
    if distance == 0.0:
        return 0.5
    return 1.0 if distance > 0.0 else 0.0


@jit
def relu_moments(m1, s1, m2, s2, covariance):
    """Return the moments of a pair of fields that flows of ReLU networks need.

    Parameters
    ----------
    m1, s1, m2, s2 : float
        Means and standard deviations; a standard deviation of zero is a field without noise.
    covariance : float
        Covariance of the two fields.

    Returns
    -------
    both : float
        E[1(u > 0) 1(w > 0)], eq. (X5).
    second : float
        E[1(u > 0) w_+], eq. (X6).
    product : float
        E[u_+ w_+], eq. (X7).
    slope : float
        E[delta(u) w_+], eq. (X8); infinite slopes of a field without noise are reported as 0, since they multiply
        its zero variance.
    """
    if s1 <= 0.0 or s2 <= 0.0:
        return _without_noise(m1, s1, m2, s2)
    r = min(1.0, max(-1.0, covariance / (s1 * s2)))
    square = (1.0 - r) * (1.0 + r)
    if square <= COINCIDENT:
        r, square = math.copysign(1.0, r), 0.0
    c = math.sqrt(square)
    h = m1 / s1
    k = m2 / s2
    first, other, quadratic = _distances(h, k, r, square)
    both = bivariate_cdf(h, k, r)
    a = normal_density(k) * _conditional(first, c)
    b = normal_density(h) * _conditional(other, c)
    second = m2 * both + s2 * (a + r * b)
    last = 0.0
    if c > 0.0:
        # c^2 times the bivariate density at (h, k)
        last = c * math.exp(-0.5 * quadratic / (c * c)) / (2.0 * math.pi)
    product = (m1 * m2 + r * s1 * s2) * both + m1 * s2 * a + m2 * s1 * b + s1 * s2 * last
    slope = normal_density(h) / s1 * rectified_mean(s2 * other if square < NEAR else m2 - r * s2 * h, s2 * c)
    return both, second, product, slope


@jit
def rectified_mean(m, s):
    """Return E[u_+] for u ~ N(m, s^2)."""
    if s <= 0.0:
        return max(m, 0.0)
    return m * normal_cdf(m / s) + s * normal_density(m / s)


@jit
def active(m, s):
    """Return P(u > 0) for u ~ N(m, s^2); a field that is zero without noise is half active."""
    return _conditional(m, s)


@jit
def _without_noise(m1, s1, m2, s2):
    first = active(m1, s1)
    other = active(m2, s2)
    second = rectified_mean(m2, s2)
    slope = normal_density(m1 / s1) / s1 * second if s1 > 0.0 else 0.0
    return first * other, first * second, rectified_mean(m1, s1) * second, slope


WIDTH, SEPARATION, NOISE_SCALE, LABEL_NOISE, SECOND_LAYER_RATE = range(5)


@jit
def unpack(y, K):
    """Return views of Q, R and a in a state vector."""
    Q = y[: K * K].reshape(K, K)
    R = y[K * K : K * K + 2 * K].reshape(K, 2)
    return Q, R, y[K * K + 2 * K :]


@jit(types.void(A2, A2, FLOAT, A2))
def factor(Q, R, separation, B):
    """Write B = (R/mu, L), with L the lower triangular root of what Q has outside the centres' plane.

    A pivot that round-off made negative counts as zero: the unit then lies in the span of those before it.
    """
    K = Q.shape[0]
    B[:] = 0.0
    for k in range(K):
        B[k, 0] = R[k, 0] / separation
        B[k, 1] = R[k, 1] / separation
    for j in range(K):
        pivot = Q[j, j] - B[j, 0] * B[j, 0] - B[j, 1] * B[j, 1]
        for m in range(j):
            pivot -= B[j, 2 + m] * B[j, 2 + m]
        if pivot <= 1e-14 * Q[j, j]:
            continue
        root = math.sqrt(pivot)
        B[j, 2 + j] = root
        for i in range(j + 1, K):
            total = Q[i, j] - B[i, 0] * B[j, 0] - B[i, 1] * B[j, 1]
            for m in range(j):
                total -= B[i, 2 + m] * B[j, 2 + m]
            B[i, 2 + j] = total / root


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
