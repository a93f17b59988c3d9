"""Traces of the package's own equations are found again; a user's function is traced in each call."""

import types

import numpy as np
import pytest

from flowlimits.ode.batch import trace


def decay(t, y, dy, params, work):
    dy[0] = -params[0] * y[0]


@pytest.fixture
def traced(monkeypatch):
    """Count traces."""
    calls = []
    plain = trace.trace

    def counting(function, *arguments, **options):
        calls.append(function.__name__)
        return plain(function, *arguments, **options)

    monkeypatch.setattr(trace, "trace", counting)
    monkeypatch.setattr(trace, "_traces", trace.OrderedDict())
    return calls


def of_the_package():
    function = types.FunctionType(decay.__code__, {}, "decay")
    function.__module__ = "flowlimits.toy.equations"
    return function


def test_equal_parameters_and_lengths_are_found_again(traced):
    function, params = of_the_package(), np.linspace(0.5, 1.0, 5)[:, None]
    first = trace.cached_trace(function, 1, params, 0, (), {})
    assert trace.cached_trace(function, 1, params.copy(), 0, (), {}) is first
    assert len(traced) == 1
    others = [
        (1, 2 * params, 0, (), {}),
        (1, params[:4], 0, (), {}),
        (1, params, 3, (), {}),
        (1, np.ones((5, 1)), 0, (0,), {}),
    ]
    for count, other in enumerate(others, start=2):
        trace.cached_trace(function, *other)
        assert len(traced) == count


def test_a_users_function_is_traced_in_each_call(traced):
    for _ in range(2):
        trace.cached_trace(decay, 1, np.ones((1, 1)), 0, (), {})
    assert traced == ["decay", "decay"]


def test_no_more_traces_are_remembered_than_said(traced, monkeypatch):
    monkeypatch.setattr(trace, "MOST", 2)
    function = of_the_package()
    for rate in (1.0, 2.0, 3.0, 1.0, 3.0):
        trace.cached_trace(function, 1, np.full((1, 1), rate), 0, (), {})
    assert len(trace._traces) == 2
    assert len(traced) == 4
