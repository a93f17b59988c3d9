r"""The linear equations along a solution: nodes that are refined until the covariance is resolved.

.. math:: S' = JS + SJ^\top + \tfrac{\eta}{p}\operatorname{Cov}\Gamma, \qquad
          m' = Jm + \tfrac12F''[S] + \tfrac{\eta}{p}\,\mathbb E\Gamma_2 - \tfrac{\eta}{2p}\dot F

(docs/committee.md, C16-C18).  The state at the nodes comes from the integrator itself; J and the covariance of the increments are taken there only.

On a panel of three nodes at equal distances the equations :math:`S' = JS + SJ^\top + B` and :math:`m' = Jm + b` are solved by the Magnus
expansion of fourth order with Simpson's rule, whose matrices :math:`\begin{pmatrix}A & q\\ & 0\end{pmatrix}` keep the form of the equations.
The exponential and the integrals :math:`\int e^{A\tau}Qe^{A^\top\tau}d\tau`, :math:`\int e^{A\tau}d\tau` are Taylor series, squared or doubled:
nothing is inverted, so that decaying directions may decay by any factor in a panel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..schedule import Schedule
from .covariance import Increments
from .derivatives import Equations

#: Norm of a matrix at which its exponential is a Taylor series of `TERMS` terms.
SMALL, TERMS = 0.3, 7


def symmetric(J: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return J S + (J S)^T for symmetric S."""
    product = J @ S
    return product + product.mT


@dataclass(frozen=True)
class Panels:
    """Panels of the linear equations, solved: the propagator, the integral of it, and the covariance that is added.

    Attributes
    ----------
    propagator, integral, added : ndarray, shape (N, D, D)
    J : tuple of ndarray
        At the three nodes, kept for vector equations.
    h : ndarray, shape (N,)
    """

    propagator: np.ndarray
    integral: np.ndarray
    added: np.ndarray
    J: tuple[np.ndarray, np.ndarray]
    h: np.ndarray

    def vector(self, first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return what the sources b, shape (N, D, ...) at the three nodes, add to a vector in each panel."""
        J0, J1 = self.J
        h = self.h.reshape(-1, *[1] * (first.ndim - 1))
        mean = h * (first + 4.0 * middle + last) / 6.0
        flat = (len(self.h), J0.shape[-1], -1)
        twist = J0 @ last.reshape(flat) - J1 @ first.reshape(flat)
        return (self.integral @ (mean - h**2 / 12.0 * twist.reshape(first.shape)).reshape(flat)).reshape(first.shape)


def panels(h: np.ndarray, J: tuple[np.ndarray, ...], B: tuple[np.ndarray, ...]) -> Panels:
    """Return panels of lengths h with J and B, shapes (N, D, D), at their beginnings, middles and ends."""
    J0, Jm, J1 = J
    B0, Bm, B1 = B
    step = h[:, None, None]
    first, last = J0 @ J1, J1 @ J0
    A = step * (J0 + 4.0 * Jm + J1) / 6.0 - step**2 / 12.0 * (first - last)
    Q = step * (B0 + 4.0 * Bm + B1) / 6.0 - step**2 / 12.0 * (symmetric(J0, B1) - symmetric(J1, B0))
    return Panels(*exponential(A, Q), (J0, J1), h)


def exponential(A: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return :math:`e^A`, :math:`\int_0^1 e^{A\tau}d\tau` and :math:`\int_0^1 e^{A\tau}Qe^{A^\top\tau}d\tau` of many matrices."""
    largest = float(np.abs(A).sum(axis=-1).max(initial=0.0))
    doublings = max(0, int(np.ceil(np.log2(max(largest, 1e-300) / SMALL))))
    A, Q = A / 2.0**doublings, Q / 2.0**doublings
    unit = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    integral, term, added, source = unit.copy(), unit, Q.copy(), Q
    for n in range(2, TERMS + 2):
        term = A @ term / n
        integral = integral + term
        source = symmetric(A, source) / n
        added = added + source
    propagator = unit + A @ integral
    for _ in range(doublings):
        added = added + propagator @ added @ propagator.mT
        integral = 0.5 * (integral + propagator @ integral)
        propagator = propagator @ propagator
    return propagator, integral, added


def hermite(nodes: np.ndarray, values: np.ndarray, slopes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the cubic polynomials between nodes, with values and slopes (N, ...), at times."""
    at = np.clip(np.searchsorted(nodes, times, side="right") - 1, 0, len(nodes) - 2)
    shape = (-1, *[1] * (values.ndim - 1))
    h = (nodes[at + 1] - nodes[at]).reshape(shape)
    x = (times - nodes[at]).reshape(shape) / h
    rise = values[at + 1] - values[at]
    return (
        values[at] + x * rise + x * (1.0 - x) * ((1.0 - x) * (h * slopes[at] - rise) - x * (h * slopes[at + 1] - rise))
    )


#: Relative error of the covariance that one panel may make.
TOLERANCE = 2e-2
#: The same where only tangents are wanted.
TANGENT = 3e-5
#: Panels are not refined beyond these numbers.
MOST, ROUNDS = 2000, 12
GROWTH = 1.6
#: What two halves of a panel leave of the difference from the whole, an error of fourth order.
SHARE = 1.0 / 15.0
#: Variances of the risk below this share of what they are made of are not resolved.
TINY = 1e-6
#: Panels with this many times the error are cut into four and not into two.
WIDE = 16.0
#: Order parameters that are followed: their covariance has the square of this number of entries.
LARGEST = 400


class Track:
    """Nodes along a solution with J and the sources there.

    Parameters
    ----------
    path : CommitteePath
    last : float
        The last time.
    random : bool
        Whether steps are random; otherwise S is the spread of the start alone.

    Attributes
    ----------
    begin_covariance, begin_mean : ndarray, shapes (D, D), (D,)
        Covariance and bias of the start, times d; zero unless set.
    """

    def __init__(self, path: Any, last: float, random: bool = True, tolerance: float = TOLERANCE):
        self.path, self.last = path, float(last)
        self.equations = Equations(path)
        self.increments, self.random = Increments(self.equations), random
        self.tolerance = tolerance
        size = self.equations.count
        self.begin_covariance, self.begin_mean = np.zeros((size, size)), np.zeros(size)
        self.times = np.empty(0)
        self.states = np.empty((0, size))
        self.J, self.B = np.empty((0, size, size)), np.empty((0, size, size))
        self.F, self.source = np.empty((0, size)), np.empty((0, size))
        self.rounds, self.error = 0, 0.0

    def draw_starts(self) -> None:
        """Let the start be that of Gaussian weights."""
        self.begin_covariance, self.begin_mean = self.increments.of_starts(self.path.start[None])

    def run(self) -> None:
        """Choose the nodes and solve for the covariance."""
        if self.last == 0.0:
            self._add(np.zeros(1))
            self.S = self.begin_covariance[None]
            return
        edges = self._first_edges()
        while True:
            self.rounds += 1
            self._add(np.setdiff1d(np.concatenate([edges, 0.5 * (edges[1:] + edges[:-1])]), self.times))
            error = self._covariances()
            rough = error > self.tolerance
            if not rough.any() or self.rounds >= ROUNDS or len(edges) > MOST:
                break
            # Errors fall with the fourth power of the length.
            wide = error > WIDE * self.tolerance
            pieces = [edges, 0.5 * (edges[1:] + edges[:-1])[rough]]
            pieces += [(x * edges[1:] + (1.0 - x) * edges[:-1])[wide] for x in (0.25, 0.75)]
            edges = np.sort(np.concatenate(pieces))
        self.error = float(error.max(initial=0.0))

    def _first_edges(self) -> np.ndarray:
        J, _ = self.equations.jacobians(np.zeros(1), self.path.start[None])
        speed = float(np.abs(J[0]).sum(axis=1).max())
        h = min(1.0 / speed if speed > 0 else self.last, self.last / 4.0)
        edges = [0.0]
        while edges[-1] < self.last:
            edges.append(edges[-1] + h)
            h *= GROWTH
        found = np.array(edges)
        found *= self.last / found[-1]
        found[-1] = self.last
        rate = self.path.problem.learning_rate
        if isinstance(rate, Schedule):
            knots = rate.times[(rate.times > 0) & (rate.times < self.last)]
            found = np.unique(np.concatenate([found, knots]))
        return found

    def _add(self, times: np.ndarray) -> None:
        """Take J and the sources at further nodes."""
        if not times.size:
            return
        path = self.path.restart(-1)
        # The report of the solution counts its own steps only.
        path.reports = []
        path.run(times)
        states = path.states
        J, F = self.equations.jacobians(times, states)
        if self.random:
            B, source = self.increments.at(times, states, J, F)
        else:
            B, source = np.zeros_like(J), np.zeros_like(F)
        all_times = np.concatenate([self.times, times])
        order = np.argsort(all_times)
        self.times = all_times[order]
        for name, new in (("states", states), ("J", J), ("B", B), ("F", F), ("source", source)):
            setattr(self, name, np.concatenate([getattr(self, name), new])[order])

    def _thirds(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values at the beginnings, quarters, middles, three quarters and ends of the panels."""
        first, middle, last = values[:-2:2], values[1:-1:2], values[2::2]
        quarter = (3.0 * first + 6.0 * middle - last) / 8.0
        return first, quarter, middle, (3.0 * last + 6.0 * middle - first) / 8.0, last

    def _covariances(self) -> np.ndarray:
        """Solve for the covariance at all nodes; return the relative error of each panel."""
        h = self.times[2::2] - self.times[:-2:2]
        J, B = self._thirds(self.J), self._thirds(self.B)
        whole = panels(h, (J[0], J[2], J[4]), (B[0], B[2], B[4]))
        left = panels(0.5 * h, (J[0], J[1], J[2]), (B[0], B[1], B[2]))
        right = panels(0.5 * h, (J[2], J[3], J[4]), (B[2], B[3], B[4]))
        self.halves: tuple[Panels, Panels] = (left, right)
        S = self.begin_covariance
        found, error = [S], []
        sizes = np.sqrt(self.equations.natural(self.states[:1])[0])
        slopes = self.equations.risk_slopes(self.states[2::2])
        for i in range(len(h)):
            coarse = _carry(whole, i, S)
            middle = _carry(left, i, S)
            fine = _carry(right, i, middle)
            scale = np.sqrt(np.maximum(np.diagonal(fine), 0.0))
            scale = np.maximum(scale, 1e-3 * scale.max(initial=1e-300) * sizes / sizes.max())
            worst = float((np.abs(fine - coarse) / (scale[:, None] * scale)).max())
            # The risk is known from differences of the overlaps, and its spread from those of their covariance.
            g = slopes[i]
            own = float(g @ fine @ g)
            if own > TINY * float((np.abs(g) * scale).sum()) ** 2:
                worst = max(worst, abs(own - float(g @ coarse @ g)) / own)
            error.append(worst)
            S = fine + SHARE * (fine - coarse)
            found += [middle, S]
        self.S = np.array(found)
        return np.array(error)

    def propagate(self, value: np.ndarray, source: Callable[..., np.ndarray] | np.ndarray) -> np.ndarray:
        """Return the solution of m' = J m + source at all nodes, from a value (D, ...) and the source (nodes, D, ...)."""
        if len(self.times) == 1:
            return value[None]
        parts = self._thirds(np.asarray(source))
        added = (
            self.halves[0].vector(parts[0], parts[1], parts[2]),
            self.halves[1].vector(parts[2], parts[3], parts[4]),
        )
        found = [value]
        for i in range(len(added[0])):
            for half, more in zip(self.halves, added):
                value = half.propagator[i] @ value + more[i]
                found.append(value)
        return np.array(found)

    def means(self) -> np.ndarray:
        """Return the bias times d at all nodes."""
        self.mean_source = self.source + self.equations.curvature(self.times, self.states, self.S)
        return self.propagate(self.begin_mean, self.mean_source)

    def covariance_at(self, times: np.ndarray) -> np.ndarray:
        """Return S at any times."""
        if len(self.times) == 1:
            return np.repeat(self.S, len(times), axis=0)
        return hermite(self.times, self.S, symmetric(self.J, self.S) + self.B, times)

    def vectors_at(self, times: np.ndarray, values: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return a solution of `propagate` at any times."""
        if len(self.times) == 1:
            return np.repeat(values, len(times), axis=0)
        flat = values.reshape(*values.shape[:2], -1)
        slopes = (self.J @ flat).reshape(values.shape) + source
        return hermite(self.times, values, slopes, times)


def _carry(panel: Panels, i: int, S: np.ndarray) -> np.ndarray:
    propagator = panel.propagator[i]
    return propagator @ S @ propagator.T + panel.added[i]
