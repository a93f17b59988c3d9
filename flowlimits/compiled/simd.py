"""Vectors of one number per SIMD lane, each handled by one vector instruction (compiled part).

Problems that are integrated side by side lie in lanes.  A `VECTOR` holds one number for each of them, a `MASK` one truth
value, and compiled functions calculate with them as with numbers, so that one text serves one problem and all lanes,
with the same bits.  What cannot be said in the same words: branches become `where`, ``max`` and ``min`` become
`maximum` and `minimum`, ``not`` and ``and`` become ``~`` and ``&``, functions are applied by `each`.

Uncompiled, vectors are NumPy arrays of one number for each lane; ``a = a + b`` is written in full, because ``+=``
would change them in place.
"""

import math
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, models, overload, register_model, type_callable

from .views import maximum, minimum, where

#: Problems side by side: the numbers that one vector instruction handles on processors of today, and two on older ones.
LANES = 8

_LLVM = ir.VectorType(ir.DoubleType(), LANES)
_TRUTHS = ir.VectorType(ir.IntType(1), LANES)
_BITS = ir.IntType(LANES)
_PLACE = ir.IntType(32)


class VectorType(types.Type):
    """Type of one number for each lane."""

    def __init__(self):
        super().__init__(name=f"Vector{LANES}")


class MaskType(types.Type):
    """Type of one truth value for each lane."""

    def __init__(self):
        super().__init__(name=f"Mask{LANES}")


VECTOR, MASK = VectorType(), MaskType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _LLVM)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _TRUTHS)


def _spread(context, builder, kind, value):
    """Return the value in all lanes."""
    if kind == VECTOR:
        return value
    number = context.cast(builder, value, kind, types.float64)
    nothing = ir.Constant(_LLVM, ir.Undefined)
    single = builder.insert_element(nothing, number, _PLACE(0))
    return builder.shuffle_vector(single, nothing, ir.Constant(ir.VectorType(_PLACE, LANES), [0] * LANES))


def _is_number(kind):
    return kind == VECTOR or isinstance(kind, types.Float | types.Integer)


def _generate(instruction):
    def generate(context, builder, typed, arguments):
        return instruction(builder, *(_spread(context, builder, *one) for one in zip(typed.args, arguments)))

    return generate


def _define(function, arity, result, instruction):
    """Define what a function of numbers does where at least one of them is a vector."""

    @type_callable(function)
    def _type(context):
        def one(value):
            return result if value == VECTOR else None

        def two(first, second):
            return result if VECTOR in (first, second) and _is_number(first) and _is_number(second) else None

        return one if arity == 1 else two

    kinds = (VECTOR, types.Float, types.Integer)
    accepted = [(VECTOR,)] if arity == 1 else [(a, b) for a in kinds for b in kinds if VECTOR in (a, b)]
    for arguments in accepted:
        lower_builtin(function, *arguments)(_generate(instruction))


def _select(sign):
    """Return ``second if second (sign) first else first``, the way ``max`` and ``min`` do it."""
    return lambda builder, first, second: builder.select(builder.fcmp_ordered(sign, second, first), second, first)


def _of_llvm(name):
    def instruction(builder, value):
        kind = ir.FunctionType(_LLVM, [_LLVM])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f64"), [value])

    return instruction


for _function, _instruction in (
    (operator.add, lambda builder, a, b: builder.fadd(a, b)),
    (operator.sub, lambda builder, a, b: builder.fsub(a, b)),
    (operator.mul, lambda builder, a, b: builder.fmul(a, b)),
    (operator.truediv, lambda builder, a, b: builder.fdiv(a, b)),
    (maximum, _select(">")),
    (minimum, _select("<")),
):
    _define(_function, 2, VECTOR, _instruction)
for _function, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _define(_function, 2, MASK, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b))
_define(operator.ne, 2, MASK, lambda builder, a, b: builder.fcmp_unordered("!=", a, b))
_define(operator.neg, 1, VECTOR, lambda builder, a: builder.fsub(ir.Constant(_LLVM, [-0.0] * LANES), a))
for _single, _name in (
    (abs, "fabs"), (math.fabs, "fabs"), (np.abs, "fabs"), (np.fabs, "fabs"), (math.sqrt, "sqrt"), (np.sqrt, "sqrt"),
):  # fmt: skip
    _define(_single, 1, VECTOR, _of_llvm(f"llvm.{_name}"))


def _define_logic(function, instruction, arity):
    @type_callable(function)
    def _type(context):
        def one(value):
            return MASK if value == MASK else None

        def two(first, second):
            return MASK if first == MASK and second == MASK else None

        return one if arity == 1 else two

    @lower_builtin(function, *[MASK] * arity)
    def _lower(context, builder, typed, arguments):
        return instruction(builder, *arguments)


_define_logic(operator.and_, lambda builder, a, b: builder.and_(a, b), 2)
_define_logic(operator.or_, lambda builder, a, b: builder.or_(a, b), 2)
_define_logic(operator.invert, lambda builder, a: builder.not_(a), 1)


@intrinsic
def _choose(typingctx, condition, this, other):
    if condition != MASK or not (_is_number(this) and _is_number(other)):
        return None

    def generate(context, builder, typed, arguments):
        values = (_spread(context, builder, *one) for one in zip(typed.args[1:], arguments[1:]))
        return builder.select(arguments[0], *values)

    return VECTOR(condition, this, other), generate


@overload(where)
def _where(condition, this, other):
    if condition == MASK:
        return lambda condition, this, other: _choose(condition, this, other)  # type: ignore[call-arg]
    return None


def holds(mask):
    """Return whether the condition holds in any lane; of a single truth value, itself."""
    return bool(np.any(mask))


@intrinsic
def _holds(typingctx, mask):
    def generate(context, builder, typed, arguments):
        return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], _BITS), _BITS(0))

    return types.boolean(mask), generate


@overload(holds, inline="always")
def _any_holds(mask):
    if mask == MASK:
        return lambda mask: _holds(mask)  # type: ignore[call-arg]
    return lambda mask: mask


def spread(value):
    """Return a number in every lane."""
    return np.full(LANES, value)


@intrinsic
def _spread_number(typingctx, value):
    def generate(context, builder, typed, arguments):
        return _spread(context, builder, value, arguments[0])

    return VECTOR(value), generate


@overload(spread, inline="always")
def _spread_anything(value):
    return lambda value: _spread_number(value)  # type: ignore[call-arg]


def each(function, *arguments):
    """Return the values of a function of single numbers, lane by lane; of single numbers, its value."""
    if not any(map(np.ndim, arguments)):
        return function(*arguments)
    return np.array([function(*one) for one in zip(*np.broadcast_arrays(*arguments, np.zeros(LANES))[:-1])])


@infer_global(each)
class _Each(AbstractTemplate):
    def generic(self, args, kws):
        function, *arguments = args
        if kws or not isinstance(function, types.Callable) or not all(map(_is_number, arguments)):
            return None
        return signature(VECTOR if VECTOR in arguments else types.float64, *args)


@lower_builtin(each, types.VarArg(types.Any))
def _lower_each(context, builder, typed, arguments):
    function, scalars = typed.args[0], (types.float64,) * (len(arguments) - 1)
    single = context.typing_context.resolve_function_type(function, scalars, {})
    call = context.get_function(function, single)

    def value(numbers):
        return context.cast(builder, call(builder, numbers), single.return_type, types.float64)

    if typed.return_type != VECTOR:
        return value(
            [context.cast(builder, one, kind, types.float64) for one, kind in zip(arguments[1:], typed.args[1:])]
        )
    vectors = [_spread(context, builder, *one) for one in zip(typed.args[1:], arguments[1:])]
    result = ir.Constant(_LLVM, ir.Undefined)
    for lane in range(LANES):
        result = builder.insert_element(
            result, value([builder.extract_element(one, _PLACE(lane)) for one in vectors]), _PLACE(lane)
        )
    return result
