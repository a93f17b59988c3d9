r"""Stabilised explicit integration of large, mildly stiff systems whose right-hand side is NumPy code.

The Runge-Kutta-Chebyshev method of second order [1]_ takes s stages with a stability interval that grows as :math:`0.65 s^2` along the negative real
axis, so that a gradient flow with rates up to :math:`\rho` costs :math:`\sqrt\rho` and not :math:`\rho` evaluations per unit of time.  It needs no Jacobian and
seven vectors.  Errors are measured in the norm of the whole state: its entries are on one scale.

References
----------
.. [1] B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88, 315 (1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Velocity = Callable[[float, np.ndarray], np.ndarray]
#: Rates are estimated anew after this many steps, with at most so many vectors, and multiplied by a margin.
STEPS_PER_ESTIMATE, MOST_VECTORS, MARGIN = 12, 16, 1.02
#: Steps aim at this share of the longest one, and trust a trend of the errors up to this factor.
SAFETY, TREND = 0.9, 1.2
MOST_STAGES = 1000


class StabilisedError(RuntimeError):
    """The evaluations ran out, or the state is not finite any more."""


@dataclass
class Counts:
    """What an integration cost."""

    steps: int = 0
    rejected: int = 0
    evaluations: int = 0


class Stabilised:
    """An integration that is continued from time to time.

    Parameters
    ----------
    velocity : callable
        ``velocity(t, y)`` returns dy/dt as a new array.
    y : ndarray
        The state at the start, real or complex, of any shape.
    rtol, atol : float
        A step may err by ``rtol |y| + atol`` in the root mean square of the entries.
    start : float, optional
        The time of `y`.
    most : int, optional
        Largest number of evaluations.

    Attributes
    ----------
    t, y, slope : float and ndarray
        The time, the state, and its velocity.
    counts : Counts
        Steps, rejected steps and evaluations.
    """

    def __init__(
        self,
        velocity: Velocity,
        y: np.ndarray,
        rtol: float,
        atol: float = 0.0,
        *,
        start: float = 0.0,
        most: int = 10**7,
    ):
        self.velocity, self.rtol, self.atol, self.most = velocity, rtol, atol, most
        self.t, self.y = start, y.copy()
        self.counts = Counts()
        self.slope = self._evaluate(start, y)
        # Not the velocity: it may lack the stiff direction.
        self._vector = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
        self._rate, self._age = 0.0, STEPS_PER_ESTIMATE
        self._step, self._last = 0.0, (0.0, 0.0)

    def _evaluate(self, t: float, y: np.ndarray) -> np.ndarray:
        self.counts.evaluations += 1
        if self.counts.evaluations > self.most:
            raise StabilisedError(f"{self.most} evaluations did not reach the last time; they ended at t = {t:.6g}.")
        return self.velocity(t, y)

    def advance(self, end: float) -> np.ndarray:
        """Integrate to the time `end` and return the state."""
        while self.t < end:
            self.step(end)
        return self.y

    def step(self, end: float) -> None:
        """Take one accepted step, not beyond `end`."""
        while True:
            if self._age >= STEPS_PER_ESTIMATE:
                self._estimate_rate()
            if self._step == 0.0:
                self._step = self._first_step(end - self.t)
            # A step that would leave a sliver is halved or stretched.
            left = end - self.t
            h = left if self._step >= 0.999 * left else (0.5 * left if self._step > 0.6 * left else self._step)
            stages = max(2, 1 + int(math.sqrt(1 + 1.54 * h * self._rate)))
            if stages > MOST_STAGES:
                stages = MOST_STAGES
                h = (stages**2 - 1) / (1.54 * self._rate)
            new, slope = self._stages(h, stages)
            error = self._error(h, new, slope)
            if error <= 1:
                self._accept(h, new, slope, error, clipped=h < 0.999 * self._step)
                return
            self.counts.rejected += 1
            if not math.isfinite(error):
                if h < 1e-14 * max(abs(self.t), 1e-300):
                    raise StabilisedError(f"The state is not finite any more after t = {self.t:.6g}.")
                self._step, self._age = 0.1 * h, STEPS_PER_ESTIMATE
            else:
                self._step = h * max(0.1, 0.8 / error ** (1 / 3))
                if self._age > 0:
                    self._age = STEPS_PER_ESTIMATE

    def _accept(self, h: float, new: np.ndarray, slope: np.ndarray, error: float, clipped: bool) -> None:
        last_h, last_error = self._last
        factor = 10.0 if error == 0 else SAFETY / error ** (1 / 3)
        if last_h > 0 and last_error > 0 and error > 0:
            # The predictive controller of the authors.
            factor = min(TREND * factor, SAFETY * h / last_h * (last_error / error**2) ** (1 / 3))
        factor = min(max(factor, 0.1), 10.0)
        self._step = max(self._step, h * factor) if clipped else h * factor
        self._last = (h, error)
        self.t, self.y, self.slope = self.t + h, new, slope
        self.counts.steps += 1
        self._age += 1

    def _first_step(self, left: float) -> float:
        speed, size = _norm(self.slope), _norm(self.y)
        if speed == 0:
            return left
        step = min(left, 1 / max(self._rate, 1e-300), 0.1 * max(size, 1e-6) / speed)
        probe = self._evaluate(self.t + step, self.y + step * self.slope)
        error = 0.5 * step * _norm(probe - self.slope) / (self.atol + self.rtol * size)
        return min(left, step / max(math.sqrt(error), 0.1))

    def _error(self, h: float, new: np.ndarray, slope: np.ndarray) -> float:
        estimate = 0.8 * (self.y - new) + 0.4 * h * (self.slope + slope)
        return _norm(estimate) / (self.atol + self.rtol * max(_norm(self.y), _norm(new)))

    def _stages(self, h: float, stages: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the state after a step and its velocity."""
        mu1, mu, nu, mu_tilde, gamma, c = coefficients(stages)
        f, y = self.slope, self.y
        before, now = y, y + (mu1 * h) * f
        for j in range(2, stages + 1):
            k = self._evaluate(self.t + c[j - 1] * h, now)
            before, now = (
                now,
                ((1 - mu[j] - nu[j]) * y + mu[j] * now + nu[j] * before + (h * mu_tilde[j]) * k + (h * gamma[j]) * f),
            )
        return now, self._evaluate(self.t + h, now)

    def _estimate_rate(self) -> None:
        """Estimate the largest rate by Lanczos iteration on differences of velocities, from the last vector.

        The Jacobian of a gradient flow is symmetric; for others the estimate is that of its symmetric part.
        """
        scale = 1e-4 * max(_norm(self.y), 1e-6) * math.sqrt(self.y.size)
        basis: list[np.ndarray] = []
        T = np.zeros((MOST_VECTORS, MOST_VECTORS))
        vector, length, rate = self._vector, _length(self._vector), 0.0
        top = np.ones(1)
        for k in range(MOST_VECTORS):
            if length <= 1e-10 * rate:
                break
            basis.append(vector / length)
            vector = (self._evaluate(self.t, self.y + scale * basis[k]) - self.slope) / scale
            for i, other in enumerate(basis):
                part = float(np.vdot(other, vector).real)
                vector = vector - part * other
                if i >= k - 1:
                    T[i, k] = T[k, i] = part
            values, vectors = np.linalg.eigh(T[: k + 1, : k + 1])
            largest = int(np.argmax(np.abs(values)))
            rate, top, length = abs(float(values[largest])), vectors[:, largest], _length(vector)
            # An eigenvalue lies within the residual of the estimate.
            if k >= 2 and length * abs(top[k]) <= 0.1 * rate:
                break
        self._vector = sum((part * other for part, other in zip(top, basis)), np.zeros_like(self.y))
        self._rate, self._age = MARGIN * rate, 0


def _length(y: np.ndarray) -> float:
    return _norm(y) * math.sqrt(y.size)


def _norm(y: np.ndarray) -> float:
    """Return the root mean square of the entries."""
    flat = y.reshape(-1)
    return math.sqrt(float(np.vdot(flat, flat).real) / flat.size)


@lru_cache(maxsize=64)
def coefficients(stages: int) -> tuple[float, list[float], list[float], list[float], list[float], list[float]]:
    """Return mu~_1, and mu, nu, mu~, gamma~, c by stage, for the damping 2/13."""
    s = stages
    w0 = 1 + (2 / 13) / s**2
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, s + 1):
        T.append(2 * w0 * T[-1] - T[-2])
        dT.append(2 * T[-2] + 2 * w0 * dT[-1] - dT[-2])
        ddT.append(4 * dT[-2] + 2 * w0 * ddT[-1] - ddT[-2])
    w1 = dT[s] / ddT[s]
    b = [0.0] * (s + 1)
    for j in range(2, s + 1):
        b[j] = ddT[j] / dT[j] ** 2
    b[0] = b[1] = b[2]
    mu, nu, mu_tilde, gamma, c = ([0.0] * (s + 1) for _ in range(5))
    for j in range(2, s + 1):
        mu[j] = 2 * b[j] * w0 / b[j - 1]
        nu[j] = -b[j] / b[j - 2]
        mu_tilde[j] = 2 * b[j] * w1 / b[j - 1]
        gamma[j] = -(1 - b[j - 1] * T[j - 1]) * mu_tilde[j]
        c[j] = w1 * ddT[j] / dT[j]
    c[1] = c[2] / dT[2]
    return b[1] * w1, mu, nu, mu_tilde, gamma, c
