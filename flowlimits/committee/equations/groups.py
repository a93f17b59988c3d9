r"""Overlaps by eigenvalue group of the covariance of the inputs: velocities and arrow Jacobian (compiled part).

For inputs :math:`x \sim N(0, S)`, :math:`S = \sum_l c_l P_l`, the fields have the covariance :math:`C = \sum_l c_l C_l` with
:math:`C_l = [W; W_\star] P_l [W; W_\star]^\top / d`.  The gradient is :math:`\dot W = G(C)\,[W; W_\star]\,S` with the G of standard
normal inputs, so that every group moves with the same G at its own speed,

.. math:: \dot C_l = c_l\,(G C_l + \cdot^\top) \text{ in the rows of students}, \qquad
          \dot Q_l \mathrel{+}= \frac{\eta}{p}\, c_l q_l\, a a^\top\!\odot N(C),

and moments are taken once for all groups.  The state holds Q_l (upper triangle) and R_l of one group after the other, then the
second layer if it is trained.  Groups meet in C, and on the sphere in the plain norms: the Jacobian is an arrow.

Parameters: those of standard normal inputs, with T of the fields; then L, the length of their scratch, c (L), q (L), T_l (k, k, L) and `rows_of`;
the last number is the place of this table.
"""

import numpy as np

from ...compiled.jit import RHS_SIGNATURE, STRUCTURE_SIGNATURE, callback, jit
from ...compiled.views import matrix, vector
from ...ode.implicit import arrow
from .layout import (
    SECOND_LAYER_RATE,
    SPHERICAL,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    TRAINED,
    WEIGHT_DECAY,
    has_noise,
    learning_rate_at,
    opened,
)
from .moments import of_any

#: Places in the table of groups.
GROUPS, SCRATCH, FAMILY, TABLE = range(4)


def work_size(scratch, p, k, L):
    """Return the length of the scratch array; `scratch` is that of standard normal inputs."""
    n, b = p + k, p * (p + 1) // 2 + p * k
    return scratch + b + 2 * p + 2 * (p * n + p * p + 2 * p) + (p * n + 2 * b + k * k) * max(L, b) + 2 * b


def rows_of(p, k):
    """Return for unit v and units u, in fours, the rows of overlaps (b + k k) in which `velocities` finds those of u and v."""
    n = p + k
    rows, student, across, teacher = np.zeros((n, (n + 3) // 4 * 4)), 0, p * (p + 1) // 2, p * (p + 1) // 2 + p * k
    for u in range(n):
        for v in range(u, n):
            if v < p:
                rows[u, v] = rows[v, u] = student
                student += 1
            elif u < p:
                rows[u, v] = rows[v, u] = across
                across += 1
            else:
                rows[u, v] = rows[v, u] = teacher + (u - p) * k + v - p
    return rows


@jit
def table_of(params):
    """Return the place of the table of groups, L and the size of a group."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    at = int(params[params.size - 1])
    return at, int(params[at + GROUPS]), p * (p + 1) // 2 + p * k


@jit
def scratch_of(params, work):
    """Return the fields (b + p,), plain norms (p,), twice a flat pull and its views, and the rest."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, _, b = table_of(params)
    at, size = int(params[table + SCRATCH]), p * (2 * p + k) + 2 * p
    fields, norms = vector(work, at, b + p), vector(work, at + b + p, p)
    at += b + 2 * p
    first, second, end = vector(work, at, size), vector(work, at + size, size), at + 2 * size
    return fields, norms, first, second, vector(work, end, work.size - end)


@jit
def pull_of(flat, p):
    """Return G (p, n), noise (p, p), da (p,) and shrink (p,) of a flat pull."""
    n = flat.size // p - p - 2
    at = p * (p + n)
    return matrix(flat, 0, p, n), matrix(flat, p * n, p, p), vector(flat, at, p), vector(flat, at + p, p)


@jit
def fill_fields(y, params, fields):
    """Write the state of standard normal inputs with the covariance of the fields, and the second layer."""
    table, L, b = table_of(params)
    for j in range(b):
        fields[j] = 0.0
    for g in range(L):
        speed = params[table + TABLE + g]
        for j in range(b):
            fields[j] += speed * y[g * b + j]
    for i in range(fields.size - b):
        fields[b + i] = y[L * b + i] if params[TRAINED] != 0.0 else 0.0


@jit
def pull(t, fields, norms, params, work, found):
    """Write G, the noise of all pairs times its rate, da/dt, and the rates at which the sphere shrinks the rows to `found`.

    `fields` (b + p,) holds the covariance of the fields and the second layer, `norms` (p,) the plain norms, used on the sphere.
    """
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    G, noise, da, shrink = pull_of(found, p)
    C, A, B, K, N, _, w, a, _, rest = opened(fields, params, work)
    noisy = has_noise(params)
    of_any(int(params[table_of(params)[0] + FAMILY]), params, C, A, B, K, N, w, rest, noisy)
    rate = learning_rate_at(t, params) / p if noisy else 0.0
    for i in range(p):
        own, correlation = 0.0, 0.0
        for u in range(n):
            own += w[u] * A[i, u]
            correlation += w[u] * K[i, u]
            G[i, u] = -a[i] * w[u] * B[i, u]
        G[i, i] -= a[i] * own
        da[i] = -params[SECOND_LAYER_RATE] * correlation
        for j in range(i, p):
            noise[i, j] = rate * (a[i] * a[j]) * N[i, j] if noisy else 0.0
            noise[j, i] = noise[i, j]
    if params[SPHERICAL] != 0.0:
        table, L, _ = table_of(params)
        mean = 0.0
        for g in range(L):
            mean += params[table + TABLE + g] * params[table + TABLE + L + g]
        for i in range(p):
            free = 0.5 * mean * noise[i, i]
            for u in range(n):
                free += G[i, u] * C[u, i]
            shrink[i] = free / norms[i]
    else:
        for i in range(p):
            shrink[i] = params[WEIGHT_DECAY]


@jit(inline="always")
def place(i, u, p, k):
    """Return the place of the overlap of student i with unit u >= i in the state of a group."""
    return i * p - i * (i - 1) // 2 + u - i if u < p else p * (p + 1) // 2 + i * k + u - p


@jit
def velocities(p, c, q, rows, C, found, V, out):
    """Write the velocities of all groups to `out` (b, L); groups are innermost, so that vector instructions serve many at once.

    Parameters
    ----------
    c, q : ndarray, shape (L,)
        Eigenvalues and shares.
    rows : ndarray, flat
        For each pair of units the row of C that holds their overlap, see `rows_of`.
    C : ndarray, flat
        Overlaps of the state and of the teachers, (b + k k, L).
    found : ndarray, flat
        What `pull` writes.
    V, out : ndarray, flat
        Scratch for the products G C, (p, n, L), and the velocities, (b, L).
    """
    G, noise, _, shrink = pull_of(found, p)
    n, L = G.shape[1], c.size
    k = n - p
    quads = (n + 3) // 4
    for i in range(p):
        for v in range(n):
            row = vector(V, (i * n + v) * L, L)
            # Four at a time: fewer loops, and fewer that write.
            for quad in range(quads):
                u, at = 4 * quad, 4 * (v * quads + quad)
                x0, x1 = vector(C, int(rows[at]) * L, L), vector(C, int(rows[at + 1]) * L, L)
                x2, x3 = vector(C, int(rows[at + 2]) * L, L), vector(C, int(rows[at + 3]) * L, L)
                a0, a1 = G[i, u], G[i, u + 1] if u + 1 < n else 0.0
                a2, a3 = G[i, u + 2] if u + 2 < n else 0.0, G[i, u + 3] if u + 3 < n else 0.0
                if u == 0:
                    for g in range(L):
                        row[g] = (a0 * x0[g] + a1 * x1[g]) + (a2 * x2[g] + a3 * x3[g])
                else:
                    for g in range(L):
                        row[g] += (a0 * x0[g] + a1 * x1[g]) + (a2 * x2[g] + a3 * x3[g])
    for i in range(p):
        for v in range(i, n):
            at = place(i, v, p, k) * L
            row, own, first = vector(out, at, L), vector(C, at, L), vector(V, (i * n + v) * L, L)
            if v < p:
                second, extra, rate = vector(V, (v * n + i) * L, L), noise[i, v], shrink[i] + shrink[v]
                for g in range(L):
                    row[g] = c[g] * (first[g] + second[g] + q[g] * extra) - rate * own[g]
            else:
                rate = shrink[i]
                for g in range(L):
                    row[g] = c[g] * first[g] - rate * own[g]


@jit
def fill_norms(y, params, norms):
    """Write the plain squared norms of the students, sums over the groups; the sphere alone wants them."""
    p = norms.size if params[SPHERICAL] != 0.0 else 0
    _, L, b = table_of(params)
    at = 0
    for i in range(p):
        norms[i] = 0.0
        for g in range(L):
            norms[i] += y[g * b + at]
        at += p - i


@jit
def turn(source, rows, columns, out):
    """Write the transpose of a matrix (rows, columns), both flat."""
    for i in range(rows):
        for j in range(columns):
            out[j * rows + i] = source[i * columns + j]


@jit
def unpack(y, params, rest):
    """Return c (L,), q (L,), the rows of pairs, the overlaps with groups innermost (b + k k, L), and scratch for V and velocities, flat."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    c, q = vector(params, table + TABLE, L), vector(params, table + TABLE + L, L)
    at, size = table + TABLE + 2 * L, k * k * L
    C, T = vector(rest, 0, b * L + size), vector(params, at, size)
    turn(y, L, b, C)
    for i in range(size):
        C[b * L + i] = T[i]
    rows = vector(params, at + size, params.size - 1 - at - size)
    V, out = vector(rest, b * L + size, p * (p + k) * L), vector(rest, b * L + size + p * (p + k) * L, b * L)
    return c, q, rows, C, V, out


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of all groups and of the second layer."""
    p = int(params[STUDENT_WIDTH])
    table, L, b = table_of(params)
    fields, norms, found, _, rest = scratch_of(params, work)
    fill_fields(y, params, fields)
    fill_norms(y, params, norms)
    pull(t, fields, norms, params, work, found)
    c, q, rows, C, V, out = unpack(y, params, rest)
    velocities(p, c, q, rows, C, found, V, out)
    turn(out, b, L, dy)
    if params[TRAINED] != 0.0:
        for i in range(p):
            dy[L * b + i] = pull_of(found, p)[2][i]


@jit
def write_blocks(params, found, still, rows, rest, D, E, P):
    """Write what a group does to itself: D, the action of G, at the speed of the group; E, decay or sphere; P, the picked norms."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    b, shrink = D.shape[0], pull_of(found, p)[3]
    # The action of G on unit vectors: groups of the speed one, without noise, decay and teachers.
    c, q, units = vector(rest, 0, b), vector(rest, b, b), vector(rest, 2 * b, b * (b + k * k))
    for i in range(units.size):
        units[i] = 0.0
    for i in range(b):
        c[i], q[i], units[i * (b + 1)] = 1.0, 0.0, 1.0
        for j in range(b):
            E[i, j] = 0.0
        for j in range(P.shape[1]):
            P[i, j] = 0.0
    for i in range(still.size):
        still[i] = found[i] if i < still.size - p else 0.0
    velocities(p, c, q, rows, units, still, vector(rest, 2 * b + units.size, b * p * (p + k)), D.reshape(b * b))
    for i in range(p):
        for u in range(i, p + k):
            at = place(i, u, p, k)
            E[at, at] = -(shrink[i] + (shrink[u] if u < p else 0.0))
            if u == i and P.shape[1] > 0:
                P[at, i] = 1.0


@jit
def write_column(change, p, unpacked, U, U_border, column):
    """Write the change of all velocities with a change of the pull to one column of U."""
    c, q, rows, C, V, out = unpacked
    velocities(p, c, q, rows, C, change, V, out)
    L, b, _ = U.shape
    for g in range(L):
        for j in range(b):
            U[g, j, column] = out[j * L + g]
    for i in range(U_border.shape[0]):
        U_border[i, column] = pull_of(change, p)[2][i]


@callback(STRUCTURE_SIGNATURE)
def jacobian(t, y, data, params, work):
    """Write the arrow: all groups depend on C, on the second layer, and on the sphere on the plain norms."""
    p = int(params[STUDENT_WIDTH])
    table, L, b = table_of(params)
    picks, border = p if params[SPHERICAL] != 0.0 else 0, p if params[TRAINED] != 0.0 else 0
    arrow.begin(data, L, b, border, picks)
    c, D, E, P, U, U_border = arrow.parts(data)
    fields, norms, found, change, rest = scratch_of(params, work)
    fill_fields(y, params, fields)
    fill_norms(y, params, norms)
    pull(t, fields, norms, params, work, found)
    write_blocks(params, found, change, unpack(y, params, rest)[2], rest, D, E, P)
    unpacked = unpack(y, params, rest)
    largest = 0.0
    for i in range(b + border):
        largest = max(largest, abs(fields[i]))
    step = 1e-7 * max(largest, 1e-3)
    for j in range(b + border):
        kept = fields[j]
        fields[j] = kept + step
        pull(t, fields, norms, params, work, change)
        fields[j] = kept
        for i in range(change.size):
            change[i] = (change[i] - found[i]) / step
        write_column(change, p, unpacked, U, U_border, j if j < b else j + picks)
    for i in range(picks):
        for m in range(change.size):
            change[m] = 0.0
        pull_of(change, p)[3][i] = -pull_of(found, p)[3][i] / norms[i]
        write_column(change, p, unpacked, U, U_border, b + i)
    for g in range(L):
        c[g] = params[table + TABLE + g]
