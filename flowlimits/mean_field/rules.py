"""Particles for the law of a start: Gauss rules, quantiles, quasi-random points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .ensemble import Ensemble

if TYPE_CHECKING:
    from .physics import MeanFieldPhysics

#: Points per length outside the span beside n points per direction: a narrower law needs fewer.
RADIAL = 4
MOST_RADIAL = 8


@dataclass(frozen=True)
class Rule:
    """How a law becomes particles: "gauss" with n nodes per direction, "quantile" or "sobol" with n points, "atoms" as given."""

    kind: str
    points: int = 0


@dataclass(frozen=True)
class Particles:
    """Masses (P,), second layer (P,), coordinates in the span (P, m), lengths outside it (P,), or (P, L) by group of a covariance."""

    masses: np.ndarray
    second_layer: np.ndarray
    projections: np.ndarray
    norms: np.ndarray

    def state(self) -> np.ndarray:
        """Return the state vector of the compiled equations."""
        return np.concatenate([self.projections.T.ravel(), self.norms.T.ravel(), self.second_layer])


def first(start: Ensemble, m: int) -> Rule:
    """Return the coarsest rule for a law."""
    if start.kind == "atoms" or start.dimension is None:
        return Rule("atoms")
    return Rule("gauss", 8) if m <= 2 else Rule("sobol", 256)


def finer(rule: Rule, m: int, failed: bool) -> Rule:
    """Return the next rule; `failed` if the Gauss rules do not settle, as after an escape, where the flow tears the law apart."""
    if rule.kind == "atoms":
        return rule
    if rule.kind == "gauss" and failed:
        return Rule("quantile", 256) if m == 1 else Rule("sobol", 1024)
    return Rule(rule.kind, 2 * rule.points)


def of_size(start: Ensemble, m: int, count: int) -> Rule:
    """Return the rule with at most that many particles."""
    if start.kind == "atoms" or start.dimension is None:
        return Rule("atoms")
    values = start.size
    if m > 2:
        return Rule("sobol", max(count // values, 1))
    n = 1
    while (n + 1) ** m * radial_points(start, m, n + 1) * values <= count:
        n += 1
    return Rule("gauss", n)


def radial_points(start: Ensemble, m: int, n: int) -> int:
    """Return the nodes of the length beside n per direction."""
    if start.kind == "sphere" or start.dimension == m or n <= 2:
        return 1
    return min(MOST_RADIAL, 1 + -(-n // RADIAL))


def particles_of(physics: MeanFieldPhysics, rule: Rule) -> Particles:
    """Return the particles of a problem; with a covariance, coordinates and lengths by group, scaled by the root of its eigenvalue."""
    made = particles(physics.start, physics.directions, rule)
    groups = physics.covariance
    if groups is None:
        return made if made.norms.ndim == 1 else replace(made, norms=made.norms[:, 0])
    roots = np.sqrt(groups.eigenvalues)
    s = made.norms if made.norms.ndim == 2 else made.norms[:, None] * np.sqrt(groups.weights)
    u = made.projections * roots[physics.row_groups[: physics.directions]]
    return replace(made, projections=u, norms=s * roots)


def particles(start: Ensemble, m: int, rule: Rule) -> Particles:
    """Return the particles of a rule."""
    if start.kind == "atoms":
        assert start.projections is not None
        assert start.norms is not None
        return Particles(start.weights, start.second_layer, start.projections, start.norms)
    if rule.kind == "atoms":
        masses, u, s = np.ones(1), np.zeros((1, m)), np.full(1, start.scale)
    elif rule.kind == "sobol":
        masses, u, s = _sobol(start, m, rule.points)
    elif start.kind == "gaussian":
        masses, u, s = _gaussian(start, m, rule)
    else:
        masses, u, s = _sphere(start, m, rule)
    values, shares = start.second_layer, start.weights
    size = len(values)
    return Particles(
        np.repeat(masses, size) * np.tile(shares, len(masses)),
        np.tile(values, len(masses)),
        np.repeat(u, size, axis=0),
        np.repeat(s, size),
    )


def _gaussian(start: Ensemble, m: int, rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d = start.dimension
    assert d is not None
    if rule.kind == "quantile":
        nodes, weights = _normal_quantiles(rule.points), np.full(rule.points, 1.0 / rule.points)
        radial = 1 if d == m else 3
    else:
        nodes, weights = hermite(rule.points)
        radial = radial_points(start, m, rule.points)
    u, masses = tensor(nodes, weights, m)
    u = u * (start.scale / math.sqrt(d))
    if d == m:
        return masses, u, np.zeros(len(u))
    squares, shares = laguerre(radial, 0.5 * (d - m) - 1.0)
    s = start.scale * np.sqrt(2.0 * squares / d)
    return np.repeat(masses, radial) * np.tile(shares, len(u)), np.repeat(u, radial, axis=0), np.tile(s, len(u))


def _sphere(start: Ensemble, m: int, rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the projection of the uniform law on the sphere: |u|^2 ~ Beta(m/2, D/2)."""
    d = start.dimension
    assert d is not None
    if m == 1 and d == 1:
        u, masses = np.array([[-1.0], [1.0]]), np.full(2, 0.5)
    elif m == 1 and rule.kind == "quantile":
        from scipy.special import betaincinv

        places = (np.arange(rule.points) + 0.5) / rule.points
        sizes = np.sqrt(betaincinv(0.5, 0.5 * (d - 1), np.abs(2.0 * places - 1.0)))
        u, masses = (np.sign(places - 0.5) * sizes)[:, None], np.full(rule.points, 1.0 / rule.points)
    elif m == 1:
        nodes, masses = jacobi(rule.points, 0.5 * (d - 3), 0.5 * (d - 3))
        u = nodes[:, None]
    else:
        n = rule.points
        squares, shares = (np.ones(1), np.ones(1)) if d == m else jacobi(n, 0.5 * (d - m) - 1.0, 0.5 * m - 1.0)
        squares = squares if d == m else 0.5 * (squares + 1.0)
        angles = 2.0 * math.pi * (np.arange(2 * n) + 0.5) / (2 * n)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        u = (np.sqrt(squares)[:, None, None] * circle).reshape(-1, 2)
        masses = np.repeat(shares, 2 * n) / (2 * n)
    rest = np.sqrt(np.maximum(1.0 - (u**2).sum(1), 0.0))
    return masses, start.scale * u, start.scale * (np.zeros(len(u)) if d == m else rest)


def _sobol(start: Ensemble, m: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scrambled quasi-random points, always the same, with equal masses."""
    from scipy.special import chdtri, ndtri
    from scipy.stats import qmc

    d = start.dimension
    assert d is not None
    # A power of two, of which the first `count` are taken, keeps the balance of the sequence.
    places = qmc.Sobol(m + 1, seed=np.random.default_rng(0)).random_base2(max(count - 1, 1).bit_length())[:count]
    places = np.clip(places, 1e-12, 1.0 - 1e-12)
    u = ndtri(places[:, :m])
    rest = np.zeros(count) if d == m else np.sqrt(chdtri(d - m, 1.0 - places[:, m]))
    if start.kind == "sphere":
        size = np.sqrt((u**2).sum(1) + rest**2)
        u, rest = u / size[:, None], rest / size
    else:
        u, rest = u / math.sqrt(d), rest / math.sqrt(d)
    return np.full(count, 1.0 / count), start.scale * u, start.scale * rest


def _normal_quantiles(count: int) -> np.ndarray:
    from scipy.special import ndtri

    return ndtri((np.arange(count) + 0.5) / count)


def _gauss(diagonal: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights (of sum one) from the recurrence of the orthogonal polynomials (Golub & Welsch, 1969)."""
    side = np.sqrt(squares)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(side, 1) + np.diag(side, -1))
    return nodes, vectors[0] ** 2


def hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule of the standard normal law; symmetric to the last bit."""
    nodes, weights = _gauss(np.zeros(n), np.arange(1.0, n))
    return 0.5 * (nodes - nodes[::-1]), 0.5 * (weights + weights[::-1])


def laguerre(n: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule of the Gamma law with density proportional to x^alpha e^-x."""
    k = np.arange(float(n))
    return _gauss(2.0 * k + alpha + 1.0, k[1:] * (k[1:] + alpha))


def jacobi(n: int, alpha: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss rule of the law on [-1, 1] with density proportional to (1 - x)^alpha (1 + x)^beta."""
    k = np.arange(1.0, n)
    both = alpha + beta
    diagonal = np.empty(n)
    diagonal[0] = (beta - alpha) / (both + 2.0)
    diagonal[1:] = (beta**2 - alpha**2) / ((2.0 * k + both) * (2.0 * k + both + 2.0))
    squares = np.empty(n - 1)
    squares[:1] = 4.0 * (1.0 + alpha) * (1.0 + beta) / ((2.0 + both) ** 2 * (3.0 + both))
    k = k[1:]
    squares[1:] = (
        4.0 * k * (k + alpha) * (k + beta) * (k + both) / ((2.0 * k + both) ** 2 * ((2.0 * k + both) ** 2 - 1.0))
    )
    return _gauss(diagonal, squares)


def angles(outside: int | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the cosine h of two directions in that many dimensions; h = 0 if they are none or infinitely many."""
    if not outside:
        return np.zeros(1), np.ones(1)
    if outside == 1:
        return np.array([-1.0, 1.0]), np.full(2, 0.5)
    return jacobi(n, 0.5 * (outside - 3), 0.5 * (outside - 3))


def angle_moment(outside: int | None, power: int) -> float:
    """Return E[h^power] of the same cosine."""
    if power == 0:
        return 1.0
    if power % 2 or not outside:
        return 0.0
    return math.prod(range(power - 1, 0, -2)) / math.prod(outside + 2 * j for j in range(power // 2))


def tensor(nodes: np.ndarray, weights: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (n^m, m) and weights of the product rule."""
    points = np.array(list(product(nodes, repeat=m)))
    return points, np.prod(np.array(list(product(weights, repeat=m))), axis=1)
