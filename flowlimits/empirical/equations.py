r"""Steady state of a quadratic network on finitely many samples: two equations in (xi, q), eqs. (E3)-(E9).

`setting` holds the numbers of one problem, `teacher` the table of its law (see `flowlimits.spectrum.free_convolution`), and `memory` the subordinates of
the last point, from which the next is found; compiled functions write to it and nothing else depends on it.
"""

import math

from ..compiled.jit import jit
from ..spectrum.free_convolution import integrals_below, quantile, subordinate

#: Places in `setting`.
KIND, STUDENT, MEAN, MEAN_SQUARE, LOW, HIGH, NOISE, DECAY = range(8)


@jit
def system(setting, teacher, memory, xi, q):
    """Return width-limited or not, b, and with derivatives by xi and q: response integral J, risk, trace; and the rank N.

    The value is the tuple (limited, b, N, J, J_xi, J_q, risk, risk_xi, risk_q, trace, trace_xi, trace_q, M1, M2).
    """
    kind, kappa = int(setting[KIND]), setting[STUDENT]
    limited = False
    b = q
    w = memory[0]
    if kappa < 1:
        w, b = quantile(kind, teacher, xi, 1 - kappa, setting[LOW], setting[HIGH], memory[1])
        memory[1] = w
        limited = b > q
    if not limited:
        b = q
        w = subordinate(kind, teacher, xi, q, memory[0])
        memory[0] = w
    N_, M1, M2, H0, H1, T, m = integrals_below(kind, teacher, xi, w)
    N = kappa if limited else 1 - N_
    J = 0.5 - H1 + q * H0
    risk = xi + q * q * N + M2 - 4 * xi * (H1 - q * H0)
    if limited:
        h, density = m.real, -m.imag / math.pi
        m3 = (m * m * m).imag
        dH0 = -m3 / (3 * math.pi) - h * h * density
        dH1 = -(b * m3 + T) / (3 * math.pi) - b * h * h * density
        J_xi = dH1 - q * dH0
        risk_xi = -2 * (0.5 - H1) + 4 * J + 4 * xi * J_xi
    else:
        J_xi = -T / (3 * math.pi)
        risk_xi = 2 * (0.5 - H1) + 4 * q * H0 + 4 * xi * J_xi
    J_q = H0
    risk_q = 2 * q * N + 4 * xi * H0
    M1 = setting[MEAN] - M1
    trace = M1 - q * N
    return limited, b, N, J, J_xi, J_q, risk, risk_xi, risk_q, trace, -H0, -N, M1, M2
