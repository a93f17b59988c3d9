"""Files are written whole or not at all, and netCDF files are walked through before anything in them is read.

Missing folders are made, by the functions and on the command line alike: what took hours to compute is not lost to a
folder that was forgotten.

A file that is read could name other files (links, external storage, virtual data sets), which would then be read with
the rights of whoever opens it, and claim sizes that no memory holds: such files are refused.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path`, symbolic links followed, after making sure that a file can be created there; nothing is left behind.

    Raises
    ------
    OSError
        If the path is a folder or a device, or neither file nor folder can be created there.
    """
    try:
        target = Path(os.path.realpath(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"Cannot write {path}: the working directory is gone.") from None
    if target.is_dir():
        raise IsADirectoryError(f"Cannot write {path}: it is a folder.")
    if target.exists() and not target.is_file():
        raise OSError(f"Cannot write {path}: it is a device or a pipe, which a file would replace.")
    there = next(folder for folder in target.parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f"Cannot write {path}: the folder {target.parent} cannot be made, because {there} is a file."
        )
    _create(there / target.name, path).unlink()
    return target


def _create(target: Path, path: str | os.PathLike[str]) -> Path:
    """Return a new empty file beside `target`, with the permissions that any new file gets."""
    made = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise type(error)(f"Cannot write {path}: {error.strerror or error}.") from None
    return made


@contextmanager
def replacing(path: str | os.PathLike[str], *, new: bool = False) -> Iterator[Path]:
    """Give a new file to write to, which takes the place of `path` at the end and vanishes after an exception.

    Parameters
    ----------
    path : path
        The file.
    new : bool, optional
        Refuse to replace a file that is there at the end: of two programs that write it, the first one wins.

    Raises
    ------
    FileExistsError
        If the file must be new and is there.
    OSError
        As `check_writable`; also if the disk is full, or the file grows beyond a limit.
    """
    target = check_writable(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _create(target, path)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        _rename(temporary, target, new)
        _sync_folder(target.parent)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno is None:  # a sentence already
            raise
        raise type(error)(f"Cannot write {path}: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _rename(temporary: Path, target: Path, new: bool) -> None:
    if new:
        try:
            os.link(temporary, target)
            return
        except FileExistsError:
            raise
        except OSError:
            pass  # a file system without hard links: the first of two that start at the same instant may lose
    os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open folders and needs no such step."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
