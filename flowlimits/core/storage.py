"""Results are kept in netCDF files: written whole or not at all, and sealed with a checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import xarray as xr

from .checks import show
from .paths import replacing


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a result to a netCDF file, atomically: the file is there whole or as it was before.

    Parameters
    ----------
    dataset : xarray.Dataset
        A result, or any Dataset.
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
        If `dataset` is no Dataset, or the path is that of a table.
    """
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"Argument `dataset` must be an xarray.Dataset, but is {show(dataset)}.")
    if Path(path).suffix in (".csv", ".tex"):
        raise ValueError(
            f"Results are saved as netCDF, in a file such as result.nc, but the path is {show(str(path))}; fl.to_table writes tables."
        )
    with replacing(path) as temporary:
        clean = dataset.drop_encoding()
        clean.to_netcdf(
            temporary, engine="h5netcdf", encoding={str(n): _encoding(v) for n, v in clean.variables.items()}
        )
        seal = _seal(temporary)
        with temporary.open("ab") as written:
            written.write(seal)
    return Path(os.path.realpath(path))


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """Compress what is large."""
    return {"zlib": True, "shuffle": True} if variable.size > 1000 and variable.dtype.kind in "fiub" else {}


SEAL = b"\nflowlimits sha256 "


def _seal(path: Path, size: int | None = None) -> bytes:
    """Return the line that ends a saved file: a checksum of its first `size` bytes.

    HDF5 knows where its content ends and ignores what follows, so every netCDF program reads a sealed file.  Without
    the seal a flipped bit is a wrong number or attribute, and can make the HDF5 library loop for ever.
    """
    digest = hashlib.sha256()
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return SEAL + digest.hexdigest().encode() + b"\n"


def _check_seal(path: Path) -> None:
    """Refuse a file whose content is not what its seal says; other programs write files without a seal."""
    length = len(SEAL) + 65
    size = path.stat().st_size - length
    if size < 0:
        return
    with path.open("rb") as file:
        file.seek(size)
        stated = file.read(length)
    if stated.startswith(SEAL) and stated != _seal(path, size):
        raise ValueError(f"{path} is damaged, or was changed by another program: its checksum does not fit.")


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a result into memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PermissionError
        If the file may not be read.
    ValueError
        If the file is no netCDF file, or was cut off or changed.
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"Cannot read {source}: it is a folder.")
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    try:
        _check_seal(source)
    except OSError as error:
        raise type(error)(f"Cannot read {source}: {error.strerror or error}.") from None
    try:
        with xr.open_dataset(source, engine="h5netcdf") as opened:
            return opened.load().drop_encoding()
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(f"{source} is not a netCDF-4 file, or is damaged ({error}).") from error
