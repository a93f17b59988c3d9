"""The arrays of a problem stand beside its JSON: as text among the attributes of a result, and as variables in files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

ARRAY_PREFIX = "problem_"
#: The attribute of a result that holds the arrays of its problem.
ARRAYS = "problem_arrays"


def pack(arrays: Mapping[str, np.ndarray]) -> str:
    """Return arrays as text, the attribute `ARRAYS` of a result: variables of their own would multiply the rows of its tables."""
    return json.dumps(
        {
            name: [array.dtype.str, list(array.shape), base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()]
            for name, array in arrays.items()
        }
    )


def unpack(text: str) -> dict[str, np.ndarray]:
    """Return the arrays that `pack` wrote; ValueError if it wrote none of it."""
    try:
        found = {}
        for name, (dtype, shape, data) in json.loads(text).items():
            kind = np.dtype(dtype)
            if kind.kind not in "fiubU":
                raise ValueError(f"the dtype {dtype}")
            found[str(name)] = np.frombuffer(base64.b64decode(data, validate=True), kind).reshape(
                [int(n) for n in shape]
            )
        return found
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"The attribute `{ARRAYS}` of this Dataset holds no arrays of a problem: {error}.") from None


def arrays_of(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the arrays of the problem of a result: those of its attribute, and variables as files hold them."""
    packed = dataset.attrs.get(ARRAYS)
    arrays = unpack(packed) if isinstance(packed, str) else {}
    return arrays | {
        str(name): values.values for name, values in dataset.variables.items() if str(name).startswith(ARRAY_PREFIX)
    }


def with_array_variables(dataset: xr.Dataset) -> xr.Dataset:
    """Return a result as files hold it: with the arrays of its problem as variables, which other programs read."""
    if not isinstance(dataset.attrs.get(ARRAYS), str):
        return dataset
    arrays = unpack(dataset.attrs[ARRAYS])
    stored = dataset.assign(
        {name: ([f"{name}_{i}" for i in range(array.ndim)], array) for name, array in arrays.items()}
    )
    stored.attrs = {name: value for name, value in dataset.attrs.items() if name != ARRAYS}
    return stored


def without_array_variables(stored: xr.Dataset) -> xr.Dataset:
    """Return a result with the arrays of its problem in the attribute `ARRAYS`."""
    names = [str(name) for name in stored.data_vars if str(name).startswith(ARRAY_PREFIX)]
    if not names or "problem" not in stored.attrs:
        return stored
    packed = pack({name: stored[name].values for name in names})
    return stored.drop_vars(names).assign_attrs({ARRAYS: packed})
