"""Where the numbers of a `Committee` lie in the flat arrays that compiled code sees (compiled part).

State ``y``: upper triangle of Q by rows, then R by rows, then the second layer if it is trained.
Parameters: a header of `HEADER` numbers, then second layer of the teacher (k), of the student (p), T (k, k), and the table of the activations.
"""

import numpy as np

from ...compiled.jit import jit

(
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    LEARNING_RATE,
    LEARNING_RATE_SLOPE,
    SCHEDULE_START,
    NOISE,
    WEIGHT_DECAY,
    SECOND_LAYER_RATE,
    SPHERICAL,
    TRAINED,
    STUDENT_CENTRED,
    STUDENT_OFFSET,
    TEACHER_CENTRED,
    TEACHER_OFFSET,
    STUDENT_DEGREE,
    TEACHER_DEGREE,
    TEACHER_CONSTANT,
    EVENT_VALUE,
) = range(18)
HEADER = 18


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
