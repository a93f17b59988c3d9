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
