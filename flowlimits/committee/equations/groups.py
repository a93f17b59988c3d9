r"""Overlaps by eigenvalue group of the covariance of the inputs: velocities and arrow Jacobian (compiled part).

For inputs :math:`x \sim N(0, S)`, :math:`S = \sum_l c_l P_l`, the fields have the covariance :math:`C = \sum_l c_l C_l` with
:math:`C_l = [W; W_\star] P_l [W; W_\star]^\top / d`.  The gradient is :math:`\dot W = G(C)\,[W; W_\star]\,S` with the G of standard
normal inputs, so that every group moves with the same G at its own speed,

.. math:: \dot C_l = c_l\,(G C_l + \cdot^\top) \text{ in the rows of students}, \qquad
          \dot Q_l \mathrel{+}= \frac{\eta}{p}\, c_l q_l\, a a^\top\!\odot N(C),

and moments are taken once for all groups.  The state holds Q_l (upper triangle) and R_l of one group after the other, then the
second layer if it is trained.  Groups meet in C, and on the sphere in the plain norms: the Jacobian is an arrow.

Parameters: those of standard normal inputs, with T of the fields; then L, the length of their scratch, c (L), q (L) and T_l (L, k, k);
the last number is the place of this table.
"""

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
    fill_covariance,
    fill_outputs,
    has_noise,
    learning_rate_at,
    views,
)
from .moments import of_any

#: Places in the table of groups.
GROUPS, SCRATCH, FAMILY, TABLE = range(4)


def work_size(scratch, p, k):
    """Return the length of the scratch array; `scratch` is that of standard normal inputs."""
    n, b = p + k, p * (p + 1) // 2 + p * k
    return scratch + b + p + n * n + 2 * (p * n + p * p + 2 * p) + p


@jit
def table_of(params):
    """Return the place of the table of groups, L and the size of a group."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    at = int(params[params.size - 1])
    return at, int(params[at + GROUPS]), p * (p + 1) // 2 + p * k


@jit
def scratch_of(params, work):
    """Return the fields (b + p,), the overlaps of a group (n, n), and twice G (p, n), noise (p, p), da (p,), norms (p,)."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, _, b = table_of(params)
    n, at = p + k, int(params[table + SCRATCH])
    fields = vector(work, at, b + p)
    at += b + p
    own = matrix(work, at, n, n)
    at += n * n
    size = p * n + p * p + 2 * p
    first = _pull_views(work, at, p, n)
    return fields, own, first, _pull_views(work, at + size, p, n)


@jit
def _pull_views(work, at, p, n):
    noise, rest = at + p * n, at + p * n + p * p
    return matrix(work, at, p, n), matrix(work, noise, p, p), vector(work, rest, p), vector(work, rest + p, p)


@jit
def fill_fields(y, params, fields):
    """Write the state of standard normal inputs with the covariance of the fields, and the second layer."""
    table, L, b = table_of(params)
    for j in range(b):
        total = 0.0
        for g in range(L):
            total += params[table + TABLE + g] * y[g * b + j]
        fields[j] = total
    for i in range(fields.size - b):
        fields[b + i] = y[L * b + i] if params[TRAINED] != 0.0 else 0.0


@jit
def pull(t, fields, norms, params, work, found):
    """Write G, the noise of all pairs times its rate, da/dt, and the rates at which the sphere shrinks the rows to `found`.

    `fields` (b + p,) holds the covariance of the fields and the second layer, `norms` (p,) the plain norms, used on the sphere.
    """
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    G, noise, da, shrink = found
    C, A, B, K, N, _, w, a, _, rest = views(p, k, work)
    fill_covariance(fields, params, C)
    fill_outputs(fields, params, a, w)
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


@jit
def fill_group(y, at, teacher, params, C):
    """Write the overlaps of one group, whose state begins at `at` and whose T_l at `teacher` of the parameters; -1: none."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    for i in range(p):
        for j in range(i, p):
            C[i, j] = y[at]
            C[j, i] = y[at]
            at += 1
    for i in range(p):
        for r in range(p, p + k):
            C[i, r] = y[at]
            C[r, i] = y[at]
            at += 1
    for r in range(k):
        for s in range(k):
            C[p + r, p + s] = params[teacher + r * k + s] if teacher >= 0 else 0.0


@jit
def write_velocity(speed, G, noise, C, out, at, column):
    """Write the velocities of a group of overlaps C to `out` from place `at` on, in steps of `column`."""
    p, n = G.shape
    for i in range(p):
        for j in range(i, p):
            total = 0.0
            for u in range(n):
                total += G[i, u] * C[u, j] + G[j, u] * C[u, i]
            out[at] = speed * total + noise[i, j]
            at += column
    for i in range(p):
        for r in range(p, n):
            total = 0.0
            for u in range(n):
                total += G[i, u] * C[u, r]
            out[at] = speed * total
            at += column


@jit
def fill_norms(y, params, norms):
    """Write the plain squared norms of the students, sums over the groups."""
    p = norms.size
    _, L, b = table_of(params)
    at = 0
    for i in range(p):
        norms[i] = 0.0
        for g in range(L):
            norms[i] += y[g * b + at]
        at += p - i


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of all groups and of the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    fields, own, found, other = scratch_of(params, work)
    norms = other[3]
    fill_fields(y, params, fields)
    fill_norms(y, params, norms)
    pull(t, fields, norms, params, work, found)
    G, noise, da, shrink = found
    scaled = other[1]
    for g in range(L):
        c, q = params[table + TABLE + g], params[table + TABLE + L + g]
        fill_group(y, g * b, table + TABLE + 2 * L + g * k * k, params, own)
        for i in range(p):
            for j in range(p):
                scaled[i, j] = c * q * noise[i, j]
        write_velocity(c, G, scaled, own, dy, g * b, 1)
        at = g * b
        for i in range(p):
            for j in range(i, p):
                dy[at] -= (shrink[i] + shrink[j]) * y[at]
                at += 1
        for i in range(p):
            for _ in range(k):
                dy[at] -= shrink[i] * y[at]
                at += 1
    if params[TRAINED] != 0.0:
        for i in range(p):
            dy[L * b + i] = da[i]


@jit
def write_blocks(params, G, nothing, shrink, own, D, E, P):
    """Write what a group does to itself: D, the action of G, at the speed of the group; E, decay or sphere; P, the picked norms."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    b = D.shape[0]
    for i in range(p):
        for j in range(p):
            nothing[i, j] = 0.0
    flat, unit = D.reshape(b * b), E.reshape(b * b)[:b]
    for j in range(b):
        for m in range(b):
            unit[m] = 1.0 if m == j else 0.0
        fill_group(unit, 0, -1, params, own)
        write_velocity(1.0, G, nothing, own, flat, j, b)
    for i in range(b):
        for j in range(b):
            E[i, j] = 0.0
        for j in range(P.shape[1]):
            P[i, j] = 0.0
    at = 0
    for i in range(p):
        if P.shape[1] > 0:
            P[at, i] = 1.0
        for j in range(i, p):
            E[at, at] = -(shrink[i] + shrink[j])
            at += 1
    for i in range(p):
        for _ in range(k):
            E[at, at] = -shrink[i]
            at += 1


@jit
def write_column(y, params, dG, dnoise, dshrink, own, U, column):
    """Write the change of all velocities with a change of G, the noise and the shrinking to one column of U."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    rank = U.shape[2]
    flat = U.reshape(L * b * rank)
    for g in range(L):
        c, q = params[table + TABLE + g], params[table + TABLE + L + g]
        fill_group(y, g * b, table + TABLE + 2 * L + g * k * k, params, own)
        at = g * b * rank + column
        write_velocity(c, dG, dnoise, own, flat, at, rank)
        state = g * b
        for i in range(p):
            for j in range(i, p):
                # The noise enters with c q.
                flat[at] += (c * q - 1.0) * dnoise[i, j] - (dshrink[i] + dshrink[j]) * y[state]
                at += rank
                state += 1
        for i in range(p):
            for _ in range(k):
                flat[at] -= dshrink[i] * y[state]
                at += rank
                state += 1


@callback(STRUCTURE_SIGNATURE)
def jacobian(t, y, data, params, work):
    """Write the arrow: all groups depend on C, on the second layer, and on the sphere on the plain norms."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    table, L, b = table_of(params)
    sphere, trained = params[SPHERICAL] != 0.0, params[TRAINED] != 0.0
    picks, border = p if sphere else 0, p if trained else 0
    arrow.begin(data, L, b, border, picks)
    c, D, E, P, U, U_border = arrow.parts(data)
    fields, own, found, other = scratch_of(params, work)
    G, noise, da, shrink = found
    dG, dnoise, dda, dshrink = other
    norms = vector(work, work.size - p, p)
    fill_fields(y, params, fields)
    fill_norms(y, params, norms)
    pull(t, fields, norms, params, work, found)
    write_blocks(params, G, dnoise, shrink, own, D, E, P)
    largest = 0.0
    for i in range(b + border):
        largest = max(largest, abs(fields[i]))
    for j in range(b + border):
        step = 1e-7 * max(largest, 1e-3)
        kept = fields[j]
        fields[j] = kept + step
        pull(t, fields, norms, params, work, other)
        fields[j] = kept
        for i in range(p):
            for u in range(p + k):
                dG[i, u] = (dG[i, u] - G[i, u]) / step
            for u in range(p):
                dnoise[i, u] = (dnoise[i, u] - noise[i, u]) / step
            dda[i] = (dda[i] - da[i]) / step
            dshrink[i] = (dshrink[i] - shrink[i]) / step
        write_column(y, params, dG, dnoise, dshrink, own, U, j if j < b else j + picks)
        for i in range(border):
            U_border[i, j if j < b else j + picks] = dda[i]
    for i in range(picks):
        for m in range(p):
            dshrink[m] = 0.0
            for u in range(p + k):
                dG[m, u] = 0.0
            for u in range(p):
                dnoise[m, u] = 0.0
        dshrink[i] = -shrink[i] / norms[i]
        write_column(y, params, dG, dnoise, dshrink, own, U, b + i)
        for m in range(border):
            U_border[m, b + i] = 0.0
    for g in range(L):
        c[g] = params[table + TABLE + g]
