"""Early alignment of one unit by SciPy's integrator, gate by gate, up to the time at which it would slide along a kink."""

import numpy as np
from scipy.integrate import solve_ivp

REST = 1e-7  # a kink that was crossed cannot be met again at once


def kink(x, side, until):
    """An event at x . u = 0, which up to the time `until` is on the stated side."""

    def value(time, state, gates):
        return side if time <= until else x @ state[: len(x)]

    value.terminal = True
    return value


def follow(X, y, u, balance, drift, times, rtol=1e-11):
    """Return directions, balances and logarithms of the norm at the times before the unit slides, shape (times, d + 2)."""
    n, d = X.shape
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    gates, crossed, now = X @ u > 0, np.zeros(n, dtype=bool), 0.0
    state = np.concatenate([u, [balance, 0.0]])
    found = np.empty((0, d + 2))

    def velocity(time, state, gates):
        u, s = state[:d], state[d]
        D = drift + (gates * y) @ X / n
        p = D @ u
        return np.concatenate([s * (D - p * u), [(1 - s * s) * p, s * p]])

    while len(found) < len(times):
        events = [kink(unit[i], 2.0 * gates[i] - 1, now + REST if crossed[i] else -1.0) for i in range(n)]
        ahead = times[times > now]
        solved = solve_ivp(
            velocity, (now, times[-1]), state, "DOP853", ahead, events=events, args=(gates,), rtol=rtol, atol=1e-13
        )
        found = np.vstack([found, np.reshape(solved.y, (d + 2, -1)).T])
        if solved.status == 0:
            break
        hit = next(i for i in range(n) if solved.t_events[i].size)
        now, state = float(solved.t_events[hit][0]), solved.y_events[hit][0]
        crossed = np.abs(unit @ unit[hit]) > 1 - 1e-12  # collinear inputs share their kink
        after = gates ^ crossed
        if np.prod([unit[hit] @ velocity(now, state, g)[:d] for g in (gates, after)]) <= 0:
            break
        gates = after
    return found
