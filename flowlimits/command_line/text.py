"""Text of the command line: parameters are read from it, and results are written as it."""

from __future__ import annotations

import os
from typing import Any

import click

from ..core import fields
from ..core.files import check_writable

# Parameter types: grids of times, lists of numbers, paths that can be written.


class _Parsed(click.ParamType):
    """Text that one of the functions of `flowlimits.core.fields` reads."""

    def __init__(self, name: str, parse: Any):
        self.name, self.parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


GRID = _Parsed("grid", fields.parse_grid)
NUMBERS = _Parsed("numbers", fields.parse_numbers)
SIZES = _Parsed("sizes", fields.parse_sizes)


#: Endings of files of results.
NETCDF = (".nc", ".nc4", ".h5")


class Output(click.ParamType):
    """A file to be written: what cannot be written is refused before anything is computed."""

    name = "file"

    def __init__(self, suffixes: tuple[str, ...] = ()):
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = os.fspath(value)
        suffix = os.path.splitext(path)[1].lower()
        if self.suffixes and suffix not in self.suffixes:
            self.fail(f"Cannot write {path}: the name must end in one of {', '.join(self.suffixes)}.", param, ctx)
        try:
            check_writable(path)
        except OSError as error:
            self.fail(str(error), param, ctx)
        return path


def _array(text: str) -> Any:
    """Return numbers, or the name of a file that holds them."""
    return text if text.partition(":")[0].endswith((".npy", ".npz", ".csv")) else fields.parse_numbers(text)


def _arrays(text: str) -> Any:
    names = [part.strip() for part in text.split(",")]
    return names if len(names) > 1 and all(isinstance(_array(name), str) for name in names) else _array(text)


ARRAY = _Parsed("numbers", _array)
MATRIX = _Parsed("file", _array)
ARRAYS = _Parsed("files", _arrays)


class _NumberOrArray(click.ParamType):
    """A number, several with commas, or the file of an array."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and ("," in value or isinstance(_array_or_none(value), str)):
            return ARRAY.convert(value, param, ctx)
        return click.FLOAT.convert(value, param, ctx)


def _array_or_none(text: str) -> Any:
    try:
        return _array(text)
    except ValueError:
        return None


NUMBER_OR_ARRAY = _NumberOrArray()


class NumberOrWord(click.ParamType):
    """A number, or one of some words."""

    name = "float"

    def __init__(self, words: tuple[str, ...], number: click.ParamType = click.FLOAT):
        self.words, self.number = words, number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value in self.words else self.number.convert(value, param, ctx)


ROWS = 12


def say(text: Any, *, err: bool = False) -> None:
    """Print text; control characters, which may come from a file, are escaped."""
    click.echo(_printable(text), err=err)


def _printable(text: Any) -> str:
    """Return text with its control characters, line ends and tabulators apart, written as escapes.

    What comes from a file could otherwise move the cursor or change the title of a terminal.
    """
    return "".join(
        character if character in "\n\t" or not _controls(character) else ascii(character)[1:-1]
        for character in str(text)
    )


def _controls(character: str) -> bool:
    """Whether a character is a control, of ASCII or of C1, or turns the direction of text."""
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069


def describe(result: Any) -> str:
    """Return what a result is, and its scalar variables at some of its times."""
    return "\n".join([heading(result), "", table(result)])


def heading(result: Any) -> str:
    """Return one or two lines: what the result is of, and what it is."""
    words = [str(result.attrs.get("kind", "dataset"))]
    words += [
        f"{name.replace('_', ' ')} {int(result.attrs[name])}"
        for name in ("dimension", "student_width")
        if name in result.attrs
    ]
    if "run" in result.sizes:
        words.append(f"{result.sizes['run']} run{'s' if result.sizes['run'] > 1 else ''}")
    lines = [problem_line(result), ", ".join(words)]
    if result.attrs.get("clock"):
        lines[1] += f"; the time is {result.attrs['clock']}"
    if result.attrs.get("sentences"):
        lines.append(str(result.attrs["sentences"]))
    return "\n".join(line for line in lines if line)


def problem_line(result: Any) -> str:
    """Return the problem of a result as it is written in Python, or why it cannot be rebuilt."""
    if "problem" not in result.attrs:
        return ""
    from ..core.problem import load_problem

    try:
        return repr(load_problem(result))
    except ValueError as error:
        return f"(problem unknown here: {error})"


def table(result: Any) -> str:
    """Return the scalar variables in time as columns, means over runs, at up to `ROWS` times."""
    from ..core.results import time_variables

    names = time_variables(result)
    if "time" not in result.sizes or not names:
        return ""
    count = result.sizes["time"]
    rows = (
        sorted({round(i * (count - 1) / (min(count, ROWS) - 1)) for i in range(min(count, ROWS))}) if count > 1 else [0]
    )
    columns = [result["time"].values[rows]]
    for name in names:
        values = result[name]
        columns.append((values.mean("run") if "run" in values.dims else values).values[rows])
    heads = ["time", *names]
    width = max(12, *(len(head) + 2 for head in heads))
    lines = ["".join(f"{head:>{width}}" for head in heads)]
    lines += ["".join(f"{float(value):>{width}.6g}" for value in row) for row in zip(*columns)]
    return "\n".join(lines)


def provenance(result: Any) -> str:
    """Return how a result was computed, one line per entry."""
    from ..core.attributes import provenance_of

    if not result.attrs.get("provenance"):
        return ""
    try:
        details = provenance_of(result)
    except ValueError:
        return "(unreadable)"
    return "\n".join(_entry(key, value) for key, value in details.items())


def _entry(key: str, value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
    return f"  {key.replace('_', ' ')}: " + (f"{value:.6g}" if isinstance(value, float) else f"{value}")


def variables(result: Any) -> str:
    """Return one line per variable: name, dimensions, range, meaning."""
    import numpy as np

    lines = []
    for name, values in {**result.coords, **result.data_vars}.items():
        shape = ", ".join(f"{dim} {size}" for dim, size in values.sizes.items())
        line = f"  {name} ({shape})"
        if values.size and values.dtype.kind in "fiu" and np.isfinite(values.values).any():
            line += f"  {np.nanmin(values.values):.6g} to {np.nanmax(values.values):.6g}"
        lines.append(line + (f"  {values.attrs['long_name']}" if "long_name" in values.attrs else ""))
    return "\n".join(lines)
