"""One step of the explicit method of order 8 with error estimates of order 5 and 3; its extension of order 7.

Coefficients of Dormand and Prince, as given in E. Hairer, S. P. Norsett, G. Wanner, *Solving Ordinary Differential
Equations I* (Springer, 1993), section II.5 and II.10 (their program DOP853).  Row ``K[j]`` holds the slope of stage j,
``K[12]`` the slope at the end of the step, ``K[13:16]`` the stages that only the continuous extension needs.
"""

import functools

import numpy as np
from numba import types
from numba.extending import overload

from ..compiled.jit import call_rhs, jit
from ..compiled.views import maximum, where
from .dense import defect, evaluate


@functools.singledispatch
def velocity(rhs, t, y, dy, params, work):
    """Write the velocities at time t to `dy`.

    Parameters
    ----------
    rhs : int or tuple of int
        Address of a right-hand side; for all lanes see `batch.steps.call_lanes`.
    t : float or vector
    y, dy : ndarray or vectors
    params, work : ndarray or tuple
        What the right-hand side reads, and its scratch.
    """
    call_rhs(rhs, t, y, dy, params, work)


@overload(velocity, inline="always")
def _velocity(rhs, t, y, dy, params, work):
    if isinstance(rhs, types.Integer):
        return lambda rhs, t, y, dy, params, work: call_rhs(rhs, t, y, dy, params, work)
    return None


#: h |J| that the next step is not to exceed: on the negative real axis steps are stable up to 6.39, on the imaginary up
#: to 5.96.
STABLE = 6.3

# fmt: off
C = (
    0.0, 0.05260015195876773, 0.0789002279381516, 0.1183503419072274, 0.2816496580927726, 0.3333333333333333, 0.25,
    0.3076923076923077, 0.6512820512820513, 0.6, 0.8571428571428571, 1.0, 1.0, 0.1, 0.2, 0.7777777777777778,
)  # nodes of the 12 stages, of the end of the step, and of the extension
A1 = (
    0.05260015195876773,
)
A2 = (
    0.0197250569845379, 0.0591751709536137,
)
A3 = (
    0.02958758547680685, 0.0, 0.08876275643042054,
)
A4 = (
    0.2413651341592667, 0.0, -0.8845494793282861, 0.924834003261792,
)
A5 = (
    0.037037037037037035, 0.0, 0.0, 0.17082860872947386, 0.12546768756682242,
)
A6 = (
    0.037109375, 0.0, 0.0, 0.17025221101954405, 0.06021653898045596, -0.017578125,
)
A7 = (
    0.03709200011850479, 0.0, 0.0, 0.17038392571223998, 0.10726203044637328, -0.015319437748624402,
    0.008273789163814023,
)
A8 = (
    0.6241109587160757, 0.0, 0.0, -3.3608926294469414, -0.868219346841726, 27.59209969944671, 20.154067550477894,
    -43.48988418106996,
)
A9 = (
    0.47766253643826434, 0.0, 0.0, -2.4881146199716677, -0.590290826836843, 21.230051448181193, 15.279233632882423,
    -33.28821096898486, -0.020331201708508627,
)
A10 = (
    -0.9371424300859873, 0.0, 0.0, 5.186372428844064, 1.0914373489967295, -8.149787010746927, -18.52006565999696,
    22.739487099350505, 2.4936055526796523, -3.0467644718982196,
)
A11 = (
    2.273310147516538, 0.0, 0.0, -10.53449546673725, -2.0008720582248625, -17.9589318631188, 27.94888452941996,
    -2.8589982771350235, -8.87285693353063, 12.360567175794303, 0.6433927460157636,
)
B = (
    0.054293734116568765, 0.0, 0.0, 0.0, 0.0, 4.450312892752409, 1.8915178993145003, -5.801203960010585,
    0.3111643669578199, -0.1521609496625161, 0.20136540080403034, 0.04471061572777259,
)
A13 = (
    0.056167502283047954, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25350021021662483, -0.2462390374708025, -0.12419142326381637,
    0.15329179827876568, 0.00820105229563469, 0.007567897660545699, -0.008298,
)
A14 = (
    0.03183464816350214, 0.0, 0.0, 0.0, 0.0, 0.028300909672366776, 0.053541988307438566, -0.05492374857139099, 0.0,
    0.0, -0.00010834732869724932, 0.0003825710908356584, -0.00034046500868740456, 0.1413124436746325,
)
A15 = (
    -0.42889630158379194, 0.0, 0.0, 0.0, 0.0, -4.697621415361164, 7.683421196062599, 4.06898981839711,
    0.3567271874552811, 0.0, 0.0, 0.0, -0.0013990241651590145, 2.9475147891527724, -9.15095847217987,
)
E5 = (
    0.01312004499419488, 0.0, 0.0, 0.0, 0.0, -1.2251564463762044, -0.4957589496572502, 1.6643771824549864,
    -0.35032884874997366, 0.3341791187130175, 0.08192320648511571, -0.022355307863886294,
)  # weights of the error of order 5
E3 = (
    0.244094488188976377952755905512, 0.733846688281611857341361741547, 0.0220588235294117647058823529412,
)  # weights of K[0], K[8] and K[11] in the difference between the step and the method of order 3
D0 = (
    -8.428938276109013, 0.0, 0.0, 0.0, 0.0, 0.5667149535193777, -3.0689499459498917, 2.38466765651207,
    2.117034582445028, -0.871391583777973, 2.2404374302607883, 0.6315787787694688, -0.08899033645133331,
    18.148505520854727, -9.194632392478356, -4.436036387594894,
)
D1 = (
    10.427508642579134, 0.0, 0.0, 0.0, 0.0, 242.28349177525817, 165.20045171727028, -374.5467547226902,
    -22.113666853125306, 7.733432668472264, -30.674084731089398, -9.332130526430229, 15.697238121770845,
    -31.139403219565178, -9.35292435884448, 35.81684148639408,
)
D2 = (
    19.985053242002433, 0.0, 0.0, 0.0, 0.0, -387.0373087493518, -189.17813819516758, 527.8081592054236,
    -11.57390253995963, 6.8812326946963, -1.0006050966910838, 0.7777137798053443, -2.778205752353508,
    -60.19669523126412, 84.32040550667716, 11.99229113618279,
)
D3 = (
    -25.69393346270375, 0.0, 0.0, 0.0, 0.0, -154.18974869023643, -231.5293791760455, 357.6391179106141,
    93.40532418362432, -37.45832313645163, 104.0996495089623, 29.8402934266605, -43.53345659001114,
    96.32455395918828, -39.17726167561544, -149.72683625798564,
)


@jit
def stages(rhs, t, h, y, K, point, params, work):
    """Write the slopes of a step of length h to `K[1:12]`; `K[0]` must hold the slope at (t, y).

    `point` is left at the last stage, whose distance from the state after the step measures stiffness.
    """
    n = len(y)
    for i in range(n):
        point[i] = y[i] + h * A1[0] * K[0, i]
    velocity(rhs, t + C[1] * h, point, K[1], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A2[0] * K[0, i] + A2[1] * K[1, i])
    velocity(rhs, t + C[2] * h, point, K[2], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A3[0] * K[0, i] + A3[2] * K[2, i])
    velocity(rhs, t + C[3] * h, point, K[3], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A4[0] * K[0, i] + A4[2] * K[2, i] + A4[3] * K[3, i])
    velocity(rhs, t + C[4] * h, point, K[4], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A5[0] * K[0, i] + A5[3] * K[3, i] + A5[4] * K[4, i])
    velocity(rhs, t + C[5] * h, point, K[5], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A6[0] * K[0, i] + A6[3] * K[3, i] + A6[4] * K[4, i] + A6[5] * K[5, i])
    velocity(rhs, t + C[6] * h, point, K[6], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A7[0] * K[0, i] + A7[3] * K[3, i] + A7[4] * K[4, i] + A7[5] * K[5, i]
            + A7[6] * K[6, i])
    velocity(rhs, t + C[7] * h, point, K[7], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A8[0] * K[0, i] + A8[3] * K[3, i] + A8[4] * K[4, i] + A8[5] * K[5, i]
            + A8[6] * K[6, i] + A8[7] * K[7, i])
    velocity(rhs, t + C[8] * h, point, K[8], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A9[0] * K[0, i] + A9[3] * K[3, i] + A9[4] * K[4, i] + A9[5] * K[5, i]
            + A9[6] * K[6, i] + A9[7] * K[7, i] + A9[8] * K[8, i])
    velocity(rhs, t + C[9] * h, point, K[9], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A10[0] * K[0, i] + A10[3] * K[3, i] + A10[4] * K[4, i] + A10[5] * K[5, i]
            + A10[6] * K[6, i] + A10[7] * K[7, i] + A10[8] * K[8, i] + A10[9] * K[9, i])
    velocity(rhs, t + C[10] * h, point, K[10], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A11[0] * K[0, i] + A11[3] * K[3, i] + A11[4] * K[4, i] + A11[5] * K[5, i]
            + A11[6] * K[6, i] + A11[7] * K[7, i] + A11[8] * K[8, i] + A11[9] * K[9, i] + A11[10] * K[10, i])
    velocity(rhs, t + C[11] * h, point, K[11], params, work)


@jit
def end(h, y, K, ynew):
    """Write the state after the step to `ynew`."""
    for i in range(len(y)):
        ynew[i] = y[i] + h * (B[0] * K[0, i] + B[5] * K[5, i] + B[6] * K[6, i] + B[7] * K[7, i] + B[8] * K[8, i]
            + B[9] * K[9, i] + B[10] * K[10, i] + B[11] * K[11, i])


@jit
def extension(rhs, t, h, y, K, ynew, point, dense, params, work):
    """Write the continuous extension (8 rows in nested form) to `dense`; costs three evaluations."""
    n = y.size
    for i in range(n):
        point[i] = y[i] + h * (A13[0] * K[0, i] + A13[6] * K[6, i] + A13[7] * K[7, i] + A13[8] * K[8, i]
            + A13[9] * K[9, i] + A13[10] * K[10, i] + A13[11] * K[11, i] + A13[12] * K[12, i])
    call_rhs(rhs, t + C[13] * h, point, K[13], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A14[0] * K[0, i] + A14[5] * K[5, i] + A14[6] * K[6, i] + A14[7] * K[7, i]
            + A14[10] * K[10, i] + A14[11] * K[11, i] + A14[12] * K[12, i] + A14[13] * K[13, i])
    call_rhs(rhs, t + C[14] * h, point, K[14], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A15[0] * K[0, i] + A15[5] * K[5, i] + A15[6] * K[6, i] + A15[7] * K[7, i]
            + A15[8] * K[8, i] + A15[12] * K[12, i] + A15[13] * K[13, i] + A15[14] * K[14, i])
    call_rhs(rhs, t + C[15] * h, point, K[15], params, work)
    for i in range(n):
        rise = ynew[i] - y[i]
        dense[0, i] = y[i]
        dense[1, i] = rise
        dense[2, i] = h * K[0, i] - rise
        dense[3, i] = 2 * rise - h * (K[12, i] + K[0, i])
        dense[4, i] = h * (D0[0] * K[0, i] + D0[5] * K[5, i] + D0[6] * K[6, i] + D0[7] * K[7, i] + D0[8] * K[8, i]
            + D0[9] * K[9, i] + D0[10] * K[10, i] + D0[11] * K[11, i] + D0[12] * K[12, i] + D0[13] * K[13, i]
            + D0[14] * K[14, i] + D0[15] * K[15, i])
        dense[5, i] = h * (D1[0] * K[0, i] + D1[5] * K[5, i] + D1[6] * K[6, i] + D1[7] * K[7, i] + D1[8] * K[8, i]
            + D1[9] * K[9, i] + D1[10] * K[10, i] + D1[11] * K[11, i] + D1[12] * K[12, i] + D1[13] * K[13, i]
            + D1[14] * K[14, i] + D1[15] * K[15, i])
        dense[6, i] = h * (D2[0] * K[0, i] + D2[5] * K[5, i] + D2[6] * K[6, i] + D2[7] * K[7, i] + D2[8] * K[8, i]
            + D2[9] * K[9, i] + D2[10] * K[10, i] + D2[11] * K[11, i] + D2[12] * K[12, i] + D2[13] * K[13, i]
            + D2[14] * K[14, i] + D2[15] * K[15, i])
        dense[7, i] = h * (D3[0] * K[0, i] + D3[5] * K[5, i] + D3[6] * K[6, i] + D3[7] * K[7, i] + D3[8] * K[8, i]
            + D3[9] * K[9, i] + D3[10] * K[10, i] + D3[11] * K[11, i] + D3[12] * K[12, i] + D3[13] * K[13, i]
            + D3[14] * K[14, i] + D3[15] * K[15, i])


@jit
def end_and_error(h, y, K, ynew, rtol, atol, weights):
    """Write the state after the step to `ynew`; return its largest error in units of the tolerance, inf if anything is not finite.

    `weights` are left at one over the tolerances.
    """
    worst5 = worst3 = bad = 0.0 * h
    for i in range(len(y)):
        slope = (B[0] * K[0, i] + B[5] * K[5, i] + B[6] * K[6, i] + B[7] * K[7, i] + B[8] * K[8, i]
            + B[9] * K[9, i] + B[10] * K[10, i] + B[11] * K[11, i])
        three = slope - (E3[0] * K[0, i] + E3[1] * K[8, i] + E3[2] * K[11, i])
        five = (E5[0] * K[0, i] + E5[5] * K[5, i] + E5[6] * K[6, i] + E5[7] * K[7, i] + E5[8] * K[8, i]
            + E5[9] * K[9, i] + E5[10] * K[10, i] + E5[11] * K[11, i])
        new = y[i] + h * slope
        ynew[i] = new
        weight = 1.0 / (atol[i] + rtol * maximum(abs(y[i]), abs(new)))
        weights[i] = weight
        # Differences, because they take less time than products; `three` is made of the same terms as `new`.
        bad = bad + (five - five) + (new - new)
        # Without a tolerance, components without an error do not count.
        worst5 = maximum(worst5, where(five != 0.0, abs(five) * weight, 0.0))
        worst3 = maximum(worst3, where(three != 0.0, abs(three) * weight, 0.0))
    ratio = worst3 / worst5
    result = abs(h) * worst5 / np.sqrt(1 + 0.01 * ratio * ratio)
    fine = bad + 0.0 * ratio + 0.0 * result == 0.0
    return where((worst5 == 0.0) & (bad == 0.0), 0.0, where(fine, result, np.inf))
# fmt: on


@jit
def fast_motion(h, K, ynew, point, weights):
    """Return an estimate of the error in fast motion, in units of the tolerance, and h |J|, 0 if it is not known.

    The last stage and the end of the step belong to the same time, so that the quotient of the differences of slopes and
    of states gives the Jacobian in one direction: that of the fastest motion that is there, in which stages differ most.

    For y' = lambda y the estimate of order 5 vanishes at h lambda = -5.654, -23.265 and -3.033 +- 5.112 i, where the step
    is wrong by 0.25, 3100 and 0.15 of y; the last stage does not agree with the end of the step there.  What is slow
    drops out: a mode of speed |lambda| enters by its difference of states times h |lambda| - 0.5, so that the estimate
    is below zero where nothing is fast.  Where the other estimate can be trusted, this one is less.
    """
    slope, distance = 0.0 * h, 0.0 * h
    for i in range(len(ynew)):
        # Components without any tolerance do not count.
        weight = where(weights[i] < np.inf, weights[i], 0.0)
        slope = maximum(slope, abs(K[12, i] - K[11, i]) * weight)
        distance = maximum(distance, abs(ynew[i] - point[i]) * weight)
    return 0.005 * (h * slope - 0.5 * distance), where(distance > 0.0, h * slope / distance, 0.0)


@jit
def extension_error(rhs, t, h, y, K, ynew, point, dense, rtol, atol, params, work):
    """Return an estimate of the largest error of the continuous extension, in units of the tolerance.

    It is a fifth of the defect at theta = 0.7, where the defect is large for all problems tried: the largest error
    over the step was between 0.11 and 0.46 of it, and 0.13 in the median.  Costs one evaluation.
    """
    evaluate(dense, 8, 0.7, point)
    call_rhs(rhs, t + 0.7 * h, point, K[13], params, work)
    return 0.2 * defect(dense, 8, 0.7, K[13], y, ynew, h, rtol, atol)
