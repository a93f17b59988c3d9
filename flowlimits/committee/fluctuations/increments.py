r"""Moments of the increments of one step of SGD, at the covariance C of the fields.

With the error :math:`e = f - y`, :math:`v_i = -a_i s_i'` and fields :math:`\lambda_u` of students and teachers, a step is linear in

.. math:: h_1 e = (v_i\lambda_u,\; s_i,\; 1)\,e, \qquad h_2 e^2 = v_iv_j\,e^2 \quad (i \le j),

and the first and second moments of these are all that the covariance of the increments needs, with any number of groups
(docs/committee.md, C16-C18).  They are exact where the activations are polynomials and the rule below can be exact; otherwise a
fixed rule of Sobol' points gives them.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .. import activations
from ..equations.moments import ERF, POLYNOMIAL, RELU
from ..physics import Physics
from .equations import accumulate

# Means and second moments by a rule of points.

#: Variances below this share are those of a field that the fields before it determine.
TINY = 1e-13


def root(C: np.ndarray) -> np.ndarray:
    """Return lower triangular roots of positive semidefinite matrices (..., n, n); they change continuously where C is singular."""
    rest = C.copy()
    n = C.shape[-1]
    L = np.zeros_like(C)
    for j in range(n):
        pivot = np.where(rest[..., j, j] > TINY * C[..., j, j], rest[..., j, j], 0.0)
        scale = np.sqrt(np.where(pivot > 0, pivot, 1.0))
        column = np.where((pivot > 0)[..., None], rest[..., :, j] / scale[..., None], 0.0)
        column[..., :j] = 0.0
        L[..., :, j] = column
        rest = rest - column[..., :, None] * column[..., None, :]
    return L


def size(problem: Physics) -> int:
    """Return the number of components of (h_1 e, h_2 e^2): p n, p and one, and p (p + 1)/2."""
    p, k = problem.R.shape
    return p * (p + k) + p + 1 + p * (p + 1) // 2


def kind_of(activation: activations.Activation) -> tuple[int, np.ndarray]:
    """Return the number of an activation, and its coefficients if it is a polynomial; without the mean of the centred one."""
    if activation == "erf":
        return ERF, np.zeros(1)
    if activation == "relu":
        return RELU, np.zeros(1)
    return POLYNOMIAL, np.array(activations.coefficients(activation), dtype=float)


def sampled(
    problem: Physics, C: np.ndarray, a: np.ndarray, points: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and second moments by a rule.

    Parameters
    ----------
    C, a, points, weights : ndarray, shapes (T, n, n), (T, p), (N, n), (N,)
        Covariances of the fields, second layers, and the rule for standard normal variables.
    """
    p, k = problem.R.shape
    total = size(problem)
    # Components that no increment of the problem holds are left out.
    trained, centred = problem.second_layer_rate > 0, problem.activation == "centred"
    used = np.ones(total, dtype=bool)
    used[p * (p + k) : p * (p + k) + p] = trained
    used[p * (p + k) + p] = centred
    kept = np.flatnonzero(used)
    found, products = np.zeros((len(C), kept.size)), np.zeros((len(C), kept.size, kept.size))
    (kind, student), (other, teacher) = kind_of(problem.activation), kind_of(problem.teacher_activation)
    flags = np.array([kind, other, trained, centred, problem.teacher_activation == "centred"], dtype=np.int64)
    # The fields of the students depend on the first variables: that is where activations may have kinks.
    accumulate(
        flags, student, teacher, root(C), np.array(np.einsum("tuu->tu", C)), np.array(a, order="C"),
        np.array(problem.teacher_second_layer), np.array(points, order="C"), np.array(weights), problem.noise, found, products,
    )  # fmt: skip
    rows, columns = np.triu_indices(kept.size)
    means, moments = np.zeros((len(C), total)), np.zeros((len(C), total, total))
    means[:, kept] = found
    moments[:, kept[rows], kept[columns]] = moments[:, kept[columns], kept[rows]] = products[:, rows, columns]
    return means, moments


#: A Sobol' rule has 2^FEWEST points and more; the variance of its law is 1 + WIDER/n.
FEWEST, WIDER = 11, 2.4
#: Product rules have at most as many points.
PRODUCT = 16_384


class Rule:
    """How the moments of a problem are taken: "series" (exact), "product" (exact) or "sobol".

    Attributes
    ----------
    error : float
        The largest relative error of a second moment so far, from the difference of two halves of the rule; 0 if exact.
    """

    error = 0.0
    parts: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def __init__(self, problem: Physics):
        self.problem = problem
        p, k = problem.R.shape
        student, teacher = problem.activation, problem.teacher_activation
        self.name = "sobol"
        if activations.name_of(student, teacher) == "square":
            self.name = "series"
        elif activations.is_polynomial(student):
            degree = 4 * (activations.degree(student) - 1) + 4 * max(
                activations.degree(student), activations.degree(teacher)
            )
            per_axis = degree // 2 + 1
            if per_axis ** (p + k) <= PRODUCT:
                self.name = "product"
                self.parts = (product_rule(per_axis, p + k),)
        if self.name == "sobol":
            self.parts = sobol(p + k, student == "relu")

    @property
    def exact(self) -> bool:
        """Whether the moments are exact up to round-off."""
        return self.name != "sobol"

    def moments(self, C: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the means (T, m) and the second moments (T, m, m) of (h_1 e, h_2 e^2).

        Parameters
        ----------
        C, a : ndarray, shapes (T, n, n), (T, p)
            Covariances of the fields, and second layers of the student.
        """
        if self.name == "series":
            return series(self.problem, C, a)
        found = [sampled(self.problem, C, a, *part) for part in self.parts]
        means, moments = (np.mean(each, axis=0) for each in zip(*found))
        if not self.exact:
            variance = np.einsum("tii->ti", moments)
            scale = np.sqrt(variance[:, :, None] * variance[:, None])
            apart = np.abs(found[0][1] - found[1][1]) / np.where(scale > 0, scale, 1.0)
            self.error = max(self.error, 0.5 * float(apart.max(initial=0.0)))
        return means, moments


@functools.cache
def sobol(n: int, rough: bool) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return points and weights of the halves of a fixed quasi-Monte-Carlo rule for n normal variables; `rough` integrands get more.

    Sobol' points of a normal law that is wider than the standard one, because high moments live in its tails; then their second
    moments are made exact in each half.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    m = FEWEST + 2 * (n > 4) + (n > 8) + rough
    width = 1.0 + WIDER / n
    uniform = qmc.Sobol(n, scramble=False).random_base2(m) + 0.5 ** (m + 1)
    points = ndtri(uniform) * math.sqrt(width)
    weights = np.exp(-0.5 * (1.0 - 1.0 / width) * (points**2).sum(axis=1))
    return tuple(exact_seconds(x, w) for x, w in zip(np.split(points, 2), np.split(weights, 2)))


def exact_seconds(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points moved by a linear map such that their weighted second moments are one, and weights of sum one."""
    weights = weights / weights.sum()
    seconds = (points * weights[:, None]).T @ points
    return np.linalg.solve(np.linalg.cholesky(seconds), points.T).T, weights


@functools.cache
def product_rule(per_axis: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights of the product of Gauss-Hermite rules for n normal variables."""
    places, weights = np.polynomial.hermite_e.hermegauss(per_axis)
    weights = weights / weights.sum()
    points = np.stack(np.meshgrid(*[places] * n, indexing="ij"), axis=-1).reshape(-1, n)
    shares = functools.reduce(np.multiply.outer, [weights] * n).ravel()
    return points, shares


def series(problem: Physics, C: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return means and second moments for quadratic activations, exactly.

    Under the weight :math:`e^{\tau e}` the fields are Gaussian with covariance :math:`C(\tau) = (C^{-1} - 2\tau A)^{-1}`, A = diag(w); so
    :math:`\mathbb E[e^m\lambda_i\lambda_j\lambda_u\lambda_v]` is m! times a coefficient of :math:`Z(\tau)(C_{ij}C_{uv} + \dots)(\tau)`.
    """
    p, k = problem.R.shape
    n, count = p + k, len(C)
    w = np.concatenate([a / p, np.broadcast_to(-problem.teacher_second_layer / k, (count, k))], axis=1)
    student, teacher = (activations.quadratic_form(one) for one in (problem.activation, problem.teacher_activation))
    assert student is not None
    assert teacher is not None
    centred = np.repeat([student[0], teacher[0]], [p, k])
    offset = np.repeat([student[1], teacher[1]], [p, k])
    norms = np.einsum("tii->ti", C)
    constant = np.einsum("ti,ti->t", w, centred * norms + offset)
    top = 4
    # Powers of tau: those of the covariance, and of log Z.
    power = [C]
    step = 2.0 * w[:, :, None] * C
    for _ in range(top):
        power.append(power[-1] @ step)
    logs = [-constant] + [np.zeros(count)] * (top - 1)
    trace = step
    for m in range(1, top + 1):
        logs[m - 1] = logs[m - 1] + np.einsum("tii->t", trace) / (2.0 * m)
        trace = trace @ step
    Z = [np.ones(count)]
    for m in range(1, top + 1):
        Z.append(sum((j * logs[j - 1] * Z[m - j] for j in range(1, m + 1)), np.zeros(count)) / m)

    two = [sum((Z[m - j][:, None, None] * power[j] for j in range(m + 1)), np.zeros_like(C)) for m in range(top + 1)]
    noise = problem.noise
    # E[e^m ...] with label noise, m = 1, ..., 4: combinations of those without.
    mixed = {
        1: {1: 1.0}, 2: {2: 1.0, 0: noise}, 3: {3: 1.0, 1: 3.0 * noise}, 4: {4: 1.0, 2: 6.0 * noise, 0: 3.0 * noise**2},
    }  # fmt: skip

    def zero_fields(m: int) -> Any:
        return sum(share * math.factorial(j) * Z[j] for j, share in mixed[m].items())

    def two_fields(m: int) -> Any:
        return sum(share * math.factorial(j) * two[j] for j, share in mixed[m].items())

    def four_fields(m: int) -> np.ndarray:
        """Return E[e^m l_i l_u l_j l_v], shape (T, p, n, p, n), i and j students."""
        total = np.zeros((count, p, n, p, n))
        for top_j, share in mixed[m].items():
            for j in range(top_j + 1):
                left, right = power[j], two[top_j - j]
                total += (share * math.factorial(top_j)) * (
                    np.einsum("tiu,tjv->tiujv", left[:, :p], right[:, :p])
                    + np.einsum("tij,tuv->tiujv", left[:, :p, :p], right)
                    + np.einsum("tiv,tju->tiujv", left[:, :p], right[:, :p])
                )
        return total

    rows, columns = np.triu_indices(p)
    at_own, at_one, at_two = p * n, p * n + p, p * n + p + 1
    total = at_two + rows.size
    means, moments = np.zeros((count, total)), np.zeros((count, total, total))
    left = -2.0 * a
    four, both = left[:, :, None, None, None] * left[:, None, None, :, None], left[:, rows] * left[:, columns]
    shift = centred[:p] * norms[:, :p] + offset[:p]
    diagonal = np.arange(p)

    first, second = two_fields(1), two_fields(2)
    means[:, :at_own] = (left[:, :, None] * first[:, :p]).reshape(count, -1)
    means[:, at_own:at_one] = first[:, diagonal, diagonal] - shift * zero_fields(1)[:, None]
    means[:, at_one] = zero_fields(1)
    means[:, at_two:] = both * second[:, rows, columns]

    square = four_fields(2)
    moments[:, :at_own, :at_own] = (four * square).reshape(count, at_own, at_own)
    own = (
        square[:, :, :, diagonal, diagonal] - second[:, :p, :, None] * shift[:, None, None]
    )  # (T, i, u, j): l_i l_u s_j
    moments[:, :at_own, at_own:at_one] = (left[:, :, None, None] * own).reshape(count, at_own, p)
    moments[:, :at_own, at_one] = (left[:, :, None] * second[:, :p]).reshape(count, at_own)
    moments[:, at_own:at_one, at_own:at_one] = (
        square[:, diagonal[:, None], diagonal[:, None], diagonal, diagonal]
        - shift[:, :, None] * second[:, None, diagonal, diagonal]
        - second[:, diagonal, diagonal, None] * shift[:, None]
        + shift[:, :, None] * shift[:, None] * zero_fields(2)[:, None, None]
    )
    moments[:, at_own:at_one, at_one] = second[:, diagonal, diagonal] - shift * zero_fields(2)[:, None]
    moments[:, at_one, at_one] = zero_fields(2)
    third, three = two_fields(3), four_fields(3)
    moments[:, :at_own, at_two:] = (
        left[:, :, None, None] * both[:, None, None] * three[:, :, :, rows, columns]
    ).reshape(count, at_own, -1)
    moments[:, at_own:at_one, at_two:] = both[:, None] * (
        three[:, diagonal[:, None], diagonal[:, None], rows, columns]
        - shift[:, :, None] * third[:, None, rows, columns]
    )
    moments[:, at_one, at_two:] = both * third[:, rows, columns]
    fourth = four_fields(4)
    moments[:, at_two:, at_two:] = (
        both[:, :, None] * both[:, None] * fourth[:, rows[:, None], columns[:, None], rows, columns]
    )
    lower = np.tril_indices(total, -1)
    moments[:, lower[0], lower[1]] = moments[:, lower[1], lower[0]]
    return means, moments
