r"""One step of the method of order 8 in all lanes, in the order of operations of `dop853`: the bits are the same (compiled part).

See `lanes_layout` for the board, and `dop853` for the method and its coefficients.
"""

import numpy as np

from .._jit import jit
from .dop853 import A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, E3, E5, B, C
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
    K7,
    K8,
    K9,
    K10,
    K11,
    LANES,
    LENGTH,
    NEW,
    POINT,
    SECOND,
    SHIFTED,
    STEP,
    THIRD,
    T,
    Y,
)
from .lanes_velocity import velocity

# fmt: off


@jit
def step(model, lane, board, problems, inputs, params, work, scratch):
    """Write the states after steps of lengths h to NEW; K0 must hold the slopes at (t, Y).

    POINT is left at the last stage, whose distance from NEW measures stiffness.
    """
    y, new, point, length = board[Y], board[NEW], board[POINT], board[LENGTH]
    k0, k1, k2, k3, k4, k5 = board[K0], board[K1], board[K2], board[K3], board[K4], board[K5]
    k6, k7, k8, k9, k10, k11 = board[K6], board[K7], board[K8], board[K9], board[K10], board[K11]
    for i in range(0, y.size, LANES):
        for l in range(LANES):
            length[i + l] = lane[STEP + l]
    for m in range(y.size):
        point[m] = y[m] + length[m] * A1[0] * k0[m]
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[1] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k1, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A2[0] * k0[m] + A2[1] * k1[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[2] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k2, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A3[0] * k0[m] + A3[2] * k2[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[3] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k3, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A4[0] * k0[m] + A4[2] * k2[m] + A4[3] * k3[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[4] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k4, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A5[0] * k0[m] + A5[3] * k3[m] + A5[4] * k4[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[5] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k5, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A6[0] * k0[m] + A6[3] * k3[m] + A6[4] * k4[m] + A6[5] * k5[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[6] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k6, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A7[0] * k0[m] + A7[3] * k3[m] + A7[4] * k4[m] + A7[5] * k5[m] + A7[6] * k6[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[7] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k7, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A8[0] * k0[m] + A8[3] * k3[m] + A8[4] * k4[m] + A8[5] * k5[m] + A8[6] * k6[m]
            + A8[7] * k7[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[8] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k8, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A9[0] * k0[m] + A9[3] * k3[m] + A9[4] * k4[m] + A9[5] * k5[m] + A9[6] * k6[m]
            + A9[7] * k7[m] + A9[8] * k8[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[9] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k9, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A10[0] * k0[m] + A10[3] * k3[m] + A10[4] * k4[m] + A10[5] * k5[m]
            + A10[6] * k6[m] + A10[7] * k7[m] + A10[8] * k8[m] + A10[9] * k9[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[10] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k10, problems, inputs, params, work, scratch)
    for m in range(y.size):
        point[m] = y[m] + length[m] * (A11[0] * k0[m] + A11[3] * k3[m] + A11[4] * k4[m] + A11[5] * k5[m]
            + A11[6] * k6[m] + A11[7] * k7[m] + A11[8] * k8[m] + A11[9] * k9[m] + A11[10] * k10[m])
    for l in range(LANES):
        lane[SHIFTED + l] = lane[T + l] + C[11] * lane[STEP + l]
    velocity(model, lane, SHIFTED, point, k11, problems, inputs, params, work, scratch)
    for m in range(y.size):
        new[m] = y[m] + length[m] * (B[0] * k0[m] + B[5] * k5[m] + B[6] * k6[m] + B[7] * k7[m] + B[8] * k8[m]
            + B[9] * k9[m] + B[10] * k10[m] + B[11] * k11[m])


@jit
def error(lane, board, rtol):
    """Write the largest errors of the steps in units of the tolerance, inf where anything is not finite.

    The row FIFTH is left with one over the scale of every component.
    """
    y, new, absolute = board[Y], board[NEW], board[ABSOLUTE]
    k0, k5, k6, k7, k8, k9, k10, k11 = board[K0], board[K5], board[K6], board[K7], board[K8], board[K9], board[K10], board[K11]
    five, three, bad, inverse = board[FIRST], board[SECOND], board[THIRD], board[FIFTH]
    for m in range(y.size):
        fifth = (E5[0] * k0[m] + E5[5] * k5[m] + E5[6] * k6[m] + E5[7] * k7[m] + E5[8] * k8[m] + E5[9] * k9[m]
            + E5[10] * k10[m] + E5[11] * k11[m])
        third = (E3[0] * k0[m] + E3[5] * k5[m] + E3[6] * k6[m] + E3[7] * k7[m] + E3[8] * k8[m] + E3[9] * k9[m]
            + E3[10] * k10[m] + E3[11] * k11[m])
        scale = absolute[m] + rtol * max(abs(y[m]), abs(new[m]))
        inverse[m] = 1.0 / scale
        bad[m] = 0.0 * fifth + 0.0 * third + 0.0 * new[m] + 0.0 * scale
        five[m] = abs(fifth) * inverse[m] if fifth != 0.0 else 0.0
        three[m] = abs(third) * inverse[m] if third != 0.0 else 0.0
    largest(five)
    largest(three)
    total(bad)
    for l in range(LANES):
        ratio = three[l] / five[l]
        result = abs(lane[STEP + l]) * five[l] / np.sqrt(1 + 0.01 * ratio * ratio)
        failed = bad[l] != 0.0 or not np.isfinite(ratio) or not np.isfinite(result)
        lane[ERROR + l] = (0.0 if five[l] == 0.0 else np.inf if failed else result) if bad[l] == 0.0 else np.inf
# fmt: on
