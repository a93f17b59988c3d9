"""These are the parameter types of the command line: grids of times, lists of numbers, paths that can be written."""

from __future__ import annotations

import os
from typing import Any

import click

from ..core.paths import check_writable
from ..toml import grids


class _Parsed(click.ParamType):
    """Text that one of the functions of `flowlimits.toml.grids` reads."""

    def __init__(self, name: str, parse: Any):
        self.name, self.parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


GRID = _Parsed("grid", grids.parse_grid)
NUMBERS = _Parsed("numbers", grids.parse_numbers)
SIZES = _Parsed("sizes", grids.parse_sizes)


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
    return text if text.partition(":")[0].endswith((".npy", ".npz", ".csv")) else grids.parse_numbers(text)


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
