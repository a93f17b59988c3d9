"""`fl.refine` chooses points where a function changes, or along the line where it crosses a value.

The choice is that of the package `adaptive`; the points are computed and stored like those of any study of the
same function, so that a grid and its refinement share one folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import integer, number, show
from ..core.progress import Progress
from .blocks import Block, Failure
from .session import Points, Session
from .table import FINISHED, Table, to_dataset
from .worker import StudyError, StudyInterrupted

if TYPE_CHECKING:
    import xarray as xr

BATCH = 8  # fixed: a batch that followed the number of workers would choose other points on another machine
EXPLORE = 0.01  # weight of cells that the boundary does not cross, so that a second branch of it is found


def refine(
    function: Callable[..., Any],
    box: Mapping[str, tuple[float, float]],
    *,
    points: int,
    boundary: float | None = None,
    variable: str | None = None,
    executor: Any = None,
    folder: Any = None,
    rng: Any = None,
    progress: bool | None = True,
    parameters: Mapping[str, Any] | None = None,
    version: str = "",
    workers: int | None = None,
    retry_failed: bool = False,
    changed: str = "refuse",
) -> xr.Dataset:
    """Compute a function at points chosen where it changes most, or along a boundary.

    Needs the package `adaptive` (``pip install "flowlimits[adaptive]"``).

    Parameters
    ----------
    function : callable
        As in `flowlimits.study`.
    box : mapping
        The name and the two ends of one or two axes.
    points : int
        How many points to compute in all.
    boundary : float, optional
        Gather the points along the line where the variable crosses this value.
    variable : str, optional
        Which of several returned numbers to follow; by default the first.
    executor, folder, rng, progress, parameters, version, workers, retry_failed, changed
        As in `flowlimits.study`; the folder may be that of a study of the same function over the same names.

    Returns
    -------
    xarray.Dataset
        The variables along the dimension `point`, with the axes as coordinates on it.  The choice of points does not
        depend on the executor.

    Raises
    ------
    ImportError
        If `adaptive` is not installed.
    ValueError, TypeError, OSError, StudyError, StudyInterrupted
        As `flowlimits.study`.
    """
    learner_class = _learner_class(len(box) if isinstance(box, Mapping) else 0)
    ends = _check_box(box)
    count = integer("points", points, minimum=4)
    level = None if boundary is None else number("boundary", boundary, largest=math.inf)
    session = Session(
        function, list(ends), parameters=parameters, version=version, rng=rng, folder=folder, changed=changed,
        executor=executor, workers=workers, progress=progress,
    )  # fmt: skip
    chosen: list[tuple[float, ...]] = []
    keys: list[bytes] = []
    listed = Points(list(ends), keys, chosen.__getitem__)
    table = Table(count, listed.describe, session.name)
    stored = _Stored(session, retry_failed)
    learner = _learner(learner_class, list(ends.values()), level)
    bar = Progress(count, session.name, progress)
    try:
        while len(chosen) < count:
            asked = [_plain(point) for point in learner.ask(min(BATCH, count - len(chosen)))[0]]
            new = range(len(chosen), len(chosen) + len(asked))
            chosen += asked
            keys += [session.definition.point_keys({n: [v] for n, v in zip(ends, point)}, 1)[0] for point in asked]
            todo = [index for index in new if not stored.enter(table, keys[index], index)]
            bar.update(len(new) - len(todo))
            session.run(listed, table, todo, bar)
            _tell(learner, asked, _values(table, new, variable, session.name), level)
    except KeyboardInterrupt:
        session.close(wait=False)
        done = int((table.status[: len(chosen)] != 0).sum())
        partial = _finish(session, table, ends, chosen) if table.structure is not None else None
        raise StudyInterrupted(
            f"Interrupted after {done} of {count} points.{session.place if done else ''}", partial
        ) from None
    except BaseException:
        session.close(wait=False)
        raise
    finally:
        bar.close()
    session.finish(listed, table)
    result = _finish(session, table, ends, chosen)
    session.close()
    session.tell_failures(listed, table)
    return result


def _learner_class(dimensions: int) -> Any:
    try:
        import adaptive
    except ImportError:
        raise ImportError('fl.refine needs the package adaptive: pip install "flowlimits[adaptive]".') from None
    return adaptive.Learner2D if dimensions == 2 else adaptive.Learner1D


def _check_box(box: Any) -> dict[str, tuple[float, float]]:
    if not isinstance(box, Mapping) or len(box) not in (1, 2):
        raise ValueError(f"Argument `box` must name the ends of one or two axes, but is {show(box)}.")
    checked = {}
    for name, ends in box.items():
        try:
            low, high = (number(str(name), end) for end in ends)
        except TypeError:
            raise TypeError(f"Axis `{name}` must be a pair of numbers, but is {show(ends)}.") from None
        if not low < high:
            raise ValueError(f"Axis `{name}` must go from a lower to a higher end, but goes from {low:g} to {high:g}.")
        checked[str(name)] = (low, high)
    return checked


def _learner(kind: Any, ends: list[tuple[float, float]], level: float | None) -> Any:
    if len(ends) == 1:
        return kind(_never, ends[0], **({} if level is None else {"loss_per_interval": _interval_loss}))
    return kind(_never, ends, **({} if level is None else {"loss_per_triangle": _triangle_loss}))


def _never(point: Any) -> float:
    raise AssertionError("the study computes the points")


def _interval_loss(xs: Any, ys: Any) -> float:
    """Return the length of an interval that the boundary (zero, here) crosses, and little for the others."""
    crossed = (ys[0] < 0) != (ys[1] < 0)
    return float(xs[1] - xs[0]) * (1.0 if crossed else EXPLORE)


def _triangle_loss(interpolator: Any) -> np.ndarray:
    """Return the area of every triangle that the boundary crosses, and little for the others."""
    corners = interpolator.tri.points[interpolator.tri.simplices]
    sides = corners[:, :2] - corners[:, 2:]
    area = 0.5 * np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    below = (np.asarray(interpolator.values).reshape(len(interpolator.tri.points), -1)[:, 0] < 0)[
        interpolator.tri.simplices
    ]
    crossed = below.any(axis=1) & ~below.all(axis=1)
    return np.asarray(area * np.where(crossed, 1.0, EXPLORE))


def _plain(point: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(point))


def _tell(learner: Any, points: list[tuple[float, ...]], values: list[float], level: float | None) -> None:
    for point, value in zip(points, values):
        learner.tell(point if len(point) > 1 else point[0], value - (level or 0.0))


def _values(table: Table, indices: range, variable: str | None, function: str) -> list[float]:
    """Return the followed variable; a point without a finite value counts as the mean of all others."""
    if table.structure is None:
        first = min(table.failures)
        raise StudyError(
            f"All {len(table.failures)} points that were computed failed; the first, at {table.describe(first)}: {table.failures[first]}."
        )
    names = [v.name for v in table.structure.variables]
    if variable is not None and variable not in names:
        raise ValueError(f"Argument `variable` must be one of {', '.join(names)}, but is {show(variable)}.")
    position = 0 if variable is None else names.index(variable)
    column = table.columns[position]
    if column.ndim != 1 or column.dtype.kind not in "fiub":
        raise ValueError(
            f"Function `{function}` returns no single number as `{names[position]}`: name another one with `variable`."
        )
    finished = (table.status == FINISHED) & np.isfinite(column.astype(float))
    mean = float(column[finished].mean()) if finished.any() else 0.0
    return [float(column[i]) if finished[i] else mean for i in indices]


class _Stored:
    """What the folder held at the start, by key: which points will be asked for is not known then."""

    def __init__(self, session: Session, retry_failed: bool):
        self.blocks: dict[bytes, tuple[Block, int]] = {}
        self.failures: dict[bytes, str] = {}
        for shard in session.store.read() if session.store is not None else ():
            if shard.block is not None:
                self.blocks |= {key: (shard.block, row) for row, key in enumerate(shard.keys)}
            if not retry_failed:
                self.failures |= {bytes.fromhex(failure["key"]): failure["message"] for failure in shard.failures}

    def enter(self, table: Table, key: bytes, index: int) -> bool:
        """Enter a stored point into the table; return whether there was one."""
        if key in self.blocks:
            block, row = self.blocks[key]
            columns = tuple(column[row : row + 1] for column in block.columns)
            table.add(Block(block.structure, np.array([index]), columns, block.seconds[row : row + 1]))
            return True
        if key in self.failures:
            table.fail(Failure(index, self.failures[key]))
            return True
        return False


def _finish(session: Session, table: Table, ends: Mapping[str, Any], chosen: list[tuple[float, ...]]) -> Any:
    axes = {name: [point[i] for point in chosen] for i, name in enumerate(ends)}
    dataset = to_dataset(table.first(len(chosen)), axes, 1, points="point", provenance=session.provenance(table))
    if session.store is not None:
        from ..core.storage import save

        save(dataset, session.store.folder / "refined.nc")
    return dataset
