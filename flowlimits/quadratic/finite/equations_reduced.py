r"""The quadratic flow as scalars: one per distinct teacher eigenvalue, the multiplier, the complement (compiled part).

Derivation
----------
In (Q6) the start enters through its rows :math:`c_i` along the teacher's eigenvectors (eigenvalue :math:`\ell_i`) and through the
Gram matrix of its part outside the teacher's space, here diagonal with entries :math:`a_j`.  With the integrals (Q8),

.. math:: G = N + 4\sum_i h_i e^{4\ell_i s - 2\psi} c_i c_i^\top,\qquad N_j = 1 + 4 h_0 e^{-2\psi} a_j .

Instead of :math:`h_i` the state carries :math:`g_i = 1/(4h_i) - \ell_i`, which obeys

.. math:: \dot g_i = -(\ell_i + g_i)(4 g_i + 2\dot\psi)

and vanishes when the direction is learnt, and :math:`\log g_0` of the complement (:math:`\ell = 0`).  With the rows
:math:`P_i = 2 D_i c_i N^{-1/2}`, :math:`D_i^2 = h_i e^{4\ell_i s - 2\psi}`, and :math:`\Pi = (I + PP^\top)^{-1}`,
:math:`\Gamma = (I + P^\top P)^{-1}`, :math:`f_j = g_0 (1 - 1/N_j)`,

.. math::
    Z - Z_\star = \operatorname{diag}(g) - \sqrt{\ell+g}\,\Pi\,\sqrt{\ell+g}, \qquad
    \sqrt{\ell+g}\,\Pi P\sqrt f, \qquad  \sqrt f\,\Gamma\sqrt f

on the teacher's space, between the two, and outside: nothing is formed as a difference of what is nearly equal.
:math:`\Pi` and :math:`\Gamma` come from one orthogonalisation of the columns of :math:`[\alpha; (\alpha P)^\top]`,
:math:`\alpha_i = (1 + D_i^2)^{-1/2}`, which is bounded whatever the exponents.  Where the rows depend on each other (fewer students than
teachers), the others are expressed by a basis of the rows that are strongest at that time.

Instead of :math:`g_i` the state carries :math:`\eta_i = (1 + s/s_0)\,g_i`, which stays of order one while
:math:`g_i` decays as :math:`1/s`, so that absolute tolerances mean the same at all times.  The clock is s itself: on a logarithmic clock the stiff rates would grow
exponentially within a step, and Newton's iteration would fail.

With weight decay the student may vanish, at the critical decay as 1/s, and what is left of it is a small difference of the teacher.
The state then carries in the place of :math:`\varphi` the integral of tr Z; what is constant in
:math:`\dot\psi = \operatorname{tr} Z + (\lambda - \operatorname{tr} Z_\star)`, the drift, is added up once.  In the place of :math:`\eta_i` it carries
:math:`\log(\ell_i + g_i)`, and of this, where it falls without end, what differs from a steady fall; :math:`\log g_0` likewise.
Ratios of vanishing parts are then formed of what stays.
"""

import math
from collections import namedtuple

import numpy as np

from ...compiled.jit import jit

Vectors = namedtuple("Vectors", "logd root pi dtau mixed share kappa thin gamma spare")

# params: a header, then l (q), group (r), log|c|^2 (r), log a (m), and for dense problems c (rho, m), T (r - rho, rho).
(
    COLUMNS,  # m: columns of the start
    BASIS,  # rho: rank of its rows in the teacher's space
    ROWS,  # r
    GROUPS,  # q: distinct teacher eigenvalues
    DIAGONAL,  # row i meets column i only
    UNIT,  # s_0
    DECAY,  # weight decay on the clock s
    SQUARE,  # 1 for the square activation, 0 for the centred one
    UNSEEN,  # trace of the teacher in directions in which the student has no part
    UNSEEN_SQUARES,
    OUTSIDE,  # 1 if the complement is carried by (g_0, a), 0 if it is empty or a group of rows of its own
    TEACHER_SQUARES,
    LOGARITHMIC,  # carry log(l + g) instead of eta: with weight decay g does not vanish, but l + g may
    DRIFT,  # psi = y[0] + DRIFT s: the decay, less the teacher's trace if y[0] is the integral of tr Z
) = range(14)
HEADER = 14

LOG4 = math.log(4.0)

#: Logarithm of the student's scale below which its overlap is formed from a scaled matrix.
FAINT = -100.0
#: Below this share of its saturated value a row is formed directly.
WEAK = 0.3

RISK, OVERLAP, MISALIGNMENT, TRACE, MULTIPLIER = range(5)
OBSERVABLES = ("risk", "overlap", "misalignment", "trace", "multiplier")


@jit
def sizes(params):
    """Return (m, rho, r, q)."""
    return int(params[COLUMNS]), int(params[BASIS]), int(params[ROWS]), int(params[GROUPS])


@jit
def tables(params):
    """Return views (l, group, log c^2, log a) of the parameters."""
    m, _, r, q = sizes(params)
    i = HEADER
    j = i + q
    k = j + r
    n = k + r
    return params[i:j], params[j:k], params[k:n], params[n : n + m]


def work_size(m, rho, r, diagonal):
    """Return the length of the scratch array."""
    vectors = 6 * r + 4 * m
    if diagonal:
        return vectors
    return vectors + rho + r + rho * (rho + m) + (r - rho) * rho + 4 * rho * rho + 2 * r * rho + r * r


@jit
def vectors(params, work):
    """Return views of the scratch array.

    Of the rows (r each): log D^2, sqrt(l + g), pi = diag(Pi), dtau = d theta / d log D, mixed = diag(Pi P kappa P^T Pi),
    share = 1 - pi.  Of the columns (m each): kappa = 1 - 1/N, thin = N^-1/2, gamma = diag(Gamma), spare.
    """
    m, _, r, _ = sizes(params)
    n = 6 * r
    return Vectors(
        work[:r], work[r : 2 * r], work[2 * r : 3 * r], work[3 * r : 4 * r], work[4 * r : 5 * r], work[5 * r : n],
        work[n : n + m], work[n + m : n + 2 * m], work[n + 2 * m : n + 3 * m], work[n + 3 * m : n + 4 * m],
    )  # fmt: skip


@jit
def fall(k, l, params):
    """Return how fast log(l + g) of group k falls where the student is next to nothing; zero if it need not."""
    return min(4.0 * l[k] - 2.0 * params[DRIFT], 0.0)


@jit
def log_total(k, l, s, y, params):
    """Return log(l + g) of group k, with weight decay."""
    return y[2 + k] + fall(k, l, params) * s


@jit
def log_bottom(s, y, params):
    """Return log g_0."""
    return y[1] - max(2.0 * params[DRIFT], 0.0) * s


@jit
def gap(k, l, s, y, params):
    """Return g of group k: how much 1/(4h) exceeds the teacher's eigenvalue."""
    if params[LOGARITHMIC] == 1.0:
        return math.exp(log_total(k, l, s, y, params)) - l[k]
    return y[2 + k] / (1.0 + s / params[UNIT])


@jit
def log_one_plus_exp(x):
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


@jit
def weigh(s, y, params, work):
    """Write log D^2 and sqrt(l + g) of the rows, kappa = 1 - 1/N and N^-1/2 of the columns, up to a common factor of N."""
    m, _, r, _ = sizes(params)
    l, group, logc, loga = tables(params)
    v = vectors(params, work)
    logd, root, kappa, thin = v.logd, v.root, v.kappa, v.thin
    twice, drift = 2.0 * y[0], 2.0 * params[DRIFT]
    common = 0.0
    if params[OUTSIDE] == 1.0:
        lowest = np.inf
        for j in range(m):
            x = loga[j] - min(drift, 0.0) * s - twice - y[1]
            lowest = min(lowest, x)
            small = math.exp(-abs(x))
            kappa[j] = (1.0 if x > 0.0 else small) / (1.0 + small)
            thin[j] = x
        common = log_one_plus_exp(lowest)
        for j in range(m):
            x = thin[j]
            small = math.exp(-abs(x))
            # N^-1/2 exp(common/2), whatever the size of both.
            weight = math.exp(common - x) / (1.0 + small) if x > 0.0 else math.exp(common) / (1.0 + small)
            thin[j] = math.sqrt(weight)
    else:
        kappa[:] = 0.0
        thin[:] = 1.0
    known, logarithm, own = -1, 0.0, 0.0
    for i in range(r):
        k = int(group[i])
        if k != known:
            known = k
            if params[LOGARITHMIC] == 1.0:
                logarithm = y[2 + k]
                own = math.exp(0.5 * log_total(k, l, s, y, params))
            else:
                total = l[k] + gap(k, l, s, y, params)
                logarithm = math.log(total)
                own = math.sqrt(total)
        root[i] = own
        logd[i] = logc[i] + max(4.0 * l[k] - drift, 0.0) * s - twice - LOG4 - logarithm - common


@jit
def multiplier_rate(s, y, params, work):
    """Return the velocity of y[0]: tr(Z - Z*), with weight decay tr Z."""
    m, _, r, _ = sizes(params)
    l, group, _, _ = tables(params)
    v = vectors(params, work)
    root, pi, kappa, gamma = v.root, v.pi, v.kappa, v.gamma
    logarithmic = params[LOGARITHMIC] == 1.0
    total = 0.0 if logarithmic else -params[UNSEEN]
    for i in range(r):
        if logarithmic:
            total += root[i] ** 2 * (1.0 - pi[i])
        else:
            total += gap(int(group[i]), l, s, y, params) - root[i] ** 2 * pi[i]
    outside = 0.0
    for j in range(m):
        outside += kappa[j] * gamma[j]
    return total + math.exp(log_bottom(s, y, params)) * outside


@jit
def write_velocity(s, y, dy, params, work):
    """Write the velocity of (phi, log g_0, eta) or (phi, log g_0, log(l + g)); the state must be resolved."""
    l = tables(params)[0]
    stretch = 1.0 + s / params[UNIT]
    rate = multiplier_rate(s, y, params, work) if params[SQUARE] == 1.0 else 0.0
    drift = params[DRIFT]
    psi = rate + drift
    dy[0] = rate
    dy[1] = (
        -4.0 * math.exp(log_bottom(s, y, params)) - 2.0 * (rate + min(drift, 0.0)) if params[OUTSIDE] == 1.0 else 0.0
    )
    for k in range(l.size):
        if params[LOGARITHMIC] == 1.0:
            carried = max(4.0 * l[k] - 2.0 * drift, 0.0)
            dy[2 + k] = carried - 4.0 * math.exp(log_total(k, l, s, y, params)) - 2.0 * rate
        else:
            g = gap(k, l, s, y, params)
            dy[2 + k] = g / params[UNIT] - stretch * (l[k] + g) * (4.0 * g + 2.0 * psi)


@jit
def write_jacobian(s, y, D, U, V, far, params, work):
    """Write the Jacobian diag(D) + U V^T: of rank one, since theta alone couples the scalars.

    The state must be resolved, with dtau of the rows alone, `mixed`, and `far` = |Gamma^1/2 kappa Gamma^1/2|^2.
    """
    l, group, _, _ = tables(params)
    m, _, r, q = sizes(params)
    v = vectors(params, work)
    root, pi, dtau, mixed, kappa, gamma = v.root, v.pi, v.dtau, v.mixed, v.kappa, v.gamma
    stretch = 1.0 + s / params[UNIT]
    outside = params[OUTSIDE] == 1.0
    bottom = math.exp(log_bottom(s, y, params)) if outside else 0.0
    psi = multiplier_rate(s, y, params, work) + params[DRIFT]
    swing = -bottom * far
    for i in range(r):
        dtau[i] -= 2.0 * bottom * mixed[i]
        swing -= root[i] ** 2 * mixed[i]
    trace = 0.0
    for j in range(m):
        trace += bottom * kappa[j] * gamma[j]
    V[:, 0] = 0.0
    V[0, 0] = -2.0 * swing - 2.0 * trace
    V[1, 0] = -swing if outside else 0.0
    for i in range(r):
        k = int(group[i])
        V[0, 0] -= dtau[i]
        inner = root[i] ** 2 if params[LOGARITHMIC] == 1.0 else 1.0 / stretch
        if inner > 0.0:  # with weight decay the weights may underflow
            V[2 + k, 0] += (1.0 - pi[i] - 0.5 * dtau[i] / root[i] ** 2) * inner
    D[0] = 0.0
    U[0, 0] = 1.0
    D[1] = -4.0 * bottom
    U[1, 0] = -2.0 if outside else 0.0
    for k in range(q):
        g = gap(k, l, s, y, params)
        if params[LOGARITHMIC] == 1.0:
            D[2 + k] = -4.0 * (l[k] + g)
            U[2 + k, 0] = -2.0
        else:
            D[2 + k] = 1.0 / (params[UNIT] * stretch) - 4.0 * (l[k] + g) - 4.0 * g - 2.0 * psi
            U[2 + k, 0] = -2.0 * stretch * (l[k] + g)


@jit
def miss(i, l, s, y, params, work):
    """Return a diagonal entry of Z - Z*: weak rows are far from the teacher and strong ones near, neither cancels."""
    v = vectors(params, work)
    root, pi, share = v.root, v.pi, v.share
    k = int(tables(params)[1][i])
    if share[i] < WEAK:
        return root[i] ** 2 * share[i] - l[k]
    return gap(k, l, s, y, params) - root[i] ** 2 * pi[i]


@jit
def summarise(s, y, between, far, params, work, out):
    """Write risk, overlap, misalignment, trace of Z, multiplier; overlaps are NaN where Z or Z* vanishes.

    Risk and misalignment are sums of squares of the blocks of Z - Z* and of its part orthogonal to Z*, (Q4) and (Q9).  The state
    must be resolved, with `mixed` and `share`; `between` is the sum of squares of the entries of Z between different rows.
    """
    m, _, r, _ = sizes(params)
    l, group, _, _ = tables(params)
    v = vectors(params, work)
    root, mixed, share, kappa, gamma = v.root, v.mixed, v.share, v.kappa, v.gamma
    bottom = math.exp(log_bottom(s, y, params)) if params[OUTSIDE] == 1.0 else 0.0
    a = params[TEACHER_SQUARES]
    b = trace = squares = 0.0
    difference = params[UNSEEN_SQUARES]
    along = -params[UNSEEN_SQUARES]
    outer = between + bottom**2 * far
    for i in range(r):
        z = root[i] ** 2 * share[i]
        outer += 2.0 * bottom * root[i] ** 2 * mixed[i]
        trace += z
        b += l[int(group[i])] * z
        squares += z * z
        delta = miss(i, l, s, y, params, work)
        difference += delta**2
        along += l[int(group[i])] * delta
    scale = b / a if a > 0.0 else 0.0
    shift = along / a if a > 0.0 else 0.0
    aside = scale**2 * params[UNSEEN_SQUARES]
    for i in range(r):
        k = int(group[i])
        if scale < 0.5:
            aside += (root[i] ** 2 * share[i] - scale * l[k]) ** 2
        else:
            aside += (miss(i, l, s, y, params, work) - shift * l[k]) ** 2
    for j in range(m):
        trace += bottom * kappa[j] * gamma[j]
    geometric = math.sqrt(a * (squares + outer))
    theta = multiplier_rate(s, y, params, work) + (params[DRIFT] - params[DECAY])
    out[RISK] = difference + outer + (0.5 * theta**2 if params[SQUARE] == 1.0 else 0.0)
    out[OVERLAP] = b / geometric if geometric > 0.0 else math.nan
    out[MISALIGNMENT] = a * (aside + outer) / (geometric * (geometric + b)) if geometric > 0.0 else math.nan
    out[TRACE] = trace
    out[MULTIPLIER] = y[0] + (params[DRIFT] - params[DECAY]) * s
