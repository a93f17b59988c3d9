r"""Activations that are no squares: moments of two fields between every student and every unit, and equations (compiled part).

Polynomials have any degree, student's and teacher's different if wanted; erf(lambda/sqrt 2) and max(lambda, 0) belong to both.
For polynomials with c_n(u) the coefficients of unit u (see `flowlimits.gaussian.hermite`) and the weights w = (a/p, -b/k) of the error,

.. math:: \mathbb E[s_i s_u] = \sum_n c_n(i) c_n(u) \frac{C_{iu}^n}{n!}, \qquad
          \mathbb E[e^2 s_i' s_l'] = \sum_\gamma \sum_{uv} \frac{C_{uv}^\gamma}{\gamma!}\; P^\gamma_u\, G\, P^\gamma_v,

.. math:: P^\gamma_u[\alpha,\beta] = w_u\, c_{\alpha+\beta+\gamma}(u)\, \frac{C_{iu}^\alpha}{\alpha!}\frac{C_{lu}^\beta}{\beta!}, \qquad
          G[s,t] = \sum_n c_{n+s+1}(i)\,c_{n+t+1}(l)\frac{C_{il}^n}{n!}.

The sums over units stand inside the form, so that a pair of students costs O((p + k)^2) and not a four-field moment for each (u, v);
docs/committee.md, C9-C11.
"""

import math

from ...compiled.jit import EVENT_SIGNATURE, RHS_SIGNATURE, callback, jit
from ...compiled.views import vector
from ...gaussian import erf, relu
from ...gaussian.hermite import coefficients, noise_kernel, pair, quadratic_form, slopes
from .layout import (
    EVENT_VALUE,
    HEADER,
    NOISE,
    STUDENT_DEGREE,
    STUDENT_WIDTH,
    TEACHER_DEGREE,
    TEACHER_WIDTH,
    assemble,
    has_noise,
    opened,
    work_shared,
)

POLYNOMIAL, ERF, RELU = range(3)
ROOT_HALF, ROOT_TWO_OVER_PI = math.sqrt(0.5), math.sqrt(2.0 / math.pi)


@jit(inline="always")
def value_at(kind, powers, x):
    """Return s(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, -1, -1):
            value = value * x + powers[j]
        return value
    if kind == ERF:
        return math.erf(ROOT_HALF * x)
    return 0.5 * (x + abs(x))


@jit(inline="always")
def slope_at(kind, powers, x):
    """Return s'(x)."""
    if kind == POLYNOMIAL:
        value = 0.0
        for j in range(powers.size - 1, 0, -1):
            value = value * x + j * powers[j]
        return value
    if kind == ERF:
        return ROOT_TWO_OVER_PI * math.exp(-0.5 * x * x)
    return 1.0 if x > 0.0 else 0.0


@jit
def polynomial_coefficients(params, C, c, d):
    """Write the coefficients of all units (rows of `c`), and 2 dc_n/dq of the students (rows of `d`); return the length of a row."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    n = p + k
    student, teacher = int(params[STUDENT_DEGREE]), int(params[TEACHER_DEGREE])
    stride = max(student, teacher) + 1
    table = HEADER + k + p + k * k
    other = table + (student + 1) * (student // 2 + 1)
    for u in range(n):
        for m in range(stride):
            c[u * stride + m] = 0.0
    for i in range(p):
        coefficients(params, table, student, C[i, i], c, i * stride)
        slopes(params, table, student, C[i, i], d, i * stride)
    for r in range(p, n):
        coefficients(params, other, teacher, C[r, r], c, r * stride)
    return stride


@jit
def polynomial(params, C, c, d, stride, A, B, K):
    """Write A = 2 dK/dC_ii, B = dK/dC_iu and K = E[s_i s_u], shapes (p, n)."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    student, teacher = int(params[STUDENT_DEGREE]), int(params[TEACHER_DEGREE])
    for i in range(p):
        for u in range(p + k):
            terms = min(student, student if u < p else teacher) + 1
            K[i, u] = pair(c, i * stride, c, u * stride, terms, C[i, u])
            A[i, u] = pair(d, i * stride, c, u * stride, terms, C[i, u])
            B[i, u] = pair(c, i * stride + 1, c, u * stride + 1, terms - 1, C[i, u])


@jit
def of_polynomial(params, C, A, B, K, c):
    """Write A, B and K, and the coefficients, then their slopes, to the scratch c; return the length of a row of it."""
    d = c[C.shape[0] * (int(max(params[STUDENT_DEGREE], params[TEACHER_DEGREE])) + 1) :]
    stride = polynomial_coefficients(params, C, c, d)
    polynomial(params, C, c, d, stride, A, B, K)
    return stride


@jit
def of_erf(C, A, B, K):
    """Write A, B and K."""
    p, n = A.shape
    for i in range(p):
        row = K[i]
        for u in range(n):
            A[i, u], B[i, u] = erf.two_fields(C[i, i], C[u, u], C[i, u])
            row[u] = C[i, u] / math.sqrt((1.0 + C[i, i]) * (1.0 + C[u, u]))
        erf.arcsines(row, n)
        for u in range(n):
            row[u] *= erf.TWO_OVER_PI


@jit
def of_relu(C, A, B, K):
    """Write A, B and K."""
    p, n = A.shape
    for i in range(p):
        for u in range(n):
            if u == i:
                A[i, u], B[i, u], K[i, u] = 0.0, 0.5, 0.5 * C[i, i]
            else:
                A[i, u], B[i, u], K[i, u] = relu.two_fields(C[i, i], C[u, u], C[i, u])


@jit
def noise_of_erf(params, C, w, N, rest):
    """Write the noise N (p, p), upper triangle; `rest` is scratch."""
    p, n = N.shape[0], C.shape[0]
    for i in range(p):
        for j in range(i, p):
            N[i, j] = erf.noise(C, w, i, j, n, params[NOISE], rest, rest[n:])


@jit
def noise_of_relu(params, C, w, N, rest):
    """Write the noise N (p, p), upper triangle; `rest` is scratch."""
    p, n = N.shape[0], C.shape[0]
    values = vector(rest, 0, relu.NODES)
    for i in range(p):
        for j in range(i, p):
            total = params[NOISE] * (0.5 if i == j else relu.quadrant(C, i, j))
            for u in range(n):
                for v in range(u):
                    total += 2.0 * w[u] * w[v] * relu.two_indicators(C, i, j, u, v, values)
                total += w[u] * w[u] * relu.two_indicators(C, i, j, u, u, values)
            N[i, j] = total


def work_size_polynomial(p, k, degree):
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


@jit
def of_any(family, params, C, A, B, K, N, w, rest, noisy):
    """Write A, B and K, and the noise N (upper triangle) if it is wanted, of the activation that a number names."""
    if family == ERF:
        of_erf(C, A, B, K)
        if noisy:
            noise_of_erf(params, C, w, N, rest)
    elif family == RELU:
        of_relu(C, A, B, K)
        if noisy:
            noise_of_relu(params, C, w, N, rest)
    else:
        p, n = A.shape
        stride = of_polynomial(params, C, A, B, K, rest)
        if noisy:
            X = rest[(n + p) * stride :]
            noise_moments(params, C, w, rest, stride, N, X, X[p * n * int(params[STUDENT_DEGREE]) :])


@callback(RHS_SIGNATURE)
def rhs_polynomial(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    p, k = int(params[STUDENT_WIDTH]), int(params[TEACHER_WIDTH])
    C, A, B, K, N, V, w, a, norms, c = opened(y, params, work)
    stride = of_polynomial(params, C, A, B, K, c)
    noisy = has_noise(params)
    if noisy:
        X = c[(2 * p + k) * stride :]
        noise_moments(params, C, w, c, stride, N, X, X[p * (p + k) * int(params[STUDENT_DEGREE]) :])
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_polynomial(t, y, params, work):
    """Risk minus the value of an event."""
    C, _, _, _, _, _, w, _, _, c = opened(y, params, work)
    n = w.size
    stride = max(int(params[STUDENT_DEGREE]), int(params[TEACHER_DEGREE])) + 1
    polynomial_coefficients(params, C, c, c[n * stride :])
    total = 0.0
    for u in range(n):
        for v in range(n):
            total += w[u] * w[v] * pair(c, u * stride, c, v * stride, stride, C[u, v])
    return 0.5 * total - params[EVENT_VALUE]


def work_size_erf(p, k):
    """Return the length of the scratch array."""
    n = p + k
    return work_shared(p, k) + n + n * (n + 1) // 2


@callback(RHS_SIGNATURE)
def rhs_erf(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    C, A, B, K, N, V, w, a, norms, rest = opened(y, params, work)
    of_erf(C, A, B, K)
    noisy = has_noise(params)
    if noisy:
        noise_of_erf(params, C, w, N, rest)
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_erf(t, y, params, work):
    """Risk minus the value of an event."""
    C, _, _, _, _, _, w, _, _, rest = opened(y, params, work)
    n = w.size
    total = 0.0
    for u in range(n):
        for v in range(n):
            rest[v] = C[u, v] / math.sqrt((1.0 + C[u, u]) * (1.0 + C[v, v]))
        erf.arcsines(rest, n)
        for v in range(n):
            total += w[u] * w[v] * rest[v]
    return 0.5 * erf.TWO_OVER_PI * total - params[EVENT_VALUE]


def work_size_relu(p, k):
    """Return the length of the scratch array."""
    return work_shared(p, k) + relu.NODES


@callback(RHS_SIGNATURE)
def rhs_relu(t, y, dy, params, work):
    """Velocities of Q, R and the second layer."""
    C, A, B, K, N, V, w, a, norms, rest = opened(y, params, work)
    of_relu(C, A, B, K)
    noisy = has_noise(params)
    if noisy:
        noise_of_relu(params, C, w, N, rest)
    assemble(t, y, dy, params, C, A, B, K, N, V, w, a, norms, noisy)


@callback(EVENT_SIGNATURE)
def risk_relu(t, y, params, work):
    """Risk minus the value of an event."""
    C, _, _, _, _, _, w, _, _, _ = opened(y, params, work)
    total = 0.0
    for u in range(w.size):
        for v in range(w.size):
            total += w[u] * w[v] * (0.5 * C[u, u] if u == v else relu.two_fields(C[u, u], C[v, v], C[u, v])[2])
    return 0.5 * total - params[EVENT_VALUE]
