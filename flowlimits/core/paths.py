"""`replacing` writes files whole or not at all.

Missing folders are made, by the functions and on the command line alike: what took hours to compute is not lost to a
folder that was forgotten.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path`, symbolic links followed, after making sure that a file can be created there; nothing is left behind.

    Raises
    ------
    OSError
        If the path is a folder, or neither file nor folder can be created there.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"Cannot write {path}: it is a folder.")
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
