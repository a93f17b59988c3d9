r"""From the moments of two fields to the velocities of the overlaps, for every activation (compiled part).

With K_iu = E[s_i s_u] as a function of (C_ii, C_uu, C_iu), A = 2 dK/dC_ii and B = dK/dC_iu, and the weights w = (a/p, -b/k) of
the error, the gradient flow on the population risk is linear in the weights (Stein's lemma),

.. math:: \dot W_i = -a_i \Bigl[\Bigl(\sum_u w_u A_{iu}\Bigr) W_i + \sum_u w_u B_{iu} W_u\Bigr],

u over students and teachers.  So the moments of three fields of the usual equations reduce to those of two, and the drift to products
of matrices; only the noise N_il = E[(e^2 + noise) s_i' s_l'] has four fields (docs/committee.md, C3-C5).
"""

from ...compiled.jit import jit
from ...compiled.views import matrix, vector
from .layout import (
    SECOND_LAYER_RATE,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    TRAINED,
    finish,
    learning_rate_at,
    second_layer_start,
)


def work_shared(p, k):
    """Return the length of the scratch that `views` divides."""
    n = p + k
    return n * n + n + 2 * p + 4 * p * n + p * p


@jit
def views(p, k, work):
    """Return C (n, n), the moments A, B, K (p, n), N (p, p), V (p, n), the weights w (n,), a (p,), a row (p,), and the rest of `work`."""
    n = p + k
    at = n * n + 4 * p * n
    C, N = matrix(work, 0, n, n), matrix(work, at, p, p)
    A, B = matrix(work, n * n, p, n), matrix(work, n * n + p * n, p, n)
    K, V = matrix(work, n * n + 2 * p * n, p, n), matrix(work, n * n + 3 * p * n, p, n)
    at += p * p
    w, a, row = vector(work, at, n), vector(work, at + n, p), vector(work, at + n + p, p)
    return C, A, B, K, N, V, w, a, row, work[at + n + 2 * p :]


@jit
def assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy):
    """Write the velocities from the moments; V becomes the products of dW with all weights."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    for i in range(p):
        own = 0.0
        for u in range(n):
            own -= a[i] * w[u] * A[i, u]
        for v in range(n):
            V[i, v] = own * C[i, v]
        for u in range(n):
            factor = a[i] * w[u] * B[i, u]
            for v in range(n):
                V[i, v] -= factor * C[u, v]
    rate = learning_rate_at(t, params) * (1.0 / p)
    at = 0
    for i in range(p):
        for j in range(i, p):
            dy[at] = V[i, j] + V[j, i]
            if noisy:
                dy[at] += rate * (a[i] * a[j]) * N[i, j]
            at += 1
    for i in range(p):
        for r in range(p, n):
            dy[at] = V[i, r]
            at += 1
    if params[TRAINED] != 0.0:
        start = second_layer_start(params)
        for i in range(p):
            total = 0.0
            for u in range(n):
                total += w[u] * K[i, u]
            dy[start + i] = -params[SECOND_LAYER_RATE] * total
    finish(y, dy, params, norms)
