r"""The linear systems :math:`(\lambda - h J) x = b` of the implicit methods (compiled part).

J is dense, (n, n), or :math:`\mathrm{diag}(D) + U V^\top` with U and V of shape (n, m).  In the second case, with
:math:`E = \lambda - h D`, the Woodbury formula

.. math:: x = E^{-1} (b + h U S^{-1} V^\top E^{-1} b), \qquad S = 1 - h V^\top E^{-1} U

leaves one small system (m, m).  All functions serve real and complex numbers.
"""

from ...compiled.jit import jit
from ..arrays import clear, fill


@jit
def size(value):
    """Return a cheap norm of a real or complex number."""
    return abs(value.real) + abs(value.imag)


@jit
def factor(A, pivots):
    """Decompose `A`, shape (n, n), in place as L U with partial pivoting; whether it is regular."""
    n = A.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if size(A[i, k]) > size(A[best, k]):
                best = i
        pivots[k] = best
        if not 1e-290 < size(A[best, k]) < 1e290:
            return False
        if best != k:
            for j in range(n):
                A[k, j], A[best, j] = A[best, j], A[k, j]
        inverse = 1.0 / A[k, k]
        for i in range(k + 1, n):
            multiple = A[i, k] * inverse
            A[i, k] = multiple
            if multiple != 0.0:
                for j in range(k + 1, n):
                    A[i, j] -= multiple * A[k, j]
    return True


@jit
def substitute(A, pivots, b):
    """Overwrite `b` by the solution for the matrix decomposed by `factor`."""
    n = A.shape[0]
    for k in range(n):
        other = pivots[k]
        if other != k:
            b[k], b[other] = b[other], b[k]
    for i in range(n):
        value = b[i]
        for j in range(i):
            value -= A[i, j] * b[j]
        b[i] = value
    for i in range(n - 1, -1, -1):
        value = b[i]
        for j in range(i + 1, n):
            value -= A[i, j] * b[j]
        b[i] = value / A[i, i]


@jit
def prepare_dense(shift, h, J, A, pivots):
    """Decompose shift - h J into `A`; whether it is regular."""
    n = J.shape[0]
    for i in range(n):
        for j in range(n):
            A[i, j] = -h * J[i, j]
        A[i, i] += shift
    return factor(A, pivots)


@jit
def prepare_structured(shift, h, D, U, V, inverse, A, pivots):
    """Write 1 / (shift - h D) to `inverse` and decompose S into `A`; whether both are regular."""
    n, m = U.shape
    for i in range(n):
        difference = shift - h * D[i]
        if not 1e-290 < size(difference) < 1e290:
            return False
        inverse[i] = 1.0 / difference
    clear(A)
    for i in range(n):
        for k in range(m):
            weight = h * V[i, k] * inverse[i]
            for j in range(m):
                A[k, j] -= weight * U[i, j]
    for k in range(m):
        A[k, k] += 1.0
    return factor(A, pivots)


@jit
def solve_structured(h, U, V, inverse, A, pivots, small, b):
    """Overwrite `b` by the solution, by the Woodbury formula."""
    n, m = U.shape
    fill(small, 0.0)
    for i in range(n):
        b[i] *= inverse[i]
        for k in range(m):
            small[k] += V[i, k] * b[i]
    substitute(A, pivots, small)
    for i in range(n):
        total = 0.0 * small[0] if m > 0 else 0.0 * b[i]
        for k in range(m):
            total += U[i, k] * small[k]
        b[i] += h * inverse[i] * total
