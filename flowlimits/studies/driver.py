"""The driver keeps the workers busy, collects what they finish, repeats what they lose, and commits.

Chunks are sized to a fifth of a second of measured work and only twice as many as there are workers are in flight,
so that an interrupt loses little and a broken pool takes few innocent points with it.  The points of a lost chunk
are run again one at a time, with nothing else in flight: the one that breaks the pool again is recorded as failed.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from typing import Any

from .blocks import Failure
from .executors import Pool
from .worker import Outcome, Point

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
        self.pool, self.point, self.record, self.commit, self.journal, self.done = (
            pool,
            point,
            record,
            commit,
            journal,
            done,
        )
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
                for future in finished:
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
