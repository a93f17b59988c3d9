r"""Margin flow of smooth models as right-hand sides for the integrators, with the Jacobian.

Gradient flow :math:`\dot\theta = -\nabla L` in the clock :math:`\ell = -\log L` (see `equations` for B, G, p):

.. math:: \frac{d\theta}{d\ell} = \frac{G}{B|G|^2}, \qquad \frac{dT}{d\ell} = \frac{1}{B^2|G|^2} - T, \quad T = t\,e^{-\ell}.

First phase (loss above one): these equations as they stand, with :math:`s = \ell - \ell_0` as time.

Second phase: the norm is eliminated.  On the unit sphere, :math:`\theta = \rho u`, the loss itself fixes
:math:`\rho(u, \ell)`, and with :math:`z = \log(1 + \ell)`, :math:`A = (1 + \ell)/(\rho B |G|^2)`,

.. math::
    \frac{du}{dz} = A\,(G - \langle G, u\rangle u), \qquad
    \frac{dS}{dz} = (1 + \ell)\Bigl(\frac{\rho^{2H-2}}{B^2|G|^2} - S\Bigr) + (2H - 2)\,A\,\langle G, u\rangle\, S, \qquad
    \frac{dP}{dz} = \Bigl|\frac{du}{dz}\Bigr|,

where :math:`S = T\rho^{2H-2}` stays of order one (its limit is :math:`1/(H\gamma)^2` for :math:`|u|=1`) and P is the path
length of the direction.  The horizon of a loss of 1e-10000 is z = 10.

The state is (u, S, P), or (theta, T, P) in the first phase.
"""

import math

import numpy as np

from ..compiled.jit import JACOBIAN_SIGNATURE, RHS_SIGNATURE, callback, jit
from .equations import LINEAR, descent, margins, probabilities, scale_at

KIND, LOSS, SAMPLES, FEATURES, ORDER, EXTRA, HOMOGENEOUS, NORM = range(8)
HEAD = 8
#: Norms from which the point of a ray is looked for: the last one, and the first one times powers of two.
ATTEMPTS = 12


@jit
def _views(params):
    """Return X, y and the extra numbers of the model as views of the parameters."""
    n, d, m = int(params[SAMPLES]), int(params[FEATURES]), int(params[EXTRA])
    X = params[HEAD : HEAD + n * d].reshape(n, d)
    y = params[HEAD + n * d : HEAD + n * d + n]
    return X, y, params[HEAD + n * d + n : HEAD + n * d + n + m]


@jit
def _place(work, n, size):
    """Return views of the scratch: gradients, q, p, curvature, scaled q, then theta, G, a vector, and a matrix."""
    at = 1
    gradients = work[at : at + n * size].reshape(n, size)
    at += n * size
    samples = work[at : at + 4 * n].reshape(4, n)
    at += 4 * n
    vectors = work[at : at + 6 * size].reshape(6, size)
    at += 6 * size
    return gradients, samples, vectors, work[at : at + size * size].reshape(size, size)


def work_size(samples, size):
    """Return the scratch that the right-hand sides and their Jacobian need."""
    return 1 + samples * size + 4 * samples + 6 * size + size * size


@jit
def _on_ray(ell, u, params, work):
    """Put theta on the ray through u at minus log loss `ell`; write theta, margins, p and G; return norm, B, |G|^2."""
    n, size = int(params[SAMPLES]), u.size
    kind, loss, order = int(params[KIND]), int(params[LOSS]), params[ORDER]
    X, y, extra = _views(params)
    gradients, samples, vectors, _ = _place(work, n, size)
    q, p, curvature, scaled = samples[0], samples[1], samples[2], samples[3]
    theta, G = vectors[0], vectors[1]
    if params[HOMOGENEOUS] > 0:
        margins(kind, u, X, y, extra, q, gradients)
        kappa = scale_at(loss, ell, q, p, curvature, scaled)
        rho = kappa ** (1.0 / order)
        for i in range(n):
            q[i] *= kappa
            for k in range(size):
                gradients[i, k] *= kappa / rho
        theta[:] = rho * u
        _, B = probabilities(loss, q, p, curvature)
        return rho, B, descent(p, gradients, G)
    B, squared = 1.0, 0.0
    for attempt in range(ATTEMPTS):
        # The last norm may be that of a trial step that led far away, where the loss does not fall along the ray.
        rho = work[0] if attempt == 0 and work[0] > 0 else params[NORM] * 2.0 ** max(attempt - 1, 0)
        step = math.inf
        for _ in range(50):
            theta[:] = rho * u
            margins(kind, theta, X, y, extra, q, gradients)
            value, B = probabilities(loss, q, p, curvature)
            squared = descent(p, gradients, G)
            slope = 0.0
            for k in range(size):
                slope += G[k] * theta[k]
            slope *= B
            if not slope > 0.0:
                step = math.inf
                break
            # In log rho, so that rho stays positive; a step of one at most, far from the solution.
            step = max(-1.0, min(1.0, (ell - value) / slope))
            rho *= math.exp(step)
            if abs(step) <= 1e-14:
                break
        if abs(step) <= 1e-8:
            work[0] = rho
            return rho, B, squared
    return math.nan, B, squared


@callback(RHS_SIGNATURE)
def first_phase(s, state, velocity, params, work):
    """Write d(theta, T, P)/ds."""
    size = state.size - 2
    X, y, extra = _views(params)
    gradients, samples, vectors, _ = _place(work, y.size, size)
    theta, G = vectors[0], vectors[1]
    theta[:] = state[:size]
    margins(int(params[KIND]), theta, X, y, extra, samples[0], gradients)
    _, B = probabilities(int(params[LOSS]), samples[0], samples[1], samples[2])
    squared = descent(samples[1], gradients, G)
    inner, norm = 0.0, 0.0
    for k in range(size):
        velocity[k] = G[k] / (B * squared)
        inner += G[k] * theta[k]
        norm += theta[k] * theta[k]
    velocity[size] = 1.0 / (B * B * squared) - state[size]
    across = 0.0
    if norm > 0:
        for k in range(size):
            across += (G[k] - inner * theta[k] / norm) ** 2
        across = math.sqrt(across / norm) / (B * squared)
    velocity[size + 1] = across


@callback(RHS_SIGNATURE)
def direction(z, state, velocity, params, work):
    """Write d(u, S, P)/dz."""
    size = state.size - 2
    ell = math.expm1(z)
    u = state[:size]
    _, _, vectors, _ = _place(work, int(params[SAMPLES]), size)
    G = vectors[1]
    rho, B, squared = _on_ray(ell, u, params, work)
    A = (1.0 + ell) / (rho * B * squared)
    inner = 0.0
    for k in range(size):
        inner += G[k] * u[k]
    speed = 0.0
    for k in range(size):
        velocity[k] = A * (G[k] - inner * u[k])
        speed += velocity[k] * velocity[k]
    power = 2.0 * params[ORDER] - 2.0
    velocity[size] = (1.0 + ell) * (rho**power / (B * B * squared) - state[size]) + power * A * inner * state[size]
    velocity[size + 1] = math.sqrt(speed)


@jit
def _hessian(params, theta, p, M, work):
    """Write sum_i p_i times the Hessian of q_i, by central differences of the gradients (exact for quadratic margins)."""
    n, size = p.size, theta.size
    M[:, :] = 0.0
    if int(params[KIND]) == LINEAR:
        return
    X, y, extra = _views(params)
    gradients, samples, vectors, _ = _place(work, n, size)
    total = vectors[5]
    largest = 0.0
    for k in range(size):
        largest = max(largest, abs(theta[k]))
    width = 1e-5 * largest
    for k in range(size):
        keep = theta[k]
        for side in (1.0, -1.0):
            theta[k] = keep + side * width
            margins(int(params[KIND]), theta, X, y, extra, samples[3], gradients)
            descent(p, gradients, total)
            for l in range(size):
                M[l, k] += side * total[l] / (2.0 * width)
        theta[k] = keep


@callback(JACOBIAN_SIGNATURE)
def direction_jacobian(z, state, J, params, work):
    """Write the Jacobian of `direction`.

    At fixed loss the norm follows the direction, d log rho = -G.du/(G.u), so d theta = rho (du - u G.du/(G.u)); then
    dG = (sum_i p_i Hess q_i - sum_i p_i grad q_i (c_i grad q_i - cbar)^T) d theta with the curvatures c_i.
    """
    size = state.size - 2
    n = int(params[SAMPLES])
    u = state[:size]
    ell = math.expm1(z)
    power = 2.0 * params[ORDER] - 2.0
    gradients, samples, vectors, M = _place(work, n, size)
    p, curvature = samples[1], samples[2]
    theta, G, cbar, Mu, row = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    rho, B, squared = _on_ray(ell, u, params, work)
    _hessian(params, theta, p, M, work)
    _on_ray(ell, u, params, work)

    inner = 0.0
    for k in range(size):
        inner += G[k] * u[k]
    A = (1.0 + ell) / (rho * B * squared)
    cbar[:] = 0.0
    for i in range(n):
        for k in range(size):
            cbar[k] += p[i] * curvature[i] * gradients[i, k]
    for i in range(n):
        if p[i] > 1e-300:
            for l in range(size):
                weight = p[i] * gradients[i, l]
                for k in range(size):
                    M[l, k] -= weight * (curvature[i] * gradients[i, k] - cbar[k])
    cu = 0.0
    for l in range(size):
        Mu[l] = 0.0
        for k in range(size):
            Mu[l] += M[l, k] * u[k]
        cu += cbar[l] * u[l]
    for l in range(size):
        for k in range(size):
            M[l, k] = rho * (M[l, k] - Mu[l] * G[k] / inner)

    # Logarithmic differentials of |G|^2 (into Mu), of A (into row), and of <G, u> (into theta), as rows.
    for k in range(size):
        dsquared, dinner = 0.0, G[k]
        for l in range(size):
            dsquared += 2.0 * G[l] * M[l, k]
            dinner += u[l] * M[l, k]
        dlog_norm = -G[k] / inner
        dlog_B = -rho * (cbar[k] - cu * G[k] / inner)
        dlog_squared = dsquared / squared
        row[k] = -dlog_norm - dlog_B - dlog_squared
        source = (1.0 + ell) * rho**power / (B * B * squared) * (power * dlog_norm - 2.0 * dlog_B - dlog_squared)
        J[size, k] = source + power * A * state[size] * (inner * row[k] + dinner)
        theta[k] = dinner
    for l in range(size):
        F = A * (G[l] - inner * u[l])
        for k in range(size):
            J[l, k] = F * row[k] + A * (M[l, k] - u[l] * theta[k])
        J[l, l] -= A * inner
        J[l, size], J[l, size + 1] = 0.0, 0.0
    speed = 0.0
    for l in range(size):
        speed += (A * (G[l] - inner * u[l])) ** 2
    speed = math.sqrt(speed)
    for k in range(size):
        total = 0.0
        if speed > 0:
            for l in range(size):
                total += A * (G[l] - inner * u[l]) * J[l, k]
            total /= speed
        J[size + 1, k] = total
    J[size, size] = -(1.0 + ell) + power * A * inner
    J[size, size + 1], J[size + 1, size], J[size + 1, size + 1] = 0.0, 0.0, 0.0


def parameters(kind, loss, X, y, extra, order, homogeneous, norm):
    """Return the parameters of the right-hand sides as one array."""
    head = np.array([kind, loss, X.shape[0], X.shape[1], order, extra.size, homogeneous, norm], dtype=np.float64)
    return np.concatenate([head, X.ravel(), y, extra])
