r"""Moments of s(lambda) = erf(lambda/sqrt 2), after Saad & Solla, Phys. Rev. E 52, 4225 (1995) (compiled part).

.. math:: \mathbb E[s_i s_u] = \frac2\pi \arcsin\frac{C_{iu}}{\sqrt{(1 + C_{ii})(1 + C_{uu})}}.

The derivative of s is a Gaussian function, so a product s_i' s_l' only changes the covariance of the other fields,

.. math:: \mathbb E[s_i' s_l' \,g] = \frac2\pi \Lambda^{-1/2}\, \mathbb E_{C'}[g], \quad \Lambda = (1 + C_{ii})(1 + C_{ll}) - C_{il}^2,

.. math:: C'_{uv} = C_{uv} - \bigl[(1 + C_{ll}) C_{iu}C_{iv} + (1 + C_{ii}) C_{lu}C_{lv} - C_{il}(C_{iu}C_{lv} + C_{lu}C_{iv})\bigr]/\Lambda,

also for i = l.  Four fields are two again.
"""

import math

from ..compiled.jit import jit

HALF_PI = 0.5 * math.pi
TWO_OVER_PI = 2.0 / math.pi


@jit
def arcsine(x):
    """Return the arcsine of one number; round-off beyond one gives plus or minus pi/2.

    Without branches, so that loops over it compile to vector instructions.  The rational function is that of the FreeBSD library (fdlibm, 1993).
    """
    size = abs(x)
    large = size >= 0.5
    half = max(0.5 - 0.5 * size, 0.0)
    z = half if large else x * x
    root = math.sqrt(half) if large else size
    above = z * (
        1.66666666666666657415e-01
        + z
        * (
            -3.25565818622400915405e-01
            + z
            * (
                2.01212532134862925881e-01
                + z * (-4.00555345006794114027e-02 + z * (7.91534994289814532176e-04 + z * 3.47933107596021167570e-05))
            )
        )
    )
    below = 1.0 + z * (
        -2.40339491173441421878e00
        + z * (2.02094576023350569471e00 + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02))
    )
    near = root + root * (above / below)
    value = HALF_PI - 2.0 * near if large else near
    return -value if x < 0.0 else value


@jit
def arcsines(values, count):
    """Replace the first `count` values by their arcsines."""
    for j in range(count):
        values[j] = arcsine(values[j])


@jit
def two_fields(q, r, x):
    """Return (A, B) = (2 dK/dq, dK/dx) of K = E[s s] for variances q, r and covariance x."""
    root = math.sqrt(max((1.0 + q) * (1.0 + r) - x * x, 1e-300))
    B = TWO_OVER_PI / root
    # The quotient is the same for all fields beside the first.
    return -B * x * (1.0 / (1.0 + q)), B


@jit
def noise(C, w, i, j, n, label_noise, scales, values):
    """Return E[(e^2 + label_noise) s_i' s_j'] for the error e = sum of w_u s_u.

    Parameters
    ----------
    C, w : ndarray, shapes (n, n), (n,)
        Covariance and weights.
    scales, values : ndarray, shapes (n,), (n (n + 1) / 2,)
        Scratch.
    """
    q, r, x = 1.0 + C[i, i], 1.0 + C[j, j], C[i, j]
    det = q * r - x * x
    ri, rj, rx = r / det, q / det, x / det
    for u in range(n):
        cu, du = C[i, u], C[j, u]
        scales[u] = 1.0 / math.sqrt(1.0 + C[u, u] - (ri * cu * cu + rj * du * du - 2.0 * rx * cu * du))
    at = 0
    for u in range(n):
        cu, du, s = C[i, u], C[j, u], scales[u]
        left, right = ri * cu - rx * du, rj * du - rx * cu
        for v in range(u + 1):
            values[at + v] = (C[u, v] - left * C[i, v] - right * C[j, v]) * s * scales[v]
        at += u + 1
    arcsines(values, at)
    total = 0.0
    at = 0
    for u in range(n):
        row = 0.5 * w[u] * values[at + u]
        for v in range(u):
            row += w[v] * values[at + v]
        total += 2.0 * w[u] * row
        at += u + 1
    return TWO_OVER_PI / math.sqrt(det) * (TWO_OVER_PI * total + label_noise)
