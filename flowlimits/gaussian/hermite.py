r"""Moments of polynomials of Gaussian fields, by Wick's theorem in its summed form (compiled part).

A polynomial s of a field of variance q has the coefficients :math:`c_n(q) = \mathbb E\,s^{(n)}(\sqrt q z)`, polynomials in q themselves.
Wick's theorem says that a moment is a sum over the numbers of pairings between each two fields,

.. math:: \mathbb E \prod_a s_a(\lambda_a) = \sum_{n_{ab}} \prod_{a<b} \frac{C_{ab}^{n_{ab}}}{n_{ab}!} \prod_a c^{(a)}_{\sum_b n_{ab}}(C_{aa}),

finite for polynomials, and valid for coinciding fields too.  So one compiled function serves every activation, of every degree: the
activation enters as the table of its c_n.
"""

from ..compiled.jit import jit


@jit
def coefficients(table, at, degree, q, out, start):
    """Write c_0(q), ..., c_degree(q) to ``out[start:]``; row n of the table at `at` holds the powers of q in c_n."""
    columns = degree // 2 + 1
    for n in range(degree + 1):
        value = 0.0
        for m in range((degree - n) // 2, -1, -1):
            value = value * q + table[at + n * columns + m]
        out[start + n] = value


@jit
def slopes(table, at, degree, q, out, start):
    """Write 2 dc_n/dq, which is c_(n+2) for a fixed function, and differs where the function follows its own variance."""
    columns = degree // 2 + 1
    for n in range(degree + 1):
        value = 0.0
        for m in range((degree - n) // 2, 0, -1):
            value = value * q + 2.0 * m * table[at + n * columns + m]
        out[start + n] = value


@jit
def pair(c, first, d, second, terms, x):
    r"""Return :math:`\sum_{n<terms} c_n d_n x^n/n!`, the moment of two fields of covariance x; c and d start at `first` and `second`."""
    total, power = 0.0, 1.0
    for n in range(terms):
        total += c[first + n] * d[second + n] * power
        power *= x / (n + 1.0)
    return total


@jit
def noise_kernel(c, i, j, degree, x, G):
    r"""Write :math:`G_{st} = \sum_n c_{n+s+1}(i)\, c_{n+t+1}(j)\, x^n/n!`, the pairings between the derivatives of two students.

    Parameters
    ----------
    c : ndarray
        Coefficients; those of the two students start at `i` and `j`.
    x : float
        Covariance of the two.
    G : ndarray, flat (degree * degree,)
    """
    for s in range(degree):
        for t in range(degree):
            total, power = 0.0, 1.0
            for n in range(degree - max(s, t)):
                total += c[i + n + s + 1] * c[j + n + t + 1] * power
                power *= x / (n + 1.0)
            G[s * degree + t] = total


@jit
def vanishes(value):
    """Whether a number is zero."""
    return value == 0.0


@jit
def quadratic_form(P, p_at, S, s_at, G, degree):
    r"""Return :math:`\sum P_{\alpha\beta}\, G_{\alpha+\alpha',\beta+\beta'}\, S_{\alpha'\beta'}`, skipping the zeros of even and odd activations."""
    total = 0.0
    for alpha in range(degree):
        for beta in range(degree):
            left = P[p_at + alpha * degree + beta]
            if vanishes(left):
                continue
            row = 0.0
            for alpha_2 in range(degree - alpha):
                g = (alpha + alpha_2) * degree + beta
                s = s_at + alpha_2 * degree
                for beta_2 in range(degree - beta):
                    row += G[g + beta_2] * S[s + beta_2]
            total += left * row
    return total


@jit
def coefficient_rows(table, degree, q, out):
    """Write c_0(q_j), ..., c_degree(q_j) of many variances to the rows of `out`, shape (degree + 1, len(q)); see `coefficients`."""
    columns = degree // 2 + 1
    for n in range(degree + 1):
        row = out[n]
        top = (degree - n) // 2
        first = table[n * columns + top]
        for j in range(q.size):
            row[j] = first
        for m in range(top - 1, -1, -1):
            next_one = table[n * columns + m]
            for j in range(q.size):
                row[j] = row[j] * q[j] + next_one


@jit
def slope_rows(table, degree, q, out):
    """Write 2 dc_n/dq of many variances to the rows of `out`, shape (degree + 1, len(q)); see `slopes`."""
    columns = degree // 2 + 1
    for n in range(degree + 1):
        row = out[n]
        for j in range(q.size):
            row[j] = 0.0
        for m in range((degree - n) // 2, 0, -1):
            next_one = 2.0 * m * table[n * columns + m]
            for j in range(q.size):
                row[j] = row[j] * q[j] + next_one
