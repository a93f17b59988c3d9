"""Keys of TOML files are checked by these types: numbers, arrays, which may lie in files, grids, tables of known keys."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from ..core import checks
from ..core.checks import show
from ..core.fields import make_grid, parse_grid

SUFFIXES = (".npy", ".npz", ".csv")


def is_array_file(value: Any) -> bool:
    """Whether a text names an array file, ``file.npz:name`` included."""
    return (isinstance(value, str) and value.endswith(SUFFIXES)) or ".npz:" in str(value)


def read_array(text: str, folder: str | Path, name: str, *, matrix: bool = False) -> np.ndarray:
    """Return the array of a file.

    Parameters
    ----------
    text : str
        The file; of a ``.npz`` file the array called `name`, or another one as ``file.npz:other``, or its only one.
    folder : path
        The folder that relative names start from.
    name : str
        The field that the array is for.
    matrix : bool, optional
        One column of a ``.csv`` file is a matrix too, and no vector.

    Raises
    ------
    ValueError
        If the file cannot be read, or does not hold that array.
    """
    path, _, wanted = text.partition(":") if ".npz:" in text else (text, "", "")
    try:
        if path.endswith(".csv"):
            return _read_csv(Path(folder, path), matrix)
        with Path(folder, path).open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            names = list(found)
            chosen = wanted or (names[0] if len(names) == 1 else name)
            if chosen not in names:
                raise ValueError(f"it holds no array `{chosen}`, but {', '.join(names) or 'none'}")
            return np.asarray(found[chosen])
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the array file {text} ({error})") from None
    except Exception as error:  # a damaged zip archive can fail in many ways
        raise ValueError(f"cannot read the array file {text} ({type(error).__name__}: {error})") from None


def _read_csv(path: Path, matrix: bool) -> np.ndarray:
    """Return the numbers of a CSV file: one row per line, a first line of words left out; one column is a vector."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].lstrip().startswith("#")]
    if rows and not all(map(_is_number, rows[0])):
        rows = rows[1:]
    if not rows:
        raise ValueError("it holds no numbers")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {number + 1} has {len(row)} numbers, but the first has {len(rows[0])}")
        wrong = [word for word in row if not _is_number(word)]
        if wrong:
            raise ValueError(f"row {number + 1} holds {wrong[0]!r}, which is no number")
    values = np.array([[float(word) for word in row] for row in rows])
    return values[:, 0] if values.shape[1] == 1 and not matrix else values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


class Table(BaseModel):
    """A table of a TOML file: its keys are known, and nothing is converted but whole numbers to numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    def given(self) -> dict[str, Any]:
        """Return what the file sets, nested tables built; everything else is left to the library's defaults."""
        return {name: _built(getattr(self, name)) for name in self.model_fields_set}


def _built(value: Any) -> Any:
    return value.build() if isinstance(value, Nested) else value


class Nested(Table):
    """A table inside another one, which stands for an object."""

    def build(self) -> Any:
        raise NotImplementedError


def _array(value: Any, info: ValidationInfo) -> np.ndarray:
    """Return a nested list of numbers, or the array in a file beside the TOML file."""
    return _numbers(value, info, matrix=False)


def _numbers(value: Any, info: ValidationInfo, matrix: bool) -> np.ndarray:
    if isinstance(value, str):
        return read_array(value, (info.context or {}).get("folder", "."), info.field_name or "", matrix=matrix)
    if not isinstance(value, list):
        raise ValueError(f"must be a list of numbers or the name of a .npy file, but is {show(value)}")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"must be a list of numbers or of rows of equal length, but is {show(value)}") from None


def check_grid(value: Any) -> np.ndarray:
    """Return times from a string, a list, or a table with start, stop, count and spacing."""
    if isinstance(value, str):
        return parse_grid(value)
    if isinstance(value, dict):
        if not {"start", "stop", "count"} <= set(value) <= {"start", "stop", "count", "spacing"}:
            raise ValueError(
                f"must have the keys start, stop, count and perhaps spacing, but has {', '.join(value) or 'none'}"
            )
        try:
            start, stop = (checks.number(name, value[name], largest=math.inf) for name in ("start", "stop"))
            return make_grid(start, stop, checks.integer("count", value["count"]), value.get("spacing", "linear"))
        except TypeError as error:
            raise ValueError(str(error)) from None
    if isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return np.array(value, dtype=np.float64)
    raise ValueError(f'must be a list of numbers, a string such as "0.01:10:200:log" or a table, but is {show(value)}')


def _matrix(value: Any, info: ValidationInfo) -> np.ndarray:
    return _numbers(value, info, matrix=True)


def _number_or_array(value: Any, info: ValidationInfo) -> float | np.ndarray:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return _array(value, info)


def arrays(value: Any, info: ValidationInfo) -> Any:
    """Return one array, or a tuple of them from a list of files or of arrays of different shapes."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(_array(item, info) for item in value)
    if isinstance(value, list) and any(isinstance(item, list) for item in value):
        parts = [_array(item, info) if isinstance(item, list) else item for item in value]
        if all(isinstance(part, np.ndarray) for part in parts) and len({part.shape for part in parts}) > 1:
            return tuple(parts)
    return _array(value, info)


NumberOrArray = Annotated[Any, AfterValidator(_number_or_array)]
Array = Annotated[Any, AfterValidator(_array)]
Matrix = Annotated[Any, AfterValidator(_matrix)]
Grid = Annotated[Any, AfterValidator(check_grid)]
