"""What surrounds a compilation: the notice that it takes long, rare collections of garbage, and what is said when it fails."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Said once per process, on stderr, if compilation takes more than a second.
SENTENCE = "Compiling the equations: the first use on a machine takes up to a minute."
#: Seconds of compilation before anything is said; what was longer ago than the same time does not count.
PATIENCE = 1.0


class Announcement:
    """The clock of compilations; what is found in the cache is none."""

    def __init__(self) -> None:
        self.said = False
        self.lock = threading.RLock()
        self.depth = 0
        self.began = self.ended = -PATIENCE
        self.spent = 0.0
        self.timer: threading.Timer | None = None

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Count the time within, from the first function on that is not in the cache; the outermost of several counts."""
        if self.said:
            yield
            return
        with self.lock:
            self.depth += 1
        try:
            yield
        finally:
            self._end()

    def missed(self) -> None:
        """Note that a function is not in the cache, and is compiled from here on."""
        with self.lock:
            if self.said or not self.depth or self.timer is not None:
                return
            self.began = time.monotonic()
            if self.began - self.ended > PATIENCE:
                self.spent = 0.0
            self.timer = threading.Timer(max(PATIENCE - self.spent, 0.0), self.say)
            self.timer.daemon = True
            with suppress(RuntimeError):  # no more threads, or the interpreter is shutting down
                self.timer.start()

    def _end(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and self.timer is not None:
                self.timer.cancel()
                self.timer = None
                self.ended = time.monotonic()
                self.spent += self.ended - self.began

    def say(self) -> None:
        """Say the sentence, unless it was said."""
        with self.lock:
            if self.said:
                return
            self.said = True
        try:
            sys.stderr.write(SENTENCE + "\n")
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):  # there is no stderr, or it is closed
            pass


def reason(error: Exception) -> str:
    """Return the telling line of Numba's message, and where it points to."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    dull = ("Failed in nopython", "During:", "File ", "This error", "<source", "Overload", "There are", "- Of which")
    telling = [line for line in lines if not line.startswith(dull)]
    first = telling[0] if telling else type(error).__name__
    place = next((line for line in lines if line.startswith("File ")), "")
    number = place.rpartition("line ")[2].strip(" ():") if "line " in place else ""
    return f"{first.rstrip('.:')}{f' (line {number})' if number else ''}."


class _Collections:
    """Rare collections of garbage while something is compiled: a twelfth of the time goes there, and little is found."""

    OBJECTS = 20_000

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.before = gc.get_threshold()

    def __enter__(self) -> None:
        with self.lock:
            if self.depth == 0:
                self.before = gc.get_threshold()
                if 0 < self.before[0] < self.OBJECTS:
                    gc.set_threshold(self.OBJECTS, *self.before[1:])
            self.depth += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                gc.set_threshold(*self.before)


announcement = Announcement()
missed = announcement.missed
_collections = _Collections()


@contextmanager
def compiling() -> Iterator[None]:
    """Note that something is compiled within, or found in the cache."""
    with _collections, announcement.compiling():
        yield
