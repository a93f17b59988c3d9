r"""Free convolution of a law with a semicircle, as elementary functions of one complex number, eqs. (E5)-(E8).

A law :math:`\mu_\star` is a table of doubles: atoms, with the rows node, weight, and two sums over the other atoms, or the
Marchenko-Pastur law in closed form, with the numbers :math:`c = 1/\kappa_\star` and scale in its first row.  `kind` says which.

For :math:`\mu_\xi = \mu_\star \boxplus` semicircle of variance :math:`\xi` and a real :math:`x` the subordinate :math:`w` is the one number of
the closed upper half plane with :math:`w + \xi m_\star(w) = x` (Biane, Indiana Univ. Math. J. 46, 1997).  With :math:`m = m_\star(w)` the density is
:math:`-\mathrm{Im}\,m/\pi` and the Hilbert transform :math:`h = \mathrm{Re}\,m`.
"""

import math

import numpy as np

from ..compiled.jit import jit

ATOMS, MARCHENKO_PASTUR = 0, 1
MOST_ITERATIONS = 200
#: Largest term, on the scale of the sum, that may cancel: it costs as many digits.
MOST_CANCELLED = 3000.0
#: Gauss-Legendre nodes on (0, 1), and the length of a panel in the logarithm of the height.
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)
GAUSS_NODES, GAUSS_WEIGHTS, PANEL = 0.5 + 0.5 * GAUSS_NODES, 0.5 * GAUSS_WEIGHTS, 1.5


@jit
def _root(z):
    """Return the square root in the closed first quadrant of a number in the closed upper half plane."""
    return np.sqrt(complex(z.real, abs(z.imag)))


@jit
def _unit_transform(c, w):
    """Return the transform of the Marchenko-Pastur law of mean one."""
    root = _root(w - (1 - math.sqrt(c)) ** 2) * _root(w - (1 + math.sqrt(c)) ** 2)
    P = w + c - 1
    if abs(P + root) > abs(P - root):
        return 2 / (P + root)
    return (P - root) / (2 * c * w)


@jit
def transform(kind, law, w):
    """Return the Stieltjes transform :math:`m_\\star(w)` and its derivative."""
    if kind == ATOMS:
        m, dm = 0j, 0j
        for i in range(law.shape[1]):
            inverse = 1 / (w - law[0, i])
            m += law[1, i] * inverse
            dm -= law[1, i] * inverse * inverse
        return m, dm
    c, scale = law[0, 0], law[0, 1]
    m = _unit_transform(c, w / scale)
    S = 1 - c * m
    return m / scale, 1 / (c / (S * S) - 1 / (m * m)) / (scale * scale)


@jit
def _log_below(z):
    """Return log z with its argument in [-pi, 0], for z in the closed lower half plane."""
    return complex(math.log(abs(z)), -math.atan2(abs(z.imag), z.real))


@jit
def _log_above(z):
    """Return log z with its argument in [0, pi], for z in the closed upper half plane."""
    return complex(math.log(abs(z)), math.atan2(abs(z.imag), z.real))


@jit
def _along_ray(law, w):
    r"""Return the primitives of m^2, m^3 and of w m^2 - m by integrating upwards from w, where their values at infinity are zero.

    The distance to the nearest atom sets the scale: steps grow in proportion to the height above it.
    """
    r = law.shape[1]
    scale, reach = math.inf, 0.0
    for i in range(r):
        distance = abs(w - law[0, i])
        scale, reach = min(scale, distance), max(reach, distance)
    panels = 1 + int(math.log(1 + 4 * reach / scale) / PANEL)
    A2, A3, D2 = 0j, 0j, 0j
    top = scale * (math.exp(PANEL * panels) - 1)
    for panel in range(panels + 1):
        for node, weight in zip(GAUSS_NODES, GAUSS_WEIGHTS):
            if panel < panels:
                growth = scale * math.exp(PANEL * (panel + node))
                t, weight = growth - scale, weight * PANEL * growth
            else:
                t, weight = top / node, weight * top / node**2
            m, z_m = 0j, 0j
            for i in range(r):
                term = law[1, i] / (w + 1j * t - law[0, i])
                m += term
                z_m += law[0, i] * term
            A2 -= 1j * weight * m * m
            A3 -= 1j * weight * m * m * m
            D2 -= 1j * weight * m * z_m
    return A2, A3, D2


@jit
def primitives(kind, law, xi, w):
    """Return m, m', and the primitives in w of m, m^2, m^3, w m, w m^2, w^2 m that are real at minus infinity, eq. (E7).

    Sums over atoms that nearly coincide cancel; where this would be seen at the noise `xi`, they are integrated instead.
    """
    if kind == ATOMS:
        m, dm, L, A2, A3, B1, B2, C1 = 0j, 0j, 0j, 0j, 0j, w, 0j, 0.5 * w * w
        largest = 0.0
        for i in range(law.shape[1]):
            z, q, a, b = law[0, i], law[1, i], law[2, i], law[3, i]
            u = w - z
            inverse = 1 / u
            log = _log_below(-u)
            m += q * inverse
            dm -= q * inverse * inverse
            L += q * log
            cubic = 3 * (q * a * a + q * q * b)
            A2 += 2 * q * a * log - q * q * inverse
            A3 += cubic * log - 3 * q * q * a * inverse - 0.5 * q**3 * inverse * inverse
            B1 += q * z * log
            B2 += (q * q + 2 * q * a * z) * log - q * q * z * inverse
            C1 += q * (z * w + z * z * log)
            largest = max(largest, abs(cubic) * xi, abs(q * a) * (math.sqrt(xi) + abs(z)))
        if largest > MOST_CANCELLED:
            A2, A3, D2 = _along_ray(law, w)
            B2 = L + D2
        return m, dm, L, A2, A3, B1, B2, C1
    c, scale = law[0, 0], law[0, 1]
    m = _unit_transform(c, w / scale)
    i, S = 1 / m, 1 - c * m
    j = 1 / S
    dm = 1 / (c * j * j - i * i)
    lm, ls, lsm = _log_below(-i), _log_above(S), _log_below(c - i)
    L = lm + (ls + j) / c
    A2 = -m + (j + 2 * ls - S) / c**2
    A3 = -0.5 * m * m + (0.5 * c * c * m * m + 2 * c * m + 3 * ls + j) / c**3
    B1 = i + (1 - 1 / c) * j + j * j / (2 * c) + lsm
    B2 = lm + ls / c + (ls + j) / c + (0.5 * j * j - 2 * j - ls) / c**2
    C1 = 0.5 * i * i + 2 * i + (c + 1) * lsm + (c - 1) * j + (2 * c - 1) * j * j / (2 * c) + j**3 / (3 * c)
    return m / scale, dm / scale**2, L, A2 / scale, A3 / scale**2, B1 * scale, B2, C1 * scale**2


@jit
def spread(kind, law, u, s):
    r"""Return :math:`g = \int d\mu_\star / ((u-z)^2 + s)` and its derivative by s."""
    if kind == ATOMS:
        g, slope = 0.0, 0.0
        for i in range(law.shape[1]):
            inverse = 1 / ((u - law[0, i]) ** 2 + s)
            g += law[1, i] * inverse
            slope -= law[1, i] * inverse * inverse
        return g, slope
    c, scale = law[0, 0], law[0, 1]
    low, high = scale * (1 - math.sqrt(c)) ** 2, scale * (1 + math.sqrt(c)) ** 2
    if s == 0.0:
        if low <= u <= high or (u == 0.0 and c > 1):
            return math.inf, -math.inf
        return -transform(kind, law, complex(u, 0.0))[1].real, -math.inf
    v = math.sqrt(s)
    m, dm = transform(kind, law, complex(u, v))
    g = -m.imag / v
    return g, -(dm.real + g) / (2 * s)


@jit
def height(kind, law, xi, u, guess):
    r"""Return :math:`v^2` of Biane's curve above u: the root of :math:`g(u, v^2) = 1/\xi`, or 0 where there is none.

    :math:`1/g` is increasing and concave in :math:`v^2`, so that Newton's method converges from everywhere.
    """
    if spread(kind, law, u, 0.0)[0] * xi <= 1:
        return 0.0
    s = guess if 0 < guess <= xi else 0.5 * xi
    last = math.inf
    for _ in range(MOST_ITERATIONS):
        g, slope = spread(kind, law, u, s)
        step = g * (1 - xi * g) / slope
        new = s + step
        if not new > 0:
            new = 1e-3 * s
        if new > xi:
            new = xi
        change = abs(new - s)
        # The error after a step is of the order of its square; or steps no longer shrink.
        if change <= 1e-9 * new or new < 1e-300 or (change < 1e-7 * new and change > 0.3 * last):
            return new
        s, last = new, change
    return s


@jit
def position(kind, law, xi, u, guess):
    """Return w on Biane's curve above u, the point x of the real line to which it belongs, and dx/du."""
    s = height(kind, law, xi, u, guess)
    w = complex(u, math.sqrt(s))
    m, dm = transform(kind, law, w)
    A = 1 + xi * dm
    x = u + xi * m.real
    if s == 0.0:
        return w, x, max(A.real, 0.0)
    return w, x, (A.real**2 + A.imag**2) / A.real if A.real > 0 else 0.0


@jit
def _subordinate_bracketed(kind, law, xi, x, guess):
    radius = math.sqrt(xi)
    low, high = x - radius * (1 + 1e-9), x + radius * (1 + 1e-9)
    u = guess.real if low < guess.real < high else x
    w = complex(u, radius)
    for _ in range(MOST_ITERATIONS):
        w, here, slope = position(kind, law, xi, u, w.imag**2)
        if here > x:
            high = u
        else:
            low = u
        if abs(here - x) <= 1e-16 * (abs(x) + radius) or high - low <= 2e-16 * (abs(u) + radius):
            break
        u = u - (here - x) / slope if slope > 0 else 0.5 * (low + high)
        if not low < u < high:
            u = 0.5 * (low + high)
    if w.imag > 0:
        m, dm = transform(kind, law, w)
        step = (w + xi * m - x) / (1 + xi * dm)
        if abs(step) < 0.1 * w.imag:
            w -= step
    return w


@jit
def subordinate(kind, law, xi, x, guess):
    """Return the subordinate w of x, from the `guess` of a neighbouring point or from anywhere."""
    radius = math.sqrt(xi)
    w = guess
    if w.imag > 0:
        for _ in range(8):
            m, dm = transform(kind, law, w)
            step = (w + xi * m - x) / (1 + xi * dm)
            w -= step
            if not w.imag > 0:
                break
            if abs(step) <= 1e-14 * (radius + abs(x)) and abs(step) < 1e-6 * w.imag:
                return w
    return _subordinate_bracketed(kind, law, xi, x, guess)


@jit
def mass_below(kind, law, xi, w):
    """Return the mass of the law below the point whose subordinate is w."""
    m, _, L = primitives(kind, law, xi, w)[:3]
    return -(L + 0.5 * xi * m * m).imag / math.pi


@jit
def quantile(kind, law, xi, mass, low, high, guess):
    """Return the subordinate of a point with the given mass below it, and the point; in a gap any point serves.

    `low` and `high` are the ends of the law without noise.
    """
    radius = math.sqrt(xi)
    low, high = low - 1.01 * radius, high + 1.01 * radius
    u = guess.real if low < guess.real < high else 0.5 * (low + high)
    s = guess.imag**2
    w, x = guess, 0.0
    for _ in range(MOST_ITERATIONS):
        w, x, slope = position(kind, law, xi, u, s)
        s = w.imag**2
        excess = mass_below(kind, law, xi, w) - mass
        if abs(excess) <= 2e-15 or high - low <= 2e-16 * (abs(u) + radius):
            break
        if excess > 0:
            high = u
        else:
            low = u
        rate = slope * w.imag / (math.pi * xi)
        u = u - excess / rate if rate > 0 else 0.5 * (low + high)
        if not low < u < high:
            u = 0.5 * (low + high)
    return w, x


@jit
def integrals_below(kind, law, xi, w):
    """Return over (-inf, b) the integrals of 1, x, x^2, h, x h, and over (b, inf) that of Im m^3, then m; eq. (E8)."""
    m, _, L, A2, A3, B1, B2, C1 = primitives(kind, law, xi, w)
    m2 = m * m
    m3, m4 = m2 * m, m2 * m2
    scale = -1 / math.pi
    N = scale * (L + 0.5 * xi * m2).imag
    M1 = scale * (B1 + xi * A2 / 2 + xi * w * m2 / 2 + xi**2 * m3 / 3).imag
    M2 = scale * (C1 + xi * B2 + xi**2 * A3 / 3 + xi * w * w * m2 / 2 + 2 * xi**2 * w * m3 / 3 + xi**3 * m4 / 4).imag
    H0 = 0.5 * scale * (A2 + xi * m3 / 3).imag
    H1 = 0.5 * scale * (B2 + 2 * xi * A3 / 3 + xi * w * m3 / 3 + xi**2 * m4 / 4).imag
    T = -(A3 + xi * m4 / 4).imag
    return N, M1, M2, H0, H1, T, m
