"""Threads of a batch that an interrupt stops within a slice, and that are waited for before anything is returned."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..driver import Integration


class Stoppable(Integration):
    """An integration that another thread can interrupt between two slices."""

    def __init__(self, stop: threading.Event, *arguments: Any, **options: Any) -> None:
        self.stop = stop
        super().__init__(*arguments, **options)

    def slice(self, budget: int) -> int:
        """Run at most `budget` steps; return a status of `layout`."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        return super().slice(budget)


def for_each(function: Any, items: np.ndarray, threads: int, stop: threading.Event) -> None:
    """Call the function for all items by threads; after an interrupt or an error, wait for those under way."""
    if threads == 1 or len(items) <= 1:
        try:
            for item in items:
                function(int(item))
        except BaseException:
            stop.set()
            raise
        return

    lock, active = threading.Lock(), set()

    def guarded(item: int) -> None:
        with lock:
            if stop.is_set():
                return
            active.add(item)
        try:
            function(item)
        finally:
            active.discard(item)

    pool = ThreadPoolExecutor(min(threads, len(items)))
    try:
        pending = {pool.submit(guarded, int(item)) for item in items}
        while pending:
            # In short turns, because some systems do not interrupt a long one.
            done, pending = wait(pending, timeout=0.2, return_when="FIRST_EXCEPTION")
            for future in done:
                future.result()
    except BaseException:
        stop.set()
        settle(lock, active)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def settle(lock: threading.Lock, active: set[int]) -> None:
    """Wait for what is under way, which notices `stop` within a slice; it writes to the results, so that a second Ctrl-C waits too.

    The pool itself forgets a thread that it was starting, or waiting for, when an interrupt came.
    """
    while True:
        try:
            with lock:
                if not active:
                    return
            time.sleep(0.005)
        except KeyboardInterrupt:
            continue
