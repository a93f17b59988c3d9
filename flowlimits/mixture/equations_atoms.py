r"""The flow on four atoms: no variance within the clusters, any loss.

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
"""

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, EVENT_SIGNATURE, FLOAT, RHS_SIGNATURE, callback, jit
from .equations_losses import mean_loss, pull

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
