"""States, slopes and scratch of all lanes, without references to count (compiled part).

`Rows` and `Row` are an address and a length: ``rows[r, i]`` and ``row[i]`` are the wide numbers of component i,
``row[i, l]`` is the number in one lane, ``len(row)`` is the number of components.  Nothing is checked, and who makes one keeps
the array.  Uncompiled, they are views of NumPy arrays.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic, models, overload, register_model, type_callable
from numba.np.arrayobj import make_array

from .simd import LANES, WIDE

#: Rows of a board.  Those of one component lie side by side, so that their addresses differ by constants; an odd
#: number, so that the components of one row do not fall into the same places of the processor's cache.
ROWS = 17

POINTER = types.CPointer(types.float64)
A3 = types.float64[:, :, ::1]


class RowType(types.Type):
    """Type of a row whose components lie `stride` numbers apart."""

    def __init__(self, stride):
        self.stride = stride
        super().__init__(name=f"Row{stride}")


class RowsType(types.Type):
    """Type of the rows of a board."""

    def __init__(self):
        super().__init__(name=f"Rows{ROWS}x{LANES}")


#: Rows of a board, one of them, and numbers that lie together.
BOARD, ROW, LINE = RowsType(), RowType(ROWS * LANES), RowType(LANES)


class _Model(models.StructModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, [("data", POINTER), ("length", types.int64)])


register_model(RowType)(_Model)
register_model(RowsType)(_Model)


def _make(context, builder, kind, data, length):
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.data, made.length = data, length
    return made._getvalue()


def rows_of(board):
    """Return the rows of an array of shape (n, ROWS, LANES)."""
    return board.transpose(1, 0, 2)


def line_of(array):
    """Return an array of shape (n, LANES) as a row."""
    return array


def rows_from(rows, first):
    """Return the rows of a board, or the components of a line, from `first` on; their number stays that of the whole."""
    return rows[first:]


def part_of(line, first, count):
    """Return `count` components of a line, from `first` on, as a line."""
    return line[first : first + count]


def address_of_numbers(array):
    """Return the address of an array's numbers."""
    return array


def numbers_at(address, rows, columns):
    """Return the matrix at an address."""
    return address


@intrinsic
def _from_array(typingctx, array):
    kind = BOARD if array == A3 else LINE

    def generate(context, builder, signature, arguments):
        source = make_array(array)(context, builder, value=arguments[0])
        return _make(context, builder, kind, source.data, cgutils.unpack_tuple(builder, source.shape)[0])

    return kind(array), generate


@intrinsic
def _address(typingctx, array):
    def generate(context, builder, signature, arguments):
        return make_array(array)(context, builder, value=arguments[0]).data

    return POINTER(array), generate


@intrinsic
def _shifted(typingctx, rows, first):
    def generate(context, builder, signature, arguments):
        given = cgutils.create_struct_proxy(rows)(context, builder, value=arguments[0])
        places = builder.mul(arguments[1], ir.Constant(ir.IntType(64), LANES))
        return _make(context, builder, rows, builder.gep(given.data, [places]), given.length)

    return rows(rows, types.int64), generate


@type_callable(part_of)
def _type_part(context):
    def typer(line, first, count):
        return LINE if line == LINE and isinstance(first, types.Integer) and isinstance(count, types.Integer) else None

    return typer


@lower_builtin(part_of, RowType, types.Integer, types.Integer)
def _lower_part(context, builder, signature, arguments):
    given = cgutils.create_struct_proxy(LINE)(context, builder, value=arguments[0])
    first, count = (context.cast(builder, *one, types.int64) for one in zip(arguments[1:], signature.args[1:]))
    places = builder.mul(first, ir.Constant(ir.IntType(64), LANES))
    return _make(context, builder, LINE, builder.gep(given.data, [places]), count)


@overload(rows_of, inline="always")
def _rows_of(board):
    return lambda board: _from_array(board)  # type: ignore[call-arg]


@overload(line_of, inline="always")
def _line_of(array):
    return lambda array: _from_array(array)  # type: ignore[call-arg]


@overload(rows_from, inline="always")
def _rows_from(rows, first):
    return lambda rows, first: _shifted(rows, first)  # type: ignore[call-arg]


@overload(address_of_numbers, inline="always")
def _address_of_numbers(array):
    return lambda array: _address(array)  # type: ignore[call-arg]


@overload(numbers_at, inline="always")
def _numbers_at(address, rows, columns):
    return lambda address, rows, columns: carray(address, (rows, columns))


@overload(len)
def _length(row):
    if isinstance(row, RowType):
        return lambda row: _length_of(row)  # type: ignore[call-arg]
    return None


@intrinsic
def _length_of(typingctx, row):
    def generate(context, builder, signature, arguments):
        return cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0]).length

    return types.int64(row), generate


def _place(context, builder, signature, arguments):
    """Return the address that an index means, as that of a single number, and whether it is one."""
    kind: Any = signature.args[0]
    index: Any = signature.args[1]
    given = cgutils.create_struct_proxy(kind)(context, builder, value=arguments[0])
    whole = ir.IntType(64)

    def integer(value, of):
        return context.cast(builder, value, of, types.int64)

    if isinstance(index, types.BaseTuple):
        parts = [integer(*one) for one in zip(cgutils.unpack_tuple(builder, arguments[1]), index.types)]  # type: ignore[attr-defined]
    else:
        parts = [integer(arguments[1], index)]
    strides = [LANES, ROWS * LANES] if kind == BOARD else [kind.stride, 1]
    address = given.data
    for part, stride in zip(parts, strides):
        address = builder.gep(address, [builder.mul(part, ir.Constant(whole, stride))])
    return address


def _wide_at(builder, address):
    return builder.bitcast(address, ir.VectorType(ir.DoubleType(), LANES).as_pointer())


def _is_pair(index: Any) -> bool:
    whole = isinstance(index, types.BaseTuple) and all(isinstance(one, types.Integer) for one in index.types)  # type: ignore[attr-defined]
    return whole and len(index) == 2


@type_callable(operator.getitem)
def _type_getitem(context):
    def typer(row, index):
        single = isinstance(index, types.Integer)
        if row == BOARD:
            return ROW if single else WIDE if _is_pair(index) else None
        if isinstance(row, RowType):
            return WIDE if single else types.float64 if _is_pair(index) else None
        return None

    return typer


@lower_builtin(operator.getitem, RowsType, types.Integer)
def _get_row(context, builder, signature, arguments):
    length = cgutils.create_struct_proxy(BOARD)(context, builder, value=arguments[0]).length
    return _make(context, builder, ROW, _place(context, builder, signature, arguments), length)


def _get_wide(context, builder, signature, arguments):
    # Without this, vectors are taken to lie at multiples of their size.
    return builder.load(_wide_at(builder, _place(context, builder, signature, arguments)), align=8)


def _get_number(context, builder, signature, arguments):
    return builder.load(_place(context, builder, signature, arguments))


lower_builtin(operator.getitem, RowsType, types.BaseTuple)(_get_wide)
lower_builtin(operator.getitem, RowType, types.Integer)(_get_wide)
lower_builtin(operator.getitem, RowType, types.BaseTuple)(_get_number)


@type_callable(operator.setitem)
def _type_setitem(context):
    def typer(row, index, value):
        if not isinstance(row, RowType):
            return None
        if isinstance(index, types.Integer):
            return types.void if value == WIDE else None
        return types.void if _is_pair(index) and isinstance(value, types.Float) else None

    return typer


@lower_builtin(operator.setitem, RowType, types.Integer, types.Any)
def _set_wide(context, builder, signature, arguments):
    builder.store(arguments[2], _wide_at(builder, _place(context, builder, signature, arguments)), align=8)


@lower_builtin(operator.setitem, RowType, types.BaseTuple, types.Float)
def _set_number(context, builder, signature, arguments):
    builder.store(arguments[2], _place(context, builder, signature, arguments))
