"""An HDF5 file is walked through before anything in it is read: what points out of the file, or claims too much, is refused.

A file can name other files (links, external storage, virtual data sets), which would then be read with the rights of
whoever opens it, and can claim sizes that no memory holds.
"""

from __future__ import annotations

import io
import math
from typing import Any

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
