"""Arrays of vectors: states, slopes and scratch of all SIMD lanes, without reference counts (compiled part).

A table and its rows are an address and a length: ``table[r, i]`` and ``row[i]`` are the vectors of component i, ``row[i, l]`` is
the number in one lane, ``len(row)`` is the number of components.  Nothing is checked, and the caller keeps the array alive.  Uncompiled, they are views of NumPy arrays.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic, models, overload, register_model, type_callable
from numba.np.arrayobj import make_array

from .simd import LANES, VECTOR

#: Rows of a table.  Those of one component lie side by side, so that their addresses differ by constants; an odd
#: number, so that the components of one row do not fall into the same places of the processor's cache.
TABLE_ROWS = 17

POINTER = types.CPointer(types.float64)
A3 = types.float64[:, :, ::1]


class VectorsType(types.Type):
    """Type of a row whose components lie `stride` numbers apart."""

    def __init__(self, stride):
        self.stride = stride
        super().__init__(name=f"Vectors{stride}")


class TableType(types.Type):
    """Type of a table."""

    def __init__(self):
        super().__init__(name=f"Table{TABLE_ROWS}x{LANES}")


#: Rows of a table. one of them, and numbers that lie together.
TABLE, STRIDED, PACKED = TableType(), VectorsType(TABLE_ROWS * LANES), VectorsType(LANES)


class _Model(models.StructModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, [("data", POINTER), ("length", types.int64)])


register_model(VectorsType)(_Model)
register_model(TableType)(_Model)


def _make(context, builder, kind, data, length):
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.data, made.length = data, length
    return made._getvalue()


def table_of(array):
    """Return the table of an array of shape (n, TABLE_ROWS, LANES)."""
    return array.transpose(1, 0, 2)


def packed(array):
    """Return an array of shape (n, LANES) as packed vectors."""
    return array


def tail(rows, first):
    """Return the rows of a table, or the components of packed vectors, from `first` on; their number stays that of the whole."""
    return rows[first:]


def address_of_numbers(array):
    """Return the address of an array's numbers."""
    return array


def numbers_at(address, rows, columns):
    """Return the matrix at an address."""
    return address


@intrinsic
def _from_array(typingctx, array):
    kind = TABLE if array == A3 else PACKED

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


@overload(table_of, inline="always")
def _table_of(array):
    return lambda array: _from_array(array)  # type: ignore[call-arg]


@overload(packed, inline="always")
def _packed(array):
    return lambda array: _from_array(array)  # type: ignore[call-arg]


@overload(tail, inline="always")
def _tail(rows, first):
    return lambda rows, first: _shifted(rows, first)  # type: ignore[call-arg]


@overload(address_of_numbers, inline="always")
def _address_of_numbers(array):
    return lambda array: _address(array)  # type: ignore[call-arg]


@overload(numbers_at, inline="always")
def _numbers_at(address, rows, columns):
    return lambda address, rows, columns: carray(address, (rows, columns))


@overload(len)
def _length(row):
    if isinstance(row, VectorsType):
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
    strides = [LANES, TABLE_ROWS * LANES] if kind == TABLE else [kind.stride, 1]
    address = given.data
    for part, stride in zip(parts, strides):
        address = builder.gep(address, [builder.mul(part, ir.Constant(whole, stride))])
    return address


def _vector_at(builder, address):
    return builder.bitcast(address, ir.VectorType(ir.DoubleType(), LANES).as_pointer())


def _is_pair(index: Any) -> bool:
    whole = isinstance(index, types.BaseTuple) and all(isinstance(one, types.Integer) for one in index.types)  # type: ignore[attr-defined]
    return whole and len(index) == 2


@type_callable(operator.getitem)
def _type_getitem(context):
    def typer(row, index):
        single = isinstance(index, types.Integer)
        if row == TABLE:
            return STRIDED if single else VECTOR if _is_pair(index) else None
        if isinstance(row, VectorsType):
            return VECTOR if single else types.float64 if _is_pair(index) else None
        return None

    return typer


@lower_builtin(operator.getitem, TableType, types.Integer)
def _get_row(context, builder, signature, arguments):
    length = cgutils.create_struct_proxy(TABLE)(context, builder, value=arguments[0]).length
    return _make(context, builder, STRIDED, _place(context, builder, signature, arguments), length)


def _get_vector(context, builder, signature, arguments):
    # Without this, vectors are taken to lie at multiples of their size.
    return builder.load(_vector_at(builder, _place(context, builder, signature, arguments)), align=8)


def _get_number(context, builder, signature, arguments):
    return builder.load(_place(context, builder, signature, arguments))


lower_builtin(operator.getitem, TableType, types.BaseTuple)(_get_vector)
lower_builtin(operator.getitem, VectorsType, types.Integer)(_get_vector)
lower_builtin(operator.getitem, VectorsType, types.BaseTuple)(_get_number)


@type_callable(operator.setitem)
def _type_setitem(context):
    def typer(row, index, value):
        if not isinstance(row, VectorsType):
            return None
        if isinstance(index, types.Integer):
            return types.void if value == VECTOR else None
        return types.void if _is_pair(index) and isinstance(value, types.Float) else None

    return typer


@lower_builtin(operator.setitem, VectorsType, types.Integer, types.Any)
def _set_vector(context, builder, signature, arguments):
    builder.store(arguments[2], _vector_at(builder, _place(context, builder, signature, arguments)), align=8)


@lower_builtin(operator.setitem, VectorsType, types.BaseTuple, types.Float)
def _set_number(context, builder, signature, arguments):
    builder.store(arguments[2], _place(context, builder, signature, arguments))
