"""Judge simulations against a theory, and theories against each other: the verbs `compare` and `convergence`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..compiled.beside import beside
from ..core import checks, streams
from ..core.problem import Problem
from ..core.threads import check_threads
from . import effects, points, sentences, without_theory
from . import judge as verdicts
from .comparison import Comparison, assemble, curves, table_of
from .effects import predict
from .grids import check_axes, clock_of, on_a_grid
from .judge import Judgement
from .points import Points

LEVEL = 0.01


def compare(
    theory: xr.Dataset,
    *runs: xr.Dataset,
    level: float = LEVEL,
    variables: Sequence[str] | str | None = None,
    resolution: float = verdicts.RESOLUTION,
    tolerance: float | None = None,
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
    tolerance : float, optional
        The largest deviation, in units of the largest value of its variable, that is put down to the numerics of the runs, such as
        the step of gradient descent; for theories that are exact at every size, and between two theories.  Below `resolution`.
        With it a single run can be judged, and no deviation is left open as an effect of finite size.

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
    of order 1/d leaves the verdict open, unless the theory predicts that effect (``solve(fluctuations=True)``), the predicted
    spread is that of the runs, and their dimension suffices for the prediction: then one size gives a verdict.  Of several sizes, the deviation extrapolated to infinite size is tested, and
    the largest size by itself.  A theory is acquitted only of deviations that would have been seen.
    Two theories are compared in units of the sum of their tolerances.  Where runs differ from a theory, and would agree with it if
    its clock ran faster or slower by a constant factor, the verdict says so, with the factor.  The rules and their numbers stand in
    `flowlimits.verdict.judge`, the statistics in `flowlimits.verdict.statistics`.
    """
    level = checks.number("level", level, positive=True, below=1.0)
    resolution = checks.number("resolution", resolution, positive=True)
    if tolerance is not None:
        tolerance = checks.number("tolerance", tolerance, positive=True)
        if tolerance >= resolution:
            raise ValueError(
                f"Argument `tolerance` must be below the resolution {resolution:g}, but is {tolerance:g}: raise `resolution` too."
            )
    theory, runs = on_a_grid(theory), tuple(on_a_grid(run) for run in runs)
    if points.kind_of(theory, "The theory (first argument)") not in points.THEORIES:
        if len(runs) == 1 and without_theory.are_runs(theory, runs[0]):
            _refuse_tolerance(tolerance, "two simulations have errors of their own")
            return without_theory.compare_two(theory, runs[0], variables, level, resolution)
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
        return _compare_theories(theory, runs[0], chosen, level, tolerance)
    if theory.attrs["kind"] != "exact":
        _refuse_tolerance(
            tolerance, "this one is a limit, and what it leaves to finite size is for several sizes to tell"
        )
    return _compare_runs(theory, runs, chosen, level, resolution, tolerance)


def _refuse_tolerance(tolerance: float | None, reason: str) -> None:
    if tolerance is not None:
        raise ValueError(f"Argument `tolerance` is for theories that are exact at every size, but {reason}.")


def _compare_theories(
    first: xr.Dataset, second: xr.Dataset, chosen: Points, level: float, allowed: float | None
) -> Comparison:
    ours = points.flatten(points.theory_at(first, chosen.times), chosen, "first theory")[0]
    theirs = points.flatten(second, chosen, "second theory")[0]
    tolerance = _tolerance(chosen, [first, second], ours, theirs)
    judgement = verdicts.two_theories(verdicts.nearest(chosen, ours, theirs, allowed), theirs, tolerance)
    arrays = {"theory": ours, "second_theory": theirs, "deviation": theirs - ours, "tolerance": tolerance}
    dataset = table_of(chosen, arrays | {"score": judgement.score})
    told = sentences.two_theories(judgement, chosen, clock_of(first))
    return assemble(judgement, chosen, "tolerances", level, dataset, first, (second,), told)


def _compare_runs(
    theory: xr.Dataset,
    runs: Sequence[xr.Dataset],
    chosen: Points,
    level: float,
    resolution: float,
    tolerance: float | None,
) -> Comparison:
    name = points.size_name(runs)
    samples = points.samples(runs, chosen, name)
    first_of = {one.size: next(run for run in runs if int(run.attrs[name]) == one.size) for one in samples}
    there = points.theory_at(theory, chosen.times)
    asked = points.flatten(there, chosen, "theory")[0]
    shifts = [points.rounding(theory, first_of[one.size], one.size, chosen) for one in samples]
    limits = np.array([asked if shift is None else asked + shift for shift in shifts])
    early = np.any([points.early(first_of[one.size], one.size, chosen) for one in samples], axis=0)
    floor = verdicts.TOLERANCES * _tolerance(chosen, [theory, *runs], *limits)
    widths = np.array([points.smallest_width(first_of[one.size], one.size) for one in samples])
    rounded = np.array([0.0 if shift is None else 0.5 / width for shift, width in zip(shifts, widths)])
    order, exact = without_theory.order_of(runs), theory.attrs["kind"] == "exact"
    common: dict[str, Any] = {"resolution": resolution, "exact": exact, "tolerance": tolerance}
    predicted = predict(there, runs, chosen, samples[0], name) if len(samples) == 1 else None
    if predicted is not None:
        limits = limits + predicted.shift
        common["predicted"], samples = predicted, [predicted.sample]

    def judge(limits: np.ndarray) -> Judgement:
        if len(samples) == 1:
            return verdicts.one_size(chosen, limits[0], samples[0], floor, level, float(widths[0]), early, **common)
        return verdicts.several_sizes(
            chosen, limits, samples, floor, level, early, rounded, widths=widths, order=order, **common
        )

    judgement = judge(limits)
    clock, cause = clock_of(theory), points.missing_noise(theory, runs)
    if judgement.passed is False and samples[-1].runs != 1:
        error = np.hypot(samples[-1].error, floor)
        factor = effects.clock_factor(
            theory, chosen, samples[-1], error, lambda curve: judge(limits + (curve - asked)).passed
        )
        cause = sentences.clock_factor(*factor, clock) if factor else cause
    if len(samples) > 1:
        told = sentences.several_sizes(judgement, chosen, samples, name, level, clock, resolution, cause, order)
    else:
        measured = all(run.attrs["kind"] == "measurement" for run in runs)
        told = sentences.one_size(
            judgement, chosen, samples[0], name, level, float(widths[0]), exact, clock, resolution, cause, measured, tolerance,
            "effective dimension" if "effective_dimension" in runs[0].attrs else "smallest width", predicted,
        )  # fmt: skip
    means, errors = np.array([one.mean for one in samples]), np.array([one.error for one in samples])
    arrays = {"theory": limits, "mean": means, "deviation": means - limits, "standard_error": errors}
    arrays |= {"score": verdicts.scores(means - limits, np.hypot(errors, floor)), "judged": judgement.judged}
    extrapolated = None
    if judgement.extrapolation is not None:
        found = judgement.extrapolation
        arrays |= {"extrapolated_deviation": found.deviation, "extrapolated_error": found.error}
        arrays["extrapolated_score"] = judgement.score
        extrapolated = xr.Dataset(
            curves(theory, chosen, asked + found.deviation, found.error),
            coords={"time": chosen.times},
            attrs={"kind": "extrapolation", "clock": theory.attrs.get("clock", "")},
        )
    dataset = table_of(chosen, arrays, name, [one.size for one in samples])
    unit = "tolerances" if tolerance is not None and samples[-1].runs == 1 else "standard errors"
    return assemble(judgement, chosen, unit, level, dataset, theory, tuple(runs), told, extrapolated)


def _tolerance(chosen: Points, datasets: Sequence[xr.Dataset], *values: np.ndarray) -> np.ndarray:
    """Return the tolerance of the first result plus the largest one of the others, at least round-off."""
    magnitude = np.max([np.abs(curve) for curve in values], axis=0)
    stated = [points.tolerances(one) for one in datasets]
    rtol, atol = (stated[0][i] + max(pair[i] for pair in stated[1:]) for i in (0, 1))
    return np.maximum(rtol * magnitude + atol, verdicts.UNRESOLVED * effects.scales(chosen, *values))


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
    simulated = []
    with beside(problem._compiled(), check_threads(threads)):
        limit = problem.solve(*grid) if judged else None
        for size in listed:
            child = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, size))
            options = {problem.size_name: size, "runs": runs, "rng": child, "threads": threads, "progress": progress}
            simulated.append(problem.simulate(*grid, **options, **simulate))
    if limit is None:
        return without_theory.extrapolate_runs([on_a_grid(run) for run in simulated], variables)
    return compare(limit, *simulated, level=level, variables=variables, resolution=resolution)
