"""Naive references for the XOR mixture: moments by quadrature over one field, flows of the weights themselves."""

import itertools
import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import erfc

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


def cdf(x):
    """Return the standard normal distribution function."""
    return 0.5 * erfc(-np.asarray(x) / math.sqrt(2))


def density(x):
    """Return the standard normal density."""
    return np.exp(-0.5 * np.asarray(x) ** 2) / math.sqrt(2 * math.pi)


def moments(m1, s1, m2, s2, r, c):
    """Return E[1(u>0) 1(w>0)], E[1(u>0) w_+], E[u_+ w_+] and E[delta(u) w_+] by quadrature over u.

    w = m2 + s2 (r z + c v) for u = m1 + s1 z; c is given apart from r, so that it has digits of its own near r = +-1.
    """

    def step(z):
        mean = m2 + s2 * r * z
        return cdf(mean / (s2 * c)) if c > 0 else np.heaviside(mean, 0.5)

    def ramp(z):
        mean = m2 + s2 * r * z
        return mean * cdf(mean / (s2 * c)) + s2 * c * density(mean / (s2 * c)) if c > 0 else np.maximum(mean, 0)

    low, high = max(-m1 / s1, -12.0), 12.0
    total = np.zeros(3)
    # The kink of w is as narrow as c: panels shrink towards it.
    centre = -m2 / (s2 * r) if r != 0 else 0.0
    width = max(c / max(abs(r), 1e-3), 1e-300)
    edges = [low, high, centre, *(centre + side * width * 2.0**p for p in range(-1, 60) for side in (-1, 1))]
    edges = np.unique(np.clip([*edges, *np.linspace(-12, 12, 25)], low, max(low, high)))
    for a, b in itertools.pairwise(edges):
        z = 0.5 * (a + b) + 0.5 * (b - a) * _NODES
        w = 0.5 * (b - a) * _WEIGHTS * density(z)
        total += [w @ step(z), w @ ramp(z), w @ ((m1 + s1 * z) * ramp(z))]
    return *total, float(density(m1 / s1) / s1 * ramp(np.array(-m1 / s1)))


def squared_velocity(W, a, separation, s, mean_label=1.0):
    """Return dW of the gradient flow of the squared loss; the centres lie along the first two axes.

    The pair moments are those of `moments`; c is formed from the difference of the weights.
    """
    K, d = W.shape
    lengths = np.linalg.norm(W, axis=1)
    dW = np.zeros_like(W)
    for axis in range(2):
        label = mean_label if axis == 0 else -mean_label
        for sign in (1.0, -1.0):
            mu = np.zeros(d)
            mu[axis] = sign * separation
            m, sd = W @ mu, s * lengths
            for k in range(K):
                h = m[k] / sd[k]
                # E[1_k x] = mu Phi + s^2 w phi / sd
                pull = label * (mu * cdf(h) + s * s * W[k] * density(h) / sd[k])
                for j in range(K):
                    u, v = W[k] / lengths[k], W[j] / lengths[j]
                    r = float(u @ v)
                    c = float(np.linalg.norm(v - r * u)) if j != k else 0.0
                    if abs(r) > 0.9:
                        side = math.copysign(1, r)
                        gap = float(np.linalg.norm(u - side * v))
                        c = gap * math.sqrt(max(1 - 0.25 * gap * gap, 0))
                        r = side * (1 - 0.5 * gap * gap)
                    both, second, _, kink = moments(m[k], sd[k], m[j], sd[j], r, c)
                    if j == k:
                        both, second, kink = float(cdf(h)), float(m[k] * cdf(h) + sd[k] * density(h)), 0.0
                    pull = pull - a[j] * (mu * second + s * s * (W[k] * kink + W[j] * both))
                dW[k] += 0.25 * a[k] * pull
    return dW


def squared_flow(W, a, separation, s, times, rtol=1e-9):
    """Return the weights at `times`, shape (n, K, d)."""
    shape = W.shape
    solution = solve_ivp(
        lambda t, y: squared_velocity(y.reshape(shape), a, separation, s).ravel(), (0, times[-1]), W.ravel(),
        t_eval=times, rtol=rtol, atol=1e-12, method="DOP853",
    )  # fmt: skip
    return solution.y.T.reshape(-1, *shape)


def smooth_atoms(R, a, separation, times, *, loss="squared", label_noise=0.0, rate=0.0, width=1e-5, rtol=1e-8):
    """Return fields and second layers on four atoms, with the step of each unit replaced by a ramp of the given width.

    The reference for fields that rest at a kink: the ramp holds them there as long as both sides push, and lets go of them.
    """
    K = len(a)
    labels = np.array([1.0, 1.0, -1.0, -1.0])

    def pull(f):
        z = labels * f
        if loss == "squared":
            return (1 - 2 * label_noise) * labels - f
        if loss == "logistic":
            return labels * ((1 - label_noise) / (1 + np.exp(z)) - label_noise / (1 + np.exp(-z)))
        return labels * ((1 - label_noise) * np.exp(-z) - label_noise * np.exp(z))

    def flow(t, y):
        fields, second = y[: 2 * K].reshape(K, 2), y[2 * K :]
        signed = np.stack([fields[:, 0], -fields[:, 0], fields[:, 1], -fields[:, 1]], axis=1)
        gate = np.clip(0.5 + signed / (2 * width), 0, 1)
        value = np.where(np.abs(signed) < width, (signed + width) ** 2 / (4 * width), np.maximum(signed, 0))
        g = 0.25 * pull(second @ value)
        push = separation**2 * second[:, None] * gate * g
        return np.concatenate(
            [np.stack([push[:, 0] - push[:, 1], push[:, 2] - push[:, 3]], 1).ravel(), rate * (value @ g)]
        )

    solution = solve_ivp(
        flow, (0, times[-1]), np.concatenate([R.ravel(), a]), t_eval=times, rtol=rtol, atol=1e-10, method="Radau"
    )
    return solution.y.T[:, : 2 * K].reshape(-1, K, 2), solution.y.T[:, 2 * K :]
