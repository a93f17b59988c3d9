r"""Moments of s(lambda) = max(lambda, 0): arc-cosine formulas and orthant probabilities (compiled part).

Two fields (Cho & Saul, 2009): :math:`\mathbb E[s_u s_v] = \sigma_u\sigma_v (\sin\theta + (\pi - \theta)\cos\theta)/2\pi` with the angle
theta between them.  The noise needs :math:`\mathbb E[1_i 1_l s_u s_v]`, 1_i the indicator of a positive field i.  By Stein's lemma, with
p_i the density of field i at zero and E_i the expectation given that it is zero,

.. math:: \mathbb E[1_i 1_l s_u s_v] = C_{ui}\, p_i\, \mathbb E_i[1_l 1_u s_v] + C_{ul}\, p_l\, \mathbb E_l[1_i 1_u s_v]
          + C_{uu}\, p_u\, \mathbb E_u[1_i 1_l s_v] + C_{uv}\, \mathbb P(i, l, u, v > 0),

and so on down to arcsines; coinciding fields have fewer terms.  Only the orthant probability of four distinct fields has no elementary
form.  By Plackett's identity it is

.. math:: \mathbb P = \frac1{16} + \sum_{a<b} \frac{\arcsin\rho_{ab}}{8\pi}
          + \frac1{4\pi^2}\sum_{a<b}\int_0^{\arcsin\rho_{ab}} \arcsin \rho_{cd\cdot ab}(t)\, d\theta, \qquad t = \sin\theta/\rho_{ab},

rho_cd.ab(t) the partial correlation when all correlations are scaled by t.  `NODES` fixed Gauss-Legendre nodes, drawn towards the end
point, give it to 3e-9 or better, near-coincident fields included (tests/test_gaussian_relu.py measures this).
"""

import math

import numpy as np

from ..compiled.jit import jit
from .erf import arcsine, arcsines

NODES = 24
_points, _weights = np.polynomial.legendre.leggauss(NODES)
_points, _weights = 0.5 * (_points + 1.0), 0.5 * _weights
PLACES = 1.0 - (1.0 - _points) ** 4
WEIGHTS = 4.0 * (1.0 - _points) ** 3 * _weights

INVERSE_TWO_PI = 0.5 / math.pi
INVERSE_ROOT = 1.0 / math.sqrt(2.0 * math.pi)
#: Below this share of a variance, what is left after conditioning is round-off.
TINY = 1e-13
#: Below this squared angle fields count as multiples of one, to the second order: what is left out is its square.
PLANE = 1e-6


@jit
def angle(q, r, x):
    """Return the angle between fields of variances q, r and covariance x, accurate at 0 and pi."""
    size = math.sqrt(q * r)
    return math.atan2(math.sqrt(max((size - x) * (size + x), 0.0)), x)


@jit
def two_fields(q, r, x):
    """Return (A, B, K) = (2 dK/dq, dK/dx, K) of K = E[s s] for variances q, r and covariance x of distinct fields."""
    theta = angle(q, r, x)
    sine, ratio = math.sin(theta), math.sqrt(r / q) if q > 0.0 else 0.0
    B = (math.pi - theta) * INVERSE_TWO_PI
    return ratio * sine * INVERSE_TWO_PI, B, math.sqrt(q * r) * sine * INVERSE_TWO_PI + x * B


@jit
def correlation(q, r, x, q_scale, r_scale):
    """Return the correlation; 0 if a variance is nothing but round-off on its scale."""
    if q <= TINY * q_scale or r <= TINY * r_scale:
        return 0.0
    return min(max(x / math.sqrt(q * r), -1.0), 1.0)


@jit
def left(C, g, u, v):
    """Return the covariance of fields u and v given that field g is zero."""
    return C[u, v] - C[g, u] * C[g, v] / C[g, g]


@jit
def left_two(C, g, h, u, v):
    """Return the covariance of u and v given that g and h are zero."""
    hh = left(C, g, h, h)
    if hh <= TINY * C[h, h]:
        return left(C, g, u, v)
    return left(C, g, u, v) - left(C, g, h, u) * left(C, g, h, v) / hh


@jit
def density(C, g):
    """Return the density of field g at zero."""
    return INVERSE_ROOT / math.sqrt(C[g, g])


@jit
def quadrant(C, u, v):
    """Return P(u, v > 0)."""
    return (math.pi - angle(C[u, u], C[v, v], C[u, v])) * INVERSE_TWO_PI


@jit
def octant(C, u, v, z):
    """Return P(u, v, z > 0)."""
    angles = angle(C[u, u], C[v, v], C[u, v]) + angle(C[u, u], C[z, z], C[u, z]) + angle(C[v, v], C[z, z], C[v, z])
    return 0.5 - 0.5 * angles * INVERSE_TWO_PI


@jit
def given_one(C, g, u, v):
    """Return E_g[1_u s_v]."""
    uu, vv = left(C, g, u, u), max(left(C, g, v, v), 0.0)
    return 0.5 * INVERSE_ROOT * math.sqrt(vv) * (1.0 + correlation(uu, vv, left(C, g, u, v), C[u, u], C[v, v]))


@jit
def quadrant_given(C, g, h, u, v):
    """Return P(u, v > 0) given that g and h are zero."""
    rho = correlation(left_two(C, g, h, u, u), left_two(C, g, h, v, v), left_two(C, g, h, u, v), C[u, u], C[v, v])
    return 0.25 + math.asin(rho) * INVERSE_TWO_PI


@jit
def edge(C, g, h, u, v):
    """Return the covariance of h and v given g, times the density of h at zero given g, times P(u, v > 0) given g and h."""
    hh = left(C, g, h, h)
    if hh <= TINY * C[h, h]:
        return 0.0
    return left(C, g, h, v) * INVERSE_ROOT / math.sqrt(hh) * quadrant_given(C, g, h, u, v)


@jit
def largest(a, b, c):
    """Return E[max(0, X, Y)^2] for variances a, b and covariance c."""
    gap = a + b - 2.0 * c
    if gap <= TINY * (a + b):
        return 0.5 * max(a, b)
    # E[X^2; X > 0, X > Y] and the same for Y, by the formula of one indicator.
    root = math.sqrt(max(a * b - c * c, 0.0)) / gap * INVERSE_TWO_PI
    first = a * (math.pi - angle(a, gap, a - c)) * INVERSE_TWO_PI + (a - c) * root
    return first + b * (math.pi - angle(b, gap, b - c)) * INVERSE_TWO_PI + (b - c) * root


@jit
def nearly_one(vv, a, b, c, same_l, same_u):
    """Return E[1_l 1_u s_v] where l and u are next to multiples of v, of the same sign or not, to the second order in angles.

    For v = sqrt(vv) z, l > 0 where z is beyond, or short of, a variable X of the small variance a, and so u, with Y, b and covariance c.
    """
    if same_l and same_u:
        share = 1.0 - 0.5 * largest(a, b, c)
    elif same_u:
        share = 0.5 * (largest(a, b, c) - 0.5 * b)
    elif same_l:
        share = 0.5 * (largest(a, b, c) - 0.5 * a)
    else:
        share = 0.5 * (0.5 * (a + b) - largest(a, b, c))
    return math.sqrt(vv) * INVERSE_ROOT * share


@jit
def given_three(C, g, l, u, v):
    """Return E_g[1_l 1_u s_v]."""
    ll, uu, vv = left(C, g, l, l), left(C, g, u, u), left(C, g, v, v)
    own = 0.0
    lv, uv = left(C, g, l, v), left(C, g, u, v)
    if ll > TINY * C[l, l] and uu > TINY * C[u, u] and vv > TINY * C[v, v] and lv != 0.0 and uv != 0.0:
        # Three fields in a plane with g, or nearly: correlations of what is left would be rounding.
        a = max(ll * vv / (lv * lv) - 1.0, 0.0)
        b = max(uu * vv / (uv * uv) - 1.0, 0.0)
        if a < PLANE and b < PLANE:
            c = left(C, g, l, u) * vv / (lv * uv) - 1.0
            return nearly_one(vv, a, b, c, lv > 0.0, uv > 0.0)
    if vv > TINY * C[v, v]:
        own = math.sqrt(vv) * INVERSE_ROOT * quadrant_given(C, g, v, l, u)
    return edge(C, g, l, u, v) + edge(C, g, u, l, v) + own


@jit
def plackett(C, i, j, u, v, values):
    """Return the share of the correlation of i and j in P(i, j, u, v > 0); `values` (NODES,) is scratch."""
    si, sj, su, sv = math.sqrt(C[i, i]), math.sqrt(C[j, j]), math.sqrt(C[u, u]), math.sqrt(C[v, v])
    r, other = C[i, j] / (si * sj), C[u, v] / (su * sv)
    iu, iv, ju, jv = C[i, u] / (si * su), C[i, v] / (si * sv), C[j, u] / (sj * su), C[j, v] / (sj * sv)
    theta = 0.5 * math.pi - angle(C[i, i], C[j, j], C[i, j])
    if abs(r) < 1e-14:
        return 0.0
    for node in range(NODES):
        sine = math.sin(theta * PLACES[node])
        t = sine / r
        # One field after the other: nested differences stay accurate where three fields nearly coincide.
        jj = (1.0 - sine) * (1.0 + sine)
        iu_t, iv_t = t * iu, t * iv
        ju_i, jv_i = t * ju - sine * iu_t, t * jv - sine * iv_t
        uu = (1.0 - iu_t) * (1.0 + iu_t) - ju_i * ju_i / jj
        vv = (1.0 - iv_t) * (1.0 + iv_t) - jv_i * jv_i / jj
        uv = t * other - iu_t * iv_t - ju_i * jv_i / jj
        values[node] = uv / math.sqrt(uu * vv) if uu > TINY and vv > TINY else 0.0
    arcsines(values, NODES)
    integral = 0.0
    for node in range(NODES):
        integral += WEIGHTS[node] * values[node]
    return theta * INVERSE_TWO_PI * (0.25 + integral * INVERSE_TWO_PI)


@jit
def orthant(C, i, j, u, v, values):
    """Return P(i, j, u, v > 0) of four distinct fields; `values` (NODES,) is scratch."""
    return (
        1.0 / 16.0
        + plackett(C, i, j, u, v, values)
        + plackett(C, i, u, j, v, values)
        + plackett(C, i, v, j, u, values)
        + plackett(C, j, u, i, v, values)
        + plackett(C, j, v, i, u, values)
        + plackett(C, u, v, i, j, values)
    )


@jit
def one_indicator(C, i, u, v):
    """Return E[1_i s_u s_v], coinciding fields included."""
    if u == i and v == i:
        return 0.5 * C[i, i]
    if u == i or v == i:
        return two_fields(C[u, u], C[v, v], C[u, v])[2]
    if u == v:
        free = max(left(C, i, u, u), 0.0)
        return C[u, u] * quadrant(C, i, u) + C[u, i] * density(C, i) * INVERSE_ROOT * math.sqrt(free)
    edges = C[u, i] * density(C, i) * given_one(C, i, u, v) + C[u, u] * density(C, u) * given_one(C, u, i, v)
    return edges + C[u, v] * octant(C, i, u, v)


@jit
def two_indicators(C, i, l, u, v, values):
    """Return E[1_i 1_l s_u s_v], coinciding fields included; `values` (NODES,) is scratch."""
    if i == l:
        return one_indicator(C, i, u, v)
    if u in (i, l):
        return one_indicator(C, l if u == i else i, u, v)
    if v in (i, l):
        return one_indicator(C, l if v == i else i, v, u)
    if u == v:
        edges = C[u, i] * density(C, i) * given_one(C, i, l, u) + C[u, l] * density(C, l) * given_one(C, l, i, u)
        return edges + C[u, u] * octant(C, i, l, u)
    return (
        C[u, i] * density(C, i) * given_three(C, i, l, u, v)
        + C[u, l] * density(C, l) * given_three(C, l, i, u, v)
        + C[u, u] * density(C, u) * given_three(C, u, i, l, v)
        + C[u, v] * orthant(C, i, l, u, v, values)
    )


@jit
def two_fields_row(q, r, x, first, A, B, K):
    """Write (A, B, K) of `two_fields` for one field and those from place `first` on, variances r and covariances x, in vector instructions."""
    for j in range(np.uint64(first), np.uint64(x.size)):
        size = math.sqrt(q * r[j])
        sine = math.sqrt(max((size - x[j]) * (size + x[j]), 0.0)) / size
        cosine = x[j] / size
        # The smaller of the two: its arcsine keeps all digits.
        steep = abs(cosine) > 0.7
        part = arcsine(sine if steep else abs(cosine))
        acute = part if steep else 0.5 * math.pi - part
        theta = acute if cosine >= 0.0 else math.pi - acute
        B[j] = (math.pi - theta) * INVERSE_TWO_PI
        A[j] = math.sqrt(r[j] / q) * sine * INVERSE_TWO_PI
        K[j] = size * sine * INVERSE_TWO_PI + x[j] * B[j]
