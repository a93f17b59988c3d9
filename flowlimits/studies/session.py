"""A session maps one function with one definition, one folder and one pool, for `study` and `refine` alike."""

from __future__ import annotations

import dataclasses
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..core import streams
from ..core.checks import show
from ..core.progress import Progress
from ..core.registry import did_you_mean
from ..core.threads import check_threads, one_blas_thread
from . import worker
from .blocks import Block, Failure
from .driver import FAIL_AFTER, SUSPECT_AFTER, Driver, Journal, forget, suspicions
from .executors import Pool, check_workers, warm_up
from .keys import Definition, canonical, code_of, function_name, unwrap
from .store import Store, fresh_root
from .table import FAILED, FINISHED, RESERVED, Table, point_text
from .worker import Outcome, Point, Task

Values = tuple[Any, ...]


class Points:
    """The points of a study by index: `keys[i]`, `values(i)` in the order of `names`, and `repeat(i)`."""

    def __init__(self, names: Sequence[str], keys: list[bytes], values: Callable[[int], Values], repeats: int = 1):
        self.names, self.keys, self.values, self.repeats = tuple(names), keys, values, repeats

    def place(self, index: int) -> tuple[bytes, dict[str, Any], int]:
        return self.keys[index], dict(zip(self.names, self.values(index))), index % self.repeats

    def describe(self, index: int) -> str:
        point = dict(zip(self.names, self.values(index)))
        return point_text(point | ({"repeat": index % self.repeats} if self.repeats > 1 else {}))


class Session:
    """A function that is being mapped over points.

    Parameters
    ----------
    function : callable
    names : sequence of str
        The names of the axes.
    parameters, version, rng, folder, changed, executor, workers, progress
        As in `flowlimits.study`.

    Attributes
    ----------
    definition : Definition
    store : Store or None
    """

    def __init__(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        *,
        parameters: Mapping[str, Any] | None,
        version: str,
        rng: Any,
        folder: Any,
        changed: str,
        executor: Any,
        workers: Any,
        progress: bool | None,
    ):
        if not callable(function):
            raise TypeError(f"Argument `function` must be a function, but is {show(function)}.")
        if not isinstance(version, str):
            raise TypeError(f"Argument `version` must be a word, but is {show(version)}.")
        plain, fixed = unwrap(function)
        given = fixed | dict(parameters or {})
        self.name = function_name(plain)
        random = check_signature(plain, self.name, names, given, rng)
        root: dict[str, Any] | None = None
        if random:
            root = {} if rng is None else streams.describe(streams.root(rng))
        identity = {name: canonical(value, name) for name, value in sorted(given.items())}
        definition = Definition(self.name, version, tuple(sorted(names)), identity, root, code_of(plain))
        self.store = None if folder is None else Store.open(folder, definition, changed)
        if self.store is not None:
            definition = self.store.definition
        elif root == {}:
            definition = dataclasses.replace(definition, root=fresh_root())
        self.definition = definition
        variable = self.name if self.name.isidentifier() else "value"
        # What `parameters` holds is passed by the worker; what a partial holds is in the function itself.
        self.task = Task(function, variable, tuple(names), dict(parameters or {}), random)
        self.plain = plain
        self.executor, self.workers, self.progress = executor, check_workers(workers), progress
        self.pool: Pool | None = None
        self.batched = False
        self.buffer: tuple[list[Block], list[Failure]] = ([], [])
        self.started = time.perf_counter()

    def restore(self, points: Points, table: Table, shards: Iterable[Any] | None = None) -> None:
        """Enter what the folder holds."""
        if self.store is None:
            return
        lookup: dict[bytes, int] | None = None
        for shard in self.store.read() if shards is None else shards:
            if lookup is None:
                lookup = {key: index for index, key in enumerate(points.keys)}
            if shard.block is not None:
                indices = np.array([lookup.get(key, -1) for key in shard.keys])
                known = indices >= 0
                if known.any():
                    block = shard.block
                    columns = tuple(column[known] for column in block.columns)
                    table.add(Block(block.structure, indices[known], columns, block.seconds[known]))
            for failure in shard.failures:
                index = lookup.get(bytes.fromhex(failure["key"]), -1)
                if index >= 0:
                    table.fail(Failure(index, failure["message"]))

    def run(self, points: Points, table: Table, indices: Sequence[int], bar: Progress | None = None) -> None:
        """Compute points, into the table and the folder, with a bar of its own unless one is given.

        Raises
        ------
        KeyboardInterrupt, StudyError, ValueError
            After what was finished has been committed.
        """
        if not len(indices):
            return
        journal: Journal | None = None
        alone: list[int] = []
        if self.store is not None:
            indices, alone = self._sort_suspects(points, table, indices)
            journal = Journal(self.store.folder / "underway", points.keys)
        own = bar is None
        shown = bar or Progress(len(indices) + len(alone), self.name, self.progress)

        def record(outcome: Outcome) -> None:
            if self.store is not None:
                self.buffer[0].extend(outcome.blocks)
                self.buffer[1].extend(outcome.failures)
            for block in outcome.blocks:
                table.add(block)
            for failure in outcome.failures:
                table.fail(failure)
            shown.update(outcome.taken)

        def commit() -> None:
            if self.store is None or journal is None:
                return
            if self.buffer[0] or self.buffer[1]:
                self.store.write(*self.buffer, points.place)
                self.buffer = ([], [])
            journal.beat()
            self.restore(points, table, self.store.read_others())

        def point(index: int) -> Point:
            return Point(index, points.values(index), points.keys[index])

        try:
            if self.executor is None and self.pool is None and indices and worker.suits(self.task):
                self.batched = True
                worker.run(self.task, point, indices, record, commit, self.workers)
                indices = []
            if self.pool is None and (len(indices) or alone):
                warm_up(self.plain)
                self.pool = Pool(self.executor, self.workers, self.task)
            if self.pool is not None:
                driver = Driver(
                    self.pool, point, record, commit, journal, lambda index: bool(table.status[index] == FINISHED)
                )
                # Workers of other processes limit themselves.
                with one_blas_thread if self.pool.local else nullcontext():
                    driver.run(indices, alone)
        finally:
            if own:
                shown.close()
            if journal is not None:
                journal.close()

    def _sort_suspects(self, points: Points, table: Table, indices: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the points to compute together and those to compute alone; record those that killed too often."""
        assert self.store is not None
        folder = self.store.folder / "underway"
        deaths, living = suspicions(folder)
        together: list[int] = []
        alone: list[int] = []
        dead: list[int] = []
        for index in indices:
            count = deaths.get(points.keys[index], 0) if deaths else 0
            (dead if count >= FAIL_AFTER else alone if count >= SUSPECT_AFTER else together).append(index)
        for index in dead:
            failure = Failure(
                index,
                f"The whole program died {FAIL_AFTER} times while this point was under way, the last time with it alone.",
            )
            table.fail(failure)
            self.buffer[1].append(failure)
        if living and together:
            # Another parent began in front: two that go in the same order would compute the same points.
            start = int.from_bytes(np.random.SeedSequence().generate_state(1).tobytes(), "little") % len(together)
            together = together[start:] + together[:start]
        return together, alone

    def finish(self, points: Points, table: Table) -> None:
        """Read what other parents added, and leave the folder tidy."""
        if self.store is None:
            return
        self.store.compact()
        self.restore(points, table)
        forget(self.store.folder / "underway", {points.keys[i] for i in np.flatnonzero(table.status)})

    def close(self, wait: bool = True) -> None:
        if self.pool is not None:
            self.pool.close(wait)
            self.pool = None

    def provenance(self, table: Table) -> dict[str, Any]:
        """Return how the table was made."""
        from ..core.results import versions

        pool = self.pool
        used = ["solve_many (points side by side)"] if self.batched else []
        used += [] if pool is None else [pool.name]
        return {
            "function": self.definition.function,
            "version": self.definition.version,
            "code": self.definition.code,
            "parameters": {name: show(value) for name, value in self.task.parameters.items()},
            "root_seed": self.definition.root,
            "executor": ", then ".join(used) or "none: all points were stored",
            "workers": pool.capacity() if pool is not None else check_threads(self.workers) if self.batched else 0,
            "points": len(table.status),
            "finished": int((table.status == FINISHED).sum()),
            "failed": int((table.status == FAILED).sum()),
            "computing_time": table.seconds,
            "wall_time": time.perf_counter() - self.started,
            "versions": versions(),
        }

    def tell_failures(self, points: Points, table: Table) -> None:
        """Warn of failed points, with the first of them."""
        if not table.failures:
            return
        first = min(table.failures)
        count, total = len(table.failures), len(table.status)
        warnings.warn(
            f"{count} of {total} points failed; the first, at {points.describe(first)}: {table.failures[first]}. "
            'The messages are in table["failure_message"]; retry_failed=True repeats them.',
            stacklevel=3,
        )

    @property
    def place(self) -> str:
        return "" if self.store is None else f" They are in {self.store.folder}: the same call goes on from there."

    @property
    def file(self) -> Path | None:
        return None if self.store is None else self.store.folder / "study.nc"


def check_signature(function: Any, name: str, names: Sequence[str], given: Mapping[str, Any], rng: Any) -> bool:
    """Check that the function takes the axes and parameters, and return whether it takes a Generator as `rng`.

    Raises
    ------
    TypeError
        If it does not take one of them, or needs another.
    """
    for word in names:
        if word in given:
            raise TypeError(f"`{word}` is an axis and a parameter; it can be one of them.")
        if word in (*RESERVED, "rng"):
            raise ValueError(f"An axis cannot have the name `{word}`: studies use it themselves.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    takes = {key: p for key, p in signature.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    anything = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
    random = "rng" in takes and "rng" not in given
    for word in (*names, *given):
        if word not in takes and not anything:
            raise TypeError(f"Function `{name}` has no argument `{word}`{did_you_mean(word, takes) or '.'}")
    needed = [
        key
        for key, p in takes.items()
        if p.default is p.empty and key not in (*names, *given, *(["rng"] if random else []))
    ]
    if needed:
        raise TypeError(
            f"Function `{name}` needs `{needed[0]}`: make it an axis, or give it in parameters=dict({needed[0]}=...)."
        )
    if rng is not None and not random:
        raise TypeError(
            f"Argument `rng` was given, but function `{name}` has no argument `rng` that could take its random numbers."
        )
    return random
