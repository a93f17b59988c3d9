r"""Nodes for a Marchenko-Pastur teacher, as many as a solution needs at its last time.

In the angle of `marchenko_pastur.in_angle` the square-root edges are smooth.  Three places remain: the lower edge, where the law has
a pole nearby at ratios close to one and where :math:`e^{-4 z\gamma}` varies on the scale :math:`1/\gamma`; for a student of lower
rank than the teacher, the critical quantile with the rank of the student above it, where :math:`\omega(z)` becomes a step of width
:math:`1/\gamma`; and the threshold of weight decay, which is a kink of that width.  Panels of Gauss-Legendre nodes are halved until each is as short as its distance from these places.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ...spectrum import marchenko_pastur
from ...spectrum.spectrum import Spectrum

#: Lowest points of the deformed path, in units of the length of the panels that meet there.
DEPTH = 0.5


@dataclass
class Panels:
    """Gauss-Legendre panels for a Marchenko-Pastur law, in its angle."""

    edges: np.ndarray
    count: int
    ratio: float
    scale: float
    rank: float

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positive nodes and weights, shape (n,); the weights sum to the rank per dimension of the law."""
        theta, weights = panels(self.edges, self.count)
        values, density = marchenko_pastur.in_angle(self.ratio, theta)
        mass = weights * density
        return values * self.scale, mass * (self.rank / mass.sum())

    def lowered(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return complex nodes and weights on a path below the real axis, and a function of the nodes there.

        Integrands with poles just above the real axis are smooth on this path, which starts and ends at the edges
        of the law.  `values`, shape (n,), are real and smooth on every panel; they are continued by their
        polynomials.
        """
        lengths = np.diff(self.edges)
        depth = np.zeros(self.edges.size)
        depth[1:-1] = DEPTH * np.minimum(lengths[:-1], lengths[1:])
        vertices = self.edges - 1j * depth
        roots, weights = gauss(self.count)
        along = np.diff(vertices)[:, None]
        theta = vertices[:-1, None] + along * (roots + 1) / 2
        z, density = marchenko_pastur.in_angle(self.ratio, theta)
        local = 2 * (theta - self.edges[:-1, None]) / lengths[:, None] - 1
        to_polynomial = np.linalg.inv(np.polynomial.legendre.legvander(roots, self.count - 1))
        coefficients = values.reshape(lengths.size, self.count) @ to_polynomial.T
        continued = np.einsum("pkc,pc->pk", np.polynomial.legendre.legvander(local, self.count - 1), coefficients)
        return (z * self.scale).ravel(), (along * weights / 2 * density).ravel(), continued.ravel()


def refined_panels(
    spectrum: Spectrum, student_rank: float, threshold: float, gamma: float, tolerance: float, halvings: int = 0
) -> Panels:
    """Return the panels on which a Marchenko-Pastur law is integrated.

    Parameters
    ----------
    spectrum : Spectrum
        Of kind "marchenko_pastur".
    student_rank : float
        Rank per dimension of the student.
    threshold : float
        Eigenvalue below which weight decay leaves nothing, or 0.
    gamma : float
        The last time, on the clock gamma.
    tolerance : float
        Relative accuracy of the integrals.
    halvings : int, optional
        How often to halve the panels beyond what the known places ask for.
    """
    ratio = float(spectrum.ratio or 1.0)
    low, high = marchenko_pastur.edges(ratio)
    half = (high - low) / 2
    pace = max(gamma * spectrum.scale, 1.0)
    # The law itself varies on the scale `pole`; e^{-4 z gamma} needs less only while 4 low gamma is below a hundred; weight decay moves it to the threshold.
    pole = math.sqrt(2 * low / half)
    gap = math.sqrt(2 * max(low - threshold / spectrum.scale, 0.0) / half)
    finest = max(min(pole or math.inf, max(math.sqrt(1 / (4 * pace * half)), min(pole, gap) / 8)), 1e-8)
    places = []
    critical = critical_angle(ratio, student_rank)
    if critical > 0:
        places.append(critical)
    kink = (threshold / spectrum.scale - low) / (2 * half)
    if 0 < kink < 1:
        places.append(2 * math.asin(math.sqrt(kink)))
    places.sort()
    widths = [math.pi / (4 * pace * half * max(math.sin(place), 1e-3)) for place in places]

    edges = [0.0]
    stack = list(zip([0.0, *places], [*places, math.pi]))[::-1]
    while stack:
        a, b = stack.pop()
        allowed = min(math.pi / 4, max(a, finest))
        for place, width in zip(places, widths):
            allowed = min(allowed, max(2 * min(abs(a - place), abs(b - place)), width))
        if b - a > 1.01 * allowed / 2**halvings:
            stack += [(0.5 * (a + b), b), (a, 0.5 * (a + b))]
        else:
            edges.append(b)
    count = min(max(round(2 - math.log10(tolerance)), 6), 16)
    return Panels(np.array(edges), count, ratio, spectrum.scale, spectrum.rank)


@functools.cache
def gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gauss-Legendre nodes and weights on [-1, 1]; their eigenvalue problem took an eighth of a solution."""
    roots, weights = np.polynomial.legendre.leggauss(count)
    roots.flags.writeable = weights.flags.writeable = False
    return roots, weights


def panels(edges: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` Gauss-Legendre nodes and weights on every interval between `edges`."""
    roots, weights = gauss(count)
    lengths = np.diff(edges)[:, None]
    return (edges[:-1, None] + lengths * (roots + 1) / 2).ravel(), (lengths * weights / 2).ravel()


def critical_angle(ratio: float, student_rank: float) -> float:
    """Return the angle with the mass `student_rank` above it; 0 if the student has the rank of the teacher or more."""
    if student_rank >= min(ratio, 1.0) * (1 - 1e-13):
        return 0.0
    theta, weights = panels(math.pi * np.linspace(0, 1, 41) ** 2, 16)
    mass = weights * marchenko_pastur.in_angle(ratio, theta)[1]
    above = np.append(np.cumsum(mass[::-1])[::-1], 0.0)
    guess = float(np.interp(student_rank, above[::-1], np.append(theta, math.pi)[::-1]))
    for _ in range(20):
        theta, weights = panels(guess + (math.pi - guess) * np.linspace(0, 1, 11), 16)
        values = marchenko_pastur.in_angle(ratio, np.append(theta, guess))[1]
        step = (weights @ values[:-1] - student_rank) / values[-1]
        guess = min(max(guess + step, 0.5 * guess), 0.5 * (guess + math.pi))
        if abs(step) <= 4e-16 * math.pi:
            break
    return guess
