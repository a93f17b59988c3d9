"""Activations at a number, and moments of two fields between every student and every unit (compiled part)."""

import math

from ...compiled.jit import jit
from ...gaussian import erf, relu
from ...gaussian.hermite import coefficients, pair, slopes
from .layout import HEADER, STUDENT_DEGREE, STUDENT_WIDTH, TEACHER_DEGREE, TEACHER_WIDTH

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
