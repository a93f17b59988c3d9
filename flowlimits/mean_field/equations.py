r"""State, parameters and the terms that all forms of the mean-field equations share (compiled part).

A particle j stands for the share omega_j of the units: a second-layer weight a_j, m coordinates u_j in the span of the teacher, and a
length s_j outside it (docs/mean_field.md, F1).

State ``y``: u by directions (m rows of P), then s (P,), then a (P,), so that loops over particles run over neighbours.
Parameters: a header of `HEADER` numbers, the masses omega (P,), then what the form needs.

Every form first writes the *pulls* into ``dy``: the derivatives of the risk by u_j and s_j over m_j = omega_j a_j, and by m_j.
`finish` makes velocities of them.
"""

from numba import types

from ..compiled.jit import A1, A2, ADDRESS, call_rhs, jit

(
    PARTICLES,
    DIRECTIONS,
    TEACHERS,
    NODES,
    RATE,
    DECAY,
    TEMPERATURE,
    SPHERICAL,
    KIND,
    DEGREE,
    TEACHER_DEGREE,
    REST,
    CENTRED,
) = range(13)
HEADER = 13

#: Kinds of activations.
ERF, RELU, POLYNOMIAL = range(3)


@jit
def masses_and_variances(y, params, mass, q):
    """Write m_j = omega_j a_j and q_j = |u_j|^2 + s_j^2."""
    P, m = int(params[PARTICLES]), int(params[DIRECTIONS])
    for j in range(P):
        mass[j] = params[HEADER + j] * y[(m + 1) * P + j]
        q[j] = 0.0
    for c in range(m + 1):
        for j in range(P):
            q[j] += y[c * P + j] * y[c * P + j]


@jit
def finish(y, dy, params, along):
    """Turn pulls into velocities, add decay and temperature, and stay on the sphere if asked (F1); `along` (P,) is scratch."""
    P, m = int(params[PARTICLES]), int(params[DIRECTIONS])
    decay, temperature, rate = params[DECAY], params[TEMPERATURE], params[RATE]
    for c in range(m + 1):
        for j in range(P):
            dy[c * P + j] = -y[(m + 1) * P + j] * dy[c * P + j] - decay * y[c * P + j]
    if temperature != 0.0:
        for j in range(P):
            dy[m * P + j] += temperature / y[m * P + j]
    if params[SPHERICAL] != 0.0:
        for j in range(P):
            along[j] = 0.0
            q = 0.0
            for c in range(m + 1):
                along[j] += y[c * P + j] * dy[c * P + j]
                q += y[c * P + j] * y[c * P + j]
            along[j] /= q
        for c in range(m + 1):
            for j in range(P):
                dy[c * P + j] -= along[j] * y[c * P + j]
    for j in range((m + 1) * P, (m + 2) * P):
        dy[j] *= -rate


@jit
def half_of(mass, values, P):
    """Return half the sum of mass times values."""
    total = 0.0
    for j in range(P):
        total += mass[j] * values[j]
    return 0.5 * total


@jit(types.void(ADDRESS, A2, A1, A1, A2))
def velocities(address, states, params, work, out):
    """Write the velocities of the right-hand side at `address` at each state."""
    for n in range(states.shape[0]):
        call_rhs(address, 0.0, states[n], out[n], params, work)
