"""Results are kept in netCDF files: written whole or not at all, and sealed with a checksum.

Files hold the arrays of a problem as variables, which other programs read; the Dataset holds them as text in an attribute.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import show
from .files import RefusedError, end_of, inspect, replacing
from .registry import STORED

if TYPE_CHECKING:
    import xarray as xr

#: The names of the arrays of a problem begin with this.
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


#: The attribute of a file, not of a result, that says that a seal ends the file.
SEALED = "flowlimits_seal"
SEAL = b"\nflowlimits sha256 "
LENGTH = len(SEAL) + 65


def save(dataset: Any, path: str | os.PathLike[str]) -> Path:
    """Write a result to a netCDF file, atomically: the file is there whole or as it was before.

    Parameters
    ----------
    dataset : xarray.Dataset or Comparison
        A result, any Dataset, or a verdict.
    path : path
        The file.  Missing folders are made, and a file that is there is replaced.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    OSError
        If the file cannot be written, or the disk is full.
    TypeError, ValueError
        If `dataset` is no Dataset, the path is no path or that of a table, or an attribute is of a kind that netCDF files
        cannot hold.

    Notes
    -----
    The file is made in memory and then written, so that a full disk leaves nothing behind.  A list of one number is read
    back as the number.
    """
    import xarray as xr

    if type(dataset).__module__ == "flowlimits.verdict.comparison":
        dataset = importlib.import_module(STORED["verdict"]).to_dataset(dataset)
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"Argument `dataset` must be an xarray.Dataset, but is {show(dataset)}.")
    if Path(check_path(path)).suffix in (".csv", ".tex"):
        raise ValueError(
            f"Results are saved as netCDF, in a file such as result.nc, but the path is {show(str(path))}; fl.to_table writes tables."
        )
    _check_attributes("the Dataset", dataset.attrs)
    for name, values in dataset.variables.items():
        _check_attributes(f"the variable `{name}`", values.attrs)
    content = _image(with_array_variables(dataset))
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.write(_seal(content))
    return Path(os.path.realpath(path))


def check_path(path: Any, name: str = "path") -> str | os.PathLike[str]:
    """Return a path, or refuse what is none."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"Argument `{name}` must be a path, but is {show(path)}.")
    if "\0" in os.fspath(path):
        raise ValueError(f"Argument `{name}` must be a path, but holds a null character: {show(path)}.")
    return path


def _check_attributes(owner: str, attributes: Any) -> None:
    for name, value in attributes.items():
        kind = np.asarray(value).dtype.kind if isinstance(value, list | tuple | np.ndarray) else ""
        if isinstance(value, bool | np.bool_) or (
            not isinstance(value, str | bytes | int | float | np.number) and (kind not in set("iufSU"))
        ):
            raise TypeError(
                f"Attribute `{name}` of {owner} must be text, a number or a list of these, which netCDF files can hold, but is "
                f"{show(value)}."
            )


def _image(dataset: xr.Dataset) -> bytes:
    """Return the bytes of a netCDF file."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    clean = dataset.drop_encoding().assign_attrs({SEALED: "sha256"})
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        store = H5NetCDFStore(file)
        clean.dump_to_store(store, encoding={str(n): _encoding(v) for n, v in clean.variables.items()})
        store.sync()
    return buffer.getvalue()


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """Compress what is large."""
    return {"zlib": True, "shuffle": True} if variable.size > 1000 and variable.dtype.kind in "fiub" else {}


def _seal(content: bytes) -> bytes:
    """Return the line that ends a saved file: a checksum of what stands before it.

    HDF5 knows where its content ends and ignores what follows, so every netCDF program reads a sealed file.  Without
    the seal a flipped bit is a wrong number or attribute, and can make the HDF5 library loop for ever.
    """
    return SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"


def load(path: str | os.PathLike[str]) -> Any:
    """Read a result into memory.

    Returns
    -------
    xarray.Dataset or Comparison
        What was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PermissionError
        If the file may not be read.
    ValueError
        If the file is no netCDF file, was cut off or changed, points to other files, or holds attributes that no result
        has.
    """
    import xarray as xr

    source = Path(check_path(path))
    if source.is_dir():
        raise IsADirectoryError(f"Cannot read {source}: it is a folder.")
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise type(error)(f"Cannot read {source}: {error.strerror or error}.") from None
    sealed = _is_sealed(source, content)
    try:
        marked = inspect(content)
    except RefusedError as error:
        raise ValueError(f"Cannot read {source}: {error}.") from None
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(f"{source} is not a netCDF-4 file, or is damaged ({error}).") from None
    if marked and not sealed:
        raise _damaged(source)
    try:
        with xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as opened:
            found = opened.load().drop_encoding()
    except Exception as error:
        raise ValueError(f"{source} is not a netCDF-4 file, or is damaged ({error}).") from error
    found.attrs.pop(SEALED, None)
    found = without_array_variables(found)
    if {"schema", "problem", "provenance"} & set(found.attrs):
        from .attributes import check

        check(found, f"{source}: ")
    stored = found.attrs.get("kind")
    if isinstance(stored, str) and stored in STORED:
        return importlib.import_module(STORED[stored]).from_dataset(found)
    return found


def _is_sealed(path: Path, content: bytes) -> bool:
    """Return whether a fitting seal ends a file; refuse a seal that does not fit, or what is left of one.

    Other programs write files without a seal, which end where HDF5 says that they end.
    """
    body, tail = content[:-LENGTH], content[-LENGTH:]
    if tail.startswith(SEAL):
        if tail != _seal(body):
            raise _damaged(path)
        return True
    if end_of(content) == len(body):
        raise _damaged(path)
    return False


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path} is damaged, or was changed by another program: its checksum does not fit.")
