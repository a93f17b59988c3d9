r"""Subordination of a rotation-invariant start to the teacher: one scalar equation per time, docs/theory.md (Q13)-(Q20).

A start is a law scaled to mean one, either Gaussian (then only its ratio :math:`\alpha` matters) or given by the positive nodes
:math:`\ell_k` with weights :math:`\nu_k`, and its mean :math:`c` apart.  The unknown is :math:`\theta`,

===========  =======================================  ==================================================
Gaussian     :math:`\log x = \theta - o`              :math:`\alpha - t = \alpha\,x`
nodes        :math:`\log y = \theta + o`              :math:`r - t = \sum_k \nu_k/(1 + y\,\ell_k)`
===========  =======================================  ==================================================

with the rank :math:`r` of the start and the offset :math:`o = \log c + 4 z_c\gamma - 2\psi`, so that :math:`\theta` stays of order one where
:math:`x` or :math:`y` is exponentially small or large.  The common exponent is :math:`e = \log x + o`: with :math:`E_j = \log 4 v_j + 4(z_j - z_c)\gamma + e`,
:math:`\omega_j = 1/(1 + e^{E_j})`.  The equation for :math:`\theta` is :math:`\sum_j q_j (1-\omega_j) = t`, written as

.. math:: \sum_{\rm low} q_j (1 - \omega_j) + (r - t) - \sum_{\rm high} q_j\,\omega_j - \delta = 0, \qquad \delta = r - \sum_{\rm high} q_j,

whose terms are positive and keep their relative accuracy when all of them are exponentially small (equal ratios, late times).

A start proportional to the identity (no nodes) has :math:`x = c` and needs no equation: :math:`\zeta_j' = (4 z_j - 2\dot\psi)\,\zeta_j - 4\zeta_j^2`, so that
:math:`1/(4\zeta_j)` follows the equation of :math:`v_j` from another initial value.  It is carried in the place of :math:`v_j`, with :math:`\omega_j = 0`;
:math:`\varepsilon_j = z_j/\zeta_j - 1` then keeps its relative accuracy where :math:`\varepsilon_j + \omega_j` would cancel.

Without a lock :math:`\varphi = 0`, and with :math:`\lambda_j = 4 z_j - \text{weight\_decay}`

.. math:: v_j = \frac{1 - e^{-\lambda_j\gamma}}{\lambda_j}, \qquad
          \varepsilon_j = 4 z_j v_j - 1 = \frac{\text{weight\_decay} - 4 z_j e^{-\lambda_j\gamma}}{\lambda_j} .

For a start :math:`c` times the identity :math:`e^{-\lambda_j\gamma}/(4c)` is added to :math:`v_j`, which makes it :math:`1/(4\zeta_j)`.
"""

import math

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, FLOAT, jit

#: log of the largest number that still has an inverse.
LARGEST = 690.0
#: columns of an observed row
RISK, MISALIGNMENT, OVERLAP, TRACE, VELOCITY, SIZE, EXPONENT, LOG_X, PSI = range(9)
COLUMNS = 9


@jit
def start_side(gaussian, rank, ell, nu, theta, offset):
    r"""Return :math:`(e, e_\theta, C, C_\theta, C_o, e_o, 1/\ell)` with :math:`C = r - t` and :math:`1/\ell = dt/d\log x`.

    A derivative by `o` is taken at fixed :math:`\theta`.  For a start proportional to the identity :math:`1/\ell = -\infty`.
    """
    if gaussian:
        C = rank * math.exp(min(theta - offset, LARGEST))
        return theta, 1.0, C, C, -C, 0.0, -C
    if ell.size == 0:
        return 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -np.inf
    y = math.exp(max(min(theta + offset, LARGEST), -LARGEST))
    t = 0.0
    C = 0.0
    slope = 0.0
    for k in range(ell.size):
        inverse = 1 / (1 + y * ell[k])
        share = y * ell[k] * inverse
        t += nu[k] * share
        C += nu[k] * inverse
        slope += nu[k] * share * inverse
    rest = 1 - rank + C
    # The variance of the shares, from whichever of the shares and their complements are small.
    early = t < rest
    variance = (1 - rank) * (t if early else 1 - rest) ** 2
    for k in range(ell.size):
        inverse = 1 / (1 + y * ell[k])
        variance += nu[k] * (y * ell[k] * inverse - t if early else inverse - rest) ** 2
    exponent = math.log(t / rest) - theta
    # d log x / d log y; a single eigenvalue has no variance, and what is left of it is round-off.
    by_log_y = -variance / (t * rest)
    by_log_x = slope / by_log_y if variance > 1e-28 * min(t, rest) ** 2 else -np.inf
    return exponent, by_log_y, C, -slope, -slope, 1 + by_log_y, by_log_x


@jit
def node_side(base, q, low, exponent, s, omega):
    """Write the shares `s` and `omega` = 1 - s; return the two one-sided sums and the derivative by the exponent."""
    gained = 0.0
    missing = 0.0
    slope = 0.0
    for j in range(q.size):
        E = base[j] + exponent
        if E > 0:
            small = math.exp(-E)
            s[j] = 1 / (1 + small)
            omega[j] = small * s[j]
        else:
            small = math.exp(E)
            omega[j] = 1 / (1 + small)
            s[j] = small * omega[j]
        if low[j]:
            gained += q[j] * s[j]
        else:
            missing += q[j] * omega[j]
        slope += q[j] * s[j] * omega[j]
    return gained, missing, slope


@jit
def solve_theta(base, q, low, delta, gaussian, rank, ell, nu, offset, theta, accuracy, s, omega):
    """Return the root `theta` and the residual left; writes `s` and `omega` there.

    The residual is monotone in theta (increasing for a Gaussian start, decreasing for nodes): Newton's method
    within a bracket that grows from the guess.
    """
    if not gaussian and ell.size == 0:
        for j in range(q.size):
            s[j] = 1.0
            omega[j] = 0.0
        return 0.0, 0.0
    low_end = -np.inf
    high_end = np.inf
    residual = 0.0
    for _ in range(200):
        exponent, by_theta, C, C_theta, _o, _e, _l = start_side(gaussian, rank, ell, nu, theta, offset)
        gained, missing, slope = node_side(base, q, low, exponent, s, omega)
        residual = gained + C - missing - delta
        derivative = slope * by_theta + C_theta
        scale = gained + C + missing + abs(delta)
        if abs(residual) <= 4e-16 * scale:
            break
        if residual * (1.0 if gaussian else -1.0) < 0:
            low_end = theta
        else:
            high_end = theta
        step = -residual / derivative if derivative != 0 else np.inf * -residual * (1.0 if gaussian else -1.0)
        reach = 4 + 0.5 * abs(theta)
        step = max(min(step, reach), -reach)
        new = theta + step
        if not low_end < new < high_end:
            # With an open side the step is lost in round-off: theta is the root.
            if high_end - low_end == np.inf:
                break
            new = 0.5 * (low_end + high_end)
        moved = abs(new - theta)
        theta = new
        if moved <= accuracy * max(1.0, abs(theta)):
            # One more evaluation leaves s and omega at the root itself.
            exponent, by_theta, C, C_theta, _o, _e, _l = start_side(gaussian, rank, ell, nu, theta, offset)
            gained, missing, slope = node_side(base, q, low, exponent, s, omega)
            residual = gained + C - missing - delta
            break
    return theta, residual


@jit
def observe(z, q, bounded, v, eps, s, omega, theta, gaussian, rank, ell, nu, offset, row):
    r"""Write the observables of one time into `row` (see the column names of this module).

    Parameters
    ----------
    z, q : ndarray, shape (n,)
        Teacher eigenvalues and weights.
    bounded : ndarray of bool, shape (n,)
        Where :math:`\varepsilon_j` is known to relative accuracy and :math:`z_j - \zeta_j` is taken from (Q19).
    v, eps, s, omega : ndarray, shape (n,)
        The state :math:`v_j`, :math:`\varepsilon_j = 4 z_j v_j - 1` and the shares at the root `theta`.

    Notes
    -----
    With :math:`\Delta_j = z_j - \zeta_j`, :math:`\kappa = -\sum q_j z_j\Delta_j/a` and :math:`\Omega = -\frac\xi4\sum q_j\zeta_j\omega_j \ge 0`
    the misalignment (Q9) is formed from :math:`|D_\perp|^2 = \sum q_j(\Delta_j + \kappa z_j)^2 + \Omega`, a sum of squares.
    """
    exponent, _t, _c, _ct, _co, _eo, by_log_x = start_side(gaussian, rank, ell, nu, theta, offset)
    trace = 0.0
    lock = 0.0
    mixed = 0.0
    a = 0.0
    b = 0.0
    D_Z = 0.0
    B = 0.0
    for j in range(z.size):
        zeta = s[j] / (4 * v[j])
        gap = z[j] * (eps[j] + omega[j]) / (1 + eps[j]) if bounded[j] else z[j] - zeta
        trace += q[j] * zeta
        lock += q[j] * zeta * gap
        mixed += q[j] * zeta * omega[j]
        a += q[j] * z[j] * z[j]
        b += q[j] * z[j] * zeta
        D_Z -= q[j] * z[j] * gap
        B += q[j] * s[j] * omega[j]
    # Once everything is learnt, what is left may underflow.
    xi = 4 * mixed / (by_log_x - B) if mixed > 0 else 0.0
    spread = -0.25 * xi * mixed
    kappa = D_Z / a
    distance = spread
    across = spread
    square = spread
    size = 0.0
    for j in range(z.size):
        zeta = s[j] / (4 * v[j])
        gap = z[j] * (eps[j] + omega[j]) / (1 + eps[j]) if bounded[j] else z[j] - zeta
        distance += q[j] * gap * gap
        across += q[j] * (gap + kappa * z[j]) ** 2
        square += q[j] * zeta * zeta
        size += 4 * q[j] * zeta * abs(gap)
    norm = math.sqrt(a * square)
    row[RISK] = distance
    row[MISALIGNMENT] = a * across / (norm * (norm + b)) if b > 0 else 1 - b / norm
    row[OVERLAP] = b / norm
    row[TRACE] = trace
    row[VELOCITY] = (4 * lock + xi * mixed) / (2 * trace)
    row[SIZE] = (size - xi * mixed) / (2 * trace)
    row[EXPONENT] = exponent
    row[LOG_X] = exponent - offset


@jit
def observe_faint(z, q, log_v, s, omega, theta, gaussian, rank, ell, nu, offset, row):
    r"""Overwrite the trace and the overlaps of a student that is next to nothing, from :math:`\zeta_j` in units of the largest.

    The overlaps are NaN where the exponents of the start are beyond floating-point numbers.
    """
    _e, _t, _c, _ct, _co, _eo, by_log_x = start_side(gaussian, rank, ell, nu, theta, offset)
    lowest = log_v.min()
    a = b = square = mixed = B = trace = 0.0
    for j in range(z.size):
        zeta = s[j] * math.exp(lowest - log_v[j])
        a += q[j] * z[j] * z[j]
        b += q[j] * z[j] * zeta
        square += q[j] * zeta * zeta
        mixed += q[j] * zeta * omega[j]
        B += q[j] * s[j] * omega[j]
        trace += q[j] * zeta
    row[TRACE] = 0.25 * trace * math.exp(-lowest)
    if lowest > LARGEST - 60.0:
        row[OVERLAP] = row[MISALIGNMENT] = math.nan
        return
    spread = -mixed * mixed / (by_log_x - B) if mixed > 0 else 0.0
    across = spread
    for j in range(z.size):
        across += q[j] * (s[j] * math.exp(lowest - log_v[j]) - b / a * z[j]) ** 2
    norm = math.sqrt(a * (square + spread))
    row[OVERLAP] = b / norm
    row[MISALIGNMENT] = a * across / (norm * (norm + b)) if b > 0 else 1 - b / norm


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
