"""Many limits of extensive widths at once: every problem by its own compiled steps, side by side in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..many_singly import Options, Solutions, one_by_one, solve_each
from . import extensive_result, extensive_solve
from .extensive_limit import METHODS, _observables

if TYPE_CHECKING:
    from .extensive import ExtensiveQuadratic


def solve_fields(owner: type, fields: dict[str, Any], options: Options) -> Solutions:
    """Solve problems given as lists or arrays of their arguments; see `flowlimits.solve_many`."""
    return solve_list(one_by_one(owner, fields), options)


def solve_list(problems: list[ExtensiveQuadratic], options: Options) -> Solutions:
    """Solve a list of problems: the numbers are those of `solve`, without a Dataset for each."""
    from .. import checks

    rtol = 1e-8 if options.rtol is None else options.rtol
    checks.choice("method", options.method or "auto", METHODS)
    names = _observables(options.observables)
    times = options.times
    positive = 2 * times[times > 0]
    steps = options.max_steps or 100_000

    def one(problem: ExtensiveQuadratic) -> dict[str, np.ndarray]:
        solution = extensive_solve.integrate(problem, positive, rtol, steps, False)
        if solution.provenance.get("status", 0) != 0:
            # The refusal is worded, and its finished part collected, where single problems are solved.
            problem.solve(times, rtol=rtol, max_steps=steps, observables=names)
        columns = extensive_result.columns(problem, times, solution)
        return {name: columns[name] for name in names}

    solutions = solve_each(one, problems, options)
    solutions.provenance |= {"route": "compiled steps, one by one", "rtol": rtol, "method": "collocation"}
    return solutions
