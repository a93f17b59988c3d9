"""A store is the folder of a study: immutable shards, each there whole or not at all.

====================  ===========================================================================
``study.json``        the definition of the study, written once
``points/*.npz``      the shards; the set of them is all that is known, there is no list of them
``underway/``         what the parents at work are busy with
``study.nc``          the table, as far as it went when a parent ended
``aside/``            damaged shards, and the points of earlier definitions
====================  ===========================================================================

Several parents may work in one folder: every file is written under a name of its own and renamed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import choice
from ..core.files import replacing
from ..core.storage import check_path
from .blocks import SUFFIX, Block, DamagedShardError, Failure, Shard, decode, encode, merge
from .keys import Definition

COMPACT_AFTER = 64
RESCAN_SECONDS = 2.0
CHANGED = ("refuse", "keep", "anew")


class Store:
    """The folder of one study, opened for one definition."""

    def __init__(self, folder: Path, definition: Definition):
        self.folder, self.definition = folder, definition
        self.points = folder / "points"
        self.seen: set[str] = set()
        self.own: list[str] = []
        self.scanned = 0.0

    @classmethod
    def open(cls, folder: str | os.PathLike[str], definition: Definition, changed: str = "refuse") -> Store:
        """Open the folder of a study, or make it.

        A random root that was not chosen (``root={}``) is taken from the folder.

        Raises
        ------
        OSError
            If the folder cannot be made or written.
        ValueError
            If the folder holds something else, or a study of another definition.
        """
        choice("changed", changed, CHANGED)
        path = Path(check_path(folder, "folder"))
        _make(path)
        stored = read_definition(path)
        if stored is None:
            _refuse_foreign(path)
            stored = _settle(path, definition)
        store = cls(path, definition)
        store._agree(stored, changed)
        _make(store.points)
        for left in store.points.glob(".*.part"):
            # Left by a killed parent; a living one needs far less than a day for a shard.
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > 86_400:
                    left.unlink()
        return store

    def _agree(self, stored: Definition, changed: str) -> None:
        if self.definition.root == {}:
            self.definition = dataclasses.replace(self.definition, root=stored.root or fresh_root())
        identity, code = stored.identity_changes(self.definition), stored.code_changes(self.definition)
        if not identity and not code:
            return
        if changed == "anew":
            self._set_aside_all()
            _settle(self.folder, self.definition)
        elif changed == "keep" and not identity:
            _write(self.folder / "study.json", _json(self.definition))
        else:
            keep = ' Pass changed="keep" if that does not change the numbers,' if not identity else " Pass"
            join = " or" if not identity else ""
            raise ValueError(
                f"Folder {self.folder} holds a study of another definition: {'; '.join(identity + code)}.{keep}{join} "
                'changed="anew" to set its points aside and start anew, or name another folder.'
            )

    def _set_aside_all(self) -> None:
        aside = _new_folder(self.folder / "aside")
        for name in ("points", "study.json", "study.nc"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.folder / name, aside / name)

    def read(self) -> Iterator[Shard]:
        """Yield the shards that have not been read yet; damaged ones are named, set aside, and passed over."""
        damaged = []
        self.scanned = time.monotonic()
        while new := sorted(name for name in _names(self.points) if name not in self.seen):
            for name in new:
                self.seen.add(name)
                try:
                    yield decode(name, (self.points / name).read_bytes())
                except FileNotFoundError:
                    continue  # another parent merged it into a larger one, which the next look will find
                except (DamagedShardError, OSError) as error:
                    damaged.append(self._set_aside(name, error))
        if damaged:
            warnings.warn(
                f"Set aside {len(damaged)} damaged file{'s' if len(damaged) > 1 else ''} of {self.folder}; the points are computed again: "
                f"{'; '.join(damaged[:5])}.",
                stacklevel=2,
            )

    def read_others(self) -> Iterator[Shard]:
        """Yield what other parents have finished since the last look, at most every few seconds."""
        if time.monotonic() - self.scanned > RESCAN_SECONDS:
            yield from self.read()

    def _set_aside(self, name: str, error: Exception) -> str:
        aside = self.folder / "aside"
        with contextlib.suppress(OSError):
            aside.mkdir(exist_ok=True)
            os.replace(self.points / name, aside / name)
        return f"points/{name}: {error}"

    def write(
        self,
        blocks: Sequence[Block],
        failures: Sequence[Failure],
        place: Callable[[int], tuple[bytes, dict[str, Any], int]],
    ) -> None:
        """Commit results.

        Parameters
        ----------
        place : callable
            Returns the key, the values on the axes, and the repeat of the point of an index.
        """
        definition = self.definition.plain()
        lost = []
        for failure in failures:
            key, values, repeat = place(failure.row)
            lost.append({"key": key.hex(), "point": values | {"repeat": repeat}, "message": failure.message})
        shards = [Shard(definition, [], {}, np.zeros(0, dtype=int), None, lost)] if lost else []
        for block in blocks:
            rows = [place(int(index)) for index in block.indices]
            values = {name: np.array([row[1][name] for row in rows]) for name in rows[0][1]}
            shards.append(
                Shard(definition, [row[0] for row in rows], values, np.array([row[2] for row in rows]), block, [])
            )
        for shard in merge(shards):
            self._write_shard(shard)
        if len(self.own) >= COMPACT_AFTER:
            self.compact()

    def _write_shard(self, shard: Shard) -> str:
        name, content = encode(shard)
        _write(self.points / name, content)
        self.seen.add(name)
        self.own.append(name)
        return name

    def compact(self) -> None:
        """Replace the small shards of this parent by large ones: one file per second would be 86,400 a day."""
        old, self.own = self.own, []
        try:
            shards = [decode(name, (self.points / name).read_bytes()) for name in old]
        except (DamagedShardError, OSError):
            return  # the next reader names and repairs it
        if len(shards) < 2:
            return
        kept = {self._write_shard(shard) for shard in merge(shards)}
        self.own = []
        for name in old:
            if name not in kept:
                (self.points / name).unlink(missing_ok=True)


def fresh_root() -> dict[str, Any]:
    """Return a root of random streams from the operating system."""
    from ..core import streams

    return streams.describe(streams.root(None))


def read_definition(folder: Path) -> Definition | None:
    """Return the definition of the study in a folder, from its own file or else from a shard; None if there is neither.

    Raises
    ------
    ValueError
        If the folder has a damaged ``study.json`` and no shard to repair it from.
    """
    reason = ""
    try:
        return Definition.from_plain(json.loads((folder / "study.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise type(error)(f"Cannot read {folder / 'study.json'}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    for name in sorted(_names(folder / "points")):
        with contextlib.suppress(DamagedShardError, OSError, KeyError, TypeError, ValueError):
            definition = Definition.from_plain(decode(name, (folder / "points" / name).read_bytes()).definition)
            _write(folder / "study.json", _json(definition))
            return definition
    if reason:
        raise ValueError(
            f"{folder / 'study.json'} is damaged or belongs to another program ({reason}). Remove it to start anew, or name another folder."
        )
    return None


def _refuse_foreign(folder: Path) -> None:
    found = sorted(
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name not in ("points", "aside")
    )
    if found:
        shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise ValueError(
            f"Folder {folder} is not empty and holds no study (it has {shown}). Name a new or an empty folder."
        )


def _settle(folder: Path, definition: Definition) -> Definition:
    """Write the definition unless another parent was first, and return the one that is there."""
    if definition.root == {}:
        definition = dataclasses.replace(definition, root=fresh_root())
    try:
        with replacing(folder / "study.json", new=True) as temporary:
            temporary.write_bytes(_json(definition))
    except FileExistsError:
        return read_definition(folder) or definition
    return definition


def _json(definition: Definition) -> bytes:
    return (json.dumps(definition.plain(), indent=1) + "\n").encode()


def _names(points: Path) -> list[str]:
    try:
        return [name for name in os.listdir(points) if name.endswith(SUFFIX) and not name.startswith(".")]
    except FileNotFoundError:
        return []


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{secrets.token_hex(6)}.part"
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        probe.unlink()
    except FileExistsError:
        raise NotADirectoryError(f"Cannot use {path} as the folder of a study: it is a file.") from None
    except OSError as error:
        raise type(error)(f"Cannot use {path} as the folder of a study: {error.strerror or error}.") from None


def _new_folder(parent: Path) -> Path:
    number = 1
    while True:
        try:
            (parent / f"study-{number}").mkdir(parents=True)
            return parent / f"study-{number}"
        except FileExistsError:
            number += 1


def _write(target: Path, content: bytes) -> None:
    try:
        with replacing(target) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise type(error)(f"{error} What was written before is kept.") from None
