"""A trace computes what the compiled function computes, to the bit; what might differ is refused."""

import math
import random
from math import atan2, exp

import batch_problems
import numba
import numpy as np
import pytest
from numpy import cos, hypot

import flowlimits as fl
from flowlimits.compiled.jit import jit
from flowlimits.compiled.simd import LANES
from flowlimits.compiled.simd_arrays import TABLE_ROWS, packed, table_of
from flowlimits.gaussian import erf
from flowlimits.ode.batch import operations as line
from flowlimits.ode.batch.generate import compile_program, gives_the_same_bits
from flowlimits.ode.batch.steps import call_traced
from flowlimits.ode.batch.trace import MixedError, UntraceableError, trace
from flowlimits.ode.functions import address_of

RATE = 2.5
TABLE = np.array([0.5, -1.5, 2.0])
SINGLE = np.array([0.5, -1.5, 2.0], dtype=np.float32)
PAIR = (1.5, (2.0, 3))
POWER = 3


@jit
def kink(x):
    return x if x > 0.3 else 0.5 * x


@jit
def kink_of(x, slope):
    return kink(x) + slope * x if x < 1.0 else math.atan2(x, slope)


@jit
def angle(x):
    return atan2(x, 1.0) if x > 0.0 else hypot(x, erf.arcsine(0.1 * x))


@jit
def endless(n):
    return endless(n) + 1.0 if n > 0.0 else n


@jit
def by_module(x):
    return random.random() if x > 0.0 else x


@jit
def cube(x):
    return x**3


@jit
def to_the(x, n):
    return x**n if x > 0.0 else 1.0


@jit
def factorial(n):
    return 1.0 if n <= 1 else n * factorial(n - 1)


@jit
def searching(x):
    while x > 1.0:
        x = 0.5 * x
    return x


@jit
def noisy(x):
    return x * np.random.random() if x > 0.0 else x  # noqa: NPY002


@jit
def looking_up(x):
    return TABLE[0] if x > 0.0 else x


@jit
def fabs_of(values):
    return math.fabs(values[0])


@jit
def norm(values):
    total = 0.0
    for i in range(values.size):
        total += values[i] * values[i]
    return math.sqrt(total)


def pendulum_like(t, y, dy, params, work):
    dy[0] = -np.sin(y[0])


def verify(function, n=3, m=2, work_size=4, number=64, params=None):
    """Check the trace against the compiled function; return its operations."""
    rng = np.random.default_rng(1)
    rhs = fl.ode.right_hand_side(function)
    own = rng.uniform(0.2, 3.0, (number, m)) if params is None else np.array(params, dtype=float)
    program = trace(function, n, own, work_size)
    traced = compile_program(program)
    starts = rng.standard_normal((number, n))
    assert gives_the_same_bits(
        address_of(traced), address_of(rhs.function), (0.0, 2.0), starts, own, program.inputs, work_size
    )
    return program.operations


def refused(function, n=3, m=2, work_size=4, params=None):
    """Return why a function is not traced; it compiles, and lanes call it as it is."""
    fl.ode.right_hand_side(function)
    own = np.full((20, m), 0.5) if params is None else np.array(params, dtype=float)
    with pytest.raises(UntraceableError) as caught:
        trace(function, n, own, work_size)
    return str(caught.value)


# What is traced


def test_functions_of_numbers_have_the_bits_of_compiled_code():
    def every(t, y, dy, params, work):
        a = abs(y[0])
        dy[0] = np.sqrt(a) + np.exp(-a) * np.log(a + 1.0) + np.sin(t) + np.cos(y[1]) + np.tan(y[2]) + math.fabs(y[1])
        dy[1] = np.tanh(y[1]) + np.sinh(0.1 * y[1]) * np.cosh(0.1 * y[2]) + np.arctan(y[0]) + np.abs(y[2])
        small = np.tanh(y[2])
        dy[2] = np.arcsin(small) - np.arccos(small) + np.expm1(small) / np.log1p(a) + math.erf(y[0]) * math.erfc(y[1])
        dy[2] += max(y[0], 0.25) - min(y[1], y[2]) + math.exp(small) - math.asin(small) * math.sqrt(2.0) + math.pi

    assert len(verify(every)) > 30


def test_powers_with_written_exponents_have_the_bits_of_compiled_code():
    def powers(t, y, dy, params, work):
        a = abs(y[0]) + 0.1
        dy[0] = y[0] ** 2 + y[1] ** 3 - y[2] ** 7 + a**-2 + y[1] ** 0 + a**1
        dy[1] = a**0.5 + a**1.5 - a**2.0 + a**-0.5 + a**-1.0 + a**3.0
        dy[2] = a ** params[0] + params[1] ** y[2] + a ** y[1] + params[0] ** params[1] + cube(y[1])

    verify(powers)


def test_arrays_slices_and_matrices_of_scratch_are_traced():
    def arrays(t, y, dy, params, work):
        half = y[1:]
        matrix = work[:4].reshape(2, 2)
        matrix[0] = half
        matrix[1, 0] = 3
        matrix[1, 1] = 2.0 * matrix[0, 0]
        dy[:] = -params[0] * y + y * y / params[1]
        dy[1:] -= TABLE[1:] * half
        dy[0] += matrix[1, 0] / 2 + matrix.T[1, 0] + matrix.shape[0] + half.size + len(y) + norm(y)
        dy += 1.0
        dy[2] *= matrix[1, 0] ** 2 if matrix.ndim == 2 else 1.0

    verify(arrays)


def test_numbers_outside_the_function_are_those_that_were_compiled():
    factor = 0.3

    def inner(t, y, dy, params, work):
        def twice(x):
            return 2 * x

        values = [y[0], RATE * y[1], factor]
        for i, value in enumerate(values):
            dy[i] = value * TABLE[i] + PAIR[1][1] * twice(y[2])

    verify(inner)


def test_names_imported_in_any_way_are_known():
    def imported(t, y, dy, params, work):
        dy[0] = exp(-abs(y[0])) + cos(t) + erf.TWO_OVER_PI * erf.arcsine(0.1 * y[1]) + cos(0.5) + max(1, 2) + abs(-2)
        dy[1] = angle(y[1]) + fabs_of(y)
        dy[2] = +y[2] / np.exp(params[0]) * (params[0] <= params[1]) + (params[0] >= 100.0)

    assert any(
        operation[:2] == ("call", angle.__module__.replace(".", "_") + "_angle")
        for operation in verify(imported, params=np.tile([1.0, 2.0], (64, 1)))
    )


def test_functions_of_whole_arrays_are_taken_one_number_at_a_time():
    def waves(t, y, dy, params, work):
        dy[:] = np.sin(y) - params[0] * np.exp(-y * y)
        dy[1:] += np.abs(y[:2])

    verify(waves)


def test_loops_recursion_and_branches_on_parameters_are_traced():
    def loops(t, y, dy, params, work):
        n = int(params[0])
        total, i = 0.0, 0
        while i < n:
            total += y[0] / (i + 1) * (n // 2) - 7 % n
            i += 1
        dy[0] = total * factorial(n)
        dy[1] = -y[1] if params[1] > 0.5 and 0.0 < params[0] < 9.0 and params[1] != 3.0 else y[1]
        dy[2] = float(params[0]) * (params[0] > 1.0) * y[2]

    verify(loops, params=np.column_stack([np.full(64, 4.0), np.linspace(0.6, 2.0, 64)]))


def test_helpers_with_branches_on_numbers_are_called_as_they_are():
    def kinks(t, y, dy, params, work):
        dy[0] = kink(y[0]) + kink(params[0])
        dy[1] = kink_of(y[1], params[1])
        dy[2] = kink_of(y[2], 0.5)

    operations = verify(kinks)
    assert sum(operation[0] == "call" for operation in operations) == 3


def test_zeros_and_infinities_of_a_users_equations_stay():
    def zeros(t, y, dy, params, work):
        dy[0] = 0.0 * np.log(y[0])
        dy[1] = 1.0 / (0.0 + y[1] * 0.0) - 0.0
        dy[2] = 1.0 / (-0.0 + -(y[2] * y[2]) * 0.0) + 1.0 / (y[2] - -0.0)

    verify(zeros)
    function = compile_program(trace(zeros, 3, np.ones((1, 2)), 0))
    table = np.zeros((3, TABLE_ROWS, LANES))
    table[:, 0] = [[-1.0], [-1.0], [0.0]]

    @jit
    def call(address, t, table, inputs):
        rows = table_of(table)
        call_traced(address, packed(t), rows[0], rows[1], packed(inputs))

    call(function.address, np.zeros((1, LANES)), table, np.zeros((0, LANES)))
    assert np.isnan(table[0, 1]).all()
    assert (table[1, 1] == np.inf).all()  # 0.0 + -0.0 is 0.0
    assert np.isnan(table[2, 1]).all()  # -inf + inf


def test_places_and_numbers_are_not_taken_for_each_other():
    """1 and 1.0 are equal in Python; one is the place of an operation here, and the other a number."""

    def alike(t, y, dy, params, work):
        dy[0] = 1.0 - y[2]
        dy[1] = y[1] - 2.0
        dy[2] = 2.0 - y[1]

    assert len([one for one in verify(alike, m=0, params=np.zeros((64, 0))) if one[0] == "-"]) == 3


def test_what_follows_from_parameters_is_computed_once():
    def mostly_parameters(t, y, dy, params, work):
        dy[0] = y[0] * (np.exp(params[0]) + params[1] ** params[0] / 3.0 - max(params[0], params[1]))

    operations = verify(mostly_parameters, n=1)
    assert sorted(operation[0] for operation in operations) == ["*", "input", "y"]


def test_problems_that_branch_differently_say_so():
    program = batch_problems.switching
    with pytest.raises(MixedError) as caught:
        trace(program, 1, np.array([[2.0, 0.0], [-2.0, 0.0], [3.0, 0.0]]), 0)
    assert caught.value.groups.tolist() == [1, 0, 1]
    with pytest.raises(MixedError):
        trace(program, 1, np.array([[2.0, 0.0], [2.5, 0.0]]), 0, equations=[0])
    assert trace(program, 1, np.array([[2.0, 0.0], [2.5, 1.0]]), 0).inputs.shape == (2, 0)


# What is refused


def test_branches_on_the_state_or_the_time_are_refused():
    def on_state(t, y, dy, params, work):
        dy[0] = y[0] if y[1] > 0.0 else 1.0
        dy[1] = dy[2] = 0.0

    def on_time(t, y, dy, params, work):
        dy[:] = y
        if t > 1.0:
            dy[0] = 0.0

    def on_index(t, y, dy, params, work):
        dy[:] = y
        dy[0] = TABLE[int(abs(y[0])) % 3]

    def as_logic(t, y, dy, params, work):
        dy[:] = y
        dy[0] = (y[0] > 0.0) * y[1]

    for function in (on_state, on_time, on_index, as_logic):
        assert "depends on the state or the time" in refused(function)


def test_sums_and_products_of_whole_arrays_are_refused_because_their_order_is_not_known():
    def by_sum(t, y, dy, params, work):
        dy[:] = np.sum(y) * y

    def by_method(t, y, dy, params, work):
        dy[:] = y.sum() * y

    def by_dot(t, y, dy, params, work):
        dy[:] = np.dot(y, y) * y

    def by_operator(t, y, dy, params, work):
        dy[0] = y @ y
        dy[1] = dy[2] = 0.0

    def by_table(t, y, dy, params, work):
        dy[0] = TABLE @ y
        dy[1] = dy[2] = 0.0

    def by_power(t, y, dy, params, work):
        dy[:] = y**3

    def by_remainder(t, y, dy, params, work):
        dy[:] = y % 2.0

    def by_norm(t, y, dy, params, work):
        dy[:] = np.linalg.norm(y)

    for function in (by_sum, by_method, by_dot, by_operator, by_table, by_power, by_remainder, by_norm):
        assert refused(function)


def test_powers_that_compiled_code_may_take_in_two_ways_are_refused():
    def by_variable(t, y, dy, params, work):
        n = 3
        if params[0] > 100.0:
            n = 2.5  # so n is no whole number in compiled code
        dy[:] = y[0] ** n

    def by_choice(t, y, dy, params, work):
        dy[:] = y[0] ** (3 if params[0] < 100.0 else 2.5)

    def by_count(t, y, dy, params, work):
        dy[:] = abs(y[0]) ** int(params[0] + 2)

    def by_global(t, y, dy, params, work):
        dy[:] = y[0] ** POWER

    def by_function(t, y, dy, params, work):
        dy[:] = math.pow(y[0], 2.0) + pow(y[1], 2)

    def of_a_number(t, y, dy, params, work):
        dy[:] = 2.0 ** y[0]

    def of_parameters(t, y, dy, params, work):
        dy[:] = params[0] ** 2.0 * y[0]

    def large(t, y, dy, params, work):
        dy[:] = y[0] ** 100_000

    for function in (by_variable, by_choice, by_count, by_global, by_function, of_a_number, of_parameters, large):
        assert refused(function)


def test_helpers_that_may_not_end_or_depend_on_more_than_their_numbers_are_refused():
    def by_search(t, y, dy, params, work):
        dy[:] = searching(y[0])

    def by_chance(t, y, dy, params, work):
        dy[:] = noisy(y[0])

    def by_table(t, y, dy, params, work):
        dy[:] = looking_up(y[0])

    def with_whole_number(t, y, dy, params, work):
        dy[:] = to_the(y[0], 2)

    def with_known_number(t, y, dy, params, work):
        dy[:] = to_the(y[0], 2.0)

    def without_end(t, y, dy, params, work):
        dy[:] = endless(y[0])

    def by_module_of_chance(t, y, dy, params, work):
        dy[:] = by_module(y[0])

    for function in (
        by_search,
        by_chance,
        by_table,
        with_whole_number,
        with_known_number,
        without_end,
        by_module_of_chance,
    ):
        assert refused(function)


def test_other_rules_of_arithmetic_are_refused():
    @numba.njit(fastmath=True)
    def loose(x):
        return (x + 1e16) - 1e16

    @numba.njit
    def bent(x):
        return loose(x) if x > 0.0 else x

    def direct(t, y, dy, params, work):
        dy[:] = loose(y[0])

    def within(t, y, dy, params, work):
        dy[:] = bent(y[0])

    assert refused(direct)
    assert refused(within)
    own = numba.cfunc(fl.ode.right_hand_side(pendulum_like).function._sig, fastmath=True)(pendulum_like)
    report = fl.ode.integrate_batch(fl.ode.right_hand_side(own), np.ones((140, 1)), [1.0])[2]
    assert report.operations == 0


def test_random_numbers_single_precision_and_unknown_names_are_refused():
    def by_chance(t, y, dy, params, work):
        dy[:] = y * np.random.random()  # noqa: NPY002

    def single(t, y, dy, params, work):
        dy[:] = y * np.float32(0.1)

    def single_table(t, y, dy, params, work):
        dy[0] = y[0] * SINGLE[0]
        dy[1] = dy[2] = 0.0

    def rounded(t, y, dy, params, work):
        dy[:] = round(y[0], 2)

    def of_a_pair(t, y, dy, params, work):
        dy[:] = y * max((y[0], y[1]))

    def of_a_table(t, y, dy, params, work):
        dy[:] = np.sqrt(np.abs(TABLE)) * y

    def beyond(t, y, dy, params, work):
        dy[:] = y
        dy[0] = hypot(y[0], y[1]) + atan2(y[0], y[1])

    for function in (of_a_pair, of_a_table, beyond):
        assert refused(function)
    assert "`random`" in refused(by_chance)
    assert "`float32`" in refused(single)
    assert refused(single_table)
    assert "`round`" in refused(rounded)


def test_reading_what_was_not_written_is_refused():
    def cached(t, y, dy, params, work):
        if work[0] == 0.0:
            work[0], work[1] = 1.0, np.exp(params[0])
        dy[:] = y * work[1]

    def adding(t, y, dy, params, work):
        for i in range(y.size):
            dy[i] += y[i]

    def forgetful(t, y, dy, params, work):
        dy[0] = y[0]

    def selected(t, y, dy, params, work):
        dy[:] = y * (1.0 if work[0] else 2.0)

    for function in (cached, adding, selected):
        assert "not written" in refused(function)
    assert "Unwritten" in refused(forgetful)


def test_changing_the_state_or_the_parameters_is_refused():
    def state(t, y, dy, params, work):
        y[0] = 0.0
        dy[:] = y

    def state_in_place(t, y, dy, params, work):
        y *= 2.0
        dy[:] = y

    def slice_of_parameters(t, y, dy, params, work):
        own = params[:1]
        own[0] = 1.0
        dy[:] = own[0] * y

    for function in (state, state_in_place, slice_of_parameters):
        assert refused(function)


def test_functions_of_parameters_that_are_not_defined_everywhere_are_refused():
    def root(t, y, dy, params, work):
        dy[:] = math.sqrt(params[0]) * y

    def growth(t, y, dy, params, work):
        dy[:] = y / np.exp(params[0])

    assert refused(root, params=[[1.0, 0.0], [-1.0, 0.0]])
    assert refused(growth, params=[[1.0, 0.0], [1e4, 0.0]])


def test_division_by_a_zero_parameter_is_that_of_compiled_code():
    def ratio(t, y, dy, params, work):
        dy[:] = y / params[0]

    verify(ratio, params=np.column_stack([np.tile([0.0, 1.0], 32), np.ones(64)]))


def test_long_functions_are_refused(monkeypatch):
    def long(t, y, dy, params, work):
        total = y[0]
        for i in range(int(params[0])):
            total = total * y[1] + i
        dy[0] = total
        dy[1] = dy[2] = 0.0

    assert "too many operations" in refused(long, params=[[1e4, 0.0]])
    assert "too many operations" in refused(long, params=[[1e5, 0.0]])
    monkeypatch.setattr(line, "MOST_REPEATED", 100)

    def repeating(t, y, dy, params, work):
        dy[:] = 0.0
        for _ in range(1000):
            dy[0] = y[0] * y[1]

    assert "too many operations" in refused(repeating)


def test_where_libraries_vectorise_functions_their_bits_are_not_promised(monkeypatch):
    def wave(t, y, dy, params, work):
        dy[:] = np.sin(y[0])

    def bent(t, y, dy, params, work):
        dy[:] = kink(y[0])

    def root(t, y, dy, params, work):
        dy[:] = np.sqrt(y[0] * y[0]) - max(y[0], y[1])

    monkeypatch.setattr(line, "rounds_in_vectors", lambda: True)
    assert refused(wave)
    assert refused(bent)
    verify(root)
