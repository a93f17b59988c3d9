r"""One step of the method of order 5 in all lanes, in the order of operations of `tsit5`: the bits are the same (compiled part).

See `lanes_layout` for the board, and `tsit5` for the method and its coefficients.
"""

import numpy as np

from .._jit import jit
from .lanes_control import largest, total
from .lanes_layout import (
    ABSOLUTE,
    ERROR,
    FIFTH,
    FIRST,
    K0,
    K1,
    K2,
    K3,
    K4,
    K5,
    K6,
    LANES,
    LENGTH,
    NEW,
    POINT,
    SECOND,
    SHIFTED,
    STEP,
    T,
    Y,
)
from .lanes_velocity import velocity
from .tsit5 import A2, A3, A4, A5, B, C, E

# fmt: off


@jit
def step(model, lane, board, problems, inputs, params, work, scratch):
    """Write the states after steps of lengths h to NEW; K0 must hold the slopes at (t, Y).

    POINT is left at the last stage, whose distance from NEW measures stiffness.
    """
    y, new, point, length = board[Y], board[NEW], board[POINT], board[LENGTH]
    k0, k1, k2, k3, k4, k5 = board[K0], board[K1], board[K2], board[K3], board[K4], board[K5]
    for i in range(0, y.size, LANES):
        for l in range(LANES):
            length[i + l] = lane[STEP + l]
    for m in range(y.size):
        point[m] = y[m] + length[m] * C[1] * k0[m]
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[1] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k1, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A2[0] * k0[m] + A2[1] * k1[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[2] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k2, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A3[0] * k0[m] + A3[1] * k1[m] + A3[2] * k2[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[3] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k3, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A4[0] * k0[m] + A4[1] * k1[m] + A4[2] * k2[m] + A4[3] * k3[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[4] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k4, problems, inputs, params, work, scratch)
    for m in range(y.size):
        slope = (A5[0] * k0[m] + A5[1] * k1[m] + A5[2] * k2[m] + A5[3] * k3[m] + A5[4] * k4[m])
        point[m] = y[m] + length[m] * slope
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[5] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k5, problems, inputs, params, work, scratch)
    for m in range(y.size):
        slope = (B[0] * k0[m] + B[1] * k1[m] + B[2] * k2[m] + B[3] * k3[m] + B[4] * k4[m] + B[5] * k5[m])
        new[m] = y[m] + length[m] * slope


@jit
def error(lane, board, rtol):
    """Write the largest errors of the steps in units of the tolerance, inf where anything is not finite.

    The row FIFTH is left with one over the scale of every component.
    """
    y, new, absolute, length, inverse = board[Y], board[NEW], board[ABSOLUTE], board[LENGTH], board[FIFTH]
    k0, k1, k2, k3, k4, k5, k6 = board[K0], board[K1], board[K2], board[K3], board[K4], board[K5], board[K6]
    worst, bad = board[FIRST], board[SECOND]
    for m in range(y.size):
        defect = E[0] * k0[m] + E[1] * k1[m] + E[2] * k2[m] + E[3] * k3[m] + E[4] * k4[m]
        defect += E[5] * k5[m] + E[6] * k6[m]
        scale = absolute[m] + rtol * max(abs(y[m]), abs(new[m]))
        inverse[m] = 1.0 / scale
        bad[m] = 0.0 * defect + 0.0 * scale
        worst[m] = abs(length[m] * defect) * inverse[m] if defect != 0.0 else 0.0
    largest(worst)
    total(bad)
    for l in range(LANES):
        lane[ERROR + l] = worst[l] if bad[l] == 0.0 else np.inf
# fmt: on
