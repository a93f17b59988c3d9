"""Many limits of extensive widths at once: in lanes where problems are alike, others by their own compiled steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..many.one_by_one import Options, Solutions, one_by_one, solve_each
from .extensive import prepare as extensive_solve
from .extensive import variables as extensive_result
from .extensive.limit import METHODS, _observables

if TYPE_CHECKING:
    from .extensive.problem import ExtensiveQuadratic

#: Smaller groups of problems that are alike, and fewer problems in all groups, are solved one by one: they gain less than
#: it takes to load what lanes need, 25 ms.
LEAST, FEWEST = 16, 64
#: Problems of up to ten nodes, and outputs of all problems, that one thread computes at a time: the last problems leave
#: lanes free, Ctrl-C waits for them, and their observables take memory besides the results.
MOST, MOST_OUTPUTS = 256, 200_000


def solve_fields(owner: type, fields: dict[str, Any], options: Options) -> Solutions:
    """Solve problems given as lists or arrays of their arguments; see `flowlimits.solve_many`."""
    return solve_list(one_by_one(owner, fields), options)


def solve_list(problems: list[ExtensiveQuadratic], options: Options) -> Solutions:
    """Solve a list of problems: the numbers are those of `solve`, without a Dataset for each."""
    from ..core import checks

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

    def several(part: list[ExtensiveQuadratic]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        columns, finished = extensive_lanes.solve(part, times, rtol, steps)
        return {name: columns[name] for name in names}, finished

    parts = alike(problems, times.size, options.threads)
    if parts:
        from . import extensive_lanes  # compiled code of its own, which few problems should not wait for

    solutions = solve_each(one, problems, options, parts, several)
    shared = sum(map(len, parts))
    singly = "compiled steps, one by one"
    route = (
        singly
        if shared == 0
        else "lanes"
        if shared == len(problems)
        else f"{shared} in lanes, {len(problems) - shared} by {singly}"
    )
    solutions.provenance |= {"route": route, "rtol": rtol, "method": "collocation"}
    return solutions


def alike(problems: list[ExtensiveQuadratic], outputs: int, threads: int) -> list[np.ndarray]:
    """Return which problems are solved side by side in lanes: those with equally many nodes and starts of one kind.

    Each array of indices is the work of one thread at a time.  What has an explicit solution, and what is solved more
    than once to refine the nodes of the teacher, is left out.
    """
    groups: dict[tuple[bool, int, int], list[int]] = {}
    for index, problem in enumerate(problems):
        if problem.activation == "square" and not problem.teacher.refine:
            start = extensive_solve.start_of(problem)
            groups.setdefault((start.gaussian, start.ell.size, problem.teacher.nodes.size), []).append(index)
    found = []
    for (_, _, nodes), group in groups.items():
        if len(group) >= LEAST:
            most = max(min(10 * MOST // max(nodes, 10), MOST_OUTPUTS // outputs), LEAST)
            pieces = max(-(-len(group) // most), min(threads, len(group) // LEAST))
            found += np.array_split(np.array(group), pieces)
    return found if sum(map(len, found)) >= FEWEST else []
