"""The public verb `integrate_batch`: many problems with one right-hand side, side by side."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core import checks
from ...core import threads as parallel
from .. import inputs
from ..functions import RightHandSide
from ..report import Status, message_of


@dataclass(frozen=True)
class BatchReport:
    """How the integration of many problems went; arrays hold one entry per problem.

    Attributes
    ----------
    statuses : tuple of Status
        Why each stopped.
    methods : tuple of str
        The method, or the methods in order of use.
    steps, rejected, evaluations : ndarray of int
        Accepted and rejected steps, calls of the right-hand side.
    outputs : ndarray of int
        How many of the requested times were reached; the states of the others are NaN.
    reached : ndarray
        The times that were reached.
    wall_time : float
        Seconds, compilation included.
    rtol, atol : float
        Tolerances, the smallest absolute one if there is one per component.
    threads : int
        Threads used; they change nothing in the result.
    operations : int
        Operations of the straight-line right-hand side, 0 where the lanes call the function itself.
    message : str
        One sentence.
    """

    statuses: tuple[Status, ...] = field(repr=False)
    methods: tuple[str, ...] = field(repr=False)
    steps: np.ndarray = field(repr=False)
    rejected: np.ndarray = field(repr=False)
    evaluations: np.ndarray = field(repr=False)
    outputs: np.ndarray = field(repr=False)
    reached: np.ndarray = field(repr=False)
    wall_time: float
    rtol: float
    atol: float
    threads: int
    operations: int
    message: str = ""

    @property
    def failed(self) -> np.ndarray:
        """Indices of the problems whose last requested time was not reached."""
        return np.array(failures(self.statuses), dtype=np.int64)


def integrate_batch(
    rhs: RightHandSide,
    y0s: Any,
    times: Any,
    params: Any = (),
    *,
    start: float = 0.0,
    rtol: float = 1e-8,
    atol: Any = 1e-10,
    method: str = "auto",
    max_steps: int = 1_000_000,
    work_size: int = 0,
    first_step: float | None = None,
    max_step: float | None = None,
    threads: int | None = None,
    progress: bool | None = False,
) -> tuple[np.ndarray, np.ndarray, BatchReport]:
    r"""Integrate y' = f(t, y) from many starts and with many parameters, eight problems side by side in each thread.

    Parameters
    ----------
    rhs : RightHandSide
        A function decorated with `right_hand_side`.
    y0s : array_like, shape (problems, n)
        The states at time `start`.
    times : array_like, shape (times,)
        Requested times, the same for all problems, strictly increasing, none before `start`.
    params : array_like, shape (problems, m), or (m,) for all problems, optional
        Passed to the right-hand side.

    Returns
    -------
    times : ndarray, shape (times,)
        The requested times.
    states : ndarray, shape (problems, times, n)
        The states there; NaN from where on a problem failed.
    report : BatchReport
        Status, cost and reached time of every problem.

    Other Parameters
    ----------------
    start, rtol, atol, max_steps, work_size, first_step, max_step
        As in `integrate`, the same for all problems.
    method : {"auto", "dop853", "radau", "radau5", "radau9", "radau13"}
        As in `integrate`.  The explicit method runs in lanes, with steps that end on the requested times.  With "auto"
        a problem that turns out to be stiff is integrated anew by itself, as `integrate` does it, and so is every
        problem with an implicit method.
    threads : int, optional
        Threads; all processors by default.
    progress : bool or None
        Show how many problems are finished; None: only when it takes more than about two seconds.

    Warns
    -----
    RuntimeWarning
        If problems failed, or Ctrl-C stopped the work: those that are finished are returned, with the status of each.

    Raises
    ------
    ValueError, TypeError
        For bad arguments.

    Notes
    -----
    The right-hand side is followed once with symbols in place of numbers, and what it computes is compiled as a straight
    line for all lanes (kept on disk, about a second the first time).  Where that cannot be done, because a branch
    depends on the state or the line would be too long, and for few problems, every lane calls the function itself.
    The numbers are the same bit for bit, and those of ``integrate(..., method="dop853", dense=False)``: they depend
    neither on the number of threads nor on what else is in the batch.  A function is expected to compute dy from its
    arguments alone; scratch is cleared for every problem.  What can be followed is listed in docs/howto/many_problems.md.

    Examples
    --------
    >>> import flowlimits as fl
    >>> @fl.ode.right_hand_side
    ... def decay(t, y, dy, params, work):
    ...     dy[0] = -params[0] * y[0]
    >>> times, states, report = fl.ode.integrate_batch(decay, [[1.0], [1.0]], [1.0], params=[[0.5], [2.0]])
    >>> states[:, 0, 0].round(6).tolist()
    [0.606531, 0.135335]
    """
    rhs = inputs.check_rhs(rhs)
    begin = checks.number("start", start)
    starts = check_starts(y0s)
    relative, absolute = inputs.check_tolerances(rtol, atol, starts.shape[1])
    own = check_params(params, len(starts))
    work = checks.integer("work_size", work_size, minimum=0)
    wanted = check_times(times, begin)
    inputs.check_indices(rhs, begin, starts[0], own[0], work)
    options: dict[str, Any] = {
        "start": begin, "rtol": relative, "atol": np.array(absolute, dtype=np.float64),
        "method": inputs.check_method(method),
        "max_steps": checks.integer("max_steps", max_steps, minimum=1), "work_size": work,
        "first_step": 0.0 if first_step is None else checks.number("first_step", first_step, positive=True),
        "max_step": np.inf if max_step is None else checks.number("max_step", max_step, positive=True),
        "threads": parallel.check_threads(threads), "progress": checks.progress(progress),
    }  # fmt: skip
    states = np.empty((len(starts), wanted.size, starts.shape[1]))
    report = solve_batch(rhs, starts, wanted, own, states, **options)
    tell(report, wanted)
    return wanted, states, report


def solve_batch(
    rhs: RightHandSide,
    y0s: np.ndarray,
    times: np.ndarray,
    params: np.ndarray,
    states: np.ndarray,
    *,
    equations: Any = (),
    instead: Any = None,
    **options: Any,
) -> BatchReport:
    """Integrate without checks and warnings, for callers in the package; write the states to `states`.

    Parameters
    ----------
    rhs, y0s, times, params, **options
        As `integrate_batch` checks them; `params` has shape (problems or 1, m), `atol` (n,).
    states : ndarray, shape (problems, times, n)
        Whatever it held, what is not reached becomes NaN.
    equations, instead
        Of `trace.trace`.
    """
    from .run import Batch

    began = time.perf_counter()
    batch = Batch(rhs, y0s, times, params, states, equations=equations, instead=instead, **options)
    batch.run()
    statuses = batch.statuses()
    return BatchReport(
        statuses=statuses,
        methods=tuple(batch.methods),
        steps=batch.steps,
        rejected=batch.rejected,
        evaluations=batch.evaluations,
        outputs=batch.outputs,
        reached=batch.reached,
        wall_time=time.perf_counter() - began,
        rtol=options["rtol"],
        atol=float(options["atol"].min()),
        threads=options["threads"],
        operations=batch.operations,
        message=sentence(statuses, batch.reached),
    )


def failures(statuses: tuple[Status, ...]) -> list[int]:
    """Return the indices of the problems that failed."""
    if statuses.count(Status.SUCCESS) == len(statuses):
        return []
    good = tuple(status for status in Status if not status.failed)
    return [i for i, status in enumerate(statuses) if status not in good]


def sentence(statuses: tuple[Status, ...], reached: np.ndarray) -> str:
    """Return what happened, in one or two sentences."""
    failed = failures(statuses)
    if not failed:
        return f"All {len(statuses)} problems were integrated."
    cut = [i for i in failed if statuses[i] is Status.INTERRUPTED]
    if cut:
        return f"Interrupted: {len(statuses) - len(failed)} of {len(statuses)} problems are finished."
    first = failed[0]
    return (
        f"{len(failed)} of {len(statuses)} problems failed; the first is problem {first}: "
        f"{message_of(statuses[first], float(reached[first]), None)}"
    )


def tell(report: BatchReport, times: np.ndarray) -> None:
    """Warn of problems that did not reach the last time."""
    if failures(report.statuses):
        warnings.warn(
            f"{report.message} States that were not reached are NaN; see the status of each problem.",
            RuntimeWarning,
            stacklevel=3,
        )


def check_starts(y0s: Any) -> np.ndarray:
    """Return the starts, shape (problems, n): at least one problem, at least one component, all finite."""
    starts = rectangular("y0s", y0s)
    if starts.ndim != 2:
        raise ValueError(
            f"Argument `y0s` must have shape (problems, n), one start per row, but has shape {starts.shape}."
        )
    if not len(starts):
        raise ValueError("Argument `y0s` must hold at least one problem, but is empty.")
    if not starts.shape[1]:
        raise ValueError("Argument `y0s` must hold at least one component per problem, but its rows are empty.")
    finite("y0s", starts)
    return starts


def check_params(params: Any, problems: int) -> np.ndarray:
    """Return the parameters, shape (problems, m), or (1, m) if all problems share them."""
    given = rectangular("params", params)
    if given.ndim <= 1:
        own = given.reshape(1, -1)
    elif given.ndim == 2 and len(given) == problems:
        own = given
    else:
        raise ValueError(
            f"Argument `params` must have shape (problems, m) = ({problems}, m), or (m,) for all problems, but has shape {given.shape}."
        )
    finite("params", own, shared=given.ndim <= 1)
    return np.ascontiguousarray(own)


def check_times(times: Any, start: float) -> np.ndarray:
    """Return the requested times, which all problems share."""
    try:
        dimensions = np.ndim(times)
    except ValueError:
        dimensions = 2
    if dimensions > 1:
        raise ValueError(
            "Argument `times` must be one-dimensional: all problems of a batch share the requested times.  For other "
            "times, ask for all of them and select, or make one batch per set of times."
        )
    return inputs.check_times(times, start)


def rectangular(name: str, value: Any) -> np.ndarray:
    """Return an array of floats that may hold NaN; rows of different lengths are named."""
    try:
        given = np.asarray(value)
    except ValueError:
        shapes = [_shape(row) for row in value]
        other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
        raise ValueError(
            f"Argument `{name}` must have the same shape for every problem, but problem 0 has {shapes[0]} and "
            f"problem {other} has {shapes[other]}."
        ) from None
    if given.dtype.kind != "f":
        return checks.array(name, value, allow_empty=True)
    return np.array(given, dtype=np.float64, order="C")


def _shape(row: Any) -> str:
    try:
        return str(np.shape(row))
    except ValueError:
        return "ragged rows"


def finite(name: str, array: np.ndarray, shared: bool = False) -> None:
    """Refuse NaN and infinity, with the problem they are in."""
    rows = array.reshape(len(array), int(np.prod(array.shape[1:])))
    bad = ~np.isfinite(rows)
    if not bad.any():
        return
    problems = np.flatnonzero(bad.any(axis=1))
    first = rows[problems[0]][bad[problems[0]]][0]
    more = f" ({problems.size - 1} more do so)" if problems.size > 1 else ""
    where = "" if shared else f"problem {problems[0]} "
    raise ValueError(f"Argument `{name}` must be finite, but {where}holds {first:g}{more}.")


__all__ = ["BatchReport", "integrate_batch"]
