"""A straight line that was made before is taken again where following the function would give it again, and nowhere else."""

import math
import types

import batch_problems
import numpy as np
import pytest
from batch_problems import CASES

import flowlimits as fl
from flowlimits.compiled.jit import jit
from flowlimits.ode.batch.integrate_batch import solve_batch
from flowlimits.ode.batch.tracing import cache as kept
from flowlimits.ode.batch.tracing import trace as tracing

TIMES = np.array([0.0, 0.3, 1.0])
NUMBER = 140


@pytest.fixture
def followed(monkeypatch):
    """Count how often a function is followed; lines of other tests are put away."""
    calls = []
    plain = tracing.trace

    def counting(function, *arguments, **options):
        calls.append(function.__name__)
        return plain(function, *arguments, **options)

    monkeypatch.setattr(tracing, "trace", counting)
    monkeypatch.setattr(kept, "shelf", kept.Shelf())
    return calls


def check(rhs, y0s, params, work_size=0, straight=True):
    """Integrate, and compare with one problem at a time."""
    _, states, report = fl.ode.integrate_batch(rhs, y0s, TIMES, params, method="dop853", work_size=work_size)
    assert (report.operations > 0) == straight
    own = np.broadcast_to(np.atleast_2d(params), (len(y0s), np.shape(params)[-1]))
    for i in (0, 1, len(y0s) // 2, len(y0s) - 1):
        expected = fl.ode.integrate(rhs, y0s[i], TIMES, own[i], method="dop853", dense=False, work_size=work_size)[1]
        assert np.array_equal(states[i], expected, equal_nan=True)
    return report


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("branches")])
def test_other_parameters_take_the_same_line_with_their_own_inputs(name, followed):
    rhs, y0s, params, work_size = CASES[name](2 * NUMBER)
    check(rhs, y0s[:NUMBER], params[:NUMBER], work_size)
    count = len(followed)
    report = check(rhs, y0s[NUMBER:], params[NUMBER:], work_size)
    assert len(followed) == count
    assert report.operations > 0


def test_many_networks_are_followed_once_for_all_calls_and_blocks(followed, monkeypatch):
    monkeypatch.setattr("flowlimits.committee.many.BLOCK", 150)
    rng = np.random.default_rng(0)
    W, W_star = rng.standard_normal((2, 300, 2, 30))
    fields = {
        "Q": W @ W.transpose(0, 2, 1) / 30,
        "R": W @ W_star.transpose(0, 2, 1) / 30,
        "T": W_star @ W_star.transpose(0, 2, 1) / 30,
    }
    for activation in ("square", "hermite3", "erf"):
        followed.clear()
        for _ in range(3):
            fl.solve_many(fl.Committee, fields | {"activation": activation}, [0.0, 0.1])
        assert len(followed) == 1


def test_shared_and_own_parameters_take_the_same_line(followed):
    y0s = np.random.default_rng(0).standard_normal((NUMBER, 2))
    check(batch_problems.PENDULUM, y0s, [1.3, 0.4])
    check(batch_problems.PENDULUM, y0s, np.tile([0.7, 0.2], (NUMBER, 1)))
    check(batch_problems.PENDULUM, y0s, [0.1, 0.4])
    assert len(followed) == 1


def test_a_parameter_that_decides_a_branch_decides_which_line(followed):
    y0s = np.full((NUMBER, 1), 0.5)
    for value, expected in ((2.0, 1), (1.5, 1), (-2.0, 2), (3.0, 2), (0.0, 3), (-5.0, 3)):
        check(batch_problems.SWITCHING, y0s, [value, 0.3])
        assert len(followed) == expected
    # All three in one batch, and one that two lines are not for.
    check(
        batch_problems.SWITCHING,
        np.full((3 * NUMBER, 1), 0.5),
        np.column_stack([np.tile([2.0, 0.0, -2.0], NUMBER), np.linspace(0, 1, 3 * NUMBER)]),
    )
    assert len(followed) == 3


def test_some_problems_take_a_kept_line_and_the_others_are_followed(followed):
    check(batch_problems.SWITCHING, np.full((NUMBER, 1), 0.5), [2.0, 0.3])
    params = np.column_stack([np.tile([2.0, -2.0], NUMBER), np.linspace(0, 1, 2 * NUMBER)])
    report = check(batch_problems.SWITCHING, np.full((2 * NUMBER, 1), 0.5), params)
    assert len(followed) == 2
    assert report.operations > 0


def test_whole_numbers_and_truths_of_parameters_decide_too(followed):
    @fl.ode.right_hand_side
    def loops(t, y, dy, params, work):
        total = 0.0
        for _ in range(int(params[0])):
            total += y[0]
        if params[1]:
            total *= params[1]
        dy[0] = -total

    y0s = np.linspace(0.5, 1.0, NUMBER)[:, None]
    for values, expected in (
        ((2.0, 1.0), 1),
        ((2.0, 0.5), 1),
        ((3.0, 1.0), 2),
        ((2.0, 0.0), 3),
        ((2.5, 1.0), 4),
        ((3.0, -1.0), 4),
    ):
        check(loops, y0s, list(values))
        assert len(followed) == expected


def test_lengths_of_state_scratch_and_parameters_are_part_of_a_line(followed):
    @fl.ode.right_hand_side
    def lengths(t, y, dy, params, work):
        for i in range(y.size):
            dy[i] = -y[i] * (1.0 + work.size + 0.1 * params.size)

    for n, m, size in ((1, 1, 0), (2, 1, 0), (2, 2, 0), (2, 2, 3)):
        check(lengths, np.ones((NUMBER, n)), [0.5] * m, size)
        check(lengths, np.ones((NUMBER, n)), [0.25] * m, size)
    assert len(followed) == 4


def module_of(text):
    """Return a module made of text, with its own globals."""
    made = types.ModuleType("made")
    vars(made).update(fl=fl, np=np, jit=jit)
    exec(text, vars(made))
    return made


DECAY = "def decay(t, y, dy, params, work):\n    dy[0] = -params[0] * {} * y[0]\n"


@pytest.mark.parametrize(
    ("before", "value", "change"),
    [
        ("RATE = 1.5\n", "RATE", lambda made: setattr(made, "RATE", 2.5)),
        ("RATES = np.array([1.5, 2.0])\n", "RATES[0]", lambda made: made.RATES.__setitem__(0, 2.5)),
        ("PAIR = (np.array([1.5]),)\n", "PAIR[0][0]", lambda made: made.PAIR[0].__setitem__(0, 2.5)),
        (
            "RATE = 1.5\n@jit\ndef rate(x):\n    return x * RATE\n",
            "rate(params[0])",
            lambda made: setattr(made, "RATE", 2.5),
        ),
        (
            "@jit\ndef rate(x):\n    return x * 1.5\n",
            "rate(params[0])",
            lambda made: setattr(made, "rate", jit(lambda x: x * 2.5)),
        ),
    ],
    ids=["number", "array", "array in a tuple", "number of a helper", "helper"],
)
def test_what_changed_outside_a_function_is_seen(before, value, change, followed):
    made = module_of(before + DECAY.format(value))
    rhs = fl.ode.right_hand_side(made.decay)
    y0s = np.ones((NUMBER, 1))
    for rate in (1.0, 2.0):
        check(rhs, y0s, [rate])
    assert len(followed) == 1
    change(made)
    # Compiled code still has the old value, so that a line with the new one is another function.
    check(rhs, y0s, [1.0], straight=False)
    assert len(followed) == 2


def test_what_changed_in_another_module_is_seen(followed):
    other = types.ModuleType("other")
    other.RATE = 1.5
    made = module_of(DECAY.format("other.RATE"))
    made.other = other
    rhs = fl.ode.right_hand_side(made.decay)
    check(rhs, np.ones((NUMBER, 1)), [1.0])
    check(rhs, np.ones((NUMBER, 1)), [1.5])
    assert len(followed) == 1
    other.RATE = 2.5
    check(rhs, np.ones((NUMBER, 1)), [1.0], straight=False)
    assert len(followed) == 2


def test_what_changed_in_a_closure_is_seen(followed):
    def make(rate, slopes):
        @fl.ode.right_hand_side
        def decay(t, y, dy, params, work):
            dy[0] = -params[0] * rate * slopes[0] * y[0]

        return decay

    slopes = np.array([0.5])
    rhs = make(1.5, slopes)
    y0s = np.ones((NUMBER, 1))
    check(rhs, y0s, [1.0])
    check(rhs, y0s, [2.0])
    assert len(followed) == 1
    cell = rhs.function.__wrapped__.__closure__[rhs.function.__wrapped__.__code__.co_freevars.index("rate")]
    cell.cell_contents = 2.5
    check(rhs, y0s, [1.0], straight=False)
    assert len(followed) == 2
    cell.cell_contents = 1.5
    check(rhs, y0s, [1.0])
    slopes[0] = 0.25
    check(rhs, y0s, [1.0], straight=False)
    # The same text with another value is another function.
    check(make(2.5, slopes), y0s, [1.0])


def run(rhs, params, equations=(), instead=None, operations=True):
    """Integrate as callers in the package do, who name equations and functions of their own."""
    states = np.empty((len(params), TIMES.size, 1))
    report = solve_batch(
        rhs, np.ones((len(params), 1)), TIMES, params, states, equations=equations, instead=instead, start=0.0, rtol=1e-8, atol=np.array([1e-10]),
        method="dop853", max_steps=1000, work_size=0, first_step=0.0, max_step=np.inf, threads=1, progress=False,
    )  # fmt: skip
    assert (report.operations > 0) == operations
    return states


def test_parameters_that_are_equations_are_part_of_a_line(followed):
    params = np.empty((NUMBER, 2))
    decay = fl.ode.right_hand_side(module_of(DECAY.format("(1.0 + 1.0 / params[1])")).decay)
    for values, equations, expected in (
        ((0.5, 2.0), [1], 1), ((3.0, 2.0), [1], 1), ((0.5, 4.0), [1], 2), ((0.5, 2.0), [], 3), ((0.5, 2.0), [0, 1], 4), ((3.0, 4.0), [1], 4),
    ):  # fmt: skip
        params[:] = values
        states = run(decay, params, equations)
        assert len(followed) == expected
        assert np.array_equal(states[5], fl.ode.integrate(decay, [1.0], TIMES, values, method="dop853", dense=False)[1])


def test_functions_given_instead_are_part_of_a_line(followed):
    made = module_of("@jit\ndef rate(x):\n    return x * 1.5\n" + DECAY.format("rate(params[0])"))
    rhs = fl.ode.right_hand_side(made.decay)
    params = np.full((NUMBER, 1), 2.0)
    own = {made.rate: lambda x: x * 1.5}
    first = run(rhs, params, instead=own)
    assert np.array_equal(first, run(rhs, params, instead=dict(own)))
    assert len(followed) == 1
    assert np.array_equal(first, run(rhs, params))
    assert len(followed) == 2
    assert np.array_equal(first, run(rhs, params, instead={made.rate: lambda x: x * 2.5}, operations=False))
    assert len(followed) == 3


def test_parameters_where_a_function_is_not_defined_are_followed_anew(followed):
    def decay(t, y, dy, params, work):
        dy[0] = 1.0 / math.log(params[0]) - y[0] / np.exp(params[1])

    rhs = fl.ode.right_hand_side(decay)
    y0s = np.ones((NUMBER, 1))
    check(rhs, y0s, np.column_stack([np.linspace(1.5, 2.0, NUMBER), np.full(NUMBER, 0.5)]))
    check(rhs, y0s, np.column_stack([np.linspace(2.0, 3.0, NUMBER), np.linspace(-1.0, 1.0, NUMBER)]))
    assert len(followed) == 1
    # Python raises there; compiled code goes on with infinity.
    check(rhs, y0s, [0.0, 0.0], straight=False)
    check(rhs, y0s, [4.0, 1000.0], straight=False)
    assert len(followed) == 3
    check(rhs, y0s, [4.0, 1.0])
    assert len(followed) == 3


def test_every_function_of_parameters_has_the_bits_of_the_first_time():
    def all_of_them(t, y, dy, params, work):
        a, b = params[0], params[1]
        work[0] = np.sqrt(a) + np.exp(-b) * np.log(a) - np.tanh(b) / math.erf(a)
        work[1] = max(a, b) * min(a, -b) + abs(-a) + a**b - np.arctan(b)
        work[2] = np.expm1(a) + np.log1p(b) + a**3
        dy[0] = work[0] * y[0] + work[1] * t - work[2]

    params = np.random.default_rng(0).uniform(0.1, 3.0, (1000, 2))
    first, second = (tracing.trace(all_of_them, 1, part, 3, record=kept.Recorder) for part in (params[:3], params))
    inputs, agree = first.recipe.compute(params)
    assert agree.all()
    assert np.array_equal(inputs.view(np.int64), second.inputs.view(np.int64))
    assert inputs.shape == (1000, 3)


def test_a_line_that_lost_its_bits_is_dropped(followed):
    y0s, params = np.ones((NUMBER, 1)), [1.0]
    check(batch_problems.DECAY, y0s, params)
    (line,) = kept.shelf.lines[next(iter(kept.shelf.lines))]
    line.function = other_line()
    check(batch_problems.DECAY, y0s, [2.0], straight=False)
    assert not any(kept.shelf.lines.values())
    check(batch_problems.DECAY, y0s, [2.0])
    assert followed == ["decay", "growth", "decay"]


def other_line():
    """Return a compiled line of another function with one input."""
    from flowlimits.ode.batch.tracing.compile import compile_straight

    def growth(t, y, dy, params, work):
        dy[0] = params[0] * y[0] * y[0]

    return compile_straight(tracing.trace(growth, 1, np.ones((1, 1)), 0))


@pytest.mark.parametrize("equations", [(), (3,)])
def test_what_is_equal_in_one_batch_may_differ_in_the_next(equations, followed):
    @fl.ode.right_hand_side
    def decay(t, y, dy, params, work):
        dy[0] = params[0] * (params[1] - params[2] * y[0]) + params[3] * (params[0] - params[1])

    rng = np.random.default_rng(0)
    some = rng.uniform(0.5, 1.5, NUMBER)
    batches = [
        (np.ones(NUMBER), some, some), (np.ones(NUMBER), some, np.where(np.arange(NUMBER) < 1, 0.7, some)), (-np.ones(NUMBER), some, some), (some, 0 * some, -0.0 * some),
        (np.where(np.arange(NUMBER) > 138, 0.7, 1.0), some, some), (some, -0.0 * some, 0.0 * some), (some, some + 0.1, some + 0.2),
    ]  # fmt: skip
    for columns in batches + batches[::-1]:
        params = np.stack([*columns, np.full(NUMBER, 0.3)], axis=1)
        states = run(decay, params, equations)
        for i in (0, 1, NUMBER - 1):
            expected = fl.ode.integrate(decay, [1.0], TIMES, params[i], method="dop853", dense=False)[1]
            assert np.array_equal(states[i], expected)


def test_no_more_lines_are_kept_than_can_be_looked_through(followed, monkeypatch):
    monkeypatch.setattr(kept, "MOST_LINES", 3)
    monkeypatch.setattr(kept, "MOST_FUNCTIONS", 2)

    def make():
        @fl.ode.right_hand_side
        def loops(t, y, dy, params, work):
            for _ in range(int(params[0])):
                dy[0] = -y[0]

        return loops

    for _ in range(3):
        rhs = make()
        for repeats in (1.0, 2.0, 3.0, 4.0):
            check(rhs, np.ones((NUMBER, 1)), [repeats])
    assert len(kept.shelf.lines) == 2
    assert [len(lines) for lines in kept.shelf.lines.values()] == [3, 3]
