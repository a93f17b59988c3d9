"""Steady states from integrals over a density that is found by polynomial roots: slow, and without shared code."""

import json
from pathlib import Path

import numpy as np
from scipy.integrate import quad_vec
from scipy.optimize import brentq

import flowlimits as fl

REFERENCE = json.loads((Path(__file__).parent / "empirical_reference.json").read_text())


def teacher_of(row):
    """Return the Spectrum that a row of the reference names."""
    kind, *values = row["teacher"]
    if kind == "mp":
        return fl.Spectrum.marchenko_pastur(values[0])
    if kind == "orth":
        return fl.Spectrum.orthonormal(values[0])
    if kind == "power":
        z = np.arange(1.0, values[0] + 1) ** -values[1]
        return fl.Spectrum.from_eigenvalues(z / z.mean())
    return fl.Spectrum(*values)


def resolvent(teacher, xi, x):
    """Return m(x - i0) of the law with noise: the polynomial root of positive imaginary part of its subordinate."""
    if teacher.kind == "marchenko_pastur":
        k = teacher.ratio
        roots = np.roots([xi, -(x + k * xi), 1 - k + k * x, -k])
    else:
        # w + xi sum q/(w - z) = x, times the product of w - z.
        z, q = teacher.nodes, teacher.weights
        polynomial = np.polymul([1.0, -x], np.poly(z))
        for i in range(z.size):
            polynomial = np.polyadd(polynomial, xi * q[i] * np.poly(np.delete(z, i)))
        w = np.roots(polynomial)
        roots = (q / (w[:, None] - z)).sum(axis=1)
    lowest = roots[np.argmin(roots.imag)]
    return lowest if lowest.imag < -1e-9 else None


def support(teacher, xi, points=4001):
    """Return the components of the support as intervals."""
    high = (teacher.nodes[-1] if teacher.kind != "marchenko_pastur" else (1 + teacher.ratio**-0.5) ** 2) + 2.2 * xi**0.5
    grid = np.linspace(min(teacher.nodes[0], 0) - 2.2 * xi**0.5, high, points)
    inside = np.array([resolvent(teacher, xi, x) is not None for x in grid])
    edges = []
    for i in np.flatnonzero(inside[1:] != inside[:-1]):
        a, b = grid[i], grid[i + 1]
        for _ in range(60):
            middle = 0.5 * (a + b)
            if (resolvent(teacher, xi, middle) is not None) == inside[i]:
                a = middle
            else:
                b = middle
        edges.append(0.5 * (a + b))
    return np.array(edges).reshape(-1, 2)


def integrals(teacher, xi, cut, pieces):
    """Return over (cut, inf) the integrals of 1, x, x^2, h, x h against the law with noise, by an adaptive rule."""
    total = np.zeros(5)
    for low, high in pieces:
        centre, radius = 0.5 * (low + high), 0.5 * (high - low)

        def density(angle, centre=centre, radius=radius):
            x = centre - radius * np.cos(angle)
            m = resolvent(teacher, xi, x)
            if m is None:
                return np.zeros(5)
            return -m.imag / np.pi * radius * np.sin(angle) * np.array([1, x, x * x, m.real, x * m.real])

        if cut < high:
            first = np.arccos(np.clip((centre - max(cut, low)) / radius, -1, 1))
            total += quad_vec(density, first, np.pi, epsabs=1e-10, epsrel=1e-10)[0]
    return total


def residuals(problem, found):
    """Return how well a steady state solves the noise equation, the response equation and the width."""
    xi, q, a = (float(found[name]) for name in ("effective_noise", "threshold", "sample_ratio"))
    teacher, kappa = problem.teacher, min(problem.student_ratio, 1.0)
    square = 1 + 1 / teacher.ratio if teacher.kind == "marchenko_pastur" else (teacher.weights * teacher.nodes**2).sum()
    cut, pieces = q, support(teacher, xi, 801)
    if integrals(teacher, xi, q, pieces)[0] > kappa + 1e-9:
        cut = brentq(lambda x: integrals(teacher, xi, x, pieces)[0] - kappa, q, pieces[-1, 1], xtol=1e-13)
    N, _, second, H0, H1 = integrals(teacher, xi, cut, pieces)
    J = H1 - q * H0
    risk = square + q * q * N - second + 4 * xi * J
    decay = problem.weight_decay / 4
    return {
        "noise": (risk + problem.noise / 2) / (2 * a * xi) - 1,
        "response": decay / q + J / a - 1,
        "risk": risk / float(found["risk"]) - 1,
        "rank": N / float(found["rank"]) - 1,
    }
