"""Slow, readable references that share no code with the package: quadratic networks by their definitions."""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm


def outputs(W, x):
    """f(x) = (1/p) sum_i (w_i . x)^2 / d for inputs x, shape (n, d)."""
    p, d = W.shape
    return ((x @ W.T) ** 2).sum(axis=1) / (p * d)


def matrices(W, W_star):
    p, d = W.shape
    return W.T @ W / (p * d), W_star.T @ W_star / (len(W_star) * d)


def risk(W, W_star, centred=False):
    """1/2 E (f - f*)^2 by Isserlis' theorem."""
    Z, Z_star = matrices(W, W_star)
    D = Z - Z_star
    return np.trace(D @ D) + (0 if centred else 0.5 * np.trace(D) ** 2)


def gradient(W, W_star, centred=False, h=1e-6):
    """Gradient of the risk by central differences."""
    G = np.zeros_like(W)
    for index in np.ndindex(*W.shape):
        up, down = W.copy(), W.copy()
        up[index] += h
        down[index] -= h
        G[index] = (risk(up, W_star, centred) - risk(down, W_star, centred)) / (2 * h)
    return G


def copies(W):
    """Rows of W of which no two are equal or opposite, and for every row of W which of them it is and its sign."""
    kept, index, signs = [], [], []
    for row in W:
        known = [(j, sign) for j, other in enumerate(kept) for sign in (1.0, -1.0) if (row == sign * other).all()]
        if not known:
            kept.append(row)
        index.append(known[0][0] if known else len(kept) - 1)
        signs.append(known[0][1] if known else 1.0)
    return np.array(kept), np.array(index), np.array(signs)


def weights_at(W, W_star, times, weight_decay=0.0, centred=False, rtol=1e-11):
    """Weights of the gradient flow dW/dt = -p d grad risk - weight_decay W, shape (times, p, d), and the multiplier.

    Units that start equal or opposite stay so, and small differences of them may grow: they are evolved once.
    """
    p, d = W.shape
    kept, index, signs = copies(W)
    count = np.sqrt(np.bincount(index))[:, None]

    def velocity(t, y):
        V = y[:-1].reshape(kept.shape)
        scaled = count * V
        Z, Z_star = scaled.T @ scaled / (p * d), matrices(W, W_star)[1]
        D = Z - Z_star
        theta = 0.0 if centred else np.trace(D)
        return np.append((-4 * V @ D - 2 * theta * V - weight_decay * V).ravel(), 2 * theta)

    start = np.append(kept.ravel(), 0.0)
    y = solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=rtol, atol=1e-14).y
    return signs[:, None] * y[:-1].T.reshape(len(times), *kept.shape)[:, index], y[-1]


def observables(W, W_star, centred=False):
    Z, Z_star = matrices(W, W_star)
    overlap = np.trace(Z @ Z_star) / np.sqrt(np.trace(Z @ Z) * np.trace(Z_star @ Z_star))
    return {"risk": risk(W, W_star, centred), "overlap": overlap, "misalignment": 1 - overlap, "trace": np.trace(Z)}


def closed_form(W, W_star, t, weight_decay=0.0, steps=4000):
    """Z(t) and the multiplier by the closed form of the Riccati flow; phi from its scalar equation on a fine grid.

    phi' = tr Z - tr Z*, Z = E V0 G^-1 V0^T E, by the midpoint rule with Richardson extrapolation.
    """

    def march(n):
        p, d = W.shape
        V0 = W.T / np.sqrt(p * d)
        Z_star = W_star.T @ W_star / W_star.size
        s, ds = 2 * t, 2 * t / n
        half = expm(ds * Z_star)
        integral, phi, power = np.zeros((p, p)), 0.0, np.eye(d)  # power = exp(2 u Z*)

        def student(power, psi, integral):
            E = power * np.exp(-psi)
            return E @ V0 @ np.linalg.solve(np.eye(p) + 4 * integral, V0.T @ E)

        def trace_error(power, phi, u, integral):
            return np.trace(student(power, phi + weight_decay * u / 2, integral)) - np.trace(Z_star)

        for i in range(n):
            u = i * ds
            psi = phi + weight_decay * u / 2
            now = V0.T @ power @ power @ V0 * np.exp(-2 * psi)
            middle_phi = phi + ds / 2 * trace_error(power, phi, u, integral)
            middle_power = power @ half
            middle = (
                V0.T @ middle_power @ middle_power @ V0 * np.exp(-2 * (middle_phi + weight_decay * (u + ds / 2) / 2))
            )
            slope = trace_error(middle_power, middle_phi, u + ds / 2, integral + ds / 4 * (now + middle))
            phi = phi + ds * slope
            integral = integral + ds * middle
            power = middle_power @ half
        return student(power, phi + weight_decay * s / 2, integral), phi

    coarse, fine = march(steps), march(2 * steps)
    return tuple((4 * b - a) / 3 for a, b in zip(coarse, fine))
