r"""Full-batch gradient flow of a two-layer network on a finite sample.

.. math::

    h(x) = \sum_j a_j\,\sigma(w_j\cdot x), \qquad L = \frac1n\sum_i \ell(h(x_i), y_i), \qquad
    \dot w_j = a_j\,\frac1n\sum_i g_i\,\sigma'(w_j\cdot x_i)\,x_i, \qquad \dot a_j = \frac1n\sum_i g_i\,\sigma(w_j\cdot x_i)

with :math:`g_i = -\partial_h\ell(h(x_i), y_i)`, eq. (S1).  Exact for the sample; nothing here is asymptotic.

The state is W transposed, shape (d, m), row by row, then a, shape (m,): the innermost loops run over units, which lie side by side.
Parameters are n, d, m, `activation`, `loss`, then X (n, d), row by row, then y (n,).
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, RHS_SIGNATURE, call_rhs, callback, jit

HEAD = 5
RELU, SQUARE, TANH, SOFTPLUS = range(4)
ACTIVATIONS = ("relu", "square", "tanh", "softplus")
SQUARED, LOGISTIC, EXPONENTIAL = range(3)
LOSSES = ("squared", "logistic", "exponential")

# Sums over units may be reordered: that lets them run side by side.  NaN stays NaN.
FAST = {"reassoc", "contract", "nsz", "arcp"}


@jit
def pull(loss, output, label):
    """Return minus the derivative of the loss with respect to the output."""
    if loss == SQUARED:
        return label - output
    z = label * output
    if loss == LOGISTIC:
        return label / (1.0 + math.exp(z)) if z < 700.0 else 0.0
    return label * math.exp(-z)


@jit
def point_loss(loss, output, label):
    """Return the loss of one output."""
    if loss == SQUARED:
        return 0.5 * (output - label) ** 2
    z = label * output
    if loss == LOGISTIC:
        return max(-z, 0.0) + math.log1p(math.exp(-abs(z)))
    return math.exp(-z)


@jit
def activate(activation, pre, value, slope):
    """Write the activation and its derivative at `pre`; ReLU has the derivative 0 at 0."""
    if activation == RELU:
        for j in range(pre.size):
            value[j] = max(pre[j], 0.0)
            slope[j] = 1.0 if pre[j] > 0.0 else 0.0
    elif activation == SQUARE:
        for j in range(pre.size):
            value[j] = pre[j] * pre[j]
            slope[j] = 2.0 * pre[j]
    elif activation == TANH:
        for j in range(pre.size):
            value[j] = math.tanh(pre[j])
            slope[j] = 1.0 - value[j] * value[j]
    else:
        for j in range(pre.size):
            e = math.exp(-abs(pre[j]))
            value[j] = max(pre[j], 0.0) + math.log1p(e)
            slope[j] = 1.0 / (1.0 + e) if pre[j] > 0.0 else e / (1.0 + e)


@jit(fastmath=FAST)
def preactivations(x, Wt, pre):
    """Write the fields of all units at one input."""
    pre[:] = 0.0
    for c in range(x.size):
        factor = x[c]
        for j in range(pre.size):
            pre[j] += factor * Wt[c, j]


@jit(fastmath=FAST)
def output_of(a, value):
    """Return the output from the activations."""
    total = 0.0
    for j in range(a.size):
        total += a[j] * value[j]
    return total


@jit(fastmath=FAST)
def add_point(x, force, value, slope, dWt, da):
    """Add one input to the sums over the sample; the factor a_j comes at the end."""
    for j in range(da.size):
        da[j] += force * value[j]
        slope[j] *= force
    for c in range(x.size):
        factor = x[c]
        for j in range(da.size):
            dWt[c, j] += factor * slope[j]


@callback(RHS_SIGNATURE)
def sample_flow(t, y, dy, params, work):
    """Gradient flow on the sample, eq. (S1); see the module's docstring for the layout.  `work` holds 3 m numbers."""
    n, d, m = int(params[0]), int(params[1]), int(params[2])
    activation, loss = int(params[3]), int(params[4])
    X = params[HEAD : HEAD + n * d].reshape(n, d)
    labels = params[HEAD + n * d :]
    Wt, a = y[: d * m].reshape(d, m), y[d * m :]
    dWt, da = dy[: d * m].reshape(d, m), dy[d * m :]
    pre, value, slope = work[:m], work[m : 2 * m], work[2 * m : 3 * m]
    dWt[:] = 0.0
    da[:] = 0.0
    for i in range(n):
        preactivations(X[i], Wt, pre)
        activate(activation, pre, value, slope)
        add_point(X[i], pull(loss, output_of(a, value), labels[i]) / n, value, slope, dWt, da)
    for c in range(d):
        for j in range(m):
            dWt[c, j] *= a[j]


@jit((A2, A2, A1, ADDRESS, A1))
def outputs(X, Wt, a, activation, values):
    """Write the outputs at all inputs."""
    pre, value, slope = np.empty(a.size), np.empty(a.size), np.empty(a.size)
    for i in range(X.shape[0]):
        preactivations(X[i], Wt, pre)
        activate(activation, pre, value, slope)
        values[i] = output_of(a, value)


@jit(FLOAT(A1, A1, ADDRESS))
def mean_loss(values, labels, loss):
    """Return the mean loss of outputs."""
    total = 0.0
    for i in range(values.size):
        total += point_loss(loss, values[i], labels[i])
    return total / values.size


@jit((ADDRESS, FLOAT, A1, A1, A1, A1))
def evaluate(address, t, y, dy, params, work):
    """Evaluate a right-hand side once."""
    call_rhs(address, t, y, dy, params, work)
