"""Walkers over the code of a function, and the names that it finds outside itself."""

import dis
import types
from collections.abc import Iterator
from typing import Any


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and those of the functions defined in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from codes(one)


def instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of a code object and of the functions defined in it."""
    for one in codes(code):
        yield from dis.get_instructions(one)


def outside(function: Any) -> dict[str, Any]:
    """Return what a function finds outside itself: globals, and variables of the functions around it."""
    cells = dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ())))
    return {**function.__globals__, **cells}


def names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the names of globals and outer variables, and all other names: of attributes, of imports."""
    outer, others = set(code.co_freevars), set()
    for one in codes(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                outer.add(instruction.argval)
            elif (
                isinstance(instruction.argval, str)
                and instruction.argval in one.co_names
                and instruction.opname != "LOAD_CONST"
            ):
                others.add(instruction.argval)
    return outer, others


def returns_a_value(function: Any) -> bool:
    """Return whether the code of a function holds a return of anything but None."""
    found = list(dis.get_instructions(function))
    for before, instruction in zip([None, *found], found):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return True
        if (
            instruction.opname == "RETURN_VALUE"
            and before is not None
            and not (before.opname == "LOAD_CONST" and before.argval is None)
        ):
            return True
    return False
