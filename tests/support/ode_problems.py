"""Problems for the tests of the integrators: compiled right-hand sides, and the same in NumPy for SciPy."""

import numpy as np

from flowlimits import ode


def oscillator(t, y, dy, params, work):
    dy[0] = y[1]
    dy[1] = -params[0] * y[0]


def forced(t, y, dy, params, work):
    """y' = -k (y - cos t), with the solution of `forced_solution`."""
    dy[0] = -params[0] * (y[0] - np.cos(t))


def forced_solution(t, k):
    smooth = (k * k * np.cos(t) + k * np.sin(t)) / (1 + k * k)
    return smooth - k * k / (1 + k * k) * np.exp(-k * t)


def logistic(t, y, dy, params, work):
    for i in range(y.size):
        dy[i] = params[0] * y[i] * (1.0 - y[i])


def logistic_solution(t, k, y0):
    return y0 / (y0 + (1 - y0) * np.exp(-k * t))


def van_der_pol(t, y, dy, params, work):
    dy[0] = y[1]
    dy[1] = params[0] * (1 - y[0] ** 2) * y[1] - y[0]


def robertson(t, y, dy, params, work):
    a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
    dy[0] = b - a
    dy[1] = a - b - c
    dy[2] = c


def robertson_jacobian(t, y, J, params, work):
    J[0, 0], J[0, 1], J[0, 2] = -0.04, 1e4 * y[2], 1e4 * y[1]
    J[1, 0], J[1, 1], J[1, 2] = 0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]
    J[2, 0], J[2, 1], J[2, 2] = 0.0, 6e7 * y[1], 0.0


def oregonator(t, y, dy, params, work):
    dy[0] = 77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1]))
    dy[1] = (y[2] - (1 + y[0]) * y[1]) / 77.27
    dy[2] = 0.161 * (y[0] - y[2])


def coupled(t, y, dy, params, work):
    """y_i' = -a_i y_i - u_i sum_j v_j y_j + cos t, with params = (a, u, v)."""
    n = y.size
    total = 0.0
    for i in range(n):
        total += params[2 * n + i] * y[i]
    for i in range(n):
        dy[i] = -params[i] * y[i] - params[n + i] * total + np.cos(t)


def coupled_dense(t, y, J, params, work):
    n = y.size
    for i in range(n):
        for j in range(n):
            J[i, j] = -params[n + i] * params[2 * n + j]
        J[i, i] -= params[i]


def coupled_structured(t, y, D, U, V, params, work):
    n = y.size
    for i in range(n):
        D[i] = -params[i]
        U[i, 0] = -params[n + i]
        V[i, 0] = params[2 * n + i]


def chain(t, y, dy, params, work):
    """Heat conduction along a chain with a source: tridiagonal Jacobian."""
    n = y.size
    for i in range(n):
        left = y[i - 1] if i > 0 else 0.0
        right = y[i + 1] if i < n - 1 else 0.0
        dy[i] = params[0] * (left - 2 * y[i] + right) + y[i] * (1 - y[i])


def explosion(t, y, dy, params, work):
    dy[0] = y[0] * y[0]


def root_of_time(t, y, dy, params, work):
    dy[0] = np.sqrt(1 - t)


def plain(function, params=()):
    """Return the NumPy form of a right-hand side, for SciPy."""
    values = np.asarray(params, dtype=float)

    def f(t, y):
        dy = np.empty_like(y)
        function(t, y, dy, values, np.empty(0))
        return dy

    return f


OSCILLATOR, FORCED, LOGISTIC = (ode.right_hand_side(f) for f in (oscillator, forced, logistic))
VAN_DER_POL, OREGONATOR, CHAIN = (ode.right_hand_side(f) for f in (van_der_pol, oregonator, chain))
EXPLOSION, ROOT_OF_TIME = ode.right_hand_side(explosion), ode.right_hand_side(root_of_time)
ROBERTSON = ode.right_hand_side(robertson, jacobian=robertson_jacobian)
COUPLED = ode.right_hand_side(coupled)
COUPLED_DENSE = ode.right_hand_side(coupled, jacobian=coupled_dense)
COUPLED_STRUCTURED = ode.right_hand_side(coupled, jacobian=coupled_structured, rank=1)
