"""Right-hand sides for the tests of batches: networks, and what users may write."""

import numpy as np

import flowlimits as fl
from flowlimits.committee.equations import system


def pendulum(t, y, dy, params, work):
    """Time enters, and functions of the library."""
    dy[0] = y[1]
    dy[1] = -params[0] * np.sin(y[0]) + 0.1 * np.exp(-t) * np.cos(params[1] * t)


def decay(t, y, dy, params, work):
    dy[0] = -params[0] * y[0]


def chain(t, y, dy, params, work):
    """Any number of components; scratch is written before it is read."""
    n = y.size
    for i in range(n):
        left = y[i - 1] if i > 0 else 0.0
        right = y[i + 1] if i < n - 1 else 0.0
        work[i] = left - 2.0 * y[i] + right
    for i in range(n):
        dy[i] = params[0] * work[i] - y[i] ** 3 / (1.0 + params[1])


def switching(t, y, dy, params, work):
    """Parameters decide what is computed."""
    if params[0] > 1.0:
        dy[0] = -y[0]
    elif params[0] < -1.0:
        dy[0] = 1.0 - y[0] * y[0]
    else:
        dy[0] = params[1] - y[0]


def by_sign(t, y, dy, params, work):
    """The state decides: no straight line."""
    if y[0] > 0.0:
        dy[0] = -params[0] * y[0]
    else:
        dy[0] = 1.0


PENDULUM, DECAY, CHAIN, SWITCHING, BY_SIGN = (
    fl.ode.right_hand_side(f) for f in (pendulum, decay, chain, switching, by_sign)
)


def network(number, student, teacher, **physics):
    """Return the right-hand side, starts, parameters and length of scratch of many committees."""
    problems = [fl.Committee.random(student, teacher, dimension=50, rng=i, **physics) for i in range(number)]
    family = system.choose(problems[0])
    y0s = np.array([system.start(problem) for problem in problems])
    params = np.array([system.parameters(problem, float(problem.learning_rate)) for problem in problems])
    return fl.ode.right_hand_side(family.rhs), y0s, params, family.work_size


def random(rhs, number, n, m, work_size=0, scale=1.0):
    """Return random starts and positive parameters."""
    rng = np.random.default_rng(3)
    return rhs, scale * rng.standard_normal((number, n)), rng.uniform(0.2, 2.0, (number, m)), work_size


CASES = {
    "square 2x2": lambda number: network(number, 2, 2),
    "square 4x4": lambda number: network(number, 4, 4),
    "square with noise": lambda number: network(number, 2, 2, learning_rate=0.05, noise=0.1),
    "centred on the sphere": lambda number: network(number, 2, 1, activation="centred"),
    "erf": lambda number: network(number, 2, 2, activation="erf", learning_rate=0.1),
    "polynomial": lambda number: network(number, 2, 2, activation="hermite3"),
    "trained second layer": lambda number: network(number, 2, 2, second_layer_rate=0.5),
    "pendulum": lambda number: random(PENDULUM, number, 2, 2),
    "one component": lambda number: random(DECAY, number, 1, 1),
    "40 components": lambda number: random(CHAIN, number, 40, 2, 40),
    "branches on parameters": lambda number: random(SWITCHING, number, 1, 2),
    "branches on the state": lambda number: random(BY_SIGN, number, 1, 1),
}
