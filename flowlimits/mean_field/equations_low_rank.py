r"""Low-rank form: polynomial units meet through finitely many moments of their law (compiled part).

Wick's theorem gives :math:`K = \sum_n c_n(q)c_n(q') x^n/n!`, and with z = (u, s), beta a multi-index of the m + 1 coordinates and
:math:`v_\beta = \mathbb E[h^{\beta_s}]/\beta!`,

.. math:: \langle x^n\rangle/n! = \sum_{|\beta| = n} v_\beta\, z^\beta z'^\beta, \qquad
          M_\beta = \sum_j m_j c_{|\beta|}(q_j) z_j^\beta - M^\star_\beta,

so that the risk is :math:`\frac12\sum_\beta v_\beta M_\beta^2` and a constant, and a particle is pulled by the M alone
(docs/mean_field.md, F7, F8).  At infinite dimension only beta_s = 0 is left.

Parameters after the masses: the table of the activation's coefficients, then for each of the N monomials a row: |beta|, the place of its
parent (the monomial with one factor less), the coordinate of that factor, v_beta, M*_beta, and for each coordinate the power and the place
of the monomial with one factor less (m + 1 pairs).
"""

from numba import types

from ..compiled.jit import A1, A2, RHS_SIGNATURE, callback, jit
from ..compiled.views import matrix
from ..gaussian.hermite import coefficient_rows, slope_rows, vanishes
from .equations import DEGREE, DIRECTIONS, NODES, PARTICLES, REST, dot, finish, form_at, masses_and_variances, rows_of

ORDER, PARENT, FACTOR, WEIGHT, TARGET, POWERS = range(6)


def work_size(particles, monomials, degree):
    """Return the length of the scratch array."""
    return particles * (4 + 2 * (degree + 1) + monomials) + monomials


@jit
def moments(y, params, mass, q, line, c, d, Z, M):
    """Write the coefficients, the monomials of every particle and the moments M of the error."""
    P, m, N, degree = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[NODES]), int(params[DEGREE])
    table = params[form_at(params) : form_at(params) + (degree + 1) * (degree // 2 + 1)]
    first, width = form_at(params) + table.size, POWERS + 2 * (m + 1)
    masses_and_variances(y, params, mass, q)
    coefficient_rows(table, degree, q, c)
    slope_rows(table, degree, q, d)
    for beta in range(N):
        row = params[first + beta * width : first + (beta + 1) * width]
        values = Z[beta]
        if beta == 0:
            for j in range(P):
                values[j] = 1.0
        else:
            before, coordinate = Z[int(row[PARENT])], y[int(row[FACTOR]) * P : (int(row[FACTOR]) + 1) * P]
            for j in range(P):
                values[j] = before[j] * coordinate[j]
        M[beta] = 0.0
        if not vanishes(row[WEIGHT]):
            coefficient = c[int(row[ORDER])]
            for j in range(P):
                line[j] = mass[j] * coefficient[j]
            M[beta] = dot(line, values) - row[TARGET]


@jit
def pull(y, dy, params, work):
    """Write the pulls into `dy`."""
    P, m, N, degree = int(params[PARTICLES]), int(params[DIRECTIONS]), int(params[NODES]), int(params[DEGREE])
    mass, q, line, alpha = work[:P], work[P : 2 * P], work[2 * P : 3 * P], work[3 * P : 4 * P]
    at = 4 * P
    c, d = matrix(work, at, degree + 1, P), matrix(work, at + (degree + 1) * P, degree + 1, P)
    at += 2 * (degree + 1) * P
    Z, M = matrix(work, at, N, P), work[at + N * P : at + N * P + N]
    moments(y, params, mass, q, line, c, d, Z, M)
    first, width = form_at(params) + (degree + 1) * (degree // 2 + 1), POWERS + 2 * (m + 1)
    for j in range(P):
        alpha[j] = 0.0
    rows = rows_of(params)
    for j in range((rows + 1) * P):
        dy[j] = 0.0
    own = dy[rows * P : (rows + 1) * P]
    for beta in range(N):
        row = params[first + beta * width : first + (beta + 1) * width]
        strength = row[WEIGHT] * M[beta]
        if vanishes(strength):
            continue
        coefficient, slope, values = c[int(row[ORDER])], d[int(row[ORDER])], Z[beta]
        for j in range(P):
            alpha[j] += strength * slope[j] * values[j]
        for j in range(P):
            own[j] += strength * coefficient[j] * values[j]
        for coordinate in range(m + 1):
            power = row[POWERS + 2 * coordinate]
            if power > 0.0:
                lower, out = Z[int(row[POWERS + 2 * coordinate + 1])], dy[coordinate * P : (coordinate + 1) * P]
                factor = strength * power
                for j in range(P):
                    out[j] += factor * coefficient[j] * lower[j]
    for coordinate in range(rows):
        out, place = dy[coordinate * P : (coordinate + 1) * P], y[coordinate * P : (coordinate + 1) * P]
        for j in range(P):
            out[j] += alpha[j] * place[j]


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities."""
    pull(y, dy, params, work)
    finish(y, dy, params, work)


@jit(types.void(A2, A1, A1, A1))
def risks(states, params, work, out):
    """Write the risk (F8) at each state."""
    P, N, degree, m = int(params[PARTICLES]), int(params[NODES]), int(params[DEGREE]), int(params[DIRECTIONS])
    at = 4 * P
    c, d = matrix(work, at, degree + 1, P), matrix(work, at + (degree + 1) * P, degree + 1, P)
    at += 2 * (degree + 1) * P
    Z, M = matrix(work, at, N, P), work[at + N * P : at + N * P + N]
    first, width = form_at(params) + (degree + 1) * (degree // 2 + 1), POWERS + 2 * (m + 1)
    for t in range(states.shape[0]):
        moments(states[t], params, work[:P], work[P : 2 * P], work[2 * P : 3 * P], c, d, Z, M)
        total = 0.0
        for beta in range(N):
            total += params[first + beta * width + WEIGHT] * M[beta] * M[beta]
        out[t] = 0.5 * total + params[REST]
