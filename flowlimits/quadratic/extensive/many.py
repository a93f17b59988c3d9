"""Many limits of extensive widths: the numbers of `solve`, problem by problem, without a Dataset for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks
from ...core.one_by_one import Options, Solutions, one_by_one, solve_each
from . import limit, prepare, variables

if TYPE_CHECKING:
    from .problem import ExtensiveQuadratic


def solve_fields(owner: type, fields: dict[str, Any], options: Options) -> Solutions:
    """Solve problems given as lists or arrays of their arguments; see `flowlimits.solve_many`."""
    return solve_list(one_by_one(owner, fields), options)


def solve_list(problems: list[ExtensiveQuadratic], options: Options) -> Solutions:
    """Solve a list of problems."""
    rtol = 1e-8 if options.rtol is None else options.rtol
    checks.choice("method", options.method or "auto", limit.METHODS)
    names = limit.observables(problems[0], options.observables)
    times = options.times
    positive = variables.later(times)
    steps = options.max_steps or 100_000

    def one(problem: ExtensiveQuadratic) -> dict[str, np.ndarray]:
        if problem.covariance is not None:
            found = problem.solve(times, rtol=rtol, max_steps=steps, observables=names)
            return {name: found[name].to_numpy() for name in names}
        solution = prepare.integrate(problem, positive, rtol, steps, False)
        if solution.provenance.get("status", 0) != 0:
            # `solve` words the refusal and collects the finished part.
            problem.solve(times, rtol=rtol, max_steps=steps, observables=names)
        columns = variables.columns(problem, times, solution)
        return {name: columns[name] for name in names}

    solutions = solve_each(one, problems, options)
    solutions.provenance |= {"rtol": rtol, "method": "collocation"}
    return solutions
