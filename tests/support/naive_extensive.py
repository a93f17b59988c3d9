"""Slow, readable references for extensive widths: nothing here is shared with the package.

All functions use the clock gamma = 2 tau and return d L = d x risk / 2 of docs/theory.md.
"""

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq


def implicit_equation(alpha, alpha_star, gammas):
    """Orthonormal teacher and start by the implicit equation of Martin, Bach and Biroli (Q22).

    With J = G/F, rho = 4 gamma/alpha_star - log J, T = J Theta'(J - 1) + c1 and N = alpha + T (e^rho - 1):
    F'/F = 4/N, and d rho/d gamma = 4/alpha_star - 4 (e^rho - 1)/N.
    """
    r1 = (math.sqrt(alpha * (1 - alpha_star)) - math.sqrt(alpha_star * (1 - alpha))) ** 2
    r2 = (math.sqrt(alpha * (1 - alpha_star)) + math.sqrt(alpha_star * (1 - alpha))) ** 2
    c1 = max(alpha + alpha_star - 1, 0.0)
    pairs = [(1.0, 1.0, 1.0), (-math.sqrt(r1 * r2), math.sqrt(r2), math.sqrt(r1))]
    pairs += [(-math.sqrt((1 - r1) * (1 - r2)), math.sqrt(1 - r2), math.sqrt(1 - r1))]

    def theta(x):
        a1, a2 = np.sqrt(1 + x * r1), np.sqrt(1 + x * r2)
        return sum(c * np.log((u * a1 + v * a2) / (u + v)) for c, u, v in pairs)

    def theta_prime(x):
        a1, a2 = np.sqrt(1 + x * r1), np.sqrt(1 + x * r2)
        return sum(c * (u * r1 / (2 * a1) + v * r2 / (2 * a2)) / (u * a1 + v * a2) for c, u, v in pairs)

    def T_of(log_J):
        J = np.exp(log_J)
        return J * theta_prime(J - 1) + c1

    def rho_prime(gamma, rho):
        T = T_of(4 * gamma / alpha_star - rho[0])
        return [4 / alpha_star - 4 * np.expm1(rho[0]) / (alpha + T * np.expm1(rho[0]))]

    solution = solve_ivp(rho_prime, (0, gammas[-1]), [0.0], method="DOP853", rtol=3e-14, atol=1e-15, t_eval=gammas)
    results = []
    for gamma, rho in zip(solution.t, solution.y[0]):
        log_J = 4 * gamma / alpha_star - rho
        J, T, grown = math.exp(log_J), T_of(log_J), math.expm1(rho)
        N = alpha + T * grown
        slope = rho_prime(gamma, [rho])[0]
        T_slope = T_of(log_J + 1e-30j).imag / 1e-30 * (4 / alpha_star - slope)
        log_F = (4 * gamma - theta(J - 1) - c1 * log_J) / alpha
        phi = -0.5 * (log_F + math.log(alpha / N))
        phi_prime = -0.5 * (4 / N - (T_slope * grown + T * (grown + 1) * slope) / N)
        mixed = (grown + 1) * T / (alpha_star * N)
        square = mixed - 0.5 * phi_prime
        results.append((phi, *overlap_and_loss(1 / alpha_star, mixed, square)))
    return np.array(results)


def overlap_and_loss(a, b, c):
    """Return chi and d L from tr Z*^2, tr Z Z* and tr Z^2 (per dimension), by plain differences."""
    return b / math.sqrt(a * c), 0.5 * (c - 2 * b + a)


def marchenko_pastur(ratio, count):
    """Return nodes and weights of the law of W^T W/k, Gauss-Chebyshev of the second kind, zero included."""
    low, high = (1 - ratio**-0.5) ** 2, (1 + ratio**-0.5) ** 2
    angle = np.pi * np.arange(1, count + 1) / (count + 1)
    z = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
    q = np.pi / (count + 1) * ((high - low) / 2 * np.sin(angle)) ** 2 * ratio / (2 * np.pi * z)
    if ratio < 1:
        z, q = np.append(z, 0.0), np.append(q, 1 - ratio)
    return z, q / q.sum()


def root_of(start, alpha, D, q):
    """Return the subordination scalar x of a start ("gaussian", "orthonormal" or (ell, nu)) for given D_j."""

    def share(x):
        return float(q @ (x * D / (1 + x * D)))

    if start == "gaussian":
        return brentq(lambda x: x + share(x) / alpha - 1, 0, 1, xtol=1e-300, rtol=1e-15)
    if start == "orthonormal":
        if alpha >= 1:
            return 1.0
        return brentq(lambda x: x * (1 - share(x)) - (alpha - share(x)) / alpha, 0, 1, xtol=1e-300, rtol=1e-15)
    ell, nu = start

    def pair(log_y):
        y = math.exp(log_y)
        t = float(nu @ (y * ell / (1 + y * ell)))
        return t, t / ((1 - t) * y)

    log_y = brentq(lambda u: share(pair(u)[1]) - pair(u)[0], -30, 60, xtol=1e-14, rtol=1e-15)
    return pair(log_y)[1]


def direct(z, q, alpha, gammas, start, activation="square", decay=0.0):
    """Carry K_j itself, with the multiplier explicit from the locked trace; for moderate times.

    Returns rows (phi, chi, d L, tr Z/d, tr Z^2/d); tr Z^2 comes from the Riccati flow with differences in time.
    """
    mean = 1.0 if isinstance(start, str) else float(start[0] @ start[1])

    def psi_and_zeta(gamma, K):
        if gamma == 0:
            x = mean
        else:
            x = root_of(start, alpha, 4 * K, q)
        raw = np.exp(4 * z * gamma) * x / (1 + 4 * x * K)
        psi = 0.5 * math.log(q @ raw / (q @ z)) if activation == "square" else decay * gamma / 2
        return psi, raw * math.exp(-2 * psi)

    def K_prime(gamma, K):
        return np.exp(4 * z * gamma - 2 * psi_and_zeta(gamma, K)[0])

    solution = solve_ivp(
        K_prime, (0, 1.02 * gammas[-1]), np.zeros(z.size), method="DOP853", rtol=1e-12, atol=1e-14, dense_output=True
    )
    rows = []
    for gamma in gammas:
        h = 5e-3 * gamma
        around = [psi_and_zeta(gamma + k * h, solution.sol(gamma + k * h)) for k in (-3, -2, -1, 1, 2, 3)]
        psi, zeta = psi_and_zeta(gamma, solution.sol(gamma))
        weights = np.array([-1, 9, -45, 45, -9, 1]) / (60 * h)
        psi_prime = float(weights @ [value for value, _zeta in around])
        trace_prime = float(weights @ [q @ zeta for _value, zeta in around])
        trace, mixed = float(q @ zeta), float(q @ (z * zeta))
        square = (4 * mixed - 2 * psi_prime * trace - trace_prime) / 4
        rows.append((psi, *overlap_and_loss(float(q @ z**2), mixed, square), trace, square))
    return np.array(rows)


def principal_angles(dimension, student_width, teacher_width, gammas, rng):
    """Orthonormal teacher and start at finite dimension: p blocks of rank one (Q23); rows (phi, chi, d L)."""
    d, p, k = dimension, student_width, teacher_width
    student = np.linalg.qr(rng.standard_normal((d, p)))[0]
    cosines = np.zeros(p)
    singular = np.linalg.svd(student[:k], compute_uv=False)
    cosines[: singular.size] = np.minimum(singular**2, 1)

    def flow(_gamma, state):
        A, B = state[:p], state[p : 2 * p]
        n = A * A + B * B
        mu = n.sum() - d
        return np.concatenate([(2 * d / k - mu - 2 * n) * A, (-mu - 2 * n) * B, [mu]])

    start = np.concatenate([np.sqrt(d / p * cosines), np.sqrt(d / p * (1 - cosines)), [0.0]])
    solution = solve_ivp(flow, (0, gammas[-1]), start, method="LSODA", rtol=1e-10, atol=1e-12, t_eval=gammas)
    rows = []
    for state in solution.y.T:
        A, B = state[:p], state[p : 2 * p]
        n = A * A + B * B
        a, b, c = d / k, (d / k) * (A * A).sum() / d, (n * n).sum() / d
        chi, loss = overlap_and_loss(a, b, c)
        rows.append((state[-1], chi, loss + 0.25 * (n.sum() / d - 1) ** 2 * d))
    return np.array(rows)


def matrix_flow(W, W_star, gammas, activation="square", decay=0.0, locked=False):
    """Gradient flow of V = W^T/sqrt(p) (so that d Z = V V^T) on the clock gamma; returns d Z at `gammas`.

    With `locked` the trace is kept exactly, as in the limit.
    """
    p, d = W.shape
    target = W_star.T @ W_star / len(W_star)

    def flow(_gamma, flat):
        V = flat.reshape(d, p)
        gram = V.T @ V
        pull = target @ V
        if activation == "centred":
            theta = 0.0
        elif locked:
            theta = (4 * np.sum(pull * V) - 4 * np.sum(gram * gram)) / (2 * np.trace(gram))
        else:
            theta = np.trace(gram) - np.trace(target)
        return (2 * pull - (theta + decay / 2) * V - 2 * V @ gram).ravel()

    V = W.T / math.sqrt(p)
    if locked:
        V = V * math.sqrt(np.trace(target) / np.sum(V * V))
    solution = solve_ivp(flow, (0, gammas[-1]), V.ravel(), method="DOP853", rtol=1e-7, atol=1e-9, t_eval=gammas)
    return [flat.reshape(d, p) @ flat.reshape(d, p).T for flat in solution.y.T]


def haar_rows(count, dimension, rng):
    """Return `count` orthonormal rows (or the transpose of columns) scaled to unit variance per entry."""
    if count <= dimension:
        return np.linalg.qr(rng.standard_normal((dimension, count)))[0].T * math.sqrt(dimension)
    return np.linalg.qr(rng.standard_normal((count, dimension)))[0] * math.sqrt(count)
