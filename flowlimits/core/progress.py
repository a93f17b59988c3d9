"""Progress of long work: a bar on a terminal, plain lines with the time left elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

#: Seconds of work, as far as can be told, from which on progress is shown unasked.
PATIENCE = 2.0


class Progress:
    """A tqdm bar on stderr, plain lines with the time left where stderr is no terminal.

    With ``wanted=None`` the bar appears only once the work turns out to take longer than `PATIENCE`.  What is counted are
    pieces of work, of which parts may be done, or a span of time.
    """

    def __init__(self, total: float, description: str, wanted: bool | None):
        self.total, self.description, self.wanted = total, description, wanted
        self.done: float = 0
        self.started = self.last_line = time.monotonic()
        self.bar: Any = None

    def update(self, count: float = 1) -> None:
        """Count further pieces as done."""
        self.reach(self.done + count)

    def reach(self, done: float) -> None:
        """Show that so much is done."""
        self.done = done
        if self.wanted is False:
            return
        now = time.monotonic()
        if self.wanted is None and self.bar is None:
            elapsed = now - self.started
            if elapsed < 0.3 or self.done <= 0 or elapsed * self.total < PATIENCE * self.done:
                return
        if sys.stderr.isatty() or "ipykernel" in sys.modules:
            self._update_bar()
        elif now - self.last_line >= 5.0 or self.done == self.total:
            self.last_line = now
            sys.stderr.write(f"{self.description}: {self._words(now - self.started)}\n")

    def _words(self, elapsed: float) -> str:
        words = (
            f"{self._counted()}/{self.total}"
            if isinstance(self.total, int)
            else f"{100 * self.done / self.total:.0f} %"
        )
        left = (
            f", about {elapsed * (self.total / self.done - 1):.0f} s left"
            if 0.01 * self.total <= self.done < self.total
            else ""
        )
        return f"{words} after {elapsed:.0f} s{left}"

    def _counted(self) -> float:
        """Return what is shown as done: of pieces a tenth at least, since a run that has just begun is not 1e-05 runs."""
        if not isinstance(self.total, int):
            return self.done
        tenths = round(self.done, 1)
        return int(tenths) if tenths == int(tenths) else tenths

    def _update_bar(self) -> None:
        if self.bar is None:
            with warnings.catch_warnings():
                # Without ipywidgets tqdm warns and takes a bar of characters, which is what we want then.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {n:.4g}/{total:.4g} [{elapsed}<{remaining}]"
            self.bar = tqdm(total=self.total, desc=self.description, file=sys.stderr, bar_format=form)
            if not self.bar.disable:  # TQDM_DISABLE leaves a bar that knows no times
                self.bar.start_t -= time.monotonic() - self.started
        self.bar.update(self._counted() - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
