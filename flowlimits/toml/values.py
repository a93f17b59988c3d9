"""Keys of TOML files are checked by these types: numbers, arrays, grids, tables of known keys."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from ..core import checks
from ..core.checks import show
from .arrays import read_array
from .grids import make_grid, parse_grid


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
            start, stop = checks.number("start", value["start"]), checks.number("stop", value["stop"])
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
