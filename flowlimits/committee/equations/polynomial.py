r"""Polynomial activations of any degree, student's and teacher's different if wanted (compiled part).

With c_n(u) the coefficients of unit u (see `flowlimits.gaussian.hermite`) and the weights w = (a/p, -b/k) of the error,

.. math:: \mathbb E[s_i s_u] = \sum_n c_n(i) c_n(u) \frac{C_{iu}^n}{n!}, \qquad
          \mathbb E[e^2 s_i' s_l'] = \sum_\gamma \sum_{uv} \frac{C_{uv}^\gamma}{\gamma!}\; P^\gamma_u\, G\, P^\gamma_v,

.. math:: P^\gamma_u[\alpha,\beta] = w_u\, c_{\alpha+\beta+\gamma}(u)\, \frac{C_{iu}^\alpha}{\alpha!}\frac{C_{lu}^\beta}{\beta!}, \qquad
          G[s,t] = \sum_n c_{n+s+1}(i)\,c_{n+t+1}(l)\frac{C_{il}^n}{n!}.

The sums over units stand inside the form, so that a pair of students costs O((p + k)^2) and not a four-field moment for each (u, v);
docs/committee.md, C9-C11.
"""

from ...compiled.jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback, jit
from ...gaussian.hermite import noise_kernel, pair, quadratic_form
from .layout import (
    EVENT_VALUE,
    NOISE,
    STUDENT_DEGREE,
    STUDENT_WIDTH,
    TEACHER_DEGREE,
    TEACHER_WIDTH,
    assemble,
    fill_covariance,
    fill_outputs,
    has_noise,
    views,
    work_shared,
)
from .moments import polynomial, polynomial_coefficients


def work_size(p, k, degree):
    """Return the length of the scratch array for activations of at most this degree."""
    n, stride = p + k, degree + 1
    return work_shared(p, k) + n * stride + p * stride + p * n * degree + degree * degree * (1 + 2 * n)


@jit
def noise_moments(params, C, w, c, stride, N, X, scratch):
    """Write the noise N (p, p), upper triangle; X (p, n, degree) becomes the powers C_iu^a/a!."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    student, teacher = int(params[STUDENT_DEGREE]), int(params[TEACHER_DEGREE])
    for i in range(p):
        for u in range(n):
            power = 1.0
            for alpha in range(student):
                X[(i * n + u) * student + alpha] = power
                power *= C[i, u] / (alpha + 1.0)
    size = student * student
    G, P, S = scratch[:size], scratch[size : size * (1 + n)], scratch[size * (1 + n) :]
    for i in range(p):
        for j in range(i, p):
            noise_kernel(c, i * stride, j * stride, student, C[i, j], G)
            total = params[NOISE] * G[0]
            for gamma in range(stride):
                fill_pairings(w, c, X, i, j, n, p, student, teacher, stride, gamma, P)
                total += sum_over_units(C, P, S, G, n, student, gamma)
            N[i, j] = total


@jit
def fill_pairings(w, c, X, i, j, n, p, student, teacher, stride, gamma, P):
    """Write P[u, alpha, beta] for all units."""
    size = student * student
    for u in range(n):
        degree = student if u < p else teacher
        for alpha in range(student):
            left = w[u] * X[(i * n + u) * student + alpha]
            for beta in range(student):
                at = u * size + alpha * student + beta
                if alpha + beta + gamma <= degree:
                    P[at] = left * X[(j * n + u) * student + beta] * c[u * stride + alpha + beta + gamma]
                else:
                    P[at] = 0.0


@jit
def sum_over_units(C, P, S, G, n, student, gamma):
    """Return the sum over (u, v) of C_uv^gamma/gamma! P_u G P_v."""
    size = student * student
    if gamma == 0:
        for e in range(size):
            S[e] = 0.0
            for u in range(n):
                S[e] += P[u * size + e]
        return quadratic_form(S, 0, S, 0, G, student)
    total = 0.0
    for u in range(n):
        for e in range(size):
            S[e] = 0.0
        for v in range(n):
            factor = 1.0
            for m in range(gamma):
                factor *= C[u, v] / (m + 1.0)
            for e in range(size):
                S[e] += factor * P[v * size + e]
        total += quadratic_form(P, u * size, S, 0, G, student)
    return total


@callback(RHS_SIGNATURE)
def rhs(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n, student = p + k, int(params[STUDENT_DEGREE])
    stride = max(student, int(params[TEACHER_DEGREE])) + 1
    C, A, B, K, N, V, w, a, norms, c = views(p, k, work)
    d, X = c[n * stride :], c[(n + p) * stride :]
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    polynomial_coefficients(params, C, c, d)
    polynomial(params, C, c, d, stride, A, B, K)
    noisy = has_noise(params)
    if noisy:
        noise_moments(params, C, w, c, stride, N, X, X[p * n * student :])
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_event(t, y, params, work):
    """Risk minus the value of an event."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    C, _, _, _, _, _, w, a, _, c = views(p, k, work)
    fill_covariance(y, params, C)
    fill_outputs(y, params, a, w)
    stride = max(int(params[STUDENT_DEGREE]), int(params[TEACHER_DEGREE])) + 1
    polynomial_coefficients(params, C, c, c[n * stride :])
    total = 0.0
    for u in range(n):
        for v in range(n):
            total += w[u] * w[v] * pair(c, u * stride, c, v * stride, stride, C[u, v])
    return 0.5 * total - params[EVENT_VALUE]
