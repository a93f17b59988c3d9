r"""Derivatives of the overlaps' equations F, by differences of the compiled right-hand side.

The Jacobian takes differences of fourth order with steps of 10^-3 of the natural size of each overlap, :math:`\sqrt{C_{uu}C_{vv}}`: exact up
to round-off where F is a polynomial of at most fourth degree, as for quadratic activations, and good to about 10^-10 for erf.  ReLU
has singular derivatives where fields coincide; there the steps are shares of the distance to it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ..equations import evaluate
from ..schedule import Schedule
from .increments import root

STEP = 1e-3
#: Places and weights of the first derivative, and of the second.
PLACES = np.array([1.0, -1.0, 2.0, -2.0])
FIRST = np.array([8.0, -8.0, -1.0, 1.0]) / 12.0
SECOND = np.array([16.0, 16.0, -1.0, -1.0]) / 12.0


def pieces(rates: np.ndarray) -> list[tuple[float, int, int]]:
    """Return runs of equal learning rates: the rate, and the first and the last place of each, the last excluded."""
    edges = [0, *(np.flatnonzero(np.diff(rates)) + 1).tolist(), len(rates)]
    return [(float(rates[i]), i, j) for i, j in pairwise(edges) if j > i]


class Equations:
    """The equations of a path of `flowlimits.committee.limit`, to be differentiated.

    Parameters
    ----------
    path : CommitteePath
        Of overlaps, by group if there is a covariance.
    least : float
        Share of the largest norm that norms count as in the steps of differences.
    """

    def __init__(self, path: Any, least: float = 0.0):
        self.path, self.problem, self.least = path, path.problem, least
        self.grouped = path.grouped
        self.p, self.k = path.problem.R.shape
        self.address, self.family = path.address, path.family
        self.work = np.zeros(int(path.options["work_size"]))
        self.count = path.start.size
        groups = path.given.covariance
        self.eigenvalues = np.ones(1) if groups is None else groups.eigenvalues
        self.weights = np.ones(1) if groups is None else groups.weights
        self.trained = path.problem.second_layer_rate > 0
        rows, columns = np.triu_indices(self.p)
        self.rows, self.columns = rows, columns
        self.block = rows.size + self.p * self.k
        #: Which two units an entry of a block belongs to; students before teachers.
        units = np.arange(self.p, self.p + self.k)
        self.left = np.concatenate([rows, np.repeat(np.arange(self.p), self.k)])
        self.right = np.concatenate([columns, np.tile(units, self.p)])
        T = path.given.T
        self.T = T if self.grouped else T[None]
        self._parameters: dict[float, np.ndarray] = {}

    @property
    def groups(self) -> int:
        """The number of groups."""
        return len(self.eigenvalues)

    def rate(self, t: float) -> float:
        """Return the learning rate."""
        rate = self.problem.learning_rate
        return rate(t) if isinstance(rate, Schedule) else float(rate)

    def parameters(self, rate: float) -> np.ndarray:
        """Return the parameters of the compiled equations at a learning rate."""
        if rate not in self._parameters:
            if len(self._parameters) > 4096:
                self._parameters.clear()
            self._parameters[rate] = self.path._parameters(rate, 0.0, 0.0)
        return self._parameters[rate]

    def velocities(self, states: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return F of states (T, ..., D) at learning rates (T,)."""
        flat = np.ascontiguousarray(states.reshape(-1, self.count))
        out = np.empty_like(flat)
        each = len(flat) // max(len(rates), 1)
        for rate, first, last in pieces(rates):
            part = slice(first * each, last * each)
            evaluate.velocities(self.address, flat[part], self.parameters(rate), self.work, out[part])
        return out.reshape(states.shape)

    def covariances(self, states: np.ndarray) -> np.ndarray:
        """Return the overlaps by group, students before teachers, shape (T, L, n, n)."""
        p, n = self.p, self.p + self.k
        blocks = states[:, : self.groups * self.block].reshape(len(states), self.groups, self.block)
        C = np.empty((len(states), self.groups, n, n))
        C[..., self.left, self.right] = blocks
        C[..., self.right, self.left] = blocks
        C[..., p:, p:] = self.T
        return C

    def fields(self, states: np.ndarray) -> np.ndarray:
        """Return the covariance of the fields, shape (T, n, n)."""
        return np.einsum("l,tluv->tuv", self.eigenvalues, self.covariances(states))

    def second_layers(self, states: np.ndarray) -> np.ndarray:
        """Return the second layers, shape (T, p)."""
        if self.trained:
            return states[:, self.groups * self.block :]
        return np.broadcast_to(self.problem.second_layer, (len(states), self.p))

    def to_fields(self, columns: np.ndarray) -> np.ndarray:
        """Return what changes (..., D) of the groups change in the state of the fields."""
        end = self.groups * self.block
        blocks = columns[..., :end].reshape(*columns.shape[:-1], self.groups, self.block)
        return np.concatenate([np.einsum("l,...lj->...j", self.eigenvalues, blocks), columns[..., end:]], axis=-1)

    def natural(self, states: np.ndarray, least: float = 0.0) -> np.ndarray:
        """Return the natural sizes of the overlaps, and of the second layer, at states (T, D); norms count as a share `least` of the largest."""
        C = self.covariances(states)
        # A group that is empty has the size of the whole.
        norms = np.einsum("tluu->tlu", C)
        whole = (norms * self.eigenvalues[:, None]).sum(axis=1) / max(float(self.eigenvalues.max()), 1e-300)
        norms = np.maximum(norms, np.maximum(1e-2 * whole, least * whole.max(axis=1, keepdims=True))[:, None])
        sizes = np.sqrt(norms[..., self.left] * norms[..., self.right]).reshape(len(states), -1)
        if self.trained:
            largest = np.maximum(np.abs(self.second_layers(states)).max(axis=1, keepdims=True), 1.0)
            sizes = np.concatenate([sizes, np.repeat(largest, self.p, axis=1)], axis=1)
        return np.maximum(sizes, 1e-12)

    def norms(self) -> np.ndarray:
        """Return which entries of the state add up to the plain norm of each student, shape (p, D)."""
        picks = np.zeros((self.p, self.count))
        diagonal = np.flatnonzero(self.left == self.right)
        for g in range(self.groups):
            picks[range(self.p), g * self.block + diagonal] = 1.0
        return picks

    def steps(self, states: np.ndarray) -> np.ndarray:
        """Return the steps of differences at states (T, D)."""
        steps = STEP * self.natural(states, self.least)
        if self.family.name != "relu":
            return steps
        C = self.fields(states)
        norms = np.sqrt(np.maximum(np.einsum("tuu->tu", C), 1e-300))
        apart = 1.0 - np.abs(C) / (norms[:, :, None] * norms[:, None])
        apart[:, range(self.p + self.k), range(self.p + self.k)] = 1.0
        distance = apart[:, : self.p].min(axis=2)
        share = np.minimum(
            np.minimum(distance[:, self.left], distance[:, np.where(self.right < self.p, self.right, self.left)]), 1.0
        )
        share = np.tile(np.clip(share, 1e-4, 1.0), (1, self.groups))
        steps[:, : share.shape[1]] *= share
        return steps

    def jacobians(self, times: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return J (T, D, D) and F (T, D)."""
        steps = self.steps(states)
        columns = np.eye(self.count) * steps[:, None]
        derivative, F = self._differences(times, states, columns, FIRST)
        return np.swapaxes(derivative / steps[:, :, None], 1, 2), F

    def curvature(self, times: np.ndarray, states: np.ndarray, S: np.ndarray) -> np.ndarray:
        """Return half the second derivative of F contracted with S (T, D, D), shape (T, D)."""
        columns, lengths = self.directions(states, S)
        second, _ = self._differences(times, states, columns, SECOND)
        return 0.5 * np.einsum("tjc,tj->tc", second, lengths**-2)

    def _differences(
        self, times: np.ndarray, states: np.ndarray, columns: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return combinations of F at states moved by columns (T, m, D), shape (T, m, D), and F."""
        count, m = columns.shape[:2]
        moved = states[:, None, None] + PLACES[:, None, None] * columns[:, None]
        flat = np.concatenate([moved.reshape(count, -1, self.count), states[:, None]], axis=1)
        found = self.velocities(flat, np.array([self.rate(t) for t in times]))
        F = found[:, -1]
        table = found[:, :-1].reshape(count, len(PLACES), m, self.count) - F[:, None, None]
        return np.einsum("s,tsjc->tjc", shares, table), F

    def directions(self, states: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return steps (T, D, D) along the columns of roots of S, and their lengths (T, D): S is the sum of the columns' products."""
        size = self.natural(states)
        roots = np.swapaxes(root(S / (size[:, :, None] * size[:, None])), 1, 2)
        # A step moves no overlap by more than its share of the natural size.
        share = (self.steps(states) / size).min(axis=1)
        largest = np.abs(roots).max(axis=2)
        lengths = share[:, None] / np.where(largest > 0, largest, 1.0)
        return roots * lengths[:, :, None] * size[:, None], lengths

    def risks(self, states: np.ndarray) -> np.ndarray:
        """Return the risk at states (..., D), round-off included."""
        flat = np.ascontiguousarray(self.to_fields(states).reshape(-1, self.block + self.p * self.trained))
        out = np.empty(len(flat))
        evaluate.evaluate(self.family.risk.address, flat, self.path.params, np.zeros(self.family.work_size), out)
        return out.reshape(states.shape[:-1])

    def risk_slopes(self, states: np.ndarray) -> np.ndarray:
        """Return the derivatives of the risk, shape (T, D)."""
        steps = self.steps(states)
        columns = np.eye(self.count) * steps[:, None]
        table = self.risks(states[:, None, None] + PLACES[:, None, None] * columns[:, None])
        return np.einsum("s,tsj->tj", FIRST, table) / steps


def of_function(
    equations: Equations,
    function: Callable[[np.ndarray], np.ndarray],
    states: np.ndarray,
    S: np.ndarray,
    m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviation and the bias of a function of the state of the fields, shape (T,)."""
    columns, lengths = equations.directions(states, S)
    size = np.abs(m / equations.natural(states)).max(axis=1)
    share = (equations.steps(states) / equations.natural(states)).min(axis=1) / np.where(size > 0, size, 1.0)
    columns = np.concatenate([columns, (m * share[:, None])[:, None]], axis=1)
    lengths = np.concatenate([lengths, share[:, None]], axis=1)
    moved = states[:, None, None] + PLACES[:, None, None] * columns[:, None]
    here = function(equations.to_fields(states))
    table = function(equations.to_fields(moved)) - here[:, None, None]
    first = np.einsum("s,tsj->tj", FIRST, table) / lengths
    second = np.einsum("s,tsj->tj", SECOND, table) / lengths**2
    return np.sqrt((first[:, :-1] ** 2).sum(axis=1)), first[:, -1] + 0.5 * second[:, :-1].sum(axis=1)
