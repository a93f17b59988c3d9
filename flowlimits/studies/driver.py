"""The driver keeps the workers busy, collects what they finish, repeats what they lose, commits, and notes in a journal what is under way.

Chunks are sized to a fifth of a second of measured work and only twice as many as there are workers are in flight,
so that an interrupt loses little and a broken pool takes few innocent points with it.  The points of a lost chunk
are run again one at a time, with nothing else in flight: the one that breaks the pool again is recorded as failed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from pathlib import Path
from typing import Any

from .blocks import Failure
from .executors import Pool
from .worker import Outcome, Point, identity_of_process

# A journal names the points that a parent is busy with, so that a point that kills its parent is found.
#
# A point that ends the whole program (a crash in compiled code in a thread, a rank that takes MPI down with it)
# would end every resumed study again.  So a parent writes down what it begins and ends, one line each, in a file of
# its own; the files of parents that died name the suspects.  Losing such a file loses no result.

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


CHUNK_SECONDS = 0.2
BUDGET_SECONDS = 0.5
COMMIT_SECONDS = 0.5
LARGEST_CHUNK = 4000


class Driver:
    """Runs points on a pool.

    Parameters
    ----------
    pool : Pool
    point : callable
        Returns the `Point` of an index.
    record : callable
        Takes each `Outcome` as it comes.
    commit : callable
        Makes what was recorded permanent.
    journal : object with `begin(indices) -> token` and `end(token)`, or None
        Is told which points are under way.
    done : callable
        Says whether a point has meanwhile been finished by someone else.
    """

    def __init__(
        self,
        pool: Pool,
        point: Callable[[int], Point],
        record: Callable[[Outcome], None],
        commit: Callable[[], None],
        journal: Any = None,
        done: Callable[[int], bool] = lambda index: False,
    ):
        self.pool, self.point, self.record, self.commit = pool, point, record, commit
        self.journal, self.done = journal, done
        self.queue: deque[int] = deque()
        self.alone: deque[int] = deque()
        self.losses: dict[int, int] = {}
        self.flight: dict[Future[Any], tuple[list[int], Any, Any]] = {}
        self.cost: float | None = None
        self.committed = time.monotonic()

    def run(self, indices: Iterable[int], alone: Iterable[int] = ()) -> None:
        """Run all points; those in `alone` one at a time, first.

        Raises
        ------
        KeyboardInterrupt, StudyError
            After what is finished has been recorded and committed.
        """
        self.queue.extend(indices)
        self.alone.extend(alone)
        try:
            while self.queue or self.alone or self.flight:
                self._fill()
                finished, _ = wait(self.flight, timeout=0.2, return_when=FIRST_COMPLETED)
                # In the order of submission: a set has none.
                for future in [one for one in self.flight if one in finished]:
                    self._collect(future)
                if time.monotonic() - self.committed > COMMIT_SECONDS:
                    self._commit()
        except BaseException:
            self._stop()
            raise
        self._commit()

    def _commit(self) -> None:
        self.commit()
        self.committed = time.monotonic()

    def _fill(self) -> None:
        if self.alone:
            if not self.flight:
                self._submit([self.alone.popleft()], self.alone)
            return
        window = 2 * self.pool.capacity()
        while self.queue and len(self.flight) < window:
            share = -(-len(self.queue) // window)
            size = 1 if self.cost is None else int(CHUNK_SECONDS / max(self.cost, 1e-9))
            count = max(1, min(size, LARGEST_CHUNK, share))
            indices = [self.queue.popleft() for _ in range(min(count, len(self.queue)))]
            if not self._submit([index for index in indices if not self.done(index)], self.queue):
                return

    def _submit(self, indices: list[int], source: deque[int]) -> bool:
        if not indices:
            return True
        token = self.journal.begin(indices) if self.journal else None
        try:
            future = self.pool.submit([self.point(index) for index in indices], BUDGET_SECONDS)
        except BrokenExecutor as error:
            # The pool broke before it took the chunk: these points are not to blame.
            source.extendleft(reversed(indices))
            if self.journal:
                self.journal.end(token)
            if not self.flight:
                self.pool.rebuild(error)
            return False
        self.flight[future] = (indices, token, self.pool.executor)
        return True

    def _collect(self, future: Future[Any]) -> None:
        indices, token, executor = self.flight.pop(future)
        try:
            outcome: Outcome = future.result()
        except CancelledError:
            self.queue.extendleft(reversed(indices))
        except Exception as error:
            self._lose(indices, error)
            if isinstance(error, BrokenExecutor) and executor is self.pool.executor:
                self.pool.rebuild(error)
        else:
            self.record(outcome)
            cost = outcome.elapsed / max(outcome.taken, 1)
            self.cost = cost if self.cost is None else 0.5 * (self.cost + cost)
            self.queue.extendleft(reversed(indices[outcome.taken :]))
        if self.journal:
            self.journal.end(token)

    def _lose(self, indices: list[int], error: BaseException) -> None:
        for index in indices:
            self.losses[index] = self.losses.get(index, 0) + 1
        # A point is to blame when it was lost alone, and not for the first time.
        if len(indices) == 1 and self.losses[indices[0]] >= 2:
            message = f"The worker died, {self.losses[indices[0]]} times ({type(error).__name__}: {str(error)[:300]})"
            self.record(Outcome([], [Failure(indices[0], message)], 1, 0.0))
        else:
            self.alone.extend(indices)

    def _stop(self) -> None:
        """Cancel what has not begun, wait shortly for what has, and commit all that came back."""
        for future in self.flight:
            future.cancel()
        finished, _ = wait(self.flight, timeout=2 * BUDGET_SECONDS)
        for future in finished:
            self.flight.pop(future)
            if not future.cancelled() and future.exception() is None:
                # What ended the study may be a result that does not fit; it is on its way to the user already.
                with contextlib.suppress(ValueError):
                    self.record(future.result())
        self.commit()
