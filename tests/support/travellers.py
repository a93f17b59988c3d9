"""Functions that other processes import."""

import flowlimits as fl
from flowlimits.compiled.jit import jit


@fl.ode.right_hand_side
def growth(t, y, dy, params, work):
    dy[0] = y[0]


@fl.ode.event
def late(t, y, params, work):
    return t - 10.0


def end(rhs):
    return float(fl.ode.integrate(rhs, [1.0], [1.0])[1][0, 0])


@jit
def third(params):
    return params[2]
