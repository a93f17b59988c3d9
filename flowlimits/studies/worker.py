"""A worker evaluates a chunk of points and sends back blocks of results; points of one problem class are solved side by side.

A worker keeps nothing between chunks but the function, unpickled once per process, and its thread limits.
Only NumPy is imported here, so that Numba still finds the thread limit when the function imports it.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.threads import OneLine, check_threads
from .blocks import Block, Failure, Structure, normalise
from .keys import generator

if TYPE_CHECKING:
    import xarray as xr


class StudyError(RuntimeError):
    """A study that cannot go on; the points finished so far stay in its folder."""


class StudyInterrupted(OneLine, KeyboardInterrupt):
    """A study ended by Ctrl-C; `partial` is the Dataset of the points finished so far (None if there are none)."""

    def __init__(self, message: str, partial: xr.Dataset | None):
        super().__init__(message)
        self.partial = partial


class Task(NamedTuple):
    """The function of a study with its fixed parameters; `axes` names the values of a point in their order."""

    function: Callable[..., Any]
    name: str
    axes: tuple[str, ...]
    parameters: dict[str, Any]
    random: bool


class Point(NamedTuple):
    """One point to compute; `row` is its index in the table."""

    row: int
    values: tuple[Any, ...]
    key: bytes


class Outcome(NamedTuple):
    """What became of the first `taken` points of a chunk."""

    blocks: list[Block]
    failures: list[Failure]
    taken: int
    elapsed: float


def run_chunk(task: Task | bytes, points: Sequence[Point], budget: float, attempt: int = 0) -> Outcome:
    """Evaluate points one after another until `budget` seconds have passed, but at least one.

    Parameters
    ----------
    task : Task or bytes
        The task, pickled on its way to another process.
    points : sequence of Point
    budget : float
        Seconds after which the rest is handed back, so that no result waits long for its commit.
    attempt : int
        Differs between calls: dask takes equal calls for one call.
    """
    if isinstance(task, bytes):
        task = load_task(task)
    function, parameters, axes = task.function, task.parameters, task.axes
    groups: dict[Structure, tuple[list[int], list[list[Any]], list[float]]] = {}
    failures: list[Failure] = []
    started = before = time.perf_counter()
    taken = 0
    for row, values, key in points:
        try:
            arguments = dict(zip(axes, values), **parameters)
            if task.random:
                arguments["rng"] = generator(key)
            structure, arrays = normalise(function(**arguments), task.name)
        except (Exception, SystemExit) as error:
            failures.append(Failure(row, describe(error)))
            structure = None
        now = time.perf_counter()
        if structure is not None:
            group = groups.setdefault(structure, ([], [], []))
            group[0].append(row)
            group[1].append(arrays)
            group[2].append(now - before)
        before = now
        taken += 1
        if now - started > budget:
            break
    return Outcome([_block(*group) for group in groups.items()], failures, taken, before - started)


def _block(structure: Structure, group: tuple[list[int], list[list[Any]], list[float]]) -> Block:
    indices, rows, seconds = group
    columns = tuple(
        np.stack(parts) if variable.shape else np.array(parts, dtype=variable.dtype)
        for parts, variable in zip(zip(*rows), structure.variables)
    )
    return Block(structure, np.array(indices), columns, np.array(seconds))


PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe(error: BaseException, limit: int = 1000) -> str:
    """Return the type and text of an exception and the last line outside this package that it passed."""
    text = f"{type(error).__name__}: {error}".rstrip(". ")
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    outside = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE + os.sep)
    ]
    return text + (f" ({os.path.basename(outside[-1].filename)}, line {outside[-1].lineno})" if outside else "")


def prepare(payload: bytes) -> bool:
    """Load the task in a worker: the first thing asked of a new pool, so that what is wrong with it shows here."""
    load_task(payload)
    return True


@lru_cache(maxsize=8)
def load_task(payload: bytes) -> Task:
    """Return the task sent by the parent, once per process, with this process limited to one thread."""
    parent, pickled = pickle.loads(payload)
    # A pool of threads behind another interface lives in the parent, whose limits are the driver's affair.
    if parent != identity_of_process():
        limit_threads()
    return pickle.loads(pickled)


def identity_of_process() -> tuple[str, int]:
    """Return the host and the process id."""
    return socket.gethostname(), os.getpid()


@cache
def limit_threads() -> None:
    """Limit this process to one BLAS thread and one Numba thread.

    Two processes with the default BLAS threads ran 4 to 14 times slower on two cores than with one each.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if "numba" in sys.modules:
        sys.modules["numba"].config.NUMBA_NUM_THREADS = 1  # it reads the environment only once
    else:
        os.environ["NUMBA_NUM_THREADS"] = "1"


def begin_process() -> None:
    """Leave signals to the parent, which a terminal or a batch system sends to every process, and end when it ends."""
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent, however it ends, and end this process."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# A batch of points of one problem class has the bits of one at a time.

#: Seconds of work between two commits: half a second, so that points of twice the cost of the last ones take one.
GOAL = 0.5
#: The most points in a batch, and how much larger than the last one it may be: its points may cost more than those before.
MOST, GROWTH = 8192, 2.0


def suits(task: Task) -> bool:
    """Whether all points are one class of problems, solved with the same options."""
    # The module of studies from files is heavy, and loaded where such a study is read.
    if (
        getattr(task.function, "__module__", "") != f"{__package__}.from_toml"
        or task.function.__name__ != "solve_point"
    ):
        return False
    from . import from_toml as files

    given = task.parameters
    if any(path.split(".")[0] in files.SECTIONS for path in given["paths"].values()):
        return False
    return files.in_batches(given["problem"]["class"], given["options"], given.get("event"))


def run(
    task: Task,
    point: Callable[[int], Point],
    indices: Sequence[int],
    record: Callable[[Outcome], None],
    commit: Callable[[], None],
    workers: int | None,
) -> None:
    """Compute points in batches of about `GOAL` seconds, and commit each.

    Raises
    ------
    KeyboardInterrupt
        After what was finished has been committed.
    """
    threads = check_threads(workers)
    # A point can cost a microsecond or a minute: the first batch has one for each thread.
    size, at = threads, 0
    while at < len(indices):
        points = [point(index) for index in indices[at : at + size]]
        began = time.perf_counter()
        record(solve(task, points, threads))
        commit()
        took = max(time.perf_counter() - began, 1e-6)
        at += len(points)
        size = int(min(max(size * min(GOAL / took, GROWTH), threads), MOST))


def solve(task: Task, points: list[Point], threads: int) -> Outcome:
    """Return the outcome of some points, each with an equal share of the time."""
    from . import from_toml as files

    began = time.perf_counter()
    values = [dict(zip(task.axes, one.values)) for one in points]
    given = {name: value for name, value in task.parameters.items() if name != "event"}
    batches = files.solve_points(values, threads=threads, **given)
    share = (time.perf_counter() - began) / len(points)
    failures = [
        Failure(points[place].row, describe(error)) for batch in batches for place, error in batch.failures.items()
    ]
    blocks = []
    for batch in batches:
        if batch.solved.size:
            structure, _ = normalise(batch.example, task.name)
            columns = tuple(batch.values[variable.name] for variable in structure.variables)
            rows = np.array([points[place].row for place in batch.solved])
            blocks.append(Block(structure, rows, columns, np.full(rows.size, share)))
    return Outcome(blocks, failures, len(points), time.perf_counter() - began)
