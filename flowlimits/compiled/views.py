"""Choices between numbers, and matrices on the scratch array (compiled part).

The choices are words that serve one problem and all SIMD lanes alike: `simd`, which only batches load, defines the same functions
for vectors of one number per lane.  A slice that is reshaped counts references and checks shapes, which takes longer than the matrix
algebra of a narrow network; a view built directly takes nothing.
"""

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array

from .jit import A1, A2


def maximum(first, second):
    """Return ``max(first, second)`` in every lane."""
    return np.where(second > first, second, first)[()]


def minimum(first, second):
    """Return ``min(first, second)`` in every lane."""
    return np.where(second < first, second, first)[()]


def where(condition, this, other):
    """Return `this` in the lanes where the condition holds, `other` elsewhere; also of single numbers."""
    return np.where(condition, this, other)[()]


@overload(maximum)
def _maximum(first, second):
    if isinstance(first, types.Float) and isinstance(second, types.Float):
        return lambda first, second: second if second > first else first
    return None


@overload(minimum)
def _minimum(first, second):
    if isinstance(first, types.Float) and isinstance(second, types.Float):
        return lambda first, second: second if second < first else first
    return None


@overload(where)
def _where(condition, this, other):
    if isinstance(condition, types.Boolean):
        return lambda condition, this, other: this if condition else other
    return None


def matrix(work, at, rows, columns):
    """Return `rows` x `columns` numbers of the one-dimensional array `work`, from place `at` on, as a matrix; not checked."""
    return work[at : at + rows * columns].reshape(rows, columns)


def vector(work, at, length):
    """Return `length` numbers of `work`, from place `at` on; not checked."""
    return work[at : at + length]


def _build(context, builder, kind, work, at, shape, strides):
    source = make_array(A1)(context, builder, value=work)
    view = make_array(kind)(context, builder)
    populate_array(
        view,
        data=builder.gep(source.data, [at]),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=context.get_constant(types.intp, 8),
        meminfo=None,
    )
    return view._getvalue()


@intrinsic
def _matrix_view(typingctx, work, at, rows, columns):
    def generate(context, builder, signature, arguments):
        work, at, rows, columns = arguments
        size = context.get_constant(types.intp, 8)
        return _build(context, builder, A2, work, at, [rows, columns], [builder.mul(columns, size), size])

    return A2(A1, types.intp, types.intp, types.intp), generate


@intrinsic
def _vector_view(typingctx, work, at, length):
    def generate(context, builder, signature, arguments):
        work, at, length = arguments
        return _build(context, builder, A1, work, at, [length], [context.get_constant(types.intp, 8)])

    return A1(A1, types.intp, types.intp), generate


@overload(matrix, inline="always")
def _matrix(work, at, rows, columns):
    return lambda work, at, rows, columns: _matrix_view(work, at, rows, columns)  # type: ignore[call-arg]


@overload(vector, inline="always")
def _vector(work, at, length):
    return lambda work, at, length: _vector_view(work, at, length)  # type: ignore[call-arg]


def rounds_in_vectors() -> bool:
    """Whether functions of several numbers at once may round differently from those of one: Intel's library does."""
    return bool(getattr(numba.config, "USING_SVML", False))
