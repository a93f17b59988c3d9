"""Say once per process, on stderr, that equations are being compiled, if that takes more than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SENTENCE = "Compiling the equations: the first use on a machine takes up to a minute."
#: Seconds of compilation before anything is said; what was longer ago than the same time does not count.
PATIENCE = 1.0


class Announcement:
    """The clock of compilations."""

    def __init__(self) -> None:
        self.said = False
        self.lock = threading.RLock()
        self.depth = 0
        self.began = self.ended = -PATIENCE
        self.spent = 0.0

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Count the time within as compilation; of compilations within others, the outermost counts."""
        if self.said:
            yield
            return
        timer = self._begin()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self._end()

    def _begin(self) -> threading.Timer | None:
        with self.lock:
            self.depth += 1
            if self.depth > 1:
                return None
            self.began = time.monotonic()
            if self.began - self.ended > PATIENCE:
                self.spent = 0.0
            timer = threading.Timer(max(PATIENCE - self.spent, 0.0), self.say)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            return None
        return timer

    def _end(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
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


announcement = Announcement()
compiling = announcement.compiling
