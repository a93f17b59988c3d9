"""A trace leaves out what changes no bit: signs, factors of one, and what all problems share."""

from collections import Counter

import numpy as np

import flowlimits as fl
from flowlimits.ode.batch.generate import compile_program, gives_the_same_bits
from flowlimits.ode.batch.trace import trace
from flowlimits.ode.functions import address_of


def verify(function, params=None, starts=None):
    """Check the trace against the compiled function; return its operations."""
    rng = np.random.default_rng(1)
    rhs = fl.ode.right_hand_side(function)
    own = np.ones((64, 2)) if params is None else params
    program = trace(function, 3, own, 0)
    traced = compile_program(program)
    points = rng.standard_normal((64, 3)) if starts is None else starts
    assert gives_the_same_bits(address_of(traced), address_of(rhs.function), (0.0, 2.0), points, own, program.inputs, 0)
    return program.operations


def counts(operations):
    """Return how many operations there are of each kind."""
    return dict(Counter(operation[0] for operation in operations))


def test_sums_and_products_in_the_other_order_are_computed_once():
    def orders(t, y, dy, params, work):
        dy[0] = y[0] * y[1] + y[2]
        dy[1] = y[2] + y[1] * y[0]
        dy[2] = (y[0] - y[1]) / (y[1] - y[0])

    assert counts(verify(orders)) == {"y": 3, "*": 1, "+": 1, "-": 2, "/": 1}


def test_signs_are_taken_up_by_sums_and_products():
    def signs(t, y, dy, params, work):
        a, b, c = -y[0], -y[1], -y[2]
        dy[0] = (a * b) * (y[2] - a) + b / c + (y[0] + b)
        dy[1] = (2.0 * a) * y[1] + (a + y[1]) - (b * y[2]) / 3.0 + (a - b)
        d = -(y[0] * c)
        dy[2] = -d + y[1] - a

    assert counts(verify(signs)) == {"y": 3, "*": 6, "+": 6, "-": 4, "/": 2}


def test_signs_of_zeros_stay_in_a_users_equations():
    def sums(t, y, dy, params, work):
        a, b = -y[0], -y[1]
        dy[0] = 1.0 / (a + b)
        dy[1] = 1.0 / (a - y[1])
        dy[2] = y[2]

    # 1 - 1 is 0.0, but -(-1 + 1) would be -0.0
    assert counts(verify(sums, starts=np.tile([-1.0, 1.0, 0.0], (64, 1))))["neg"] == 1


def test_equal_parameters_of_all_problems_are_one_number_and_ones_are_no_factors():
    def weighted(t, y, dy, params, work):
        for i in range(3):
            dy[i] = params[i] * y[0] * y[1] + params[3] * y[i] - params[4] * y[2] / params[3]

    rng = np.random.default_rng(2)
    weights = np.repeat(rng.uniform(1.0, 2.0, (64, 1)), 5, axis=1)
    assert counts(verify(weighted, weights)) == {"input": 1, "y": 3, "*": 4, "/": 1, "+": 3, "-": 3}
    weights[:, 3], weights[:, 4] = 1.0, -1.0
    assert counts(verify(weighted, weights)) == {"input": 1, "y": 3, "*": 2, "+": 6}
    weights[:, 3:] = 1.0, 0.0
    # infinity times zero is NaN, unless the equations are known
    assert counts(verify(weighted, weights)) == {"input": 2, "y": 3, "*": 3, "+": 3, "-": 3}
    apart = rng.uniform(1.0, 2.0, (64, 5))
    assert counts(verify(weighted, apart))["input"] == 5


def test_one_problem_alone_says_nothing_about_its_parameters():
    def scaled(t, y, dy, params, work):
        for i in range(3):
            dy[i] = params[i] * y[i]

    assert len(trace(scaled, 3, np.ones((1, 3)), 0).operations) == 9
    assert len(trace(scaled, 3, np.ones((2, 3)), 0).operations) == 3


def test_zeros_of_all_problems_are_left_out_where_equations_are_known():
    def coupled(t, y, dy, params, work):
        for i in range(2):
            dy[i] = params[0] * y[i] + params[1] * y[1 - i] + (-y[0] - params[2] * y[1])

    params = np.column_stack([np.linspace(1.0, 2.0, 8), np.zeros(8), np.ones(8), np.ones(8)])
    users = trace(coupled, 2, params, 0)
    assert counts(users.operations) == {"input": 2, "y": 2, "*": 4, "neg": 1, "+": 4, "-": 1}
    own = trace(coupled, 2, params, 0, equations=[3])
    assert counts(own.operations) == {"input": 1, "y": 2, "*": 2, "+": 1, "-": 2}
