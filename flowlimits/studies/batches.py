"""A batch solves points of one problem class side by side, with the bits of one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from ..core.threads import check_threads
from .blocks import Block, Failure, normalise
from .worker import Outcome, Point, Task, describe

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
    return files.in_batches(files.class_of(given["problem"]), given["options"], given.get("event"))


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
