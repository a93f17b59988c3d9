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

Instead of :math:`g_i` the state carries :math:`\eta_i = (1 + s/s_0)\,g_i`, which stays of order one while :math:`g_i` decays as :math:`1/s`,
so that absolute tolerances mean the same at all times.  The clock is s itself: on a logarithmic clock the stiff rates would grow
exponentially within a step, and Newton's iteration would fail.
"""

import math

import numpy as np

from .._jit import jit

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
) = range(13)
HEADER = 13

LOG4 = math.log(4.0)


@jit
def sizes(params):
    """Return (m, rho, r, q)."""
    return int(params[COLUMNS]), int(params[BASIS]), int(params[ROWS]), int(params[GROUPS])


@jit
def tables(params):
    """Return views (l, group, log c^2, log a) of the parameters."""
    m, rho, r, q = sizes(params)
    i = HEADER
    j = i + q
    k = j + r
    n = k + r
    return params[i:j], params[j:k], params[k:n], params[n : n + m]


@jit
def dense_tables(params):
    """Return views (c, T) of the parameters: rows of unit length, and the dependent rows in terms of the others."""
    m, rho, r, q = sizes(params)
    i = HEADER + q + 2 * r + m
    j = i + rho * m
    return params[i:j].reshape(rho, m), params[j : j + (r - rho) * rho].reshape(r - rho, rho)


def work_size(m, rho, r, diagonal):
    """Return the length of the scratch array."""
    vectors = 4 * r + 4 * m
    if diagonal:
        return vectors
    return vectors + rho + r + rho * (rho + m) + (r - rho) * rho + 4 * rho * rho + 2 * r * rho + r * r


@jit
def vectors(params, work):
    """Return views (log D^2, sqrt(l + g), pi, dtau, kappa, N^-1/2, gamma, spare): r, r, r, r, m, m, m, m entries."""
    m, rho, r, q = sizes(params)
    n = 4 * r
    return (
        work[:r], work[r : 2 * r], work[2 * r : 3 * r], work[3 * r : n],
        work[n : n + m], work[n + m : n + 2 * m], work[n + 2 * m : n + 3 * m], work[n + 3 * m : n + 4 * m],
    )  # fmt: skip


@jit
def matrices(params, work):
    """Return views (alpha, order, Q, T, L, Y, H, Phi, X, S, Pi) of the scratch array."""
    m, rho, r, q = sizes(params)
    dep = r - rho
    i0 = 4 * r + 4 * m
    i1 = i0 + rho
    i2 = i1 + r
    i3 = i2 + rho * (rho + m)
    i4 = i3 + dep * rho
    i5 = i4 + rho * rho
    i6 = i5 + r * rho
    i7 = i6 + r * rho
    i8 = i7 + rho * rho
    i9 = i8 + rho * rho
    i10 = i9 + rho * rho
    return (
        work[i0:i1], work[i1:i2], work[i2:i3].reshape(rho, rho + m), work[i3:i4].reshape(dep, rho),
        work[i4:i5].reshape(rho, rho), work[i5:i6].reshape(r, rho), work[i6:i7].reshape(r, rho),
        work[i7:i8].reshape(rho, rho), work[i8:i9].reshape(rho, rho), work[i9:i10].reshape(rho, rho),
        work[i10 : i10 + r * r].reshape(r, r),
    )  # fmt: skip


@jit(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@jit(fastmath={"contract"})
def subtract(a, factor, b):
    """a -= factor * b"""
    for i in range(a.size):
        a[i] -= factor * b[i]


@jit
def gap(k, l, s, y, params):
    """Return g of group k: how much 1/(4h) exceeds the teacher's eigenvalue."""
    if params[LOGARITHMIC] == 1.0:
        return math.exp(y[2 + k]) - l[k]
    return y[2 + k] / (1.0 + s / params[UNIT])


@jit
def log_one_plus_exp(x):
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


@jit
def weigh(s, y, params, work):
    """Write log D^2 and sqrt(l + g) of the rows, kappa = 1 - 1/N and N^-1/2 of the columns, up to a common factor of N."""
    m, rho, r, q = sizes(params)
    l, group, logc, loga = tables(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    twice_psi = 2.0 * (y[0] + params[DECAY] * s)
    common = 0.0
    if params[OUTSIDE] == 1.0:
        lowest = np.inf
        for j in range(m):
            x = loga[j] - twice_psi - y[1]
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
            total = y[2 + k] if params[LOGARITHMIC] == 1.0 else l[k] + gap(k, l, s, y, params)
            logarithm = total if params[LOGARITHMIC] == 1.0 else math.log(total)
            own = math.exp(0.5 * logarithm) if params[LOGARITHMIC] == 1.0 else math.sqrt(total)
        root[i] = own
        logd[i] = logc[i] + 4.0 * l[k] * s - twice_psi - LOG4 - logarithm - common


@jit
def choose_basis(logd, order, T):
    """Exchange rows until no dependent row is more than twice as strong as the basis rows that it is made of.

    On return the dependent row d is ``sum_k T[d, k] exp((logd[d] - logd[k])/2)`` of the weighted basis rows k.
    """
    dep, rho = T.shape
    for _ in range(4 * rho * dep):
        largest, row, column = 1.4, -1, -1
        for i in range(dep):
            for k in range(rho):
                if T[i, k] != 0.0:
                    x = math.log(abs(T[i, k])) + 0.5 * (logd[int(order[rho + i])] - logd[int(order[k])])
                    if x > largest:
                        largest, row, column = x, i, k
        if row < 0:
            break
        # Gauss-Jordan exchange: the dependent row takes the place of the basis row, and the other way round.
        pivot = T[row, column]
        for i in range(dep):
            if i != row:
                factor = T[i, column] / pivot
                for k in range(rho):
                    T[i, k] -= factor * T[row, k]
                T[i, column] = factor
        for k in range(rho):
            T[row, k] /= -pivot
        T[row, column] = 1.0 / pivot
        order[rho + row], order[column] = order[column], order[rho + row]


@jit
def rows_of_basis(params, work):
    """Write the rows Y of all rows in the basis as Y L^-T with L L^T = Y^T Y, and L."""
    m, rho, r, q = sizes(params)
    logd = vectors(params, work)[0]
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    c, table = dense_tables(params)
    T[:, :] = table
    for i in range(r):
        order[i] = i
    choose_basis(logd, order, T)
    # Strongest first, so that L^T D is graded and its scaled rows stay bounded.
    for i in range(1, rho):
        k = i
        while k > 0 and logd[int(order[k])] > logd[int(order[k - 1])]:
            order[k], order[k - 1] = order[k - 1], order[k]
            for d in range(r - rho):
                T[d, k], T[d, k - 1] = T[d, k - 1], T[d, k]
            k -= 1
    Y[:, :] = 0.0
    for k in range(rho):
        Y[int(order[k]), k] = 1.0
    for d in range(r - rho):
        row = int(order[rho + d])
        for k in range(rho):
            Y[row, k] = T[d, k] * math.exp(0.5 * (logd[row] - logd[int(order[k])]))
    for i in range(rho):
        for k in range(i + 1):
            total = 0.0
            for n in range(r):
                total += Y[n, i] * Y[n, k]
            for n in range(k):
                total -= L[i, n] * L[k, n]
            if i == k:
                L[i, i] = math.sqrt(total)
            else:
                L[i, k] = total / L[k, k]
                L[k, i] = 0.0
    for n in range(r):
        for k in range(rho):
            total = Y[n, k]
            for i in range(k):
                total -= Y[n, i] * L[k, i]
            Y[n, k] = total / L[k, k]


@jit
def basis_row(row, rho, c, table, out):
    """Write the unit row `row`, which may be a dependent one that an exchange made a basis row."""
    if row < rho:
        out[:] = c[row]
    else:
        out[:] = 0.0
        for k in range(rho):
            subtract(out, -table[row - rho, k], c[k])


@jit
def fill(params, work):
    """Write the columns [alpha; (alpha P)^T] as rows of Q."""
    m, rho, r, q = sizes(params)
    logd, root, pi, dtau, kappa, thin, gamma, spare = vectors(params, work)
    alpha, order, Q, T, L, Y, H, Phi, X, S, Pi = matrices(params, work)
    c, table = dense_tables(params)
    Q[:, :rho] = 0.0
    for k in range(rho):
        row = int(order[k]) if r > rho else k
        alpha[k] = math.exp(-0.5 * log_one_plus_exp(logd[row]))
        Q[k, k] = alpha[k]
        basis_row(row, rho, c, table, Q[k, rho:])
    for k in range(rho):
        body = Q[k, rho:]
        row = int(order[k]) if r > rho else k
        # alpha and D together: either may be out of range alone.
        own = 2.0 * math.exp(0.5 * (logd[row] - log_one_plus_exp(logd[row])))
        if r > rho:
            own *= L[k, k]
        for j in range(m):
            body[j] *= own * thin[j]
        for n in range(k + 1, rho) if r > rho else range(0):
            other = logd[int(order[n])] - log_one_plus_exp(logd[row])
            factor = 2.0 * L[n, k] * math.exp(0.5 * other)
            source = Q[n, rho:]
            for j in range(m):
                body[j] += factor * source[j] * thin[j]


@jit(fastmath={"reassoc", "contract", "nsz"})
def project(row, Q, first):
    """Take the parts along four orthonormal rows of Q out of `row`: one pass for the products, one for the difference."""
    q0, q1, q2, q3 = Q[first], Q[first + 1], Q[first + 2], Q[first + 3]
    a = b = c = d = 0.0
    for j in range(row.size):
        a += q0[j] * row[j]
        b += q1[j] * row[j]
        c += q2[j] * row[j]
        d += q3[j] * row[j]
    for j in range(row.size):
        row[j] -= a * q0[j] + b * q1[j] + c * q2[j] + d * q3[j]


@jit
def orthonormalise(Q):
    """Make the rows of Q orthonormal in their order (Gram-Schmidt, repeated where a row lost most of its length)."""
    for k in range(Q.shape[0]):
        row = Q[k]
        before = math.sqrt(dot(row, row))
        if before == 0.0:
            continue
        for attempt in range(4):
            for n in range(0, k - 3, 4):
                project(row, Q, n)
            for n in range(k - k % 4, k):
                subtract(row, dot(Q[n], row), Q[n])
            after = math.sqrt(dot(row, row))
            if after > 0.3 * before or after == 0.0:
                break
            before = after
        scale = 1.0 / after if after > 0.0 else 0.0
        for j in range(row.size):
            row[j] *= scale
