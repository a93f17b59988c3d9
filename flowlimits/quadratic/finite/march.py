"""The explicit method of order 8(5,3) around NumPy's products, for systems whose evaluations take milliseconds.

Coefficients, error estimate and continuous extension are those of `flowlimits.ode.explicit.dop853`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

import numpy as np

from ...ode.explicit import dop853
from ...ode.report import IntegrationError, Report, Status, message_of

ADVICE = {
    Status.TOO_MANY_STEPS: 'Late times are stiff: use method="reduced", or raise `max_steps`.',
    Status.STEP_TOO_SMALL: "Loosen `rtol` and `atol`, which are below round-off here.",
    Status.NOT_FINITE: "The weights or the teacher are too large for floating-point numbers: rescale them.",
}


@cache
def _tableau() -> tuple[np.ndarray, ...]:
    A = np.zeros((16, 16))
    for row in range(1, 12):
        A[row, :row] = getattr(dop853, f"A{row}")
    A[12, :12] = dop853.B
    for row in (13, 14, 15):
        A[row, :row] = getattr(dop853, f"A{row}")
    D = np.array([dop853.D0, dop853.D1, dop853.D2, dop853.D3])
    third = np.array(dop853.B)
    third[[0, 8, 11]] -= dop853.E3
    return A, np.array(dop853.E5), third, D


def combine(weights: np.ndarray, K: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out = sum_j weights[j] K[j], one row after the other: zero weights cost nothing, and nothing is copied."""
    out[:] = 0.0
    for weight, row in zip(weights, K):
        if weight:
            for a in range(0, out.size, 65536):  # pieces that stay in the cache
                out[a : a + 65536] += weight * row[a : a + 65536]
    return out


def march(
    velocity: Callable[[np.ndarray, np.ndarray], None], y: np.ndarray, s: np.ndarray, rtol: float, atol: float, max_steps: int,
    visit: Callable[[int, np.ndarray], None],
) -> Report:  # fmt: skip
    """Integrate an autonomous system by the method of order 8(5,3), steps ending on the requested times unless three lie in one."""
    began = time.perf_counter()
    A, E5, E3, _ = _tableau()
    K = np.zeros((16, y.size))
    point, other = np.empty_like(y), np.empty_like(y)
    now, following = 0.0, 0
    steps = rejected = 0
    velocity(y, K[0])
    evaluations = 1
    scale = atol + rtol * np.abs(y).max()
    h = min(
        0.01 * scale ** (1 / 8) / max(np.abs(K[0]).max() / max(np.abs(y).max(), 1e-300), 1e-300) / rtol ** (1 / 8),
        s[-1],
    )

    def report(status: Status) -> Report:
        return Report(
            status=status, method="dop853", switches=((0.0, "dop853"),), steps=steps, rejected=rejected,
            evaluations=evaluations, jacobians=0, factorisations=0, reached=now, wall_time=time.perf_counter() - began,
            rtol=rtol, atol=atol, event_times=np.zeros(0), crossings=(), event_states=(),
            message=message_of(status, now, ADVICE),
        )  # fmt: skip

    def failed(status: Status) -> IntegrationError:
        finished = report(status)
        return IntegrationError(finished.message, s[:following], np.zeros((following, 0)), finished)

    while following < s.size and s[following] <= now:
        visit(following, y)
        following += 1
    while following < s.size:
        if steps + rejected >= max_steps:
            raise failed(Status.TOO_MANY_STEPS)
        if h <= 4 * math.ulp(now):
            raise failed(Status.STEP_TOO_SMALL if np.isfinite(K[0]).all() else Status.NOT_FINITE)
        inside = int(np.searchsorted(s, now + h) - following)
        clipped = inside < 3 and now + h * (1 + 1e-9) >= s[following]
        step = s[following] - now if clipped else h
        for j in range(1, 12):
            combine(A[j, :j], K, point)
            point *= step
            point += y
            velocity(point, K[j])
        combine(A[12, :12], K, point)
        point *= step
        point += y
        evaluations += 11
        error = _error(step, y, point, K, E5, E3, rtol, atol, other)
        if not error <= 1.0:
            rejected += 1
            h = step * (max(1 / 3, 0.9 * error ** (-1 / 8)) if math.isfinite(error) else 0.1)
            continue
        velocity(point, K[12])
        evaluations += 1
        after = s[following] if clipped else now + step
        if following < s.size and s[following] < after:
            evaluations += 3
            following = _inside(velocity, step, now, after, y, point, K, s, following, visit)
        steps += 1
        y[:], K[0] = point, K[12]
        now = after
        grown = step * min(6.0, 0.9 * max(error, 1e-12) ** (-1 / 8))
        h = max(grown, h) if clipped else grown
        while following < s.size and s[following] <= now:
            visit(following, y)
            following += 1
    return report(Status.SUCCESS)


def _error(h, y, new, K, E5, E3, rtol, atol, other):
    """Return the largest error in units of the tolerance; V is measured by its largest entry, phi by itself."""
    five, three = np.empty(2), np.empty(2)
    for weights, out in ((E5, five), (E3, three)):
        combine(weights, K, other)
        out[:] = np.abs(other[:-1]).max(), abs(other[-1])
    scale = np.array([np.abs(new[:-1]).max(), abs(new[-1])]) * rtol + atol
    a, b = float((five / scale).max()), float((three / scale).max())
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return 0.0 if a == 0.0 else h * a * a / math.hypot(a, 0.1 * b)


def _inside(velocity, h, now, after, y, new, K, s, following, visit):
    """Visit the requested times inside the step by its continuous extension of order 7; return the next index."""
    A, _, _, D = _tableau()
    point = np.empty_like(y)
    for row in (13, 14, 15):
        combine(A[row, :row], K, point)
        point *= h
        point += y
        velocity(point, K[row])
    rise = new - y
    rows = [combine(d, K, np.empty_like(y)) for d in D]
    while following < s.size and s[following] < after:
        x = (s[following] - now) / h
        point[:] = rows[3]
        point *= x
        for k, weight in ((2, 1 - x), (1, x), (0, 1 - x)):
            point += rows[k]
            point *= weight
        point *= h
        point += 2 * rise - h * (K[12] + K[0])
        point *= x
        point += h * K[0] - rise
        point *= 1 - x
        point += rise
        point *= x
        point += y
        visit(following, point)
        following += 1
    return following
