"""Judge simulations against a theory, and theories against each other: the verbs `compare` and `convergence`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results, streams
from ..core.problem import Problem
from . import effects, points, sentences, two_samples, without_theory
from . import judge as verdicts
from .comparison import At, Comparison
from .grids import axis_of, check_axes, on_a_grid
from .judge import Judgement
from .points import Points

LEVEL = 0.01


def compare(
    theory: xr.Dataset,
    *runs: xr.Dataset,
    level: float = LEVEL,
    variables: Sequence[str] | str | None = None,
    resolution: float = verdicts.RESOLUTION,
) -> Comparison:
    """Judge simulations, of one size or several, against a theory; or a second theory against the first.

    Parameters
    ----------
    theory : xarray.Dataset
        A result of ``solve``.
    *runs : xarray.Dataset
        Results of ``simulate``, or measurements wrapped by `flowlimits.wrap`; all at the same times. Results of one
        size are joined.  Or one second theory.  Two simulations of one size are tested for equal means.
    level : float, optional
        Probability that a right theory fails, over all variables and times together.
    variables : str or sequence of str, optional
        What to judge; all variables that theory and runs share by default, entries of matrices one by one.  Ordered
        eigenvalues of runs are judged on request only: where they coincide in the limit they deviate by the inverse
        square root of the size, not by its inverse.
    resolution : float, optional
        The largest deviation, in units of the largest value of its variable, that may go unseen where the verdict is "agrees";
        if more could go unseen it is "undecided: not resolved".

    Returns
    -------
    Comparison
        It prints itself.

    Raises
    ------
    ValueError
        If clocks or time grids differ, no variable is shared, a value is not finite, or a size is missing.
    TypeError
        If an argument is no result.

    Notes
    -----
    The theory is taken at the times of the runs: it is solved again if it lacks some of them.  Widths of finite
    networks are rounded: what the rounding changes in the limit of the runs' own problem is added to the theory at
    every size, so that a right theory is taken at the realised ratios and a wrong one stays as wrong as it is.

    Of one size, the mean deviation is tested at all points together; a significant deviation that may be an effect
    of order 1/d leaves the verdict open.  Of several sizes, the deviation extrapolated to infinite size is tested, and
    the largest size by itself.  A theory is acquitted only of deviations that would have been seen.
    Two theories are compared in units of the sum of their tolerances.  The rules and their numbers stand in
    `flowlimits.verdict.judge`, the statistics in `flowlimits.verdict.statistics`.
    """
    level = checks.number("level", level, positive=True, below=1.0)
    resolution = checks.number("resolution", resolution, positive=True)
    theory, runs = on_a_grid(theory), tuple(on_a_grid(run) for run in runs)
    if points.kind_of(theory, "The theory (first argument)") not in points.THEORIES:
        if len(runs) == 1 and two_samples.are_runs(theory, runs[0]):
            return two_samples.compare(theory, runs[0], variables, level, resolution)
        raise ValueError(
            f'The first argument must be a theory, of kind "limit" or "exact", but is a {theory.attrs["kind"]}: '
            "pass the result of problem.solve(times) first."
        )
    if not runs:
        raise ValueError("There is nothing to compare the theory with: pass one or more results of problem.simulate.")
    kinds = [points.kind_of(run, f"Argument {number}") for number, run in enumerate(runs, start=2)]
    theories = sum(kind in points.THEORIES for kind in kinds)
    if theories and len(runs) > 1:
        raise ValueError("Compare two theories, or one theory with runs: more than one theory was given.")
    check_axes(theory, runs)
    points.check_clocks(theory, runs)
    times = points.check_times(runs)
    chosen = points.choose(theory, runs, variables, times)
    if theories:
        return _compare_theories(theory, runs[0], chosen, level)
    return _compare_runs(theory, runs, chosen, level, resolution)


def _compare_theories(first: xr.Dataset, second: xr.Dataset, chosen: Points, level: float) -> Comparison:
    ours = points.flatten(points.theory_at(first, chosen.times), chosen, "first theory")[0]
    theirs = points.flatten(second, chosen, "second theory")[0]
    tolerance = _tolerance(chosen, [first, second], ours, theirs)
    judgement = verdicts.two_theories(ours, theirs, tolerance)
    dataset = _dataset(
        chosen,
        {
            "theory": ours,
            "second_theory": theirs,
            "deviation": theirs - ours,
            "tolerance": tolerance,
            "score": judgement.score,
        },
    )
    return _comparison(
        judgement,
        chosen,
        "tolerances",
        level,
        dataset,
        first,
        (second,),
        sentences.two_theories(judgement, chosen, _clock(first)),
    )


def _compare_runs(
    theory: xr.Dataset, runs: Sequence[xr.Dataset], chosen: Points, level: float, resolution: float
) -> Comparison:
    name = points.size_name(runs)
    samples = points.samples(runs, chosen, name)
    first_of = {one.size: next(run for run in runs if int(run.attrs[name]) == one.size) for one in samples}
    asked = points.flatten(points.theory_at(theory, chosen.times), chosen, "theory")[0]
    shifts = [points.rounding(theory, first_of[one.size], one.size, chosen) for one in samples]
    limits = np.array([asked if shift is None else asked + shift for shift in shifts])
    early = np.any([points.early(first_of[one.size], one.size, chosen) for one in samples], axis=0)
    floor = verdicts.TOLERANCES * _tolerance(chosen, [theory, *runs], *limits)
    several, clock = len(samples) > 1, _clock(theory)
    exact = theory.attrs["kind"] == "exact"
    cause = points.missing_noise(theory, runs)
    widths = [points.smallest_width(first_of[one.size], one.size) for one in samples]
    order = without_theory.order_of(runs)
    if several:
        rounded = [0.0 if shift is None else 0.5 / width for shift, width in zip(shifts, widths)]
        judgement = verdicts.several_sizes(
            chosen, limits, samples, floor, level, early, np.array(rounded), widths=np.array(widths), resolution=resolution,
            exact=exact, order=order,
        )  # fmt: skip
        told = sentences.several_sizes(judgement, chosen, samples, name, level, clock, resolution, cause, order)
    else:
        judgement = verdicts.one_size(
            chosen, limits[0], samples[0], floor, level, widths[0], early, resolution=resolution, exact=exact
        )
        told = sentences.one_size(
            judgement, chosen, samples[0], name, level, widths[0], exact, clock, resolution, cause,
            measured=all(run.attrs["kind"] == "measurement" for run in runs),
        )  # fmt: skip
    means, errors = np.array([one.mean for one in samples]), np.array([one.error for one in samples])
    arrays = {"theory": limits, "mean": means, "deviation": means - limits, "standard_error": errors}
    with np.errstate(divide="ignore", invalid="ignore"):
        arrays["score"] = np.where(means == limits, 0.0, (means - limits) / np.hypot(errors, floor))
    arrays["judged"] = judgement.judged
    extrapolated = None
    if judgement.extrapolation is not None:
        found = judgement.extrapolation
        arrays |= {"extrapolated_deviation": found.deviation, "extrapolated_error": found.error}
        arrays["extrapolated_score"] = judgement.score
        extrapolated = _curves(theory, chosen, asked + found.deviation, found.error)
    dataset = _dataset(chosen, arrays, name, [one.size for one in samples])
    return _comparison(judgement, chosen, "standard errors", level, dataset, theory, tuple(runs), told, extrapolated)


def _clock(theory: xr.Dataset) -> str:
    """Return the symbol of the clock in plain text, such as tau in "tau = t/d"."""
    if axis_of(theory) != "time":
        return axis_of(theory)
    return results.clock_symbol(str(theory.attrs.get("clock", ""))).lstrip("\\") or "time"


def _tolerance(chosen: Points, datasets: Sequence[xr.Dataset], *curves: np.ndarray) -> np.ndarray:
    """Return the tolerance of the first result plus the largest one of the others, at least round-off."""
    magnitude = np.max([np.abs(curve) for curve in curves], axis=0)
    stated = [points.tolerances(one) for one in datasets]
    rtol, atol = (stated[0][i] + max(pair[i] for pair in stated[1:]) for i in (0, 1))
    return np.maximum(rtol * magnitude + atol, verdicts.UNRESOLVED * effects.scales(chosen, *curves))


def _comparison(
    judgement: Judgement,
    chosen: Points,
    unit: str,
    level: float,
    dataset: xr.Dataset,
    theory: xr.Dataset,
    runs: tuple[xr.Dataset, ...],
    told: Sequence[str],
    extrapolated: xr.Dataset | None = None,
) -> Comparison:
    dataset.attrs |= {"kind": "comparison", "clock": theory.attrs.get("clock", ""), "verdict": judgement.verdict}
    dataset.attrs["unseen"] = judgement.unseen
    dataset.attrs |= {"exponent": judgement.exponent, "exponent_error": judgement.exponent_error}
    return Comparison(
        judgement.verdict,
        judgement.passed,
        judgement.largest,
        unit,
        judgement.allowed,
        At(*chosen.where(judgement.index)),
        level,
        dataset,
        theory,
        runs,
        judgement.exponent,
        judgement.exponent_error,
        extrapolated,
        tuple(told),
        judgement.unseen,
    )


def _dataset(chosen: Points, arrays: dict[str, np.ndarray], name: str = "", sizes: Sequence[int] = ()) -> xr.Dataset:
    data: dict[str, Any] = {}
    for key, values in arrays.items():
        lead = ("size",) if values.ndim == 2 else ()
        data[key] = ((*lead, "variable", "time"), chosen.table(values))
    coords: dict[str, Any] = {"variable": list(chosen.entries), "time": chosen.times}
    if sizes:
        coords["size"] = ("size", list(sizes), {"long_name": name})
    return xr.Dataset(data, coords=coords)


def _curves(theory: xr.Dataset, chosen: Points, values: np.ndarray, errors: np.ndarray) -> xr.Dataset:
    """Return curves with their errors as variables of the names that results use."""
    data: dict[str, Any] = {}
    for number, variable in enumerate(chosen.variables):
        here = chosen.owner == number
        dims = [str(dim) for dim in theory[variable].dims if dim != "time"]
        shape = tuple(theory[variable].sizes[dim] for dim in dims)
        for suffix, array in (("", values), ("_error", errors)):
            table = np.moveaxis(chosen.table(array)[here].reshape(*shape, chosen.times.size), -1, 0)
            data[variable + suffix] = (("time", *dims), table, dict(theory[variable].attrs) if not suffix else {})
    return xr.Dataset(
        data, coords={"time": chosen.times}, attrs={"kind": "extrapolation", "clock": theory.attrs.get("clock", "")}
    )


@checks.named_arguments()
def convergence(
    problem: Problem,
    times: Any = None,
    *,
    sizes: Sequence[int],
    runs: int,
    rng: Any = None,
    variables: Sequence[str] | str | None = None,
    level: float = LEVEL,
    resolution: float = verdicts.RESOLUTION,
    theory: bool = True,
    threads: int | None = None,
    progress: bool | None = None,
    **simulate: Any,
) -> Comparison | xr.Dataset:
    """Simulate a problem at several sizes and judge its limit by them; or extrapolate them where there is no limit to judge.

    Parameters
    ----------
    problem : Problem
        What to solve and to simulate.
    times : array_like, shape (n,), optional
        Times on the clock of the problem; without them the end of training is judged, where the problem has one.
    sizes : sequence of int
        Sizes (``problem.size_name``: dimension or student width), at least one, all different; three or more
        determine the extrapolation and its error.
    runs : int
        Runs at every size, at least two.
    rng : None, int, SeedSequence or Generator, optional
        Root of the random streams.  Every size has its own child, named by the size, so that adding a size leaves
        the runs of the others as they are.
    variables, level, resolution
        As in `compare`.
    theory : bool, optional
        Whether there is a limit to judge.  Without one, and where it is not known in time, the runs are extrapolated.
    threads, progress
        As in ``problem.simulate``.
    **simulate
        Further arguments of ``problem.simulate``.

    Returns
    -------
    Comparison or xarray.Dataset
        With `theory` and `runs`, as plots need them; without a theory the extrapolated variables, of kind "extrapolated", with
        their standard errors as `risk_error`.

    Raises
    ------
    ValueError
        If a size repeats or is not positive, or `runs` is below two; and what `solve` and `simulate` raise.
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"Argument `problem` must be a problem such as fl.ExtensiveQuadratic, but is {checks.show(problem)}."
        )
    if not problem.size_name:
        raise ValueError(f"{type(problem).__name__} has no size to converge in: it is exact at its own.")
    if times is None and not problem.ends:
        raise TypeError("Argument `times` is missing: convergence needs it.")
    grid = () if times is None else (checks.times(times),)
    judged = checks.boolean("theory", theory) and (times is None or problem.solves_in_time)
    listed = checks.integers("sizes", sizes, minimum=1)
    if not listed:
        raise ValueError("Argument `sizes` must hold at least one size, but is empty.")
    if len(set(listed)) < len(listed):
        raise ValueError(f"Argument `sizes` must not repeat a size, but is {listed}.")
    runs = checks.integer("runs", runs, minimum=2)
    root = streams.root(rng)
    if times is None:
        simulate = {"end": True} | simulate
    limit = problem.solve(*grid) if judged else None
    simulated = []
    for size in listed:
        child = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, size))
        options = {problem.size_name: size, "runs": runs, "rng": child, "threads": threads, "progress": progress}
        simulated.append(problem.simulate(*grid, **options, **simulate))
    if limit is None:
        return without_theory.extrapolate_runs([on_a_grid(run) for run in simulated], variables)
    return compare(limit, *simulated, level=level, variables=variables, resolution=resolution)
