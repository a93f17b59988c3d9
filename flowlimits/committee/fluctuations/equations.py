r"""Sums of the moments of increments over points (compiled part).

With the error e, label noise of variance N included in the powers of e, all second moments of :math:`(h_1e,\,h_2e^2)` are sums of products of
:math:`g=(v_i\lambda_u,\,s_i,\,1,\,v_iv_j)` with the weights :math:`e^2+N`, :math:`e^3+3Ne` and :math:`e^4+6Ne^2+3N^2`.
"""

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, jit
from ..equations.evaluate import A3
from ..equations.moments import slope_at, value_at

#: Points that are added up together.
TOGETHER = 4


@jit(types.void(types.int64[::1], A1, A1, A3, A2, A2, A1, A2, A1, types.float64, A2, A3))
def accumulate(flags, student, teacher, roots, norms, a, b, points, weights, noise, means, moments):
    """Add the means and the upper triangles of the moments at every covariance, whose roots and diagonals are given.

    `flags` are the kinds of the two activations, and whether components s_i and 1 are kept, and the activations are centred.
    """
    kind, other, trained, centred, other_centred = flags
    p, k = a.shape[1], b.size
    n, m = p + k, means.shape[1]
    first = p * n + trained * p + centred
    fields, s, v = np.empty(n), np.empty(p), np.empty(p)
    g, weighted = np.zeros((TOGETHER, m)), np.zeros((TOGETHER, m))
    for t in range(len(roots)):
        L, M = roots[t], moments[t]
        for begin in range(0, len(points), TOGETHER):
            g[:] = 0.0
            weighted[:] = 0.0
            powers = np.zeros((TOGETHER, 2))
            for c in range(min(TOGETHER, len(points) - begin)):
                z, w = points[begin + c], weights[begin + c]
                e = 0.0
                for u in range(n):
                    x = 0.0
                    for j in range(u + 1):
                        x += L[u, j] * z[j]
                    fields[u] = x
                    if u < p:
                        s[u] = value_at(kind, student, x)
                        if centred:
                            s[u] -= norms[t, u]
                        v[u] = -a[t, u] * slope_at(kind, student, x)
                        e += a[t, u] / p * s[u]
                    else:
                        f = value_at(other, teacher, x)
                        if other_centred:
                            f -= norms[t, u]
                        e -= b[u - p] / k * f
                row = g[c]
                for i in range(p):
                    for u in range(n):
                        row[i * n + u] = v[i] * fields[u]
                    if trained:
                        row[p * n + i] = s[i]
                if centred:
                    row[first - 1] = 1.0
                at = first
                for i in range(p):
                    for j in range(i, p):
                        row[at] = v[i] * v[j]
                        at += 1
                square = e * e
                powers[c, 0] = w * (square + noise)
                powers[c, 1] = w * (square + 3.0 * noise) * e
                last = w * (square * square + 6.0 * noise * square + 3.0 * noise * noise)
                for j in range(first):
                    means[t, j] += w * e * row[j]
                    weighted[c, j] = powers[c, 0] * row[j]
                for j in range(first, m):
                    means[t, j] += powers[c, 0] * row[j]
                    weighted[c, j] = last * row[j]
            for i in range(m):
                x0, x1, x2, x3 = weighted[0, i], weighted[1, i], weighted[2, i], weighted[3, i]
                middle = m
                if i < first:
                    middle = first
                for j in range(i, middle):
                    M[i, j] += x0 * g[0, j] + x1 * g[1, j] + x2 * g[2, j] + x3 * g[3, j]
                if i < first:
                    x0, x1 = powers[0, 1] * g[0, i], powers[1, 1] * g[1, i]
                    x2, x3 = powers[2, 1] * g[2, i], powers[3, 1] * g[3, i]
                    for j in range(first, m):
                        M[i, j] += x0 * g[0, j] + x1 * g[1, j] + x2 * g[2, j] + x3 * g[3, j]
