"""Parameter types of the command line: grids of times, lists of numbers, paths that can be written."""

from __future__ import annotations

import os
from typing import Any

import click

from .. import grids


class _Parsed(click.ParamType):
    """Text that one of the functions of `flowlimits.grids` reads."""

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
    """A file to be written: missing folders are made, and what cannot be written is refused before anything is computed."""

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


def check_writable(path: str) -> None:
    """Make the folder of `path` and check that a file can be created in it, or raise OSError with a sentence."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise type(error)(f"Cannot write {path}: the folder {folder} cannot be made ({error.strerror}).") from None
    if os.path.isdir(path):
        raise IsADirectoryError(f"Cannot write {path}: it is a folder.")
    probe = os.path.join(folder, f".{os.path.basename(path)[:100]}.{os.getpid()}.part")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except OSError as error:
        raise type(error)(f"Cannot write {path}: {error.strerror}.") from None
    os.unlink(probe)
