r"""State and parameters of a `Committee` in flat arrays, and its velocities from the moments of two fields (compiled part).

State ``y``: upper triangle of Q by rows, then R by rows, then the second layer if it is trained.
Parameters: a header of `HEADER` numbers, then second layer of the teacher (k), of the student (p), T (k, k), and the table of the activations.

With K_iu = E[s_i s_u] as a function of (C_ii, C_uu, C_iu), A = 2 dK/dC_ii and B = dK/dC_iu, and the weights w = (a/p, -b/k) of
the error, the gradient flow on the population risk is linear in the weights (Stein's lemma),

.. math:: \dot W_i = -a_i \Bigl[\Bigl(\sum_u w_u A_{iu}\Bigr) W_i + \sum_u w_u B_{iu} W_u\Bigr],

u over students and teachers.  So the moments of three fields of the usual equations reduce to those of two, and the drift to products
of matrices; only the noise N_il = E[(e^2 + noise) s_i' s_l'] has four fields (docs/committee.md, C3-C5).
"""

import numpy as np

from ...compiled.jit import jit
from ...compiled.views import matrix, vector

(
    STUDENT_WIDTH, TEACHER_WIDTH, LEARNING_RATE, LEARNING_RATE_SLOPE, SCHEDULE_START, NOISE, WEIGHT_DECAY,
    SECOND_LAYER_RATE, SPHERICAL, TRAINED, STUDENT_CENTRED, STUDENT_OFFSET, TEACHER_CENTRED, TEACHER_OFFSET,
    STUDENT_DEGREE, TEACHER_DEGREE, TEACHER_CONSTANT, EVENT_VALUE,
) = range(18)  # fmt: skip
HEADER = 18
#: Numbers of a problem, by name.
PLACES = {
    "learning_rate": LEARNING_RATE,
    "noise": NOISE,
    "weight_decay": WEIGHT_DECAY,
    "second_layer_rate": SECOND_LAYER_RATE,
}


@jit(inline="always")
def learning_rate_at(t, params):
    """Return the learning rate: linear in time on each piece of a schedule."""
    return params[LEARNING_RATE] + params[LEARNING_RATE_SLOPE] * (t - params[SCHEDULE_START])


@jit(inline="always")
def fill_covariance(y, params, C):
    """Write [[Q, R], [R^T, T]] into the first p + k rows and columns of C."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    # Unsigned counters spare the test for negative indices in every access.
    at, one = np.uint64(0), np.uint64(1)
    for i in range(p):
        for j in range(i, p):
            value = y[at]
            C[i, j] = value
            C[j, i] = value
            at += one
    for i in range(p):
        for r in range(p, p + k):
            value = y[at]
            C[i, r] = value
            C[r, i] = value
            at += one
    at = np.uint64(HEADER + k + p)
    for r in range(p, p + k):
        for s in range(p, p + k):
            C[r, s] = params[at]
            at += one


@jit(inline="always")
def has_noise(params):
    """Whether the learning rate differs from zero."""
    return params[LEARNING_RATE] != 0.0 or params[LEARNING_RATE_SLOPE] != 0.0


@jit(inline="always")
def second_layer_start(params):
    """Return the place of a trained second layer in the state."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    return p * (p + 1) // 2 + p * k


@jit(inline="always")
def fill_outputs(y, params, a, w):
    """Write the second layer a (p,) and the weights w = (a/p, -b/k) of the error f - f_star (p + k,)."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    trained = params[TRAINED] != 0.0
    start = second_layer_start(params)
    share, teacher_share = 1.0 / p, -1.0 / k
    for i in range(p):
        a[i] = y[start + i] if trained else params[HEADER + k + i]
        w[i] = a[i] * share
    for r in range(k):
        w[p + r] = params[HEADER + r] * teacher_share


@jit(inline="always")
def finish(y, dy, params, norms):
    """Add weight decay and the spherical constraint to `dy`, which holds the velocities of Q and R.

    On the sphere the weights are projected back to their norm: with N_ii the free velocity of Q_ii, noise included,
    dR_ir -= R_ir N_ii / (2 Q_ii) and dQ_il -= Q_il (N_ii / Q_ii + N_ll / Q_ll) / 2; `norms` (p,) is scratch.
    """
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    decay = params[WEIGHT_DECAY]
    size = p * (p + 1) // 2
    if params[SPHERICAL] != 0.0:
        at = 0
        for i in range(p):
            norms[i] = 0.5 * dy[at] / y[at]
            at += p - i
        at = 0
        for i in range(p):
            dy[at] = 0.0
            for j in range(i + 1, p):
                dy[at + j - i] -= y[at + j - i] * (norms[i] + norms[j])
            at += p - i
        for i in range(p):
            for r in range(k):
                dy[size + i * k + r] -= y[size + i * k + r] * norms[i]
    elif decay != 0.0:
        for i in range(size):
            dy[i] -= 2.0 * decay * y[i]
        for i in range(size, size + p * k):
            dy[i] -= decay * y[i]


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


@jit(inline="always")
def opened(y, params, work):
    """Return the `views` of `work`; C, the weights w and the second layer a hold those of the state."""
    found = views(int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH]), work)
    C, _, _, _, _, _, w, a, _, _ = found
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    return found


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
