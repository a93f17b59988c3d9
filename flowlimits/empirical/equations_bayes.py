r"""Error of the best denoiser of the teacher's matrix, eq. (E16), by quadrature on Biane's curve; densities.

On a component of the support :math:`u = c - r\cos\theta`, and the integrand is an even periodic analytic function of the angle: the midpoint rule
converges exponentially, and points are doubled until it has.
"""

import math

import numba
import numpy as np

from ..compiled.jit import jit
from ..spectrum.free_convolution import ATOMS, integrals_below, position, spread, subordinate, transform

FEWEST_POINTS, MOST_POINTS = 16, 8192
#: Points of a table on which it is interpolated, and a change of log xi by which one correction is exact to round-off.
STENCIL, CLOSE = 8, 1e-7
_A1, _A2, _I1, _F, _I = numba.float64[::1], numba.float64[:, ::1], numba.int64[::1], numba.float64, numba.int64


@jit
def blocks(kind, law):
    """Return the intervals on which the law without noise lives, shape (n, 2)."""
    if kind == ATOMS:
        found = np.empty((law.shape[1], 2))
        found[:, 0], found[:, 1] = law[0], law[0]
        return found
    c, scale = law[0, 0], law[0, 1]
    count = 2 if c > 1 else 1
    found = np.zeros((count, 2))
    found[count - 1] = scale * (1 - math.sqrt(c)) ** 2, scale * (1 + math.sqrt(c)) ** 2
    return found


@jit
def _edge(kind, law, xi, inside, outside):
    """Return where the spread falls to 1/xi, between a point inside the support and one outside."""
    for _ in range(200):
        middle = 0.5 * (inside + outside)
        if middle in (inside, outside):
            break
        if spread(kind, law, middle, 0.0)[0] * xi > 1:
            inside = middle
        else:
            outside = middle
    return 0.5 * (inside + outside)


@jit
def _lowest(kind, law, xi, low, high):
    """Return a point between two neighbouring blocks where the spread is below 1/xi, or else is smallest, by golden sections."""
    ratio = 0.5 * (math.sqrt(5.0) - 1)
    a, b = low, high
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    fc, fd = spread(kind, law, c, 0.0)[0], spread(kind, law, d, 0.0)[0]
    for _ in range(40):
        if min(fc, fd) * xi < 0.99:
            return c if fc < fd else d
        if fc < fd:
            b, d, fd = d, c, fc
            c = b - ratio * (b - a)
            fc = spread(kind, law, c, 0.0)[0]
        else:
            a, c, fc = c, d, fd
            d = a + ratio * (b - a)
            fd = spread(kind, law, d, 0.0)[0]
    return 0.5 * (a + b)


@jit
def components(kind, law, xi):
    """Return the components of the support as intervals of u, shape (n, 2)."""
    places = blocks(kind, law)
    found = np.empty_like(places)
    count, radius = 0, 1.001 * math.sqrt(xi)
    start = _edge(kind, law, xi, places[0, 0], places[0, 0] - radius)
    for i in range(len(places) - 1):
        lowest = _lowest(kind, law, xi, places[i, 1], places[i + 1, 0])
        if spread(kind, law, lowest, 0.0)[0] * xi < 1:
            found[count] = start, _edge(kind, law, xi, places[i, 1], lowest)
            start = _edge(kind, law, xi, places[i + 1, 0], lowest)
            count += 1
    found[count] = start, _edge(kind, law, xi, places[-1, 1], places[-1, 1] + radius)
    return found[: count + 1]


@jit
def _cube(kind, law, xi, low, high, points):
    """Return the integral of the cube of pi xi density over one component, by the midpoint rule in the angle."""
    centre, radius = 0.5 * (low + high), 0.5 * (high - low)
    total, s, before = 0.0, 0.0, 0.0
    for k in range(points):
        theta = (k + 0.5) * math.pi / points
        guess = 2 * s - before if 2 * s > before else s
        w, _, slope = position(kind, law, xi, centre - radius * math.cos(theta), guess)
        before, s = s, w.imag**2
        total += w.imag**3 * slope * math.sin(theta)
    return total * radius * math.pi / points


@jit(_F(_I, _A2, _F, _I1))
def denoising_error(kind, law, xi, needed):
    """Return B(xi), eq. (E16); `needed` holds how many points the last evaluation took on each component, or zeros."""
    total = 0.0
    places = components(kind, law, xi)
    for i in range(len(places)):
        points = max(FEWEST_POINTS, needed[i] // 4)
        value = _cube(kind, law, xi, places[i, 0], places[i, 1], points)
        while points < MOST_POINTS:
            points *= 2
            last, value = value, _cube(kind, law, xi, places[i, 0], places[i, 1], points)
            # The error falls at least to its square when points are doubled.
            if abs(value - last) <= 1e-8 * abs(value):
                break
        needed[i] = points
        total += value
    return xi - 4 / (3 * math.pi * xi) * total


@jit
def _ratio(kind, law, noise, x, needed):
    xi = math.exp(x)
    return (denoising_error(kind, law, xi, needed) + 0.5 * noise) / (2 * xi)


@jit
def _interpolated(x, alpha, first, asked):
    """Return log xi at a sample ratio by inverse interpolation in the logarithm on `STENCIL` points of a table."""
    total = 0.0
    for j in range(first, first + STENCIL):
        term = x[j]
        for m in range(first, first + STENCIL):
            if m != j:
                term *= math.log(asked / alpha[m]) / math.log(alpha[j] / alpha[m])
        total += term
    return total


@jit
def _solve(kind, law, noise, x, alpha, k, count, asked, needed):
    """Return log xi at the asked sample ratio, between two points of a table, by secants in a bracket."""
    high, low = x[k], x[k + 1]
    f_high, f_low = math.log(alpha[k] / asked), math.log(alpha[k + 1] / asked)
    first = max(0, min(k - STENCIL // 2 + 1, count - STENCIL))
    guess, previous, f_previous = (high * f_low - low * f_high) / (f_low - f_high), high, f_high
    monotone = count >= STENCIL
    for j in range(first, min(first + STENCIL - 1, count - 1)):
        monotone = monotone and alpha[j + 1] > alpha[j]
    if monotone and low < _interpolated(x, alpha, first, asked) < high:
        guess = _interpolated(x, alpha, first, asked)
        there = _ratio(kind, law, noise, guess, needed)
        # The error of the interpolation is nearly the same at the neighbouring ratio, where it is known.
        better = 2 * guess - _interpolated(x, alpha, first, there)
        if abs(better - guess) < CLOSE and low < better < high:
            return better
    for _ in range(100):
        f = math.log(_ratio(kind, law, noise, guess, needed) / asked)
        if f > 0:
            low, f_low = guess, f
        else:
            high, f_high = guess, f
        if abs(f) < 3e-15:
            return guess
        new = guess - f * (guess - previous) / (f - f_previous) if f != f_previous else 0.5 * (low + high)
        previous, f_previous = guess, f
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - guess) < 1e-14:
            return new
        guess = new
    return guess


@jit(numba.void(_I, _A2, _F, _F, _F, _A1, _A1))
def bayes_noise(kind, law, noise, largest, recovery, asked, found):
    """Write for every sample ratio the largest xi with B(xi) + noise/2 = 2 a xi, or 0 if there is none.

    `largest` is an upper bound of xi at the smallest sample ratio, and `recovery` the sample ratio from which nothing is asked.
    """
    step, size = 0.25, 4000
    x = np.empty(size)
    alpha = np.empty(size)
    x[0], alpha[0], count = math.log(largest), 0.0, 1
    needed = np.zeros(max(2, law.shape[1]), dtype=np.int64)
    alpha[0] = _ratio(kind, law, noise, x[0], needed)
    top = 0.0
    for i in range(asked.size):
        if asked[i] < recovery:
            top = max(top, asked[i])
    beyond = 0
    while count < size and beyond < STENCIL // 2 and x[count - 1] > -69:
        # Some points beyond the largest sample ratio serve the interpolation.
        beyond = beyond + 1 if alpha[count - 1] > top else 0
        x[count] = x[count - 1] - step
        alpha[count] = _ratio(kind, law, noise, x[count], needed)
        count += 1
    for i in range(asked.size):
        found[i] = 0.0
        for k in range(count - 1):
            if asked[i] < recovery and alpha[k] <= asked[i] < alpha[k + 1]:
                found[i] = math.exp(_solve(kind, law, noise, x, alpha, k, count, asked[i], needed))
                break


@jit(numba.void(_I, _A2, _F, _A1, _A1))
def densities(kind, law, xi, points, out):
    """Write the density at every point; without noise that of the continuous part of the law."""
    w = complex(0.0, 0.0)
    for i in range(points.size):
        if xi > 0:
            w = subordinate(kind, law, xi, points[i], w)
            out[i] = w.imag / (math.pi * xi)
        elif kind == ATOMS or points[i] == 0:
            out[i] = 0.0
        else:
            out[i] = -transform(kind, law, complex(points[i], 0.0))[0].imag / math.pi


@jit(numba.void(_I, _A2, _F, _A1))
def moments_below(kind, law, b, out):
    """Write the integrals of 1, x and x^2 over the law without noise below b, for a law without atoms above zero."""
    out[0], out[1], out[2] = integrals_below(kind, law, 0.0, complex(b, 0.0))[:3]
