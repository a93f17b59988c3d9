r"""Gaussian orthant probabilities and expectations over the orthant, by separation of variables (Genz, 1992).

For :math:`z \sim N(0, \Sigma)`, :math:`\Sigma = LL^\top`, the orthant :math:`z > 0` is entered one variable at a time: with
:math:`z_i = \sum_{k<i} L_{ik} x_k + L_{ii} x_i` the variable :math:`x_i` is drawn from the normal law above
:math:`b_i = -\sum_{k<i} L_{ik}x_k / L_{ii}`, and the product of the :math:`P(x_i > b_i)` is the weight of the point.  Every point lies
in the orthant, however small its probability.  What a test point contributes is its conditional probability to be
misclassified given z, in closed form (Rao-Blackwell): no test output is ever drawn.
"""

import math

import numpy as np

from ..compiled.jit import jit
from ..gaussian.bivariate import normal_cdf


@jit
def _polynomial(coefficients, x):
    total = 0.0
    for k in range(coefficients.size - 1, -1, -1):
        total = total * x + coefficients[k]
    return total


# Wichura's algorithm AS 241: numerators and denominators of three ranges.
_A = np.array([3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
               4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3])  # fmt: skip
_B = np.array([1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
               3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3])  # fmt: skip
_C = np.array([1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
               1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4])  # fmt: skip
_D = np.array([1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
               1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9])  # fmt: skip
_E = np.array([6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
               2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7])  # fmt: skip
_F = np.array([1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
               7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15])  # fmt: skip


@jit
def normal_quantile(p):
    """Return the standard normal quantile, to about 16 digits; infinite at 0 and 1."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _polynomial(_A, r) / _polynomial(_B, r)
    tail = min(p, 1.0 - p)
    if tail <= 0.0:
        return math.copysign(math.inf, q)
    r = math.sqrt(-math.log(tail))
    if r <= 5.0:
        value = _polynomial(_C, r - 1.6) / _polynomial(_D, r - 1.6)
    else:
        value = _polynomial(_E, r - 5.0) / _polynomial(_F, r - 5.0)
    return math.copysign(value, q)


@jit("UniTuple(float64, 2)(float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], int64)")
def orthant(L, A, spread, steps, shift, points):
    """Return the orthant probability, and the expectation over the orthant of the mean test error times it.

    Parameters
    ----------
    L : ndarray, shape (n, n)
        Lower Cholesky factor of the covariance of the training outputs times their labels.
    A : ndarray, shape (t, n)
        The test outputs times their labels have the conditional mean A z.
    spread : ndarray, shape (t,)
        Conditional standard deviations; where it is zero the sign is certain, and a tie counts one half.
    steps, shift : ndarray, shape (n,)
        Steps of the lattice rule modulo one, and its random shift.
    points : int
        Number of points.
    """
    n, tests = L.shape[0], A.shape[0]
    x, z = np.empty(n), np.empty(n)
    total, wrong = 0.0, 0.0
    for point in range(points):
        weight = 1.0
        for i in range(n):
            u = (point * steps[i] + shift[i]) % 1.0
            u = abs(2.0 * u - 1.0)  # the tent makes the integrand periodic
            u = min(max(u, 1e-16), 1.0 - 1e-16)
            mean = 0.0
            for k in range(i):
                mean += L[i, k] * x[k]
            above = normal_cdf(mean / L[i, i])
            weight *= above
            if weight == 0.0:
                break
            # From the upper tail: P(x > b) = above keeps its digits when it is tiny.
            x[i] = -normal_quantile(u * above)
            z[i] = mean + L[i, i] * x[i]
        if weight == 0.0:
            continue
        error = 0.0
        for t in range(tests):
            mean = 0.0
            for k in range(n):
                mean += A[t, k] * z[k]
            if spread[t] > 0.0:
                error += normal_cdf(-mean / spread[t])
            elif mean < 0.0:
                error += 1.0
            elif mean == 0.0:
                error += 0.5
        total += weight
        wrong += weight * error / tests
    return total / points, wrong / points
