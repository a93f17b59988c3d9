"""A journal names the points that a parent is busy with, so that a point that kills its parent is found.

A point that ends the whole program (a crash in compiled code in a thread, a rank that takes MPI down with it)
would end every resumed study again.  So a parent writes down what it begins and ends, one line each, in a file of
its own; the files of parents that died name the suspects.  Losing such a file loses no result.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .worker import identity_of_process

HEARTBEAT_SECONDS = 30.0
SILENCE_SECONDS = 300.0
# More deaths than a user or a queue may happen to deal to one slow point.
SUSPECT_AFTER, FAIL_AFTER = 2, 5


class Journal:
    """The file of this parent: ``+ token key key ...`` when a chunk begins, ``- token`` when it ends."""

    def __init__(self, folder: Path, keys: Sequence[bytes]):
        folder.mkdir(exist_ok=True)
        host, process = identity_of_process()
        self.path = folder / f"{secrets.token_hex(8)}.{process}.{host}"
        self.keys = keys
        self.open: dict[int, str] = {}
        self.count = 0
        self.file = self.path.open("w", encoding="ascii")
        self.beaten = time.monotonic()
        self.written = 0

    def begin(self, indices: Sequence[int]) -> int:
        self.count += 1
        line = f"+ {self.count} {' '.join([self.keys[i].hex() for i in indices])}\n"
        self.open[self.count] = line
        self._write(line)
        return self.count

    def end(self, token: int) -> None:
        del self.open[token]
        self._write(f"- {token}\n")
        if self.written > 4_000_000:
            # The journal of a long study stays small; a death within these lines only forgets a suspicion.
            self.file.seek(0)
            self.file.truncate()
            self.written = 0
            self._write("".join(self.open.values()))

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()
        self.written += len(text)

    def beat(self) -> None:
        """Show other parents that this one lives."""
        if time.monotonic() - self.beaten > HEARTBEAT_SECONDS:
            self.beaten = time.monotonic()
            os.utime(self.path)

    def close(self) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)


def suspicions(folder: Path) -> tuple[Counter[bytes], set[bytes]]:
    """Return how often each point was under way when a parent died, and the points that living parents are at."""
    deaths: Counter[bytes] = Counter()
    living: set[bytes] = set()
    if not folder.is_dir():
        return deaths, living
    for path in folder.iterdir():
        try:
            keys = _under_way(path.read_text(encoding="ascii", errors="replace"))
            alive = _is_alive(path)
        except OSError:
            continue
        if alive:
            living |= keys
        elif keys:
            deaths.update(keys)
        else:
            path.unlink(missing_ok=True)
    return deaths, living


def forget(folder: Path, finished: set[bytes]) -> None:
    """Remove the files of dead parents whose points are all finished by now."""
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if not _is_alive(path) and _under_way(path.read_text(encoding="ascii", errors="replace")) <= finished:
                path.unlink(missing_ok=True)
        except OSError:
            continue


def _under_way(text: str) -> set[bytes]:
    chunks: dict[str, list[str]] = {}
    for line in text.splitlines():
        sign, _, rest = line.partition(" ")
        token, *keys = rest.split()[:100_000] or [""]
        if sign == "+":
            chunks[token] = keys
        elif sign == "-":
            chunks.pop(token, None)
    found = set()
    for keys in chunks.values():
        for key in keys:
            try:
                found.add(bytes.fromhex(key))
            except ValueError:
                continue
    return found


def _is_alive(path: Path) -> bool:
    """Return whether the parent of a file lives; on another host, whether it has shown signs of it lately."""
    _, process, host = path.name.split(".", 2)
    if host != identity_of_process()[0] or os.name != "posix":  # elsewhere os.kill does what its name says
        return time.time() - path.stat().st_mtime < SILENCE_SECONDS
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
