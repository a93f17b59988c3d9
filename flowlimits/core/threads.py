"""Runs in threads: results in the order of their index, one BLAS thread each, a bar, a clean interrupt, and errors that keep what is finished.

Compiled loops release the interpreter lock, so threads are enough; the number of threads and the order in
which they finish change nothing in the results, because run `i` sees only its own index.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np

from . import checks
from .progress import Progress

Result = TypeVar("Result")
#: Seconds between two looks for an interrupt while compiled code runs in a thread of its own.
TURN = 0.1


class OneLine(BaseException):
    """An interrupt whose text says all: notebooks show it in place of a traceback of compiled loops and threads."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Keeps:
    """What an error keeps: its `partial` may be given as a function, which is called when somebody asks."""

    _partial: Any = None

    @property
    def partial(self) -> Any:
        """The finished part as a result, or None."""
        if callable(self._partial):
            made, self._partial = self._partial, None
            self._partial = made()
        return self._partial

    @partial.setter
    def partial(self, value: Any) -> None:
        self._partial = value


class Unfinished(Keeps, BaseException):
    """A computation stopped before the last requested time.

    Attributes
    ----------
    times, states : ndarray
        The requested times that were reached, and the states there.
    report : Report
        How it went; `report.status` says why it stopped.
    partial : xarray.Dataset or None
        The finished part as a result, where a problem was solved and at least one time was reached.  It is made when it is
        first asked for, so that an interrupt is answered at once.
    """

    def __init__(self, message: str, times: np.ndarray, states: np.ndarray, report: Any) -> None:
        super().__init__(message)
        self.times = times
        self.states = states
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.times, self.states, self.report)


class Interrupted(Keeps, OneLine, KeyboardInterrupt):
    """An interrupt in the middle of several runs.

    Attributes
    ----------
    finished : dict
        The result of each finished run by its index.
    partial : Any
        The finished runs as a result, where `run_threads` was given `assemble`; otherwise None.
    """

    def __init__(self, message: str, finished: dict[int, Any]):
        super().__init__(message)
        self.finished = finished


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def check_threads(threads: Any) -> int:
    """Return the number of threads to use; None means all processors this process may use."""
    return available_threads() if threads is None else checks.integer("threads", threads, minimum=1)


class _OneBlasThread:
    """Context that keeps BLAS to one thread until the last of those who asked for it has left, in whatever order they leave."""

    def __init__(self) -> None:
        self.lock, self.inside, self.limit = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.limit = _libraries(len(sys.modules)).limit(limits=1, user_api="blas")
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.restore_original_limits()  # type: ignore[attr-defined]


#: Several BLAS threads in each of ours ran 4 to 14 times slower than one each; and as they wait for each other by spinning,
#: products of a hundred rows took 400 times as long beside other processes.
one_blas_thread = _OneBlasThread()


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """Return the libraries that are loaded; finding them takes a millisecond, and further ones come with further modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def plainly(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``function(*arguments)``."""
    return function(*arguments)


def interruptible(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``function(*arguments)``, called in a thread so that an interrupt need not wait for it.

    What was left behind by an interrupt runs to its end; it must write to nothing that is used afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    made: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            made.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(TURN)
    if errors:
        raise errors[0]
    return made[0]


#: Of the thread of a run: what `advance` calls.
_RUN = threading.local()


def advance(share: float) -> None:
    """Say which share of the run of this thread is done; loops of long runs call it between their slices."""
    report = getattr(_RUN, "report", None)
    if report is not None:
        report(share)


def run_threads(
    function: Callable[[int], Result],
    count: int,
    *,
    threads: int | None = None,
    progress: bool | None = None,
    description: str = "runs",
    assemble: Callable[[list[Result]], Any] | None = None,
) -> Any:
    """Return ``[function(0), ..., function(count - 1)]``, computed by `threads` threads.

    Parameters
    ----------
    assemble : callable, optional
        Makes the result from the list of what the runs returned, which is then returned instead.  After an interrupt
        it is given the runs ``0, ..., k - 1`` that were finished, so that it must not count on `count` of them: the
        result of k runs, which can be repeated as such.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the finished results; the runs under way are waited for, no new one starts.
    Exception
        The first exception of a run, after the runs under way have ended.
    """
    workers = min(check_threads(threads), max(count, 1))
    bar = Progress(count, description, checks.progress(progress))
    finished: dict[int, Result] = {}
    shares: dict[int, float] = {}
    lock = threading.Lock()

    def run(index: int) -> None:
        def report(share: float) -> None:
            with lock:
                shares[index] = max(shares.get(index, 0.0), share)
                bar.reach(len(finished) + min(sum(shares.values()), len(shares) * 0.999))

        _RUN.report = report
        try:
            made = function(index)
        finally:
            _RUN.report = None
        with lock:
            finished[index] = made
            shares.pop(index, None)
            bar.reach(len(finished) + sum(shares.values()))

    try:
        with one_blas_thread:
            for_each(run, range(count), workers, threading.Event())
    except KeyboardInterrupt:
        message = f"Interrupted after {len(finished)} of {count} {description}."
        stopped = Interrupted(message, finished)
        first = [finished[i] for i in takewhile(finished.__contains__, range(count))]
        if assemble is not None and first:
            stopped.partial = assemble(first)
        raise stopped from None
    finally:
        bar.close()
    made = [finished[index] for index in range(count)]
    return made if assemble is None else assemble(made)


def for_each(function: Callable[[int], Any], items: Iterable[int], threads: int, stop: threading.Event) -> None:
    """Call the function for all items by threads; after an interrupt or an error, wait for those under way."""
    items = [int(item) for item in items]
    if threads == 1 or len(items) <= 1:
        try:
            for item in items:
                function(item)
        except BaseException:
            stop.set()
            raise
        return

    lock, active = threading.Lock(), set()
    todo, ended = iter(items), threading.Event()
    errors: list[BaseException] = []
    working = workers = min(threads, len(items))

    def work() -> None:
        nonlocal working
        while True:
            with lock:
                item = None if stop.is_set() or errors else next(todo, None)
                if item is None:
                    working -= 1
                    if not working:
                        ended.set()
                    return
                active.add(item)
            try:
                function(item)
            except BaseException as error:
                errors.append(error)
            finally:
                active.discard(item)

    # One task per thread, not per item: while it waits for thousands of tasks the pool takes the lock of each, and an interrupt
    # that arrives meanwhile leaves them locked, so that the program hangs at its end.
    pool = ThreadPoolExecutor(workers)
    try:
        for _ in range(workers):
            pool.submit(work)
        while not ended.wait(0.2):  # in short turns, because some systems do not interrupt a long one
            pass
        if errors:
            raise errors[0]
    except BaseException:
        stop.set()
        _settle(lock, active)
        raise
    finally:
        pool.shutdown(wait=False)


def _settle(lock: threading.Lock, active: set[int]) -> None:
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
