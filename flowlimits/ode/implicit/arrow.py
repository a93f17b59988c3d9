r"""Arrow Jacobians: equal groups of components that meet in a few sums (compiled part).

The state has L groups of b components and, after them, e border components.  The velocities of group l depend on their own
group, on the border, and on the groups only through the sums :math:`\sum_l c_l y_l` and :math:`\sum_l P^\top y_l`:

.. math:: J = \mathrm{diag}(c_1 D + E, \dots, c_L D + E, 0) + U V^\top, \qquad
          V_l^\top = (c_l 1, P^\top, 0)^\top, \quad V_{\rm border}^\top = (0, 0, 1)^\top

with U of rank r = b + s + e: its columns are the derivatives of all velocities by the b weighted sums, the s plain sums, and
the border.  With :math:`M_l = \lambda - h (c_l D + E)`, decomposed group by group, the Woodbury formula

.. math:: x = M^{-1} (a + h U S^{-1} V^\top M^{-1} a), \qquad S = 1 - h V^\top M^{-1} U

leaves one system of r rows, so that a decomposition costs :math:`O(L b^2 (b + r))` and a solution :math:`O(L b (b + r))`.

All numbers of the Jacobian stand in one array, see `parts`.  A right-hand side of this form writes them in a callback with
the signature `STRUCTURE_SIGNATURE`, which begins with `begin`; `ode.jacobians.arrow` makes the rest.
"""

from ...compiled.jit import jit
from .jacobian import factor, solvers

HEADER = 4


@jit
def begin(data, groups, block, border, picks):
    """Write the sizes L, b, e, s to the head of `data`."""
    data[0], data[1], data[2], data[3] = groups, block, border, picks


@jit
def sizes(data):
    """Return L, b, e, s."""
    return int(data[0]), int(data[1]), int(data[2]), int(data[3])


@jit
def parts(data):
    """Return views of c (L,), D, E (b, b), P (b, s), U of the groups (L, b, r) and U of the border (e, r)."""
    L, b, e, s = sizes(data)
    r = b + s + e
    at = HEADER
    c = data[at : at + L]
    at += L
    D = data[at : at + b * b].reshape((b, b))
    at += b * b
    E = data[at : at + b * b].reshape((b, b))
    at += b * b
    P = data[at : at + b * s].reshape((b, s))
    at += b * s
    U = data[at : at + L * b * r].reshape((L, b, r))
    at += L * b * r
    return c, D, E, P, U, data[at : at + e * r].reshape((e, r))


@jit
def places(data, factors):
    """Return views of the decomposed M_l (L, b, b), of M^-1 U, (L, b, r) and (e, r), of S (r, r) and of scratch (r + 1,)."""
    L, b, e, s = sizes(data)
    r = b + s + e
    at = L * b * b
    M = factors[:at].reshape((L, b, b))
    X = factors[at : at + L * b * r].reshape((L, b, r))
    at += L * b * r
    border = factors[at : at + e * r].reshape((e, r))
    at += e * r
    return M, X, border, factors[at : at + r * r].reshape((r, r)), factors[at + r * r : at + r * r + r + 1]


@jit
def factor_inverse(A, pivots):
    """Decompose `A` by `factor`, with reciprocals on the diagonal: complex divisions are slow."""
    if not factor(A, pivots):
        return False
    for i in range(A.shape[0]):
        A[i, i] = 1.0 / A[i, i]
    return True


@jit
def substitute(A, pivots, x):
    """Overwrite `x` by the solution for the matrix decomposed by `factor_inverse`."""
    b = A.shape[0]
    for k in range(b):
        other = pivots[k]
        if other != k:
            x[k], x[other] = x[other], x[k]
    for i in range(b):
        value = x[i]
        for k in range(i):
            value -= A[i, k] * x[k]
        x[i] = value
    for i in range(b - 1, -1, -1):
        value = x[i]
        for k in range(i + 1, b):
            value -= A[i, k] * x[k]
        x[i] = value * A[i, i]


@jit
def substitute_columns(A, pivots, X):
    """Overwrite the columns of `X`, shape (b, r), by solutions."""
    b, r = X.shape
    for k in range(b):
        other = pivots[k]
        if other != k:
            for j in range(r):
                X[k, j], X[other, j] = X[other, j], X[k, j]
    for i in range(b):
        for k in range(i):
            weight = A[i, k]
            for j in range(r):
                X[i, j] -= weight * X[k, j]
    for i in range(b - 1, -1, -1):
        for k in range(i + 1, b):
            weight = A[i, k]
            for j in range(r):
                X[i, j] -= weight * X[k, j]
        for j in range(r):
            X[i, j] *= A[i, i]


@jit
def decompose(shift, h, data, factors, pivots):
    """Decompose shift - h J; 1 if that is regular, else 0."""
    L, b, e, s = sizes(data)
    r = b + s + e
    c, D, E, P, U, U_border = parts(data)
    M, X, X_border, S, scratch = places(data, factors)
    for i in range(r):
        for j in range(r):
            S[i, j] = 0.0
        S[i, i] = 1.0
    for g in range(L):
        own = M[g]
        for i in range(b):
            for j in range(b):
                own[i, j] = -h * (c[g] * D[i, j] + E[i, j])
            own[i, i] += shift
        order = pivots[g * b : (g + 1) * b]
        if not factor_inverse(own, order):
            return 0
        column = X[g]
        for i in range(b):
            for j in range(r):
                column[i, j] = U[g, i, j]
        substitute_columns(own, order, column)
        for i in range(b):
            for j in range(r):
                S[i, j] -= h * c[g] * column[i, j]
            for k in range(s):
                for j in range(r):
                    S[b + k, j] -= h * P[i, k] * column[i, j]
    for i in range(e):
        for j in range(r):
            X_border[i, j] = U_border[i, j] / shift
            S[b + s + i, j] -= h * X_border[i, j]
    if not factor_inverse(S, pivots[L * b : L * b + r]):
        return 0
    scratch[r] = shift
    return 1


@jit
def solve(h, data, factors, pivots, x):
    """Overwrite `x` by the solution for the matrix that was decomposed."""
    L, b, e, s = sizes(data)
    r = b + s + e
    c, P = data[HEADER : HEADER + L], parts(data)[3]
    M, X, X_border, S, scratch = places(data, factors)
    shift = scratch[r]
    n = L * b
    small = scratch[:r]
    for i in range(r):
        small[i] = 0.0
    for g in range(L):
        own = x[g * b : (g + 1) * b]
        substitute(M[g], pivots[g * b : (g + 1) * b], own)
        for i in range(b):
            small[i] += c[g] * own[i]
            for k in range(s):
                small[b + k] += P[i, k] * own[i]
    for i in range(e):
        x[n + i] /= shift
        small[b + s + i] = x[n + i]
    substitute(S, pivots[n : n + r], small)
    for g in range(L):
        for i in range(b):
            total = X[g, i, 0] * small[0]
            for j in range(1, r):
                total += X[g, i, j] * small[j]
            x[g * b + i] += h * total
    for i in range(e):
        for j in range(r):
            x[n + i] += h * X_border[i, j] * small[j]


factor_real, solve_real, factor_complex, solve_complex = solvers(decompose, solve)
