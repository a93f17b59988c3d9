"""The same computations in plain, slow form: velocities from their definition by quadrature, and the equations of Saad & Solla."""

import functools
import itertools
import math

import numpy as np
from scipy.special import erf


def activation(name):
    """Return s and s' as functions of an array."""
    if name == "erf":
        return lambda u: erf(u / math.sqrt(2)), lambda u: math.sqrt(2 / math.pi) * np.exp(-(u**2) / 2)
    named = {
        "linear": [0, 1], "square": [0, 0, 1], "hermite2": [-1, 0, 1], "hermite3": [0, -3, 0, 1], "hermite4": [3, 0, -6, 0, 1],
    }  # fmt: skip
    s = np.polynomial.Polynomial(named.get(name, name))
    return s, s.deriv()


@functools.cache
def standard(count, nodes):
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    grid = np.array(list(itertools.product(x, repeat=count)))
    return grid, np.prod(np.array(list(itertools.product(w, repeat=count))), axis=1)


def gauss(C, nodes):
    """Return points (N, n) and weights (N,) for expectations over N(0, C), exact for polynomials of degree 2 nodes - 1."""
    grid, weights = standard(len(C), nodes)
    values, vectors = np.linalg.eigh(C)  # of fields that coincide, too
    return grid @ (vectors * np.sqrt(np.maximum(values, 0.0))).T, weights


def velocities(problem, Q, R, a, rate, nodes):
    """Return dQ, dR, da and the risk straight from the update of the weights, by quadrature over all fields."""
    T, b = problem.T, problem.teacher_second_layer
    p, k = R.shape
    lam, weight = gauss(np.block([[Q, R], [R.T, T]]), nodes)
    u, v = lam[:, :p], lam[:, p:]
    centred, teacher_centred = problem.activation == "centred", problem.teacher_activation == "centred"
    s, ds = activation("square" if centred else problem.activation)
    t, _ = activation("square" if teacher_centred else problem.teacher_activation)
    su, tv = s(u) - (np.diag(Q) if centred else 0.0), t(v) - (np.diag(T) if teacher_centred else 0.0)
    error = tv @ b / k - su @ a / p

    def mean(values):
        return weight @ values

    dR, dQ, drift = np.zeros((p, k)), np.zeros((p, p)), np.zeros((p, p))
    for i in range(p):
        own = 2 * mean(error) if centred else 0.0
        for r in range(k):
            dR[i, r] = a[i] * (mean(error * ds(u[:, i]) * v[:, r]) - own * R[i, r]) - problem.weight_decay * R[i, r]
        for j in range(p):
            drift[i, j] = a[i] * (mean(error * ds(u[:, i]) * u[:, j]) - own * Q[i, j])
    for i in range(p):
        for j in range(p):
            noise = mean((error**2 + problem.noise) * ds(u[:, i]) * ds(u[:, j]))
            dQ[i, j] = drift[i, j] + drift[j, i] - 2 * problem.weight_decay * Q[i, j] + rate / p * a[i] * a[j] * noise
    da = problem.second_layer_rate * np.array([mean(error * su[:, i]) for i in range(p)])
    if problem.spherical:
        dQ, dR = dQ + 2 * problem.weight_decay * Q, dR + problem.weight_decay * R
        N = np.diag(dQ) / np.diag(Q)
        dR = dR - R * N[:, None] / 2
        dQ = dQ - Q * (N[:, None] + N[None, :]) / 2
    return dQ, dR, da, 0.5 * mean(error**2)


def saad_solla(Q, R, T, A, v, lr, lr2, wd, sigma, both):
    """Return dQ, dR, dv per unit of steps/N for erf networks y = sum v g(l), y* = sum A g(l*), as printed in the papers.

    Saad & Solla, Phys. Rev. E 52 (1995) 4225, eqs. (6)-(10), with the second layer of Goldt et al., arXiv 1906.08632,
    eqs. (S33)-(S36): plain sums over units, noise given as a standard deviation, decay not multiplied by the rate.
    """
    K, M = R.shape
    C = np.block([[Q, R], [R.T, T]])

    def I2(i, j):
        return 2 / np.pi * math.asin(C[i, j] / math.sqrt((1 + C[i, i]) * (1 + C[j, j])))

    def I3(i, j, k):
        det = (1 + C[i, i]) * (1 + C[k, k]) - C[i, k] ** 2
        return 2 / np.pi / math.sqrt(det) * (C[j, k] * (1 + C[i, i]) - C[i, j] * C[i, k]) / (1 + C[i, i])

    def I4(i, j, k, l):
        det = (1 + C[i, i]) * (1 + C[j, j]) - C[i, j] ** 2

        def reduced(m, n):
            return (
                det * (C[m, n] + (m == n))
                - C[j, m] * C[j, n] * (1 + C[i, i])
                - C[i, m] * C[i, n] * (1 + C[j, j])
                + C[i, j] * C[i, m] * C[j, n]
                + C[i, j] * C[i, n] * C[j, m]
            )

        def l0():
            value = reduced(k, l)
            return value - det if k == l else value

        def l1(m):
            return (
                det * (1 + C[m, m])
                - C[j, m] ** 2 * (1 + C[i, i])
                - C[i, m] ** 2 * (1 + C[j, j])
                + 2 * C[i, j] * C[i, m] * C[j, m]
            )

        return 4 / np.pi**2 / math.sqrt(det) * math.asin(l0() / math.sqrt(l1(k) * l1(l)))

    def J2(i, j):
        return 2 / np.pi / math.sqrt(1 + C[i, i] + C[j, j] - C[i, j] ** 2 + C[i, i] * C[j, j])

    outputs = np.concatenate([v, -A])
    dR, dQ, dv = -wd * R, -2 * wd * Q, np.zeros(K)
    for i in range(K):
        for n in range(M):
            dR[i, n] -= lr * v[i] * sum(outputs[m] * I3(i, K + n, m) for m in range(K + M))
        for k in range(K):
            for m in range(K + M):
                dQ[i, k] -= lr * outputs[m] * (v[i] * I3(i, k, m) + v[k] * I3(k, i, m))
                for n in range(K + M):
                    dQ[i, k] += lr**2 * v[i] * v[k] * outputs[m] * outputs[n] * I4(i, k, m, n)
            dQ[i, k] += lr**2 * sigma**2 * v[i] * v[k] * J2(i, k)
        if both:
            dv[i] = -wd * v[i] - lr2 * sum(outputs[m] * I2(i, m) for m in range(K + M))
    return dQ, dR, dv


def orthant(R, nodes):
    """Return P(all four > 0) for the correlation matrix R by Plackett's integral with many nodes."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    x, w = (x + 1) / 2, w / 2
    place, weight = 1 - (1 - x) ** 3, 3 * (1 - x) ** 2 * w
    total = 1 / 16
    for i, j, k, l in [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1)]:
        theta = math.asin(R[i, j])
        total += theta / (8 * np.pi)
        if R[i, j] == 0:
            continue
        t = np.sin(theta * place) / R[i, j]
        values = np.empty(nodes)
        for n in range(nodes):
            S = t[n] * R + (1 - t[n]) * np.eye(4)
            a, b = [i, j], [k, l]
            left = S[np.ix_(b, b)] - S[np.ix_(b, a)] @ np.linalg.solve(S[np.ix_(a, a)], S[np.ix_(a, b)])
            values[n] = math.asin(np.clip(left[0, 1] / math.sqrt(left[0, 0] * left[1, 1]), -1, 1))
        total += theta * (weight @ values) / (4 * np.pi**2)
    return total
