"""A verdict is stored as one Dataset, in which the parts of a comparison stand side by side under names with a prefix."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import xarray as xr

from .comparison import At, Comparison

SEPARATOR = "__"
WORDS = (
    "verdict",
    "passed",
    "largest",
    "unit",
    "allowed",
    "level",
    "exponent",
    "exponent_error",
    "sentences",
    "unseen",
)


def to_dataset(comparison: Comparison) -> xr.Dataset:
    """Return a comparison as one Dataset that `fl.save` can write."""
    parts = {"dataset": comparison.dataset, "theory": comparison.theory}
    parts |= {f"run{i}": run for i, run in enumerate(comparison.runs)}
    if comparison.extrapolated is not None:
        parts["extrapolated"] = comparison.extrapolated
    data: dict[str, Any] = {}
    described: dict[str, Any] = {}
    for part, dataset in parts.items():
        for name, values in dataset.variables.items():
            dims = tuple(f"{part}{SEPARATOR}{dim}" for dim in values.dims)
            data[f"{part}{SEPARATOR}{name}"] = (dims, values.values, dict(values.attrs))
        attributes = {str(key): _plain(value) for key, value in dataset.attrs.items()}
        described[part] = {"coords": [str(name) for name in dataset.coords], "attrs": attributes}
    said = {word: getattr(comparison, word) for word in WORDS if hasattr(comparison, word)}
    details = {"words": said, "at": list(comparison.at), "parts": described}
    return xr.Dataset(data, attrs={"kind": "verdict", "comparison": json.dumps(details, default=_plain)})


def from_dataset(stored: xr.Dataset) -> Comparison:
    """Return the comparison that `to_dataset` wrote.

    Raises
    ------
    ValueError
        If the Dataset holds none.
    """
    try:
        details = json.loads(stored.attrs["comparison"])
        parts = {name: _part(stored, name, found) for name, found in details["parts"].items()}
        runs = tuple(parts[f"run{i}"] for i in range(sum(name.startswith("run") for name in parts)))
        words = {name: value for name, value in details["words"].items() if name in WORDS}
        words["sentences"] = tuple(words.get("sentences", ()))
        known = {field.name for field in dataclasses.fields(Comparison)}
        return Comparison(
            at=At(*details["at"]),
            dataset=parts["dataset"],
            theory=parts["theory"],
            runs=runs,
            extrapolated=parts.get("extrapolated"),
            **{name: value for name, value in words.items() if name in known},
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"This Dataset holds no verdict of this version ({type(error).__name__}: {error}).") from None


def _part(stored: xr.Dataset, part: str, found: dict[str, Any]) -> xr.Dataset:
    prefix = part + SEPARATOR
    variables = {
        str(name).removeprefix(prefix): (
            tuple(str(dim).removeprefix(prefix) for dim in values.dims), values.values, values.attrs,
        )
        for name, values in stored.variables.items()
        if str(name).startswith(prefix)
    }  # fmt: skip
    coords = {name: variables.pop(name) for name in found["coords"]}
    return xr.Dataset(variables, coords=coords, attrs=found["attrs"])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
