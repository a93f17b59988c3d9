"""The mean-field equations in plain NumPy, pair by pair, with SciPy's integrator and quadrature: shares nothing with the package."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import roots_gegenbauer

#: Five atoms, and a teacher of two units, for which values to twelve digits are known.
FIVE = {
    "weights": [0.3, 0.2, 0.2, 0.2, 0.1],
    "second_layer": [1.0, -1.0, 0.5, 2.0, -0.5],
    "projections": [[0.1, 0.2], [-0.3, 0.4], [0.5, 0.0], [0.2, -0.6], [0.0, 0.1]],
    "norms": [1.0, 0.8, 0.6, 1.2, 0.9],
}
TWO = [[1.0, 0.0], [0.3, 0.9]]


def erf_moments(q, r, x):
    """Return K = E[s s], 2 dK/dq and dK/dx."""
    B = 2 / np.pi / np.sqrt((1 + q) * (1 + r) - x * x)
    return 2 / np.pi * np.arcsin(x / np.sqrt((1 + q) * (1 + r))), -B * x / (1 + q), B


def relu_moments(q, r, x):
    """Return K = E[s s], 2 dK/dq and dK/dx."""
    size = np.sqrt(q * r)
    theta = np.arctan2(np.sqrt(np.maximum((size - x) * (size + x), 0)), x)
    B = (np.pi - theta) / 2 / np.pi
    return size * np.sin(theta) / 2 / np.pi + x * B, np.sqrt(r / q) * np.sin(theta) / 2 / np.pi, B


def polynomial_moments(powers, others):
    """Return the function (q, r, x) -> (K, 2 dK/dq, dK/dx) of two polynomials: Gauss-Hermite for the first field given the second."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    first, second = np.polynomial.Polynomial(powers), np.polynomial.Polynomial(others)

    def moments(q, r, x):
        q, r, x = np.broadcast_arrays(np.asarray(q, float), r, x)
        value, slope, product = np.zeros(q.shape), np.zeros(q.shape), np.zeros(q.shape)
        root, rest = np.sqrt(r), np.sqrt(np.maximum(q - x * x / r, 0))
        for z, w in zip(nodes, weights, strict=True):
            for y, v in zip(nodes, weights, strict=True):
                lam, other = x / root * z + rest * y, root * z
                value += w * v * first(lam) * second(other)
                slope += w * v * first.deriv(2)(lam) * second(other)
                product += w * v * first.deriv()(lam) * second.deriv()(other)
        return value, slope, product

    return moments


def angles(outside, nodes=24):
    """Return nodes and weights of the cosine of two directions; h = 0 for None."""
    if outside is None:
        return np.zeros(1), np.ones(1)
    if outside == 1:
        return np.array([-1.0, 1.0]), np.full(2, 0.5)
    if outside == 2:
        return np.cos((np.arange(nodes) + 0.5) * np.pi / nodes), np.full(nodes, 1 / nodes)
    h, w = roots_gegenbauer(nodes, outside / 2 - 1)
    return h, w / w.sum()


class Naive:
    """Particles (omega, a, u, s) with a teacher U, b."""

    def __init__(self, weights, U, student, teacher=None, own=None, *, b=None, rate=0.0, decay=0.0, outside=None):
        self.weights, self.U = np.array(weights), np.array(U, dtype=float)
        self.student, self.teacher, self.own = student, teacher or student, own or teacher or student
        self.b = (np.ones(len(self.U)) if b is None else np.array(b)) / len(self.U)
        self.rate, self.decay = rate, decay
        self.h, self.shares = angles(outside)

    def __call__(self, u, s, a):
        """Return du, ds, da and the risk."""
        U, b, mass = self.U, self.b, self.weights * a
        q, T = (u**2).sum(1) + s**2, (U**2).sum(1)
        x = (u @ u.T)[..., None] + np.outer(s, s)[..., None] * self.h
        K, A, B = self.student(q[:, None, None], q[None, :, None], x)
        Bh = B @ (self.shares * self.h)
        K, A, B = K @ self.shares, A @ self.shares, B @ self.shares
        kt, At, Bt = self.teacher(q[:, None], T[None], u @ U.T)
        alpha = A @ mass - At @ b
        du = -a[:, None] * (alpha[:, None] * u + (B * mass) @ u - (Bt * b) @ U) - self.decay * u
        ds = -a * (alpha * s + (Bh * mass) @ s) - self.decay * s
        own = self.own(T[:, None], T[None], U @ U.T)[0]
        risk = 0.5 * (mass @ K @ mass - 2 * mass @ kt @ b + b @ own @ b)
        return du, ds, -self.rate * (K @ mass - kt @ b), risk

    def solve(self, u, s, a, times):
        """Return the risk at times."""
        u, s, a = (np.array(v, dtype=float) for v in (u, s, a))
        P, m = u.shape

        def parts(y):
            return y[: P * m].reshape(P, m), y[P * m : P * m + P], y[P * m + P :]

        def velocity(_, y):
            du, ds, da, _ = self(*parts(y))
            return np.concatenate([du.ravel(), ds, da])

        start = np.concatenate([u.ravel(), s, a])
        found = solve_ivp(velocity, (0, times[-1]), start, "DOP853", t_eval=times, rtol=1e-11, atol=1e-13)
        return np.array([self(*parts(y))[3] for y in found.y.T])


def hermite_polynomial(components):
    """Return the powers of a sum of orthonormal Hermite polynomials."""
    powers = np.zeros(len(components))
    for n, value in enumerate(components):
        powers[: n + 1] += value * np.polynomial.hermite_e.herme2poly(np.eye(n + 1)[n]) / math.sqrt(math.factorial(n))
    return powers
