"""The linear algebra of the reduced flow for general starts: one orthogonalisation (compiled part; see `equations_reduced`)."""

import math
from collections import namedtuple

from ...compiled.jit import jit
from .equations_reduced import HEADER, log_one_plus_exp, sizes, vectors

#: Numbers that no longer fit into a fast cache: rows then go in blocks, so many (a multiple of four, as `project` takes them).
LARGE, ROWS = 100_000, 16

Matrices = namedtuple("Matrices", "alpha order Q T L Y H Phi X S Pi")


@jit
def dense_tables(params):
    """Return views (c, T) of the parameters: rows of unit length, and the dependent rows in terms of the others."""
    m, rho, r, q = sizes(params)
    i = HEADER + q + 2 * r + m
    j = i + rho * m
    return params[i:j].reshape(rho, m), params[j : j + (r - rho) * rho].reshape(r - rho, rho)


@jit
def matrices(params, work):
    """Return views (alpha, order, Q, T, L, Y, H, Phi, X, S, Pi) of the scratch array."""
    m, rho, r, _ = sizes(params)
    dep = r - rho
    i0 = 6 * r + 4 * m
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
    return Matrices(
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
def quadratic(A, x):
    """Return x^T A x."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * dot(A[i], x)
    return total


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
    _, rho, r, _ = sizes(params)
    logd = vectors(params, work).logd
    w = matrices(params, work)
    order, T, L, Y = w.order, w.T, w.L, w.Y
    table = dense_tables(params)[1]
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
    m, rho, r, _ = sizes(params)
    v = vectors(params, work)
    logd, thin = v.logd, v.thin
    w = matrices(params, work)
    alpha, order, Q, L = w.alpha, w.order, w.Q, w.L
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
def start_block(Q, begin, end, norms):
    """Write the norms of the rows of a block, and take the parts along all rows before it out of them, each read once."""
    for k in range(begin, end):
        norms[k] = math.sqrt(dot(Q[k], Q[k]))
    for n in range(0, begin, 4):
        for k in range(begin, end):
            project(Q[k], Q, n)


@jit
def orthonormalise(Q, norms):
    """Make the rows of Q orthonormal in their order (Gram-Schmidt, repeated where a row lost most of its length); `norms` is scratch."""
    large = Q.size > LARGE
    for k in range(Q.shape[0]):
        if large and k % ROWS == 0:
            start_block(Q, k, min(k + ROWS, Q.shape[0]), norms)
        row = Q[k]
        before = norms[k] if large else math.sqrt(dot(row, row))
        if before == 0.0:
            continue
        first = k - k % ROWS if large else 0
        for _ in range(4):
            for n in range(0, k - 3, 4):
                if n >= first:
                    project(row, Q, n)
            for n in range(k - k % 4, k):
                subtract(row, dot(Q[n], row), Q[n])
            after = math.sqrt(dot(row, row))
            if after > 0.3 * before or after == 0.0:
                break
            before, first = after, 0
        scale = 1.0 / after if after > 0.0 else 0.0
        for j in range(row.size):
            row[j] *= scale
