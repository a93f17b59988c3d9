r"""The flow on four atoms: no variance within the clusters, any loss; and the losses, averaged over label noise.

Output and velocity depend on the fields :math:`R_{kc} = w_k\cdot\mu_c` at the centres alone,

.. math:: f(e\mu_c) = \sum_k a_k (e R_{kc})_+ ,

eq. (X11).  At zero the velocity jumps: to the right of it a field moves at :math:`\tfrac{\mu^2}4a_kg_c^+`, to the left at
:math:`-\tfrac{\mu^2}4a_kg_c^-`.  Where both point to zero the field rests there (Filippov's sliding mode); it is released once
:math:`\max(a_kg_c^+, a_kg_c^-) > 0`, eq. (X11a).  The caller stops the integration at either event (`first_zero`, `first_release`),
sets the flag of the field, and goes on.

The flow moves the weights along the centres alone, so that :math:`Q = Q_0 + (RR^\top - R_0R_0^\top)/\mu^2`: the state is R, row by row,
then a.  Parameters are `width`, `separation`, `label_noise`, `second_layer_rate`, `loss`, then a flag
per field, row by row: its side, 1 or -1, while it moves, and 0 while it rests at zero; then as many again: 1 for resting fields
whose release is watched.

The number of a `loss` is 0 for squared, 1 for logistic, 2 for exponential; `label` is the clean label, +1 or -1.
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, EVENT_SIGNATURE, FLOAT, RHS_SIGNATURE, callback, jit

SQUARED, LOGISTIC, EXPONENTIAL = range(3)


@jit
def sigmoid(z):
    """Return 1 / (1 + exp(-z)) without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


@jit
def softplus(z):
    """Return log(1 + exp(z)) without overflow."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@jit
def mean_loss(loss, output, label, label_noise):
    """Return the loss of an output, averaged over a label flip of probability `label_noise`."""
    z = label * output
    if loss == SQUARED:
        return 0.5 * (1.0 - 2.0 * (1.0 - 2.0 * label_noise) * z + z * z)
    if loss == LOGISTIC:
        return (1.0 - label_noise) * softplus(-z) + label_noise * softplus(z)
    return (1.0 - label_noise) * math.exp(-z) + label_noise * math.exp(z)


@jit
def pull(loss, output, label, label_noise):
    """Return minus the derivative of `mean_loss` with respect to the output."""
    z = label * output
    if loss == SQUARED:
        return (1.0 - 2.0 * label_noise) * label - output
    if loss == LOGISTIC:
        return label * ((1.0 - label_noise) * sigmoid(-z) - label_noise * sigmoid(z))
    return label * ((1.0 - label_noise) * math.exp(-z) - label_noise * math.exp(z))


@jit
def linear_pull(loss, label_noise):
    """Return (b, c) such that the pull is close to b * label - c * output at small outputs, and equal to it for SQUARED."""
    if loss == LOGISTIC:
        return 0.5 * (1.0 - 2.0 * label_noise), 0.25
    return 1.0 - 2.0 * label_noise, 1.0


@jit
def mean_square_pull(loss, output, label, label_noise):
    """Return the mean over label flips of the squared derivative: the strength of the noise of one-pass SGD."""
    z = label * output
    if loss == SQUARED:
        return 1.0 - 2.0 * (1.0 - 2.0 * label_noise) * z + z * z
    if loss == LOGISTIC:
        return (1.0 - label_noise) * sigmoid(-z) ** 2 + label_noise * sigmoid(z) ** 2
    return (1.0 - label_noise) * math.exp(-2.0 * z) + label_noise * math.exp(2.0 * z)


@jit
def single_pull(loss, output, label):
    """Return minus the derivative of the loss of one sample with the label it carries."""
    return pull(loss, output, label, 0.0)


HEAD = 5


@jit
def outputs(R, a, values):
    """Write the outputs at (mu_1, -mu_1, mu_2, -mu_2) into `values`."""
    values[:] = 0.0
    for k in range(a.size):
        for c in range(2):
            if R[k, c] > 0.0:
                values[2 * c] += a[k] * R[k, c]
            else:
                values[2 * c + 1] -= a[k] * R[k, c]


@jit(FLOAT(A2, A1, ADDRESS, FLOAT))
def atom_risk(R, a, loss, label_noise):
    """Return the mean loss over the four atoms."""
    values = np.empty(4)
    outputs(R, a, values)
    total = 0.0
    for i in range(4):
        total += 0.25 * mean_loss(loss, values[i], 1.0 if i < 2 else -1.0, label_noise)
    return total


@jit((A2, A1, A1, A1))
def pulls(R, a, params, values):
    """Write a quarter of the pulls at (mu_1, -mu_1, mu_2, -mu_2) into `values`.

    The side of a field is that of its flag: beyond zero the equations go on smoothly until the event is located.
    """
    K = a.size
    values[:] = 0.0
    for k in range(K):
        for c in range(2):
            side = params[HEAD + 2 * k + c]
            if side > 0.0:
                values[2 * c] += a[k] * R[k, c]
            elif side < 0.0:
                values[2 * c + 1] -= a[k] * R[k, c]
    loss = int(params[4])
    for i in range(4):
        values[i] = 0.25 * pull(loss, values[i], 1.0 if i < 2 else -1.0, params[2])


@callback(RHS_SIGNATURE)
def atom_flow(t, y, dy, params, work):
    """Gradient flow on four atoms, eq. (X11); see the module's docstring for the layout."""
    K = int(params[0])
    square = params[1] * params[1]
    R, a = y[: 2 * K].reshape(K, 2), y[2 * K :]
    dR, da = dy[: 2 * K].reshape(K, 2), dy[2 * K :]
    values = np.empty(4)
    pulls(R, a, params, values)
    for k in range(K):
        gain = 0.0
        for c in range(2):
            side = params[HEAD + 2 * k + c]
            force = side * values[2 * c] if side > 0.0 else side * values[2 * c + 1]
            dR[k, c] = square * a[k] * force
            gain += force * R[k, c]
        da[k] = params[3] * gain


@callback(EVENT_SIGNATURE)
def first_zero(t, y, params, work):
    """Return the smallest moving field relative to its side; negative once it has crossed zero.

    The sign of the flag in `params` is the side on which the field lies.
    """
    K = int(params[0])
    smallest = 1e300
    for i in range(2 * K):
        side = params[HEAD + i]
        if side != 0.0:
            smallest = min(smallest, side * y[i])
    return smallest


@callback(EVENT_SIGNATURE)
def first_release(t, y, params, work):
    """Return the smallest of -max(a g+, a g-) over the resting fields that are watched; negative once one is pushed off zero."""
    K = int(params[0])
    R, a = y[: 2 * K].reshape(K, 2), y[2 * K :]
    values = np.empty(4)
    pulls(R, a, params, values)
    smallest = 1e300
    for k in range(K):
        for c in range(2):
            if params[HEAD + 2 * K + 2 * k + c] != 0.0:
                smallest = min(smallest, -max(a[k] * values[2 * c], a[k] * values[2 * c + 1]))
    return smallest
