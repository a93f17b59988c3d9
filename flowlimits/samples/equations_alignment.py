r"""Early alignment of one neuron, solved exactly from kink to kink.

While the output of the network is small, a neuron (w, a) follows :math:`\dot w = a\,D(w)`, :math:`\dot a = \langle D(w), w\rangle` with

.. math:: D(w) = D_0 + \frac1n\sum_i 1(w\cdot x_i > 0)\,y_i\,x_i ,

eq. (S2): independent of the scale of w, and constant between two kinks :math:`w\cdot x_i = 0`.  There
:math:`w(t) = w + I(t) D` with :math:`I = \int a`, and with :math:`\kappa = |D|`, :math:`p = \langle D, w\rangle`

.. math::
    a(t) = a\cosh\kappa t + \frac p\kappa\sinh\kappa t, \qquad
    I(t) = \frac a\kappa\sinh\kappa t + \frac{p}{\kappa^2}(\cosh\kappa t - 1),

eq. (S3), so that the time of the next kink is the root of a quadratic equation in :math:`e^{\kappa t}`.  Where both sides push
onto the kink the neuron slides along it: the gate then is the number in [0, 1] that keeps the neuron there (Filippov's solution).
The only error is round-off.  Lengths are kept in a logarithm, since they grow without bound.
"""

import math

import numpy as np

from ..compiled.jit import A1, A2, ADDRESS, FLOAT, jit

#: Largest exponent taken in one piece: of growth, so that nothing overflows, and of decay, where w is a difference.
LONGEST, LONGEST_DECAY = 30.0, 4.0
OFF, ON, SLIDING = 0.0, 1.0, 2.0
DONE, TOO_MANY_KINKS = 0, 1


@jit
def drift(D0, X, y, gates, shares, D):
    """Write D for given gates; a sliding input enters with its share."""
    n, d = X.shape
    D[:] = 0.0
    for i in range(n):
        share = shares[i] if gates[i] == SLIDING else gates[i]
        if share != 0.0:
            for c in range(d):
                D[c] += share * y[i] * X[i, c]
    # In the population limit there is no sample.
    share = 1.0 / max(n, 1)
    for c in range(d):
        D[c] = D0[c] + D[c] * share


@jit
def settle(D0, X, y, gates, shares, sliding, count, D, matrix, right):
    """Find the shares of the sliding inputs and write D; inputs whose share leaves [0, 1] stop sliding.

    Returns the number of inputs that still slide.
    """
    n, d = X.shape
    while True:
        for q in range(count):
            shares[sliding[q]] = 0.0
        drift(D0, X, y, gates, shares, D)
        if count == 0:
            return 0
        for q in range(count):
            i = sliding[q]
            right[q] = 0.0
            for c in range(d):
                right[q] -= X[i, c] * D[c]
            for r in range(count):
                l = sliding[r]
                total = 0.0
                for c in range(d):
                    total += X[i, c] * X[l, c]
                matrix[q, r] = total * y[l] / n
        solve_small(matrix, right, count)
        worst, at = 1e-12, -1
        for q in range(count):
            outside = max(-right[q], right[q] - 1.0)
            if outside > worst or math.isnan(outside):
                worst, at = outside, q
        if at < 0:
            for q in range(count):
                shares[sliding[q]] = min(1.0, max(0.0, right[q]))
            drift(D0, X, y, gates, shares, D)
            return count
        gates[sliding[at]] = ON if right[at] > 0.5 else OFF
        for q in range(at, count - 1):
            sliding[q] = sliding[q + 1]
        count -= 1


@jit
def solve_small(matrix, right, count):
    """Solve in place by Gaussian elimination with partial pivoting; a singular system gives NaN."""
    for j in range(count):
        pivot = j
        for i in range(j + 1, count):
            if abs(matrix[i, j]) > abs(matrix[pivot, j]):
                pivot = i
        if matrix[pivot, j] == 0.0:
            right[:count] = math.nan
            return
        if pivot != j:
            for c in range(count):
                matrix[j, c], matrix[pivot, c] = matrix[pivot, c], matrix[j, c]
            right[j], right[pivot] = right[pivot], right[j]
        for i in range(j + 1, count):
            factor = matrix[i, j] / matrix[j, j]
            for c in range(j, count):
                matrix[i, c] -= factor * matrix[j, c]
            right[i] -= factor * right[j]
    for j in range(count - 1, -1, -1):
        for c in range(j + 1, count):
            right[j] -= matrix[j, c] * right[c]
        right[j] /= matrix[j, j]


@jit
def time_of(travel, a, p, kappa):
    """Return the first t > 0 with I(t) = travel, infinity if there is none; a and p are those of the piece."""
    if kappa == 0.0:
        return travel / a if a * travel > 0.0 else math.inf
    # With E = e^{kappa t} = 1 + x: A x^2 + (a / kappa - travel) x - travel = 0.
    A = 0.5 * (a / kappa + p / (kappa * kappa))
    b = a / kappa - travel
    discriminant = b * b + 4.0 * A * travel
    if discriminant < 0.0:
        return math.inf
    q = -0.5 * (b + math.copysign(math.sqrt(discriminant), b))
    best = math.inf
    if A != 0.0:
        x = q / A
        if x > 0.0:
            best = x
    if q != 0.0:
        x = -travel / q
        if 0.0 < x < best:
            best = x
    return math.log1p(best) / kappa


@jit
def turning_time(a, p, kappa):
    """Return the time at which a(t) crosses zero, infinity if it does not: there I(t) turns back."""
    # a(t) = 0: tanh(kappa t) = -a kappa / p
    if a * p >= 0.0 or abs(a) * kappa >= abs(p):
        return math.inf
    return math.atanh(-a * kappa / p) / kappa


@jit
def advance(w, a, D, p, kappa, t):
    """Move w and return the new a; the caller keeps kappa t below `LONGEST`."""
    if kappa == 0.0:
        moved, a_new = a * t, a
    else:
        half = math.sinh(0.5 * kappa * t)
        sinh, cosh_minus_one = math.sinh(kappa * t), 2.0 * half * half
        moved = a / kappa * sinh + p / (kappa * kappa) * cosh_minus_one
        a_new = a + a * cosh_minus_one + p / kappa * sinh
    for c in range(w.size):
        w[c] += moved * D[c]
    return a_new


@jit
def inner(x, y):
    """Return the inner product."""
    total = 0.0
    for c in range(x.size):
        total += x[c] * y[c]
    return total


@jit
def _meet(hit, a, D0, X, y, gates, shares, sliding, count, D, matrix, right):
    """Decide at a kink between crossing and sliding; returns the number of sliding inputs."""
    before = gates[hit]
    d = X.shape[1]
    # The kink attracts from both sides only if switching the input on turns the motion back.
    if a * y[hit] < 0.0 and count < d - 1:
        gates[hit] = SLIDING
        sliding[count] = hit
        kept = settle(D0, X, y, gates, shares, sliding, count + 1, D, matrix, right)
        if gates[hit] != SLIDING:
            gates[hit] = OFF if before == ON else ON
            kept = settle(D0, X, y, gates, shares, sliding, kept, D, matrix, right)
        return kept
    gates[hit] = OFF if before == ON else ON
    return settle(D0, X, y, gates, shares, sliding, count, D, matrix, right)


@jit
def _keep_on_kinks(X, sliding, count, w, matrix, right):
    """Project w onto the kinks that it slides on: where w shrinks, round-off would leave them exponentially."""
    for q in range(count):
        right[q] = inner(X[sliding[q]], w)
        for r in range(count):
            matrix[q, r] = inner(X[sliding[q]], X[sliding[r]])
    solve_small(matrix, right, count)
    for q in range(count):
        for c in range(w.size):
            w[c] -= right[q] * X[sliding[q], c]


@jit
def _release(X, gates, shares, sliding, count):
    """End all sliding where a changes sign and the kinks repel: each gate goes to the side of its share."""
    for q in range(count):
        gates[sliding[q]] = ON if shares[sliding[q]] > 0.5 else OFF
    return 0


@jit((A1, FLOAT, A1, A2, A1, A1, ADDRESS, A2, A1, A1, A1))
def align(u, s, D0, X, y, times, most, directions, balances, logs, kinks):
    r"""Follow one neuron and write its state at the requested times; returns a status.

    Parameters
    ----------
    u : ndarray, shape (d,)
        Start direction, of unit length.
    s : float
        Balance a/abs(w) in [-1, 1]; exactly +-1 stays so.
    D0 : ndarray, shape (d,)
        Part of D that does not depend on w.
    X, y : ndarray, shapes (n, d), (n,)
    times : ndarray, shape (T,)
        Increasing, not negative.
    most : int
        Largest number of pieces.
    directions, balances, logs : ndarray, shapes (T, d), (T,), (T,)
        Output: w/abs(w), a/abs(w), log abs(w) relative to the start.
    kinks : ndarray, shape (2,)
        Output: kinks crossed or met, and inputs on which the neuron slides at the end.
    """
    n, d = X.shape
    w, D = u.copy(), np.empty(d)
    gates, shares = np.empty(n), np.zeros(n)
    sliding = np.empty(d + 1, dtype=np.int64)
    matrix, right = np.empty((d + 1, d + 1)), np.empty(d + 1)
    a, log_length, now = s, 0.0, 0.0
    exact_balance = abs(s) == 1.0
    for i in range(n):
        gates[i] = ON if inner(w, X[i]) > 0.0 else OFF
    count, done = 0, 0
    count = settle(D0, X, y, gates, shares, sliding, count, D, matrix, right)
    for _ in range(most):
        kappa = math.sqrt(inner(D, D))
        p = inner(D, w)
        sign = a if a != 0.0 else p
        piece = turning_time(a, p, kappa)
        if kappa > 0.0:
            piece = min(piece, (LONGEST if a * p >= 0.0 else LONGEST_DECAY) / kappa)
        # Between two turns I is monotone: the first kink is the one that needs the least travel in its direction.
        travel, hit = math.inf, -1
        for i in range(n):
            # The side of a field is its gate's: right after a crossing or a slide its value is round-off of either sign.
            side = 1.0 if gates[i] == ON else -1.0
            if gates[i] != SLIDING:
                speed = inner(X[i], D)
                if side * speed * sign < 0.0:
                    needed = max(0.0, side * inner(w, X[i])) / abs(speed)
                    if needed < travel:
                        travel, hit = needed, i
        if hit >= 0:
            arrival = time_of(math.copysign(travel, sign), a, p, kappa) if travel > 0.0 else 0.0
            if arrival <= piece:
                piece = arrival
            else:
                hit = -1
        while done < times.size and times[done] <= now + piece:
            copy = w.copy()
            a_then = advance(copy, a, D, p, kappa, times[done] - now)
            length = math.sqrt(inner(copy, copy))
            for c in range(d):
                directions[done, c] = copy[c] / length
            balances[done] = math.copysign(1.0, s) if exact_balance else a_then / length
            logs[done] = log_length + math.log(length)
            done += 1
        if done == times.size:
            kinks[1] = count
            return DONE
        a = advance(w, a, D, p, kappa, piece)
        now += piece
        if count > 0:
            _keep_on_kinks(X, sliding, count, w, matrix, right)
        length = math.sqrt(inner(w, w))
        log_length += math.log(length)
        for c in range(d):
            w[c] /= length
        a = math.copysign(1.0, s) if exact_balance else a / length
        if hit >= 0:
            kinks[0] += 1
            count = _meet(hit, a, D0, X, y, gates, shares, sliding, count, D, matrix, right)
        elif count > 0 and a == 0.0:
            count = _release(X, gates, shares, sliding, count)
            count = settle(D0, X, y, gates, shares, sliding, count, D, matrix, right)
    return TOO_MANY_KINKS
