r"""Random ReLU networks of any depth without biases, and Gaussian orthant probabilities (compiled part).

All weights of a network lie in one vector, layer by layer, each layer a matrix of shape (outputs, inputs) by rows:
(width, d), then depth - 1 times (width, width), then (1, width).  Drawn weights have variance 1/inputs.

Orthants go by separation of variables (Genz, 1992).  For :math:`z \sim N(0, \Sigma)`, :math:`\Sigma = LL^\top`, the orthant
:math:`z > 0` is entered one variable at a time: with :math:`z_i = \sum_{k<i} L_{ik} x_k + L_{ii} x_i` the variable :math:`x_i` is
drawn from the normal law above :math:`b_i = -\sum_{k<i} L_{ik}x_k / L_{ii}`, and the product of the :math:`P(x_i > b_i)` is the
weight of the point.  Every point lies in the orthant, however small its probability.  What a test point contributes is its
conditional probability to be misclassified given z, in closed form (Rao-Blackwell): no test output is ever drawn.
"""

import math

import numba
import numpy as np

from ..compiled.jit import A1, A2, FLOAT, jit
from ..gaussian.bivariate import normal_cdf

GAUSSIAN, UNIFORM = range(2)
NOTHING = 1e-290  # a smaller share of a normal law has no quantiles in floating point
GENERATOR = numba.typeof(np.random.default_rng(0))
INT = numba.int64


@jit
def count_weights(features, width, depth):
    """Return the number of weights."""
    return width * features + (depth - 1) * width * width + width


@jit
def draw(generator, law, features, width, depth, theta):
    """Write random weights of variance 1/inputs, Gaussian or uniform."""
    at = 0
    for layer in range(depth + 1):
        inputs = features if layer == 0 else width
        outputs = width if layer < depth else 1
        scale = math.sqrt(1.0 / inputs)
        if law == UNIFORM:
            bound = scale * math.sqrt(3.0)
            for k in range(at, at + inputs * outputs):
                theta[k] = bound * (2.0 * generator.random() - 1.0)
        else:
            for k in range(at, at + inputs * outputs):
                theta[k] = scale * generator.standard_normal()
        at += inputs * outputs


@jit
def output(theta, x, width, depth, hidden):
    """Return the output at x; `hidden` (depth, width) receives the activities."""
    at = 0
    inputs = x.size
    for layer in range(depth):
        for j in range(width):
            total = 0.0
            if layer == 0:
                for k in range(inputs):
                    total += theta[at + k] * x[k]
            else:
                for k in range(inputs):
                    total += theta[at + k] * hidden[layer - 1, k]
            hidden[layer, j] = max(total, 0.0)
            at += inputs
        inputs = width
    total = 0.0
    for k in range(width):
        total += theta[at + k] * hidden[depth - 1, k]
    return total


@jit
def test_error(theta, X, y, width, depth, hidden):
    """Return the share of misclassified rows; an output of exactly zero (dead units) counts one half."""
    wrong = 0.0
    for i in range(y.size):
        value = y[i] * output(theta, X[i], width, depth, hidden)
        if value < 0.0:
            wrong += 1.0
        elif value == 0.0:
            wrong += 0.5
    return wrong / y.size


@jit(INT(GENERATOR, INT, INT, INT, A2, A1, A2, A1, INT, A1))
def guess(generator, law, width, depth, X, y, X_test, y_test, networks, errors):
    """Draw `networks` networks, write the test errors of those that classify every training point, return their number."""
    theta = np.empty(count_weights(X.shape[1], width, depth))
    hidden = np.empty((depth, width))
    accepted = 0
    for _ in range(networks):
        draw(generator, law, X.shape[1], width, depth, theta)
        fits = True
        for i in range(y.size):
            if not y[i] * output(theta, X[i], width, depth, hidden) > 0.0:
                fits = False
                break
        if fits:
            errors[accepted] = test_error(theta, X_test, y_test, width, depth, hidden)
            accepted += 1
    return accepted


@jit
def loss_gradient(theta, X, y, width, depth, gradient, hidden, back):
    """Write minus the gradient of the mean logistic loss; return the loss and the number of misclassified rows.

    `hidden` and `back` are scratch of shape (depth, width).
    """
    gradient[:] = 0.0
    loss, wrong = 0.0, 0
    n, d = X.shape
    last = theta.size - width
    for i in range(n):
        q = y[i] * output(theta, X[i], width, depth, hidden)
        decay = math.exp(-abs(q))
        loss += math.log1p(decay) + max(-q, 0.0)
        weight = y[i] * (decay / (1.0 + decay) if q > 0 else 1.0 / (1.0 + decay)) / n
        if not q > 0.0:
            wrong += 1
        for k in range(width):
            gradient[last + k] += weight * hidden[depth - 1, k]
            back[depth - 1, k] = weight * theta[last + k] if hidden[depth - 1, k] > 0.0 else 0.0
        at = last
        for layer in range(depth - 1, -1, -1):
            inputs = d if layer == 0 else width
            at -= width * inputs
            if layer > 0:
                for k in range(width):
                    back[layer - 1, k] = 0.0
            for j in range(width):
                slope = back[layer, j]
                if slope == 0.0:
                    continue
                row = at + j * inputs
                if layer == 0:
                    for k in range(d):
                        gradient[row + k] += slope * X[i, k]
                else:
                    for k in range(width):
                        gradient[row + k] += slope * hidden[layer - 1, k]
                        back[layer - 1, k] += slope * theta[row + k]
            if layer > 0:
                for k in range(width):
                    if not hidden[layer - 1, k] > 0.0:
                        back[layer - 1, k] = 0.0
    return loss / n, wrong


@jit
def descend(theta, X, y, width, depth, learning_rate, steps, target):
    """Descend until the loss is at most `target` or `steps` are done; return loss, misclassified rows, steps."""
    gradient = np.empty(theta.size)
    hidden, back = np.empty((depth, width)), np.empty((depth, width))
    for step in range(steps):
        loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
        if loss <= target:
            return loss, wrong, step
        for k in range(theta.size):
            theta[k] += learning_rate * gradient[k]
    loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
    return loss, wrong, steps


@jit
def flow(theta, X, y, width, depth, tolerance, steps, target):
    """Follow gradient flow until the loss is at most `target`, by Heun's method with Euler's as error estimate.

    `tolerance` bounds the estimated error of a step relative to the norm of the weights.
    """
    size = theta.size
    gradient, ahead, moved = np.empty(size), np.empty(size), np.empty(size)
    hidden, back = np.empty((depth, width)), np.empty((depth, width))
    loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
    h = 0.0
    for step in range(steps):
        if loss <= target:
            return loss, wrong, step
        norm, speed = 0.0, 0.0
        for k in range(size):
            norm += theta[k] * theta[k]
            speed += gradient[k] * gradient[k]
        if speed == 0.0:
            return loss, wrong, step
        if h == 0.0:
            h = 1e-3 * math.sqrt(norm / speed)
        for k in range(size):
            moved[k] = theta[k] + h * gradient[k]
        loss_gradient(moved, X, y, width, depth, ahead, hidden, back)
        error = 0.0
        for k in range(size):
            error += (ahead[k] - gradient[k]) ** 2
        error = 0.5 * h * math.sqrt(error / norm) / tolerance
        factor = min(max(0.9 / math.sqrt(max(error, 1e-10)), 0.2), 2.0)
        if error <= 1.0:
            for k in range(size):
                theta[k] += 0.5 * h * (gradient[k] + ahead[k])
            loss, wrong = loss_gradient(theta, X, y, width, depth, gradient, hidden, back)
        h *= factor
    return loss, wrong, steps


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


@jit("UniTuple(float64, 3)(float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], int64)")
def orthant(L, A, spread, steps, shift, points):
    """Return the orthant probability, the expectation over the orthant of the mean test error times it, and the mean
    square of the weights of the points.

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
    total, wrong, square = 0.0, 0.0, 0.0
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
            weight = weight * above if above > NOTHING else 0.0
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
        square += weight * weight
    return total / points, wrong / points, square / points


@jit(numba.void(GENERATOR, INT, INT, INT, A2, A1, A2, A1, INT, FLOAT, INT, FLOAT, A1))
def train(generator, law, width, depth, X, y, X_test, y_test, follow, rate, steps, target, outcome):
    """Train one network; `outcome` receives loss, misclassified training points, steps and test error.

    `rate` is the learning rate of gradient descent, or the tolerance of gradient flow if `follow`.
    """
    theta = np.empty(count_weights(X.shape[1], width, depth))
    draw(generator, law, X.shape[1], width, depth, theta)
    if follow == 1:
        loss, wrong, done = flow(theta, X, y, width, depth, rate, steps, target)
    else:
        loss, wrong, done = descend(theta, X, y, width, depth, rate, steps, target)
    outcome[0], outcome[1], outcome[2] = loss, wrong, done
    outcome[3] = test_error(theta, X_test, y_test, width, depth, np.empty((depth, width)))
