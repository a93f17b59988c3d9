"""Where the locked flow of many problems keeps its numbers, one problem in each lane (compiled part).

A board is an array of shape (lines, LANES).  Named tuples of its parts stand for what single problems keep in arrays;
matrices lie in one line, row by row.  Truth values are 1 and 0.
"""

from collections import namedtuple

from ..compiled.jit import jit
from ..compiled.simd_arrays import part_of
from .extensive.subordination import COLUMNS
from .extensive.tableau import STAGES

#: Kinds of starts, which decide on the equation of theta.
GAUSSIAN, NODES, IDENTITY = range(3)

# `given`: constants of a problem and of its start
GIVEN = 5
DELTA, REFERENCE, RANK, RATE, SIZE = range(GIVEN)

# `lane`: what changes from step to step; counts are numbers too, so that decisions are taken for all lanes at once
LANE = 17
(
    BUSY,
    H,
    GAMMA,
    GAMMA_0,
    PSI,
    VELOCITY,
    PACE,  # velocity of the multiplier at the start of the step, where the last step ended
    EXTENT,  # sum of the absolute values of its terms
    LOSS,  # risk
    LAST_ERROR,
    AMPLIFIED,
    STEPS,
    REJECTED,
    EVALUATIONS,
    ACCEPTED,
    END,  # psi at the end of the step
    FACTOR,  # by which the tolerance would let the step grow
) = range(LANE)

# rows of the tables of the collocation, shape (TABLES, STAGES)
POINTS, LEFT, SUMS, A, B = 0, 1, 2, 3, 3 + STAGES
TABLES = 3 + 2 * STAGES

#: A teacher and a start, a state of the nodes and their shares, and observables.
Nodes = namedtuple(
    "Nodes", ("given", "z", "q", "low", "bounded", "e", "v", "eps", "s", "omega", "base", "ell", "nu", "row")
)
#: Everything else that a step needs: `states` are those at its start.
Work = namedtuple(
    "Work",
    (
        "lane", "gammas", "speed", "theta", "sizes", "Q", "drift", "G", "pull", "velocity", "residuals", "early", "late",
        "chosen", "u", "rate", "angle", "jacobian", "states", "stages", "inverses",
    ),
)  # fmt: skip


def lines_of_nodes(n, k):
    """Return how many lines the nodes take, with n nodes of the teacher and k of the start."""
    return GIVEN + 10 * n + 2 * k + COLUMNS


def lines_of_work(n):
    """Return how many lines the work takes."""
    return LANE + 13 * STAGES + 10 + STAGES * STAGES + n * (1 + STAGES + STAGES * STAGES)


@jit
def nodes_in(line, n, k):
    """Return the nodes that lie at the beginning of a line."""
    a, b = GIVEN, GIVEN + 10 * n + 2 * k
    return Nodes(
        part_of(line, 0, GIVEN),
        part_of(line, a, n),
        part_of(line, a + n, n),
        part_of(line, a + 2 * n, n),
        part_of(line, a + 3 * n, n),
        part_of(line, a + 4 * n, n),
        part_of(line, a + 5 * n, n),
        part_of(line, a + 6 * n, n),
        part_of(line, a + 7 * n, n),
        part_of(line, a + 8 * n, n),
        part_of(line, a + 9 * n, n),
        part_of(line, a + 10 * n, k),
        part_of(line, a + 10 * n + k, k),
        part_of(line, b, COLUMNS),
    )


@jit
def work_in(line, n):
    """Return the work that lies at the beginning of a line."""
    m = STAGES
    a = LANE
    b = a + 13 * m + 1
    c = b + 9 + m * m
    return Work(
        part_of(line, 0, LANE),
        part_of(line, a, m + 1),
        part_of(line, a + m + 1, m),
        part_of(line, a + 2 * m + 1, m),
        part_of(line, a + 3 * m + 1, m),
        part_of(line, a + 4 * m + 1, m),
        part_of(line, a + 5 * m + 1, m),
        part_of(line, a + 6 * m + 1, m),
        part_of(line, a + 7 * m + 1, m),
        part_of(line, a + 8 * m + 1, m),
        part_of(line, a + 9 * m + 1, m),
        part_of(line, a + 10 * m + 1, m),
        part_of(line, a + 11 * m + 1, m),
        part_of(line, a + 12 * m + 1, m),
        part_of(line, b, 3),
        part_of(line, b + 3, 3),
        part_of(line, b + 6, 3),
        part_of(line, b + 9, m * m),
        part_of(line, c, n),
        part_of(line, c + n, n * m),
        part_of(line, c + n + n * m, n * m * m),
    )
