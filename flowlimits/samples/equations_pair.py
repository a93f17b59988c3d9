"""One step of an explicit pair of order 5(4), whose error the caller measures per unit (compiled part).

Coefficients of Ch. Tsitouras, *Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
assumption*, Computers and Mathematics with Applications 62 (2011) 770-775.  Row ``K[j]`` holds the slope of stage j,
``K[6]`` the slope at the end of the step.
"""

from ..compiled.jit import call_rhs, jit

C = (0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0)
A2 = (-0.008480655492356989, 0.335480655492357)
A3 = (2.8971530571054935, -6.359448489975075, 4.3622954328695815)
A4 = (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525)
A5 = (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383)
B = (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774)
# fmt: off
E = (
    -0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995, -0.1447110071732629,
    0.5823571654525552, -0.45808210592918697, 0.015151515151515152,
)
# fmt: on


@jit
def step(rhs, t, h, y, K, ynew, point, params, work):
    """Write the state after a step of length h to `ynew`; `K[0]` must hold the slope at (t, y).

    `point` is left at the last stage, whose distance from `ynew` measures stiffness.
    """
    n = y.size
    for i in range(n):
        point[i] = y[i] + h * C[1] * K[0, i]
    call_rhs(rhs, t + C[1] * h, point, K[1], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A2[0] * K[0, i] + A2[1] * K[1, i])
    call_rhs(rhs, t + C[2] * h, point, K[2], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A3[0] * K[0, i] + A3[1] * K[1, i] + A3[2] * K[2, i])
    call_rhs(rhs, t + C[3] * h, point, K[3], params, work)
    for i in range(n):
        point[i] = y[i] + h * (A4[0] * K[0, i] + A4[1] * K[1, i] + A4[2] * K[2, i] + A4[3] * K[3, i])
    call_rhs(rhs, t + C[4] * h, point, K[4], params, work)
    for i in range(n):
        slope = A5[0] * K[0, i] + A5[1] * K[1, i] + A5[2] * K[2, i] + A5[3] * K[3, i] + A5[4] * K[4, i]
        point[i] = y[i] + h * slope
    call_rhs(rhs, t + h, point, K[5], params, work)
    for i in range(n):
        slope = B[0] * K[0, i] + B[1] * K[1, i] + B[2] * K[2, i] + B[3] * K[3, i] + B[4] * K[4, i] + B[5] * K[5, i]
        ynew[i] = y[i] + h * slope
