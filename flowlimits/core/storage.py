"""Results are kept in netCDF files: written whole or not at all, and sealed with a checksum.

A file is walked through before anything in it is read.  It could name other files (links, external storage, virtual data sets), which
would then be read with the rights of whoever opens it, and claim sizes that no memory holds: such files are refused.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .arrays import with_array_variables, without_array_variables
from .checks import show
from .paths import replacing
from .registry import STORED

#: Deflate, shuffle, Fletcher's checksum: what netCDF programs write.
FILTERS = {1, 2, 3}
#: Deflate makes nothing smaller than a 1032nd.
LARGEST_RATIO, SPARE = 1100, 1 << 20
DEPTH = 16
#: netCDF writes a data set of this name for a dimension without a variable; it has a size and no content.
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
SIGNATURE = b"\x89HDF\r\n\x1a\n"


class RefusedError(ValueError):
    """A file that is not read."""


def end_of(content: bytes) -> int:
    """Return where the content of an HDF5 file ends by its own word, -1 if it does not say so."""
    if not content.startswith(SIGNATURE) or len(content) < 48:
        return -1
    place = {0: 40, 1: 44, 2: 28, 3: 28}.get(content[8], -1)
    return -1 if place < 0 else int.from_bytes(content[place : place + 8], "little")


def inspect(content: bytes) -> bool:
    """Return whether a file says that a seal belongs to it, after a walk through all of it.

    Raises
    ------
    RefusedError
        If a part of the file is not read.
    Exception
        If it is no HDF5 file, or a damaged one.
    """
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        _walk(file, "", 0, set())
        return "flowlimits_seal" in file.attrs


def _walk(group: Any, path: str, depth: int, seen: set[Any]) -> None:
    import h5py

    if depth > DEPTH:
        raise RefusedError(f"its groups are nested more than {DEPTH} deep")
    for name in group:
        where = f"{path}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise RefusedError(f"`{where}` is a link to another file ({link.filename!r})")
        if isinstance(link, h5py.SoftLink):
            raise RefusedError(f"`{where}` is a symbolic link")
        item = group[name]
        key = h5py.h5o.get_info(item.id).addr
        if key in seen:
            continue
        seen.add(key)
        if isinstance(item, h5py.Group):
            _walk(item, where, depth + 1, seen)
        elif isinstance(item, h5py.Dataset):
            _check(item, where)


def _check(dataset: Any, where: str) -> None:
    if dataset.external:
        raise RefusedError(f"the data of `{where}` lie in another file ({dataset.external[0][0]!r})")
    if dataset.is_virtual:
        raise RefusedError(f"`{where}` is a virtual data set, whose data lie in other files")
    settings = dataset.id.get_create_plist()
    for number in range(settings.get_nfilters()):
        code = settings.get_filter(number)[0]
        if code not in FILTERS:
            raise RefusedError(f"`{where}` needs the filter {code}, which results do not have")
    claimed = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    if claimed > LARGEST_RATIO * dataset.id.get_storage_size() + SPARE and not _is_plain_dimension(dataset):
        raise RefusedError(
            f"`{where}` claims {claimed} bytes, more than the {dataset.id.get_storage_size()} that are stored can hold"
        )


def _is_plain_dimension(dataset: Any) -> bool:
    label = dataset.attrs.get("NAME", b"")
    return (
        bytes(label).startswith(NO_VARIABLE)
        if isinstance(label, bytes)
        else str(label).startswith(NO_VARIABLE.decode())
    )


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
