"""One unit in the space of its weights, by plain NumPy: the reference of `flowlimits.single_unit`."""

import numpy as np
from scipy.integrate import solve_ivp

# Equal steps: exact to all digits, also for a tanh of a wide field, for which Gauss's rule wants hundreds of nodes.
NODES = np.linspace(-9.0, 9.0, 181)
SHARES = np.exp(-(NODES**2) / 2)
SHARES /= SHARES.sum()


def risk(w, w_star, S, loss, label_law):
    """The mean loss at given weights, by a product rule over two independent normal numbers.

    `label_law(v)` returns pairs of a label and its probability.
    """
    d = len(w)
    C = np.array([[w @ S @ w, w @ S @ w_star], [w_star @ S @ w, w_star @ S @ w_star]]) / d
    values, vectors = np.linalg.eigh(C)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    field = root[0, 0] * NODES[:, None] + root[0, 1] * NODES
    teacher = root[1, 0] * NODES[:, None] + root[1, 1] * NODES
    return sum(SHARES @ (probability * loss(field, label)) @ SHARES for label, probability in label_law(teacher))


def gradient(w, *physics, step=1e-5):
    """Central differences of the risk."""
    found = np.zeros_like(w)
    for i in range(len(w)):
        shift = np.zeros_like(w)
        shift[i] = step
        found[i] = (risk(w + shift, *physics) - risk(w - shift, *physics)) / (2 * step)
    return found


def flow(w, end, *physics):
    """dw/dt = -d grad(risk)."""
    solved = solve_ivp(
        lambda t, w: -len(w) * gradient(w, *physics), (0, end), w, "DOP853", [end], rtol=1e-9, atol=1e-11
    )
    return solved.y[:, -1]


def sgd(w, w_star, root, steps, learning_rate, slope, label, rng):
    """One-pass SGD of many runs at once; w has shape (runs, d), `root` the square roots of the eigenvalues."""
    d = len(w_star)
    for _ in range(steps):
        x = rng.standard_normal(w.shape) * root
        field, teacher = (x * w).sum(1) / np.sqrt(d), x @ w_star / np.sqrt(d)
        w = w - learning_rate * slope(field, label(teacher, rng))[:, None] * x / np.sqrt(d)
    return w
