"""Wide numbers: every lane has the bits of the same calculation on single numbers."""

import math

import numpy as np
import pytest

from flowlimits.compiled.jit import jit
from flowlimits.compiled.simd import LANES, each, holds, maximum, minimum, spread, where
from flowlimits.compiled.simd_arrays import TABLE_ROWS, address_of_numbers, numbers_at, packed, table_of, tail

SPECIAL = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-308, 1e308, 3.0]
FIRST, SECOND = (np.array(one, dtype=float).ravel() for one in np.meshgrid(SPECIAL, SPECIAL))
FIRST, SECOND = (np.resize(one, (-(-one.size // LANES), LANES)) for one in (FIRST, SECOND))


def same(first, second):
    signs = [np.signbit(one) & ~np.isnan(one) for one in (first, second)]
    return np.array_equal(first, second, equal_nan=True) and np.array_equal(*signs)


@jit
def arithmetic(a, b):
    total = (a + b + 2 * a) * (b - 1)
    return total / 3.0 - (-a) + a * b / (a + 0.5) + 1.0 / b


@jit
def functions(a, b):
    return abs(a - b) + np.sqrt(abs(b)) + math.fabs(a) * math.sqrt(b)


@jit
def choices(a, b):
    low, high = minimum(a, b), maximum(a, b)
    mixed = where((a < b) | (a == b) & (b >= 0.0), low, maximum(high, 0.25))
    return where(a != a, mixed, where((b > 2.0) & (a <= 1.0), 7.0, minimum(2.0, b)))


@jit
def calls(a, b):
    return each(math.erf, a) + each(math.hypot, a, b) + each(math.exp, minimum(b, 2.0)) + each(pow, abs(a), 0.2)


@jit
def on_rows(function, a, b, out):
    first, second, result = packed(a), packed(b), packed(out)
    for i in range(len(first)):
        result[i] = function(first[i], second[i])


@pytest.mark.parametrize("function", [arithmetic, functions, choices, calls])
def test_every_lane_has_the_bits_of_single_numbers(function):
    out = np.empty_like(FIRST)
    on_rows(function, FIRST, SECOND, out)

    @jit
    def singly(a, b):
        return function(a, b)

    # Compiled: Python itself refuses a division by zero.
    expected = np.array([singly(a, b) for a, b in zip(FIRST.ravel(), SECOND.ravel())]).reshape(out.shape)
    assert same(out, expected)


@jit
def share(board, line, out):
    rows, wide = table_of(board), packed(line)
    y, shifted = rows[1], tail(rows, 2)
    for i in range(len(y)):
        shifted[0][i] = y[i] + rows[0, i]
        shifted[1][i, 3] = y[i, 2]
    out[0] = len(tail(wide, 1))
    out[1] = tail(wide, 1)[0, 4]
    out[2] = 1.0 if holds(wide[0] > 0.5) else 0.0
    out[3] = 1.0 if holds(wide[0] > 2.0) else 0.0
    numbers_at(address_of_numbers(out), 2, 3)[1, 1] = 9.0
    wide[1] = spread(2.5)


def test_rows_are_views_of_the_board():
    rng = np.random.default_rng(0)
    board, line, out = rng.normal(size=(5, TABLE_ROWS, LANES)), np.zeros((2, LANES)), np.zeros(6)
    line[0, 6], line[1, 4] = 1.0, 4.0
    before = board.copy()
    share(board, line, out)
    assert np.array_equal(board[:, 2], before[:, 1] + before[:, 0])
    assert np.array_equal(board[:, 3, 3], before[:, 1, 2])
    untouched = [row for row in range(TABLE_ROWS) if row not in (2, 3)]
    assert np.array_equal(board[:, untouched], before[:, untouched])
    assert out.tolist() == [2.0, 4.0, 1.0, 0.0, 9.0, 0.0]
    assert (line[1] == 2.5).all()
