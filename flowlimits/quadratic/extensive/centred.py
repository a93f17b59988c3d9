r"""The centred activation at extensive widths: every time is explicit, given the root of the subordination equation.

Without a lock :math:`\varphi = 0`, and with :math:`\lambda_j = 4 z_j - \text{weight\_decay}`

.. math:: v_j = \frac{1 - e^{-\lambda_j\gamma}}{\lambda_j}, \qquad
          \varepsilon_j = 4 z_j v_j - 1 = \frac{\text{weight\_decay} - 4 z_j e^{-\lambda_j\gamma}}{\lambda_j} .

For a start :math:`c` times the identity :math:`e^{-\lambda_j\gamma}/(4c)` is added to :math:`v_j`, which makes it :math:`1/(4\zeta_j)`.
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, FLOAT, jit
from .subordination import PSI, observe, observe_faint, solve_theta

#: Between requested times the root is followed on times that grow by this factor.
STRIDE = 4.0
#: Logarithm of all v_j above which the squares of the student would underflow.
FAINT = 100.0


@jit
def explicit_state(gamma, z, reference, decay, held, v, eps, bounded, base, log_v):
    """Write the state of every node at time `gamma` > 0."""
    for j in range(z.size):
        rate = 4 * z[j] - decay
        if rate > 0:
            fading = math.exp(-rate * gamma)
            v[j] = -math.expm1(-rate * gamma) / rate + held * fading
            log_v[j] = math.log(v[j])
            eps[j] = (decay - 4 * z[j] * (1 - held * rate) * fading) / rate
        else:
            # v_j grows exponentially; its logarithm does not overflow.
            log_v[j] = -rate * gamma + math.log((math.expm1(rate * gamma) / rate if rate < 0 else gamma) + held)
            v[j] = math.exp(min(log_v[j], 700.0))
            eps[j] = 4 * z[j] * v[j] - 1
        bounded[j] = rate > 0 and 4 * z[j] * v[j] > 0.5
        base[j] = math.log(4.0) + log_v[j] + 4 * (z[j] - reference) * gamma


@jit(
    types.int64(
        A1, A1, A1, types.boolean[::1], FLOAT, FLOAT, types.boolean, FLOAT, A1, A1,
        FLOAT, FLOAT, A2, types.float64[:, :, ::1],
    )
)  # fmt: skip
def evaluate(
    times, z, q, low, delta, reference, gaussian, rank, ell, nu, log_mean, decay, rows, kept
):  # fmt: skip
    """Fill `rows` with the observables at the `times` (on the clock gamma, positive); return the evaluations.

    Parameters
    ----------
    log_mean : float
        Logarithm of the mean of the start, whose law `ell`, `nu` has mean one.
    decay : float
        Weight decay on the clock of the package (half of it acts per unit of gamma).
    rows, kept
        As in `extensive_steps.advance`.
    """
    n = z.size
    v, eps, s, omega, base = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    log_v = np.empty(n)
    bounded = np.zeros(n, np.bool_)
    held = 0.25 * math.exp(-log_mean) if not gaussian and ell.size == 0 else 0.0
    evaluations = 0
    gamma = min(times[0], 0.01 / max(z.max(), -z.min()))
    offset = log_mean + (4 * reference - decay) * gamma
    theta = offset if gaussian else math.log(4 * gamma) + log_mean - offset
    for k in range(times.size):
        while True:
            explicit_state(gamma, z, reference, decay, held, v, eps, bounded, base, log_v)
            offset = log_mean + (4 * reference - decay) * gamma
            theta, _r = solve_theta(base, q, low, delta, gaussian, rank, ell, nu, offset, theta, 1e-15, s, omega)
            evaluations += 1
            if gamma >= times[k]:
                break
            gamma = min(gamma * STRIDE, times[k])
        observe(z, q, bounded, v, eps, s, omega, theta, gaussian, rank, ell, nu, offset, rows[k])
        if log_v.min() > FAINT:
            observe_faint(z, q, log_v, s, omega, theta, gaussian, rank, ell, nu, offset, rows[k])
        rows[k, PSI] = 0.5 * decay * gamma
        for j in range(kept.shape[2]):
            kept[k, 0, j] = s[j] / (4 * v[j])
            kept[k, 1, j] = v[j]
        if k + 1 < times.size:
            gamma = min(gamma * STRIDE, times[k + 1])
    return evaluations
