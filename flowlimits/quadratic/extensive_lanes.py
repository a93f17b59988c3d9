"""Many limits of extensive widths, one in each lane: their arrays, and the variables that come of them."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from ..compiled.simd import LANES
from . import extensive_lanes_board as board
from . import extensive_lanes_output as output
from . import extensive_lanes_steps as steps
from .extensive import prepare as extensive_solve
from .extensive import steps as extensive_steps
from .extensive import subordination
from .extensive import variables as extensive_result
from .extensive.tableau import radau_tables

if TYPE_CHECKING:
    from .extensive.prepare import Start, Teacher
    from .extensive.problem import ExtensiveQuadratic

#: Bytes of a vector: numbers of all lanes that lie across two lines of the processor's cache take twice as long.
VECTOR = 8 * LANES


def lanes_array(lines: int) -> np.ndarray:
    """Return an array of ones, shape (lines, LANES), that lies at a multiple of the size of a vector."""
    whole = np.ones(lines * LANES + LANES)
    first = -whole.ctypes.data % VECTOR // 8
    return whole[first : first + lines * LANES].reshape(lines, LANES)


@functools.cache
def tables() -> np.ndarray:
    """Return the tables of the collocation as one array; see `extensive_lanes_board`."""
    points, integration, differentiation, left, _ = radau_tables()
    found = np.empty((board.TABLES, points.size))
    found[board.POINTS], found[board.LEFT] = points, left
    found[board.A : board.A + points.size] = integration
    found[board.B : board.B + points.size] = differentiation
    for i, row in enumerate(differentiation):
        # In this order, which is that of compiled sums.
        found[board.SUMS, i] = functools.reduce(float.__add__, map(float, row), 0.0)
    return found


def advance(
    starts: list[Start], teachers: list[Teacher], gammas: np.ndarray, tolerance: float, max_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve problems with equally many nodes and starts of one kind at positive times.

    Returns
    -------
    rows : ndarray, shape (problems, times, COLUMNS)
        Observables; NaN where they were not reached.
    outcome : ndarray, shape (problems, OUTCOMES)
        Status, accepted and rejected steps, evaluations.
    """
    number, n, k = len(starts), teachers[0].z.size, starts[0].ell.size
    kind = board.GAUSSIAN if starts[0].gaussian else board.NODES if k else board.IDENTITY
    rows = np.full((number, gammas.size, subordination.COLUMNS), np.nan)
    outcome = np.zeros((number, steps.OUTCOMES), dtype=np.int64)
    given = np.empty((number, board.GIVEN))
    for one, start, teacher in zip(given, starts, teachers):
        one[:] = (teacher.delta, teacher.reference, start.rank, *extensive_solve.first_velocity(start, teacher))
    boards = (board.lines_of_nodes(n, k), board.lines_of_work(n), board.lines_of_nodes(n, k), output.ROOTS)
    places = np.full((LANES, 2), -1), np.zeros((LANES + 1, 2), dtype=np.int64)
    points, _, _, _, barycentric = radau_tables()
    steps.advance(
        kind, gammas, points, barycentric, tables(), tolerance, max_steps,
        *(np.array([getattr(one, name) for one in teachers], dtype=float) for name in ("z", "q", "low")),
        *(np.array([getattr(one, name) for one in starts]).reshape(number, k) for name in ("ell", "nu")),
        given, rows, outcome, tuple(map(lanes_array, boards)), places,
    )  # fmt: skip
    return rows, outcome


def solve(
    problems: list[ExtensiveQuadratic], times: np.ndarray, rtol: float, max_steps: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the variables of problems that are alike, see `many.alike`, at `times`, shape (problems, times), and which problems are finished."""
    gammas = 2 * times[times > 0]
    starts = [extensive_solve.start_of(problem) for problem in problems]
    last, accuracy = float(gammas[-1]) if gammas.size else 1.0, extensive_solve.accuracy_of(rtol)
    teachers = [
        extensive_solve.teacher_of(one.teacher, start, 0.0, last, accuracy, 0) for one, start in zip(problems, starts)
    ]
    rows, outcome = advance(starts, teachers, gammas, extensive_solve.tolerance_of(rtol), max_steps)
    if times.size > gammas.size:
        nothing = np.empty((0, subordination.COLUMNS)), np.empty(0)
        first = [
            extensive_result.first_row(problem, extensive_solve.Solution(*nothing, teacher, start, {}))
            for problem, teacher, start in zip(problems, teachers, starts)
        ]
        rows = np.concatenate([np.array(first)[:, None], rows], axis=1)
    scales = np.array([0.5 * math.log(start.mean) for start in starts])
    decays = np.array([problem.weight_decay for problem in problems])
    variables = {name: rows[:, :, column] for name, column in extensive_result.COLUMNS.items()}
    variables["multiplier"] = rows[:, :, subordination.PSI] + scales[:, None] - decays[:, None] * times
    return variables, outcome[:, 0] == extensive_steps.DONE
