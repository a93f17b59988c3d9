"""Results as points: every scalar of a theory at every time, and the same scalars of the runs.

A comparison needs one clock, one time grid and one list of variables; what does not fit is refused here, or the
theory is solved again where the runs ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results
from ..core.problem import Problem, load_problem
from . import statistics
from .grids import axis_of, solve_without_time

THEORIES = ("limit", "exact")
SIZES = {"dimension": "d", "student_width": "p"}
RATIOS = ("realised_student_ratio", "realised_teacher_ratio")


@dataclass(frozen=True)
class Points:
    """The points of a comparison: variables (entries of matrices counted apart) times times.

    Attributes
    ----------
    variables : tuple of str
        Names of the variables in the Datasets.
    entries : tuple of str
        Names of the scalars, such as "overlap" or "Q[0, 1]".
    owner : ndarray of int, shape (entries,)
        Index into `variables` of every entry.
    times : ndarray, shape (times,)
        The times, on the clock of the theory.
    axis : str
        What stands in the place of the time; empty where there is one number per variable.
    """

    variables: tuple[str, ...]
    entries: tuple[str, ...]
    owner: np.ndarray
    times: np.ndarray
    axis: str = "time"

    @property
    def labels(self) -> np.ndarray:
        """The variable of every point, shape (points,)."""
        return np.repeat(self.owner, self.times.size)

    @property
    def point_times(self) -> np.ndarray:
        """The time of every point, shape (points,)."""
        return np.tile(self.times, len(self.entries))

    def table(self, values: np.ndarray) -> np.ndarray:
        """Return `values`, shape (..., points), as an array of shape (..., entries, times)."""
        return values.reshape(*values.shape[:-1], len(self.entries), self.times.size)

    def where(self, index: int) -> tuple[str, float]:
        """Return the entry and the time of a point."""
        entry, time = divmod(int(index), self.times.size)
        return self.entries[entry], float(self.times[time])


def kind_of(dataset: Any, position: str) -> str:
    """Return the kind of a Dataset; refuse what is no result."""
    if isinstance(dataset, Problem):
        raise TypeError(
            f"{position} is a problem: pass its result, problem.solve(times) or problem.simulate(times, ...)."
        )
    if isinstance(dataset, xr.DataArray):
        raise TypeError(
            f'{position} is one variable: pass the whole result, and name the variable with variables="{dataset.name}".'
        )
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"{position} must be a result (an xarray.Dataset), but is {checks.show(dataset)}.")
    kind = dataset.attrs.get("kind")
    if kind is None or "time" not in dataset.coords:
        raise ValueError(
            f"{position} is no result in time: wrap your own numbers with fl.wrap(times, overlap=..., dimension=...)."
        )
    if "problem" in dataset.dims:
        raise ValueError(
            f"{position} holds {dataset.sizes['problem']} problems: pass one of them, such as result.isel(problem=0)."
        )
    if kind in ("comparison", "extrapolation"):
        raise ValueError(f"{position} is the outcome of a comparison: pass the theory and the runs themselves.")
    return str(kind)


def check_clocks(theory: xr.Dataset, others: Sequence[xr.Dataset]) -> None:
    """Refuse two different clocks; a wrapped measurement without a clock is on that of the theory."""
    clock = theory.attrs.get("clock", "")
    for other in others:
        theirs = other.attrs.get("clock", "")
        if clock and theirs and clock != theirs:
            named = "second theory is" if other.attrs.get("kind") in THEORIES else "runs are"
            raise ValueError(
                f'The theory is on the clock "{clock}", but the {named} on "{theirs}": convert the times of one of them.'
            )


def check_times(runs: Sequence[xr.Dataset]) -> np.ndarray:
    """Return the time grid that all runs share."""
    times = np.asarray(runs[0]["time"].values, dtype=float)
    for other in runs[1:]:
        found = other["time"].values
        if times.shape != found.shape or not np.allclose(times, found, rtol=1e-12, atol=0):
            raise ValueError("The runs are on different time grids: simulate them at the same times.")
    return times


def choose(theory: xr.Dataset, runs: Sequence[xr.Dataset], variables: Any, times: np.ndarray) -> Points:
    """Return the points that theory and runs have in common, or those of `variables`.

    Of runs, ordered eigenvalues are judged on request only: where they coincide in the limit, those of runs repel each
    other and deviate by the inverse square root of the size, which extrapolations in its inverse do not follow.
    """
    shared = [name for name in _timed(theory) if all(_fits(theory, run, name) for run in runs)]
    if variables is None:
        simulated = any(run.attrs.get("kind") not in THEORIES for run in runs)
        chosen = [name for name in shared if not (simulated and "eigenvalue" in _rest(theory, name))] or shared
    else:
        chosen = list(checks.items("variables", variables, str))
        for name in chosen:
            checks.choice("variables", name, shared)
    if not chosen:
        raise ValueError(
            f"Theory and runs share no variable: the theory has {', '.join(_timed(theory)) or 'none'}, "
            f"the runs have {', '.join(_timed(runs[0])) or 'none'}."
        )
    entries: list[str] = []
    owner: list[int] = []
    for number, name in enumerate(chosen):
        shape = tuple(theory[name].sizes[dim] for dim in _rest(theory, name))
        for index in np.ndindex(shape):
            entries.append(f"{name}[{', '.join(map(str, index))}]" if shape else name)
            owner.append(number)
    return Points(tuple(chosen), tuple(entries), np.array(owner), times, axis_of(theory))


def _rest(dataset: xr.Dataset, name: str) -> list[str]:
    return [str(dim) for dim in dataset[name].dims if dim not in ("run", "time")]


def _timed(dataset: xr.Dataset) -> list[str]:
    """Return the variables in time, errors of others apart."""
    named = [
        str(name) for name, values in dataset.data_vars.items() if "time" in values.dims and values.dtype.kind == "f"
    ]
    return [name for name in named if not (name.endswith("_error") and name.removesuffix("_error") in named)]


def _fits(theory: xr.Dataset, run: xr.Dataset, name: str) -> bool:
    if name not in run.data_vars or "time" not in run[name].dims:
        return False
    ours, theirs = _rest(theory, name), _rest(run, name)
    return [theory[name].sizes[dim] for dim in ours] == [run[name].sizes[dim] for dim in theirs]


def flatten(dataset: xr.Dataset, points: Points, what: str, suffix: str = "") -> np.ndarray:
    """Return the points of a Dataset, shape (runs, points); without a dimension `run`, of one run.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    parts = []
    for name in points.variables:
        array = dataset[name + suffix]
        if "run" not in array.dims:
            array = array.expand_dims("run")
        values = array.transpose("run", *_rest(dataset, name), "time").values
        bad = ~np.isfinite(values)
        if bad.any():
            first = np.argwhere(bad)[0]
            run = f" in run {first[0]}" if values.shape[0] > 1 else ""
            raise ValueError(
                f"Variable `{name}` of the {what} must be finite, but is {values[tuple(first)]} "
                f"at time {points.times[first[-1]]:g}{run}."
            )
        parts.append(values.reshape(values.shape[0], -1))
    return np.concatenate(parts, axis=1)


def theory_at(theory: xr.Dataset, times: np.ndarray) -> xr.Dataset:
    """Return the theory at the times of the runs, solved again if it lacks some.

    Raises
    ------
    ValueError
        If the theory lacks times of the runs and has no problem to solve again.
    """
    grid = np.asarray(theory["time"].values, dtype=float)
    at = np.clip(np.searchsorted(grid, times * (1 - 1e-12)), 0, grid.size - 1)
    if np.allclose(grid[at], times, rtol=1e-12, atol=0):
        return theory.isel(time=at)
    problem = problem_of(theory)
    if problem is None:
        raise ValueError(
            "The theory lacks times of the runs and holds no problem to solve again: bring both on the same time grid."
        )
    return solve(problem, times, theory, ("rtol", "atol", "fluctuations"))


def rounding(theory: xr.Dataset, run: xr.Dataset, size: int, points: Points) -> np.ndarray | None:
    """Return by how much the limit of the runs' own problem moves when its widths are rounded, shape (points,).

    Widths at finite size are whole numbers, so that the runs are at other ratios than their problem asks for.  The
    limit of their problem (``problem.realised(size)``) says what that changes; added to any theory, right or wrong,
    it brings the theory to the ratios of the runs.  None if nothing is rounded.
    """
    problem = problem_of(run)
    if problem is None or RATIOS[0] not in run.attrs:
        return None
    if not problem.solves_in_time and axis_of(theory) == "time":
        return None
    realised = problem.realised(size, run.attrs.get("student_width"))
    if realised == problem:
        return None
    there, here = (flatten(solve(one, points.times, theory), points, "theory")[0] for one in (realised, problem))
    return there - here


def early(run: xr.Dataset, size: int, points: Points) -> np.ndarray:
    """Return which points lie in the time in which runs of that size relax to the limit, shape (points,).

    A problem whose limit holds only after a time that shrinks with the size says so: ``problem.relaxation_time(size)``.
    """
    problem = problem_of(run)
    bound = 0.0 if problem is None else problem.relaxation_time(size)
    return points.point_times < bound


def missing_noise(theory: xr.Dataset, runs: Sequence[xr.Dataset]) -> str:
    """Return a sentence if the theory is a gradient flow and the runs are SGD, whose noise it lacks; empty if not."""
    ours, theirs = problem_of(theory), [problem_of(run) for run in runs]
    rates = [getattr(one, "learning_rate", 0.0) for one in (ours, *theirs)]
    if ours is None or rates[0] != 0.0 or not any(rate != 0.0 for rate in rates[1:]):
        return ""
    return (
        " The theory is a gradient flow and the runs are SGD: it lacks the terms of second order in the learning rate."
    )


def solve(problem: Problem, times: np.ndarray, like: xr.Dataset, same: Sequence[str] = ("rtol", "atol")) -> xr.Dataset:
    """Solve with the arguments `same` that another solution states."""
    stated = dict(results.provenance(like).get("call") or {}) if like.attrs.get("provenance") else {}
    if axis_of(like) != "time":
        return solve_without_time(problem, times, axis_of(like))
    return problem.solve(times, **{name: stated[name] for name in same if name in stated})


def problem_of(dataset: xr.Dataset) -> Problem | None:
    """Return the problem of a result, None if it has none (a wrapped measurement)."""
    return load_problem(dataset) if dataset.attrs.get("problem") else None


def tolerances(dataset: xr.Dataset) -> tuple[float, float]:
    """Return the relative and absolute tolerance that a result states; zeros if it states none."""
    if not dataset.attrs.get("provenance"):
        return 0.0, 0.0
    details = results.provenance(dataset)
    stated = dict(details.get("call") or {}) | details
    rtol, atol = stated.get("rtol"), stated.get("atol")
    return float(rtol or 0.0), float(np.max(atol)) if atol is not None else 0.0


def size_name(runs: Sequence[xr.Dataset]) -> str:
    """Return what the size of the runs is called; all must call it the same."""
    names = {next((name for name in SIZES if name in run.attrs), "") for run in runs}
    if "" in names:
        raise ValueError("The runs name no size: give it as fl.wrap(times, ..., dimension=...).")
    if len(names) > 1:
        raise ValueError("Some runs name a `dimension` and others a `student_width`: compare them one kind at a time.")
    return names.pop()


def smallest_width(run: xr.Dataset, size: int) -> int:
    """Return the smallest width that grows with the size, or the size itself.

    Inputs of a covariance count with their effective dimension, (tr S)^2 / tr S^2, of which fluctuations are the inverse.
    """
    size = run.attrs.get("effective_dimension", size)
    ratios = [float(run.attrs[name]) for name in RATIOS if name in run.attrs]
    return max(1, round(float(size) * min([1.0, *ratios])))


def _root(run: xr.Dataset) -> dict[str, Any]:
    """Return the root of the random streams, empty if none is stated."""
    return dict(results.provenance(run).get("root_seed") or {}) if run.attrs.get("provenance") else {}


def samples(runs: Sequence[xr.Dataset], points: Points, name: str) -> list[statistics.Sample]:
    """Return one sample per size, increasing; runs of equal size are joined."""
    by_size: dict[int, list[xr.Dataset]] = {}
    for run in runs:
        by_size.setdefault(int(run.attrs[name]), []).append(run)
    found = []
    for size in sorted(by_size):
        group = by_size[size]
        roots = [_root(run) for run in group]
        if any(root in roots[:i] for i, root in enumerate(roots) if root):
            raise ValueError(f"Two results of size {size} come from the same random streams: they are the same runs.")
        given = [all(f"{one}_error" in run.data_vars for one in points.variables) for run in group]
        if any(given):
            if len(group) > 1:
                raise ValueError(f"Two results of size {size} with given errors cannot be joined: average them first.")
            mean = flatten(group[0], points, "runs")[0]
            error = flatten(group[0], points, "runs", "_error")[0]
            found.append(statistics.sample_with_errors(size, mean, error))
        else:
            found.append(statistics.sample(size, np.concatenate([flatten(run, points, "runs") for run in group])))
    return found
