"""Every message of the checks, word for word."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr

from flowlimits.core import checks, streams


def test_numbers_are_floats_and_zero_dimensional_arrays():
    for value in (2, 2.0, np.float32(2), np.int8(2), np.array(2), xr.DataArray(2.0), Fraction(4, 2)):
        result = checks.number("x", value)
        assert type(result) is float
        assert result == 2.0


NUMBER_FAULTS = [
    ("half", {}, TypeError, "Argument `x` must be a number, but is 'half'."),
    (None, {}, TypeError, "Argument `x` must be a number, but is None."),
    (True, {}, TypeError, "Argument `x` must be a number, but is True."),
    (np.True_, {}, TypeError, "Argument `x` must be a number, but is True."),
    (1j, {}, TypeError, "Argument `x` must be a number, but is 1j."),
    ([1.0], {}, TypeError, "Argument `x` must be a number, but is [1.0]."),
    ([[1], [2, 3]], {}, TypeError, "Argument `x` must be a number, but is [[1], [2, 3]]."),
    (Decimal(1), {}, TypeError, "Argument `x` must be a number, but is Decimal('1')."),
    (float("nan"), {}, ValueError, "Argument `x` must be finite, but is nan."),
    (np.inf, {}, ValueError, "Argument `x` must be finite, but is inf."),
    (0, {"positive": True}, ValueError, "Argument `x` must be positive, but is 0.0."),
    (-0.5, {"positive": True}, ValueError, "Argument `x` must be positive, but is -0.5."),
    (-1e-9, {"nonnegative": True}, ValueError, "Argument `x` must not be negative, but is -1e-09."),
    (1, {"below": 1.0}, ValueError, "Argument `x` must be below 1, but is 1.0."),
]


@pytest.mark.parametrize(("value", "options", "kind", "message"), NUMBER_FAULTS)
def test_number_says_what_is_wrong(value, options, kind, message):
    with pytest.raises(kind) as caught:
        checks.number("x", value, **options)
    assert str(caught.value) == message


def test_a_number_too_large_for_a_float_is_not_finite():
    with pytest.raises(ValueError, match=r"^Argument `x` must be finite, but is 1000+\.\.\.\.$"):
        checks.number("x", 10**400)


def test_integers_may_be_numpy_integers():
    for value in (3, np.int64(3), np.uint8(3), np.array(3)):
        result = checks.integer("n", value)
        assert type(result) is int
        assert result == 3
    with pytest.raises(ValueError, match=r"Argument `n` must be at most 9223372036854775807, but is 10+\.$"):
        checks.integer("n", 10**30)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (4.0, TypeError, "Argument `runs` must be a whole number, but is 4.0."),
        (np.float64(4), TypeError, "Argument `runs` must be a whole number, but is 4.0."),
        (True, TypeError, "Argument `runs` must be a whole number, but is True."),
        ("4", TypeError, "Argument `runs` must be a whole number, but is '4'."),
        (0, ValueError, "Argument `runs` must be at least 1, but is 0."),
        (-3, ValueError, "Argument `runs` must be at least 1, but is -3."),
    ],
)
def test_integer_says_what_is_wrong(value, kind, message):
    with pytest.raises(kind) as caught:
        checks.integer("runs", value, minimum=1)
    assert str(caught.value) == message


def test_boolean_takes_only_true_and_false():
    assert checks.boolean("stop", np.True_) is True
    with pytest.raises(TypeError) as caught:
        checks.boolean("stop", 1)
    assert str(caught.value) == "Argument `stop` must be True or False, but is 1."


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sqare", 'Argument `activation` must be one of "square", "centred", but is \'sqare\'; did you mean `square`?'),
        ("zzz", 'Argument `activation` must be one of "square", "centred", but is \'zzz\'.'),
        (["square"], 'Argument `activation` must be one of "square", "centred", but is [\'square\'].'),
    ],
)
def test_choice_names_the_known_and_the_nearest(value, message):
    with pytest.raises(ValueError) as caught:
        checks.choice("activation", value, ("square", "centred"))
    assert str(caught.value) == message


ARRAY_FAULTS = [
    (np.ones((8, 2)), ("p", "p"), ValueError, "Argument `Q` must have shape (p, p), but has shape (8, 2)."),
    (np.ones(3), (4,), ValueError, "Argument `Q` must have shape (4,), but has shape (3,)."),
    (np.ones((2, 3)), ("p", None, 2), ValueError, "Argument `Q` must have shape (p, any, 2), but has shape (2, 3)."),
    ([], None, ValueError, "Argument `Q` must not be empty, but has shape (0,)."),
    ([1.0, np.nan], None, ValueError, "Argument `Q` must be finite, but is nan at index [1]."),
    ([[1, 2], [np.inf, 3]], None, ValueError, "Argument `Q` must be finite, but is inf at index [1, 0]."),
    ([[1], [1, 2]], None, TypeError, "Argument `Q` must be an array of numbers, but is [[1], [1, 2]]."),
    (["1", "2"], None, TypeError, "Argument `Q` must be an array of numbers, but is ['1', '2']."),
    ([1.0, None], None, TypeError, "Argument `Q` must be an array of numbers, but is [1.0, None]."),
    ([1j], None, TypeError, "Argument `Q` must be an array of numbers, but is [1j]."),
    ([True], None, TypeError, "Argument `Q` must be an array of numbers, but is [True]."),
    ({}, None, TypeError, "Argument `Q` must be an array of numbers, but is {}."),
]


@pytest.mark.parametrize(("value", "shape", "kind", "message"), ARRAY_FAULTS)
def test_array_says_what_is_wrong(value, shape, kind, message):
    with pytest.raises(kind) as caught:
        checks.array("Q", value, shape)
    assert str(caught.value) == message


def test_array_returns_an_independent_contiguous_float_array():
    given = np.arange(6, dtype=np.int32).reshape(2, 3).T
    result = checks.array("Q", given, ("a", "b"))
    assert result.dtype == np.float64
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, given)
    np.testing.assert_array_equal(checks.array("Q", [Fraction(1, 2), 1]), [0.5, 1.0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "Argument `times` must hold at least one time, but is empty."),
        ([-1.0, 0.0], "Argument `times` must not be negative, but starts at -1."),
        ([0.0, 1.0, 1.0], "Argument `times` must increase strictly, but repeats 1.0 at index 2."),
        ([0.0, 2.0, 1.5], "Argument `times` must increase strictly, but is not sorted: 1.5 follows 2.0 at index 2."),
        ([[1.0], [2.0]], "Argument `times` must be one-dimensional, but has shape (2, 1)."),
        ([0.0, np.nan], "Argument `times` must be finite, but is nan at index [1]."),
    ],
)
def test_times_say_what_is_wrong(value, message):
    with pytest.raises(ValueError) as caught:
        checks.times(value)
    assert str(caught.value) == message


def test_a_number_is_a_time():
    np.testing.assert_array_equal(checks.times(3), [3.0])


@pytest.mark.parametrize(
    ("rtol", "atol", "message"),
    [
        (0, 0, "Argument `rtol` must be positive, but is 0.0."),
        (1e-16, 0, "Argument `rtol` must lie between 1e-14 and 0.1, but is 1e-16."),
        (0.5, 0, "Argument `rtol` must lie between 1e-14 and 0.1, but is 0.5."),
        (1e-6, -1, "Argument `atol` must not be negative, but is -1.0."),
    ],
)
def test_tolerances_say_what_is_wrong(rtol, atol, message):
    with pytest.raises(ValueError) as caught:
        checks.tolerances(rtol, atol)
    assert str(caught.value) == message


def test_unknown_arguments_get_a_hint_or_an_explanation():
    with pytest.raises(TypeError) as caught:
        checks.unknown_arguments("Model", ["covariance"], ["start"], {"covariance": "inputs are white here."})
    assert str(caught.value) == "Model has no argument `covariance`: inputs are white here."
    with pytest.raises(TypeError) as caught:
        checks.unknown_arguments("Model", ["strat"], ["start"], {})
    assert str(caught.value) == "Model has no argument `strat`; did you mean `start`?"
    with pytest.raises(TypeError) as caught:
        checks.unknown_arguments("Model", ["zzz"], ["start"], {})
    assert str(caught.value) == "Model has no argument `zzz`."


def test_long_values_are_shortened():
    assert checks.show("x" * 100) == "'" + "x" * 56 + "..."


@pytest.mark.parametrize(
    ("rng", "kind", "message"),
    [
        (-1, ValueError, "Argument `rng` must not be negative, but is -1."),
        (1.5, TypeError, "Argument `rng` must be None, a whole number or a numpy Generator, but is 1.5."),
        (True, TypeError, "Argument `rng` must be None, a whole number or a numpy Generator, but is True."),
    ],
)
def test_streams_say_what_is_wrong(rng, kind, message):
    with pytest.raises(kind) as caught:
        streams.root(rng)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "rng", [None, 0, 2**100, np.random.SeedSequence([1, 2], spawn_key=(3,)), np.random.default_rng(5)]
)
def test_a_described_root_gives_the_same_streams(rng):
    root = streams.root(rng)
    again = streams.rebuild(streams.describe(root))
    for one, two in zip(streams.generators(root, 3), streams.generators(again, 3)):
        np.testing.assert_array_equal(one.random(4), two.random(4))


def test_streams_of_runs_are_independent_of_their_number_and_of_earlier_calls():
    root = streams.root(7)
    first = [generator.random() for generator in streams.generators(root, 2)]
    second = [generator.random() for generator in streams.generators(root, 5)]
    assert first == second[:2]
    assert len(set(second)) == 5


def test_a_generator_gives_a_new_root_at_every_call():
    rng = np.random.default_rng(0)
    one, two = streams.root(rng), streams.root(rng)
    assert streams.describe(one) != streams.describe(two)
