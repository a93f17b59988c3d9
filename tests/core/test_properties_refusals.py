"""Whatever is passed where it does not belong is refused in a sentence that names the argument, before any work."""

import contextlib
import functools
import itertools
import math
import sys
import time

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from public_arguments import calls

import flowlimits as fl

CALLS = calls()
NAN, INF = math.nan, math.inf
#: A fresh name, so that no machine's choice of names is met.
WORDS = st.text("abcxyz", min_size=3, max_size=8).map(lambda word: f"{word}?")
ALIENS = st.sampled_from([object(), 1j, {}, b"3", len, xr.Dataset()]) | WORDS
NOT_FINITE = st.sampled_from([NAN, INF, -INF, np.float64(NAN), np.array(NAN), np.float32(INF)])
NEGATIVE = st.floats(max_value=-1e-300, allow_infinity=False)
NO_NUMBER = ALIENS | st.booleans() | st.lists(st.floats(), min_size=1, max_size=3) | st.just("1.0") | st.none()
NO_WHOLE = NO_NUMBER | NOT_FINITE | st.floats(0.5, 1e9) | st.sampled_from([4.0, "3", np.float64(3)])
BROKEN = st.sampled_from([NAN, INF, -INF, None, "a", 1j])
SIZES = st.integers(1, 4)
HURT_VECTOR = st.tuples(st.lists(st.floats(-9, 9), max_size=4), BROKEN).map(lambda pair: [*pair[0], pair[1]])
HURT_MATRIX = st.tuples(SIZES, SIZES, BROKEN).map(lambda t: [[1.0] * t[1]] * t[0] + [[1.0] * (t[1] - 1) + [t[2]]])
CUBES = st.tuples(SIZES, SIZES, SIZES).map(np.ones)
RAGGED = st.sampled_from([[[1.0], [1.0, 2.0]], [[1.0, 2.0], 3.0]])
NO_ARRAY = ALIENS | HURT_MATRIX | CUBES | RAGGED | st.sampled_from([np.zeros((0, 3)), [np.nan] * 2, np.array("text")])
UNSORTED = st.lists(st.floats(0, 9), min_size=2, max_size=5).filter(
    lambda ts: any(a >= b for a, b in itertools.pairwise(ts))
)

FAULTS = {
    "number": NO_NUMBER | NOT_FINITE,
    "positive": NO_NUMBER | NOT_FINITE | NEGATIVE | st.just(0.0),
    "nonnegative": NO_NUMBER | NOT_FINITE | NEGATIVE,
    "tolerance": NO_NUMBER | NOT_FINITE | NEGATIVE | st.floats(0.2, 1e9),
    "count": NO_WHOLE | st.integers(max_value=0),
    "tolerances": ALIENS | st.none() | NOT_FINITE | NEGATIVE | HURT_VECTOR,
    "size": NO_WHOLE | st.integers(max_value=-1),
    "matrix": NO_ARRAY | st.none() | st.floats() | HURT_VECTOR,
    "vector": NO_ARRAY | st.none() | st.floats() | HURT_VECTOR | st.just([]),
    "array": NO_ARRAY,
    "state": NO_ARRAY | st.none() | NOT_FINITE | HURT_VECTOR | st.just([]),
    "times": ALIENS | st.none() | UNSORTED | HURT_VECTOR | NEGATIVE | NOT_FINITE | st.sampled_from([[], [[1.0, 2.0]], [-1.0, 1.0]]),
    "choice": WORDS | st.floats() | st.booleans() | st.sampled_from([[], {}, ("auto",), object(), np.array(["auto", "x"])]),
    "activation": WORDS | st.floats() | st.booleans() | HURT_VECTOR | st.sampled_from([[], [1.0], {}, "x*y", "2", "exp(x)", "x**99", object()]),
    "boolean": st.floats() | st.integers() | WORDS | st.none() | st.sampled_from([[], object(), np.array([True, False])]),
    "rng": NEGATIVE | st.floats() | st.booleans() | WORDS | st.integers(max_value=-1) | st.sampled_from([[1], {}, object()]),
    "progress": st.floats() | st.integers() | WORDS | st.just([]),
    "threads": (NO_WHOLE | st.integers(max_value=0)).filter(lambda value: value is not None),
    "events": WORDS | st.integers() | st.sampled_from([[3], object(), ["risk"], [None]]),
    "observables": WORDS | st.floats() | st.sampled_from([3, [3], [None], {"risk": 1, "x": 2}, object(), [["risk"]], ["nonsense"]]),
    "function": WORDS | st.integers() | st.sampled_from([object(), [], np.sin, len, None]),
    "name": st.integers() | st.sampled_from([None, NAN, [], object(), True]),
    "pair": st.integers() | WORDS | st.sampled_from([[1], (None, None), (np.ones((2, 3)), [NAN, 1.0]), (np.ones((2, 3)), np.ones(5)), np.ones((2, 3))]),
    "widths": st.integers(max_value=0) | st.floats() | st.booleans() | WORDS
    | st.sampled_from([[2, 2], [], [NAN], [[2, 3], [4, 5]], None, object(), [True], ["a"], {}, [2.5], [[2], [3, 4]]]),
    "mapping": st.integers() | WORDS | st.sampled_from([[1], {"nonsense": [1.0, 1.0]}, {"risk": [NAN, 1.0]}, {"risk": "a"}, {"risk": [-1.0, 1.0]}, {3: [1.0]}]),
    "like": st.integers() | WORDS | st.sampled_from([[], object(), NAN]),
    "dataset": st.integers() | WORDS | st.sampled_from([[], object(), np.zeros(3), {}]),
}  # fmt: skip


def _fault(kind):
    if kind.startswith("optional "):
        return FAULTS[kind.removeprefix("optional ")].filter(lambda value: value is not None)
    return FAULTS[kind]


CASES = [(name, argument, kind) for name, (_, _, arguments) in CALLS.items() for argument, kind in arguments.items()]


@functools.cache
def _package():
    return fl.__path__[0]


@pytest.mark.parametrize(("name", "argument", "kind"), CASES, ids=[f"{name}-{argument}" for name, argument, _ in CASES])
def test_misfits_are_refused_by_name(name, argument, kind):
    function, valid, _ = CALLS[name]

    # What runs, threads and a bar need is checked in one place: a few examples for each class tell whether it is asked.
    @settings(max_examples=4 if argument in ("progress", "threads") else 12)
    @given(_fault(kind))
    def refused(value):
        began = time.process_time()
        with pytest.raises((ValueError, TypeError)) as caught:
            function(**valid | {argument: value})
        # Subclasses such as UnicodeError or pydantic's would have passed.
        assert type(caught.value) in (ValueError, TypeError)
        message = str(caught.value)
        assert f"`{argument}" in message, message
        assert message[0].isupper(), message
        assert message.endswith("."), message
        assert time.process_time() - began < 5
        frames = []
        trace = sys.exc_info()[2] or caught.tb
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        assert frames[-1].startswith(_package()), frames[-1]

    # Once untimed: the first call of a process loads modules, and compiles those that no cache holds.
    with contextlib.suppress(ValueError, TypeError):
        function(**valid | {argument: object()})
    refused()
