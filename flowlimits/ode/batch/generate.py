"""Compile a trace to the right-hand side of all lanes, once per machine.

The text of the function is written to a cache folder, because Numba keeps compiled code of functions that have a file:
the next process makes the same text, and finds the compiled code.  What is compiled is always the text just made; a file
is never read except to see whether it is still the same.  Where no folder can be written, code is compiled in memory.
"""

from __future__ import annotations

import functools
import hashlib
import math
import operator
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numba import types

from ...compiled.jit import A1, A2, ADDRESS, call_rhs, callback, jit
from ...compiled.simd import LANES, each, spread
from ...compiled.simd_arrays import TABLE_ROWS, packed, table_of
from ...compiled.views import maximum, minimum
from .operations import MOST, Program
from .steps import LANES_SIGNATURE, call_traced

#: By the text and the functions that it calls.
_compiled: dict[Any, Any] = {}
#: What the text mentions.
_SCOPE = {
    "np": np,
    "math": math,
    "operator": operator,
    "each": each,
    "maximum": maximum,
    "minimum": minimum,
    "spread": spread,
}
#: Starts at which a trace is compared with the function it was made of.
CHECKED = 128
#: All files of one text have one time, so that compiled code made from any of them belongs to all.
TIME = 1_000_000_000


@functools.lru_cache(maxsize=MOST)
def text_of(program: Program) -> str:
    """Return the function as text."""
    text = ["def traced(t, y, dy, inputs):"]
    written: set[int] = set()
    for index, end in enumerate(program.velocities):
        if isinstance(end, int):
            for place in _needed(program, end, written):
                name, *arguments = program.operations[place]
                text.append(f"    v{place} = {_expression(name, arguments)}")
        text.append(f"    dy[{index}] = {_name(end) if isinstance(end, int) else f'spread({_name(end)})'}")
    return "\n".join(text) + "\n"


def _needed(program: Program, end: int, written: set[int]) -> Iterator[int]:
    """Yield the operations that an end needs and that are not written yet, each after its arguments."""
    waiting = [end]
    while waiting:
        place = waiting[-1]
        missing = [one for one in program.operations[place][1:] if isinstance(one, int) and one not in written]
        if program.operations[place][0] in ("y", "input", "t"):
            missing = []
        if missing and place not in written:
            waiting.append(missing[0])
            continue
        waiting.pop()
        if place not in written:
            written.add(place)
            yield place


def _expression(name: str, arguments: list[Any]) -> str:
    if name == "y":
        return f"y[{arguments[0]}]"
    if name == "input":
        return f"inputs[{arguments[0]}]"
    if name == "t":
        return "t[0]"
    if name == "call":
        name, *arguments = arguments
        return f"each({name}, {', '.join(map(_name, arguments))})"
    given = list(map(_name, arguments))
    if name == "neg":
        return f"-{given[0]}"
    if name in ("+", "-", "*", "/"):
        return f"{given[0]} {name} {given[1]}"
    if name in ("max", "min"):
        return f"{'maximum' if name == 'max' else 'minimum'}({', '.join(given)})"
    if name == "abs":
        return f"abs({given[0]})"
    if name == "sqrt":
        return f"np.sqrt({given[0]})"
    if name == "pow":
        return f"each(operator.pow, {', '.join(given)})"
    module = "math" if name in ("erf", "erfc") else "np"
    return f"each({module}.{name}, {', '.join(given)})"


def _name(argument: Any) -> str:
    if isinstance(argument, int):
        return f"v{argument}"
    # Negative numbers in brackets: -2.0 ** x is -(2.0 ** x).
    return (
        f"({argument!r})"
        if np.isfinite(argument)
        else f"(np.{'nan' if np.isnan(argument) else 'inf'})"
        if not argument < 0
        else "(-np.inf)"
    )


def compile_program(program: Program) -> Any:
    """Return the compiled right-hand side of all lanes."""
    text = text_of(program)
    key = (text, *program.functions.items())
    if key not in _compiled:
        _compiled[key] = _compile(text, program.functions)
    return _compiled[key]


def _compile(text: str, functions: dict[str, Any]) -> Any:
    name = "traced_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    folder = cache_folder()
    path = "<trace>" if folder is None else _file(folder / f"{name}.py", text)
    # Compiled code from the disk asks for the module of its function by name.
    module = ModuleType(f"{__package__}.{name}")
    vars(module).update(_SCOPE, **functions)
    sys.modules[module.__name__] = module
    exec(compile(text, path, "exec"), vars(module))  # our own text, made above
    return callback(LANES_SIGNATURE, at_once=True)(vars(module)["traced"])


def _file(path: Path, text: str) -> str:
    """Write the text where it is not there yet; return the path, or a name that is none where it cannot be written."""
    try:
        if path.exists() and path.read_bytes() == text.encode() and path.stat().st_mtime == TIME:
            return str(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.utime(temporary, (TIME, TIME))
        os.replace(temporary, path)
    except OSError:
        return "<trace>"
    return str(path)


def cache_folder() -> Path | None:
    """Return the folder of generated functions: below NUMBA_CACHE_DIR, or the user's cache; None if none can be made."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        candidates = [Path(given) / "flowlimits"]
    else:
        home = os.environ.get("XDG_CACHE_HOME")
        candidates = [Path(home) / "flowlimits"] if home else []
        candidates += [Path(os.path.expanduser("~")) / ".cache" / "flowlimits"]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


@jit(types.boolean(ADDRESS, ADDRESS, A1, A2, A2, A2, A1))
def _same(traced, rhs, times, points, params, inputs, work):
    """Whether both right-hand sides give the same bits at all points; NaN equals NaN."""
    count, n = points.shape
    table, own, lanes, dy = (
        np.zeros((n, TABLE_ROWS, LANES)),
        np.zeros((inputs.shape[1], LANES)),
        np.zeros((1, LANES)),
        np.zeros(n),
    )
    vectors = table_of(table)
    for first in range(0, count, LANES):
        for l in range(LANES):
            point = min(first + l, count - 1)
            lanes[0, l] = times[point]
            for i in range(n):
                table[i, 0, l] = points[point, i]
            for i in range(inputs.shape[1]):
                own[i, l] = inputs[min(point, inputs.shape[0] - 1), i]
        call_traced(traced, packed(lanes), vectors[0], vectors[1], packed(own))
        for l in range(min(LANES, count - first)):
            work[:] = 0.0
            call_rhs(rhs, times[first + l], points[first + l], dy, params[min(first + l, params.shape[0] - 1)], work)
            for i in range(n):
                value = table[i, 1, l]
                if value != dy[i] and not (np.isnan(value) and np.isnan(dy[i])):
                    return False
    return True


def gives_the_same_bits(
    traced: int,
    rhs: int,
    span: tuple[float, float],
    y0s: np.ndarray,
    params: np.ndarray,
    inputs: np.ndarray,
    work_size: int,
) -> bool:
    """Whether a compiled trace gives the bits of the right-hand side it was made of.

    It has no branches, so that every operation is seen in every call.  What differs is seen unless it is small beside
    the rest: the points are starts, and states and times at random around them and on other scales, some components zero.

    Parameters
    ----------
    span : tuple of float
        The first and the last time.
    y0s, params, inputs : ndarray, shapes (problems, n), (problems or 1, m), (problems or 1, inputs)
        Those of all problems; some are taken.
    """
    rng = np.random.default_rng(0)
    some = np.unique(np.linspace(0, len(y0s) - 1, CHECKED).astype(np.int64))
    starts = y0s[some]
    shape = starts.shape
    scaled = starts * 10.0 ** rng.uniform(-9.0, 1.0, shape) * (rng.random(shape) < 0.7)
    points = [starts, starts * (1.0 + 0.3 * rng.standard_normal(shape)), starts + rng.standard_normal(shape), scaled]
    points.append(rng.standard_normal(shape) * 10.0 ** rng.uniform(-3.0, 3.0, shape))
    times = np.full((len(points), len(some)), span[0])
    times[1:] += (span[1] - span[0]) * rng.random((len(points) - 1, len(some)))
    repeated = [np.tile(one if len(one) == 1 else one[some], (len(points), 1)) for one in (params, inputs)]
    return bool(_same(traced, rhs, times.ravel(), np.concatenate(points), *repeated, np.zeros(work_size)))
