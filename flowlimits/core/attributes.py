"""One reader checks the attributes of a result: what a file states is believed only in the form that results have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .checks import show

#: A size that no computation has.
LARGEST = 10**9


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Root(_Checked):
    entropy: list[str] = Field(min_length=1)
    spawn_key: list[int]


class _Call(_Checked):
    verb: str
    times: list[float] | None = None
    runs: int | None = Field(None, ge=1, le=LARGEST)
    dimension: int | None = Field(None, ge=1, le=LARGEST)
    student_width: int | None = Field(None, ge=1, le=LARGEST)
    sizes: list[int] | None = None


class _Provenance(_Checked):
    call: _Call | None = None
    root_seed: _Root | dict[str, Any] | None = None
    versions: dict[str, str] | None = None


class _Attributes(_Checked):
    kind: str = ""
    clock: str = ""
    problem: str = ""
    problem_arrays: str = ""
    provenance: str = ""
    sentences: str = ""
    schema_: int = Field(1, alias="schema", ge=1)
    #: A limit may be of infinite dimension; the size of runs is a number.
    dimension: Annotated[int, BeforeValidator(lambda value: 1 if value == "infinity" else value)] = Field(
        1, ge=1, le=LARGEST
    )
    student_width: int = Field(1, ge=1, le=LARGEST)


def check(dataset: xr.Dataset, where: str = "") -> None:
    """Refuse a result whose attributes are not those of a result.

    Raises
    ------
    ValueError
        With the name of the attribute.
    """
    _validate(_Attributes, {str(name): _plain(value) for name, value in dataset.attrs.items()}, "attribute", where)


def provenance_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the provenance of a result as a dict; ValueError if there is none, or none of a result."""
    found = _object(dataset, "provenance")
    _validate(_Provenance, found, "provenance")
    root = found.get("root_seed")
    if root is not None and root != {}:
        _validate(_Root, root, "provenance.root_seed")
        if not all(word.isdecimal() and len(word) < 200 for word in root["entropy"]):
            raise ValueError(f"The provenance of this Dataset must have digits as entropy, but has {show(root)}.")
    return found


def problem_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the plain form of the problem of a result; ValueError if it is none."""
    return _object(dataset, "problem")


def _object(dataset: xr.Dataset, name: str) -> dict[str, Any]:
    text = dataset.attrs.get(name)
    if not isinstance(text, str):
        raise ValueError(f"The attribute `{name}` of this Dataset must be text, but is {show(text)}.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The attribute `{name}` of this Dataset is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"The attribute `{name}` of this Dataset must be a JSON object, but is {show(found)}.")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1):
        return value.item()
    return value


def _validate(model: type[BaseModel], found: Mapping[str, Any], what: str, where: str = "") -> None:
    try:
        model.model_validate(dict(found))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{where}The {what} `{name}` of this Dataset is not that of a result: {first['msg']}, but it is {show(first['input'])}."
        ) from None
