"""`fl.study` maps a function of parameters over a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import integer, show
from .session import Points, Session, Values
from .table import FAILED, FINISHED, Table, check_axes, to_dataset
from .worker import StudyError, StudyInterrupted

if TYPE_CHECKING:
    import xarray as xr


def study(
    function: Callable[..., Any],
    axes: Mapping[str, Any],
    *,
    executor: Any = None,
    folder: Any = None,
    repeats: int = 1,
    rng: Any = None,
    progress: bool | None = True,
    parameters: Mapping[str, Any] | None = None,
    version: str = "",
    workers: int | None = None,
    retry_failed: bool = False,
    part: Any = None,
    changed: str = "refuse",
) -> xr.Dataset:
    """Map a function of parameters over a grid, in parallel, resumably.

    Parameters
    ----------
    function : callable
        Called as ``function(axis_1=value, axis_2=value, ..., **parameters)``; it returns a number, an array, a
        mapping of names to numbers and arrays, a DataArray (of no dimension: a number) or a Dataset, of the same
        shape at every point.  If it has an argument `rng`, it receives a `numpy.random.Generator` whose stream is a
        function of the root, the definition of the study and the point, and of nothing else.
    axes : mapping
        Names to one-dimensional sequences: numbers that increase strictly, or distinct words or truth values.
    executor : optional
        None or "threads" (for compiled functions, which release the interpreter lock); "processes" (for functions
        in Python); "mpi"; a `concurrent.futures.Executor`; a dask Client; or a function that makes one of these,
        which lets the study replace a pool that broke.
    folder : path, optional
        Finished points are stored there at least once per second of work.  The same call continues what was
        interrupted, a finer grid computes only what is new, and several programs may share the folder.  The table
        is ``study.nc`` in it.
    repeats : int, optional
        Number of evaluations of each point with independent streams, along the dimension `repeat`.
    rng : None, int, SeedSequence or Generator, optional
        The root of the streams; None takes that of the folder, or a fresh one.
    progress : bool or None, optional
        A bar on stderr; None shows it when the study takes more than about two seconds.

    Other Parameters
    ----------------
    parameters : mapping, optional
        Further arguments of the function, equal at all points.
    version : str, optional
        Any word; a study of another version is another study.  Change it when something changes that the code of
        the function does not show.
    workers : int, optional
        Number of threads or processes; of an executor given from outside, what it is taken to have.
    retry_failed : bool, optional
        Compute the points again that failed before.
    part : (i, n) or "i/n", optional
        Compute only every n-th point, beginning with the i-th (from 1): for job arrays.
    changed : {"refuse", "keep", "anew"}, optional
        What to do with a folder whose study is defined otherwise: refuse it; keep its points, if only the code of
        the function changed and the numbers did not; set the points aside and start anew.

    Returns
    -------
    xarray.Dataset
        One variable per returned name (the function's own name for a single value), with the axes as first
        dimensions, then `repeat`, then those of the value.  Its coordinate `status` is 1 where a point finished, 2
        where it failed and 0 where it is missing; `failure_message` holds the messages.  The numbers are the same
        bits whatever the executor, the order and the interruptions.

    Raises
    ------
    ValueError, TypeError
        If the axes are not as above, the function does not take them, two points return different shapes, or the
        folder holds something else.
    OSError
        If the folder cannot be written.
    StudyError
        If all points failed, or the workers cannot run the function.
    StudyInterrupted
        On Ctrl-C; `partial` is the Dataset of what was finished, which is also in the folder.

    Examples
    --------
    >>> import flowlimits as fl
    >>> def area(width, height):
    ...     return width * height
    >>> table = fl.study(area, dict(width=[1.0, 2.0], height=[1.0, 2.0, 3.0]), progress=False)
    >>> table["area"].values
    array([[1., 2., 3.],
           [2., 4., 6.]])
    """
    checked = check_axes(axes)
    count = integer("repeats", repeats, minimum=1)
    share = check_part(part)
    session = Session(
        function, list(checked), parameters=parameters, version=version, rng=rng, folder=folder, changed=changed,
        executor=executor, workers=workers, progress=progress,
    )  # fmt: skip
    if count > 1 and not session.task.random:
        raise ValueError(
            f"Argument `repeats` is {count}, but function `{session.name}` has no argument `rng`: all repeats would be equal."
        )
    points = grid_points(session, checked, count)
    table = Table(len(points.keys), points.describe, session.name)
    session.restore(points, table)
    settled = (FINISHED,) if retry_failed else (FINISHED, FAILED)
    todo = [i for i in np.flatnonzero(~np.isin(table.status, settled)).tolist() if i % share[1] == share[0]]
    try:
        session.run(points, table, todo)
    except KeyboardInterrupt:
        session.close(wait=False)
        raise _interrupted(session, points, table, checked, count) from None
    except BaseException:
        session.close(wait=False)
        raise
    session.finish(points, table)
    if table.structure is None and table.failures:
        session.close()
        raise StudyError(_all_failed(points, table))
    result = _finish(session, table, checked, count)
    session.close()
    session.tell_failures(points, table)
    return result


def grid_points(session: Session, axes: Mapping[str, list[Any]], repeats: int) -> Points:
    """Return the points of a grid, the last axis running fastest but for the repeats."""
    columns = list(axes.values())
    lengths = [len(column) for column in columns]

    def values(index: int) -> Values:
        index //= repeats
        chosen = []
        for column, length in zip(reversed(columns), reversed(lengths)):
            index, i = divmod(index, length)
            chosen.append(column[i])
        return tuple(reversed(chosen))

    return Points(list(axes), session.definition.point_keys(axes, repeats), values, repeats)


def _finish(session: Session, table: Table, axes: Mapping[str, list[Any]], repeats: int) -> Any:
    dataset = to_dataset(table, axes, repeats, provenance=session.provenance(table))
    if session.file is not None:
        from ..core.storage import save

        save(dataset, session.file)
    return dataset


def _interrupted(
    session: Session, points: Points, table: Table, axes: Mapping[str, list[Any]], repeats: int
) -> StudyInterrupted:
    done = int((table.status != 0).sum())
    partial = None if table.structure is None else _finish(session, table, axes, repeats)
    session.finish(points, table)
    return StudyInterrupted(
        f"Interrupted after {done} of {len(table.status)} points.{session.place if done else ''}", partial
    )


def _all_failed(points: Points, table: Table) -> str:
    first = min(table.failures)
    return (
        f"All {len(table.failures)} points that were computed failed; the first, at {points.describe(first)}: {table.failures[first]}. "
        "Once the reason is mended, retry_failed=True computes them again."
    )


def check_part(part: Any) -> tuple[int, int]:
    """Return the first index and the step of a part of a study."""
    if part is None:
        return 0, 1
    pair = part.split("/") if isinstance(part, str) else part
    try:
        first, count = (int(word) for word in pair)
    except (TypeError, ValueError):
        raise ValueError(f'Argument `part` must be a pair (i, n) or "i/n", but is {show(part)}.') from None
    if not 1 <= first <= count:
        raise ValueError(f"Argument `part` must be i/n with 1 <= i <= n, but is {first}/{count}.")
    return first - 1, count
